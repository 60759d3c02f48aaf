"""The command on small feature folders: figures beside scikit-learn, the same model as `train`, no look ahead."""

import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from stages import evaluate, train
from stages.cross_validate import main
from stages.experiments.folds.deal import PARTS
from stages.experiments.folds.runs import judge_folds
from stages.experiments.folds.table import time_folds
from stages.features.table import open_features, read_selection
from stages.metrics.settings import EvaluateSettings
from stages.models.boosting import BoostingSettings
from stages.workspace.errors import UserError, run_stage
from stages.workspace.settings import read_settings

FOLDER = Path("cross_validation/trial")
ROOT = Path(__file__).parents[2]
SMALL = {"max_rounds": 8, "evaluate": {"replicates": 80, "block": 2}}


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, folds: int = 2) -> dict[str, Any]:
    main("trial", "--folds", str(folds), *arguments)
    return json.loads((FOLDER / "cross_validation.json").read_text())


def files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(FOLDER.iterdir())}


def refused(*arguments: str) -> UserError:
    with pytest.raises(UserError) as caught:
        main(*arguments)
    assert not list(Path("cross_validation").rglob("*.part"))
    return caught.value


@pytest.mark.parametrize("is_read_only", [True, False])
def test_a_place_that_cannot_be_written_is_refused_before_the_folds(planted, monkeypatch, is_read_only) -> None:
    planted.write(planted.rows(), **SMALL)
    monkeypatch.setattr("stages.cross_validate.judge_folds", lambda *_: pytest.fail("folds were computed"))
    if is_read_only:  # root may write everywhere, so the system is asked to refuse
        refusal = OSError(errno.EROFS, os.strerror(errno.EROFS))
        monkeypatch.setattr("tempfile.TemporaryFile", Mock(side_effect=refusal))
    else:
        FOLDER.parent.write_text("", encoding="utf-8")
    with pytest.raises(
        SystemExit, match=r"wanted  to read and write cross_validation\nfound   (Read-only|Not a directory)"
    ):
        run_stage(main, ["trial", "--folds", "2"])


def test_a_fold_of_the_rows_that_train_and_evaluate_have_gives_their_figures(planted) -> None:
    planted.write(planted.rows(), **SMALL)  # 60 days: half train, a quarter valid, a quarter test
    fold = run()["folds"][1]
    train.main("trial")
    evaluate.main("trial")
    found = json.loads(Path("metrics/trial/results.json").read_text())
    training = json.loads(Path("models/trial/training.json").read_text())
    assert {part: fold[part]["rows"] for part in ("train", "valid")} == training["rows"]
    assert fold["rounds"] == training["best_round"] + 1
    for name, metric in found.items():
        assert {key: fold["metrics"][name][key] for key in ("value", "baseline", "n")} == {
            key: metric[key] for key in ("value", "baseline", "n")
        }
    assert fold["model_threshold"] == pytest.approx(found["accuracy"]["threshold"], rel=1e-5)


def test_pooled_figures_are_those_of_scikit_learn_on_the_rows(planted) -> None:
    planted.write(planted.rows(), **SMALL)
    found = run(folds=3)["metrics"]
    table = open_features("trial", columns=read_selection("trial"))
    model, judging = (
        read_settings(BoostingSettings, "trial", "model"),
        read_settings(EvaluateSettings, "trial", "evaluate"),
    )
    judged = judge_folds(time_folds(table, PARTS, 3), model, judging)
    for system, key in (("model", "value"), ("baseline", "baseline")):
        tests = [one.tested[system] for one in judged]
        labels, scores = (np.concatenate([getattr(test, name) for test in tests]) for name in ("labels", "scores"))
        said = np.concatenate([test.scores >= np.float32(test.decision.threshold) for test in tests])
        by_fold = [roc_auc_score(test.labels, test.scores) for test in tests]
        assert found["log_loss"][key] == pytest.approx(log_loss(labels, scores.astype(np.float64)), rel=1e-5)
        assert found["accuracy"][key] == pytest.approx(accuracy_score(labels, said), rel=1e-5)
        weights = [len(test.labels) for test in tests]
        assert found["roc_auc"][key] == pytest.approx(np.average(by_fold, weights=weights), rel=1e-5)
    assert found["roc_auc"]["low"] < found["roc_auc"]["value"] < found["roc_auc"]["high"]
    assert {name for name, metric in found.items() if metric["over_folds"] == "mean"} == {
        "roc_auc",
        "average_precision",
    }


def test_what_comes_after_a_test_never_changes_that_fold(planted) -> None:
    rows = planted.rows(n=1500)
    planted.write(rows, **SMALL)
    before = run(folds=3)["folds"]
    after = pl.col("day").cast(pl.String) > before[0]["test"]["last"]
    poisoned = rows.with_columns(
        target=pl.when(after).then(1 - pl.col("target")).otherwise("target"),
        hour=pl.when(after).then(pl.col("hour") * -50).otherwise("hour"),
    )
    sketches = Path("data/features/trial/sketches.json").read_bytes()
    planted.write(poisoned, **SMALL)
    Path("data/features/trial/sketches.json").write_bytes(sketches)  # bin edges of the baseline: of the train part
    now = run(folds=3)["folds"]
    assert now[0] == before[0]
    assert all(now[k]["metrics"]["roc_auc"]["value"] != before[k]["metrics"]["roc_auc"]["value"] for k in (1, 2))


