"""What does a model say of these rows?  One answer for JSON, files and the page, equal to that of `predict`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.models.signature import REFUSED, Misfit, Tally
from stages.serving.champion import Served


@dataclass(frozen=True)
class Answers:
    """Scores of rows, what follows from them, and what the model did not know about the rows."""

    inputs: pl.DataFrame
    """The rows as the model saw them."""
    scores: NDArray[np.float32]
    named: pl.DataFrame
    """What `predict` writes: probability and decision, a class and its probabilities, or a prediction."""
    misfits: list[Misfit]


class Refused(Exception):
    """Rows that cannot be scored, and everything that is wrong with them."""

    def __init__(self, misfits: Sequence[Misfit]) -> None:
        super().__init__("; ".join(f"{misfit.kind}: {misfit.told}" for misfit in misfits))
        self.misfits = list(misfits)


def answer_rows(served: Served, rows: pl.DataFrame) -> Answers:
    """Score rows, texts or numbers, as `predict` does; raises `Refused` where that cannot be."""
    signature = served.bundle.signature
    tally = Tally(signature["inputs"])
    inputs = tally.fit(rows)
    misfits = tally.misfits()
    if wrong := [misfit for misfit in misfits if misfit.kind in REFUSED]:
        raise Refused(wrong)
    scores = served.bundle.model.predict(inputs)
    return Answers(inputs, scores, served.task.name_scores(scores, signature), misfits)
