"""Does the paired test hold its level where forecasts overlap, and what does it cost to err upwards or downwards?

`python -m benchmarks.study_forecasts [trials]` prints three tables; docs/metrics.md tells them.

*Level.*  Two forecasters whose errors have one distribution, forecasting every day a sum of as many shocks as the
horizon has days: their errors, and the differences between them, are moving averages of order h - 1, as Diebold and
Mariano have them.  How often is a difference in MAE found at 5 %?  300 trials, about ten minutes on one core; a rate of
5 % is then known within 1.3 points.

*Single figures.*  How often does the 95 % interval of a metric of one of them hold the truth?

*Cost.*  The weather's model on its test rows (after `dvc repro evaluate@weather`), where an outcome above what one
prepared for costs nine times as much as one below, or the other way round: prepared for the point, and for a quantile.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray
from tabulate import tabulate

from stages.features.table import open_features, read_selection
from stages.metrics.bootstrap import draw_weights, replicate
from stages.metrics.contract import System
from stages.metrics.forecast import FORECAST, ForecastDecision
from stages.metrics.paired import compare
from stages.metrics.resampling import merge_cells
from stages.metrics.systems import interval_around
from stages.models.families import open_model
from stages.models.forecasts import DUE_AT, HIGH, HORIZON, LEVEL_NOW, LOW, MADE_AT, POINT

Float = NDArray[np.float64]

MAE = FORECAST.metrics["mae"]
REPLICATES = 200
SETTINGS = ((120, 1, 5), (120, 5, 5), (250, 20, 20), (250, 20, 30), (1250, 20, 5), (1250, 20, 30))  # days, horizon, run
HELD = ("mae", "rmse", "mase", "pinball", "coverage", "skill")
NINE = {"point": POINT, "10 % quantile": LOW, "90 % quantile": HIGH}


def overlapping(rng: np.random.Generator, days: int, horizon: int) -> Float:
    """Sums of ``horizon`` shocks, all but one of which the next day has too; of variance 1."""
    return np.convolve(rng.normal(size=days + horizon - 1), np.ones(horizon), "valid") / np.sqrt(horizon)


def forecaster(changes: Float, point: Float) -> System:
    """The system of one forecast a day."""
    days = len(changes)
    decision, names = ForecastDecision(1.0), [f"{day:05d}" for day in range(days)]
    beside = [np.zeros(days), np.ones(days), np.zeros(days)]
    scores = np.stack([point, point - 1, point, point + 1, *beside], axis=1).astype(np.float32)
    cells = merge_cells([decision.tabulate(np.arange(days), names, changes, scores)])
    return System(decision.table(cells, names), decision.exact(changes, scores))


def equals(days: int, horizon: int, trials: int, gain: float = 0.0) -> Iterator[tuple[System, System]]:
    """Two forecasters with errors of one distribution; the second knows a share ``gain`` of what comes."""
    rng = np.random.default_rng(3)
    for _ in range(trials):
        changes, one, other = (overlapping(rng, days, horizon) for _ in range(3))
        yield forecaster(changes, 0.5 * one), forecaster(changes, 0.5 * other + gain * changes)


def alarms(days: int, horizon: int, block: int, trials: int, gain: float = 0.0) -> float:
    """How often a difference in MAE is found at 5 %, in runs of ``block`` days."""
    found = [
        compare(a, b, {"mae": MAE}, draw_weights(days, REPLICATES, (4, trial), block), level=0.95, block=block)["mae"]
        for trial, (a, b) in enumerate(equals(days, horizon, trials, gain))
    ]
    return float(np.mean([gap.verdict in ("better", "worse") for gap in found]))


def held(days: int, horizon: int, block: int, trials: int) -> dict[str, float]:
    """How often the 95 % interval of a metric of one forecaster holds that of a million days."""
    rng = np.random.default_rng(5)
    shocks = rng.normal(size=(2, 1_000_000))  # days far apart: without overlap, and alike in distribution
    truth = forecaster(shocks[0], 0.5 * shocks[1]).exact
    found = dict.fromkeys(HELD, 0)
    for trial, (system, _) in enumerate(equals(days, horizon, trials)):
        drawn = replicate(system.table.measure, draw_weights(days, REPLICATES, (6, trial), block))
        coded = system.table.measure(np.ones((1, days)))
        for name in HELD:
            around = interval_around(
                system.table, name, FORECAST.metrics[name], drawn[name], float(coded[name][0]), system.exact[name],
                method="percentile", level=0.95, block=block,
            )  # fmt: skip
            found[name] += around.low is not None and around.low <= truth[name] <= (around.high or np.inf)
    return {name: round(100 * n / trials, 1) for name, n in found.items()}


def costs() -> list[list[str | float]]:
    """Mean cost of a line by what one prepared for, by horizon: too little nine times as dear, then too much."""
    table = open_features("weather", columns=read_selection("weather"))
    model, rows = open_model(table, threads=1), []
    frames = list(table.frames("test", extra=[MADE_AT, DUE_AT, LEVEL_NOW]))
    scores = np.concatenate([model.predict(frame) for frame in frames])
    lines = pl.concat([frame.select(pl.col(HORIZON).cast(pl.String), table.target) for frame in frames])
    for horizon in lines[HORIZON].unique(maintain_order=True):
        own = (lines[HORIZON] == horizon).to_numpy()
        short = lines[table.target].to_numpy()[own, None] - scores[own][:, list(NINE.values())]
        low, high = np.maximum(short, 0).mean(axis=0), np.maximum(-short, 0).mean(axis=0)
        rows.append([horizon, *np.round(9 * low + high, 2)[[0, 2]], *np.round(low + 9 * high, 2)[[0, 1]]])
    return rows


if __name__ == "__main__":
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    rates = [
        [days, horizon, block, f"{100 * alarms(days, horizon, block, n):.1f} %"] for days, horizon, block in SETTINGS
    ]
    print(tabulate(rates, ["days", "horizon", "runs of", "false alarms at 5 %"], tablefmt="github"), end="\n\n")
    single = [[*setting, *held(*setting, n).values()] for setting in SETTINGS]
    print(tabulate(single, ["days", "horizon", "runs of", *HELD], tablefmt="github"), end="\n\n")
    heads = ["horizon", "9:1, point", "9:1, 90 % quantile", "1:9, point", "1:9, 10 % quantile"]
    print(tabulate(costs(), heads, tablefmt="github"))
