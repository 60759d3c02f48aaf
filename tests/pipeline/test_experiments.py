"""Experiments as people run them: one changed parameter, a comparison, a queue, a slip of the keyboard, a way back."""

import csv
import io
import json
import time
from pathlib import Path

import pytest

DEPTH = "datasets.nycflights.model.max_depth"


@pytest.fixture(scope="module")
def deeper(line) -> str:
    """What one experiment said; it is called ``deeper``, and the workspace is as before."""
    said = line.run("dvc", "exp", "run", "--name", "deeper", "--set-param", f"{DEPTH}=4")
    line.reset()
    return said


def test_one_changed_parameter_runs_only_what_depends_on_it(deeper: str, read_log) -> None:
    ran, _ = read_log
    assert ran(deeper) == [f"{stage}@nycflights" for stage in ("train", "evaluate", "retrain", "package", "report")]


def test_experiments_are_listed_with_their_parameters_and_metrics(line, deeper: str) -> None:
    listed = csv.DictReader(io.StringIO(line.read("dvc", "exp", "show", "--csv")))
    rows = {row["Experiment"] or row["rev"]: row for row in listed}
    assert rows["deeper"][DEPTH] == "4"
    value = next(name for name in rows["deeper"] if name.endswith("roc_auc.value") and rows["deeper"][name])
    assert float(rows["deeper"][value]) != float(rows["main"][value])
    revisions = json.loads(line.read("dvc", "exp", "show", "--json"))
    assert any(experiment["name"] == "deeper" for entry in revisions for experiment in entry["experiments"] or [])


def test_two_revisions_are_compared_by_parameters_metrics_and_plots(line, deeper: str, tmp_path: Path) -> None:
    compared = json.loads(line.read("dvc", "exp", "diff", "main", "deeper", "--json"))
    assert compared["params"]["params.yaml"] == {DEPTH: {"old": 5, "new": 4, "diff": -1}}
    assert set(compared["metrics"]) == {"metrics/nycflights/test.json"}
    metrics = json.loads(line.read("dvc", "metrics", "diff", "main", "deeper", "--json"))
    change = metrics["metrics/nycflights/test.json"]["nycflights.log_loss.value"]
    assert change["new"] - change["old"] == pytest.approx(change["diff"])
    line.run("dvc", "plots", "diff", "main", "deeper", "--out", str(tmp_path))
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert all(mark in page for mark in ('"rev": "deeper"', '"rev": "main"', "plots/nycflights/roc.csv"))


def test_going_back_restores_what_was_run_before_and_runs_nothing(settled, deeper: str, read_log) -> None:
    ran, restored = read_log
    tail = ["train@nycflights", "evaluate@nycflights", "package@nycflights"]
    there = settled.run("dvc", "exp", "run", "--set-param", f"{DEPTH}=4", "package@nycflights")
    assert (ran(there), restored(there)) == ([], tail)
    back = settled.run("dvc", "exp", "run", "package@nycflights")
    assert (ran(back), restored(back)) == ([], tail)
    assert settled.changes() == []


@pytest.mark.slow
def test_a_queue_runs_every_combination_and_leaves_the_workspace_alone(line) -> None:
    depth = "datasets.digits.model.max_depth"
    queued = line.run("dvc", "exp", "run", "--queue", "--set-param", f"{depth}=3,5", "evaluate@digits")
    assert queued.count("Queued experiment") == 2
    line.run("dvc", "queue", "start", "--jobs", "1")
    deadline = time.monotonic() + 300
    while (states := line.read("dvc", "queue", "status")).count("Success") != 2:
        assert "Failed" not in states, states
        assert time.monotonic() < deadline, states
        time.sleep(2)
    line.run("dvc", "queue", "stop")
    rows = csv.DictReader(io.StringIO(line.read("dvc", "exp", "show", "--csv")))
    assert {"3", "5"} <= {row[depth] for row in rows if row["Experiment"]}
    assert line.changes() == []


@pytest.mark.parametrize(
    ("slip", "told"),
    [
        ("datasets.digits.model.max_dpth=3", "full_key: datasets.digits.model.max_dpth"),
        pytest.param(
            "+datasets.digits.model.max_dpth=3",
            "datasets.digits.model.max_dpth: unknown key; did you mean 'max_depth'?",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "datasets.digits.model.max_depth=0",
            "datasets.digits.model.max_depth: Input should be greater than or equal to 1",
            marks=pytest.mark.slow,  # told by the same lines as an unknown key
        ),
    ],
)
def test_a_wrong_parameter_is_named_with_its_path_and_the_way_back_is_open(
    settled, read_log, slip: str, told: str
) -> None:
    ran, _ = read_log
    said = settled.run("dvc", "exp", "run", "--set-param", slip, "train@digits", fails=True)
    assert told in said
    assert "Traceback" not in said
    assert ran(settled.run("dvc", "exp", "run", "train@digits")) == []  # composed anew, restored from the run cache
    assert settled.changes() == []
