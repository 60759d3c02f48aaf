"""Are the rows enough to say how far a figure could have come out otherwise?

Resampling sees only what is there.  Where all rows came out alike, every resample does, and its interval has no width;
where few did, it is too narrow: of 23 rows of which 97 % would be right, percentile intervals at 95 % hold the truth in
half of the cases, and of 5 rows of which 90 % would be, in 38 %.  So two rules:

- A *share* (accuracy, recall, precision, the rows of a class that are taken for another) has Clopper and Pearson's
  interval (Biometrika 1934) where fewer than `MIN_UNITS` units hold either outcome, or there are fewer than `MIN_RUNS`
  runs of units.  It holds the truth at least as often as it says, of 5 rows as of 5000.  What counts is not rows but
  the units that they amount to (`effective_rows`): fifty rows of one day are one observation, and so few say nothing
  of how alike they are.  F1 is a share in disguise, 2j/(1 + j) of the share j of hits among the rows that are of the
  class or taken for it.
- Any other metric has no interval below `MIN_ROWS` rows, `MIN_UNITS` units (of each class, where every class counts
  alike) or `MIN_RUNS` runs of them, nor where all resamples agree.

`benchmarks/study_coverage.py` has the simulations behind both, docs/comparison.md their results.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

Float = NDArray[np.float64]

MIN_ROWS, MIN_UNITS, MIN_RUNS = 30, 10, 4
ROUNDING = 1e-12  # sums of the same counts in another order differ by less, as a share of the metric


@dataclass(frozen=True)
class Share:
    """A metric that is a share of rows: ``hits`` among ``rows``, by unit (units,) or (units, several); or F1 of one."""

    hits: Float
    rows: Float
    is_f1: bool = False

    def is_rare(self, block: int) -> NDArray[np.bool_]:
        """Whether one of the two outcomes occurs in too few units, or runs of ``block``, for a bootstrap to see it."""
        held = np.count_nonzero(self.hits > 0, axis=0), np.count_nonzero(self.hits < self.rows, axis=0)
        few_runs = np.count_nonzero(self.rows, axis=0) < MIN_RUNS * block
        return np.asarray((np.minimum(*held) < MIN_UNITS) | few_runs)

    def exact_ends(self, level: float) -> tuple[Float, Float]:
        """Clopper and Pearson's interval, whatever the number of rows; NaN where there are none."""
        n = effective_rows(self.rows)
        total = self.rows.sum(axis=0)
        share = np.divide(self.hits.sum(axis=0), total, out=np.full(n.shape, np.nan), where=total > 0)
        low, high = clopper_pearson(share * n, n, level)
        return (2 * low / (1 + low), 2 * high / (1 + high)) if self.is_f1 else (low, high)


def clopper_pearson(hits: Float, n: Float, level: float) -> tuple[Float, Float]:
    """The interval of a share of ``n`` independent rows, neither of which need be whole; NaN for none."""
    tail, misses = (1 - level) / 2, n - hits
    certain = ROUNDING * n  # a share of all, times their number, may miss it by a bit
    with np.errstate(invalid="ignore"):
        low = np.where(hits <= certain, 0.0, betaincinv(hits, misses + 1, tail))
        high = np.where(misses <= certain, 1.0, betaincinv(hits + 1, misses, 1 - tail))
    return np.where(n > 0, low, np.nan), np.where(n > 0, high, np.nan)


def effective_rows(rows: Float) -> Float:
    """How many independent rows those of ``rows`` by unit (units, …) are worth, if those of a unit are all alike.

    Kish's (Σ n)²/Σ n²: the number of rows where each is a unit, the number of units where these are of one size.
    """
    total, squares = rows.sum(axis=0), (rows**2).sum(axis=0)
    return np.asarray(np.divide(total**2, squares, out=np.zeros(np.shape(squares)), where=squares > 0))


def least_units(block: int) -> int:
    """The fewest units, drawn in runs of ``block``, by which anything is judged."""
    return max(MIN_UNITS, MIN_RUNS * block)


def why_too_few(counts: Float, block: int, every_class: bool) -> str:
    """Why rows by unit and class (units, classes) are too few for an interval of a metric that is no share, or "".

    Classes matter to a metric that counts ``every_class`` alike; one without any row is the metric's own affair.
    """
    units, by_class = np.count_nonzero(counts.sum(axis=1)), np.count_nonzero(counts, axis=0)
    least = least_units(block)
    if counts.sum() < MIN_ROWS:
        return f"fewer than {MIN_ROWS} rows"
    if units < least:
        return f"rows in fewer than {least} units"
    rare = every_class and by_class[by_class > 0].min() < MIN_UNITS
    return f"a class in fewer than {MIN_UNITS} units" if rare else ""


def has_width(low: Float | float, high: Float | float) -> NDArray[np.bool_]:
    """Whether the resamples behind an interval differ."""
    return np.asarray(high - low > ROUNDING * np.maximum(np.abs(low), np.abs(high)))


def without_flat(low: Float, high: Float) -> tuple[Float, Float]:
    """The ends of intervals, NaN where all resamples agree."""
    wide = has_width(low, high)
    return np.where(wide, low, np.nan), np.where(wide, high, np.nan)
