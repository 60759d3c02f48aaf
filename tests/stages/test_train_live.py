"""Live curves: what DVCLive shows while a model trains, without a trace in outputs, git or dvc.yaml."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stages.train import main
from stages.workspace.errors import UserError

ROOT = Path(__file__).parents[2]
MODEL, CURVE, LIVE = Path("models/trial"), Path("plots/trial/learning_curve.csv"), Path("dvclive/trial")


def run(*command: str) -> str:
    people = {f"GIT_{who}_{what}": "test@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_"))}
    environment = {**kept, **people, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ask_for(live: bool) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    Path("params.yaml").write_text(yaml.safe_dump({**params, "tracking": {"live": live}}))


def outputs() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in [*sorted(MODEL.iterdir()), CURVE]}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted) -> None:
    """A git and DVC repository with rows to train on."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("DVC")]:
        monkeypatch.delenv(name)
    run("git", "init", "--quiet")
    run(sys.executable, "-m", "dvc", "init", "--quiet")
    planted.write(planted.rows(n=1500), max_rounds=6)
    ask_for(live=True)
    Path(".gitignore").write_text("/data/\n/models/\n/plots/\n/dvclive/\n")
    run("git", "add", "--all")
    run("git", "commit", "--quiet", "--message", "before")


def test_curves_hold_every_round_and_leave_outputs_git_and_dvc_alone(workspace) -> None:
    main("trial")
    live, git_sees = outputs(), run("git", "status", "--porcelain", "--untracked-files=all")
    with CURVE.open() as file:
        losses = [(row["part"], int(row["round"]), float(row["loss"])) for row in csv.DictReader(file)]
    for part in ("train", "valid"):
        with (LIVE / f"plots/metrics/{part}/loss.tsv").open() as file:
            shown = [
                (part, int(row["step"]), round(float(row["loss"]), 6)) for row in csv.DictReader(file, delimiter="\t")
            ]
        assert shown == [loss for loss in losses if loss[0] == part]
    assert git_sees == "" and not Path("dvc.yaml").exists()
    assert run("git", "for-each-ref", "refs/exps") == "" and run("git", "stash", "list") == ""

    ask_for(live=False)
    main("trial")
    assert outputs() == live


def test_a_second_training_starts_new_curves(workspace) -> None:
    main("trial")
    once = (LIVE / "plots/metrics/valid/loss.tsv").read_text()
    main("trial")
    assert (LIVE / "plots/metrics/valid/loss.tsv").read_text() == once


def test_without_the_package_the_extra_is_named_before_anything_is_fitted(workspace, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "dvclive", None)  # as if it were not installed
    with pytest.raises(UserError, match="the extra `live`"):
        main("trial")
    assert not MODEL.exists()


def test_nothing_is_imported_for_those_who_did_not_ask(workspace) -> None:
    ask_for(live=False)
    code = "import sys; from stages.train import main; main('trial'); print('dvclive' in sys.modules)"
    assert run(sys.executable, "-c", code).strip() == "False"
    assert not LIVE.exists()
