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

if TYPE_CHECKING:
    from stages.features.table import FeatureTable
from stages.models.contract import Float32

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
        """The change that it expects (rows,); what cannot be said is no change."""
        found = np.zeros(len(frame), np.float32)
        horizons = frame[HORIZON].cast(pl.String).to_numpy()
        for horizon, name in self.chosen.items():
            if name != PERSISTENCE:
                rows = horizons == horizon
                found[rows] = frame[name].fill_null(0.0).cast(pl.Float32).to_numpy()[rows]
        return found

    def predict(self, frame: pl.DataFrame) -> Float32:
        """Scores (rows, 7)."""
        point, horizons = self.point(frame), frame[HORIZON].cast(pl.String).to_list()
        bands = np.array([self.lacking[horizon] for horizon in horizons], np.float32).reshape(-1, len(QUANTILES))
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
    """The naive forecast of the training rows."""
    names = [PERSISTENCE, *(name for name in table.names if name.startswith(NAIVE_PREFIX))]
    bare = table.with_columns([HORIZON, SERIES, *names[1:]])
    lacked: dict[tuple[str, str], list[NDArray[np.float64]]] = defaultdict(list)
    scale_sums: dict[str, NDArray[np.float64]] = defaultdict(lambda: np.zeros(2))
    totals = np.zeros(3)  # rows, Σ y, Σ y²
    scale_by = SEASONAL if SEASONAL in names else PERSISTENCE
    for frame in bare.frames("train"):
        y = frame[table.target].cast(pl.Float64).to_numpy()
        totals += len(y), y.sum(), (y**2).sum()
        horizons, series = (frame[name].cast(pl.String).to_numpy() for name in (HORIZON, SERIES))
        for name in names:
            said = np.zeros(len(y)) if name == PERSISTENCE else frame[name].cast(pl.Float64).to_numpy()
            known = ~np.isnan(said)
            errors = y - np.where(known, said, 0.0)  # as it forecasts: all are compared on the same rows
            for horizon in np.unique(horizons):
                lacked[horizon, name].append(errors[horizons == horizon])
            if name == scale_by:
                for one in np.unique(series[known]):
                    own = np.abs(errors[known & (series == one)])
                    scale_sums[one] += len(own), own.sum()
    errors_of = {key: np.concatenate(parts) for key, parts in lacked.items()}
    found = sorted({horizon for horizon, _ in errors_of}, key=lambda horizon: (float(horizon.split()[0]), horizon))
    chosen = {h: min(names, key=lambda name: np.abs(errors_of[h, name]).mean()) for h in found}
    mean = totals[1] / totals[0]
    return NaiveForecast(
        chosen=chosen,
        lacking={h: tuple(np.quantile(errors_of[h, chosen[h]], QUANTILES).tolist()) for h in found},
        scales={one: float(sums[1] / sums[0]) for one, sums in sorted(scale_sums.items())},
        target_mean=float(mean),
        target_spread=float(np.sqrt(max(totals[2] / totals[0] - mean**2, 0.0))),
    )


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
