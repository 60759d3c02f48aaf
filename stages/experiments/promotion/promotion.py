"""Does the candidate take the champion's place?  One interval, one margin, three answers.

The *gain* is how much better the candidate is, in units of the metric; its sign is turned so that more is better.  On
a line of gains stands the declared margin |, and on the line lies the interval of the gain:

    promote          |  [-----]       all of it above the margin: the gain is shown, and worth a change
    keep     [-----] |                all of it at or below the margin: whatever the gain is, it is not worth a change
    inconclusive [---|---]            the margin lies inside: these rows cannot tell, and the champion stays

With a margin of 0, promote means "shown to be better".  A negative margin asks less, "shown to be no worse than by so
much", for a candidate that is preferred on other grounds (smaller, faster, simpler).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from stages.metrics.contract import Metric
from stages.metrics.paired import Difference

Decision = Literal["promote", "keep", "inconclusive", "first", "replace", "rollback"]
MAKES_A_CHAMPION: tuple[Decision, ...] = ("promote", "first", "replace", "rollback")


@dataclass(frozen=True)
class Ruling:
    """A decision, the gain and its interval (None without a comparison), and the reason in words."""

    decision: Decision
    reason: str
    gain: float | None = None
    low: float | None = None
    high: float | None = None


def rule(difference: Difference, margin: float) -> Ruling:
    """The decision on the candidate B against the champion A, from one metric.

    Raises
    ------
    ValueError
        When the rows leave the metric undefined.
    """
    if difference.difference is None or difference.low is None or difference.high is None:
        raise ValueError(
            f"a difference in {difference.metric} between candidate and champion",
            difference.reason or "none could be computed",
            "judge by another metric (datasets.<dataset>.promote.metric) or on more rows",
        )
    gain, low, high = difference.difference, difference.low, difference.high
    if difference.direction == "lower":
        gain, low, high = -gain, -high, -low
    decision: Decision = "promote" if low > margin else "keep" if high <= margin else "inconclusive"
    measured = f"gain in {difference.metric} {gain + 0.0:.4g} {_span(low, high, difference.level)}"
    values = f"({difference.a:.4g} → {difference.b:.4g}, {difference.direction} is better)"
    words = f"{measured} {values}: {_why(decision, low, high, margin)}"
    return Ruling(decision, words, *(value + 0.0 for value in (gain, low, high)))  # + 0.0: no minus before a zero


def _span(low: float, high: float, level: float) -> str:
    return f"[{low + 0.0:.4g}, {high + 0.0:.4g}] at {level:.3g}"


def _why(decision: Decision, low: float, high: float, margin: float) -> str:
    if decision == "promote":
        return f"all of the interval lies above the margin of {margin:.4g}"
    if decision == "inconclusive":
        return f"the margin of {margin:.4g} lies inside the interval: these rows cannot tell"
    if low == high == 0:
        return "no resample shows a difference"
    worse = ": the candidate is worse" if high < 0 else ""
    return f"all of the interval lies at or below the margin of {margin:.4g}{worse}"


def refuse_metric(name: str, metrics: Mapping[str, Metric], dataset: str) -> None:
    """Stop when no decision can rest on the metric ``name``."""
    path = f"datasets.{dataset}.promote.metric"
    deciding = [known for known, metric in metrics.items() if not metric.descriptive]
    if name in metrics and name not in deciding:
        found = f"{name}, so biased that its interval carries no verdict"
    elif name not in metrics:
        found = f"{name!r}"
    else:
        return
    raise ValueError(f"{path}: one of {', '.join(deciding)}", found, "correct it under params/ and run `make params`")


def succession(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The champions whom a rollback can return to, the reigning one last: a rollback takes off those after its own.

    ``entries`` are those of the decision log; each champion is a version and its commit.
    """
    reigning: list[dict[str, str]] = []
    for entry in entries:
        if entry["decision"] not in MAKES_A_CHAMPION:
            continue
        made = {"version": entry["candidate"]["version"], "commit": entry["candidate"]["commit"]}
        if entry["decision"] == "rollback" and made in reigning:
            last = len(reigning) - reigning[::-1].index(made)
            reigning = reigning[:last]
        else:
            reigning.append(made)
    return reigning