def test_the_files_are_equal_to_the_byte_for_any_threads_workers_and_cut_into_partitions(
    planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    for threads, workers, partitions in ((1, 1, 5), (2, 2, 5), (2, 1, 3)):
        planted.write(planted.rows(n=1200), partitions=partitions, threads=threads, **SMALL)
        monkeypatch.setenv("PLUMBLINE_WORKERS", str(workers))
        run()
        seen.append(files())
    assert seen[0] == seen[1] == seen[2]
    assert set(seen[0]) == {"cross_validation.json", "cross_validation.csv", "cross_validation.md"}


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_other_tasks_are_told_too(planted, task: str, capsys: pytest.CaptureFixture[str]) -> None:
    planted.write(planted.rows(task, n=1500), task, **SMALL)
    record = run(folds=2)
    said, lead = capsys.readouterr().out, next(iter(record["metrics"]))
    assert f"{lead} " in said and "rolling origin over day" in said
    assert all("model_threshold" not in fold for fold in record["folds"])


def test_independent_rows_are_dealt_and_every_row_is_tested_once(planted) -> None:
    rows, task, classes = planted.real("diabetes")
    planted.write(rows, task, classes, max_rounds=5)
    record = run("--metric", "rmse", folds=3)
    assert record["scheme"] == "k-fold" and record["resampled"] == "rows"
    assert sum(fold["test"]["rows"] for fold in record["folds"]) == len(rows) == record["units"]
    page = (FOLDER / "cross_validation.md").read_text()
    assert "RMSE by fold" in page and "dealt at random" in page


def test_rows_are_resampled_where_settings_say_so_and_the_order_of_days_still_holds(planted) -> None:
    planted.write(planted.rows(n=900), max_rounds=5, evaluate={"resample": "rows"})
    record = run()
    assert record["resampled"] == "rows" and record["scheme"] == "rolling origin" and record["block"] == 1
    assert record["units"] == sum(fold["test"]["rows"] for fold in record["folds"])


def test_the_test_part_can_be_left_out(planted) -> None:
    planted.write(planted.rows(n=1500), **SMALL)
    days = pl.read_parquet("data/features/trial/*.parquet").filter(pl.col("part") == "test")["day"]
    record = run("--parts", "train,valid")
    assert record["folds"][-1]["test"]["last"] < str(days.min())


def test_tables_say_metric_interval_and_baseline_fold_by_fold(planted, capsys: pytest.CaptureFixture[str]) -> None:
    planted.write(planted.rows(n=1500), **SMALL)
    record = run("--metric", "expected_cost")
    said, found = capsys.readouterr().out, record["folds"][0]["metrics"]["expected_cost"]
    assert f"[{found['low']:.4f}, {found['high']:.4f}]" in said
    assert f"{record['folds'][0]['test']['first']} … {record['folds'][0]['test']['last']}" in said
    table = pl.read_csv(FOLDER / "cross_validation.csv")
    assert table.filter(pl.col("fold") == "all")["metric"].to_list() == list(record["metrics"])
    by_fold = table.filter((pl.col("fold") == "2") & (pl.col("metric") == "roc_auc"))
    assert by_fold["value"].item() == record["folds"][1]["metrics"]["roc_auc"]["value"]


def test_what_cannot_be_done_is_refused_before_training_and_leaves_earlier_files(planted) -> None:
    planted.write(planted.rows(n=1500), **SMALL)
    run()
    before = files()
    assert "known: trial" in refused("nowhere").found
    assert refused("trial", "--folds", "1").found == "1"
    assert "61 units" in refused("trial", "--folds", "59").wanted
    assert refused("trial", "--folds", "25").found.startswith("2 in fold")  # days to draw runs of two from
    assert refused("trial", "--parts", "").found == "none"
    assert "roc_auc" in refused("trial", "--metric", "auc").next_step
    planted.write(planted.rows(n=1500).with_columns(part=pl.lit("train")), **SMALL)
    assert "parts valid, test" in refused("trial", "--parts", "valid,test").wanted
    late = (pl.col("day").dt.ordinal_day() > 20).cast(pl.Int8)
    planted.write(planted.rows(n=1500).with_columns(target=late), **SMALL)
    assert "train part of fold 1" in refused("trial", "--folds", "2").wanted
    planted.write(planted.rows(n=1500), dropped=("hour", "wind", "carrier", "rain", "never_known"), **SMALL)
    assert "at least one selected feature" in refused("trial").wanted
    planted.write(planted.rows(n=1500), **SMALL)
    Path("data/features/trial/manifest.json").unlink()
    assert "complete folder" in refused("trial").wanted
    assert files() == before


def test_a_full_disk_leaves_the_files_of_the_earlier_run(planted) -> None:
    planted.write(planted.rows(n=900), **SMALL)
    run()
    before = files()

    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    done = subprocess.run(
        [sys.executable, "-m", "stages.cross_validate", "trial", "--folds", "2"], check=False, preexec_fn=no_room,
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode == 1 and "the disk is full" in done.stderr, done.stderr
    assert files() == before
    assert not list(Path("cross_validation").rglob("*.part"))
