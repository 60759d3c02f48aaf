"""Bring one source to this machine, whole and checked, however often the way breaks off.

The bytes grow in ``<name>-<key>.part``; beside it a note says which version of the object they belong to.  A killed
run leaves both, and the next one reads on where it ended.  The key is made of location and checksum.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from threading import Event, Lock

import tenacity

from stages.runtime.log import Progress, log
from stages.sources.damage import HEAD_BYTES, find_damage, find_page
from stages.sources.locations import Body, Client, Interrupted, Unresolved, host_of, shown
from stages.sources.openers import open_location
from stages.workspace.errors import DISK_FULL, UserError, disk_full
from stages.workspace.files import sha256_of, whole_file, write_json

BACKOFF_S, LONGEST_BACKOFF_S = 0.5, 60.0  # the wait before attempt n is drawn from 0 … BACKOFF_S · 2ⁿ


class Unwritable(UserError):
    """The disk refuses a write: no fault of a source, so the whole stage ends."""


class Changed(UserError):
    """The publisher has replaced a file since it was recorded."""


@dataclass(frozen=True)
class Source:
    """One file to fetch.  ``location`` is where it is published, ``address`` where it is read (a mirror, perhaps)."""

    name: str
    location: str
    address: str
    bytes: int | None = None
    sha256: str | None = None
    licence: str | None = None
    month: str | None = None
    """``YYYY-MM`` of a file in a series."""
    recorded_in: str | None = None
    """The lock file that keeps size and checksum, or will, where the parameters do not state them."""


@dataclass(frozen=True)
class Fetched:
    """A source that has arrived, whole and checked, in ``part``."""

    source: Source
    part: Path
    bytes: int
    sha256: str


class Meter:
    """Tells the shared progress how far one file has come; a restart takes its bytes back."""

    def __init__(self, progress: Progress, lock: Lock) -> None:
        self._progress, self._lock, self._size = progress, lock, 0

    def at(self, size: int) -> None:
        """The file now holds ``size`` bytes."""
        with self._lock:
            self._progress.advance(size - self._size)
            self._size = size


def part_path(folder: Path, source: Source) -> Path:
    """Where the bytes of ``source`` gather until it is complete."""
    pin = None if source.recorded_in else source.sha256  # a part outlives the run that records its checksum
    key = hashlib.sha256(f"{source.address}\n{pin}".encode()).hexdigest()[:16]
    return folder / f"{source.name}-{key}.part"


def transfer(source: Source, part: Path, *, attempts: int, client: Client, meter: Meter, stop: Event) -> str:
    """Fill ``part`` with the whole source and return its SHA-256.

    Gives up after ``attempts`` attempts in a row that brought no byte beyond the furthest reached so far.
    """
    reached = size_of(part)
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Interrupted),
        stop=tenacity.stop_after_attempt(attempts) | tenacity.stop_when_event_set(stop),
        wait=_wait,
        sleep=tenacity.sleep_using_event(stop),
        before_sleep=lambda state: _announce(source, state),
        reraise=True,
    )
    while True:
        try:
            return retrying(_attempt, source, part, client, meter, stop)
        except Interrupted as error:
            if size_of(part) <= reached or stop.is_set():
                again = "run the same command again: it goes on where this one ended; or set a mirror"
                raise UserError(shown(source.address), f"{error}, {attempts} times in a row", again) from error
            reached = size_of(part)


def size_of(path: Path) -> int:
    """Bytes in a file; 0 when there is none."""
    return path.stat().st_size if path.exists() else 0


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a write that the disk refuses into an `Unwritable` that names ``path``."""
    try:
        yield
    except OSError as error:
        named = OSError(error.errno, error.strerror, error.filename or str(path))
        plain = disk_full(named)
        if error.errno not in DISK_FULL:
            plain.next_step = "make the folder writable, or run from a copy of the repository that is"
        raise Unwritable(plain.wanted, plain.found, plain.next_step) from error


def _attempt(source: Source, part: Path, client: Client, meter: Meter, stop: Event) -> str:
    """One connection: continue ``part`` or start it anew, then check the whole."""
    if stop.is_set():
        raise Interrupted("the run was ended")
    kept, tag = size_of(part), tag_of(part)
    if source.sha256 and source.bytes == kept > 0:  # it was complete, or was damaged on the disk
        meter.at(kept)
        return _check(source, part, continued=True)
    start = kept if tag or source.sha256 else 0
    with _opened(source, start, tag, client) as body:
        head, chunks = _read_head(body)
        _check_head(source, body, head)
        if body.start:
            log.info("%s: going on at byte %s", source.name, f"{body.start:,}")
        _write(part, body, chunks, meter, stop)
    wanted = body.total if body.total is not None else source.bytes
    if wanted is not None and size_of(part) < wanted:
        raise Interrupted(f"the body ended after {size_of(part):,} of {wanted:,} bytes")
    if wanted is None and body.fickle and (damage := find_damage(source.name, part, thorough=True)):
        raise Interrupted(damage)  # without a length, a cut looks like an end
    return _check(source, part, continued=body.start > 0)


