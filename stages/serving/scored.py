"""What does a model say of the rows of a file, where some of them cannot be scored?

Such a row says why and keeps none of the others from their scores.  The work is done piece by piece in the process that
scores files, which sends back what is told of the whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.metrics.contract import Task
from stages.metrics.stored import task_named
from stages.models.bundle import Bundle
from stages.models.row_files import read_pieces
from stages.models.score_files import Write, whole_table
from stages.models.signature import REFUSED, Tally, unfit_rows
from stages.serving.answers import Tallied, counted
from stages.serving.problems import Fault, Problem
from stages.serving.published import reasons_of
from stages.serving.scoring import Work, check_file, known_of, opened
from stages.state.files import prepare_file
from stages.state.requests import Known

PREVIEW = 8  # rows that are shown
BINS = 20
PLACE, PROBLEM, NOTE = "row", "problem", "note"
"""The columns that say which row it is, from 1 on, why it has no score, and what was not known of it."""


@dataclass(frozen=True)
class ScoredPiece:
    """Some rows of a file; a row that cannot be scored has null answers and a reason."""

    beside: pl.DataFrame
    """Their columns that are no inputs, as they were given."""
    inputs: pl.DataFrame
    """Their inputs, as they were given, those that matter most first; none where they were made of the others."""
    answers: pl.DataFrame
    """Row number, what `predict` writes, the reason, and where there are any, notes."""
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
    refused: int
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
    reasons: Counter[str] = field(default_factory=Counter)
    firsts: dict[str, int] = field(default_factory=dict)
    scores: list[NDArray[np.float32]] = field(default_factory=list)
    heads: list[pl.DataFrame] = field(default_factory=list)


def look_at(work: Work, write: Write = lambda _rows: None) -> Look:
    """Score a whole file and sum it up; ``write`` is given its other columns and the answers, piece by piece."""
    check_file(work.rows, work.limits)
    bundle, sums = opened(work.bundle), _Sums()
    task, tally = task_named(bundle.signature["task"]), Tally(bundle.signature["inputs"])
    known = known_of(work, bundle)
    for piece in (
        pieces_of_inputs(work, bundle, tally) if known is None else published_pieces(work, bundle, known, tally)
    ):
        beside = piece.beside.drop(piece.answers.columns, strict=False)
        write(pl.concat([beside, piece.answers], how="horizontal"))
        _add(sums, piece, task)
    missing = {name: n for name, n in tally.missing.items() if n}
    misfits = [misfit for misfit in tally.misfits() if misfit.kind not in REFUSED]
    ends, counts = histogram(task, np.concatenate(sums.scores))
    return Look(
        Tallied(sums.scored, dict(sums.decided), missing, misfits), sums.rows - sums.scored,
        {reason: (n, sums.firsts[reason]) for reason, n in sums.reasons.most_common()},
        pl.concat(sums.heads, how="diagonal_relaxed").head(PREVIEW), ends, counts,
    )  # fmt: skip


def write_scored(work: Work) -> Look:
    """The same, and all rows with their answers as CSV."""
    with whole_table(work.output) as write:
        return look_at(work, write)


def pieces_of_inputs(work: Work, bundle: Bundle, tally: Tally) -> Iterator[ScoredPiece]:
    """The rows of a file that holds the inputs."""
    kinds = {str(entry["name"]): str(entry["kind"]) for entry in tally.inputs}
    effects = {str(entry["name"]): entry.get("effect", 0.0) for entry in tally.inputs}
    shown = sorted(kinds, key=lambda name: -effects[name])
    for piece in read_pieces(work.rows, kinds):
        if not len(piece.rows):
            continue
        if lacking := [name for name in kinds if name not in piece.rows.columns]:
            raise Problem(422, "wanted a column for every input", [Fault(name, "a column", "none") for name in lacking])
        first, inputs = tally.rows + 1, piece.rows.select(list(kinds))
        fitted = tally.fit(inputs)
        reasons = unfit_rows(inputs, fitted)
        good = _others(len(inputs), reasons)
        yield score_piece(
            bundle, fitted[good], good, reasons, piece.rows.drop(list(kinds)), inputs.select(shown), first
        )


def published_pieces(work: Work, bundle: Bundle, known: Known, tally: Tally) -> Iterator[ScoredPiece]:
    """The rows of a file as published, a partition at a time, for rows of one know each other."""
    for before, rows, prepared in prepare_file(known, work.rows):
        reasons = reasons_of(known.dataset, prepared.refused, rows.columns)
        good = pl.Series(prepared.rows, dtype=pl.Int64)
        fitted = tally.fit(prepared.features)
        notes = pl.DataFrame({PLACE: good + before + 1, NOTE: pl.Series(prepared.notes, dtype=pl.String)})
        yield score_piece(bundle, fitted, good, reasons, rows, rows[:, :0], before + 1, notes)


def _others(n: int, reasons: Mapping[str, pl.Series]) -> pl.Series:
    bad = [place for places in reasons.values() for place in places.to_list()]
    return pl.int_range(n, dtype=pl.Int64, eager=True).filter(~pl.int_range(n, eager=True).is_in(bad))


def score_piece(
    bundle: Bundle, fitted: pl.DataFrame, good: pl.Series, reasons: Mapping[str, pl.Series], beside: pl.DataFrame,
    inputs: pl.DataFrame, first: int, notes: pl.DataFrame | None = None,
) -> ScoredPiece:  # fmt: skip
    """Score ``fitted``, the inputs of the rows at the places ``good``, and say of the others why they have none.

    Row numbers begin with ``first``.
    """
    scores, task = bundle.model.predict(fitted), task_named(bundle.signature["task"])
    named = task.name_scores(scores, bundle.signature)
    told = [
        pl.DataFrame({PLACE: places.cast(pl.Int64) + first, PROBLEM: pl.repeat(reason, len(places), eager=True)})
        for reason, places in reasons.items()
    ]
    nothing = pl.DataFrame(schema={PLACE: pl.Int64, PROBLEM: pl.String})
    problems = pl.concat([nothing, *told]).group_by(PLACE, maintain_order=True).agg(pl.col(PROBLEM).str.join("; "))
    answers = pl.int_range(first, first + len(beside), dtype=pl.Int64, eager=True).alias(PLACE).to_frame()
    answers = answers.join(
        named.with_columns((good + first).alias(PLACE)), on=PLACE, how="left", maintain_order="left"
    ).join(problems, on=PLACE, how="left", maintain_order="left")
    if notes is not None and notes[NOTE].null_count() < len(notes):
        answers = answers.join(notes, on=PLACE, how="left", maintain_order="left")
    several = scores.ndim == 2 and len(scores)
    told_of = scores.reshape(-1) if not several else scores.max(axis=1) if task.has_classes else scores[:, 0]
    return ScoredPiece(beside, inputs, answers, named, told_of, reasons)


def _add(sums: _Sums, piece: ScoredPiece, task: Task) -> None:
    for reason, places in piece.reasons.items():
        sums.firsts.setdefault(reason, sums.rows + int(places[0]) + 1)
        sums.reasons[reason] += len(places)
    if sums.rows < PREVIEW:
        beside = piece.beside.drop(piece.answers.columns, strict=False)
        head = pl.concat([piece.answers, beside, piece.inputs.cast(pl.String)], how="horizontal")
        sums.heads.append(head.head(PREVIEW))
    sums.rows += len(piece.answers)
    sums.scored += len(piece.named)
    sums.decided.update(counted(task, piece.named))
    sums.scores.append(piece.scores)


def histogram(task: Task, scores: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The ends of bins, over all probabilities or from the smallest number to the largest, and the rows in each."""
    low, high = 0.0, 1.0
    if task.scored != "probability" and len(scores):
        low, high = float(scores.min()), float(scores.max())
    ends = np.linspace(low, high if high > low else low + 1, BINS + 1)
    return ends, np.histogram(scores, ends)[0].astype(np.int64)
