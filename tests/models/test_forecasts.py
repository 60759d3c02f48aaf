"""The best naive forecast beside a computation over all rows at once, whatever the partitions."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stages.models.forecasts import HIGH, LEVEL, LOW, NAIVE, POINT, SCALE, fit_naive, naive_from_json
from tests.models.planted_forecasts import forecasts, inputs, table_of, without


def planted() -> pl.DataFrame:
    """Changes that the seasonal forecast tells at 24 hours, and nothing tells at 6."""
    lines = forecasts(rule=0.0)
    told = pl.col("change") + 2 * pl.col("naive_seasonal")
    return lines.with_columns(change=pl.when(pl.col("horizon") == "24 h").then(told).otherwise("change"))


LINES = planted()


def test_the_best_by_horizon_its_quantiles_and_the_scale_of_the_series(tmp_path: Path) -> None:
    naive = fit_naive(table_of(LINES, tmp_path))
    train = LINES.filter(part="train")
    y, said = train["change"].to_numpy(), train["naive_seasonal"].to_numpy().astype(np.float64)
    assert dict(naive.chosen) == {"6 h": "persistence", "24 h": "naive_seasonal"}
    for horizon, errors in {"6 h": y, "24 h": y - said}.items():
        own = errors[(train["horizon"] == horizon).to_numpy()]
        assert naive.lacking[horizon] == pytest.approx(np.quantile(own, [0.1, 0.5, 0.9]), rel=0.02, abs=0.03)
    for series in ("A", "B"):
        own = np.abs(y - said)[(train["series"] == series).to_numpy()]
        assert naive.scales[series] == pytest.approx(own.mean(), rel=1e-8)
    assert naive.target_mean == pytest.approx(y.mean(), rel=1e-8)
    assert naive.target_spread == pytest.approx(y.std(), rel=1e-8)
    assert naive.told == "the naive forecast: persistence at 6 h; seasonal at 24 h"


def test_scores_are_the_choice_its_quantiles_the_scale_and_the_level(tmp_path: Path) -> None:
    naive = fit_naive(table_of(LINES, tmp_path))
    few = inputs(LINES.head(40)).with_columns(naive_seasonal=pl.Series([None, 1.5] * 20, dtype=pl.Float32))
    scores = naive.predict(few)
    assert scores.shape == (40, 7)
    point = np.where((few["horizon"] == "24 h").to_numpy(), [0.0, 1.5] * 20, 0.0)
    assert scores[:, POINT] == pytest.approx(point)
    assert np.array_equal(scores[:, NAIVE], scores[:, POINT])
    bands = np.array([naive.lacking[horizon] for horizon in few["horizon"].cast(pl.String)])
    assert scores[:, LOW : HIGH + 1] == pytest.approx(point[:, None] + bands, rel=1e-6)
    assert scores[:, SCALE] == pytest.approx([naive.scales[series] for series in few["series"].cast(pl.String)])
    assert set(scores[:, LEVEL]) == {100.0}
    assert np.array_equal(naive.predict(few.drop("level", "made_at"))[:, :LEVEL], scores[:, :LEVEL])


def test_the_cut_into_partitions_changes_no_digit_and_json_keeps_all(tmp_path: Path) -> None:
    whole, cut = (fit_naive(table_of(LINES, tmp_path / str(lines), lines)) for lines in (100_000, 77))
    assert whole.to_json() == cut.to_json()
    assert naive_from_json(json.loads(json.dumps(whole.to_json()))).to_json() == whole.to_json()


def test_a_forecast_that_is_not_known_counts_as_no_change(tmp_path: Path) -> None:
    right = pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.col("change")).cast(pl.Float32)
    naive = fit_naive(table_of(LINES.with_columns(naive_seasonal=right), tmp_path))
    assert set(naive.chosen.values()) == {"naive_seasonal"}


@pytest.mark.parametrize("name", ["horizon", "series"])
def test_features_of_no_forecast_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        fit_naive(without(table_of(LINES, tmp_path), name))


@pytest.mark.parametrize("content", [{}, {"kind": "naive forecast", "chosen": 3}])
def test_what_is_no_naive_forecast_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="naive forecast"):
        naive_from_json(content)
