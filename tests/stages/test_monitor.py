"""Rows that came later, with a change planted in them: what moved, since when, and whether it matters."""

import json
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from stages import monitor
from stages.metrics.files import read_evaluation
from stages.models.bundle import open_bundle
from stages.workspace.errors import UserError
from stages.workspace.files import read_manifest, write_manifest

DATASET = "trial"
FEATURES = Path("data/features") / DATASET
TOLD = Path("monitoring") / DATASET / "monitor.json"
LATER_DAYS = 60


@pytest.fixture
def later(
    planted: SimpleNamespace, packaged: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., pl.DataFrame]:
    """Go to a copy of a packaged dataset, to which two months have been added, the second of them changed."""

    def enter(change: pl.Expr | None = None, task: str = "binary", labelled: bool = True) -> pl.DataFrame:
        shutil.copytree(packaged(task), tmp_path / task)
        monkeypatch.chdir(tmp_path / task)
        rows = planted.rows(task, n=6000, days=LATER_DAYS, seed=2).with_columns(
            day=pl.col("day") + timedelta(days=90), part=pl.lit("test"),
            target=pl.col("target") if labelled else pl.lit(None, dtype=pl.Int8),
        )  # fmt: skip
        if change is not None:
            changed = (
                pl.when(pl.col("day") >= date(2013, 5, 1)).then(change).otherwise(pl.col(change.meta.output_name()))
            )
            rows = rows.with_columns(changed.alias(change.meta.output_name()))
        rows.write_parquet(FEATURES / "rows-later.parquet")
        manifest = read_manifest(FEATURES)
        parts = {"train": 0, "valid": 0, "test": len(rows)}
        write_manifest(
            FEATURES,
            manifest
            | {"partitions": [*manifest["partitions"], {"name": "rows-later", "rows": len(rows), "parts": parts}]},
        )
        return rows

    return enter


def look(*arguments: str) -> dict:
    monitor.main(DATASET, "--model", f"bundles/{DATASET}", *arguments)
    return json.loads(TOLD.read_text())


def test_rows_like_those_of_training_have_not_moved(later: Callable[..., pl.DataFrame]) -> None:
    later()
    told = look()
    assert [batch["batch"] for batch in told["batches"]] == [f"2013-{month:02d}" for month in range(1, 6)]
    assert told["newest"] == {
        "batch": "2013-05", "drifted": [], "prediction_drifted": False, "quality": "no evidence",
        "quality_batch": "2013-05",
    }  # fmt: skip
    assert told["batches"][1]["quality"][0]["verdict"] == "reference", "the rows of its own test are not judged by it"


def test_what_moved_is_named_with_the_batch_since_when(
    later: Callable[..., pl.DataFrame], capsys: pytest.CaptureFixture[str]
) -> None:
    later((pl.col("hour") + 1.5).cast(pl.Float32).alias("hour"))
    told = look()
    assert told["newest"]["drifted"] == ["hour"] and told["newest"]["prediction_drifted"]
    assert not told["batches"][3]["columns"], "the month before is as it was"
    assert "2013-05: 1 of 4 columns has moved, and the scores with them" in capsys.readouterr().out
    table = pl.read_parquet(TOLD.with_name("monitor.parquet"))
    moved = table.filter(pl.col("drifted") & (pl.col("kind") == "input"))
    assert moved.select("batch", "name").rows() == [("2013-05", "hour")]
    assert set(table.filter(pl.col("kind") == "input")["name"]) == {"hour", "carrier", "rain", "never_known"} | {
        entry["name"] for entry in json.loads(Path(f"bundles/{DATASET}/signature.json").read_text())["inputs"]
    }


@pytest.mark.parametrize(
    "change, share",
    [
        (pl.lit("ZZ").alias("carrier"), "new_share"),
        (pl.when(pl.col("hour") > 0).then(None).otherwise(pl.col("hour")).alias("hour"), "null_share"),
    ],
)
def test_new_categories_and_missing_values_are_told_apart(
    later: Callable[..., pl.DataFrame], change: pl.Expr, share: str
) -> None:
    rows = later(change)
    name = change.meta.output_name()
    entry = next(entry for entry in look()["batches"][-1]["columns"] if entry["name"] == name)
    last = rows.filter(pl.col("day") >= date(2013, 5, 1))[name]
    expected = {"new_share": (last.cast(pl.String) == "ZZ").mean(), "null_share": last.null_count() / len(last)}
    assert entry["drifted"] and entry[share] == pytest.approx(expected[share], rel=1e-5)


