"""What would acting from another probability on have cost?  Every threshold, beside never and always acting.

The threshold that is used was chosen on the valid part; the cheapest one on the test part is told too, as hindsight:
nobody could have known it, and its cost is too low for that reason.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.metrics.binary import BinaryTable
from stages.metrics.bootstrap import Float, in_chunks, replicate
from stages.metrics.codes import code_probabilities, threshold_of_code
from stages.metrics.curves import band
from stages.metrics.evidence import why_too_few, without_flat

GRID = np.concatenate([[0.0025, 0.005], np.arange(1, 100) / 100, [0.995, 0.9975]])


@dataclass(frozen=True)
class Cost:
    """Cost a row, with its interval, and how much dearer or cheaper the chosen threshold is than this.

    Ends are None where the rows are too few for an interval, or no resample changes the figure.
    """

    value: float
    low: float | None
    high: float | None
    difference: float
    difference_low: float | None
    difference_high: float | None


@dataclass(frozen=True)
class CostCurve:
    """Cost a row by threshold (``thresholds``, ``values``, ``low``, ``high``), and at the points that matter."""

    thresholds: Float
    values: Float
    low: Float
    high: Float
    chosen: Cost
    never: Cost
    always: Cost
    hindsight: Cost
    hindsight_threshold: float
    cost_of_miss: float
    cost_of_false_alarm: float


def cost_curve(table: BinaryTable, weights: Float, level: float, block: int) -> CostCurve:
    """The curve of one system's table; its flagged codes tell the threshold that is used."""
    codes = code_probabilities(GRID.astype(np.float32))
    held = code_probabilities(table.scores.probabilities)
    cuts = np.searchsorted(held, codes)
    whole = costs_by_cut(table, np.ones((1, weights.shape[1])))[0]
    best, used = int(whole.argmin()), int(np.count_nonzero(~table.flagged))
    points = np.array([used, len(held), 0, best])
    wanted = np.concatenate([cuts, points])
    drawn = np.concatenate([costs_by_cut(table, chunk)[:, wanted] for chunk in in_chunks(weights)])
    # what is used was chosen on valid rows: where these are drawn again, so is the threshold
    drawn[:, len(cuts)] = replicate(table.measure, weights)["expected_cost"]
    low, high = without_flat(*band(drawn, level))
    gap_low, gap_high = without_flat(*band(drawn[:, [len(cuts)]] - drawn[:, len(cuts) :], level))
    if why_too_few(table.counts, block, every_class=True):
        low, high, gap_low, gap_high = (np.full_like(ends, np.nan) for ends in (low, high, gap_low, gap_high))
    chosen, never, always, hindsight = (
        Cost(float(whole[cut]), _end(low[len(cuts) + k]), _end(high[len(cuts) + k]),
             float(whole[used] - whole[cut]), *((0.0, 0.0) if k == 0 else (_end(gap_low[k]), _end(gap_high[k]))))
        for k, cut in enumerate(points.tolist())
    )  # fmt: skip
    return CostCurve(
        GRID, whole[cuts], low[: len(cuts)], high[: len(cuts)], chosen, never, always, hindsight,
        hindsight_threshold=threshold_of_code(int(held[best])) if best < len(held) else 1.0,
        cost_of_miss=table.cost_of_miss, cost_of_false_alarm=table.cost_of_false_alarm,
    )  # fmt: skip


def _end(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def costs_by_cut(table: BinaryTable, weights: Float) -> Float:
    """Cost a row when the lowest k of the codes that occur are a no, k = 0 … codes, shape (R, codes + 1)."""
    negatives, positives = table.scores.resample(weights)
    nothing = np.zeros((len(weights), 1))
    misses = np.concatenate([nothing, np.cumsum(positives, axis=1)], axis=1)
    passes = np.concatenate([nothing, np.cumsum(negatives, axis=1)], axis=1)
    rows = misses[:, -1:] + passes[:, -1:]
    cost: Float = table.cost_of_miss * misses + table.cost_of_false_alarm * (passes[:, -1:] - passes)
    return np.asarray(cost / rows)