@contextmanager
def _opened(source: Source, start: int, tag: str, client: Client) -> Iterator[Body]:
    """The source from ``start`` on; that the name of a host which has answered before leads nowhere may pass."""
    try:
        with open_location(source.address, start=start, tag=tag, client=client) as body:
            client.answered.add(host_of(source.address))
            yield body
    except Unresolved as error:
        if host_of(source.address) in client.answered:
            raise Interrupted(error.found) from error
        raise


def _read_head(body: Body) -> tuple[bytes, Iterator[bytes]]:
    """Enough first bytes to judge the answer, and an iterator over all of them."""
    head = b""
    for chunk in body.chunks:
        head += chunk
        if len(head) >= HEAD_BYTES:
            break
    return head, chain([head] if head else [], body.chunks)


def _check_head(source: Source, body: Body, head: bytes) -> None:
    """Refuse a wrong answer before it replaces anything that was fetched before."""
    page = find_page(source.name, head[: 4 * HEAD_BYTES], body.media_type) if body.start == 0 else None
    if page and body.fickle:
        raise Interrupted(f"the server sends {page}" + (f" from {body.origin}" if body.origin else ""))
    if page:
        raise _refused(source, page, page)
    if None not in (source.bytes, body.total) and body.total != source.bytes:
        raise _refused(source, f"{body.total:,} bytes announced", size=body.total)


def _write(part: Path, body: Body, chunks: Iterator[bytes], meter: Meter, stop: Event) -> None:
    with writing(part):
        part.parent.mkdir(parents=True, exist_ok=True)
        _own(part, keep=body.start > 0)
        with part.open("r+b" if body.start else "wb") as file:
            if body.start == 0:  # the note must never outlive the bytes that it tells of
                write_json(_note(part), {"tag": body.tag})
            size = file.seek(body.start)
            meter.at(size)
            for chunk in chunks:
                size += file.write(chunk)
                meter.at(size)
                if stop.is_set():
                    raise Interrupted("the run was ended")


def _own(part: Path, *, keep: bool) -> None:
    """Make ``part`` a file of its own: one that has arrived is known to the cache under a second name."""
    if part.exists() and part.stat().st_nlink > 1:
        if keep:
            with whole_file(part) as aside:
                shutil.copyfile(part, aside)
        else:
            part.unlink()


def _check(source: Source, part: Path, *, continued: bool) -> str:
    """The SHA-256 of a complete part; one that fails the checks is removed."""
    size, sha256 = size_of(part), sha256_of(part)
    unpinned = source.sha256 is None
    damage = find_damage(source.name, part, thorough=unpinned) if unpinned or sha256 != source.sha256 else None
    if size == 0 and source.bytes != 0:
        damage = "an empty file"
    if not damage and source.bytes in (None, size) and source.sha256 in (None, sha256):
        return sha256
    discard(part)
    if continued:  # its pieces may belong to two versions of the object
        raise Interrupted(f"{damage or 'a wrong checksum'} after going on with an earlier part")
    raise _refused(source, ", ".join(filter(None, [damage, f"{size:,} bytes", f"sha256 {sha256}"])), damage, size)


def _refused(source: Source, found: str, damage: str | None = None, size: int | None = None) -> UserError:
    """Of a source that is not what was promised: ``damage`` in itself, or another one than is pinned."""
    pins = [
        f"{source.bytes:,} bytes" if source.bytes is not None else "",
        f"sha256 {source.sha256}" if source.sha256 else "",
    ]
    wanted = ", ".join(filter(None, [shown(source.address), *pins]))
    if source.recorded_in and source.sha256 and not damage:
        shrank = source.bytes - size if source.bytes is not None and size is not None else 0
        found += f": it shrank by {shrank:,} bytes" if shrank > 0 else ""
        return Changed(f"{wanted} (recorded in {source.recorded_in})", found, "accept the change, or use a mirror")
    if source.recorded_in or source.sha256 is None:
        return UserError(wanted, found, "ask again later, or set a mirror; nothing of it was kept")
    accept = "if the publisher has replaced the file and you accept the new one, correct `bytes` and `sha256` of this"
    return UserError(wanted, found, f"{accept} source under params/ and run `make params`; nothing of it was kept")


def discard(part: Path) -> None:
    """Forget what was fetched of one source."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _note(part: Path) -> Path:
    return part.with_suffix(".json")


def tag_of(part: Path) -> str:
    """The version of the object that the bytes of ``part`` belong to; empty where nothing tells."""
    try:
        return str(json.loads(_note(part).read_text(encoding="utf-8"))["tag"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    drawn = tenacity.wait_random_exponential(multiplier=BACKOFF_S, max=LONGEST_BACKOFF_S)(state)
    return drawn + (error.wait_s or 0.0) if isinstance(error, Interrupted) else drawn


def _announce(source: Source, state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("%s: %s; attempt %d in %.1f s", source.name, error, state.attempt_number + 1, state.upcoming_sleep)
