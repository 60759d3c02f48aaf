"""The decision log ``registry/<dataset>.jsonl``: who decided what about the champion, when, and on what evidence.

One JSON object a line, numbered from 1, in git, only ever added to.  Adding replaces the file by a longer one, so it is
whole at any moment.  Before anything is written, what is intended stands in the git folder, which no commit carries: a
run that is killed between the log and the tags of the registry is finished by the next one.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stages.workspace import layout
from stages.workspace.errors import UserError
from stages.workspace.files import write_durably
from stages.workspace.git import private_path

Entry = dict[str, Any]
KEYS = ("number", "when", "who", "decision", "reason", "candidate", "champion", "tags", "evidence")


def read_log(dataset: str) -> list[Entry]:
    """Every decision, first to last; none where there is no log yet."""
    path = layout.decisions(dataset)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except UnicodeDecodeError as error:
        raise _damaged(path, str(error)) from None
    lines = text.removesuffix("\n").split("\n") if text else []  # no `splitlines`: a name may hold other ends of line
    entries = [_entry(path, number, line) for number, line in enumerate(lines, start=1)]
    if text and not text.endswith("\n"):
        raise _damaged(path, f"the last line, {len(lines)}, is cut short: it has no end of line")
    return entries


def _entry(path: Path, number: int, line: str) -> Entry:
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        conflict = line.startswith(("<<<<<<<", "=======", ">>>>>>>"))
        raise _damaged(path, f"line {number} is {'a merge conflict' if conflict else f'no JSON: {error}'}") from None
    missing = [key for key in KEYS if key not in entry] if isinstance(entry, dict) else list(KEYS)
    if missing:
        raise _damaged(path, f"line {number} is no decision: no {', '.join(missing)}")
    if entry["number"] != number:
        raise _damaged(path, f"line {number} holds decision {entry['number']}: lines were lost, added or moved")
    return dict(entry)


def _damaged(path: Path, found: str) -> UserError:
    return UserError(
        f"the decision log {path} as it was written",
        found,
        f"`git diff {path}` shows what changed, `git checkout {path}` restores it as committed; after a merge, keep "
        "the decisions whose tags were pushed first, and decide again about the others",
    )


def append(dataset: str, entry: Entry) -> None:
    """Add one decision at the end, on disk when this returns; nothing where it is there already."""
    path, entries = layout.decisions(dataset), read_log(dataset)
    if entries and entries[-1] == entry:
        return
    if entry["number"] != len(entries) + 1:
        raise _damaged(path, f"{len(entries)} decisions, where decision {entry['number']} was to be added")
    line = json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n"
    write_durably(path, (path.read_bytes() if entries else b"") + line.encode())


@contextmanager
def one_at_a_time(dataset: str) -> Iterator[None]:
    """Hold the lock on decisions about a dataset; a second promotion is refused."""
    path = private_path(f"{dataset}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"one promotion of {dataset} at a time",
                "another one is running",
                "wait for it to end, then run the same command again: it may find another champion",
            ) from None
        yield


def intend(dataset: str, entry: Entry) -> None:
    """Note what is about to be done."""
    write_durably(
        private_path(f"{dataset}.intended.json"), json.dumps(entry, ensure_ascii=False, allow_nan=False).encode()
    )


def intended(dataset: str) -> Entry | None:
    """What an earlier run meant to do and did not finish."""
    try:
        entry: Entry = json.loads(private_path(f"{dataset}.intended.json").read_bytes())
    except FileNotFoundError:
        return None
    return entry


def done(dataset: str) -> None:
    """Everything intended has been done."""
    private_path(f"{dataset}.intended.json").unlink(missing_ok=True)


def intention_path(dataset: str) -> Path:
    """Where an unfinished decision is noted, for those who have to give it up."""
    return private_path(f"{dataset}.intended.json")
