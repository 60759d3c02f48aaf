"""The work of one partition as a value: what it reads, what it writes, and all else that its result depends on.

A job can be done by a thread, by another process or on another machine, and its result can be kept: the partition
cache holds the files and the facts under a key made of the bytes of the inputs, the code, the arguments and the
versions of the libraries.  Whatever is not in the key (workers, threads, paths of the machine) must not matter.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from stages.runtime.cache import open_cache, sha256_file
from stages.runtime.digest import code_digest, library_versions
from stages.runtime.partitions import each_partition, fit_in_memory, is_apart
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


def run_jobs(
    work: Work,
    jobs: Sequence[Job],
    *,
    uses: Sequence[Any],
    workers: WorkerSettings,
    label: str,
    memory_bytes: Callable[[Job], int] | None = None,
    limit_bytes: int = 0,
) -> Iterator[Any]:
    """Do every job, or take its result from the partition cache; facts in the order of ``jobs``.

    ``uses`` are the functions that ``work`` calls without importing them (those of a dataset): their sources, and all
    that they import, are part of the key.  With ``memory_bytes``, an upper estimate for one job, no more jobs run at
    the same time than fit in ``limit_bytes``.
    """
    if memory_bytes is not None and jobs and workers.kind != "scheduler":  # whose workers have limits of their own
        workers = fit_in_memory(workers, {job.name: memory_bytes(job) for job in jobs}, limit_bytes, label)
    code = code_digest(work, *uses)
    if is_apart(workers):
        from stages.runtime.exchange import through_exchange  # the distributed scheduler takes a second to import

        work, workers = through_exchange(work, workers, label)
    yield from each_partition(
        partial(perform, work=work, code=code, workers=workers), jobs, workers=workers, label=label
    )


def perform(job: Job, *, work: Work, code: str, workers: WorkerSettings, root: Path = Path()) -> Any:
    """The facts of one job, from the cache where it has them."""
    cache = open_cache(workers)
    missing = [path for path in job.inputs if not (root / path).is_file()]
    if cache is None or missing:  # the work itself says best what is missing
        return work(job, root)
    key, outputs = job_key(job, code, root), [root / path for path in job.outputs]
    facts = cache.fetch(key, outputs)
    if facts is None:
        facts = work(job, root)
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
