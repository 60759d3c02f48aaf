"""The store that several replicas share: Redis.

One hash holds the facts, one sorted set the version of each key's last change.  A writer watches the version, decides
by the same rule as the file does, and writes all at once (MULTI); who was overtaken meanwhile decides again.  A reader
asks in one script, so that it sees one moment.  Redis keeps what it was told as far as it is configured to
(`appendonly yes`, `appendfsync always`: as SQLite does).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any
from uuid import uuid4

import redis

from stages.state.facts import Fact, newer
from stages.state.store import NOTHING, Changes, Facts
from stages.workspace.errors import UserError

AT_ONCE = 5_000  # fields in one command
TRIES = 100  # against other writers
WAIT_S = 5.0
CHANGES = """
local version = redis.call('GET', KEYS[1])
local since = ARGV[2]
if not version or string.sub(version, 1, #ARGV[1]) ~= ARGV[1] then since = '0' end
local keys = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. since, '+inf')
local rows = {}
for place, key in ipairs(keys) do rows[place] = redis.call('HGET', KEYS[3], key) end
return {version, keys, rows}
"""


class RedisStore:
    """See `stages.state.store.Store`."""

    def __init__(self, url: str, dataset: str) -> None:
        self._url, names = url, f"plumbline:{dataset}"
        self._version, self._changes, self._facts = f"{names}:version", f"{names}:changes", f"{names}:facts"
        self._redis = redis.Redis.from_url(
            url, decode_responses=True, socket_timeout=WAIT_S * 6, socket_connect_timeout=WAIT_S
        )
        self._told = self._redis.register_script(CHANGES)

    def version(self) -> str:
        """The store's own name and a number that grows."""
        with self._plain_words():
            return str(self._redis.get(self._version) or NOTHING)

    def changes(self, since: str = NOTHING) -> Changes:
        """See `Store.changes`."""
        store, _, last = since.partition(":")
        with self._plain_words():
            keys = [self._version, self._changes, self._facts]
            version, names, rows = self._told(keys=keys, args=[f"{store}:", last or "0"])
        facts: dict[str, list[Fact]] = {}
        for name, row in sorted(zip(names, rows, strict=True)):
            table, key = name.split("|", 1)
            facts.setdefault(table, []).append(Fact(key, *json.loads(row)))
        return Changes(version or NOTHING, facts, anew=not (version or "").startswith(f"{store}:"))

    def update(self, facts: Facts) -> dict[str, int]:
        """See `Store.update`."""
        with self._plain_words(), self._redis.pipeline() as pipe:
            for _ in range(TRIES):
                try:
                    return self._write(pipe, facts)
                except redis.WatchError:
                    continue
        raise UserError(f"a turn at the state {self._url}", "others that write without end", "try again later")

    def _write(self, pipe: Any, facts: Facts) -> dict[str, int]:
        pipe.watch(self._version)
        store, _, number = (pipe.get(self._version) or f"{uuid4().hex}:0").partition(":")
        counts, version = {}, int(number) + 1
        written: dict[str, str] = {}
        for table, told in facts.items():
            keys = sorted({fact.key for fact in told})
            found: list[str | None] = []
            for some in _pieces(keys):
                found += pipe.hmget(self._facts, [f"{table}|{key}" for key in some])
            old = {key: Fact(key, *json.loads(row)) for key, row in zip(keys, found, strict=True) if row}
            changed = newer(old, told)
            counts[table] = len(changed)
            written |= {f"{table}|{key}": json.dumps(fact[1:], ensure_ascii=False) for key, fact in changed.items()}
        pipe.multi()
        for some in _pieces(list(written)):
            pipe.hset(self._facts, mapping={name: written[name] for name in some})
            pipe.zadd(self._changes, dict.fromkeys(some, version))
        if written:
            pipe.set(self._version, f"{store}:{version}")
        pipe.execute()
        return counts

    def close(self) -> None:
        """Let go of the connection."""
        self._redis.close()

    @contextmanager
    def _plain_words(self) -> Iterator[None]:
        try:
            yield
        except redis.WatchError:
            raise
        except redis.RedisError as error:
            step = "start it, or name another state by `--state`; nothing was changed by half"
            raise UserError(f"an answer of the state {_without_password(self._url)}", str(error), step) from error


def _pieces(names: Sequence[str]) -> Iterator[list[str]]:
    names = iter(names)  # type: ignore[assignment]
    while some := list(islice(names, AT_ONCE)):
        yield some


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
