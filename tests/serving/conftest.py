"""Bundles of every task, made by the line on planted rows; an application on them, and a real server."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import polars as pl
import pytest
from fastapi.testclient import TestClient

from stages.models.bundle import EXAMPLE, MANIFEST, SIGNATURE, open_bundle, seal
from stages.models.signature import fit_rows
from stages.serving.app import create_app
from stages.serving.champions import open_champions
from stages.serving.service import Service
from tests.stages.conftest import packaged, planted

__all__ = ["packaged", "planted"]  # fixtures of another room

ROOT = Path(__file__).parents[2]
TASKS = ("binary", "multiclass", "regression")
TOKEN = "a secret of the tests"
STARTS_S = 180.0  # on a machine that many use


@pytest.fixture(scope="session")
def bundles(packaged: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three bundles, each of a dataset that is called as its task."""
    home = tmp_path_factory.mktemp("bundles")
    for task in TASKS:
        copy_bundle(packaged(task) / "bundles" / "trial", home / task, dataset=task)
    return home


def copy_bundle(source: Path, target: Path, **changes: object) -> Path:
    """A copy of a bundle, sealed again with changes to its signature."""
    shutil.copytree(source, target)
    (target / MANIFEST).unlink()
    signature = json.loads((target / SIGNATURE).read_text())
    (target / SIGNATURE).write_text(json.dumps(signature | changes))
    seal(target)
    return target


@pytest.fixture(scope="session")
def client(bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The application in this process."""
    service = Service(open_champions([bundles], tmp_path_factory.mktemp("kept")), token=TOKEN)
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        yield client


def rows_of(bundle: Path) -> list[dict[str, object]]:
    """The example of a bundle as JSON has it: numbers, strings, null."""
    opened = open_bundle(bundle)
    fitted, _ = fit_rows(pl.read_csv(bundle / EXAMPLE, infer_schema=False), opened.signature["inputs"])
    texts = fitted.with_columns(pl.col(pl.Float32).cast(pl.String), pl.col(pl.Enum).cast(pl.String))
    numbers = [column.name for column in fitted if column.dtype == pl.Float32]
    return [
        {name: float(text) if name in numbers and text is not None else text for name, text in row.items()}
        for row in texts.to_dicts()
    ]


@dataclass
class Server:
    """A real ``stages.serve`` in a process of its own."""

    process: "subprocess.Popen[str]"
    port: int
    log: Path
    started_s: float = 0.0
    """How long it took to be ready."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_until_ready(self) -> None:
        began = time.monotonic()
        deadline = began + STARTS_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if httpx.get(f"{self.url}/v2/health/ready", timeout=5).status_code == 200:
                    self.started_s = time.monotonic() - began
                    return
            except httpx.HTTPError:
                time.sleep(0.05)
        raise AssertionError(f"not ready\n{self.log.read_text()}")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


Serve = Callable[..., Server]


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Start servers; all of them end with the session."""
    started: list[Server] = []

    def start(*arguments: object, port: int | None = None, keep: Path | None = None, cwd: Path = ROOT) -> Server:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = port or probe.getsockname()[1]
        folder = tmp_path_factory.mktemp("server")
        log = folder / "log"
        with log.open("w") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "stages.serve", *map(str, arguments), "--port", str(port), "--keep",
                 str(keep or folder / "kept")],
                cwd=cwd, stderr=said, stdout=said, text=True,
                env={**os.environ, "PLUMBLINE_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        started.append(server := Server(process, port, log))
        server.wait_until_ready()
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def server(serve: Serve, bundles: Path) -> Server:
    """A server of two workers on the three bundles."""
    return serve(bundles, "--workers", 2)
