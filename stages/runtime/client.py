"""One connection of this process to a Dask scheduler: its own on this machine, or one that is running elsewhere.

Opened by the first work that asks for it, checked (versions, code, folder), and closed when the process ends.  Worker
processes of this machine end with the process that started them, even when that is killed.

Functions and values on their way to a worker, packed as Dask packs them; nothing packed is ever kept.
"""

from __future__ import annotations

import atexit
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import dask
import polars as pl
from distributed import Client, LocalCluster
from distributed.protocol import pickle as travel
from distributed.versions import VersionMismatchWarning

from stages.runtime import check as worker_check
from stages.runtime.check import TOKENS, Handshake
from stages.runtime.leftovers import own_name, remove_leftovers
from stages.runtime.log import log
from stages.workspace.errors import UserError
from stages.workspace.layout import Root
from stages.workspace.settings import WorkerSettings


def pack(value: Any) -> bytes:
    """A value as Dask would send it."""
    packed: bytes = travel.dumps(value)  # type: ignore[no-untyped-call]
    return packed


def on_arrival() -> Callable[..., Any]:
    """A function that travels as its own code, so that a worker without ours can say so instead of ending at once."""

    def unpack(check: bytes | None, *packed: bytes) -> Any:
        from distributed.protocol.pickle import loads as load

        loads: Callable[[bytes], Any] = load

        def work() -> Any:
            function, *arguments = [loads(part) for part in packed]
            return function(*arguments)

        return work() if check is None else loads(check)(work)

    return unpack


CONNECT_S = 10.0
READY = 2  # tasks submitted and not yet collected: this many times those that are worked on
FIRST_WORKER_S = 60.0  # a scheduler may be up before its workers
LOOPBACK = "127.0.0.1"
START_ONE = "start one (docs/cluster.md), correct cluster.address, or work on this machine: `-S cluster=local`"
PRE_SPAWN = "distributed.nanny.pre-spawn-environ"
OWN_CLUSTER = {
    "distributed.scheduler.worker-saturation": 1.0,  # a worker that dies takes one task with it, not those in its queue
    "distributed.worker.memory.pause": False,  # a paused worker whose memory the allocator keeps would never go on
    f"{PRE_SPAWN}.POLARS_MAX_THREADS": 1,  # two processes must not fight for the cores
}


@dataclass
class Connection:
    """A client, the workers that it started (if any), what its tasks show on arrival, and for which folder."""

    settings: WorkerSettings
    client: Client
    own: LocalCluster | None
    shown: Handshake
    root: Root = field(default_factory=Root)


_open: Connection | None = None
_opening = Lock()


def connect(workers: WorkerSettings) -> Client:
    """The client for these settings; raises a `UserError` when nobody answers or a worker differs from this process."""
    return connection(workers).client


def connection(workers: WorkerSettings) -> Connection:
    """The one connection of this process; other settings replace it."""
    with _opening:
        if _open is None or not _serves(_open, workers):
            _connect_anew(workers)
        assert _open is not None
        return _open


def _connect_anew(workers: WorkerSettings) -> None:
    global _open
    disconnect()
    for name in ("distributed", "distributed.client"):  # what fails is told here in plain words
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger("distributed.nanny").setLevel(logging.WARNING)  # which worker is replaced, and why
    own = start_workers(workers) if workers.kind == "processes" else None
    client = _reach(own if own is not None else _address(workers))
    token = None if workers.kind == "scheduler" and workers.exchange else _leave_token()
    _open = Connection(workers, client, own, Handshake((), token))
    atexit.register(disconnect)
    try:
        log.info("workers: %d; dashboard: %s", _wait_for_workers(client), _dashboard(client))
        _open.shown = _checked(client, token)
    except BaseException:
        disconnect()
        raise


def _serves(opened: Connection, workers: WorkerSettings) -> bool:
    """Whether a connection will do: own workers may be more than are asked for now; all stand where it was made."""
    have = opened.settings
    same = all(getattr(have, name) == getattr(workers, name) for name in ("kind", "address", "exchange", "memory_gib"))
    enough = opened.own is None or have.count >= workers.count
    return same and enough and opened.root == Root() and opened.client.status == "running"


def disconnect() -> None:
    """End what `connect` began: own workers stop, those of a running scheduler go on without us."""
    global _open
    atexit.unregister(disconnect)
    if _open is None:
        return
    ended, _open = _open, None
    with _quiet():
        if ended.shown.token is not None:
            (ended.root.path / TOKENS / ended.shown.token).unlink(missing_ok=True)
        with suppress(Exception):  # a scheduler that is gone cannot be told good-bye
            ended.client.close(timeout=2)  # type: ignore[no-untyped-call]
        if ended.own is not None:
            ended.own.close()


