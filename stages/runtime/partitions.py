"""Apply one function to the partitions of a dataset, several at a time, results in canonical order.

Who works is a parameter: threads of this process, worker processes on this machine, or the workers of a running Dask
scheduler.  Results never depend on it.

How many partitions at a time?  No more than fit in the memory that a stage may take (`scale.memory_limit_gib`).

A run that fails or is broken off begins nothing more, and ends only when what it has begun has ended: nobody reads or
writes behind its back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from threading import Event
from typing import TypeVar

from stages.runtime.log import log, progress
from stages.workspace.settings import WorkerSettings

Item = TypeVar("Item")
Result = TypeVar("Result")

BATCH = 8  # results for each thread that may wait for slower ones before them
PATIENCE_S = 5.0  # how often a wait for workers is looked after


def map_partitions(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: WorkerSettings,
    label: str | None,
    unit: str = "partitions",
    stop: Event | None = None,
) -> list[Result]:
    """All the results of `each_partition`, in the order of ``items``."""
    with each_partition(function, items, workers=workers, label=label, unit=unit, stop=stop) as results:
        return list(results)


@contextmanager
def each_partition(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: WorkerSettings,
    label: str | None,
    unit: str = "partitions",
    at_once: int | None = None,
    stop: Event | None = None,
) -> Iterator[Iterator[Result]]:
    """For a ``with`` block: an iterator over ``function(item)`` in the order of ``items``, as they get ready.

    At most ``workers.count`` items (all threads of the workers that a scheduler has), and never more than
    ``at_once``, are worked on at the same time; few results wait for slower ones before them.  So neither tasks nor
    results pile up however many items there are.  Without a ``label`` the tasks tell of their progress themselves, so
    they stay in this process.

    The first exception of a task is raised here as it was.  Then, and however else the block ends, nothing more is
    begun and what was begun is waited for; ``stop`` is set first, for tasks that can end early.

    The kernels (Polars, Arrow) release the interpreter lock, so threads are enough on one machine; one thread is the
    caller's own.  Elsewhere, ``function``, ``items`` and results travel: closures over locks and open files cannot.
    """
    with (
        _counted(label, len(items), unit) as advance,
        closing(_results(function, items, workers, label, at_once, stop or Event())) as results,
    ):
        yield _ticking(results, advance)


def is_apart(workers: WorkerSettings) -> bool:
    """Whether the workers see no file of this workspace, so that only jobs that name their files can travel."""
    return workers.kind == "scheduler" and workers.exchange is not None


def on_this_machine(workers: WorkerSettings, threads: int | None = None) -> WorkerSettings:
    """As many threads of this process, for work that cannot travel or would wait for the network anyway."""
    return workers.model_copy(update={"kind": "threads", "count": threads or workers.count})


def _ticking(results: Iterator[Result], advance: Callable[[], None]) -> Iterator[Result]:
    for result in results:
        advance()
        yield result


def _results(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: WorkerSettings,
    label: str | None,
    at_once: int | None,
    stop: Event,
) -> Generator[Result]:
    threads = min(workers.count, at_once or workers.count)
    if not items:
        return
    if workers.kind == "threads" or label is None or is_apart(workers):
        yield from _in_threads(function, items, threads, stop) if threads > 1 else map(function, items)
        return
    from stages.runtime.tasks import Workers  # the distributed scheduler takes a second to import

    with Workers(workers, function, label, at_once) as pool:
        yield from collect_in_order(pool.submit, items, pool.window, pool.look_after)


def _in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], threads: int, stop: Event
) -> Generator[Result]:
    pool = ThreadPoolExecutor(threads)
    try:
        yield from collect_in_order(lambda item: pool.submit(function, item), items, lambda: BATCH * threads)
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def collect_in_order(
    submit: Callable[[Item], Future[Result]],
    items: Sequence[Item],
    window: Callable[[], int],
    look_after: Callable[[], None] = lambda: None,
) -> Iterator[Result]:
    """A sliding window: at most ``window()`` items are submitted and not yet yielded.

    While nothing gets ready, ``look_after`` is called every few seconds; it may raise.
    """
    waiting, submitted = iter(items), deque[Future[Result]]()
    while True:
        room = max(window(), 1) - len(submitted)
        submitted.extend(submit(item) for _, item in zip(range(room), waiting, strict=False))
        if not submitted:
            return
        while not submitted[0].done():
            for task in submitted:
                if task.done():
                    task.result()  # raises what it raised, before slower ones have ended
            done, _ = wait([task for task in submitted if not task.done()], PATIENCE_S, FIRST_COMPLETED)
            if not done:
                look_after()
        yield submitted.popleft().result()


@contextmanager
def _counted(label: str | None, total: int, unit: str) -> Iterator[Callable[[], None]]:
    if label is None:
        yield lambda: None
        return
    with progress(label, total, unit) as counter:
        yield counter.advance


def fit_in_memory(
    workers: WorkerSettings, estimates: Mapping[str, int], limit_bytes: int, label: str
) -> WorkerSettings:
    """Fewer workers, where the largest partitions at the same time would need more than the limit.

    ``estimates`` holds the bytes that the work on each partition may take, from above, by its name.  The workers of a
    scheduler have limits of their own; where they do not see the files, the work is done here.
    """
    needed = sorted(estimates.values(), reverse=True)
    if not needed or (workers.kind == "scheduler" and workers.exchange is None):
        return workers
    at_once = workers.count
    while at_once > 1 and sum(needed[:at_once]) > limit_bytes:
        at_once -= 1
    if at_once < workers.count:
        log.info("%s: %d instead of %d at a time, to stay within scale.memory_limit_gib", label, at_once, workers.count)
    if needed[0] > limit_bytes:
        worst = max(estimates, key=estimates.__getitem__)
        gib, limit = needed[0] / 2**30, limit_bytes / 2**30
        log.warning("%s: %s alone may need %.1f GiB; scale.memory_limit_gib is %.1f", label, worst, gib, limit)
    return workers.model_copy(update={"count": at_once})
