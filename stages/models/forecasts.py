"""What are the scores of a forecast, and how well do the naive forecasts do that every model must beat?

A row asks at ``made_at`` for the *change* of a series until ``due_at``, one horizon later, in the unit of the target.
Persistence says that nothing changes.  The other naive forecasts (seasonal, drift, climatology) are what the dataset
says that they are: numeric features called ``naive_…``, changes too.  The best of them on the training rows, horizon by
horizon, is the baseline; what it lacked there gives its interval.  Errors are scaled by what the seasonal naive
forecast (persistence, where there is none) errs in the training rows of the same series: MASE (Hyndman & Koehler,
"Another look at measures of forecast accuracy", International Journal of Forecasting 22, 2006).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.features.sketch import NumberSketch, Sketch, merge_sketches, sketch_frame
from stages.models.contract import Float32

if TYPE_CHECKING:
    from stages.features.table import FeatureTable

Float = NDArray[np.float64]

TASK = "forecast"
KIND = "naive forecast"
HORIZON, SERIES = "horizon", "series"
MADE_AT, DUE_AT, LEVEL_NOW = "made_at", "due_at", "level"
"""Columns of every forecast dataset: two categorical features, two moments, the value that a change counts from."""
NAIVE_PREFIX = "naive_"
PERSISTENCE, SEASONAL = "persistence", "naive_seasonal"
QUANTILES = (0.1, 0.5, 0.9)
POINT, LOW, MEDIAN, HIGH, NAIVE, SCALE, LEVEL = range(7)
"""Columns of the scores (rows, 7): changes; then the scale of the series and the level, which only judging needs."""


@dataclass(frozen=True)
class NaiveForecast:
    """The best naive forecast by horizon, the quantiles of what it lacked, and the scale of errors by series."""

    chosen: Mapping[str, str]
    lacking: Mapping[str, tuple[float, ...]]
    scales: Mapping[str, float]
    target_mean: float
    target_spread: float

    @property
    def told(self) -> str:
        """What is taken at which horizon."""
        taken: dict[str, list[str]] = {}
        for horizon in sorted(self.chosen, key=lambda told: (len(told), told)):  # 3 h before 12 h
            taken.setdefault(self.chosen[horizon].removeprefix(NAIVE_PREFIX), []).append(horizon)
        return "the naive forecast: " + "; ".join(f"{name} at {', '.join(at)}" for name, at in taken.items())

    def point(self, frame: pl.DataFrame) -> Float32:
        """The change that it expects (rows,); no change where that cannot be said, NaN at an unknown horizon."""
        found = np.full(len(frame), np.nan, np.float32)
        horizons = frame[HORIZON].cast(pl.String).to_numpy()
        for horizon, name in self.chosen.items():
            rows = horizons == horizon
            found[rows] = 0.0 if name == PERSISTENCE else frame[name].fill_null(0.0).cast(pl.Float32).to_numpy()[rows]
        return found

    def predict(self, frame: pl.DataFrame) -> Float32:
        """Scores (rows, 7)."""
        point, horizons = self.point(frame), frame[HORIZON].cast(pl.String).to_list()
        unknown = (np.nan,) * len(QUANTILES)
        bands = np.array([self.lacking.get(horizon, unknown) for horizon in horizons], np.float32)
        bands = bands.reshape(-1, len(QUANTILES))
        return scores_of(point, point[:, None] + bands, self, frame, naive=point)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form; see `naive_from_json`."""
        return {"kind": KIND, **asdict(self)}


def scores_of(
    point: Float32, bands: Float32, naive_forecast: NaiveForecast, frame: pl.DataFrame, *, naive: Float32
) -> Float32:
    """The seven columns; ``bands`` (rows, 3) are put in order, and hold the point where a quantile crosses it."""
    ordered = np.sort(bands, axis=1)
    scales = naive_forecast.scales
    usual = float(np.mean(list(scales.values())))
    scale = [scales.get(series, usual) for series in frame[SERIES].cast(pl.String).to_list()]
    level = frame[LEVEL_NOW].to_numpy() if LEVEL_NOW in frame.columns else np.zeros(len(frame))
    columns = [point, *ordered.T, naive, np.asarray(scale), level]
    return np.stack(columns, axis=1).astype(np.float32)


