"""The command on small feature folders: it never sees the test part, survives kill -9, claims no more than it found."""

import csv
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from sklearn.metrics import roc_auc_score

from stages import train, tune
from stages.experiments.tuning.confirmation import seed_of
from stages.experiments.tuning.overrides import composed_params
from stages.features.table import open_features, read_selection, read_sketches
from stages.models.boosting import FAMILY
from stages.models.families import fit_model, read_model
from stages.models.rows import Share
from stages.tune import main
from stages.workspace.errors import UserError
from tools.params import compose_params as compose_by_tools

ROOT = Path(__file__).parents[2]
SPACE = {
    "max_depth": {"low": 1, "high": 6},
    "learning_rate": {"low": 0.02, "high": 0.5, "log": True},
    "subsample": {"low": 0.5, "high": 1.0},
}
TUNE = {"metric": "loss", "trials": 5, "minutes": None, "folds": 0, "pruner": "none", "confirm": 0, "storage": None,
        "space": SPACE}  # fmt: skip
TRIALS, WINNER = Path("tuning/trial/trials.csv"), Path("params/model/tuned_trial.yaml")
POOR = {"max_depth": 1, "learning_rate": 0.02, "max_rounds": 15}  # so that a search finds something better


@pytest.fixture
def prepare(planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes a folder ready to be tuned: features, parameters under params/, and their composition."""

    def write(rows: pl.DataFrame | None = None, task: str = "binary", folder: str = "w", **changes) -> None:
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / folder)
        own = changes.pop("in_dataset_file", {})
        tune = {**TUNE, **changes.pop("tune", {})}
        planted.write(planted.rows(task) if rows is None else rows, task, **{**POOR, **changes})
        params = yaml.safe_load(Path("params.yaml").read_text())
        dataset = params.pop("datasets")["trial"]
        contents = {
            "model/boosting": dataset["model"],
            "tune/trial": tune,
            "dataset/trial": {
                "defaults": [{"/model@model": "boosting"}, {"/tune@tune": "trial"}, "_self_"],
                "evaluate": dataset["evaluate"],
                **({"model": own} if own else {}),
            },
            "config": {"defaults": [{"dataset@datasets.trial": "trial"}, "_self_"], **params},
        }
        for name, content in contents.items():
            path = Path(f"params/{name}.yaml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(yaml.safe_dump(content, sort_keys=False))
        Path(".dvc").mkdir(exist_ok=True)
        Path(".dvc/config").write_text("[hydra]\n    enabled = true\n    config_dir = params\n")
        stages = {"train": {"foreach": {}}, "evaluate": {"foreach": {}}}
        Path("dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
        Path("params.yaml").write_text(compose_by_tools(Path.cwd()))

    return write


def trials() -> list[dict[str, str]]:
    return list(csv.DictReader(TRIALS.open(encoding="utf-8")))


def decided() -> list[tuple]:
    """What was tried and what came of it, apart from how long it took."""
    return [tuple(v for k, v in trial.items() if k not in ("number", "seconds")) for trial in trials()]


def model() -> dict:
    return yaml.safe_load(Path("params.yaml").read_text())["datasets"]["trial"]["model"]


def test_the_winner_is_written_as_what_differs_and_trains_to_the_loss_of_its_trial(prepare, capsys) -> None:
    prepare(tune={"trials": 8})
    before = model()
    main("trial", "--no-run")
    said = capsys.readouterr().out
    values = [float(trial["loss"]) for trial in trials()]
    best = trials()[int(np.argmin(values))]
    assert f"{values[0]:.6g} → {min(values):.6g}" in said and "part of that is luck" in said
    assert "python -m stages.compare HEAD tuned-trial --dataset trial" in said
    written = yaml.safe_load(WINNER.read_text())
    assert written.pop("defaults") == ["boosting", "_self_"]
    assert {name: str(value) for name, value in written.items()} == {
        name: best[name] for name in SPACE if best[name] != str(before[name])
    }
    assert f"trial {best['trial']} of 8 of the study trial" in WINNER.read_text()
    command = re.search(r"dvc exp run -n tuned-trial -S (\S+) train@trial evaluate@trial$", said, re.M)
    assert command
    composed = composed_params([command[1]])
    Path("params.yaml").write_text(yaml.safe_dump(composed))
    assert {**before, **written} == model()
    train.main("trial")
    assert json.loads(Path("models/trial/training.json").read_text())["valid_loss"] == round(min(values), 6)


def test_the_first_trial_is_the_present_model_itself(prepare) -> None:
    prepare(tune={"trials": 1})
    train.main("trial")
    main("trial", "--no-run")
    assert (
        round(float(trials()[0]["loss"]), 6) == json.loads(Path("models/trial/training.json").read_text())["valid_loss"]
    )
    assert {name: float(trials()[0][name]) for name in SPACE} == {name: model()[name] for name in SPACE}


def test_settings_that_nothing_beats_stay_and_nothing_is_written(prepare, capsys) -> None:
    prepare(max_depth=3, learning_rate=0.3, max_rounds=30, tune={"trials": 2, "space": {
        "min_child_weight": {"choices": [1.0, 1e6]}}})  # fmt: skip
    main("trial", "--no-run")
    assert "None of 2 trials beat the present parameters" in capsys.readouterr().out
    assert not WINNER.exists()


def test_rows_of_the_test_part_are_never_looked_at(prepare, planted) -> None:
    rows = planted.rows()
    is_test = pl.col("part") == "test"
    poisoned = rows.with_columns(
        pl.when(is_test)
        .then(99)
        .otherwise("target")
        .cast(pl.Int8)
        .alias("target"),  # no class: XGBoost would refuse it
        pl.when(is_test).then(float("inf")).otherwise("hour").cast(pl.Float32).alias("hour"),
        pl.when(is_test).then(pl.lit("never seen")).otherwise("carrier").alias("carrier"),
    )
    seen = []
    for folder, table in (("whole", rows), ("poisoned", poisoned)):
        for metric, folds in (("loss", 0), ("expected_cost", 2)):
            prepare(table, folder=folder, tune={"trials": 2, "metric": metric, "folds": folds})
            main("trial", "--no-run", "--fresh")
            seen.append(decided())
    assert seen[:2] == seen[2:]


def test_a_metric_of_the_task_is_that_of_the_valid_part(prepare) -> None:
    prepare(tune={"trials": 3, "metric": "roc_auc"})
    main("trial", "--no-run")
    best = max(trials(), key=lambda trial: float(trial["roc_auc"]))
    chosen = {name: yaml.safe_load(best[name]) for name in SPACE}
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["datasets"]["trial"]["model"] |= chosen
    Path("params.yaml").write_text(yaml.safe_dump(params))
    train.main("trial")
    names = read_selection("trial")
    valid = pl.concat(open_features("trial", columns=names).frames("valid"))
    auc = roc_auc_score(valid["target"], read_model(Path("models/trial"), FAMILY).predict(valid))
    assert float(best["roc_auc"]) == pytest.approx(auc, abs=1e-12)


@pytest.mark.parametrize("task", ["multiclass", pytest.param("regression", marks=pytest.mark.slow)])
def test_every_task_is_tuned_also_over_folds(prepare, task: str) -> None:
    prepare(task=task, tune={"trials": 2, "folds": 2, "pruner": "median"})
    main("trial", "--no-run")
    assert [trial["state"] for trial in trials()] == ["complete"] * 2


def test_rows_are_read_once_whatever_is_searched_and_again_only_for_other_bins(prepare, monkeypatch) -> None:
    opened: list[str] = []
    read = train.FeatureTable.frames
    monkeypatch.setattr(train.FeatureTable, "frames", lambda self, part: opened.append(part) or read(self, part))
    counts = []
    for n_trials, bins in ((1, [32]), (3, [32]), (4, [16, 32])):
        opened.clear()
        space = {**SPACE, "max_bin": {"choices": bins}}
        prepare(tune={"trials": n_trials, "space": space}, folder=f"{n_trials}")
        main("trial", "--no-run")
        counts.append(len(opened))
    assert len({trial["max_bin"] for trial in trials()}) == 2
    assert counts[1] == counts[0] and counts[2] == 2 * counts[0]


def started(*arguments: str) -> "subprocess.Popen[str]":
    words = [sys.executable, "-m", "stages.tune", "trial", "--no-run", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def is_running(number: int) -> bool:
    """Whether trial ``number`` or a later one is at work; asked beside the process that works."""
    if not Path("tuning/trial/study.db").exists():
        return False
    connection = sqlite3.connect("file:tuning/trial/study.db?mode=ro", uri=True)
    try:
        asked = "select count(*) from trials where state = 'RUNNING' and number >= ?"
        return connection.execute(asked, (number,)).fetchone()[0] > 0
    except sqlite3.OperationalError:
        return False  # the tables are being made, or it is in the midst of a write
    finally:
        connection.close()


def stop_within_trial(process: "subprocess.Popen[str]", number: int) -> None:
    """Stop the process (SIGSTOP) while trial ``number`` or a later one is running."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if is_running(number):
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.05)  # until all its threads have
            if is_running(number):
                return
            process.send_signal(signal.SIGCONT)
        time.sleep(0.02)
    process.kill()
    pytest.fail(f"the trial was never seen running: {process.communicate()}")


