"""A bundle on the rows of a feature table: the very metrics that `evaluate` wrote, for every task."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from stages.experiments.promotion.contenders import Contender, score_rows, stored_systems
from stages.experiments.promotion.rows import choose_rows
from stages.experiments.revisions.revisions import Revision
from stages.features.table import open_features
from stages.metrics.settings import EvaluateSettings
from stages.models.bundle import open_bundle
from stages.workspace.errors import UserError
from stages.workspace.files import write_parquet
from stages.workspace.settings import read_settings, read_workers

BUNDLE = Path("bundles/trial")


@pytest.fixture
def settings(packaged, request, monkeypatch) -> EvaluateSettings:
    monkeypatch.chdir(packaged(getattr(request, "param", "binary")))
    return read_settings(EvaluateSettings, dataset="trial", section="evaluate")


def contender() -> Contender:
    return Contender("candidate", Revision("workspace", None, "workspace"), open_bundle(BUNDLE))


@pytest.mark.parametrize("settings", ["binary", "multiclass", "regression"], indirect=True)
def test_a_bundle_that_scores_the_rows_gets_the_metrics_that_evaluate_wrote(settings: EvaluateSettings) -> None:
    rows = choose_rows(open_features("trial"), settings, None)
    system = score_rows([contender()], rows, settings, read_workers(), 1 << 30)["candidate"]
    written = json.loads(Path("metrics/trial/results.json").read_text())
    assert {name: float(f"{value:.6g}") for name, value in system.exact.items()} == {
        name: result["value"] for name, result in written.items()
    }
    assert (rows.n, len(rows.units)) == (written[next(iter(written))]["n"], written[next(iter(written))]["units"])


@pytest.mark.parametrize("settings", ["binary", "multiclass"], indirect=True)
def test_the_survey_knows_the_rows_by_the_fingerprint_of_the_evaluation(settings: EvaluateSettings) -> None:
    rows = choose_rows(open_features("trial"), settings, None)
    header = json.loads(pl.read_parquet_metadata("data/evaluation/trial.parquet")["plumbline"])
    assert rows.same_rows == header["same_rows"]
    systems = stored_systems([contender()], rows, settings)
    assert not isinstance(systems, str)
    assert systems["candidate"].exact == header["systems"]["model"]["exact"]


def test_a_label_that_changed_is_another_fingerprint(settings: EvaluateSettings, tmp_path, monkeypatch) -> None:
    before = choose_rows(open_features("trial"), settings, None)
    copy_features(tmp_path, monkeypatch, lambda rows: rows.with_columns(target=1 - pl.col("target")))
    after = choose_rows(open_features("trial"), settings, None)
    assert (after.n, after.units) == (before.n, before.units)
    assert after.same_rows != before.same_rows
    assert "is about other rows" in str(stored_systems([contender()], after, settings))


def test_categories_that_training_never_saw_are_counted_and_scored_as_missing(
    settings: EvaluateSettings, tmp_path, monkeypatch
) -> None:
    def rename(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(carrier=pl.col("carrier").replace("AA", "ZZ"))

    copy_features(tmp_path, monkeypatch, rename)
    rows, one = choose_rows(open_features("trial"), settings, None), contender()
    score_rows([one], rows, settings, read_workers(), 1 << 30)
    stored = pl.concat(pl.read_parquet(path) for path in Path("data/features/trial").glob("*.parquet"))
    unseen = stored.filter((pl.col("part") == "test") & (pl.col("carrier") == "ZZ"))
    assert one.unseen == {"carrier": len(unseen)}


def test_a_threshold_between_two_codes_is_refused(settings: EvaluateSettings) -> None:
    odd = contender()
    odd.bundle.signature["threshold"] = 0.3
    rows = choose_rows(open_features("trial"), settings, None)
    with pytest.raises(UserError, match=r"on a boundary between score codes.*\nfound   0\.3"):
        score_rows([odd], rows, settings, read_workers(), 1 << 30)


def copy_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change) -> None:
    """Work in a copy of the folder, with the stored rows changed."""
    shutil.copytree(".", tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    for path in Path("data/features/trial").glob("*.parquet"):
        write_parquet(path, change(pl.read_parquet(path)))