def fit_naive(table: FeatureTable) -> NaiveForecast:
    """The naive forecast of the training rows, of which only sums and sketches are kept."""
    refuse_no_forecasts(table)
    names = [PERSISTENCE, *(name for name in table.names if name.startswith(NAIVE_PREFIX))]
    bare = table.with_columns([HORIZON, SERIES, *names[1:]])
    scale_by = SEASONAL if SEASONAL in names else PERSISTENCE
    sizes: dict[tuple[str, str], Float] = defaultdict(lambda: np.zeros(2))  # by horizon and name: rows, Σ |error|
    sketches: dict[str, dict[str, Sketch]] = {}
    scale_sums: dict[str, Float] = defaultdict(lambda: np.zeros(2))
    totals = np.zeros(3)  # rows, Σ y, Σ y²
    for frame in bare.frames("train"):
        y = frame[table.target].cast(pl.Float64)
        totals += np.array([len(y), y.sum(), (y**2).sum()], np.float64)
        errors = frame.select(
            pl.col(HORIZON, SERIES).cast(pl.String),
            y.alias(PERSISTENCE),
            # as they forecast, so that all are compared on the same rows; the scale is of those that were known
            *((y - frame[name].cast(pl.Float64).fill_null(0.0)).alias(name) for name in names[1:]),
            (y if scale_by == PERSISTENCE else y - frame[scale_by].cast(pl.Float64)).alias("_scaled"),
        )
        for (horizon,), own in errors.drop_nulls(HORIZON).group_by(HORIZON):
            found = sketch_frame(own, names)
            sketches[str(horizon)] = merge_sketches([sketches[str(horizon)], found] if horizon in sketches else [found])
            for name in names:
                sizes[str(horizon), name] += size_of(own[name])
        for (series,), own in errors.drop_nulls(SERIES).group_by(SERIES):
            scale_sums[str(series)] += size_of(own["_scaled"])
    horizons = sorted(sketches, key=lambda horizon: (float(horizon.split()[0]), horizon))
    chosen = {horizon: min(names, key=lambda name: float(sizes[horizon, name][1])) for horizon in horizons}
    mean = totals[1] / totals[0]
    return NaiveForecast(
        chosen=chosen,
        lacking={horizon: _quantiles(sketches[horizon][chosen[horizon]]) for horizon in horizons},
        scales={one: rounded(sums[1] / sums[0]) for one, sums in sorted(scale_sums.items()) if sums[0]},
        target_mean=rounded(mean),
        target_spread=rounded(np.sqrt(max(totals[2] / totals[0] - mean**2, 0.0))),
    )


def size_of(errors: pl.Series) -> Float:
    """How many errors are known, and the sum of their sizes."""
    return np.array([errors.count(), errors.abs().sum()], np.float64)


def refuse_no_forecasts(table: FeatureTable) -> None:
    """Refuse features that do not say of which series and for which horizon they are."""
    if lacking := [name for name in (HORIZON, SERIES) if name not in table.names]:
        raise ValueError(
            f"features of {table.dataset} that say {HORIZON} and {SERIES}, as a task {TASK} has them",
            f"none called {', '.join(lacking)}",
            "have the dataset make them, marked `always`",
        )


def _quantiles(errors: Sketch) -> tuple[float, ...]:
    assert isinstance(errors, NumberSketch)
    return tuple(rounded(value) for value in errors.quantiles(QUANTILES))


def rounded(value: float) -> float:
    """To nine digits: sums of floats differ in the last ones with the cut of the partitions."""
    return float(f"{value:.9g}")


def naive_from_json(content: Mapping[str, Any]) -> NaiveForecast:
    """The inverse of `NaiveForecast.to_json`."""
    try:
        return NaiveForecast(
            chosen=dict(content["chosen"]),
            lacking={horizon: tuple(values) for horizon, values in content["lacking"].items()},
            scales=dict(content["scales"]),
            target_mean=content["target_mean"],
            target_spread=content["target_spread"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            "a naive forecast as `train` writes it", str(error), "run `dvc repro` to fit it again"
        ) from None
