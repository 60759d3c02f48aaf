"""What is a metric, and what is a result?  Never a bare number: value, interval, n, direction and baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np

from stages.metrics.bootstrap import Float, Interval, Measure, Method, interval, jackknife, replicate

Direction = Literal["higher", "lower"]
SIGNIFICANT_DIGITS = 6


@dataclass(frozen=True)
class Metric:
    """Which way is better, the range of possible values, and an interval method where the asked one does not fit.

    A *descriptive* metric is so biased that its interval says how it varies and carries no verdict; the interval is
    stretched to hold the value, which a reflected interval need not.
    """

    direction: Direction
    floor: float = 0.0
    ceiling: float = float("inf")
    method: Method | None = None
    descriptive: bool = False


class Tabulated(Protocol):
    """One system's resampling table: metrics of any weighting of its units."""

    def measure(self, weights: Float) -> dict[str, Float]:
        """Every metric (R,) under weights (R, units)."""


@dataclass(frozen=True)
class System:
    """The model or the baseline on the test part: its table, and its metrics on the scores themselves."""

    table: Tabulated
    exact: Mapping[str, float]


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
) -> dict[str, dict[str, Any]]:
    """Every metric of the model with its interval, beside the baseline's, and their difference by paired resamples.

    Values are exact.  Replicates are drawn from coded scores, so intervals are moved by exact - coded, a shift far
    smaller than the interval is wide.  ``block`` is that of the weights: BCa leaves out runs as long as those drawn.
    """
    ones = np.ones((1, weights.shape[1]))
    drawn = {name: _Drawn.of(system, weights, ones, block if method == "bca" else None) for name, system in
             (("model", model), ("baseline", baseline))}  # fmt: skip
    results = {}
    for name, metric in metrics.items():
        chosen = metric.method or method
        own, other = drawn["model"], drawn["baseline"]
        value, reference = own.exact[name], other.exact[name]
        around = own.interval(name, metric, chosen, level)
        around_reference = other.interval(name, metric, chosen, level)
        unbounded = replace(metric, floor=float("-inf"), ceiling=float("inf"))
        gap = own.minus(other).interval(name, unbounded, chosen, level)
        results[name] = {
            "value": value,
            "low": around.low,
            "high": around.high,
            "level": level,
            "n": n,
            "direction": metric.direction,
            "baseline": reference,
            "baseline_low": around_reference.low,
            "baseline_high": around_reference.high,
            "difference": value - reference,
            "difference_low": gap.low,
            "difference_high": gap.high,
            "method": chosen,
            "replicates": around.replicates,
            **({"descriptive": True} if metric.descriptive else {}),
        }
    return results


@dataclass(frozen=True)
class _Drawn:
    exact: Mapping[str, float]
    coded: Mapping[str, Float]
    replicates: Mapping[str, Float]
    left_out: Mapping[str, Float]

    @classmethod
    def of(cls, system: System, weights: Float, ones: Float, left_out_block: int | None) -> _Drawn:
        measure: Measure = system.table.measure
        left_out = jackknife(measure, weights.shape[1], left_out_block) if left_out_block else {}
        return cls(system.exact, measure(ones), replicate(measure, weights), left_out)

    def minus(self, other: _Drawn) -> _Drawn:
        def gaps(own: Mapping[str, Float], others: Mapping[str, Float]) -> dict[str, Float]:
            return {name: values - others[name] for name, values in own.items()}

        return _Drawn(
            {name: value - other.exact[name] for name, value in self.exact.items()},
            gaps(self.coded, other.coded),
            gaps(self.replicates, other.replicates),
            gaps(self.left_out, other.left_out),
        )

    def interval(self, name: str, metric: Metric, method: Method, level: float) -> Interval:
        coded = float(self.coded[name][0])
        found = interval(
            self.replicates[name], coded, method=method, level=level, left_out=self.left_out.get(name), name=name
        )
        shift = self.exact[name] - coded
        low, high = (min(max(end + shift, metric.floor), metric.ceiling) for end in (found.low, found.high))
        if metric.descriptive:
            low, high = min(low, self.exact[name]), max(high, self.exact[name])
        return Interval(low, high, found.method, found.replicates)


def round_figures(content: Any) -> Any:
    """Floats to six significant digits, all through a result: more is noise that differs between processors."""
    if isinstance(content, float):
        return float(f"{content:.{SIGNIFICANT_DIGITS}g}")
    if isinstance(content, Mapping):
        return {key: round_figures(value) for key, value in content.items()}
    return [round_figures(value) for value in content] if isinstance(content, list) else content
