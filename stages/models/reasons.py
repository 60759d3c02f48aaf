"""What spoke for this answer, and what against it?  The strongest contributions of a row's inputs, in words.

Contributions add up to the raw score, in log-odds for classes and in the target's unit for numbers: what the model
uses, not what causes the outcome.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.models.contract import Model

STRONGEST = 3  # each way
AT_ONCE = 8192  # rows whose contributions are held


def tell_reasons(
    model: Model, inputs: pl.DataFrame, entries: Sequence[Mapping[str, Any]], scores: NDArray[np.float32]
) -> pl.DataFrame:
    """Columns ``speaks_for`` and ``speaks_against``: for a yes, for the chosen class, for a higher number.

    Raises
    ------
    ValueError
        Where the family has no exact contributions: wanted, found, next step.
    """
    told: dict[str, list[str | None]] = {"speaks_for": [], "speaks_against": []}
    for start in range(0, len(inputs), AT_ONCE):
        rows = inputs[start : start + AT_ONCE]
        parts = model.contributions(rows)
        if parts is None:
            raise ValueError("a family of models that tells what each input adds", "one that cannot", "leave it out")
        chosen = scores[start : start + AT_ONCE].argmax(axis=1) if scores.ndim == 2 else np.zeros(len(rows), np.int64)
        own = parts[np.arange(len(rows)), chosen, :-1]
        order = np.argsort(-np.abs(own), axis=1, kind="stable")
        for values, shares, places in zip(rows.iter_rows(), own, order, strict=True):
            for name, sign in (("speaks_for", 1), ("speaks_against", -1)):
                strongest = [place for place in places if sign * shares[place] > 0][:STRONGEST]
                words = (_say(entries[place], values[place], float(shares[place])) for place in strongest)
                told[name].append("; ".join(words) or None)
    return pl.DataFrame(told, schema=dict.fromkeys(told, pl.String))


def _say(entry: Mapping[str, Any], value: Any, share: float) -> str:
    given = "missing" if value is None else f"{value:g}" if isinstance(value, (int, float)) else str(value)
    unit = f" {entry['unit']}" if entry["unit"] and value is not None else ""
    return f"{entry['name']} {given}{unit} ({share:+.2f})"
