"""How is a selection told to a person?  A reason in words, a line in the log, the table behind the bar chart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from stages.features.selection import Choice, Rule


def describe(names: Sequence[str], choice: Choice, rule: Rule, *, level: float) -> list[dict[str, Any]]:
    """One entry per feature, most relevant first, with a percentile interval of the relevance.

    Relevance is shown from 0 up, as shares are (the estimate of pure noise falls on either side of 0).
    """
    low, high = np.quantile(choice.resampled, [(1 - level) / 2, (1 + level) / 2], axis=0)
    figures = choice.figures
    return [
        {
            "name": names[f],
            "kept": choice.verdicts[f].is_kept,
            "decision": choice.verdicts[f].name,
            "reason": reason(names, f, choice, rule),
            "relevance": shown(figures.relevance[f]),
            "relevance_low": shown(low[f]),
            "relevance_high": shown(high[f]),
            "stability": shown(choice.stability[f]),
            "null_share": shown(figures.null_share[f]),
            "levels": int(figures.levels[f]),
            **closest(names, f, choice),
        }
        for f in np.argsort(-figures.relevance, kind="stable").tolist()
    ]


def closest(names: Sequence[str], f: int, choice: Choice) -> dict[str, Any]:
    """The feature most associated with feature ``f``, for a person who wonders where to set the threshold."""
    others = np.where(np.arange(len(names)) == f, -1.0, choice.association[f])
    other = int(np.argmax(others))
    if others[other] <= 0:
        return {"closest": None, "association": 0.0}
    return {"closest": names[other], "association": shown(others[other])}


def reason(names: Sequence[str], f: int, choice: Choice, rule: Rule) -> str:
    """Why feature ``f`` stayed or went."""
    verdict, relevance = choice.verdicts[f], choice.figures.relevance[f]
    explains = f"tells {percent(max(relevance, 0.0))} of the target's entropy"
    if verdict.name == "constant":
        return "constant: all training rows fall in one bin"
    if verdict.name == "near-empty":
        return f"near-empty: {percent(choice.figures.null_share[f])} null, more than {percent(rule.max_null_share)}"
    if verdict.instead is not None:
        return f"redundant with {names[verdict.instead]} (association {choice.association[f, verdict.instead]:.2f})"
    if verdict.name == "irrelevant":
        return f"irrelevant: {explains}, less than {percent(rule.min_relevance)}"
    if relevance < rule.min_relevance:
        return f"kept as the most relevant of all, though it {explains}, less than {percent(rule.min_relevance)}"
    return explains


def percent(share: float) -> str:
    """A share in percent, three significant digits."""
    return f"{100 * share:.3g}\u202f%"


def shown(value: float) -> float:
    """Six significant digits, 0 or more: the last bits of a logarithm on another machine must not change the file."""
    return float(f"{max(float(value), 0.0):.6g}")


def bars(features: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """A row per feature, longest bar first."""
    columns = {
        "feature": "name",
        "relevance": "relevance",
        "low": "relevance_low",
        "high": "relevance_high",
        "stability": "stability",
        "decision": "decision",
    }
    return pl.DataFrame({column: [feature[key] for feature in features] for column, key in columns.items()})


def summary(choice: Choice) -> str:
    """How many stay and how many go for which reason."""
    counts = Counter(verdict.name for verdict in choice.verdicts)
    dropped = ", ".join(f"{counts[name]} {name}" for name in ("constant", "near-empty", "redundant", "irrelevant"))
    return f"{counts['kept']} of {len(choice.verdicts)} features kept ({dropped})"
