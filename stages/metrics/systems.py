"""What is a result?  Never a bare number: value, interval, n, direction, baseline, and a test of their difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from stages.metrics.bootstrap import Float, Method, Scores, interval, jackknife, replicate
from stages.metrics.contract import Metric, System, Tabulated
from stages.metrics.evidence import has_width, why_too_few
from stages.metrics.paired import Difference, compare

LEAST_P = 1e-6  # nothing is known so well of the tail of a distribution
TOO_FEW = "too few"


@dataclass(frozen=True)
class Around:
    """The ends of an interval, or None where the rows are too few; how it was made, from how many replicates."""

    low: float | None
    high: float | None
    method: str
    replicates: int


def compare_systems(
    model: System,
    baseline: System,
    metrics: Mapping[str, Metric],
    weights: Float,
    *,
    level: float,
    method: Method,
    n: int,
    block: int = 1,
    strata: int = 1,
) -> dict[str, dict[str, Any]]:
    """Every metric of the model with its interval, beside the baseline's, and their difference by the paired test.

    Where the rows are too few for an interval (`evidence`), its ends are None, and ``method`` says so.  Values are
    exact.  Replicates are drawn from coded scores, so intervals are moved by exact - coded, a shift far smaller than
    the interval is wide.  ``block`` is that of the weights: BCa leaves out runs as long as those drawn.  ``strata`` is
    for the paired test.
    """
    left_out_block = block if method == "bca" else None
    own, other = (_Drawn.of(system, weights, left_out_block) for system in (model, baseline))
    gaps = compare(
        baseline, model, metrics, weights, level=level, block=block, drawn=(other.replicates, own.replicates),
        strata=strata,
    )  # fmt: skip
    results = {}
    for name, metric in metrics.items():
        chosen = metric.method or method
        around = own.interval(name, metric, chosen, level, block)
        around_reference = other.interval(name, metric, chosen, level, block)
        results[name] = {
            "value": model.exact[name],
            "low": around.low,
            "high": around.high,
            "level": level,
            "n": n,
            "direction": metric.direction,
            "baseline": baseline.exact[name],
            "baseline_low": around_reference.low,
            "baseline_high": around_reference.high,
            "difference": gaps[name].difference,
            "difference_low": gaps[name].low,
            "difference_high": gaps[name].high,
            "method": around.method,
            "replicates": around.replicates,
            **({"descriptive": True} if metric.descriptive else {}),
            **({} if metric.nominal is None else {"nominal": metric.nominal}),
            "difference_p": _p_value(gaps[name]),
        }
    return results


def _p_value(gap: Difference) -> float | None:
    if gap.verdict == "undefined":
        raise ValueError(
            f"a difference of {gap.metric} between the model and the baseline",
            gap.reason,
            "evaluate on more rows, with more of the rarest class among them",
        )
    return None if gap.p_value is None else max(gap.p_value, LEAST_P)


@dataclass(frozen=True)
class _Drawn:
    """One system's metrics on its scores, on its codes, in every replicate, and for BCa with runs left out."""

    table: Tabulated
    exact: Mapping[str, float]
    coded: Mapping[str, Float]
    replicates: Scores
    left_out: Mapping[str, Float]

    @classmethod
    def of(cls, system: System, weights: Float, left_out_block: int | None) -> _Drawn:
        measure, n_units = system.table.measure, len(system.table.counts)
        left_out = jackknife(measure, n_units, left_out_block) if left_out_block else {}
        return cls(system.table, system.exact, measure(np.ones((1, n_units))), replicate(measure, weights), left_out)

    def interval(self, name: str, metric: Metric, method: Method, level: float, block: int) -> Around:
        return interval_around(
            self.table, name, metric, self.replicates[name], float(self.coded[name][0]), self.exact[name],
            method=method, level=level, block=block, left_out=self.left_out.get(name),
        )  # fmt: skip


def interval_around(
    table: Tabulated, name: str, metric: Metric, replicates: Float, coded: float, exact: float, *, method: Method,
    level: float, block: int, left_out: Float | None = None,
) -> Around:  # fmt: skip
    """The interval of a metric of ``table``: over its replicates, exact where it is a share of rare rows, or none.

    ``coded`` is the metric of the table's codes, ``exact`` that of the scores themselves, around which it is to lie.
    """
    share, none = table.shares.get(name), Around(None, None, TOO_FEW, len(replicates))
    if isfinite(exact) and share is not None and share.is_rare(block):
        low, high = (float(end) for end in share.exact_ends(level))
        # a precision of 0 where nothing is flagged is a share of no rows
        return Around(low, high, "clopper-pearson", len(replicates)) if isfinite(low) else none
    if isfinite(exact) and share is None and why_too_few(table.counts, block, metric.every_class):
        return none
    found = interval(replicates, coded, method=method, level=level, left_out=left_out, name=name)
    if not has_width(found.low, found.high):
        return none
    low, high = (min(max(end + exact - coded, metric.floor), metric.ceiling) for end in (found.low, found.high))
    if metric.descriptive:
        low, high = min(low, exact), max(high, exact)
    return Around(low, high, found.method, found.replicates)
