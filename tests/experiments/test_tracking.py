"""The tracking section, and how an MLflow server is spoken to; a real one is in tests/pipeline/test_mlflow.py."""

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.experiments.tracking.server import MlflowServer
from stages.runtime import tracking
from stages.workspace.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"mlflow": "databricks"}, r"tracking.mlflow"),
        ({"mlfow": "http://127.0.0.1:5000"}, "did you mean 'mlflow'"),
        ({"live": "yes"}, "tracking.live"),
        ({"experiment": ""}, "tracking.experiment"),
    ],
)
def test_a_wrong_setting_is_named_with_its_path(tmp_path: Path, section: dict[str, Any], told: str) -> None:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"tracking": section}))
    with pytest.raises(UserError, match=told):
        tracking.read_tracking(tmp_path / "params.yaml")


def test_without_the_section_nothing_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("seed: 1\n")
    assert tracking.read_tracking(tmp_path / "params.yaml") == tracking.TrackingSettings()


def test_no_stage_depends_on_where_its_runs_are_shown() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    params = [str(param) for stage in stages for param in (stage.get("do") or stage).get("params", [])]
    assert params and not [param for param in params if "tracking" in param]


Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], str]]:
    """Start a server on a free port that answers every request in one way; its address."""
    servers = []

    def start(answer: Answer) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None: ...

            def do_GET(self) -> None:
                answer(self)

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def answer_with(status: int, body: bytes) -> Answer:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, b"<html>a wiki</html>", "HTTP 200 to experiments/get-by-name"),
        (401, b"who are you?", "MLFLOW_TRACKING_USERNAME"),
        (500, b'{"error_code": "INTERNAL_ERROR", "message": "no such table: runs"}', "no such table: runs"),
    ],
)
def test_a_server_that_refuses_is_quoted(serve, status: int, body: bytes, told: str) -> None:
    address = serve(answer_with(status, body)).replace("//", "//ada:secret@")
    with pytest.raises(UserError, match=told) as refused:
        MlflowServer(address).open_experiment("pears")
    assert "secret" not in str(refused.value)


def test_keys_go_to_the_server_as_mlflows_client_sends_them(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        seen.append(request.headers["Authorization"])
        answer_with(200, b'{"experiment": {"experiment_id": "4"}}')(request)

    address = serve(answer)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    assert MlflowServer(address).open_experiment("pears") == "4"
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    MlflowServer(address).open_experiment("pears")
    assert seen == ["Bearer t0ken", "Basic YWRhOnNlY3JldA=="]
