"""Who works never changes a result, which is why `dvc.yaml` names `stages/runtime` nowhere.

Cleaning and featurizing two months in threads, in worker processes, on a scheduler one of whose workers is killed while
it has work, and on workers that see no file of the workspace give the bytes of one thread.  That the cache gives them
too is in test_partition_cache_line.py; the same on the whole line, in test_cluster_line.py, takes minutes.  Those on a
scheduler are slow as well: its processes take longer to start than the work.
"""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from stages import clean, featurize
from stages.runtime.client import connect, disconnect
from stages.workspace.settings import read_workers
from tests.dask_machines import machines_in
from tests.small_flights import NAME, start_workspace, tree


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one thread writes."""
    return outputs(tmp_path_factory.mktemp("one") / "workspace", workers=1)


def outputs(folder: Path, **cluster: object) -> dict[str, bytes]:
    """Every file that the two stages write in a new workspace."""
    start_workspace(folder, **cluster)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        try:
            run()
        finally:
            disconnect()
    return tree(folder)


def run() -> None:
    clean.main(NAME)
    featurize.main(NAME)


def test_there_is_something_to_compare(expected: dict[str, bytes]) -> None:
    assert len([name for name in expected if name.endswith(".parquet")]) >= 12


def test_two_threads_write_what_one_writes(expected: dict[str, bytes], tmp_path: Path) -> None:
    assert outputs(tmp_path / "workspace", workers=2) == expected


def test_worker_processes_of_this_machine_write_it_too(expected: dict[str, bytes], tmp_path: Path) -> None:
    assert outputs(tmp_path / "workspace", kind="processes", workers=2) == expected


@pytest.mark.slow
def test_so_do_the_workers_of_a_scheduler_when_one_is_killed_at_work(
    expected: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.runtime.client.CONNECT_S", 60.0)  # the scheduler may still be starting
    folder = start_workspace(tmp_path / "workspace")
    with machines_in(tmp_path, folder, folder) as machines:
        monkeypatch.chdir(folder)
        monkeypatch.setenv("PLUMBLINE_SCHEDULER", machines.address)
        client = connect(read_workers())
        client.wait_for_workers(2, timeout=60)
        pids, killed = client.run(os.getpid), list[str]()
        killer = threading.Thread(target=kill_one_at_work, args=(client, pids, killed))
        killer.start()
        run()
        killer.join(60)
    assert killed
    assert tree(folder) == expected


def kill_one_at_work(client, pids: dict[str, int], killed: list[str]) -> None:
    """End the first worker that is seen with a task in hand."""
    give_up = time.monotonic() + 60
    while not killed and time.monotonic() < give_up:
        busy = [worker for worker, tasks in client.processing().items() if tasks]
        if busy:
            os.kill(pids[busy[0]], signal.SIGKILL)
            killed.append(busy[0])
        time.sleep(0.01)


@pytest.mark.slow
def test_so_do_workers_that_see_no_file_of_the_workspace(
    expected: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.runtime.client.CONNECT_S", 60.0)
    away = tmp_path / "away"
    away.mkdir()
    with machines_in(tmp_path, away, away) as machines:
        exchange = tmp_path / "exchange"
        found = outputs(
            tmp_path / "workspace", kind="scheduler", address=machines.address, exchange=f"file://{exchange}"
        )
    assert found == expected
    assert len(list(exchange.iterdir())) > 2 * len(expected) / 3
    assert list(away.iterdir()) == []
