"""Schedule one function over the partitions of a dataset: Dask schedules, kernels compute."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from dask.base import compute
from dask.callbacks import Callback
from dask.delayed import delayed

from stages.edges.log import Progress, progress
from stages.edges.settings import ClusterSettings

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_partitions(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    cluster: ClusterSettings,
    label: str | None,
    unit: str = "partitions",
) -> list[Result]:
    """Apply ``function`` to every item, at most ``cluster.workers`` at a time; results in the order of ``items``.

    The kernels (Polars, Arrow) release the interpreter lock, so threads are enough on one machine.  The first
    exception of a task is raised here as it was.  Without a ``label`` the tasks tell of their progress themselves.
    """
    task = delayed(function, pure=False, traverse=False)
    with _counted(label, len(items), unit):
        scheduler = "threads" if cluster.workers > 1 else "sync"
        tasks = [task(item) for item in items]
        results: tuple[Result, ...] = compute(  # type: ignore[no-untyped-call]
            *tasks, scheduler=scheduler, num_workers=cluster.workers, optimize_graph=False
        )
    return list(results)


@contextmanager
def _counted(label: str | None, total: int, unit: str) -> Iterator[None]:
    if label is None:
        yield
        return
    with progress(label, total, unit) as counter, _Ticks(counter):
        yield


class _Ticks(Callback):
    def __init__(self, counter: Progress) -> None:
        super().__init__(posttask=self._tick)  # type: ignore[no-untyped-call]
        self.counter = counter

    def _tick(self, *_: Any) -> None:
        self.counter.advance()
