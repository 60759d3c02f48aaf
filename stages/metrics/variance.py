"""How far does chance move a metric?  The variance that resamples of runs of days tell of, and Student's t on it.

Resamples of few runs vary too little, so their variance is multiplied by runs/(runs - strata); correlation that reaches
beyond a run is not in them, so it is put back (`unseen_correlation`).  `paired` tells how both were found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from stages.metrics.bootstrap import Float, Measure, Scores, replicate

MANY_UNITS = 1024  # enough to tell the correlation of neighbours within 0.03
MOST_CORRELATION = 0.9
FADING = 0.4
"""What is left of a correlation one unit further on, at least: as between days of late flights."""


@dataclass(frozen=True)
class Variance:
    """A part of the variance of a metric or a difference, and the degrees of freedom that it was estimated with."""

    value: float
    df: float


def variance_of_runs(drawn: Float, left_out: Float | None, runs: float, block: int, strata: int = 1) -> Variance:
    """Of a metric's finite replicates ``drawn``, each of so many ``runs`` of ``block`` units.

    ``left_out`` is the metric without each unit in turn; None where a run is a single unit, with no neighbour to miss.
    """
    df = runs - strata
    inflation = unseen_correlation(left_out, block) if left_out is not None else 1.0
    return Variance(float(drawn.std(ddof=1)) ** 2 * runs / df * inflation, df)


def satterthwaite(parts: Sequence[Variance]) -> float:
    """The degrees of freedom of a sum of independent variances."""
    total = sum(part.value for part in parts)
    return float(total**2 / sum(part.value**2 / part.df for part in parts if part.value > 0))


def leave_one_out(measure: Measure, n_units: int) -> Scores:
    """Every metric without one unit, for the last `MANY_UNITS` units in turn."""
    n_left_out = min(n_units, MANY_UNITS)
    return replicate(measure, 1.0 - np.eye(n_left_out, n_units, n_units - n_left_out))


def unseen_correlation(left_out: Float, block: int) -> float:
    """How many times larger the variance is than runs of ``block`` units show: 1 or more.

    A bootstrap of runs weighs the correlation at a distance of k units by 1 - k/block, and sees none beyond.  What is
    missing is put back as if the correlation r between neighbours faded geometrically (the idea of prewhitening:
    Andrews & Monahan, Econometrica 1992), by r itself but no faster than by `FADING`: the noise of a unit's own rows
    makes r small, not short-lived.  r is that of the units' influence on the difference (``left_out``: the difference
    without each unit in turn), corrected for the bias of few units (Marriott & Pope, Biometrika 1954).
    """
    influence = np.nan_to_num(np.nanmean(left_out) - left_out) if np.isfinite(left_out).any() else np.zeros(1)
    squares, n = float(influence @ influence), len(influence)
    if squares == 0:
        return 1.0
    r = float(influence[1:] @ influence[:-1]) / squares
    r = min(max(r + (1 + 3 * r) / n, 0.0), MOST_CORRELATION)
    fading, distances = max(r, FADING), np.arange(1, block)
    seen = 1 + 2 * r * float(((1 - distances / block) * fading ** (distances - 1)).sum())
    return (1 + 2 * r / (1 - fading)) / seen


def two_sided_p(t: float, df: float) -> float:
    """The chance that Student's |T| is ``abs(t)`` or more; degrees of freedom need not be whole."""
    return float(2 * stdtr(df, -abs(t)))


def t_quantile(level: float, df: float) -> float:
    """The t that |T| stays below with the chance ``level``: 1.96 for 0.95 and many degrees of freedom."""
    return float(stdtrit(df, (1 + level) / 2))