def start_workers(workers: WorkerSettings) -> LocalCluster:
    """Worker processes of this machine, reachable from this machine alone."""
    pl.thread_pool_size()  # makes Polars settle its threads here before the environment of the workers says one
    limit = int(workers.memory_gib * 2**30 / workers.count) if workers.memory_gib else None
    environment = dict(os.environ)
    try:
        with dask.config.set(OWN_CLUSTER):
            return LocalCluster(  # type: ignore[no-untyped-call]
                n_workers=workers.count, threads_per_worker=1, processes=True, memory_limit=limit,
                host=LOOPBACK, dashboard_address=f"{LOOPBACK}:0", silence_logs=logging.CRITICAL,
            )  # fmt: skip
    finally:  # Dask sets the environment of its workers in this process
        os.environ.clear()
        os.environ.update(environment)


def _reach(where: LocalCluster | str) -> Client:
    try:
        with warnings.catch_warnings(), _quiet():  # versions are compared below, all of them, and in our words
            warnings.simplefilter("ignore", VersionMismatchWarning)
            return Client(where, timeout=CONNECT_S, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        told = f"no answer within {CONNECT_S:.0f} s" if isinstance(error, TimeoutError | OSError) else str(error)
        raise UserError(f"a Dask scheduler at {where}", told, START_ONE) from error


def _address(workers: WorkerSettings) -> str:
    if workers.kind != "scheduler":
        wanted = "cluster.kind: processes or scheduler"
        raise UserError(wanted, f"cluster.kind: {workers.kind}", "choose one: `-S cluster=processes`")
    if workers.address is None:
        raise UserError("the address of a Dask scheduler", "cluster.address: null", START_ONE)
    return workers.address


def _dashboard(client: Client) -> str:
    is_served = "dashboard" in client.scheduler_info(n_workers=0).get("services", {})
    return client.dashboard_link if is_served else "none"


def _wait_for_workers(client: Client) -> int:
    try:
        client.wait_for_workers(1, timeout=FIRST_WORKER_S)
    except TimeoutError:
        found = f"none within {FIRST_WORKER_S:.0f} s"
        raise UserError("at least one worker at the scheduler", found, START_ONE) from None
    return len(client.nthreads())  # type: ignore[no-untyped-call]


def _checked(client: Client, token: str | None) -> Handshake:
    """Compare every worker, and the scheduler's Dask, with this process."""
    wanted = worker_check.describe(token)
    with _quiet():
        versions: Any = client.get_versions()
        question = pack(worker_check.describe), pack(token)
        found = client.run(on_arrival(), None, *question, on_error="return")
    dask_alone = {name: wanted[name] for name in ("dask", "distributed")}
    lines = [
        f"the scheduler: {line}" for line in worker_check.differences(dask_alone, versions["scheduler"]["packages"])
    ]
    for address in sorted(found):
        lines += [f"{address}: {line}" for line in worker_check.differences(wanted, found[address])]
    worker_check.refuse(lines)
    if token is not None:
        _wait_for_strays(client, token)
    return Handshake(tuple(wanted.items()), token)


def _leave_token() -> str:
    """A file that only workers in this folder see."""
    TOKENS.mkdir(parents=True, exist_ok=True)
    remove_leftovers(TOKENS)
    token = own_name()
    (TOKENS / token).touch()
    return token


def _wait_for_strays(client: Client, token: str) -> None:
    """A stage that was ended may have left a task at work; it must not write over what this run is about to write."""
    told = False
    while strays := sum(client.run(worker_check.count_strays, token).values()):
        if not told:
            log.info("waiting for %d tasks of an earlier run that still write into this folder", strays)
            told = True
        time.sleep(0.5)


def wait_for_begun(opened: Connection) -> None:
    """Return when no task of this stage is at work in its folder: own workers end, others finish what they are at."""
    if opened.own is not None:
        disconnect()
        return
    while opened.shown.token and opened.client.status == "running":
        time.sleep(0.2)  # what was sent a moment ago arrives, or its end does
        if not any(opened.client.run(worker_check.count_begun, opened.shown.token).values()):
            return


@contextmanager
def _quiet() -> Iterator[None]:
    """Dask logs what is told here anyway: lost connections on closing, differing versions."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.nanny", "tornado")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
