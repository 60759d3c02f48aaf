"""Which of a fixed set of codes does a score get, so that counts of scores from different partitions add up?

A probability is coded by its logit in steps of 1/64, clipped at ±16: the grid is the same for every model and every
dataset, finest where probabilities are small or large, and coarse enough that a year of days is a small table.  Each
boundary between two codes is a float32 number, so ``probability >= boundary`` and ``code >= k`` are the same question:
a decision threshold on a boundary makes everything counted at that threshold exact.

What is read off the codes stands here too: from which one on it is cheaper to act, and whether probabilities mean what
they say.  Ten groups, [0, 0.1), [0.1, 0.2), … as in scikit-learn's ``calibration_curve``.  The expected calibration
error is the mean gap, weighted by rows (Naeini, Cooper & Hauskrecht, AAAI 2015).  It cannot be negative, so it is
biased upwards, in replicates twice: its interval is the basic one, floored at 0.  In simulations that interval, asked
for 90 %, held a true error of 0.01 to 0.05 in 77 to 86 % of the cases, the percentile interval in 0 to 67 %; near a
true error of 0 every interval of this metric lies too high, and can miss the value itself.  So it is *descriptive*:
stretched to hold the value, to be read as an upper bound on how wrong the probabilities are, and no ground for a
verdict.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]

STEPS_PER_LOGIT = 64
LOGIT_LIMIT = 16
CENTRE = STEPS_PER_LOGIT * LOGIT_LIMIT
N_CODES = 2 * CENTRE + 1
COARSE = 16
N_GROUPS = 10
ROWS_AT_ONCE = 1 << 20
MOST_STEPS, FEW_STEPS, LEAST_STEP = 50, 8, 1e-7  # of Newton's method; a code is 1/64 of a logit wide


def code_probabilities(probabilities: NDArray[Any]) -> NDArray[np.int16]:
    """Codes 0 … 2048 of probabilities, in the order of the probabilities; 1024 is one half."""
    scores = np.asarray(probabilities, dtype=np.float32)
    return np.searchsorted(_boundaries(), scores, side="right").astype(np.int16)


def probability_of_code(codes: NDArray[Any]) -> Float:
    """The probability in the middle (in logits) of each code's interval."""
    return _sigmoid((np.asarray(codes, dtype=np.float64) - CENTRE) / STEPS_PER_LOGIT)


