"""Forecasts of two series at two horizons, made by the line's naive forecast on planted rows."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stages.forecasts.log import ForecastLog
from stages.forecasts.made import MADE, make_forecasts
from stages.models.forecasts import NaiveForecast

START = datetime(2024, 3, 1)
HORIZONS = {"1 h": 1, "6 h": 6}
SIGNATURE = {
    "inputs": [
        {"name": "horizon", "kind": "categorical", "categories": list(HORIZONS)},
        {"name": "series", "kind": "categorical", "categories": ["A", "B"]},
        {"name": "naive_drift", "kind": "numeric"},
    ]
}
NAIVE = NaiveForecast(
    chosen={"1 h": "persistence", "6 h": "naive_drift"},
    lacking={"1 h": (-1.0, 0.0, 1.0), "6 h": (-3.0, 0.5, 4.0)},
    scales={"A": 2.0, "B": 4.0},
    target_mean=0.0,
    target_spread=1.0,
)


def values_of(hours: int, seed: int = 0) -> pl.DataFrame:
    """What was observed of two series, hour by hour: random walks around 500 and 800."""
    walk = np.random.default_rng(seed).normal(size=(2, hours)).cumsum(axis=1)
    at = [START + timedelta(hours=hour) for hour in range(hours)]
    told = [
        pl.DataFrame({"at": at, "value": base + walk[k]}).select(pl.lit(name).alias("series"), "at", "value")
        for k, (name, base) in enumerate((("A", 500.0), ("B", 800.0)))
    ]
    return pl.concat(told).with_columns(pl.col("at").cast(pl.Datetime("us")))


def lines_of(observed: pl.DataFrame, level: float | None = None) -> pl.DataFrame:
    """A line for each value and horizon; changes count from the value, or from ``level``."""
    return pl.concat(
        observed.select(
            "series",
            pl.lit(horizon).alias("horizon"),
            pl.col("at").alias("made_at"),
            (pl.col("at") + timedelta(hours=hours)).alias("due_at"),
            (pl.col("value") if level is None else pl.lit(level)).alias("level"),
            (pl.lit(0.25) * hours).alias("naive_drift"),
        )
        for horizon, hours in HORIZONS.items()
    ).sort("made_at", "series", "due_at")


def forecasts_of(observed: pl.DataFrame, level: float | None = None) -> pl.DataFrame:
    made = make_forecasts(NAIVE, SIGNATURE, lines_of(observed, level), observed)  # type: ignore[arg-type]
    assert made.schema == pl.Schema(MADE)
    return made


@pytest.fixture
def kept_in(tmp_path: Path) -> ForecastLog:
    return ForecastLog(tmp_path / "deep" / "log.sqlite", "planted")
