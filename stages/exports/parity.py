"""Does a graph score as its bundle does?  Both score the same rows, and whether they decide alike is counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from stages.exports.graph import INPUT
from stages.metrics.stored import task_named
from stages.models.contract import Float32, Model

TOLERANCE = 1e-6  # of a probability, or of the largest number: float32 has seven digits


@dataclass(frozen=True)
class Parity:
    """How far the graph's scores lie from the bundle's, and how many of its decisions are others."""

    rows: int
    largest_difference: float
    equal_to_the_bit: float
    """The share of the scores."""
    other_decisions: int

    def joined(self, other: Parity) -> Parity:
        """Of the rows of both."""
        rows = self.rows + other.rows
        equal = (self.rows * self.equal_to_the_bit + other.rows * other.equal_to_the_bit) / max(rows, 1)
        largest = max(self.largest_difference, other.largest_difference)
        return Parity(rows, largest, equal, self.other_decisions + other.other_decisions)

    def to_json(self) -> dict[str, Any]:
        """As ``inputs.json`` tells it."""
        return asdict(self)


class Runner:
    """A graph that scores: ONNX Runtime with one thread, so that sums have one order."""

    def __init__(self, model: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def predict(self, coded: Float32) -> Float32:
        """Scores of (rows, features): categories by their place, NaN for missing."""
        return np.asarray(self.session.run(None, {INPUT: coded})[0])


def compare(model: Model, graph: Runner, rows: pl.DataFrame, signature: Mapping[str, Any]) -> Parity:
    """Both on rows that are fitted to the signature."""
    ours, theirs = model.predict(rows), graph.predict(code_rows(rows.select(model.features)))
    task = task_named(signature["task"])
    pairs = [
        task.name_scores(scores, signature).select(pl.selectors.string()).with_row_index() for scores in (ours, theirs)
    ]
    apart = float(np.abs(ours.astype(np.float64) - theirs).max(initial=0.0))
    other = sum(a != b for a, b in zip(*(pair.rows() for pair in pairs), strict=True))
    return Parity(len(rows), apart, float(np.mean(ours == theirs)), other)


def refuse_apart(found: Parity, scale: float) -> None:
    """Raise a refusal (wanted, found, next step) unless both say the same of every row."""
    if found.largest_difference <= TOLERANCE * max(scale, 1.0) and not found.other_decisions:
        return
    raise ValueError(
        f"a graph that scores as the bundle does, to {TOLERANCE:g} and with the same decisions",
        f"scores up to {found.largest_difference:.2g} apart and {found.other_decisions:,} other decisions "
        f"in {found.rows:,} rows; nothing was written",
        "serve the bundle itself, and tell us: docs/export.md says what a graph can say",
    )


def code_rows(rows: pl.DataFrame) -> Float32:
    """Fitted rows as the graph wants them: pictures as their pixels, one input after another."""
    flat = [
        column.to_numpy() if isinstance(column.dtype, pl.Array)
        else column.to_physical().cast(pl.Float32).fill_null(np.nan).to_numpy()[:, None]
        for column in rows
    ]  # fmt: skip
    return np.ascontiguousarray(np.concatenate(flat, axis=1, dtype=np.float32))
