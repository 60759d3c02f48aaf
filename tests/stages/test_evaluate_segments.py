"""Segments of the resampling table: the same rows as a filter would choose, in a table that stays small."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import brier_score_loss, log_loss, recall_score, roc_auc_score

from stages import evaluate, train
from stages.features.table import open_features, read_selection
from stages.metrics.bootstrap import draw_both
from stages.metrics.files import read_evaluation
from stages.metrics.paired import compare
from stages.metrics.stored import (
    OTHER,
    VALID,
    Segments,
    decision_of,
    months_of,
    segments_of,
    system_of,
    task_named,
    units_of,
    valid_units_of,
)
from stages.models.boosting import FAMILY
from stages.models.families import read_model
from stages.workspace.errors import UserError
from stages.workspace.files import read_json

DATASET = "trial"
TABLE = Path(f"data/evaluation/{DATASET}.parquet")


@pytest.fixture(scope="module")
def told_apart(planted: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a model without the carrier was evaluated, told apart by carrier."""
    root = tmp_path_factory.mktemp("segments")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        planted.write(planted.rows(n=6000), dropped=("carrier",), evaluate={"segments": ["carrier"]})
        train.main(DATASET)
        evaluate.main(DATASET)
    return root


def scored_rows() -> pl.DataFrame:
    """Day, carrier, label and score of every test row, by reading the features again."""
    table = open_features(DATASET, columns=read_selection(DATASET))
    model = read_model(Path("models") / DATASET, FAMILY)
    frames = []
    for frame in table.frames("test", extra=["day", "carrier"]):
        scores = model.predict(frame)
        frames.append(frame.select(pl.col("day").cast(pl.String), "carrier", "target").with_columns(score=scores))
    return pl.concat(frames)