def coarsen(codes: NDArray[Any], start: int) -> Int:
    """Codes in groups of `COARSE` neighbours, each replaced by one in its middle; a group begins at ``start``.

    Codes from ``start`` on stay from ``start`` on, so a decision there is the same one.
    """
    steps = (np.asarray(codes, dtype=np.int64) - start) // COARSE
    return np.clip(start + steps * COARSE + COARSE // 2, 0, N_CODES - 1)


def threshold_of_code(code: int) -> float:
    """The smallest probability that gets ``code`` or a higher one; 0 for the lowest code."""
    return 0.0 if code == 0 else float(_boundaries()[code - 1])


def clip_probabilities(probabilities: NDArray[Any]) -> Float:
    """Probabilities as float64 within the range of the codes: one sure mistake costs at most 16 nats of log-loss."""
    limit = _sigmoid(np.asarray([-LOGIT_LIMIT, LOGIT_LIMIT], dtype=np.float64))
    return np.clip(np.asarray(probabilities, dtype=np.float64), limit[0], limit[1])


@cache
def _boundaries() -> NDArray[np.float32]:
    logits = (np.arange(1, N_CODES) - 0.5 - CENTRE) / STEPS_PER_LOGIT
    boundaries = _sigmoid(logits).astype(np.float32)
    boundaries.flags.writeable = False
    return boundaries


def _sigmoid(logits: Float) -> Float:
    result: Float = 1.0 / (1.0 + np.exp(-logits))
    return result


@dataclass(frozen=True)
class Grid:
    """Equal steps for a number, declared from the training target: code 0 is ``origin``."""

    origin: float
    step: float

    STEPS_PER_SPREAD = 64
    CODE_LIMIT = 1 << 20

    @classmethod
    def around(cls, mean: float, spread: float) -> Grid:
        """The grid of a target with this training mean and standard deviation."""
        return cls(origin=mean, step=(spread if spread > 0 else 1.0) / cls.STEPS_PER_SPREAD)

    def codes(self, values: NDArray[Any]) -> Int:
        """The nearest step of each value, counted from the origin."""
        steps = np.rint((np.asarray(values, dtype=np.float64) - self.origin) / self.step)
        return np.clip(steps, -self.CODE_LIMIT, self.CODE_LIMIT).astype(np.int64)

    def values(self, codes: NDArray[Any]) -> Float:
        """The value of each code."""
        result: Float = self.origin + self.step * np.asarray(codes, dtype=np.float64)
        return result


def count_codes(labels: NDArray[Any], codes: NDArray[Any], rows: NDArray[Any] | None = None) -> Float:
    """Rows by label and code, shape (2, codes); each counts once, or as often as ``rows`` says."""
    keys = labels.astype(np.int64) * N_CODES + codes
    return np.bincount(keys, rows, minlength=2 * N_CODES).reshape(2, N_CODES).astype(np.float64)


def calibrated_threshold(counts: Float, *, cost_of_miss: float, cost_of_false_alarm: float) -> int:
    """The code from which on acting costs less, by a logistic curve through rows by label and code (2, codes).

    Where acting and not acting cost the same, the chance of a yes is cost_of_false_alarm / (cost_of_false_alarm +
    cost_of_miss) (Elkan, "The foundations of cost-sensitive learning", IJCAI 2001).  At which score it is that high, a
    curve of two parameters says (Platt, "Probabilistic outputs for support vector machines", 1999), fitted to every
    valid row.  The threshold that was cheapest on those rows depends on a few of them near the flat bottom of a curve
    of costs: it costs no less on new rows, and moves more from seed to seed (docs/comparison.md).  Where no rising
    curve can be fitted, because the rows are of one class or rank the wrong way round, the cheapest one has to do.
    """
    fitted = _fit_logistic(counts)
    if fitted is None:
        return cheapest_threshold(counts, cost_of_miss=cost_of_miss, cost_of_false_alarm=cost_of_false_alarm)
    shift, slope = fitted
    return int(_code_at((np.log(cost_of_false_alarm / cost_of_miss) - shift) / slope))


def chance_of_codes(codes: Int, counts: Float) -> Float:
    """The chance of a yes at each code, by the logistic curve through rows by label and code ``counts`` (2, codes).

    The code's own probability where no rising curve can be fitted.
    """
    fitted = _fit_logistic(counts)
    if fitted is None:
        return probability_of_code(codes)
    shift, slope = fitted
    return np.asarray(_sigmoid(shift + slope * (codes - CENTRE) / STEPS_PER_LOGIT))


def calibrated_thresholds(
    negatives: Float, positives: Float, codes: Int, *, cost_of_miss: float, cost_of_false_alarm: float
) -> Int:
    """`calibrated_threshold` of many resamples (R, codes) at once, ``codes`` being those that occur.

    Newton's method from the curve of all resamples together, a few steps away from that of each; one that does not
    arrive, or does not rise, is left to `calibrated_threshold`.
    """
    costs = {"cost_of_miss": cost_of_miss, "cost_of_false_alarm": cost_of_false_alarm}

    def spread(resamples: slice) -> Float:
        counts = np.zeros((2, N_CODES))
        counts[:, codes] = negatives[resamples].sum(axis=0), positives[resamples].sum(axis=0)
        return counts

    start, rows, logits = _fit_logistic(spread(slice(None))), negatives + positives, (codes - CENTRE) / STEPS_PER_LOGIT
    n_negatives, n_positives = negatives.sum(axis=1, keepdims=True), positives.sum(axis=1, keepdims=True)
    wanted = positives * (n_positives + 1) / (n_positives + 2) + negatives / (n_negatives + 2)
    shift, slope = np.tile(start or (0.0, 1.0), (len(rows), 1)).T
    step = np.full((2, len(rows)), np.inf)
    with np.errstate(all="ignore"):
        for _ in range(FEW_STEPS if start else 0):
            predicted = _sigmoid(shift[:, None] + slope[:, None] * logits)
            gap, weight = wanted - rows * predicted, rows * predicted * (1 - predicted)
            a, b, c = weight.sum(axis=1), weight @ logits, weight @ logits**2
            first, second = gap.sum(axis=1), gap @ logits
            step = np.array([c * first - b * second, a * second - b * first]) / (a * c - b * b)
            shift, slope = shift + step[0], slope + step[1]
            if np.abs(step).max() <= LEAST_STEP:
                break
        there = (np.abs(step).max(axis=0) <= LEAST_STEP) & (slope > 0) & (n_negatives * n_positives > 0)[:, 0]
        found = _code_at((np.log(cost_of_false_alarm / cost_of_miss) - shift) / slope)
    for resample in np.flatnonzero(~there).tolist():
        found[resample] = calibrated_threshold(spread(slice(resample, resample + 1)), **costs)
    return found


def _code_at(logits: Float) -> Int:
    """The code whose lower boundary is nearest."""
    codes = np.clip(np.nan_to_num(np.rint(logits * STEPS_PER_LOGIT + CENTRE + 0.5)), 0, N_CODES - 1)
    return np.asarray(codes, np.int64)


def _fit_logistic(counts: Float) -> tuple[float, float] | None:
    """Shift and slope of the chance of a yes in the logit of the score, by Newton's method; None without a rising one.

    As in Platt's paper, labels count as a little less than sure, so that rows which a score splits cleanly have a
    curve as well.
    """
    negatives, positives = counts
    used = np.flatnonzero(negatives + positives)
    rows, logits = (negatives + positives)[used], (used - CENTRE) / STEPS_PER_LOGIT
    n_negatives, n_positives = float(negatives.sum()), float(positives.sum())
    if n_negatives == 0 or n_positives == 0:
        return None
    sure_yes, sure_no = (n_positives + 1) / (n_positives + 2), 1 / (n_negatives + 2)
    share = (positives[used] * sure_yes + negatives[used] * sure_no) / rows

    def loss(shift: float, slope: float) -> float:
        raw = shift + slope * logits
        return float((rows * (np.logaddexp(0.0, raw) - share * raw)).sum())

    shift, slope = 0.0, 1.0
    for _ in range(MOST_STEPS):
        predicted = _sigmoid(shift + slope * logits)
        gap, weight = rows * (share - predicted), rows * predicted * (1 - predicted)
        a, b, c = float(weight.sum()), float((weight * logits).sum()), float((weight * logits**2).sum())
        size = a * c - b * b
        if size <= 1e-12 * a * c:  # one score for all rows: nothing to rise
            return None
        first, second = float(gap.sum()), float((gap * logits).sum())
        step, here = ((c * first - b * second) / size, (a * second - b * first) / size), loss(shift, slope)
        while loss(shift + step[0], slope + step[1]) > here and max(map(abs, step)) > LEAST_STEP:
            step = step[0] / 2, step[1] / 2
        shift, slope = shift + step[0], slope + step[1]
        if max(map(abs, step)) <= LEAST_STEP:
            break
    return (shift, slope) if slope > 0 else None


def cheapest_threshold(counts: Float, *, cost_of_miss: float, cost_of_false_alarm: float) -> int:
    """The code from which on acting had the lowest cost on rows by label and code, ``counts`` (2, codes).

    Of equal costs, common where rows are few, that nearest to the break-even probability.
    """
    misses = np.concatenate([[0.0], np.cumsum(counts[1])[:-1]])  # positives below the code
    false_alarms = np.cumsum(counts[0][::-1])[::-1]  # negatives at or above it
    cost = cost_of_miss * misses + cost_of_false_alarm * false_alarms
    cheapest = np.flatnonzero(cost <= cost.min() + 1e-9 * max(1.0, float(cost.min())))
    break_even = cost_of_false_alarm / (cost_of_false_alarm + cost_of_miss)
    return int(cheapest[np.abs(probability_of_code(cheapest) - break_even).argmin()])


def group_of(probabilities: NDArray[Any]) -> Int:
    """The group 0 … 9 of each probability; 1.0 belongs to the last."""
    tenths = np.asarray(probabilities, dtype=np.float64) * N_GROUPS
    return np.minimum(tenths.astype(np.int64), N_GROUPS - 1)


def sum_groups(values: Float, probabilities: Float) -> Float:
    """Sums over each group's codes; ``values`` (…, codes) with ascending ``probabilities`` (codes,) → (…, groups)."""
    groups = group_of(probabilities)
    present, starts = np.unique(groups, return_index=True)
    sums = np.zeros((*values.shape[:-1], N_GROUPS))
    if len(present):
        sums[..., present] = np.add.reduceat(values, starts, axis=-1)
    return sums


def calibration_error(negatives: Float, positives: Float, probabilities: Float) -> Float:
    """Expected calibration error of every replicate from its counts (R, codes)."""
    excess = positives * (1 - probabilities) - negatives * probabilities
    rows = (positives + negatives).sum(axis=-1)
    error: Float = np.abs(sum_groups(excess, probabilities)).sum(axis=-1) / rows
    return error


def exact_calibration_error(labels: NDArray[Any], probabilities: NDArray[Any]) -> float:
    """Expected calibration error of rows."""
    gaps = np.zeros(N_GROUPS)
    for rows in row_blocks(len(labels)):
        predicted = np.asarray(probabilities[rows], dtype=np.float64)
        gaps += np.bincount(group_of(predicted), weights=labels[rows] - predicted, minlength=N_GROUPS)
    return float(np.abs(gaps).sum() / len(labels))


def row_blocks(rows: int) -> Iterator[slice]:
    """Slices that cover ``rows`` rows in order: what lies between them then takes the memory of a block."""
    for start in range(0, rows, ROWS_AT_ONCE):
        yield slice(start, min(start + ROWS_AT_ONCE, rows))
