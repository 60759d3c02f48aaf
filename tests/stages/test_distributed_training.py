"""Training on worker processes: nearly the model of one machine, the same bytes every time, errors told as they were.

One cluster of two processes serves the whole module; every test works in the folder that it was started in.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import psutil
import pytest
import yaml
from sklearn.metrics import roc_auc_score

from stages.features.table import open_features, read_selection, read_sketches
from stages.models.boosting import FAMILY
from stages.models.boosting_workers import cut_shares, fit_on_workers
from stages.models.families import read_model
from stages.models.rows import Share
from stages.runtime import client as dask_client
from stages.train import main
from stages.workspace.errors import UserError
from stages.workspace.seeds import child_seed
from stages.workspace.settings import read_workers

ROOT = Path(__file__).parents[2]
MODEL, CURVE = Path("models/trial"), Path("plots/trial/learning_curve.csv")


@pytest.fixture(scope="module", autouse=True)
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.chdir(tmp_path_factory.mktemp("workers"))
    dask_client.disconnect()
    yield
    dask_client.disconnect()
    patch.undo()


def change_params(**changes: dict) -> None:
    """Change sections of the parameters."""
    params = yaml.safe_load(Path("params.yaml").read_text())
    for section, change in changes.items():
        (params[section] if section in params else params["datasets"]["trial"][section]).update(change)
    Path("params.yaml").write_text(yaml.safe_dump(params))


def train(**changes: dict) -> dict[str, bytes]:
    """Train with changed parameters; the bytes of what was written."""
    change_params(**changes)
    main("trial")
    return {path.name: path.read_bytes() for path in [*sorted(MODEL.iterdir()), CURVE]}


def on_workers(**changes: dict) -> dict[str, bytes]:
    return train(cluster={"kind": "processes"}, model={"distributed": True}, **changes)


def training() -> dict:
    return json.loads((MODEL / "training.json").read_text())


def test_two_workers_find_nearly_the_model_of_one_machine(planted) -> None:
    planted.write(planted.rows(n=20_000), partitions=9, max_rounds=25, threads=1)
    rows = pl.concat(open_features("trial", columns=read_selection("trial")).frames("test"))

    def area() -> float:
        return roc_auc_score(rows["target"], read_model(MODEL, FAMILY).predict(rows))

    train()
    alone, by_one = training(), area()
    on_workers()
    together, by_two = training(), area()
    assert together["workers"] == 2 and "workers" not in alone
    assert together["valid_loss"] == pytest.approx(alone["valid_loss"], rel=0.005)
    assert by_two == pytest.approx(by_one, abs=0.003)
    assert pl.read_csv(CURVE).filter(part="train").height == together["rounds"]


def test_same_workers_same_bytes_from_memory_and_from_disk(planted) -> None:
    planted.write(planted.rows(), max_rounds=8, threads=1)
    first = on_workers()
    assert on_workers() == first
    assert on_workers(scale={"memory_limit_gib": 0.01}) == first
    assert not list(Path(".dvc/tmp/pages").iterdir())


def test_fewer_partitions_to_stop_on_than_workers_are_shared_by_rows(planted) -> None:
    rows = planted.rows("multiclass")
    in_order = rows.with_columns(part=np.where(np.arange(len(rows)) < 2500, "train", "valid"))
    planted.write(in_order, "multiclass", partitions=6, max_rounds=8, threads=1)
    train()
    alone = training()
    on_workers()
    assert training()["valid_loss"] == pytest.approx(alone["valid_loss"], rel=0.02)


def test_an_error_on_one_worker_is_told_as_it_was_and_leaves_workers_that_work(planted) -> None:
    planted.write(planted.rows(), max_rounds=5, threads=1)
    first = on_workers()
    broken = sorted(Path("data/features/trial").glob("*.parquet"))[0]
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(pl.exceptions.PolarsError, match="parquet"):
        fit("trial", lambda *_: None)
    broken.write_bytes(whole)
    assert on_workers() == first


@pytest.mark.slow
def test_training_begins_anew_when_a_worker_is_killed_and_ends_with_the_same_model(planted, caplog) -> None:
    planted.write(planted.rows(n=20_000), partitions=9, max_rounds=200, early_stopping_rounds=200, threads=1)
    undisturbed = on_workers()
    victims = list(dask_client.connect(read_workers()).run(os.getpid).values())

    def kill_once(number: int, *_: float) -> None:
        if number == 5 and len(victims) == 2:
            os.kill(victims.pop(), signal.SIGKILL)

    found = fit("trial", kill_once)
    assert "training begins anew" in caplog.text
    assert found.model.raw() == undisturbed["model.ubj"]


@pytest.mark.slow
def test_workers_that_end_again_and_again_are_told_of_in_words(planted) -> None:
    planted.write(planted.rows(n=20_000), partitions=9, max_rounds=400, early_stopping_rounds=400, threads=1)
    change_params(cluster={"kind": "processes"})
    with pytest.raises(UserError, match="2 workers for as long as training takes"):
        fit("trial", _killer())
    dask_client.disconnect()  # of these workers some may not come back


@pytest.mark.slow
def test_workers_elsewhere_fetch_their_partitions_through_the_exchange(planted, tmp_path: Path) -> None:
    planted.write(planted.rows(), max_rounds=8, threads=1)
    beside = on_workers()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": "1"}
    commands = [["scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2]]]
    commands += [["worker", address, "--nthreads", "1", "--no-dashboard", "--local-directory", "scratch"]] * 2
    started = []
    try:
        for number, command in enumerate(commands):
            folder = tmp_path / f"machine-{number}"
            folder.mkdir()
            with (folder / "log").open("wb") as log:
                words = [Path(sys.executable).with_name("dask"), *command]
                started.append(subprocess.Popen(words, cwd=folder, env=environment, stdout=log, stderr=log))
        exchange = {"kind": "scheduler", "address": address, "exchange": f"file://{tmp_path / 'exchange'}"}
        client = dask_client.connect(read_workers().model_copy(update=exchange))
        client.wait_for_workers(2, timeout=60)
        assert train(cluster=exchange) == beside
    finally:
        dask_client.disconnect()
        for process in reversed(started):
            process.terminate()
            process.wait()
    assert not list(tmp_path.glob("machine-*/**/*.parquet"))


def _killer() -> Callable[[int, float, float], None]:
    """Kills one worker in every attempt."""
    children: set[int] = set()

    def kill(number: int, *_: float) -> None:
        if number == 1:
            found = _worker_processes() - children
            children.update(found)
            os.kill(max(found), signal.SIGKILL)

    return kill


def _worker_processes() -> set[int]:
    """Children alone: servers that other tests keep have workers too, which are grandchildren."""
    return {p.pid for p in psutil.Process().children() if "spawn_main" in " ".join(p.cmdline())}


def fit(name: str, each_round: Callable[[int, float, float], None]):
    """The same as the stage asks for, told of every round."""
    features = open_features(name, columns=read_selection(name))
    params = yaml.safe_load(Path("params.yaml").read_text())
    settings = {key: value for key, value in params["datasets"][name]["model"].items() if key != "distributed"}
    found, _ = fit_on_workers(
        Share(features, features),
        read_sketches(name),
        settings=settings,
        workers=read_workers(),
        seed=child_seed(params["seed"], "train", name),
        limit_bytes=2**30,
        each_round=each_round,
    )
    return found


def test_shares_are_about_equal_whole_and_in_order(planted) -> None:
    planted.write(planted.rows(), partitions=11)
    features = open_features("trial", columns=read_selection("trial"))
    shares = cut_shares(Share(features, features), 3)
    for part, tables in (("train", [s.train for s in shares]), ("valid", [s.valid for s in shares])):
        names = [table.partition_names(part) for table in tables]
        assert sorted(name for share in names for name in share) == features.partition_names(part)
        assert all(share == sorted(share) for share in names)
        rows = [table.rows(part) for table in tables]
        largest = max(partition["parts"][part] for partition in features.partitions)
        assert sum(rows) == features.rows(part) and max(rows) - min(rows) <= largest
