"""Jobs for workers that see no file of this workspace: what they read and write goes through a shared store.

<cluster.exchange>/<sha256>   inputs and outputs, named by their bytes; nothing there is ever changed, only added

A job's inputs are brought there (once), a worker fetches them into a folder of its own, works, and brings its outputs;
they are fetched here, compared with their checksums and renamed into place.  Keys of the store are each machine's own
(``AWS_*`` and the like) and never travel.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import TYPE_CHECKING, Any

import fsspec  # type: ignore[import-untyped]

from stages.runtime.client import READY, connect
from stages.runtime.partitions import collect_in_order, on_this_machine
from stages.runtime.tasks import Workers
from stages.workspace.errors import DISK_FULL, UserError
from stages.workspace.files import sha256_of, whole_file
from stages.workspace.settings import WorkerSettings

if TYPE_CHECKING:
    from stages.runtime.jobs import Job, Work

WHOLE_OR_NOTHING = ("s3", "s3a", "gs", "gcs", "az", "abfs")  # an object appears when all of it has arrived
CHECK = "check cluster.exchange, and the keys for it (AWS_…) on this machine and on the workers"


@dataclass(frozen=True)
class Sent:
    """One file in the exchange, and where it belongs below a root."""

    path: Path
    sha256: str
    bytes: int


@dataclass(frozen=True)
class RemoteJob:
    """A job on its way to a worker."""

    job: Job
    inputs: tuple[Sent, ...]

    @property
    def name(self) -> str:
        """The job's name, for the dashboard."""
        return self.job.name


def through_exchange(work: Work, workers: WorkerSettings, label: str, stop: Event) -> tuple[Work, WorkerSettings]:
    """The same work done by workers elsewhere, and settings under which this process waits for it in threads.

    Once ``stop`` is set, no thread waits any longer: what workers elsewhere are at reaches no file of this folder.
    """
    threads = sum(connect(workers).nthreads().values())  # type: ignore[no-untyped-call]
    waiting = on_this_machine(workers, threads=max(2, READY * threads))
    return partial(send, work=work, workers=workers, label=label, stop=stop), waiting


def send(job: Job, root: Path, *, work: Work, workers: WorkerSettings, label: str, stop: Event) -> Any:
    """Have one job done elsewhere: its outputs lie below ``root`` when this returns its facts."""
    exchange = workers.exchange
    assert exchange is not None
    remote = RemoteJob(job, tuple(upload(exchange, root, path) for path in job.inputs))
    with Workers(workers, partial(do_remotely, work=work, exchange=exchange), label) as pool:

        def look_after() -> None:
            if stop.is_set():
                raise CancelledError
            pool.look_after()

        ((facts, outputs),) = collect_in_order(pool.submit, [remote], lambda: 1, look_after)
    for sent in outputs:
        download(exchange, sent, root)
    return facts


def do_remotely(remote: RemoteJob, *, work: Work, exchange: str) -> tuple[Any, tuple[Sent, ...]]:
    """On a worker: fetch the inputs, do the job in a folder that goes when it is done, bring the outputs."""
    from distributed import get_worker

    with TemporaryDirectory(dir=get_worker().local_directory, prefix="job-") as folder:
        root = Path(folder)
        for sent in remote.inputs:
            download(exchange, sent, root)
        facts = work(remote.job, root)
        return facts, tuple(upload(exchange, root, path) for path in remote.job.outputs)


def upload(exchange: str, root: Path, path: Path) -> Sent:
    """Bring one file to the exchange, unless its bytes are there."""
    local = root / path
    sent = Sent(path, sha256_of(local), local.stat().st_size)
    with _failures(exchange):
        files, folder = _store(exchange)
        place = f"{folder}/{sent.sha256}"
        if _size(files, place) != sent.bytes:
            _put(files, local, place)
    return sent


def download(exchange: str, sent: Sent, root: Path) -> None:
    """Fetch one file from the exchange to its place below ``root``, whole and checked, or not at all."""
    with whole_file(root / sent.path) as aside:
        with _failures(exchange):
            files, folder = _store(exchange)
            files.get_file(f"{folder}/{sent.sha256}", str(aside))
        if (found := sha256_of(aside)) != sent.sha256:
            remove = f"remove the object {sent.sha256} from {exchange} and run the same command again"
            raise UserError(f"{sent.path} with sha256 {sent.sha256}", f"sha256 {found} in the exchange", remove)


@lru_cache(maxsize=4)
def _store(exchange: str) -> tuple[Any, str]:
    """The file system of an exchange, and the folder in it."""
    is_s3 = exchange.startswith(("s3://", "s3a://"))
    # some servers answer a ranged read with the checksum of the whole object; every file is compared with its own
    options = {"config_kwargs": {"response_checksum_validation": "when_required"}} if is_s3 else {}
    files, folder = fsspec.core.url_to_fs(exchange, use_listings_cache=False, **options)
    return files, folder.rstrip("/")


def _size(files: Any, place: str) -> int | None:
    try:
        return int(files.info(place)["size"])
    except FileNotFoundError:
        return None


def _put(files: Any, local: Path, place: str) -> None:
    protocols = {files.protocol} if isinstance(files.protocol, str) else {*files.protocol}
    if protocols & {*WHOLE_OR_NOTHING}:
        files.put_file(str(local), place)
        return
    files.makedirs(place.rpartition("/")[0], exist_ok=True)
    aside = f"{place}.{uuid.uuid4().hex}.part"
    files.put_file(str(local), aside)
    files.mv(aside, place)


@contextmanager
def _failures(exchange: str) -> Iterator[None]:
    """Whatever a store fails with, in plain words; a full disk of this machine is told of as such."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if getattr(error, "errno", None) in DISK_FULL:
            raise
        found = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(f"files to go through the exchange {exchange}", found, CHECK) from error
