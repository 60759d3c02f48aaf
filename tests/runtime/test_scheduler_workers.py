"""Work on other processes: a real Dask scheduler with real workers on 127.0.0.1, started as a user starts them.

Functions that travel are defined inside the tests: a worker could not import this module.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.runtime import check as worker_check
from stages.runtime import client as dask_client
from stages.runtime import tasks as dask_workers
from stages.runtime.client import connect, disconnect
from stages.runtime.exchange import Sent, download, through_exchange, upload
from stages.runtime.jobs import Job
from stages.runtime.partitions import each_partition, map_partitions
from stages.workspace.errors import UserError
from stages.workspace.settings import WorkerSettings, read_scale, read_workers
from tests.dask_machines import DASK, Machines, free_port, machines_in
from tools.params import compose_params

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the workers see."""
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, workspace: Path) -> Iterator[Machines]:
    with machines_in(tmp_path_factory.mktemp("machines"), workspace, workspace) as machines:
        yield machines


@pytest.fixture
def machines(started: Machines, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    """Two workers at a scheduler; the test runs in their folder."""
    monkeypatch.chdir(workspace)
    monkeypatch.setattr(dask_client, "CONNECT_S", 60.0)  # the scheduler may still be starting
    connect_in_the_end(started).wait_for_workers(2, timeout=60)
    return started


def connect_in_the_end(machines: Machines) -> Any:
    """The client, as soon as the scheduler has noticed that workers of an earlier test are gone."""
    give_up = time.monotonic() + 60
    while True:
        try:
            return connect(machines.cluster)
        except UserError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.2)


def refusal(workers: WorkerSettings) -> UserError:
    with pytest.raises(UserError) as caught:
        connect(workers)
    return caught.value


# ── the same interface as with threads ───────────────────────────────────────────────────────────────────────────────
def test_both_workers_work_and_results_come_in_the_order_of_the_items(machines: Machines) -> None:
    def work(item: int) -> tuple[int, int, int]:
        import polars as pl

        time.sleep(0.3 if item == 0 else 0.02)
        return item, os.getpid(), pl.thread_pool_size()

    done = map_partitions(work, range(12), workers=machines.cluster, label="work")
    assert [item for item, _, _ in done] == list(range(12))
    assert len({pid for _, pid, _ in done} - {os.getpid()}) == 2
    assert {threads for _, _, threads in done} == {1}


@pytest.mark.parametrize("item", [("flights", "2013-01"), ["a", ["b"]], {"x": 1}, Path("a"), None, "2013-01"])
def test_an_item_travels_there_and_back_as_it_is(machines: Machines, item: Any) -> None:
    (found,) = map_partitions(lambda it: it, [item], workers=machines.cluster, label="carry")
    assert (found, type(found)) == (item, type(item))


def test_an_error_of_a_task_arrives_as_it_was_raised(machines: Machines) -> None:
    def work(item: int) -> int:
        if item == 2:
            raise UserError("rows", "none", "fetch some")
        return item

    with pytest.raises(UserError) as caught:
        map_partitions(work, [1, 2, 3], workers=machines.cluster, label="fail")
    assert (caught.value.wanted, caught.value.found, caught.value.next_step) == ("rows", "none", "fetch some")


def test_no_more_tasks_are_under_way_than_the_workers_can_use(machines: Machines) -> None:
    started = []

    class Counted(list[int]):
        def __iter__(self) -> Iterator[int]:
            for item in super().__iter__():
                started.append(item)
                yield item

    with each_partition(lambda item: item, Counted(range(100)), workers=machines.cluster, label="few") as results:
        assert [next(results) for _ in range(10)] == list(range(10))
        assert len(started) <= 10 + 2 * 2
    started.clear()
    with each_partition(
        lambda item: item, Counted(range(100)), workers=machines.cluster, label="one", at_once=1
    ) as results:
        assert [next(results), next(results)] == [0, 1]
        assert started == [0, 1]


def test_tasks_that_tell_of_their_own_progress_stay_in_this_process(machines: Machines) -> None:
    assert map_partitions(lambda _: os.getpid(), [1, 2], workers=machines.cluster, label=None) == [os.getpid()] * 2


