"""From which probability on is it cheaper to act?

Chosen on the valid part, among the boundaries between score codes, so that counts at the threshold are exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.metrics.codes import N_CODES, probability_of_code

Float = NDArray[np.float64]


def count_codes(labels: NDArray[np.int64], codes: NDArray[np.int16]) -> Float:
    """Rows by label and code, shape (2, codes): partitions add up."""
    keys = labels.astype(np.int64) * N_CODES + codes
    return np.bincount(keys, minlength=2 * N_CODES).reshape(2, N_CODES).astype(np.float64)


def choose_threshold(counts: Float, *, cost_of_miss: float, cost_of_false_alarm: float) -> int:
    """The code from which on acting has the lowest cost; rows (label, code) are ``counts``, shape (2, codes).

    Equal costs are common where rows are few: the choice then is the one nearest to the break-even probability
    cost_of_false_alarm / (cost_of_false_alarm + cost_of_miss), where a calibrated model would put it (Elkan,
    "The foundations of cost-sensitive learning", IJCAI 2001).
    """
    misses = np.concatenate([[0.0], np.cumsum(counts[1])[:-1]])  # positives below the code
    false_alarms = np.cumsum(counts[0][::-1])[::-1]  # negatives at or above it
    cost = cost_of_miss * misses + cost_of_false_alarm * false_alarms
    cheapest = np.flatnonzero(cost <= cost.min() + 1e-9 * max(1.0, float(cost.min())))
    break_even = cost_of_false_alarm / (cost_of_false_alarm + cost_of_miss)
    return int(cheapest[np.abs(probability_of_code(cheapest) - break_even).argmin()])
