"""Is a model worse now than it was?  One system on two sets of rows that have nothing in common.

Nothing is paired, so each side is resampled by itself and the variances add up; both are those of the paired test
(`paired`): resamples of runs of days, corrected for how few runs there are and for what runs do not see, and Student's
t with Satterthwaite's degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np

from stages.metrics.bootstrap import MIN_DEFINED_SHARE, Scores, draw_weights, replicate
from stages.metrics.contract import Metric, Tabulated
from stages.metrics.evidence import why_too_few
from stages.metrics.paired import Difference, Verdict
from stages.metrics.variance import Variance, leave_one_out, satterthwaite, t_quantile, two_sided_p, variance_of_runs


@dataclass(frozen=True)
class Side:
    """One system on some rows: its metrics there, and under resamples of the rows."""

    table: Tabulated
    block: int
    values: Mapping[str, float]
    drawn: Scores
    left_out: Scores

    @classmethod
    def of(cls, table: Tabulated, *, replicates: int, seed: int, block: int) -> Side:
        """Resample the units of a table in runs of ``block``, shorter where there are few units."""
        n_units = len(table.counts)
        block = max(min(block, n_units // 2), 1)
        values = {name: float(value[0]) for name, value in table.measure(np.ones((1, n_units))).items()}
        if n_units < 2:
            return cls(table, block, values, {}, {})
        drawn = replicate(table.measure, draw_weights(n_units, replicates, seed, block))
        left_out = leave_one_out(table.measure, n_units) if block > 1 else {}
        return cls(table, block, values, drawn, left_out)

    def variance(self, name: str) -> Variance | None:
        """Of one metric; None where its resamples do not tell."""
        drawn = self.drawn.get(name, np.empty(0))
        defined, runs = drawn[np.isfinite(drawn)], len(self.table.counts) / self.block
        if len(defined) < max(2, MIN_DEFINED_SHARE * len(drawn)) or runs <= 1:
            return None
        return variance_of_runs(defined, self.left_out[name] if self.block > 1 else None, runs, self.block)

    def interval(self, name: str, metric: Metric, level: float) -> tuple[float | None, float | None]:
        """Where the metric of such rows lies; no ends where that is not known."""
        found, value = self.variance(name), self.values[name]
        if found is None or not isfinite(value) or why_too_few(self.table.counts, self.block, metric.every_class):
            return None, None
        reach = t_quantile(level, found.df) * sqrt(found.value)
        return max(value - reach, metric.floor), min(value + reach, metric.ceiling)


def compare_apart(before: Side, now: Side, name: str, metric: Metric, level: float) -> Difference:
    """One metric of ``now`` minus that of ``before``; a p-value and a verdict where the rows are enough for them."""
    a, b = (value if isfinite(value) else None for value in (before.values[name], now.values[name]))
    difference = None if a is None or b is None else b - a

    def told(verdict: Verdict, low: float | None, high: float | None, p: float | None, reason: str = "") -> Difference:
        replicates = len(now.drawn.get(name, ()))
        return Difference(
            name, metric.direction, a, b, difference, low, high, level, p, None, verdict, replicates, reason
        )

    if difference is None:
        return told("undefined", None, None, None, f"{name} is not defined on these rows")
    for side in (now, before):
        if why := why_too_few(side.table.counts, side.block, metric.every_class):
            return told("too few", None, None, None, why)
    parts = [side.variance(name) for side in (before, now)]
    known = [part for part in parts if part is not None and part.value > 0]
    if len(known) < len(parts):
        return told("too few", None, None, None, "resamples of these rows do not tell how it varies")
    error, df = sqrt(sum(part.value for part in known)), satterthwaite(known)
    reach, p = t_quantile(level, df) * error, two_sided_p(difference / error, df)
    verdict: Verdict = "no evidence"
    if metric.descriptive:
        verdict = "descriptive"
    elif p < 1 - level:
        verdict = "better" if (difference > 0) == (metric.direction == "higher") else "worse"
    return told(verdict, difference - reach, difference + reach, p)
