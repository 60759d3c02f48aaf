"""Results of partitions that outlive the workspace: one month in, one month done.

A key says all that a result depends on, so any workspace, queued experiment or clone may take what another has kept
under it.  Files are hard links where possible: they are replaced as a whole and never written to again; whoever does
so nevertheless damages the entry, which the next fetch sees and drops.  Any number of runs may use the folder at the
same time, it may be deleted at any time, and no trouble with it ever ends a run.

``entries/<first two of key>/<key>/``   one result each, see `cache_entry`
``aside/``                              being filled, or being removed
``bytes``, ``lock``                     size of all entries, never less than it is; who may change it
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from stages.runtime.cache_entry import NOTE, Damaged, fill_entry, place_files, read_note, sha256_file
from stages.runtime.log import log

if TYPE_CHECKING:
    from stages.workspace.settings import WorkerSettings

__all__ = ["PartitionCache", "open_cache", "sha256_file"]

VARIABLE = "PLUMBLINE_CACHE"
DROPPED = "dropped-"
KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")
KEPT_SHARE = 0.9  # trimming goes a little further than it must, so that it is rare
ABANDONED_S = 24 * 3600.0  # no store takes a day


@dataclass
class PartitionCache:
    """Entries in ``folder``, at most ``max_bytes`` of them; those used longest ago go first."""

    folder: Path
    max_bytes: int
    _told: set[int | str | None] = field(default_factory=set, repr=False, compare=False)

    def fetch(self, key: str, targets: Sequence[Path]) -> Any | None:
        """Place the files of an entry at ``targets``, all or none, and return its facts; None when there is none."""
        entry = self._entry(key)
        found = _inode(entry)
        if found is None:
            return None
        try:
            note = read_note(entry, key, len(targets))
            place_files(entry, note["files"], targets)
        except FileNotFoundError as error:
            if _inode(entry) == found:  # else removed by another run in this moment, and perhaps made again
                self._drop(entry, f"{Path(error.filename or '').name}: missing")
            return None
        except Damaged as error:
            self._drop(entry, str(error))
            return None
        except OSError as error:
            self._tell(error, f"cannot take a result from the cache of partitions: {error}")
            return None
        with suppress(OSError):  # a cache that others own can be read all the same
            os.utime(entry / NOTE)
        return note["facts"]

    def store(self, key: str, files: Sequence[Path], facts: Any) -> None:
        """Keep ``files`` and ``facts`` (JSON, not null) under ``key``; what is already there stays."""
        if facts is None:
            raise ValueError("wanted facts; found None, which stands for an entry that is not there")
        entry = self._entry(key)
        try:
            if (entry / NOTE).exists():
                return
            size = sum(file.stat().st_size for file in files)
            if size <= self.max_bytes:
                with self._aside() as aside:
                    self._publish(aside, entry, fill_entry(aside, key, files, facts))
            else:
                held = f"the whole cache of partitions may hold {self.max_bytes:,} (cluster.cache_gib)"
                self._tell("large", f"a result of {size:,} bytes is not kept: {held}")
        except OSError as error:
            self._tell(error, f"cannot keep a result in the cache of partitions: {error}")

    def remove_leftovers(self) -> None:
        """Remove what killed processes left: half removed entries, and half filled ones of another day."""
        for path in _listed(self.folder / "aside"):
            with suppress(OSError):
                if path.name.startswith(DROPPED) or time.time() - path.stat().st_mtime > ABANDONED_S:
                    _delete(path)

    def _entry(self, key: str) -> Path:
        if not KEY.fullmatch(key):
            raise ValueError(f"wanted a key of letters, digits, - and _; found {key!r}")
        return self.folder / "entries" / key[:2] / key

    @contextmanager
    def _aside(self) -> Iterator[Path]:
        """A new folder on the same file system as the entries."""
        aside = self.folder / "aside" / uuid.uuid4().hex
        try:
            aside.mkdir(parents=True)
            yield aside
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _publish(self, aside: Path, entry: Path, size: int) -> None:
        """Rename a filled folder to its place; it is counted and room is made first, so the bound always holds."""
        with (self.folder / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if entry.exists() or size > self.max_bytes:  # another run was faster, or the note is one too many
                return
            total = self._counted() + size
            if total > self.max_bytes:
                total = self._trim(int(KEPT_SHARE * self.max_bytes) - size) + size
            (aside / "bytes").write_text(str(total), encoding="ascii")
            (aside / "bytes").replace(self.folder / "bytes")
            entry.parent.mkdir(parents=True, exist_ok=True)
            aside.rename(entry)

    def _counted(self) -> int:
        """Bytes of all entries as they were counted last, else counted now."""
        try:
            return int((self.folder / "bytes").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return sum(size for _, size, _ in _measure(self.folder / "entries"))

    def _trim(self, keep: int) -> int:
        """Remove the entries used longest ago until at most ``keep`` bytes are left; returns how many are."""
        self.remove_leftovers()
        entries = sorted(_measure(self.folder / "entries"))
        total = sum(size for _, size, _ in entries)
        for _, size, entry in entries:
            if total <= keep:
                break
            self._remove(entry)
            total -= size
        return total

    def _drop(self, entry: Path, problem: str) -> None:
        log.warning("cache of partitions: %s is damaged (%s); it is dropped and made again", entry, problem)
        self._remove(entry)

    def _remove(self, entry: Path) -> None:
        """Renamed first, so that nobody finds half an entry."""
        dropped = self.folder / "aside" / f"{DROPPED}{uuid.uuid4().hex}"
        with suppress(OSError):
            dropped.parent.mkdir(parents=True, exist_ok=True)
            entry.rename(dropped)
            _delete(dropped)

    def _tell(self, trouble: OSError | str, words: str) -> None:
        """One warning for each kind of trouble, not one for each partition."""
        kind = trouble.errno if isinstance(trouble, OSError) else trouble
        if kind not in self._told:
            self._told.add(kind)
            log.warning("%s; the run goes on without", words)


def open_cache(workers: WorkerSettings) -> PartitionCache | None:
    """The cache that the parameters name; None when it is switched off or its folder cannot be written.

    ``PLUMBLINE_CACHE`` overrides them for one command: ``off``, or a folder.
    """
    wanted = os.environ.get(VARIABLE) or workers.cache_folder
    if wanted == "off" or workers.cache_gib == 0:
        return None
    try:
        folder = Path(wanted or platformdirs.user_cache_path("plumbline") / "partitions").expanduser().absolute()
    except RuntimeError as error:  # nobody knows the user's home folder
        _go_without(str(error))
        return None
    return _opened(folder, int(workers.cache_gib * 2**30))


@lru_cache(maxsize=16)
def _opened(folder: Path, max_bytes: int) -> PartitionCache | None:
    """One object for a folder in a process, so that it is tried, tidied and warned of once."""
    cache = PartitionCache(folder, max_bytes)
    try:
        with cache._aside() as aside:
            (aside / NOTE).write_bytes(b"")
    except OSError as error:
        _go_without(str(error))
        return None
    cache.remove_leftovers()
    return cache


@lru_cache(maxsize=16)
def _go_without(problem: str) -> None:
    """Warned of once in a process, whoever asks again."""
    log.warning("cannot write to the cache of partitions: %s; the run goes on without", problem)


def _measure(entries: Path) -> Iterator[tuple[float, int, Path]]:
    """When each entry was last used, its bytes and its place; one without a note was never used."""
    for entry in (entry for shard in _listed(entries) for entry in _listed(shard)):
        used, size = 0.0, 0
        with suppress(OSError), os.scandir(entry) as files:
            for file in files:
                status = file.stat(follow_symlinks=False)
                size += status.st_size
                used = status.st_mtime if file.name == NOTE else used
        yield used, size, entry


def _delete(path: Path) -> None:
    """Damage may have put a file in the place of a folder."""
    shutil.rmtree(path, ignore_errors=True)
    path.unlink(missing_ok=True)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:  # it is not there yet, or not any more
        return []
