"""Work for the workers of a Dask scheduler, one item at a time; how they fail is told in plain words."""

from __future__ import annotations

import time
import uuid
import warnings
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import partial
from typing import Any, Generic, Self, TypeVar

from distributed import KilledWorker
from distributed.comm.core import CommClosedError

from stages.runtime import check as worker_check
from stages.runtime.client import READY, Connection, connection, on_arrival, pack, wait_for_begun
from stages.runtime.log import log
from stages.workspace.errors import UserError
from stages.workspace.settings import WorkerSettings

Item = TypeVar("Item")
Result = TypeVar("Result")

NO_WORKER_S = 300.0  # a cluster may be replacing its machines


class Workers(Generic[Item, Result]):
    """Submits one function for one item at a time, and says in plain words how workers fail."""

    def __init__(
        self, workers: WorkerSettings, function: Callable[[Item], Result], label: str, at_once: int | None = None
    ) -> None:
        self.connection = connection(workers)
        own = workers.count if workers.kind == "processes" else None
        self._at_most = min((n for n in (own, at_once) if n is not None), default=None)
        self.label = label
        self._check = pack(partial(worker_check.work_checked, self.connection.shown))
        self._function = pack(function)
        self._executor = self.connection.client.get_executor(pure=False)  # type: ignore[no-untyped-call]
        self._alone_since: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is not None:
            with suppress(Exception):
                self._executor.shutdown(wait=False)  # cancels what has not begun
                wait_for_begun(self.connection)
        if isinstance(error, KilledWorker):
            raise _deadly(error) from error
        if isinstance(error, CancelledError | CommClosedError):
            raise _scheduler_gone(self.connection) from error
        if isinstance(error, ModuleNotFoundError) and "stages" in str(error):
            raise UserError(worker_check.ALIKE, f"a worker that says: {error}", worker_check.MEND) from error

    def submit(self, item: Item) -> Future[Result]:
        """Start one task; its name on the dashboard is that of the item."""
        key = (self.label, _name_of(item), uuid.uuid4().hex)
        with warnings.catch_warnings():  # a function that carries tables is meant to
            warnings.filterwarnings("ignore", "Sending large graph")
            future: Future[Result] = self._executor.submit(
                on_arrival(), self._check, self._function, pack(item), key=key
            )
        return future

    def window(self) -> int:
        """How many tasks the scheduler may have of us at this moment; workers come and go.

        A few more than the workers have threads, so that none waits for us, unless fewer shall work.
        """
        threads = sum(self.connection.client.nthreads().values())  # type: ignore[no-untyped-call]
        return READY * threads if self._at_most is None or threads <= self._at_most else self._at_most

    def look_after(self) -> None:
        """Give up a scheduler that is gone, and one that has had no worker for too long."""
        if self.connection.client.status not in ("running", "connecting"):
            raise _scheduler_gone(self.connection)
        if self.connection.client.nthreads():  # type: ignore[no-untyped-call]
            self._alone_since = None
            return
        now = time.monotonic()
        if self._alone_since is None:
            log.warning("%s: no worker is left; waiting for one", self.label)
            self._alone_since = now
        if now - self._alone_since > NO_WORKER_S:
            raise UserError("a worker", f"none for {NO_WORKER_S:.0f} s", "start workers and run the same command again")


def _deadly(error: KilledWorker) -> UserError:
    key = error.task
    name = key[1] if isinstance(key, tuple) and len(key) == 3 else str(key)
    return UserError(
        f"{name} to be worked on",
        f"{error.allowed_failures + 1} workers that ended while they had it, the last {error.last_worker.address}",
        "most likely it needs more memory than a worker has: fewer workers with more memory each (cluster.workers,\n"
        "        cluster.memory_gib, or `--memory-limit` of `dask worker`); the log of the workers says more",
    )


def _scheduler_gone(connection: Connection) -> UserError:
    address = connection.settings.address or "of this machine"
    again = "start it and run the same command again: finished partitions come from the cache where there is one"
    return UserError(f"the Dask scheduler {address}", "it is gone, and its tasks with it", again)


def _name_of(item: Any) -> str:
    return str(getattr(item, "name", item))[:80]
