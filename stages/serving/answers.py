"""What does a model say of these rows?  One answer for JSON, files and the page, equal to that of `predict`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.metrics.contract import Task
from stages.models.signature import REFUSED, Misfit, Tally
from stages.serving.champion import Served
from stages.serving.problems import LONGEST, Fault, unfit


@dataclass(frozen=True)
class Answers:
    """Scores of rows, what follows from them, and what the model did not know about the rows."""

    served: Served
    scores: NDArray[np.float32]
    """(rows,), or (rows, classes)."""
    misfits: list[Misfit]
    missing: Mapping[str, int]
    """Rows by input that lacks a value which training knew, where there are any."""
    frame: Callable[[], pl.DataFrame]

    @property
    def inputs(self) -> pl.DataFrame:
        """The rows as the model saw them."""
        return self.frame()

    @cached_property
    def named(self) -> pl.DataFrame:
        """What `predict` writes: probability and decision, a class and its probabilities, or a prediction."""
        return self.served.task.name_scores(self.scores, self.served.bundle.signature)

    @cached_property
    def only(self) -> dict[str, Any] | None:
        """The same of a row that is alone, where its task tells it without a frame."""
        name_row = self.served.task.name_row
        return name_row(self.scores, self.served.bundle.signature) if name_row and len(self.scores) == 1 else None

    def tallied(self, task: Task) -> Tallied:
        """What is counted of them."""
        if self.only is None:
            decided = counted(task, self.named)
        else:
            decided = {value: 1 for value in self.only.values() if isinstance(value, str)}
        return Tallied(len(self.scores), decided, self.missing, self.misfits)


@dataclass(frozen=True)
class Tallied:
    """What is counted of rows that were scored, however many."""

    rows: int
    decided: Mapping[str, int]
    """Rows by the class that was answered; empty where the answer is a number."""
    missing: Mapping[str, int]
    misfits: Sequence[Misfit]


class Refused(Exception):
    """Rows that cannot be scored, and everything that is wrong with them."""

    def __init__(self, misfits: Sequence[Misfit]) -> None:
        super().__init__("; ".join(f"{misfit.kind}: {misfit.told}" for misfit in misfits))
        self.misfits = list(misfits)


def answer_rows(served: Served, rows: pl.DataFrame) -> Answers:
    """Score rows, texts or numbers, as `predict` does; raises `Refused` where that cannot be."""
    tally = Tally(served.bundle.signature["inputs"])
    inputs = tally.fit(rows)
    misfits = tally.misfits()
    if wrong := [misfit for misfit in misfits if misfit.kind in REFUSED]:
        raise Refused(wrong)
    missing = {column.name: column.null_count() for column in inputs if column.null_count()}
    return Answers(served, served.bundle.model.predict(inputs), misfits, missing, lambda: inputs)


def wanted(misfit: Misfit) -> str:
    """What should have stood where a misfit was found."""
    return {
        "missing column": "a column of that name",
        "not a number": "a number, or nothing where it is missing",
        "not a category": "a text, or nothing where it is missing",
        "not a picture": "a PNG or JPEG file of the model's shape, as base64",
        "no text": "a text",
    }.get(misfit.kind, "at least one input that is filled")


def counted(task: Task, named: pl.DataFrame) -> dict[str, int]:
    """Rows by the class that was answered."""
    if not task.has_classes:
        return {}
    decided = next(column for column in named if column.dtype == pl.String)
    return {str(decided[0]): 1} if len(decided) == 1 else dict(decided.value_counts().iter_rows())


def answer_objects(served: Served, objects: Sequence[Any], pointer: str = "") -> Answers:
    """Score JSON objects; raises `Problem`, which names fields by ``pointer``, where they do not fit."""
    if served.inputs.has_whole:
        try:
            return answer_rows(served, served.inputs.texts(objects, pointer))
        except Refused as refused:
            raise unfit([Fault(each.column, wanted(each), each.told) for each in refused.misfits]) from None
    coded, misfits = served.inputs.read(objects, pointer)
    scores = (
        served.by_codes.predict_coded(coded)
        if served.by_codes
        else served.bundle.model.predict(served.inputs.frame(coded))
    )
    counts = np.isnan(coded).sum(axis=0)
    missing = {served.inputs.names[place]: int(counts[place]) for place in np.flatnonzero(counts)}
    return Answers(served, scores, misfits, missing, lambda: served.inputs.frame(coded))


def plain_answers(answers: Answers) -> list[dict[str, Any]]:
    """The answers as JSON has them: float32 numbers with as many digits as tell them from any other."""
    if answers.only is not None:
        return [{name: value if isinstance(value, str) else float(str(value)) for name, value in answers.only.items()}]
    columns = {
        column.name: [float(text) for text in column.cast(pl.String)] if column.dtype.is_float() else column.to_list()
        for column in answers.named
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def plain_warnings(misfits: Sequence[Misfit]) -> list[dict[str, Any]]:
    """Misfits as JSON has them."""
    return [
        {"kind": each.kind, "input": each.column, "rows": each.rows, "told": each.told[: LONGEST * 2]}
        for each in misfits
    ]