def test_quality_is_that_of_the_rows_and_a_change_in_what_scores_mean_is_seen(
    later: Callable[..., pl.DataFrame],
) -> None:
    rows = later((1 - pl.col("target")).alias("target"))
    told = look()
    model = open_bundle(Path(f"bundles/{DATASET}")).model
    for batch, month in zip(told["batches"][3:], (4, 5), strict=True):
        own = rows.filter(pl.col("day").dt.month() == month)
        scores = model.predict(own.with_columns(pl.col("carrier").cast(pl.Enum(["AA", "B6", "NA", "a|b"]))))
        found = {entry["metric"]: entry for entry in batch["quality"]}
        assert found["roc_auc"]["value"] == pytest.approx(roc_auc_score(own["target"], scores), abs=2e-3)
        assert found["log_loss"]["value"] == pytest.approx(log_loss(own["target"], scores), abs=2e-3)
        expected = {entry["metric"]: entry["value"] for entry in batch["estimate"]}
        assert expected["roc_auc"] == pytest.approx(0.8, abs=0.1), "scores alone cannot see that labels have turned"
    assert told["newest"]["quality"] == "worse" and told["batches"][3]["quality"][0]["verdict"] == "no evidence"
    assert told["newest"]["drifted"] == []


def test_the_reference_is_the_test_of_the_bundle(later: Callable[..., pl.DataFrame]) -> None:
    later()
    _, header = read_evaluation(Path(f"bundles/{DATASET}/evaluation.parquet"))
    newest = look()["batches"][-1]["quality"]
    for entry in newest:
        exact = header["systems"]["model"]["exact"][entry["metric"]]
        assert entry["reference"] == pytest.approx(exact, abs=2e-3)
        assert entry["difference"] == pytest.approx(entry["value"] - entry["reference"], abs=1e-5)
        assert entry["difference_low"] < entry["difference"] < entry["difference_high"]


def test_rows_without_outcome_are_watched_all_the_same(later: Callable[..., pl.DataFrame]) -> None:
    later((pl.col("hour") + 1.5).cast(pl.Float32).alias("hour"), labelled=False)
    told = look()
    last = told["batches"][-1]
    assert last["labelled"] == 0 and last["quality"] == [] and told["newest"]["drifted"] == ["hour"]
    assert {entry["metric"] for entry in last["estimate"]} == {"roc_auc", "expected_cost", "log_loss"}
    assert told["newest"]["quality"] == "reference" and told["newest"]["quality_batch"] == "2013-03"


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_every_task_is_watched(later: Callable[..., pl.DataFrame], task: str) -> None:
    later((pl.col("hour") + 1.5).cast(pl.Float32).alias("hour"), task)
    told = look("--every", "week")
    assert told["newest"]["drifted"] == ["hour"] and told["newest"]["prediction_drifted"]
    assert len(told["batches"]) > 8 and told["batches"][-1]["estimate"] == []


def test_the_same_rows_give_the_same_bytes_and_the_page_needs_nothing_else(later: Callable[..., pl.DataFrame]) -> None:
    later((pl.col("hour") + 1.5).cast(pl.Float32).alias("hour"))
    look()
    files = [*TOLD.parent.iterdir(), Path(f"reports/{DATASET}/monitor.html")]
    before = {path: path.read_bytes() for path in files}
    look()
    assert {path: path.read_bytes() for path in files} == before
    page = files[-1].read_text(encoding="utf-8")
    assert "<script" not in page and "http://" not in page.replace("http://www.w3.org", "") and "▲" in page


def test_what_cannot_be_watched_says_why(later: Callable[..., pl.DataFrame]) -> None:
    later()
    bundle = Path(f"bundles/{DATASET}")
    for name in ("profile.parquet", "manifest.json"):
        (bundle / name).unlink()
    with pytest.raises(UserError, match="manifest"):
        monitor.main(DATASET, "--model", str(bundle))
    assert not TOLD.exists()


def test_without_later_rows_there_is_nothing_to_watch(later: Callable[..., pl.DataFrame]) -> None:
    later()
    for path in FEATURES.glob("rows-*.parquet"):
        frame = pl.read_parquet(path)
        frame.filter(pl.col("day") < date(2013, 1, 20)).write_parquet(path)
    with pytest.raises(UserError, match="later than the training rows") as error:
        monitor.main(DATASET, "--model", f"bundles/{DATASET}")
    assert error.value.found == "none" and not TOLD.exists()


def test_false_alarms_keep_to_the_stated_rate(planted: SimpleNamespace, later: Callable[..., pl.DataFrame]) -> None:
    """Twenty pairs of months without a change: hardly a column is called drifted."""
    later()
    alarms = 0
    for seed in range(3, 23):
        rows = planted.rows("binary", n=1500, days=31, seed=seed)
        rows.with_columns(day=pl.col("day") + timedelta(days=90), part=pl.lit("test")).write_parquet(
            FEATURES / "rows-later.parquet"
        )
        alarms += bool(look()["newest"]["drifted"])
    assert alarms <= 4, "at a rate of 0.05, five of twenty come about less often than once in 300 times"
