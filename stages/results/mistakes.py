"""Which pictures does the model get wrong, and is surest of?  They are scored once more, and a few are kept."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from stages.models.contract import Model
from stages.pages.numbers import share_text
from stages.records.pictures import to_text

SHOWN = 30


@dataclass(frozen=True)
class Mistake:
    """One picture that was answered wrong."""

    picture: str
    """A PNG file as base64."""
    actual: str
    predicted: str
    probability: float
    """Of the class that was predicted."""

    @property
    def told(self) -> str:
        """Both classes, in words."""
        return f"{self.actual}, taken for {self.predicted} with {share_text(self.probability)}"


@dataclass(frozen=True)
class Mistakes:
    """Those that the model was surest of first."""

    shown: Sequence[Mistake]
    wrong: int
    rows: int

    @property
    def words(self) -> str:
        """How many there are, and which are shown."""
        share = share_text(self.wrong / self.rows) if self.rows else "none"
        return (
            f"{self.wrong:,} of {self.rows:,} test pictures are answered wrong ({share}). "
            f"These {len(self.shown)} are those of which the model was surest: some are labelled wrong, or show either."
        )


def find_mistakes(
    frames: Iterable[pl.DataFrame], model: Model, *, picture: str, shape: Sequence[int], target: str,
    classes: Sequence[str], threshold: float | None,
) -> Mistakes:  # fmt: skip
    """The mistakes among rows with a picture; a yes is said from ``threshold`` on, where there is one."""
    kept: list[tuple[float, int, Mistake]] = []
    wrong = rows = 0
    for frame in frames:
        scores = model.predict(frame.select(model.features))
        if scores.ndim == 1:
            scores = np.stack([1 - scores, scores], axis=1)
        said = scores.argmax(axis=1) if threshold is None else (scores[:, 1] >= threshold).astype(np.int64)
        labels = frame[target].cast(pl.Int64).to_numpy()
        places = np.flatnonzero(said != labels)
        sure = scores[places, said[places]]
        for place in places[np.argsort(-sure, kind="stable")][:SHOWN]:
            mistake = Mistake(
                to_text(frame[picture][int(place)].to_numpy(), shape), classes[labels[place]], classes[said[place]],
                float(scores[place, said[place]]),
            )  # fmt: skip
            kept.append((-mistake.probability, rows + int(place), mistake))
        kept = heapq.nsmallest(SHOWN, kept, key=lambda each: each[:2])
        wrong, rows = wrong + len(places), rows + len(frame)
    return Mistakes([mistake for _, _, mistake in kept], wrong, rows)