# ── who may work ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_workers_that_differ_are_refused_by_name(machines: Machines, workspace: Path, tmp_path: Path) -> None:
    other, older = tmp_path / "other", tmp_path / "other" / "polars-0.1.dist-info"
    shutil.copytree(ROOT / "stages", other / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "stages/clean.py").open("a") as code:
        code.write("# edited\n")
    older.mkdir()
    (older / "METADATA").write_text("Metadata-Version: 2.1\nName: polars\nVersion: 0.1\n")
    strangers = [
        machines.start_worker(workspace, "--name", "other", PYTHONPATH=str(other)),
        machines.start_worker(tmp_path, "--name", "bare", PYTHONPATH=""),
    ]
    try:
        client = connect(machines.cluster)
        client.wait_for_workers(4, timeout=60)
        addresses = {about["name"]: address for address, about in client.scheduler_info()["workers"].items()}
        with pytest.raises(UserError) as after_connecting:
            map_partitions(lambda item: time.sleep(0.2), range(12), workers=machines.cluster, label="late")
        disconnect()
        at_connecting = refusal(machines.cluster)
    finally:
        machines.stop(*strangers)
        disconnect()
    lines = [line.strip() for line in at_connecting.found.splitlines()]
    bare = [line for line in lines if line.startswith(f"{addresses['bare']}: ")]
    differing = [line for line in lines if line.startswith(f"{addresses['other']}: ")]
    assert len(lines) == 3
    assert [line.endswith("No module named 'stages'") for line in bare] == [True]
    assert ["code of stages: wanted" in line or line.endswith(", found 0.1") for line in differing] == [True, True]
    assert after_connecting.value.wanted == at_connecting.wanted == worker_check.ALIKE


def test_workers_in_another_folder_are_refused(
    machines: Machines, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disconnect()
    monkeypatch.chdir(tmp_path)
    lines = refusal(machines.cluster).found.splitlines()
    assert refusal(machines.cluster).found.splitlines() == lines  # asking again does not let them in
    assert len(lines) == 2
    assert all(line.endswith(f": this folder: wanted seen, found not seen from {workspace}") for line in lines)


def test_a_scheduler_that_does_not_answer_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dask_client, "CONNECT_S", 0.5)
    address = f"tcp://127.0.0.1:{free_port()}"
    error = refusal(WorkerSettings(kind="scheduler", address=address, workers=2, training_threads=1))
    assert error.wanted == f"a Dask scheduler at {address}"
    assert "cluster.address" in error.next_step


@pytest.mark.parametrize(
    ("settings", "found"), [({"kind": "scheduler"}, "cluster.address: null"), ({}, "cluster.kind: threads")]
)
def test_settings_that_name_no_scheduler_are_refused(settings: dict[str, Any], found: str) -> None:
    assert refusal(WorkerSettings(workers=2, training_threads=1, **settings)).found == found


def test_the_environment_names_a_scheduler_for_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("cluster: {kind: threads, workers: 3, training_threads: 1}")
    monkeypatch.setenv("PLUMBLINE_SCHEDULER", "tcp://192.0.2.1:8786")
    workers = read_workers(params)
    assert (workers.kind, workers.address, workers.count) == ("scheduler", "tcp://192.0.2.1:8786", 3)


@pytest.mark.parametrize(
    ("choice", "kind"), [("processes", "processes"), ("scheduler", "scheduler"), ("kubernetes", "scheduler")]
)
def test_every_choice_of_a_cluster_composes_to_valid_settings(tmp_path: Path, choice: str, kind: str) -> None:
    (tmp_path / "params.yaml").write_text(compose_params(ROOT, [f"cluster={choice}"]), encoding="utf-8")
    workers = read_workers(tmp_path / "params.yaml")
    assert workers.kind == kind
    assert (workers.address is not None) == (kind == "scheduler")
    assert (workers.exchange is not None) == (choice == "kubernetes")
    assert workers.memory_gib == (
        read_scale(tmp_path / "params.yaml").memory_limit_gib if kind == "processes" else None
    )


# ── the exchange: workers that see no file of this workspace ─────────────────────────────────────────────────────────
def repeating() -> Any:
    """The work of the jobs below."""

    def work(job: Job, root: Path) -> dict[str, Any]:
        text = "".join((root / path).read_text() for path in job.inputs) * job.arguments["times"]
        (root / job.outputs[0]).parent.mkdir(parents=True)  # the worker's folder is the job's own
        (root / job.outputs[0]).write_text(text)
        return {"length": len(text)}

    return work


def write_inputs(n: int) -> list[Job]:
    """Files in the working directory, and jobs that read them."""
    Path("shared.txt").write_text("shared")
    for k in range(n):
        Path(f"in-{k}.txt").write_text(f"input {k}")
    return [
        Job(f"p{k}", (Path(f"in-{k}.txt"), Path("shared.txt")), (Path(f"out/{k}.txt"),), {"times": k}) for k in range(n)
    ]


