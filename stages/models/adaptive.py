"""Where do the quantiles of an error lie, by the errors that have come due, and is the world no longer as it was?

Split conformal prediction over a window that moves: the quantiles in use on a day are those of the errors of forecasts
that came due within the days before.  Whenever more of these lay below a quantile than should have, the level asked of
the next day's moves on (Gibbs & Candès, "Adaptive conformal inference under distribution shift", NeurIPS 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.models.forecasts import QUANTILES

Float = NDArray[np.float64]
Int = NDArray[np.int64]

FEWEST = 50  # errors that a quantile is taken of
EXTREMES = (0.002, 0.998)  # levels that no adaptation leaves
DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Shifts:
    """By day since 1970, ascending, where the quantiles lie around the point, (days, 3)."""

    days: Int
    values: Float

    def on(self, days: Int) -> Float:
        """Those in use on each day, (rows, 3)."""
        return self.values[np.clip(np.searchsorted(self.days, days, side="right") - 1, 0, None)]


def adaptive_shifts(
    made_us: Int, due_us: Int, errors: Float, *, window_days: int, adapt: float, first: Sequence[float]
) -> Shifts:
    """Quantiles of errors by day, from nothing that came due after the day began.

    Parameters
    ----------
    made_us, due_us, errors
        Of each forecast, in any order, (lines,).
    first
        The quantiles in use until `FEWEST` errors have come due.
    """
    if not len(errors):
        return Shifts(np.zeros(1, np.int64), np.array([first]))
    order = np.argsort(due_us, kind="stable")
    due, made_days, errors = due_us[order], made_us[order] // DAY_US, errors[order]
    days = np.arange(made_days.min(), due[-1] // DAY_US + 2)
    levels, used = np.array(QUANTILES), np.empty((len(days), len(QUANTILES)))
    for place, day in enumerate(days.tolist()):
        start, news, stop = np.searchsorted(due, [(day - window_days) * DAY_US, (day - 1) * DAY_US, day * DAY_US])
        if stop - start < FEWEST:
            used[place] = first
            continue
        if stop > news:
            in_use = used[made_days[news:stop] - days[0]]
            missed = np.array(QUANTILES) - (errors[news:stop, None] <= in_use).mean(axis=0)
            levels = np.clip(levels + adapt * missed, *EXTREMES)
        used[place] = np.quantile(errors[start:stop], np.sort(levels))
    return Shifts(days.astype(np.int64), used)
