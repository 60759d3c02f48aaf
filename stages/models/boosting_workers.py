"""Train one booster on rows that stay where the workers of a Dask cluster read them.

Every worker opens its own partitions and runs the same `fit_booster` as one machine does, inside the communicator of
`xgboost.dask`: sums of quantiles, gradients and losses are shared, so all end with the same trees.  What `xgboost.dask`
adds for users, Dask collections whose rows stay in memory, is left out; nothing but bins stays in a worker.  Workers
that do not see this folder fetch their partitions through ``cluster.exchange``.

Same workers, same model to the byte; another number of them gives slightly other quantiles, hence another model.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

from distributed import Client, Future, KilledWorker, get_worker, wait
from distributed.comm.addressing import get_address_host
from xgboost.dask import CommunicatorContext
from xgboost.tracker import RabitTracker

from stages.features.sketch import Sketch
from stages.features.table import FeatureTable
from stages.models.contract import Fit
from stages.models.lean_xgboost import xgb
from stages.models.rows import Share, describe_rows, fit_share, goes_to_disk
from stages.models.trees import Trees
from stages.runtime.check import Handshake, work_checked
from stages.runtime.client import connection
from stages.runtime.exchange import Sent, download, upload
from stages.runtime.log import log
from stages.runtime.partitions import is_apart
from stages.workspace.errors import UserError
from stages.workspace.settings import WorkerSettings

LOOK_EVERY_S = 2.0
RENDEZVOUS_S = 300  # until all workers have found each other
ATTEMPTS = 2  # a worker that ends takes the whole training with it; one may be unlucky
REPLACED_S = 60.0  # a nanny starts a worker anew in a few seconds

Rendezvous = dict[str, Any]
"""Where workers find each other: the arguments of XGBoost's communicator."""


@dataclass(frozen=True)
class Order:
    """What one worker is asked to do; ``rank`` 0 tells of the rounds under ``topic``."""

    rank: int
    share: Share
    settings: Mapping[str, Any]
    seed: int
    threads: int
    from_disk: bool
    topic: str
    exchange: str | None
    files: tuple[Sent, ...]
    """Partitions in the exchange; none for a worker that sees this folder."""


class WorkerLost(RuntimeError):
    """A worker ended while it trained."""


def fit_on_workers(
    whole: Share,
    sketches: Mapping[str, Sketch],
    *,
    settings: Mapping[str, Any],
    workers: WorkerSettings,
    seed: int,
    limit_bytes: int,
    each_round: Callable[[int, float, float], None],
) -> tuple[Fit, int]:
    """The fit and the number of workers that it was made on.

    Raises
    ------
    UserError
        When there is no cluster, or training failed twice because workers ended.
    """
    refuse_threads(workers)
    opened, name = connection(workers), whole.train.dataset
    if workers.kind == "processes":  # one may be being replaced; a scheduler elsewhere has as many as it has
        _wait_for_workers(opened.client, workers.count)
    n_workers = min(len(_addresses(opened.client, workers)), _most_workers(whole))
    shares = cut_shares(whole, n_workers)
    largest = max(shares, key=Share.rows)
    limit = limit_bytes // n_workers if workers.kind == "processes" else limit_bytes
    from_disk = goes_to_disk(describe_rows(largest, sketches, settings["max_bin"]), limit, f"{name}: each worker")
    exchange = workers.exchange if is_apart(workers) else None
    topic = f"plumbline-{uuid.uuid4().hex}"
    orders = [
        Order(
            rank, share, settings, seed, workers.training_threads, from_disk, topic, exchange, _bring(share, exchange)
        )
        for rank, share in enumerate(shares)
    ]
    log.info("%s: training on %d workers, %s rows at most on one", name, n_workers, f"{largest.rows():,}")
    opened.client.subscribe_topic(topic, lambda event: each_round(*event[1]))  # type: ignore[no-untyped-call]
    try:
        return _fit_patiently(opened.client, orders, workers, opened.shown), n_workers
    finally:
        opened.client.unsubscribe_topic(topic)  # type: ignore[no-untyped-call]


def refuse_threads(workers: WorkerSettings) -> None:
    """Refuse threads of this process, which gain nothing."""
    if workers.kind == "threads":
        raise UserError(
            "worker processes for distributed: true",
            "cluster.kind: threads",
            "choose them: `-S cluster=processes` or `-S cluster=scheduler`; or set distributed: false",
        )


