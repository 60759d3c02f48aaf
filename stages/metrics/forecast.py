"""How far off are forecasts of what is to come, do their intervals hold it, and do they beat the best naive one?

A row is a forecast of one series at one horizon: a point, three quantiles, and beside them what the best naive forecast
says.  All are changes from a level that was known when the forecast was made, so errors are those of the level too;
only sMAPE needs the level itself.  Every metric is a ratio of sums over rows, so per-unit sums are all that a replicate
needs.  They are whole numbers of small steps, rounded row by row: sums of partitions add up to the same, however the
rows are cut.

MASE is the mean of errors over the scale of their series (`models.forecasts`), sMAPE that of 200 |f - y|/(|f| + |y|) of
levels, in percent.  Pinball is the mean of max(α e, (α - 1) e) over the three quantiles α, coverage the share of
outcomes within the interval from the first to the last of them.  Skill is one less the MAE's ratio to that of the best
naive forecast, which was chosen horizon by horizon on the training rows.

The unit is the day on which forecasts are made.  Those of neighbouring days come due together (a horizon of twenty
days shares nineteen of them with the next day's), so their errors are alike; runs of days as long as the longest
horizon, and the paired test's correction for what runs do not see, are the answer (`paired`).  docs/metrics.md says
which metric answers which question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.metrics.bootstrap import in_chunks
from stages.metrics.codes import row_blocks
from stages.metrics.contract import Metric, Tabulated, Task
from stages.metrics.curves import mean_band
from stages.metrics.evidence import Share
from stages.metrics.resampling import sum_cells, unit_counts
from stages.models.forecasts import HIGH, LEVEL, LEVEL_NOW, LOW, MADE_AT, MEDIAN, NAIVE, POINT, QUANTILES, SCALE, TASK

Float = NDArray[np.float64]
Int = NDArray[np.int64]

NOMINAL = 0.8
"""The share of outcomes that the interval from the first to the last quantile is to hold."""
METRICS = {
    "mae": Metric("lower", in_target_unit=True),
    "rmse": Metric("lower", in_target_unit=True),
    "mase": Metric("lower"),
    "smape": Metric("lower", ceiling=200.0),
    "pinball": Metric("lower", in_target_unit=True),
    "coverage": Metric("higher", ceiling=1.0, descriptive=True, nominal=NOMINAL),
    "width": Metric("lower", in_target_unit=True, descriptive=True),
    "skill": Metric("higher", floor=float("-inf"), ceiling=1.0),
}
BELOW = tuple(f"below {quantile}" for quantile in QUANTILES)
SUMS = ("size", "square", "scaled", "symmetric", "pinball", "width", "naive", "covered", *BELOW)
COUNTED = {"covered", *BELOW}
IN_SPREADS = {"size": 1, "pinball": 1, "width": 1, "naive": 1, "square": 2}
"""Sums in the unit of the target, or in its square: they are counted in spreads of the training target."""
STEPS = 1 << 16
MOST_SPREADS = (
    1 << 14
)  # an error beyond counts as this one: squares of so many steps add up to any day's rows in 64 bits
MIX = np.uint64(0x9E37_79B9_7F4A_7C15)


@dataclass(frozen=True)
class ForecastTable:
    """Per-unit ``sums`` (units, `SUMS`) of one system, and ``rows`` (units,)."""

    rows: Float
    sums: Float

    @property
    def counts(self) -> Float:
        """Rows by unit, (units, 1)."""
        return self.rows[:, None]

    @property
    def shares(self) -> dict[str, Share]:
        """Coverage is a share of rows."""
        return {"coverage": Share(self.sums[:, SUMS.index("covered")], self.rows)}

    def measure(self, weights: Float) -> dict[str, Float]:
        """Every metric (R,) under weights (R, units)."""
        return _metrics(dict(zip(SUMS, (weights @ self.sums).T, strict=True)), weights @ self.rows)


def _metrics(sums: Mapping[str, Any], rows: Any) -> dict[str, Float]:
    """Metrics from sums over rows; skill is NaN where the naive forecast never errs."""
    size, naive = np.asarray(sums["size"]), np.asarray(sums["naive"])
    return {
        "mae": size / rows,
        "rmse": np.sqrt(sums["square"] / rows),
        "mase": np.asarray(sums["scaled"] / rows),
        "smape": np.asarray(sums["symmetric"] / rows),
        "pinball": np.asarray(sums["pinball"] / rows),
        "coverage": np.asarray(sums["covered"] / rows),
        "width": np.asarray(sums["width"] / rows),
        "skill": 1 - np.divide(size, naive, out=np.full_like(size, np.nan), where=naive > 0),
    }


def judge_rows(changes: Float, scores: NDArray[np.float32]) -> dict[str, Float]:
    """What each row adds to every one of the `SUMS`, given its true change."""
    told = scores.astype(np.float64).T
    errors, level = told[POINT] - changes, told[LEVEL]
    size = np.abs(errors)
    sizes = np.abs(level + changes) + np.abs(level + told[POINT])
    scale = told[SCALE]
    quantiles = told[[LOW, MEDIAN, HIGH]]
    lacking = changes - quantiles
    weights = np.asarray(QUANTILES)[:, None]
    covered = (told[LOW] <= changes) & (changes <= told[HIGH])
    return {
        "size": size,
        "square": errors**2,
        "scaled": np.divide(size, scale, out=np.zeros_like(size), where=scale > 0),
        "symmetric": np.divide(200 * size, sizes, out=np.zeros_like(size), where=sizes > 0),
        "pinball": np.maximum(weights * lacking, (weights - 1) * lacking).mean(axis=0),
        "width": told[HIGH] - told[LOW],
        "naive": np.abs(told[NAIVE] - changes),
        "covered": covered.astype(np.float64),
        **{name: (gap <= 0).astype(np.float64) for name, gap in zip(BELOW, lacking, strict=True)},
    }


@dataclass(frozen=True)
class ForecastDecision:
    """Forecasting changes whose standard deviation in training is ``spread``."""

    spread: float
    threshold = None

    @property
    def steps(self) -> dict[str, float]:
        """One step of every sum."""
        return {name: 1.0 if name in COUNTED else self.spread ** IN_SPREADS.get(name, 0) / STEPS for name in SUMS}

    def tabulate(self, units: Int, names: list[str], changes: Float, scores: NDArray[np.float32]) -> pl.DataFrame:
        """The cells of one partition: rows, sums, and a sum of hashes by which the rows are known."""
        present, place = np.unique(units, return_inverse=True)
        judged, steps = judge_rows(changes, scores), self.steps
        most = {name: MOST_SPREADS ** IN_SPREADS.get(name, 1) * STEPS for name in SUMS}
        whole = [np.rint(np.minimum(judged[name] / steps[name], most[name])).astype(np.int64) for name in SUMS]
        sums = {"rows": [np.ones_like(place)], "sums": whole, "target": [_hashes(changes)]}
        own = [names[unit] for unit in present]
        return pl.concat([sum_cells(view, own, _add_up(place, values)) for view, values in sums.items()])

    def coarsened(self, cells: pl.DataFrame) -> pl.DataFrame:
        """The cells of a segment: which rows there are is known of the whole."""
        return cells.filter(pl.col("view") != "target")

    def table(self, cells: pl.DataFrame, units: list[str]) -> ForecastTable:
        """Merged cells as sums."""
        _, rows = unit_counts(cells, "rows", units, n_labels=1)
        codes, counts = unit_counts(cells, "sums", units, n_labels=1)
        sums = np.zeros((len(units), len(SUMS)))
        sums[:, codes] = counts[:, 0] * np.array(list(self.steps.values()))[codes]
        return ForecastTable(rows.sum(axis=(1, 2)), sums)

    def exact(self, changes: Float, scores: NDArray[np.float32]) -> dict[str, float]:
        """Every metric on the rows themselves; skill is NaN where the naive forecast never errs."""
        sums = dict.fromkeys(SUMS, 0.0)
        for rows in row_blocks(len(changes)):
            for name, values in judge_rows(changes[rows].astype(np.float64), scores[rows]).items():
                sums[name] += float(values.sum())
        return {name: float(value) for name, value in _metrics(sums, len(changes)).items()}

    def outcomes(self, _table: Tabulated, _weights: Float) -> Float | None:
        """No threshold decides."""
        return None

    def outcome_metrics(self, _outcomes: Float) -> dict[str, Float]:
        """Of nothing."""
        return {}


def _add_up(place: Int, values: Sequence[Int]) -> Int:
    """Sums (places, values) of whole numbers: exact, where those of `numpy.bincount` are fractions."""
    sums = np.zeros((int(place.max(initial=-1)) + 1, len(values)), np.int64)
    np.add.at(sums, place, np.stack(values, axis=1))
    return sums


def _hashes(changes: Float) -> Int:
    """32 bits of each target: their sum tells one set of rows from another, in any order."""
    mixed = ((changes + 0.0).astype(np.float32).view(np.uint32).astype(np.uint64) + np.uint64(1)) * MIX
    return ((mixed ^ (mixed >> np.uint64(29))) * MIX >> np.uint64(32)).astype(np.int64)


def quantile_curve(table: ForecastTable, weights: Float, level: float) -> pl.DataFrame:
    """The share of outcomes up to each quantile, beside the share that it promises, with intervals."""
    below = table.sums[:, [SUMS.index(name) for name in BELOW]]
    drawn = np.concatenate([(chunk @ below) / (chunk @ table.counts) for chunk in in_chunks(weights)])
    counts = np.broadcast_to(table.counts, below.shape)
    low, high = mean_band(counts, drawn, level)
    promised = np.asarray(QUANTILES)
    return pl.DataFrame(
        {
            "predicted": promised,
            "observed": below.sum(axis=0) / table.rows.sum(),
            "low": low,
            "high": high,
            "perfect": promised,
            "rows": np.full(len(promised), int(table.rows.sum())),
        }
    ).fill_nan(None)


def draw_plots(
    model: ForecastTable, _baseline: ForecastTable, _classes: Sequence[str], weights: Float, level: float, _block: int
) -> dict[str, pl.DataFrame]:
    """Whether quantiles hold the shares that they promise."""
    return {"calibration": quantile_curve(model, weights, level)}


SCORES = {"forecast": POINT, "low": LOW, "median": MEDIAN, "high": HIGH, "naive": NAIVE}
"""The changes that are told of a row, by name."""

FORECAST = Task(
    name=TASK,
    metrics=METRICS,
    loss="rmse",
    shown=("mae", "skill", "mase", "smape", "pinball", "coverage", "width"),
    classes=(0, 0),
    known_by=("target", "code"),
    decide=lambda _counts, terms: ForecastDecision(terms.target_spread or 1.0),
    unpack=lambda decides: ForecastDecision(**decides),
    of_signature=lambda _signature, terms: ForecastDecision(terms.target_spread or 1.0),
    name_scores=lambda scores, _signature: pl.DataFrame({name: scores[:, k] for name, k in SCORES.items()}),
    name_row=lambda scores, _signature: {name: scores[0, k] for name, k in SCORES.items()},
    draw=draw_plots,
    scored="forecast",
    along=(MADE_AT, LEVEL_NOW),
)
