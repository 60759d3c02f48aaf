"""Processes that answer: one by itself, or several under a parent that replaces those that end."""

from __future__ import annotations

import json
import logging
import os
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from stages.serving.logs import start_server_log
from stages.serving.processes import allow_connections, connection_limits, follow_parent

MULTIPROC = "PROMETHEUS_MULTIPROC_DIR"  # read when prometheus_client is imported
SETTINGS, TOKEN = "PLUMBLINE_SERVE", "PLUMBLINE_TOKEN"
GRACE_S = 10
HUNG_S = 30  # without a word from a worker, before it is replaced; on a busy machine 5 s say nothing
log = logging.getLogger("plumbline")


@dataclass(frozen=True)
class Settings:
    """What a worker has to know; it travels in the environment."""

    folders: tuple[Path, ...]
    state: str | None
    keep: Path
    forecasts: Path

    def to_text(self) -> str:
        """As JSON."""
        folders = [*map(str, self.folders)]
        kept = {"keep": str(self.keep), "forecasts": str(self.forecasts)}
        return json.dumps({"folders": folders, "state": self.state, **kept})

    @classmethod
    def of_text(cls, text: str) -> Settings:
        """The inverse of `to_text`."""
        told = json.loads(text)
        return cls(tuple(map(Path, told["folders"])), told["state"], Path(told["keep"]), Path(told["forecasts"]))


def serve(settings: Settings, port: socket.socket, workers: int) -> None:
    """Answer until stopped."""
    start_server_log()
    allow_connections()
    os.environ[SETTINGS] = settings.to_text()
    options = {
        "access_log": False, "log_config": None, "server_header": False, "lifespan": "on",
        "timeout_graceful_shutdown": GRACE_S, "timeout_worker_healthcheck": HUNG_S, **connection_limits(),
    }  # fmt: skip
    host, number = port.getsockname()[:2]
    with ExitStack() as stack:
        if workers == 1:
            app = create_from_environment()
            log.info("listening on http://%s:%s", host, number)
            uvicorn.Server(uvicorn.Config(app, **options)).run([port])
            return
        os.environ[MULTIPROC] = stack.enter_context(TemporaryDirectory(prefix="plumbline-metrics-"))
        log.info("listening on http://%s:%s with %s workers", host, number, workers)
        name = f"{__name__}:{create_from_environment.__name__}"
        Multiprocess(uvicorn.Config(name, factory=True, workers=workers, **options), [port]).run()


def create_from_environment() -> FastAPI:
    """The application of one process, by the settings that `serve` left in the environment."""
    start_server_log()
    follow_parent()
    from stages.serving.app import create_app
    from stages.serving.champions import open_champions
    from stages.serving.metrics import Metrics
    from stages.serving.service import Service

    settings, metrics = Settings.of_text(os.environ[SETTINGS]), Metrics()
    champions = open_champions(settings.folders, settings.keep, metrics.reloaded)
    token = os.environ.get(TOKEN)
    return create_app(
        Service(champions, metrics=metrics, token=token, state=settings.state, kept_forecasts=settings.forecasts)
    )
