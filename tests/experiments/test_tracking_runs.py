"""What is mirrored of a run, at any revision; and that a server which does not answer costs one warning."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.experiments.revisions.revisions import resolve
from stages.experiments.tracking.runs import flatten, read_run, recorded_datasets
from stages.runtime import tracking
from stages.workspace.errors import UserError

ROOT = Path(__file__).parents[2]
RESULT = {"value": 0.75, "low": 0.7, "high": 0.8, "level": 0.95, "n": 10, "direction": "higher", "baseline": 0.5,
          "baseline_low": 0.4, "difference": 0.25, "difference_low": None}  # fmt: skip
FILES = {
    "metrics/pears/clean.json": json.dumps({"records": {"rows_in": 10}, "failures": {"price in_range(0, 9)": 2}}),
    "metrics/pears/results.json": json.dumps({"roc_auc": RESULT}),
    "plots/pears/learning_curve.csv": "round,part,loss\n0,train,0.5\n1,train,0.25\n0,valid,0.6\n1,valid,0.4\n",
    "plots/pears/roc.csv": "x,y\n0,1\n",
    "bundles/pears/README.md": "# Model card: pears\n\n## Use\n",
}
PARAMS = {
    "download": {"mirror": "https://ada:secret@host/pears", "sources": [{"bytes": 7}, {"bytes": 8}]},
    "train": {"max_depth": 3, "distributed": False},
    "evaluate": {"level": 0.95, "segments": ["shop", "month"]},
}
MADE_BY = {
    "clean": ["data/clean/pears", "metrics/pears/clean.json"],
    "train": ["models/pears", "plots/pears/learning_curve.csv"],
    "evaluate": ["metrics/pears/results.json", "plots/pears/roc.csv"],
    "featurize": ["data/features/pears"],
    "package": ["bundles/pears"],
}
READ_BY = {"featurize": ["data/clean/pears"], "train": ["data/features/pears"], "evaluate": ["models/pears"],
           "package": ["models/pears", "metrics/pears/results.json"]}  # fmt: skip


def md5_of(path: str) -> str:
    return hashlib.md5(FILES.get(path, path).encode()).hexdigest()


def write_lock(**changed: str) -> None:
    """``dvc.lock`` of one run; ``changed`` gives outputs of a stage another hash than later stages have read."""
    stages: dict[str, Any] = {}
    for stage in ("download", "clean", "featurize", "select_features", "train", "evaluate", "package"):
        hashes = {path: changed.get(stage, "") + md5_of(path) for path in MADE_BY.get(stage, [])}
        section = {"train": "model"}.get(stage, stage)
        stages[f"{stage}@pears"] = {
            "deps": [{"path": path, "md5": md5_of(path)} for path in READ_BY.get(stage, [])],
            "params": {"params.yaml": {f"datasets.pears.{section}": PARAMS.get(stage, {}), "seed": 7}},
            "outs": [{"path": path, "hash": "md5", "md5": md5} for path, md5 in hashes.items()],
        }
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))


def git(*command: str) -> str:
    people = {f"GIT_{who}_{what}": "test@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(["git", *command], env={**kept, **people}, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def run_of_pears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository with a committed run of one dataset; its bundle is in no cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    for name, text in FILES.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    write_lock()
    Path(".gitignore").write_text("/bundles/\n")
    git("init", "--quiet", "--initial-branch=main")
    git("add", "--all")
    git("commit", "--quiet", "--message", "a run")
    return tmp_path


def pears() -> Any:
    return read_run(resolve("workspace"), "pears")


def test_a_run_is_told_with_parameters_metrics_and_curve(run_of_pears: Path) -> None:
    run = pears()
    assert run.params["model.max_depth"] == "3" and run.params["seed"] == "7"
    assert run.metrics == {
        "roc_auc": 0.75, "roc_auc/low": 0.7, "roc_auc/high": 0.8, "roc_auc/baseline": 0.5, "roc_auc/difference": 0.25,
        "clean/records/rows_in": 10.0, "clean/failures/price in_range_0_ 9_": 2.0,
    }  # fmt: skip
    assert run.curve == {"train": [0.5, 0.25], "valid": [0.6, 0.4]}
    assert sorted(run.files) == ["model_card.md", "plots/learning_curve.csv", "plots/roc.csv"]
    assert run.commit == git("rev-parse", "HEAD").strip()
    assert run.committed_s == int(git("show", "--no-patch", "--format=%ct"))


def test_parameters_become_flat_and_lose_passwords() -> None:
    assert flatten(PARAMS["download"], "download") == {
        "download.mirror": "https://host/pears", "download.sources.0.bytes": "7", "download.sources.1.bytes": "8",
    }  # fmt: skip
    assert flatten({"a": None, "b": True, "c": [1, "x"], "d": {}}, "p") == {
        "p.a": "null",
        "p.b": "true",
        "p.c": '[1, "x"]',
    }


def test_the_same_results_are_the_same_run_whatever_the_revision(run_of_pears: Path) -> None:
    before = pears().fingerprint
    Path("notes.md").write_text("another commit\n")
    git("add", "--all")
    git("commit", "--quiet", "--message", "notes")
    assert {read_run(resolve(name), "pears").fingerprint for name in ("workspace", "main", "HEAD~1")} == {before}


@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_another_parameter_is_another_run_that_no_commit_holds(run_of_pears: Path, stage: str, monkeypatch) -> None:
    before = pears().fingerprint
    monkeypatch.setitem(PARAMS[stage], "level", 0.9)
    write_lock()
    assert pears().fingerprint != before
    assert pears().committed_s is None and pears().commit is not None


def test_results_of_an_earlier_model_are_refused(run_of_pears: Path) -> None:
    write_lock(train="0")
    with pytest.raises(UserError, match="evaluate ran before its inputs were made again"):
        pears()


def test_a_card_of_earlier_results_is_left_out_until_it_is_packaged_again(run_of_pears: Path) -> None:
    Path("metrics/pears/results.json").write_text(json.dumps({"roc_auc": RESULT, "f1": RESULT}))
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    lock["stages"]["evaluate@pears"]["outs"][0]["md5"] = hashlib.md5(
        Path("metrics/pears/results.json").read_bytes()
    ).hexdigest()
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    assert "model_card.md" not in pears().files
    assert "model_card.md" in read_run(resolve("workspace"), "pears", just_packaged=True).files


def test_a_run_from_before_results_had_a_file_of_their_own_is_read(run_of_pears: Path) -> None:
    before = pears().metrics
    Path("metrics/pears/results.json").rename("metrics/pears/test.json")
    Path("dvc.lock").write_text(Path("dvc.lock").read_text().replace("results.json", "test.json"))
    assert pears().metrics == before


def test_metrics_that_somebody_edited_are_refused(run_of_pears: Path) -> None:
    Path("metrics/pears/results.json").write_text(json.dumps({"roc_auc": {**RESULT, "value": 0.99}}))
    with pytest.raises(UserError, match=r"results\.json as dvc.lock records it"):
        pears()


def test_a_dataset_that_never_ran_is_named_beside_those_that_did(run_of_pears: Path) -> None:
    assert recorded_datasets(resolve("workspace")) == ["pears"]
    with pytest.raises(UserError, match="evaluated there: pears"):
        read_run(resolve("main"), "plums")


def test_files_that_are_nowhere_are_named_and_the_rest_is_read(run_of_pears: Path) -> None:
    Path("bundles/pears/README.md").unlink()
    run = pears()
    assert run.missing == ("bundles/pears/README.md",) and "plots/roc.csv" in run.files


def warned(address: str, caplog: pytest.LogCaptureFixture, patience_s: float = 60.0) -> str:
    """The one warning that a run ends with when its server does not take it."""
    Path("params.yaml").write_text(yaml.safe_dump({"tracking": {"mlflow": address}}))
    tracking.mirror_after("pears", patience_s)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "\n" not in warning and "python -m stages.mirror --dataset pears" in warning
    return warning


def test_a_server_that_is_not_there_costs_one_warning(run_of_pears: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    assert "nothing answers there" in warned(address, caplog)


def test_a_server_that_never_answers_is_not_waited_for(run_of_pears: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        assert "not done within 2 s" in warned(f"http://127.0.0.1:{silent.getsockname()[1]}", caplog, patience_s=2.0)
        assert time.monotonic() - started < 30


def test_without_an_address_nothing_is_started(run_of_pears: Path, caplog: pytest.LogCaptureFixture) -> None:
    Path("params.yaml").write_text(yaml.safe_dump({"tracking": {"mlflow": None}}))
    tracking.mirror_after("pears")
    assert caplog.records == []


def test_the_command_fails_loudly(run_of_pears: Path) -> None:
    Path("params.yaml").write_text("seed: 1\n")
    command = [sys.executable, "-m", "stages.mirror", "main"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 1 and "wanted  the address of an MLflow server" in done.stderr