def cut_shares(whole: Share, workers: int) -> list[Share]:
    """About equally many rows of each part for every worker, in canonical order within a share; none goes without."""
    train = _deal(whole.train, "train", workers)
    if len(whole.valid.partition_names("valid")) < workers:
        return [Share(own, whole.valid, workers, turn) for turn, own in enumerate(train)]
    valid = _deal(whole.valid, "valid", workers)
    return [Share(one, other) for one, other in zip(train, valid, strict=True)]


def _most_workers(whole: Share) -> int:
    """More than these would leave one without a row, which XGBoost's categories do not stand."""
    most_rows = max(int(partition["parts"]["valid"]) for partition in whole.valid.partitions)
    return min(len(whole.train.partition_names("train")), most_rows)


def _deal(table: FeatureTable, part: str, workers: int) -> list[FeatureTable]:
    """Whole partitions, the largest first, each to the worker with fewest rows so far; ties go to the first."""
    rows, dealt = [0] * workers, [set[str]() for _ in range(workers)]
    for partition in sorted(table.partitions, key=lambda partition: -int(partition["parts"][part])):
        if count := int(partition["parts"][part]):
            fewest = rows.index(min(rows))
            rows[fewest] += count
            dealt[fewest].add(partition["name"])
    return [replace(table, partitions=tuple(p for p in table.partitions if p["name"] in names)) for names in dealt]


def _bring(share: Share, exchange: str | None) -> tuple[Sent, ...]:
    """Bring a share's partitions to the exchange, unless they are there."""
    if exchange is None:
        return ()
    names = sorted({*share.train.partition_names("train"), *share.valid.partition_names("valid")})
    return tuple(upload(exchange, Path(), share.train.folder / f"{name}.parquet") for name in names)


def _fit_patiently(client: Client, orders: Sequence[Order], workers: WorkerSettings, shown: Handshake) -> Fit:
    for attempt in range(1, ATTEMPTS + 1):
        addresses = _addresses(client, workers)[: len(orders)]
        try:
            return _fit_once(client, orders, addresses, shown)
        except WorkerLost as error:
            lost = str(error)
            if attempt < ATTEMPTS:
                log.warning("%s; training begins anew as soon as %d workers are there", lost, len(orders))
                _wait_for_workers(client, len(orders))
                if len(_addresses(client, workers)) < len(orders):
                    break
    raise UserError(
        f"{len(orders)} workers for as long as training takes",
        lost,
        "most likely it needs more memory than a worker has: more workers, or workers with more memory each;\n"
        "        the log of the workers says more",
    )


def _wait_for_workers(client: Client, n_workers: int) -> None:
    with suppress(TimeoutError):
        client.wait_for_workers(n_workers, timeout=REPLACED_S)


def _fit_once(client: Client, orders: Sequence[Order], addresses: Sequence[str], shown: Handshake) -> Fit:
    """One attempt: the first worker runs the rendezvous point, all train, the first one's model is everybody's."""
    rendezvous = client.submit(open_rendezvous, len(orders), workers=[addresses[0]], pure=False)
    _wait_for_all(client, [rendezvous], addresses[:1])
    tasks = [
        client.submit(fit_as_worker, order, rendezvous.result(), shown, workers=[address], retries=0, pure=False,
                      key=f"train-{order.rank}-{uuid.uuid4().hex}")
        for order, address in zip(orders, addresses, strict=True)
    ]  # fmt: skip
    try:
        _wait_for_all(client, tasks, addresses)
        raw, curve = tasks[0].result()
        return Fit(_trees(raw), **curve)
    finally:
        client.cancel(tasks, force=True)  # type: ignore[no-untyped-call]


def _wait_for_all(client: Client, tasks: Sequence[Future[Any]], addresses: Sequence[str]) -> None:
    """Return when all have ended well; an error of one ends the wait at once, and so does a worker that is gone."""
    open_tasks = list(tasks)
    while open_tasks:
        with client.as_current(), suppress(TimeoutError):
            wait(open_tasks, timeout=LOOK_EVERY_S, return_when="FIRST_COMPLETED")  # type: ignore[no-untyped-call]
        failed = [task for task in open_tasks if task.status in ("error", "cancelled", "lost")]
        gone = sorted(set(addresses) - set(client.scheduler_info(n_workers=-1)["workers"]))
        if gone:
            raise WorkerLost(f"a worker ended while it trained: {', '.join(gone)}")
        if failed:
            with client.as_current(), suppress(TimeoutError):  # the others learn of it, and one knows the cause
                wait(open_tasks, timeout=LOOK_EVERY_S)  # type: ignore[no-untyped-call]
            _raise_cause(open_tasks)
        open_tasks = [task for task in open_tasks if task.status != "finished"]