def test_a_segment_scores_what_its_own_rows_score(told_apart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(told_apart)
    cells, header = read_evaluation(TABLE)
    rows, threshold = scored_rows(), np.float32(decision_of(header).threshold)
    assert segments_of(header) == segments_of(header, "carrier")
    assert len(segments_of(header)) == rows["carrier"].n_unique()  # no value is called (other) here
    for segment in segments_of(header):
        value = segment.removeprefix("carrier=")
        own = rows.filter(pl.col("carrier").is_null() if value == OTHER else pl.col("carrier") == value)
        exact = system_of(cells, header, segment=segment).exact
        labels, scores = own["target"].to_numpy(), own["score"].to_numpy().astype(np.float64)
        assert exact["recall"] == pytest.approx(recall_score(labels, own["score"].to_numpy() >= threshold))
        assert exact["roc_auc"] == pytest.approx(roc_auc_score(labels, scores), abs=0.02)
        assert exact["log_loss"] == pytest.approx(log_loss(labels, scores), abs=0.02)
        assert exact["brier"] == pytest.approx(brier_score_loss(labels, scores), abs=0.005)


def test_the_segments_of_a_column_hold_every_row_once(told_apart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(told_apart)
    cells, _ = read_evaluation(TABLE)
    key = ["system", "unit", "label"]
    whole = cells.filter(pl.col("segment") == "").group_by(key).agg(pl.col("n").sum()).sort(key)
    parts = cells.filter(~pl.col("segment").is_in(["", VALID])).group_by(key).agg(pl.col("n").sum()).sort(key)
    assert whole.equals(parts)


def test_a_stretch_of_days_scores_what_its_rows_score(told_apart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(told_apart)
    cells, header = read_evaluation(TABLE)
    (_, days), *_ = months_of(units_of(cells)).items()
    own = scored_rows().filter(pl.col("day").is_in(days))
    exact = system_of(cells, header, units=days).exact
    assert exact["roc_auc"] == pytest.approx(roc_auc_score(own["target"], own["score"]), abs=0.002)
    assert cells.filter(pl.col("unit").is_in(days))["unit"].n_unique() == len(days)


def test_the_whole_part_keeps_its_exact_figures(told_apart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(told_apart)
    cells, header = read_evaluation(TABLE)
    rows = scored_rows()
    assert system_of(cells, header).exact["roc_auc"] == pytest.approx(roc_auc_score(rows["target"], rows["score"]))


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_every_task_can_be_told_apart(planted: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                      task: str) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    planted.write(planted.rows(task), task, evaluate={"segments": ["carrier"]})
    train.main(DATASET)
    evaluate.main(DATASET)
    cells, header = read_evaluation(TABLE)
    for segment in segments_of(header):
        exact = system_of(cells, header, segment=segment).exact
        assert np.isfinite(exact["accuracy" if task == "multiclass" else "mae"])


def test_an_undeclared_column_is_refused_with_those_that_could_be(
    planted: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    planted.write(planted.rows(), evaluate={"segments": ["hour"]})
    train.main(DATASET)
    with pytest.raises(UserError, match=r"evaluate.segments: categorical features \(carrier\)"):
        evaluate.main(DATASET)


def test_only_the_commonest_values_are_told_apart() -> None:
    counts = {"origin": {f"A{k:02d}": k for k in range(30)}}
    values = Segments.of(counts).values["origin"]
    assert values == tuple(f"A{k}" for k in range(29, 9, -1))
    frame = pl.DataFrame({"origin": ["A29", "A01", None, "new"]})
    assert {name: rows.tolist() for name, rows in Segments.of(counts).rows(frame)} == {
        "origin=A29": [True, False, False, False],
        f"origin={OTHER}": [False, True, True, True],
    }


def test_a_table_from_before_segments_is_read_as_one_without(told_apart: Path, tmp_path: Path) -> None:
    shutil.copyfile(told_apart / TABLE, tmp_path / "new.parquet")
    cells, header = read_evaluation(tmp_path / "new.parquet")
    old = cells.filter(pl.col("segment") == "").drop("segment")
    older = {key: value for key, value in header.items() if key != "segments"} | {"format": 1}
    old.write_parquet(tmp_path / "old.parquet", metadata={"plumbline": json.dumps(older)})
    read, told = read_evaluation(tmp_path / "old.parquet")
    assert told["segments"] == {}
    assert system_of(read, told).exact == system_of(cells, header).exact


def test_a_damaged_table_is_refused_in_plain_words(told_apart: Path, tmp_path: Path) -> None:
    whole = (told_apart / TABLE).read_bytes()
    for name, raw in {"cut": whole[: len(whole) // 2], "empty": b"", "page": b"<html>503</html>"}.items():
        (tmp_path / name).write_bytes(raw)
        with pytest.raises(UserError, match="a damaged file, or none of ours"):
            read_evaluation(tmp_path / name)


def test_the_difference_to_the_baseline_is_the_one_that_a_comparison_of_revisions_would_find(
    told_apart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(told_apart)
    cells, header = read_evaluation(TABLE)
    n_valid = len(valid_units_of(cells, ["baseline", "model"]))
    weights = draw_both(header["units"], n_valid, header["replicates"], header["seed"], header["block"])
    systems = [system_of(cells, header, system) for system in ("baseline", "model")]
    gaps = compare(*systems, task_named("binary").metrics, weights, level=header["level"], block=header["block"])
    results = read_json(Path(f"metrics/{DATASET}/results.json"))
    for name, gap in gaps.items():
        assert results[name]["difference"] == pytest.approx(gap.difference, rel=1e-5), name
        assert results[name]["difference_low"] == pytest.approx(gap.low, rel=1e-5), name
        p = None if gap.p_value is None else pytest.approx(max(gap.p_value, 1e-6), rel=1e-5)
        assert results[name]["difference_p"] == p, name
    assert results["roc_auc"]["difference_p"] < 0.05
    assert results["roc_auc"]["difference_low"] > 0
