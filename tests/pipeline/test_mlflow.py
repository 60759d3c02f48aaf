"""Runs in a real MLflow server on this machine, read back with MLflow's own client: a second opinion on the mirror."""

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from stages.experiments.tracking.server import MlflowServer
from stages.workspace.origin import note_composed

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv" / "tracking" / "bin" / "python"
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
STARTS_WITHIN_S = 180.0
# What MLflow's client knows of the runs of an experiment, as JSON.
READ_BACK = """\
import json, sys
from mlflow import MlflowClient
client, found = MlflowClient(sys.argv[1]), []
experiment = client.get_experiment_by_name(sys.argv[2])
for run in client.search_runs([experiment.experiment_id]) if experiment else []:
    found.append({
        "id": run.info.run_id, "name": run.info.run_name, "status": run.info.status,
        "params": run.data.params, "metrics": run.data.metrics, "tags": run.data.tags,
        "datasets": [[given.dataset.name, given.dataset.digest] for given in run.inputs.dataset_inputs],
        "valid": [[m.step, m.value] for m in client.get_metric_history(run.info.run_id, "learning_curve/valid")],
        "files": sorted(f.path for folder in ("", "plots") for f in client.list_artifacts(run.info.run_id, folder)),
        "card": client.download_artifacts(run.info.run_id, "model_card.md"),
    })
print(json.dumps(found))
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="no MLflow here; `make tracking` builds .venv/tracking"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server with a database and files of its own."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    stores = ("--backend-store-uri", f"sqlite:///{folder}/runs.db", "--artifacts-destination", str(folder / "files"))
    command = [PYTHON, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port, "--workers", "1", *stores]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **QUIET}, stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def wait_for(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"no MLflow server at {address}\n{log.read_text()}")


@pytest.fixture
def read_back(server: str, tmp_path: Path) -> Callable[[str], list[SimpleNamespace]]:
    """The runs of an experiment as MLflow's own client reads them."""

    def read(experiment: str) -> list[SimpleNamespace]:
        command = [PYTHON, "-c", READ_BACK, server, experiment]
        done = subprocess.run(command, cwd=tmp_path, env={**os.environ, **QUIET}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [SimpleNamespace(**run) for run in json.loads(done.stdout)]

    return read


def ask_for(line: Any, **tracking: Any) -> None:
    params = line.root / "params.yaml"
    content = yaml.safe_load(params.read_text(encoding="utf-8"))
    params.write_text(yaml.safe_dump({**content, "tracking": tracking}, sort_keys=False), encoding="utf-8")
    note_composed(line.root)


def test_asking_for_it_reruns_nothing_and_packaging_mirrors_the_run(settled, server: str, read_back) -> None:
    ask_for(settled, mlflow=server, experiment="packaged")
    changed = [line for line in settled.run("dvc", "status").splitlines() if line and not line.startswith("\t")]
    assert changed == ["params:"]  # the check that params.yaml was asked for; it makes nothing
    said = settled.run("dvc", "repro", "--single-item", "--force", "package@digits")
    (run,) = read_back("packaged")
    assert f"digits: mirrored to {server}/#/experiments/" in said and run.id in said

    results = json.loads((settled.root / "metrics/digits/results.json").read_text())
    locked = yaml.safe_load((settled.root / "dvc.lock").read_text())["stages"]
    model = locked["train@digits"]["params"]["params.yaml"]["datasets.digits.model"]
    assert run.params["model.max_depth"] == str(model["max_depth"]) and run.params["seed"]
    for name, result in results.items():
        for what in ("low", "high", "baseline"):
            assert run.metrics.get(f"{name}/{what}") == result[what]
        assert run.metrics[name] == result["value"]
    curve = (settled.root / "plots/digits/learning_curve.csv").read_text().splitlines()
    assert run.valid == [
        [int(n), float(loss)] for n, part, loss in (row.split(",") for row in curve[1:]) if part == "valid"
    ]
    assert (
        run.status == "FINISHED"
        and run.tags["mlflow.source.git.commit"] == settled.read("git", "rev-parse", "HEAD").strip()
    )
    assert run.tags["plumbline.model"] == locked["train@digits"]["outs"][0]["md5"]
    assert run.datasets == [["digits", locked["featurize@digits"]["outs"][0]["md5"][:8]]]
    assert {"model_card.md", "plots/roc.csv", "plots/learning_curve.csv"} <= set(run.files)
    assert Path(run.card).read_bytes() == (settled.root / "bundles/digits/README.md").read_bytes()


def test_a_run_that_is_mirrored_again_stays_one_run(settled, server: str, read_back) -> None:
    to = ("--to", server, "--experiment", "again", "--dataset", "digits")
    settled.run("python", "-m", "stages.mirror", *to)
    (before,) = read_back("again")
    settled.run("git", "commit", "--quiet", "--allow-empty", "--message", "notes")
    said = settled.read("python", "-m", "stages.mirror", "HEAD~1", "main", "workspace", *to)
    (after,) = read_back("again")
    assert re.findall(r"runs/(\w+)", said) == [before.id] * 3
    assert (after.params, after.metrics, after.valid, after.files) == (
        before.params, before.metrics, before.valid, before.files,
    )  # fmt: skip
    assert after.tags["plumbline.committed"] == "true"
    settled.run("git", "reset", "--quiet", "--soft", "HEAD~1")


def test_an_experiment_and_its_baseline_are_two_runs_with_their_names(settled, server: str, read_back) -> None:
    change = (
        "-S",
        "datasets.digits.model.max_depth=2",
        "-S",
        f"tracking.mlflow={server}",
        "-S",
        "tracking.experiment=two",
    )
    settled.run("dvc", "exp", "run", "--name", "shallow", *change, "package@digits")
    settled.run("python", "-m", "stages.mirror", "main", "--to", server, "--experiment", "two", "--dataset", "digits")
    depths = {run.name.split()[2]: run.params["model.max_depth"] for run in read_back("two")}
    assert depths["shallow"] == "2" and depths["main"] != "2" and len(depths) == 2
    mirrored = settled.read(
        "python", "-m", "stages.mirror", "shallow", "--to", server, "--experiment", "two", "--dataset", "digits"
    )
    assert len(read_back("two")) == 2 and "shallow" in mirrored
    settled.run("dvc", "exp", "remove", "shallow")


def test_a_run_cut_short_is_completed_by_the_next(settled, server: str, read_back, monkeypatch) -> None:
    """The run exists with its tag alone, as after a connection that broke."""
    to = ("--to", server, "--dataset", "digits", "--experiment")
    settled.run("python", "-m", "stages.mirror", *to, "whole")
    (whole,) = read_back("whole")
    call(server, "experiments/create", {"name": "cut"})
    tags = [{"key": "plumbline.run", "value": whole.tags["plumbline.run"]}]
    begun = call(server, "runs/create", {"experiment_id": experiment_id(server, "cut"), "start_time": 5, "tags": tags})
    settled.run("python", "-m", "stages.mirror", *to, "cut")
    (run,) = (found for found in read_back("cut"))
    assert run.id == begun["run"]["info"]["run_id"] and run.status == "FINISHED"
    assert (run.params, run.metrics, run.valid) == (whole.params, whole.metrics, whole.valid)


def test_more_than_a_call_may_hold_is_written_in_several(server: str, read_back) -> None:
    mlflow = MlflowServer(server)
    run = mlflow.open_run(mlflow.open_experiment("long"), "plumbline.run", "a", started_ms=5)
    params = {f"p{n}": "x" * n for n in (*range(250), 9000)}
    mlflow.log(run, params, [("learning_curve/valid", n / 8, n) for n in range(2500)], {})
    mlflow.put_file(run, "model_card.md", b"#")
    (found,) = read_back("long")
    assert found.params == {name: text[:6000] for name, text in params.items()}
    assert found.valid == [[n, n / 8] for n in range(2500)]


def call(server: str, path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{server}/api/2.0/mlflow/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    return json.load(urllib.request.urlopen(request, timeout=30))


def experiment_id(server: str, name: str) -> str:
    address = f"{server}/api/2.0/mlflow/experiments/get-by-name?experiment_name={name}"
    return str(json.load(urllib.request.urlopen(address, timeout=30))["experiment"]["experiment_id"])
