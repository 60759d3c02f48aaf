"""What does a model say of the rows of a file?  Piece by piece, so memory does not grow with it.

A row that cannot be scored says why and keeps none of the others from their scores.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.models.row_files import read_pieces
from stages.models.signature import Misfit, Tally, unfit_rows
from stages.serving.champion import Served
from stages.workspace.errors import UserError

PREVIEW = 8  # rows that are shown
SHOWN = 5  # names in a refusal
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
    scores: NDArray[np.float32]
    """Of the rows that could be scored."""
    reasons: dict[str, pl.Series]
    """The places of the others in the piece, by reason."""

    @property
    def table(self) -> pl.DataFrame:
        """What is downloaded: the columns that are no inputs, then the answers."""
        beside = self.beside.drop(self.answers.columns, strict=False)
        return pl.concat([beside, self.answers], how="horizontal")


@dataclass
class Look:
    """A file at a glance: how many rows, how many of them without a score and why, and all scores."""

    rows: int = 0
    bad: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    firsts: dict[str, int] = field(default_factory=dict)
    """The first row of each reason."""
    by_class: Counter[str] = field(default_factory=Counter)
    head: ScoredPiece | None = None
    doubts: list[Misfit] = field(default_factory=list)
    pieces: list[NDArray[np.float32]] = field(default_factory=list)

    @property
    def scores(self) -> NDArray[np.float32]:
        """The scores that are told of: a row's own, or that of its most probable class."""
        return np.concatenate(self.pieces)


def score_pieces(served: Served, path: Path, tally: Tally) -> Iterator[ScoredPiece]:
    """The rows of a file in their order; a file that is none, or that lacks an input, is a `UserError`."""
    kinds = {str(entry["name"]): str(entry["kind"]) for entry in tally.inputs}
    for piece in read_pieces(path, kinds):
        if not len(piece.rows):
            continue
        if lacking := [name for name in kinds if name not in piece.rows.columns]:
            more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
            raise UserError(
                f"a column for every input of {served.name}", f"no {', '.join(lacking[:SHOWN])}{more}",
                "start from the example, which has them all",
            )  # fmt: skip
        first, inputs, beside = tally.rows + 1, piece.rows.select(list(kinds)), piece.rows.drop(list(kinds))
        yield score_rows(served, inputs, beside, tally.fit(inputs), first)


def score_rows(
    served: Served, inputs: pl.DataFrame, beside: pl.DataFrame, fitted: pl.DataFrame, first: int
) -> ScoredPiece:
    """Score the rows that can be scored, and say of the others why not; row numbers begin with ``first``."""
    reasons = unfit_rows(inputs, fitted)
    told = [
        pl.DataFrame({PLACE: places.cast(pl.Int64) + first, PROBLEM: pl.repeat(reason, len(places), eager=True)})
        for reason, places in reasons.items()
    ]
    nothing = pl.DataFrame(schema={PLACE: pl.Int64, PROBLEM: pl.String})
    problems = pl.concat([nothing, *told]).group_by(PLACE).agg(pl.col(PROBLEM).str.join("; "))
    numbers = pl.int_range(first, first + len(inputs), dtype=pl.Int64, eager=True).alias(PLACE)
    good = ~numbers.is_in(problems[PLACE].to_list())
    scores = served.bundle.model.predict(fitted.filter(good))
    named = served.task.name_scores(scores, served.bundle.signature)
    answers = (
        numbers.to_frame()
        .join(named.with_columns(numbers.filter(good)), on=PLACE, how="left", maintain_order="left")
        .join(problems, on=PLACE, how="left", maintain_order="left")
    )
    return ScoredPiece(beside, inputs, answers.select(PLACE, *named.columns, PROBLEM), scores, reasons)


def look_at(served: Served, path: Path) -> Look:
    """Score a whole file and sum it up."""
    tally, look = Tally(served.bundle.signature["inputs"]), Look()
    for piece in score_pieces(served, path, tally):
        look.head = look.head or piece
        for reason, places in piece.reasons.items():
            look.firsts.setdefault(reason, look.rows + int(places[0]) + 1)
            look.reasons[reason] += len(places)
        look.rows += len(piece.answers)
        look.bad += len(piece.answers) - len(piece.scores)
        look.pieces.append(piece.scores.max(axis=1) if piece.scores.ndim == 2 else piece.scores)
        for column in piece.answers.drop(PROBLEM):
            if column.dtype == pl.String:
                look.by_class.update(column.drop_nulls().to_list())
    if not look.rows:
        raise UserError("at least one row", "none", "start from the example")
    look.doubts = [each for each in tally.misfits() if each.kind not in UNFIT]
    return look


UNFIT = ("not a number", "not a category", "no input", "missing column")
