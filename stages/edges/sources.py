"""Fetch all published files of a dataset, in parallel, and lay them down together.

Files gather in ``.dvc/tmp/downloads/<dataset>/`` — DVC empties a stage's outputs before it runs the stage, so what
shall survive a killed run lives elsewhere.  Only when every source is whole and checked do they move to their folder.
"""

from __future__ import annotations

import errno
import fcntl
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from urllib.parse import quote, unquote, urlsplit

from stages.edges.cluster import map_partitions
from stages.edges.errors import UserError
from stages.edges.files import MANIFEST, whole_file, write_manifest
from stages.edges.locations import scheme_of, shown
from stages.edges.log import log, progress
from stages.edges.settings import ClusterSettings
from stages.edges.transfer import Meter, Source, Unwritable, part_path, size_of, transfer, writing

GATHERING = Path(".dvc/tmp/downloads")


@dataclass(frozen=True)
class Fetched:
    """A source that has arrived, whole and checked, in ``part``."""

    source: Source
    part: Path
    bytes: int
    sha256: str


def name_source(
    location: str,
    *,
    mirror: str | None,
    name: str | None = None,
    bytes: int | None = None,
    sha256: str | None = None,
    licence: str | None = None,
) -> Source:
    """A source under its file name (by default the end of its location), read from the mirror if there is one."""
    is_url = location.lower().startswith(("http://", "https://", "file://"))  # these alone are percent-encoded
    name = name or (unquote(urlsplit(location).path) if is_url else location).rpartition("/")[2]
    if not name or "/" in name or name in (".", "..", MANIFEST):
        raise UserError(f"a source that names a file: {shown(location)}", f"the name {name!r}", "give it a `name:`")
    address = location
    if mirror is not None:
        address = mirror.rstrip("/") + "/" + (quote(name) if scheme_of(mirror) in ("http", "https") else name)
    return Source(name, location, address, bytes, sha256, licence)


@contextmanager
def gathering_folder(dataset: str) -> Iterator[Path]:
    """The folder in which the files of a dataset gather, for one run at a time; it goes when the block ends well."""
    folder = GATHERING / dataset
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            wait = "wait for it to end, or end it"
            raise UserError(f"{dataset} to be fetched once", "another download of it is running", wait) from None
        yield folder
        shutil.rmtree(folder, ignore_errors=True)


def fetch_sources(
    sources: Sequence[Source], gathering: Path, *, attempts: int, timeout_s: float, cluster: ClusterSettings
) -> list[Fetched]:
    """Every source, whole and checked, in the folder ``gathering``; all that fail are reported at once.

    What has arrived, in whole or in part, stays there for the next run.
    """
    _refuse_namesakes(sources)
    stop, lock = Event(), Lock()
    with progress("download", _total_bytes(sources), "B") as counter:

        def fetch(source: Source) -> Fetched | UserError:
            part, meter = part_path(gathering, source), Meter(counter, lock)
            try:
                sha256 = transfer(source, part, attempts=attempts, timeout_s=timeout_s, meter=meter, stop=stop)
            except Unwritable:
                raise
            except UserError as error:
                log.warning("%s: failed: %s", source.name, error.found)
                return error
            return Fetched(source, part, size_of(part), sha256)

        try:
            outcomes = map_partitions(fetch, sources, cluster=cluster, label=None)
        finally:
            stop.set()  # an interrupted run must not wait for the transfers that are still under way
    failures = [outcome for outcome in outcomes if isinstance(outcome, UserError)]
    if failures:
        raise _together(failures, len(sources))
    return [outcome for outcome in outcomes if isinstance(outcome, Fetched)]


def place_files(folder: Path, fetched: Sequence[Fetched]) -> None:
    """Make ``folder`` hold the fetched files and nothing else, and declare it complete."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        names = {file.source.name for file in fetched}
        for stale in sorted(path for path in folder.iterdir() if path.name not in names):
            shutil.rmtree(stale) if stale.is_dir() and not stale.is_symlink() else stale.unlink()
        for file in fetched:
            _move(file.part, folder / file.source.name)
        write_manifest(folder, {"files": [_entry(file) for file in fetched]})


def _entry(file: Fetched) -> dict[str, str | int]:
    """What the manifest says of a file; its published location even where a mirror served it, so that bytes agree."""
    source = file.source
    entry: dict[str, str | int] = {"name": source.name, "location": shown(source.location)}
    entry |= {"bytes": file.bytes, "sha256": file.sha256}
    return entry | ({"licence": source.licence} if source.licence else {})


def _move(part: Path, target: Path) -> None:
    try:
        part.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with whole_file(target) as aside:  # the data folder is on another disk
            shutil.copyfile(part, aside)


def _total_bytes(sources: Sequence[Source]) -> int | None:
    sizes = [source.bytes for source in sources if source.bytes is not None]
    return sum(sizes) if len(sizes) == len(sources) else None


def _refuse_namesakes(sources: Sequence[Source]) -> None:
    names = [source.name for source in sources]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError("a file name of its own for every source", f"twice: {', '.join(twice)}", "give them a `name:`")


def _together(failures: Sequence[UserError], n_sources: int) -> UserError:
    if len(failures) == 1:
        error = failures[0]
        return UserError(error.wanted, error.found, error.next_step + _kept(n_sources - 1))
    lines = [f"{error.wanted}: {error.found}" for error in failures]
    steps = list(dict.fromkeys(error.next_step for error in failures))
    indent = "\n        "
    found = f"{len(failures)} failed" + "".join(indent + line for line in lines)
    return UserError(f"{n_sources} sources", found, indent.join(steps) + _kept(n_sources - len(failures)))


def _kept(n_good: int) -> str:
    files = "file that arrived is" if n_good == 1 else "files that arrived are"
    return f"\n        ({n_good} {files} kept for the next run)" if n_good else ""
