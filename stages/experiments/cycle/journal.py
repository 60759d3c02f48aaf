"""What the cycle under way has done so far, kept in the git folder: one that was killed goes on after its last step.

The lock is held by the cycle and by whatever it has started, so that a command which outlives a killed cycle is waited
for; the file says who holds it.  A finished cycle leaves one line in ``cycles/<dataset>.jsonl``, in git.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, Any

from stages.workspace import layout
from stages.workspace.errors import UserError
from stages.workspace.files import write_durably
from stages.workspace.git import private_path

Entry = dict[str, Any]


class AtWork(UserError):
    """Another cycle of the same dataset is at work."""


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@contextmanager
def one_at_a_time(dataset: str) -> Iterator[IO[str]]:
    """Hold the lock on cycles of a dataset; a second one is told who is at work.

    Raises
    ------
    AtWork
        With the process, its beginning and its step.
    """
    path = private_path(f"{dataset}.cycle.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise AtWork(
                f"one cycle of {dataset} at a time",
                f"{lock.read().strip() or 'another one'} is at work",
                "nothing: it does what is to be done",
            ) from None
        sign(lock, "look")
        yield lock
        lock.truncate(0)


def sign(lock: IO[str], step: str) -> None:
    """Write into the lock who holds it, and what for."""
    lock.truncate(0)
    lock.write(f"process {os.getpid()}, at the step `{step}` since {now()},")
    lock.flush()


class Journal:
    """The steps that are done, with what each found."""

    def __init__(self, dataset: str) -> None:
        """Of a dataset: as it was left, or empty."""
        self.path = private_path(f"{dataset}.cycle.json")
        try:
            self.noted: dict[str, Any] = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            self.noted = {}

    def begin(self, **facts: Any) -> None:
        """A cycle has begun."""
        self.noted = {"begun": facts}
        self._write()

    def finish(self, step: str, found: dict[str, Any]) -> None:
        """A step is done: it is not done again."""
        self.noted[step] = found
        self._write()

    def end(self) -> None:
        """Nothing is left to do."""
        self.path.unlink(missing_ok=True)

    def _write(self) -> None:
        write_durably(self.path, json.dumps(self.noted, ensure_ascii=False, indent=2).encode())


def read_log(dataset: str) -> list[Entry]:
    """Every finished cycle, first to last."""
    path = layout.cycles(dataset)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    try:
        return [json.loads(line) for line in lines]
    except json.JSONDecodeError as error:
        restore = f"`git diff {path}` shows what changed, `git checkout {path}` restores it as committed"
        raise UserError(f"the log of cycles {path} as it was written", str(error), restore) from None


def tried_until(dataset: str) -> str | None:
    """The last day that the last candidate learnt from; None where there was none."""
    tried = [entry["window"]["train_until"] for entry in read_log(dataset) if entry["trained"]]
    return tried[-1] if tried else None


def append(dataset: str, entry: Entry) -> None:
    """Add one cycle at the end; nothing where it is there already."""
    path, entries = layout.cycles(dataset), read_log(dataset)
    if any(each["number"] == entry["number"] for each in entries):
        return
    line = json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n"
    write_durably(path, (path.read_bytes() if entries else b"") + line.encode())
