"""Forecasts of random walks: whoever beats "as now" has seen what comes, and is refused before anything is written."""

from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from stages import evaluate, package, train
from stages.experiments.folds.table import time_folds
from stages.experiments.promotion.contenders import Contender, score_rows
from stages.experiments.promotion.rows import choose_rows
from stages.experiments.revisions.revisions import Revision
from stages.features.table import open_features
from stages.metrics.bootstrap import draw_weights
from stages.metrics.files import read_evaluation
from stages.metrics.forecast import FORECAST
from stages.metrics.paired import compare, refuse_other_rows
from stages.metrics.settings import EvaluateSettings
from stages.metrics.stored import segments_of, system_of, units_of
from stages.models.bundle import open_bundle
from stages.results.segments import judge_segments
from stages.workspace.errors import UserError
from stages.workspace.files import read_json
from stages.workspace.settings import read_settings, read_workers

DAYS = 360
HORIZONS = {"1 d": 1, "5 d": 5}
MODEL = {
    "family": "direct", "refit": "month", "point": "boosted", "interval": "even", "calibrate_days": 60, "adapt": 0.0,
}  # fmt: skip
JUDGED = {"block": 5, "segments": ["horizon", "series"], "no_point_skill": True}


def random_walks(seen: str | None = None) -> pl.DataFrame:
    """Lines of two series and two horizons a day; the feature ``hint`` knows the outcome of the horizon ``seen``."""
    rng, lines = np.random.default_rng(1), []
    steps = rng.normal(size=(2, DAYS + 10))
    levels = 100 + np.cumsum(steps, axis=1)
    for day in range(10, DAYS):
        for series, walk in zip("ab", levels, strict=True):
            for horizon, h in HORIZONS.items():
                made, change = datetime(2020, 1, 1) + timedelta(days=day), walk[day + h] - walk[day]
                part = "train" if day < 180 else "valid" if day < 240 else "test"
                hint = change if horizon == seen else rng.normal()
                lines.append({
                    "day": made.date(), "part": part, "target": change, "made_at": made,
                    "due_at": made + timedelta(days=h), "level": walk[day], "horizon": horizon, "series": series,
                    "rise": walk[day] - walk[day - 1], "hint": hint + 0.5 * rng.normal(),
                    "naive_seasonal": walk[day - 5] - walk[day],
                })  # fmt: skip
    return pl.DataFrame(lines).with_columns(pl.col("rise", "hint", "naive_seasonal").cast(pl.Float32))


def judge(planted: SimpleNamespace, rows: pl.DataFrame, **judged: Any) -> None:
    planted.write(rows, "forecast", evaluate=JUDGED | judged, **MODEL)
    train.main(planted.dataset)
    evaluate.main(planted.dataset)