def run_apart(workers: WorkerSettings, jobs: list[Job]) -> list[Any]:
    work, waiting = through_exchange(repeating(), workers, "apart", threading.Event())
    return map_partitions(lambda job: work(job, Path()), jobs, workers=waiting, label="apart")


def check_run_apart(workers: WorkerSettings) -> None:
    jobs = write_inputs(5)
    assert run_apart(workers, jobs) == [{"length": k * len(f"input {k}shared")} for k in range(5)]
    for k in range(5):
        assert Path(f"out/{k}.txt").read_text() == f"input {k}shared" * k


@pytest.fixture
def elsewhere(machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkerSettings:
    """Another folder than the workers see, and an exchange that they do see."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return machines.cluster.model_copy(update={"exchange": f"file://{tmp_path}/exchange"})


def test_files_of_a_job_travel_through_the_exchange(elsewhere: WorkerSettings, tmp_path: Path) -> None:
    check_run_apart(elsewhere)
    stored = list((tmp_path / "exchange").iterdir())
    assert {path.name for path in stored} == {hashlib.sha256(path.read_bytes()).hexdigest() for path in stored}
    assert not list(Path().rglob("*.part"))


def test_bytes_that_are_in_the_exchange_are_not_sent_again(elsewhere: WorkerSettings, tmp_path: Path) -> None:
    jobs = write_inputs(2)
    run_apart(elsewhere, jobs)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "exchange").iterdir()}
    run_apart(elsewhere, jobs)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "exchange").iterdir()} == before


def test_an_object_that_was_damaged_in_the_exchange_is_never_placed(tmp_path: Path) -> None:
    place, source = f"file://{tmp_path}/exchange", tmp_path / "source"
    source.write_text("rows")
    sent = upload(place, tmp_path, Path("source"))
    (tmp_path / "exchange" / sent.sha256).write_text("rowz")
    with pytest.raises(UserError, match="sha256") as caught:
        download(place, Sent(Path("target"), sent.sha256, sent.bytes), tmp_path)
    assert sent.sha256 in caught.value.next_step
    assert {path.name for path in tmp_path.iterdir()} == {"exchange", "source"}


def test_an_exchange_that_cannot_be_reached_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("rows")
    (tmp_path / "a file").touch()
    with pytest.raises(UserError, match=r"the exchange .*a file"):
        upload(f"file://{tmp_path}/a file/folder", tmp_path, Path("source"))


@pytest.mark.slow
def test_files_of_a_job_travel_through_an_s3_bucket(
    s3: Any, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = tmp_path_factory.mktemp("away")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dask_client, "CONNECT_S", 60.0)
    with machines_in(away, away, away) as machines:  # started after the keys were put into the environment
        cluster = machines.cluster.model_copy(update={"exchange": "s3://bucket/exchange"})
        check_run_apart(cluster)
        with pytest.raises(UserError, match="s3://no-such-bucket/exchange") as caught:
            check_run_apart(cluster.model_copy(update={"exchange": "s3://no-such-bucket/exchange"}))
        assert "AWS_" in caught.value.next_step
    assert not list((s3.bucket / "exchange").glob("*.part"))


@pytest.mark.slow
def test_the_kubernetes_manifest_starts_a_scheduler_and_workers(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = yaml.safe_load((ROOT / "deploy/dask/dask.yaml").read_text(encoding="utf-8"))
    pods = [item["spec"]["template"]["spec"] for item in manifest["items"] if item["kind"] == "Deployment"]
    scheduler, worker = (pod["containers"][0] for pod in pods)
    away = tmp_path_factory.mktemp("away")
    machines = Machines(away, free_port())
    here = {
        "8786": str(machines.port), ":8787": "127.0.0.1:0",
        "tcp://plumbline-scheduler:8786": machines.address, "--local-directory=/scratch": f"--local-directory={away}",
    }  # fmt: skip
    program, *scheduler_arguments = (here.get(word, word) for word in scheduler["args"])
    _, *worker_arguments = (here.get(word, word) for word in worker["args"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dask_client, "CONNECT_S", 60.0)
    try:
        assert program == DASK.name
        machines.start(*scheduler_arguments, cwd=away)
        machines.start(*worker_arguments, cwd=away, **{entry["name"]: entry["value"] for entry in worker["env"]})
        cluster = machines.cluster.model_copy(update={"exchange": f"file://{tmp_path}/exchange"})
        check_run_apart(cluster)
        limit, pause = (
            connect(cluster)
            .run(
                lambda dask_worker: (
                    dask_worker.memory_manager.memory_limit,
                    dask_worker.memory_manager.memory_pause_fraction,
                )
            )
            .popitem()[1]
        )
        assert (limit, pause) == (int(3.5 * 2**30), False)
    finally:
        disconnect()
        machines.stop(*reversed(machines.started))


# ── deaths ───────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def own_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machines]:
    """A scheduler and two workers for a test that kills some of them; the test runs in their folder."""
    folder = tmp_path / "machines"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dask_client, "CONNECT_S", 60.0)
    with machines_in(folder, tmp_path, tmp_path) as machines:
        connect(machines.cluster).wait_for_workers(2, timeout=60)
        yield machines


def worker_processes(machines: Machines) -> list[int]:
    pids: dict[str, int] = connect(machines.cluster).run(os.getpid)
    return list(pids.values())


@pytest.mark.slow
def test_the_work_of_a_killed_worker_is_done_by_another(own_machines: Machines) -> None:
    def write(item: int) -> int:
        time.sleep(0.3)
        Path(f"{item}.txt").write_text(f"{item}")
        return item

    with each_partition(write, range(16), workers=own_machines.cluster, label="write") as results:
        first = next(results)
        os.kill(worker_processes(own_machines)[0], signal.SIGKILL)
        assert [first, *results] == list(range(16))
    assert [Path(f"{item}.txt").read_text() for item in range(16)] == [f"{item}" for item in range(16)]


@pytest.mark.slow
def test_a_scheduler_that_ends_in_mid_run_is_told_of(own_machines: Machines) -> None:
    work = each_partition(lambda item: time.sleep(0.2), range(60), workers=own_machines.cluster, label="wait")
    with pytest.raises(UserError, match="it is gone") as caught, work as results:
        next(results)
        own_machines.started[0].kill()
        list(results)
    assert own_machines.address in caught.value.wanted


@pytest.mark.slow
def test_a_run_waits_for_a_new_worker_when_the_last_one_is_gone_but_not_for_ever(
    own_machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("stages.runtime.partitions.PATIENCE_S", 0.3)
    work = partial(each_partition, lambda item: time.sleep(0.2), workers=own_machines.cluster, label="wait")
    with work(range(20)) as results, caplog.at_level("WARNING", logger="plumbline"):
        next(results)
        own_machines.stop(*own_machines.started[1:])
        late = threading.Timer(3.0, own_machines.start_worker, [tmp_path])
        late.start()
        assert len(list(results)) == 19
    assert "wait: no worker is left; waiting for one" in caplog.messages

    monkeypatch.setattr(dask_workers, "NO_WORKER_S", 1.0)
    with pytest.raises(UserError, match="start workers"), work(range(20)) as results:
        next(results)
        own_machines.stop(own_machines.started[-1])
        list(results)


@pytest.mark.slow
def test_a_run_that_fails_ends_when_the_workers_have_ended_what_they_were_at(own_machines: Machines) -> None:
    def write(item: int) -> None:
        Path(f"begun-{item}").touch()
        if item == 1:
            raise UserError("rows", "none", "fetch some")
        time.sleep(2)
        Path(f"ended-{item}").touch()

    with pytest.raises(UserError, match="fetch some"):
        map_partitions(write, range(20), workers=own_machines.cluster, label="fail")
    found = sorted(path.name for path in Path().glob("*-*"))
    time.sleep(2.5)
    assert sorted(path.name for path in Path().glob("*-*")) == found
    begun, ended = ([name for name in found if name.startswith(word)] for word in ("begun", "ended"))
    assert len(begun) == len(ended) + 1 < 20


@pytest.mark.slow
def test_a_run_waits_for_what_a_killed_run_left_at_work_in_its_folder(own_machines: Machines, tmp_path: Path) -> None:
    slow = f"""
import time
from pathlib import Path
from stages.runtime.partitions import map_partitions
from stages.workspace.settings import WorkerSettings, read_workers, read_scale
from tools.params import compose_params

def write(item):
    Path("begun").touch()
    time.sleep(6)
    Path("out").write_text("of the killed run")

cluster = WorkerSettings(kind="scheduler", address={own_machines.address!r}, workers=2, training_threads=1)
map_partitions(write, [1], workers=cluster, label="slow")
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.Popen([sys.executable, "-c", slow], env=environment, stderr=subprocess.DEVNULL)
    disconnect()
    while not Path("begun").exists():
        assert killed.poll() is None
        time.sleep(0.1)
    killed.kill()
    killed.wait()
    map_partitions(lambda _: Path("out").write_text("of this run"), [1], workers=own_machines.cluster, label="now")
    time.sleep(7)
    assert Path("out").read_text() == "of this run"