def test_a_search_killed_and_resumed_ends_like_one_that_was_left_alone(prepare, capsys, caplog) -> None:
    slow = {"max_rounds": 80, "early_stopping_rounds": 80, "tune": {"trials": 5, "pruner": "median"}}
    prepare(folder="alone", **slow)
    main("trial", "--no-run")
    alone, winner = decided(), WINNER.read_text()
    prepare(folder="killed", **slow)
    process = started()
    stop_within_trial(process, 2)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not TRIALS.exists()
    caplog.set_level("INFO")
    main("trial", "--no-run")
    assert "cut short and tried again: 1" in caplog.text
    assert decided() == alone
    assert WINNER.read_text() == winner


def test_the_best_few_are_trained_again_from_fresh_seeds_and_the_shrinkage_is_told(
    prepare, capsys, monkeypatch
) -> None:
    prepare(tune={"trials": 6, "confirm": 2})
    main("trial", "--no-run")
    said = capsys.readouterr().out
    found = re.search(r"loss (\S+) searched → (\S+) \[(\S+), (\S+)\] confirmed", said)
    assert found and float(found[3]) <= float(found[2]) <= float(found[4])
    assert "against the present parameters, from the same seeds, −0." in said
    assert found[0] in WINNER.read_text()
    (winner,) = [trial for trial in trials() if f"{float(trial['loss']):.6g}" == found[1]]
    settings = {**model(), **{name: type(model()[name])(winner[name]) for name in SPACE}}
    table, losses = open_features("trial", columns=read_selection("trial")), []
    for number in range(3):
        monkeypatch.setattr("stages.models.families.child_seed", lambda seed, *_, n=number: seed_of(n, seed, "trial"))
        fit = fit_model(Share(table, table), read_sketches("trial"), FAMILY.settings(**settings), lambda *_: None, "x")
        losses.append(fit.best)
    assert float(found[2]) == pytest.approx(np.mean(losses), abs=10.0 ** -len(found[2].partition(".")[2]))
    assert len(set(losses)) == 3


