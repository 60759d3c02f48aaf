"""How well did the forecasts do that have come true?  By the metrics and the paired test of the line, over days.

Days come in runs as long as the horizon, five at least, because what neighbouring days forecast comes due together.
The best naive forecast, kept beside each, is the other system of the test.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import polars as pl

from stages.forecasts.made import UNIT, VALUES
from stages.metrics.bootstrap import draw_weights
from stages.metrics.contract import Decision, System, Terms
from stages.metrics.forecast import FORECAST
from stages.metrics.resampling import merge_cells, number_units
from stages.metrics.systems import compare_systems
from stages.models.forecasts import DUE_AT, HORIZON, LEVEL, LEVEL_NOW, MADE_AT, NAIVE, POINT, SCALE

SHOWN = ("mae", "skill", "coverage")
LEAST_BLOCK = 5
REPLICATES, LEVEL_OF_INTERVALS = 1000, 0.95
WINDOW_DAYS = 7
MANY_DAYS = 100  # from so many on, coverage is told by the month and not by the week


@dataclass(frozen=True)
class Figure:
    """A metric of some forecasts; ``low`` and ``high`` are None where they are too few for an interval."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Judged:
    """Forecasts of one kind that have come true: figures by metric, the naive forecast's MAE, and the test of both."""

    name: str
    rows: int
    days: int
    figures: dict[str, Figure]
    naive_mae: float
    gained: Figure | None
    """How much lower the MAE is than the naive one's, by the paired test; None where the days are too few."""


def judge(name: str, came_true: pl.DataFrame) -> Judged:
    """Judge forecasts with their outcome in ``value`` (`ForecastLog.read`), at least one."""
    change = came_true.select(((pl.col("value") - pl.col("now")) / UNIT).alias("change"))["change"].to_numpy()
    scores = _scores(came_true)
    naive = scores.copy()
    naive[:, POINT] = naive[:, NAIVE]
    names, units = number_units(came_true[MADE_AT].dt.date())
    spread = float(change.std()) or 1.0
    decision = FORECAST.decide(pl.DataFrame(), Terms(0, float(change.mean()), spread))
    model, baseline = (_system(decision, names, units, change, each) for each in (scores, naive))
    metrics = {metric: FORECAST.metrics[metric] for metric in SHOWN}
    ahead = came_true.select((pl.col(DUE_AT) - pl.col(MADE_AT)).max()).item()
    block = max(LEAST_BLOCK, ceil(ahead.total_seconds() / 86_400))
    if len(names) < 2 * block:
        figures = {metric: Figure(model.exact[metric]) for metric in SHOWN}
        return Judged(name, len(came_true), len(names), figures, baseline.exact["mae"], None)
    weights = draw_weights(len(names), REPLICATES, 0, block)
    found = compare_systems(
        model, baseline, metrics, weights, level=LEVEL_OF_INTERVALS, method="percentile", n=len(change), block=block
    )
    gap: dict[str, Any] = found["mae"]
    gained = None if gap["difference_low"] is None else Figure(
        gap["difference"], gap["difference_low"], gap["difference_high"]
    )  # fmt: skip
    figures = {metric: Figure(each["value"], each["low"], each["high"]) for metric, each in found.items()}
    return Judged(name, len(change), len(names), figures, gap["baseline"], gained)


def judge_horizons(forecasts: pl.DataFrame) -> list[Judged]:
    """Each horizon, the nearest first; those of which nothing has come true are left out."""
    came_true = forecasts.drop_nulls("value")
    ahead = came_true.group_by(HORIZON).agg((pl.col(DUE_AT) - pl.col(MADE_AT)).mean().alias("ahead"))
    order = ahead.sort("ahead")[HORIZON].to_list()
    return [judge(horizon, came_true.filter(pl.col(HORIZON) == horizon)) for horizon in order]


def judge_periods(forecasts: pl.DataFrame) -> list[tuple[Any, Judged]]:
    """Each week in which forecasts were made, or month where there are many, with its first day."""
    came_true = forecasts.drop_nulls("value")
    if came_true.is_empty():
        return []
    days = came_true[MADE_AT].dt.date()
    every = "1mo" if days.n_unique() > MANY_DAYS else "1w"
    parts = came_true.with_columns(days.dt.truncate(every).alias("period")).sort("period", maintain_order=True)
    return [(part["period"][0], judge(str(part["period"][0]), part)) for part in parts.partition_by("period")]


def daily_errors(forecasts: pl.DataFrame) -> pl.DataFrame:
    """By day, mean absolute errors of `WINDOW_DAYS` up to it, as the target counts: ``day``, ``model``, ``naive``."""
    size = [((pl.col(name) - pl.col("value")) / UNIT).abs().alias(system) for name, system in
            (("forecast", "model"), ("naive", "naive"))]  # fmt: skip
    by_day = forecasts.drop_nulls("value").select(pl.col(MADE_AT).dt.date().alias("day"), *size).group_by("day")
    sums = by_day.agg(pl.col("model", "naive").sum(), pl.len().alias("n")).sort("day")
    rolling = sums.rolling("day", period=f"{WINDOW_DAYS}d").agg(pl.col("model", "naive", "n").sum())
    return rolling.select("day", pl.col("model", "naive") / pl.col("n"))


def _scores(forecasts: pl.DataFrame) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Values of the series as the scores that they were made of."""
    changes = forecasts.select(((pl.col(name) - pl.col("now")) / UNIT).alias(name) for name in VALUES)
    scores = np.zeros((len(forecasts), FORECAST_COLUMNS), np.float32)
    for name, place in VALUES.items():
        scores[:, place] = changes[name].to_numpy()
    scores[:, SCALE], scores[:, LEVEL] = forecasts["scale"].to_numpy(), forecasts[LEVEL_NOW].to_numpy()
    return scores


FORECAST_COLUMNS = LEVEL + 1


def _system(decision: Decision, names: list[str], units: Any, change: Any, scores: Any) -> System:
    cells = merge_cells([decision.tabulate(units, names, change, scores)])
    return System(decision.table(cells, names), decision.exact(change, scores))
