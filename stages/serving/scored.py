"""What does a model say of the rows of a file, where some of them cannot be scored?

Such a row says why and keeps none of the others from their scores.  The work is done piece by piece in the process that
scores files, which sends back what is told of the whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.metrics.contract import Task
from stages.metrics.stored import task_named
from stages.models.bundle import Bundle
from stages.models.row_files import Write, read_pieces, whole_table
from stages.models.signature import REFUSED, Tally, unfit_rows
from stages.serving.answers import Tallied, counted
from stages.serving.files import Work, check_file, opened
from stages.serving.problems import Fault, Problem

PREVIEW = 8  # rows that are shown
BINS = 20
PLACE, PROBLEM = "row", "problem"
"""The columns that say which row it is, from 1 on, and why it has no score."""


@dataclass(frozen=True)
class ScoredPiece:
    """Some rows of a file; a row that cannot be scored has null answers and a reason."""

    beside: pl.DataFrame
    """Their columns that are no inputs, as they were given."""
    inputs: pl.DataFrame
    """Their inputs, as they were given."""
    answers: pl.DataFrame
    """Row number, what `predict` writes, and the reason."""
    named: pl.DataFrame
    """What `predict` writes of the rows that could be scored."""
    scores: NDArray[np.float32]
    """Theirs, or those of the most probable class."""
    reasons: Mapping[str, pl.Series]
    """The places of the others in the piece, by reason."""


@dataclass(frozen=True)
class Look:
    """A file at a glance."""

    tallied: Tallied
    """The rows that could be scored."""
    bad: int
    """The others."""
    reasons: Mapping[str, tuple[int, int]]
    """How many of them for which reason, and the first of those; the most frequent reason first."""
    head: pl.DataFrame
    """The first rows: the answers, then other columns, then the inputs, those that matter most first."""
    ends: NDArray[np.float64]
    counts: NDArray[np.int64]
    """A histogram: the ends of its bins, and the rows in each."""


@dataclass
class _Sums:
    rows: int = 0
    scored: int = 0
    decided: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    firsts: dict[str, int] = field(default_factory=dict)
    scores: list[NDArray[np.float32]] = field(default_factory=list)
    heads: list[pl.DataFrame] = field(default_factory=list)


def look_at(work: Work, write: Write = lambda _rows: None) -> Look:
    """Score a whole file and sum it up; ``write`` is given its other columns and the answers, piece by piece."""
    check_file(work.rows, work.limits)
    bundle, sums = opened(work.bundle), _Sums()
    task, tally = task_named(bundle.signature["task"]), Tally(bundle.signature["inputs"])
    kinds = {str(entry["name"]): str(entry["kind"]) for entry in tally.inputs}
    first = sorted(kinds, key=lambda name: -_effects(bundle).get(name, 0.0))
    for piece in read_pieces(work.rows, kinds):
        if not len(piece.rows):
            continue
        if lacking := [name for name in kinds if name not in piece.rows.columns]:
            raise Problem(422, "wanted a column for every input", [Fault(name, "a column", "none") for name in lacking])
        inputs, beside = piece.rows.select(list(kinds)), piece.rows.drop(list(kinds))
        scored = score_piece(bundle, task, inputs, beside, tally.fit(inputs), sums.rows + 1)
        write(pl.concat([beside.drop(scored.answers.columns, strict=False), scored.answers], how="horizontal"))
        _add(sums, scored, task, first)
    if not sums.rows:
        raise Problem(422, "wanted at least one row, found none")
    misfits = [misfit for misfit in tally.misfits() if misfit.kind not in REFUSED]
    ends, counts = histogram(task, np.concatenate(sums.scores))
    return Look(
        Tallied(sums.scored, dict(sums.decided), dict(sums.missing), misfits), sums.rows - sums.scored,
        {reason: (n, sums.firsts[reason]) for reason, n in sums.reasons.most_common()},
        pl.concat(sums.heads, how="diagonal_relaxed").head(PREVIEW), ends, counts,
    )  # fmt: skip


def write_scored(work: Work) -> Look:
    """The same, and all rows with their answers as CSV."""
    with whole_table(work.output) as write:
        return look_at(work, write)


def _effects(bundle: Bundle) -> dict[str, float]:
    return {str(entry["name"]): entry.get("effect", 0.0) for entry in bundle.signature["inputs"]}


def score_piece(
    bundle: Bundle, task: Task, inputs: pl.DataFrame, beside: pl.DataFrame, fitted: pl.DataFrame, first: int
) -> ScoredPiece:
    """Score the rows that can be scored, and say of the others why not; row numbers begin with ``first``."""
    reasons = unfit_rows(inputs, fitted)
    told = [
        pl.DataFrame({PLACE: places.cast(pl.Int64) + first, PROBLEM: pl.repeat(reason, len(places), eager=True)})
        for reason, places in reasons.items()
    ]
    nothing = pl.DataFrame(schema={PLACE: pl.Int64, PROBLEM: pl.String})
    problems = pl.concat([nothing, *told]).group_by(PLACE, maintain_order=True).agg(pl.col(PROBLEM).str.join("; "))
    numbers = pl.int_range(first, first + len(inputs), dtype=pl.Int64, eager=True).alias(PLACE)
    good = ~numbers.is_in(problems[PLACE].to_list())
    scores = bundle.model.predict(fitted.filter(good))
    named = task.name_scores(scores, bundle.signature)
    answers = (
        numbers.to_frame()
        .join(named.with_columns(numbers.filter(good)), on=PLACE, how="left", maintain_order="left")
        .join(problems, on=PLACE, how="left", maintain_order="left")
        .select(PLACE, *named.columns, PROBLEM)
    )
    told_of = scores.max(axis=1) if scores.ndim == 2 and len(scores) else scores.reshape(-1)
    return ScoredPiece(beside, inputs, answers, named, told_of, reasons)


def _add(sums: _Sums, piece: ScoredPiece, task: Task, first: list[str]) -> None:
    for reason, places in piece.reasons.items():
        sums.firsts.setdefault(reason, sums.rows + int(places[0]) + 1)
        sums.reasons[reason] += len(places)
    if sums.rows < PREVIEW:
        inputs = piece.inputs.select(first).head(PREVIEW).cast(pl.String)
        beside = piece.beside.drop(piece.answers.columns, strict=False).head(PREVIEW)
        sums.heads.append(pl.concat([piece.answers.head(PREVIEW), beside, inputs], how="horizontal"))
    sums.rows += len(piece.answers)
    sums.scored += len(piece.named)
    sums.decided.update(counted(task, piece.named))
    sums.scores.append(piece.scores)


def histogram(task: Task, scores: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The ends of bins, over all probabilities or from the smallest number to the largest, and the rows in each."""
    low, high = 0.0, 1.0
    if task.scored == "number" and len(scores):
        low, high = float(scores.min()), float(scores.max())
    ends = np.linspace(low, high if high > low else low + 1, BINS + 1)
    return ends, np.histogram(scores, ends)[0].astype(np.int64)