@pytest.fixture(scope="module")
def honest(planted: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a model of random walks has been judged; for reading only."""
    root = tmp_path_factory.mktemp("honest")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        judge(planted, random_walks())
    return root


def test_a_model_without_skill_is_judged_by_every_metric_and_beats_nobody(honest: Path) -> None:
    results = read_json(honest / "metrics/trial/results.json")
    assert list(results) == ["mae", "rmse", "mase", "smape", "pinball", "coverage", "width", "skill"]
    assert results["skill"]["difference_low"] < 0  # nothing shows that it has any
    coverage = results["coverage"]
    assert (coverage["nominal"], coverage["descriptive"], coverage["difference_p"]) == (0.8, True, None)
    assert coverage["low"] < 0.8 < coverage["high"]


def test_horizons_and_series_add_up_to_all_rows(honest: Path) -> None:
    cells, header = read_evaluation(honest / "data/evaluation/trial.parquet")
    whole = system_of(cells, header)
    for column, values in {"horizon": ["1 d", "5 d"], "series": ["a", "b"]}.items():
        segments = segments_of(header, column)
        assert segments == [f"{column}={value}" for value in values]
        tables = [system_of(cells, header, segment=segment).table for segment in segments]
        assert np.array_equal(sum(table.counts for table in tables), whole.table.counts)
        ones, rows = np.ones((1, len(whole.table.counts))), [table.counts.sum() for table in tables]
        parts = [table.measure(ones)["mae"][0] for table in tables]
        assert np.average(parts, weights=rows) == pytest.approx(whole.exact["mae"], rel=1e-4)


def test_a_segment_tells_the_naive_error_and_the_test_beside_its_own(honest: Path) -> None:
    cells, header = read_evaluation(honest / "data/evaluation/trial.parquet")
    weights = draw_weights(len(units_of(cells)), 200, 1, 5)
    judged = judge_segments(cells, header, weights, 0.95)
    assert list(judged) == ["horizon", "series", "month"]
    for found in judged["horizon"]:
        pair = [system_of(cells, header, system, f"horizon={found.name}") for system in ("baseline", "model")]
        tested = compare(*pair, {"mae": FORECAST.metrics["mae"]}, weights, level=0.95, block=5)["mae"]
        told = found.figures["mae"]
        assert (told.baseline, told.value, told.p) == (tested.a, tested.b, tested.p_value)
    assert sum(found.rows for found in judged["month"]) == sum(found.rows for found in judged["series"]) == 480


def test_years_are_told_apart_where_months_are_too_many(honest: Path) -> None:
    cells, header = read_evaluation(honest / "data/evaluation/trial.parquet")
    days = units_of(cells)
    spread = {day: str(date(2020, 1, 1) + timedelta(days=10 * k)) for k, day in enumerate(days)}
    judged = judge_segments(
        cells.with_columns(pl.col("unit").replace(spread)), header, draw_weights(120, 60, 1, 5), 0.9
    )
    assert [found.name for found in judged["year"]] == ["2020", "2021", "2022", "2023"]
    assert "month" not in judged


def test_a_bundle_judged_for_promotion_forecasts_with_what_was_known_then(
    honest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(honest)
    package.main("trial")
    settings = read_settings(EvaluateSettings, dataset="trial", section="evaluate")
    rows = choose_rows(open_features("trial"), settings, None)
    candidate = Contender("candidate", Revision("workspace", None, "workspace"), open_bundle(Path("bundles/trial")))
    exact = score_rows([candidate], rows, settings, read_workers(), 1 << 30)["candidate"].exact
    written = read_json(Path("metrics/trial/results.json"))
    assert {name: float(f"{value:.6g}") for name, value in exact.items()} == {
        name: result["value"] for name, result in written.items()
    }


def test_folds_that_would_learn_from_the_future_are_refused(honest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(honest)
    with pytest.raises(UserError, match="rolls its origin"):
        time_folds(open_features("trial"), ("train", "valid", "test"), 3)


def test_rows_of_another_outcome_are_not_compared(honest: Path) -> None:
    _, header = read_evaluation(honest / "data/evaluation/trial.parquet")
    with pytest.raises(ValueError, match="same test rows"):
        refuse_other_rows(header, header | {"same_rows": "another"}, ("a", "b"))


@pytest.mark.parametrize("seen", ["1 d", "5 d"])
def test_a_model_that_has_seen_a_horizon_is_refused_by_its_name_and_leaves_the_last_results(
    planted: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: str
) -> None:
    monkeypatch.chdir(tmp_path)
    kept = Path("metrics/trial/results.json")
    kept.parent.mkdir(parents=True)
    kept.write_text("the last run")
    with pytest.raises(UserError, match="input or a label that knows") as refused:
        judge(planted, random_walks(seen))
    assert f"horizon={seen}: " in refused.value.found
    assert all(f"horizon={other}" not in refused.value.found for other in HORIZONS if other != seen)
    assert kept.read_text() == "the last run" and [*kept.parent.iterdir()] == [kept]
    assert not Path("data/evaluation").exists() or not any(Path("data/evaluation").iterdir())
    assert [path.name for path in Path("plots/trial").iterdir()] == ["learning_curve.csv"]  # that of `train`


def test_every_horizon_is_looked_at_or_nothing_is_promised(planted: SimpleNamespace, tmp_path: Path,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    planted.write(random_walks(), "forecast", evaluate=JUDGED | {"segments": ["series"]}, **MODEL)
    with pytest.raises(UserError, match="name horizon among the segments"):
        evaluate.main(planted.dataset)
