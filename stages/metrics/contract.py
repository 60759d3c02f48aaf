"""What is a metric, and what is known of a system: its resampling table, and its metrics on the scores themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from stages.metrics.bootstrap import Float, Method

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


def round_figures(content: Any) -> Any:
    """Floats to six significant digits, all through a result: more is noise that differs between processors."""
    if isinstance(content, float):
        return float(f"{content:.{SIGNIFICANT_DIGITS}g}")
    if isinstance(content, Mapping):
        return {key: round_figures(value) for key, value in content.items()}
    return [round_figures(value) for value in content] if isinstance(content, list) else content
