"""A real Dask scheduler with real workers on 127.0.0.1, started as a user starts them (docs/cluster.md)."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stages.runtime.client import disconnect
from stages.workspace.settings import WorkerSettings

ROOT = Path(__file__).parents[1]
DASK = Path(sys.executable).with_name("dask")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@dataclass
class Machines:
    """A scheduler and the workers that were started for it: processes of their own, their logs in files."""

    folder: Path
    port: int
    started: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    @property
    def cluster(self) -> WorkerSettings:
        return WorkerSettings(kind="scheduler", address=self.address, workers=2, training_threads=1)

    def start(self, *command: str, cwd: Path, **environment: str) -> "subprocess.Popen[bytes]":
        settings = {**os.environ, "PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": "1", **environment}
        with (self.folder / f"{len(self.started)}.log").open("wb") as log:
            process = subprocess.Popen([DASK, *command], cwd=cwd, env=settings, stdout=log, stderr=log)
        self.started.append(process)
        return process

    def start_scheduler(self) -> "subprocess.Popen[bytes]":
        return self.start("scheduler", "--host", "127.0.0.1", "--port", str(self.port), cwd=self.folder)

    def start_worker(self, cwd: Path, *options: str, **environment: str) -> "subprocess.Popen[bytes]":
        kept = ["--local-directory", str(self.folder / "scratch"), "--death-timeout", "60", "--no-dashboard"]
        return self.start("worker", self.address, "--nthreads", "1", *kept, *options, cwd=cwd, **environment)

    def stop(self, *processes: "subprocess.Popen[bytes]") -> None:
        """A worker ends with its nanny, which is the process that was started."""
        for process in processes:
            process.kill()
            process.wait()


@contextmanager
def machines_in(folder: Path, *workspaces: Path) -> Iterator[Machines]:
    """A scheduler, and one worker in each of the workspaces."""
    machines = Machines(folder, free_port())
    try:
        machines.start_scheduler()
        for workspace in workspaces:
            machines.start_worker(workspace)
        yield machines
    finally:
        disconnect()
        machines.stop(*reversed(machines.started))
