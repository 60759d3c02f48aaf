"""Stages on other processes: the same bytes as in threads, also when a worker is killed in mid-work.

A real `dask scheduler` and real `dask worker` processes on 127.0.0.1, started as docs/cluster.md says.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.slow
DASK = Path(sys.executable).with_name("dask")
STAGES = ("clean@nycflights", "featurize@nycflights")
LATER_STAGES = ("select_features@nycflights", "evaluate@nycflights", "explore@nycflights")
FOLDERS = ("data/clean/nycflights", "data/quarantine/nycflights", "data/features/nycflights")


@contextmanager
def scheduler_with_workers(
    code: Path, folder: Path, logs: Path
) -> Iterator[tuple[str, list["subprocess.Popen[bytes]"]]]:
    """The address of a scheduler, and two workers that run ``code`` in ``folder``."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
    address, logs_file = f"tcp://127.0.0.1:{port}", logs / "machines.log"
    environment = {**os.environ, "PYTHONPATH": str(code), "POLARS_MAX_THREADS": "1"}
    commands = [["scheduler", "--host", "127.0.0.1", "--port", port]]
    commands += [["worker", address, "--nthreads", "1", "--local-directory", str(logs)]] * 2
    with logs_file.open("wb") as log:
        started = [
            subprocess.Popen([DASK, *command], cwd=folder, env=environment, stdout=log, stderr=log)
            for command in commands
        ]
    try:
        while not is_listening(int(port)):
            assert started[0].poll() is None
            time.sleep(0.1)
        yield address, started[1:]
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def forget_outputs(line) -> None:
    for folder in FOLDERS:
        shutil.rmtree(line.root / folder)


def repeat_stages(line, *more: str) -> str:
    """Run the data stages, whatever DVC remembers of them."""
    forget_outputs(line)
    return str(line.run("dvc", "repro", "--force", "--single-item", *STAGES, *more))


def wait_for(happened, process: "subprocess.Popen[str]") -> None:
    while not happened():
        if process.poll() is not None:
            pytest.fail(f"ended too soon\n{process.communicate()[0]}")
        time.sleep(0.02)


def worker_below(nanny: "subprocess.Popen[bytes]") -> psutil.Process:
    """The process that does the work; its nanny starts another one when it ends."""
    return max(psutil.Process(nanny.pid).children(), key=lambda child: child.memory_info().rss)


def test_a_killed_worker_changes_no_byte(settled, tmp_path: Path) -> None:
    committed = (settled.root / "dvc.lock").read_bytes()
    with scheduler_with_workers(settled.root, settled.root, tmp_path) as (address, workers):
        forget_outputs(settled)
        told = replace(settled, environment={**settled.environment, "PLUMBLINE_SCHEDULER": address})
        dvc = told.start("dvc", "repro", "--force", "--single-item", *STAGES)
        for folder, worker in zip((FOLDERS[0], FOLDERS[2]), workers, strict=True):
            wait_for(lambda folder=folder: any((settled.root / folder).glob("*.parquet")), dvc)
            worker_below(worker).send_signal(signal.SIGKILL)
        said, _ = dvc.communicate(timeout=300)
    assert dvc.returncode == 0, said
    assert (tmp_path / "machines.log").read_text(encoding="utf-8").count("Restarting worker") >= 2
    assert said.count("dashboard: http://") == 2
    assert (settled.root / "dvc.lock").read_bytes() == committed
    assert settled.changes() == []


def test_worker_processes_of_this_machine_write_the_same_bytes(settled) -> None:
    committed = (settled.root / "dvc.lock").read_bytes()
    settled.run("python", "-m", "tools.params", "cluster=processes")
    said = repeat_stages(settled, *LATER_STAGES)
    assert said.count("workers: 2; dashboard: http://127.0.0.1:") == len(STAGES + LATER_STAGES)
    assert (settled.root / "dvc.lock").read_bytes() == committed


def test_workers_that_see_no_file_of_the_workspace_write_the_same_bytes(settled, tmp_path: Path) -> None:
    committed = (settled.root / "dvc.lock").read_bytes()
    image, exchange = tmp_path / "image", tmp_path / "exchange"
    shutil.copytree(settled.root / "stages", image / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    with scheduler_with_workers(image, image, tmp_path) as (address, _):
        choices = ["cluster=kubernetes", f"cluster.address={address}", f"cluster.exchange=file://{exchange}"]
        settled.run("python", "-m", "tools.params", *choices)
        repeat_stages(settled)
    assert len(list(exchange.iterdir())) > 2 * 12  # two tables of twelve months, at least
    assert sorted(path.name for path in image.iterdir()) == ["stages"]
    assert (settled.root / "dvc.lock").read_bytes() == committed
