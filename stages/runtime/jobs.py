"""The work of one partition as a value: what it reads, what it writes, and all else that its result depends on.

A job can be done by a thread, by another process or on another machine, and its result can be kept: the partition
cache holds the files and the facts under a key made of the bytes of the inputs, the code, the arguments and the
versions of the libraries.  Whatever is not in the key (workers, threads, paths of the machine) must not matter.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from stages.runtime.cache import open_cache, sha256_file
from stages.runtime.digest import code_digest, library_versions
from stages.runtime.partitions import each_partition, fit_in_memory, is_apart
from stages.workspace.layout import Root
from stages.workspace.settings import WorkerSettings


@dataclass(frozen=True)
class Job:
    """Paths are relative to the workspace; ``arguments`` and what the work returns are JSON values."""

    name: str
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    arguments: dict[str, Any]


Work = Callable[[Job, Path], Any]
"""``work(job, root)`` reads and writes the job's files below ``root`` and returns facts, as JSON values."""


@contextmanager
def run_jobs(
    work: Work,
    jobs: Sequence[Job],
    *,
    uses: Sequence[Any],
    workers: WorkerSettings,
    label: str,
    memory_bytes: Callable[[Job], int] | None = None,
    limit_bytes: int = 0,
    unit: str = "partitions",
) -> Iterator[Iterator[Any]]:
    """For a ``with`` block: every job done, or its result taken from the partition cache; facts in their order.

    ``uses`` are the functions that ``work`` calls without importing them (those of a dataset): their sources, and all
    that they import, are part of the key.  With ``memory_bytes``, an upper estimate for one job, no more jobs run at
    the same time than fit in ``limit_bytes``.  How the block ends is told by `each_partition`.
    """
    if memory_bytes is not None and jobs and workers.kind != "scheduler":  # whose workers have limits of their own
        workers = fit_in_memory(workers, {job.name: memory_bytes(job) for job in jobs}, limit_bytes, label)
    code, stop = code_digest(work, *uses), Event()
    if is_apart(workers):
        from stages.runtime.exchange import through_exchange  # the distributed scheduler takes a second to import

        work, workers = through_exchange(work, workers, label, stop)
    performed = partial(perform, work=work, code=code, workers=workers, root=Root())
    with each_partition(performed, jobs, workers=workers, label=label, unit=unit, stop=stop) as done:
        yield done


def perform(job: Job, *, work: Work, code: str, workers: WorkerSettings, root: Root) -> Any:
    """The facts of one job, from the cache where it has them."""
    cache, folder = open_cache(workers), root.path
    missing = [path for path in job.inputs if not (folder / path).is_file()]
    if cache is None or missing:  # the work itself says best what is missing
        return work(job, folder)
    key, outputs = job_key(job, code, folder), [folder / path for path in job.outputs]
    facts = cache.fetch(key, outputs)
    if facts is None:
        facts = work(job, folder)
        cache.store(key, outputs, facts)
    return facts


def job_key(job: Job, code: str, root: Path = Path()) -> str:
    """What the result of a job depends on, as a SHA-256."""
    content = {
        "inputs": {path.as_posix(): sha256_file(root / path) for path in job.inputs},
        "outputs": [path.as_posix() for path in job.outputs],
        "arguments": job.arguments,
        "code": code,
        "versions": library_versions(),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()