def test_fresh_trainings_that_were_cut_short_go_on_where_they_were(prepare, capsys, monkeypatch) -> None:
    prepare(tune={"trials": 5, "confirm": 2})
    main("trial", "--no-run")
    alone = capsys.readouterr().out
    done, train_afresh = [], tune.train_afresh

    def counted(*arguments) -> float | None:
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(train_afresh(*arguments))
        return done[-1]

    monkeypatch.setattr(tune, "train_afresh", counted)
    with pytest.raises(SystemExit):
        main("trial", "--no-run", "--fresh")
    monkeypatch.setattr(tune, "train_afresh", lambda *arguments: done.append(train_afresh(*arguments)) or done[-1])
    capsys.readouterr()
    main("trial", "--no-run")
    assert len(done) == 9  # three of two trials and of the present settings: none twice
    assert capsys.readouterr().out == alone


def test_an_interrupted_search_says_how_to_go_on_and_ends_with_the_status_of_one(prepare) -> None:
    prepare(max_rounds=80, early_stopping_rounds=80, tune={"trials": 1000})
    process = started()
    stop_within_trial(process, 1)
    process.send_signal(signal.SIGINT)  # what Ctrl-C sends
    process.send_signal(signal.SIGCONT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "run the same command again to go on" in said
    main("trial", "--no-run", "--trials", "1")
    assert all(trial["state"] == "complete" for trial in trials())


def test_time_may_run_out_and_no_further_trial_begins(prepare, capsys, caplog) -> None:
    prepare(tune={"trials": 500})
    caplog.set_level("INFO")
    main("trial", "--no-run", "--minutes", "0.01")
    assert 1 <= len(trials()) < 500
    assert re.search(r"time is up after \d+ of 500 trials", caplog.text)


def test_a_study_goes_on_with_more_trials_and_is_not_mixed_with_another_question(prepare, capsys) -> None:
    prepare()
    main("trial", "--no-run", "--trials", "2")
    before = decided()
    main("trial", "--no-run", "--trials", "4")
    assert decided()[:2] == before and len(decided()) == 4
    with pytest.raises(UserError, match="metric: loss, now roc_auc"):
        main("trial", "--no-run", "--metric", "roc_auc")
    main("trial", "--no-run", "--metric", "roc_auc", "--trials", "1", "--name", "ranking")
    assert Path("tuning/trial/ranking/trials.csv").exists() and len(decided()) == 4
    main("trial", "--no-run", "--metric", "roc_auc", "--trials", "1", "--fresh")
    assert len(trials()) == 1 and "roc_auc" in trials()[0]


def test_other_rows_are_another_question(prepare, planted) -> None:
    prepare()
    main("trial", "--no-run", "--trials", "1")
    prepare(planted.rows(seed=2))
    with pytest.raises(UserError, match="rows: "):
        main("trial", "--no-run", "--trials", "1")


def test_what_the_datasets_own_file_overrules_is_overridden_by_the_command(prepare, capsys) -> None:
    prepare(tune={"trials": 6}, in_dataset_file={"max_depth": 1, "learning_rate": 0.02})
    main("trial", "--no-run")
    said = capsys.readouterr().out
    overrides = re.findall(r"-S (\S+)", said)
    assert len(overrides) == 3
    best = min(trials(), key=lambda trial: float(trial["loss"]))
    composed = composed_params(overrides)["datasets"]["trial"]["model"]
    assert {name: str(composed[name]) for name in SPACE} == {name: best[name] for name in SPACE}
    assert "max_depth, learning_rate" in said