def _raise_cause(tasks: Sequence[Future[Any]]) -> None:
    """Raise what began it: a worker's own error, not that of those who miss it in the communicator."""
    ended = (task for task in tasks if task.status != "pending")
    errors = [error for task in ended if (error := _error(task)) is not None]
    own = [error for error in errors if not isinstance(error, xgb.core.XGBoostError)]
    raise (own or errors or [WorkerLost("a worker ended while it trained")])[0]


def _error(task: Future[Any]) -> BaseException | None:
    try:
        error: BaseException | None = task.exception()  # type: ignore[no-untyped-call]
    except (CancelledError, KilledWorker) as ended:
        return WorkerLost(f"a worker ended while it trained: {ended}")
    return WorkerLost(f"a worker ended while it trained: {error}") if isinstance(error, KilledWorker) else error


def open_rendezvous(n_workers: int) -> Rendezvous:
    """Runs on the first worker: it listens where the others already reach it, until all have left."""
    tracker = RabitTracker(
        n_workers=n_workers, host_ip=get_address_host(get_worker().address), sortby="task", timeout=RENDEZVOUS_S
    )
    tracker.start()
    Thread(target=_until_all_left, args=(tracker,), daemon=True).start()
    return tracker.worker_args()


def _until_all_left(tracker: RabitTracker) -> None:
    with suppress(xgb.core.XGBoostError):  # the workers tell what went wrong
        tracker.wait_for()


def fit_as_worker(order: Order, rendezvous: Rendezvous, shown: Handshake) -> tuple[bytes, dict[str, Any]]:
    """Runs on every worker: the model as UBJSON, and the rest of its `Fit`."""
    return work_checked(shown, lambda: _fit(order, rendezvous))


def _fit(order: Order, rendezvous: Rendezvous) -> tuple[bytes, dict[str, Any]]:
    worker = get_worker()

    def tell(number: int, train_loss: float, valid_loss: float) -> None:
        if order.rank == 0:
            worker.log_event(order.topic, [number, train_loss, valid_loss])

    with _fetched(order) as share, _Ranked(order.rank, **rendezvous):
        fit = fit_share(
            share,
            settings=order.settings,
            threads=order.threads or worker.state.nthreads,
            seed=order.seed,
            from_disk=order.from_disk,
            each_round=tell,
        )
    rest = {field.name: getattr(fit, field.name) for field in fields(fit) if field.name != "model"}
    assert isinstance(fit.model, Trees)
    return bytes(fit.model.booster.save_raw("ubj")), rest


@contextmanager
def _fetched(order: Order) -> Iterator[Share]:
    """The share as this worker sees it: in this folder, or fetched from the exchange for as long as it trains."""
    if order.exchange is None:
        yield order.share
        return
    with TemporaryDirectory(dir=get_worker().local_directory, prefix="share-") as folder:
        for sent in order.files:
            download(order.exchange, sent, Path(folder))
        here = Path(folder) / order.share.train.folder
        train, valid = (replace(table, folder=here) for table in (order.share.train, order.share.valid))
        yield replace(order.share, train=train, valid=valid)


class _Ranked(CommunicatorContext):
    """XGBoost sorts workers by the name of their task: ours, not the name that Dask gave the worker."""

    def __init__(self, rank: int, **rendezvous: Any) -> None:
        super().__init__(**rendezvous)
        self.args["DMLC_TASK_ID"] = f"{rank:06d}"


def _trees(raw: bytes) -> Trees:
    booster = xgb.Booster()
    booster.load_model(bytearray(raw))
    return Trees(booster)


def _addresses(client: Client, workers: WorkerSettings) -> list[str]:
    """Workers to train on: as many of this machine as are asked for, or all that a scheduler elsewhere has."""
    addresses = sorted(client.nthreads())  # type: ignore[no-untyped-call]
    return addresses if workers.kind == "scheduler" else addresses[: workers.count]
