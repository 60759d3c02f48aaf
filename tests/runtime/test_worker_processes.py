"""Worker processes of this machine: they start with the first work, replace each other, and end with their stage."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from stages.runtime.check import TOKENS
from stages.runtime.client import disconnect
from stages.runtime.partitions import map_partitions
from stages.workspace.errors import UserError
from stages.workspace.settings import WorkerSettings

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PROCESSES = WorkerSettings(kind="processes", workers=2, training_threads=1)
STAGE = """
import time
from pathlib import Path
from stages.runtime.partitions import map_partitions
from stages.workspace.settings import WorkerSettings

def work(item):
    Path(f"begun-{item}").touch()
    time.sleep(120)

if __name__ == "__main__":
    cluster = WorkerSettings(kind="processes", workers=2, training_threads=1)
    map_partitions(work, range(2), workers=cluster, label="wait")
"""


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    disconnect()


def test_two_processes_with_one_polars_thread_each_do_the_work_and_leave_this_process_as_it_was() -> None:
    def work(item: int) -> tuple[int, int, int, str]:
        import polars as pl

        time.sleep(0.1)
        return item, os.getpid(), pl.thread_pool_size(), str(Path.cwd())

    before = dict(os.environ)
    done = map_partitions(work, range(8), workers=PROCESSES, label="work")
    assert [item for item, *_ in done] == list(range(8))
    assert len({pid for _, pid, *_ in done} - {os.getpid()}) == 2
    assert {(threads, folder) for *_, threads, folder in done} == {(1, str(Path.cwd()))}
    assert dict(os.environ) == before


def test_fewer_workers_than_there_are_processes_are_kept_to_without_starting_anew() -> None:
    def work(item: int) -> tuple[int, float, float]:
        start = time.time()
        time.sleep(0.1)
        return os.getpid(), start, time.time()

    both = {pid for pid, *_ in map_partitions(work, range(6), workers=PROCESSES, label="two")}
    one = map_partitions(work, range(6), workers=PROCESSES.model_copy(update={"count": 1}), label="one")
    assert {pid for pid, *_ in one} <= both
    assert all(end <= start for (_, _, end), (_, start, _) in pairwise(one))


def test_a_killed_process_is_replaced_and_its_partition_done_again() -> None:
    def work(item: int) -> int:
        if item == 3 and not Path("killed").exists():
            Path("killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    assert map_partitions(work, range(8), workers=PROCESSES, label="work") == list(range(8))
    assert Path("killed").exists()


def test_a_partition_that_ends_every_worker_is_named() -> None:
    def work(item: str) -> str:
        if item == "2013-05":
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    with pytest.raises(UserError, match="2013-05 to be worked on") as caught:
        map_partitions(work, ["2013-04", "2013-05"], workers=PROCESSES, label="work")
    assert "cluster.memory_gib" in caught.value.next_step


def test_a_partition_that_needs_more_memory_than_a_worker_has_is_named() -> None:
    def work(item: str) -> int:
        held = [bytearray(32 << 20) for _ in range(40 if item == "2013-05" else 1)]
        time.sleep(1.0)  # memory is looked at ten times a second
        return len(held)

    cluster = PROCESSES.model_copy(update={"memory_gib": 1.6})
    with pytest.raises(UserError, match="2013-05 to be worked on") as caught:
        map_partitions(work, ["2013-04", "2013-05"], workers=cluster, label="work")
    assert "memory" in caught.value.next_step


def test_a_run_that_fails_ends_its_processes_and_the_next_one_has_new_ones_where_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(item: int) -> str:
        if item == 1:
            raise UserError("rows", "none", "fetch some")
        time.sleep(item)
        Path("written").touch()
        return str(Path.cwd())

    with pytest.raises(UserError, match="fetch some"):
        map_partitions(write, [20, 1], workers=PROCESSES, label="fail")
    assert not multiprocessing.active_children()
    assert map_partitions(write, [0], workers=PROCESSES, label="here") == [str(tmp_path)]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert map_partitions(write, [0], workers=PROCESSES, label="there") == [str(tmp_path / "elsewhere")]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_a_stage_that_is_ended(how: signal.Signals, workspace: Path) -> None:
    Path("stage.py").write_text(STAGE)
    stage = subprocess.Popen(
        [sys.executable, "stage.py"], env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL,
        start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    while not (Path("begun-0").exists() and Path("begun-1").exists()):
        assert stage.poll() is None
        time.sleep(0.1)
    below = psutil.Process(stage.pid).children(recursive=True)
    assert len(below) >= 2
    if how == signal.SIGINT:
        os.killpg(stage.pid, how)  # as a terminal does
    else:
        stage.send_signal(how)
    stage.wait(60)
    _, alive = psutil.wait_procs(below, timeout=60)
    assert alive == []
    assert map_partitions(str, [1], workers=PROCESSES, label="again") == ["1"]
    assert len(list(TOKENS.iterdir())) == 1  # this run's own
