"""Fetch all published files of a dataset, in parallel, and lay them down together.

Files gather in ``.dvc/tmp/downloads/<dataset>/`` — DVC empties a stage's outputs before it runs the stage, so what
shall survive a killed run lives elsewhere.  Only when every source is whole and checked do they move to their folder.

Tell at once of all the files that could not be fetched, and what to do about them.
"""

from __future__ import annotations

import errno
import fcntl
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock
from urllib.parse import quote, unquote, urlsplit

from stages.runtime.cache import PartitionCache
from stages.runtime.log import log, progress
from stages.runtime.partitions import map_partitions, on_this_machine
from stages.sources.locations import Absent, Client, Unresolved, host_of, scheme_of, shown
from stages.sources.months import fill_pattern, month_ranges
from stages.sources.transfer import Changed, Fetched, Meter, Source, Unwritable, part_path, size_of, transfer, writing
from stages.workspace.errors import UserError
from stages.workspace.files import MANIFEST, whole_file, write_manifest
from stages.workspace.settings import INDENT, WorkerSettings

SHOWN = 20  # lines about single files

Failure = tuple[Source, UserError]


def report_failures(failures: Sequence[Failure], sources: Sequence[Source]) -> UserError:
    """One error for all ``failures`` among ``sources``: the absent months together, each other file on its own."""
    absent = [(source, error) for source, error in failures if source.month and isinstance(error, Absent)]
    changed = [source for source, error in failures if isinstance(error, Changed)]
    others = [failure for failure in failures if failure not in absent]
    steps = [_shorten(absent, sources)] if absent else []
    steps += [_accept(changed)] if changed else []
    steps += list(dict.fromkeys(error.next_step for _, error in others if not isinstance(error, Changed)))
    steps += _kept(len(sources) - len(failures))
    if len(failures) == 1:
        error = failures[0][1]
        return UserError(error.wanted, error.found, INDENT.join(steps))
    lines = [*_absent_months(absent), *(f"{error.wanted}: {error.found}" for _, error in others)]
    rest = [f"… and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    found = [f"{len(failures)} failed", *lines[:SHOWN], *rest]
    return UserError(f"{len(sources)} sources", INDENT.join(found), INDENT.join(steps))


def _absent_months(absent: Sequence[Failure]) -> list[str]:
    """One line for all the months that the same is said of."""
    said: dict[str, list[str]] = {}
    for source, error in absent:
        said.setdefault(error.found, []).append(source.month or "")
    return [f"{', '.join(month_ranges(months))}: {found}" for found, months in said.items()]


def _shorten(absent: Sequence[Failure], sources: Sequence[Source]) -> str:
    lost = next((error.next_step for _, error in absent if isinstance(error, Unresolved)), "")
    missing = {source.month for source, _ in absent}
    left = [source.month for source in sources if source.month and source.month not in missing]
    if not left:
        return lost or "correct `series` under params/ and run `make params`, or set a mirror that holds these months"
    without = f"to go on without: `download.series.months: [{', '.join(month_ranges(left))}]`"
    return f"{lost or 'not published yet, or not in the mirror'}; {without}"


def _accept(changed: Sequence[Source]) -> str:
    names = ", ".join(source.month or source.name for source in changed)
    locks = ", ".join(sorted({str(source.recorded_in) for source in changed}))
    return (
        f"look at what has changed; `download.accept: [{names}]` takes the new files and updates {locks}"
        f"{INDENT}(where it is the mirror that differs from the publisher: give it a `download.lock` of its own)"
    )


def _kept(n_good: int) -> list[str]:
    files = "file that arrived is" if n_good == 1 else "files that arrived are"
    return [f"({n_good} {files} kept for the next run)"] if n_good else []


GATHERING = Path(".dvc/tmp/downloads")


REMOTE = ("http", "https", "s3", "apt", "apt-index")
CACHED = ".cached"  # the end of a part that came from the cache: shared with others, never written to


def name_source(
    location: str,
    *,
    mirror: str | None,
    name: str | None = None,
    bytes: int | None = None,
    sha256: str | None = None,
    licence: str | None = None,
    month: str | None = None,
) -> Source:
    """A source under its file name (by default the end of its location), read from the mirror if there is one."""
    is_url = location.lower().startswith(("http://", "https://", "file://"))  # these alone are percent-encoded
    name = name or (unquote(urlsplit(location).path) if is_url else location).rpartition("/")[2]
    if not name or "/" in name or name in (".", "..", MANIFEST):
        raise UserError(f"a source that names a file: {shown(location)}", f"the name {name!r}", "give it a `name:`")
    address = location
    if mirror is not None:
        address = mirror.rstrip("/") + "/" + (quote(name) if scheme_of(mirror) in ("http", "https") else name)
    return Source(name, location, address, bytes, sha256, licence, month)


def name_series(
    location: str, months: Sequence[str], *, mirror: str | None, name: str | None = None, licence: str | None = None
) -> list[Source]:
    """One source for each of ``months``; ``location`` and ``name`` are patterns with ``{year}`` and ``{month}``."""
    return [
        name_source(
            fill_pattern(location, month),
            mirror=mirror,
            name=name and fill_pattern(name, month),
            licence=licence,
            month=month,
        )
        for month in months
    ]


@contextmanager
def gathering_folder(dataset: str) -> Iterator[Path]:
    """The folder in which the files of a dataset gather, for one run at a time; it goes when the block ends well."""
    folder = (GATHERING / dataset).absolute()
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
    sources: Sequence[Source],
    gathering: Path,
    *,
    attempts: int,
    client: Client,
    workers: WorkerSettings,
    cache: PartitionCache | None = None,
) -> list[Fetched]:
    """Every source, whole and checked, in the folder ``gathering``; all that fail are reported at once.

    What has arrived, in whole or in part, stays there for the next run.  A remote file whose checksum is known is
    taken from ``cache`` where it is there, without asking anybody; a host that is not found is asked for no further
    file.  Always on threads of this machine: a transfer
    waits for the network, not for a processor.
    """
    _refuse_namesakes(sources)
    stop, lock, lost = Event(), Lock(), dict[str, Unresolved]()
    with progress("download", _total_bytes(sources), "B") as counter:

        def fetch(source: Source) -> Fetched | UserError:
            part, meter = part_path(gathering, source), Meter(counter, lock)
            if kept := _take(cache, source, part):
                meter.at(kept.bytes)
                return kept
            if error := lost.get(host_of(source.address)):
                return Unresolved(shown(source.address), error.found, error.next_step)
            try:
                sha256 = transfer(source, part, attempts=attempts, client=client, meter=meter, stop=stop)
            except Unwritable:
                raise
            except UserError as error:
                if isinstance(error, Unresolved):
                    lost[host_of(source.address)] = error
                if not (source.month and isinstance(error, Absent)):  # absent months are told of together
                    log.warning("%s: failed: %s", source.name, error.found)
                return error
            return _keep(cache, Fetched(source, part, size_of(part), sha256))

        outcomes = map_partitions(fetch, sources, workers=on_this_machine(workers), label=None, stop=stop)
    outcomes_of = zip(sources, outcomes, strict=True)
    if failures := [(source, outcome) for source, outcome in outcomes_of if isinstance(outcome, UserError)]:
        raise report_failures(failures, sources)
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


def count_cached(fetched: Sequence[Fetched]) -> int:
    """How many of the files came from the cache."""
    return sum(file.part.name.endswith(CACHED) for file in fetched)


def _take(cache: PartitionCache | None, source: Source, part: Path) -> Fetched | None:
    """A remote file that some run of this machine has fetched before, if its checksum is known."""
    if cache is None or source.sha256 is None or not _is_remote(source):
        return None
    target = part.with_name(part.name + CACHED)
    found = cache.fetch(_cache_key(source.sha256), [target])
    return None if found is None else Fetched(source, target, size_of(target), source.sha256)


def _keep(cache: PartitionCache | None, file: Fetched) -> Fetched:
    is_asked_for_again = file.source.sha256 is not None or file.source.recorded_in is not None  # by its checksum
    if cache is not None and is_asked_for_again and _is_remote(file.source):
        cache.store(_cache_key(file.sha256), [file.part], {"bytes": file.bytes})
    return file


def _is_remote(source: Source) -> bool:
    return scheme_of(source.address) in REMOTE


def _cache_key(sha256: str) -> str:
    return f"raw-{sha256}"


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
