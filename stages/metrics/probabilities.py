"""How well do probabilities tell two classes apart, and do they mean what they say?

Every score has two forms: on counts of rows by label and score code, for many replicates at once (those of a
`ScoreTable`), and on the rows themselves (``exact_…``).  Average precision is the step-wise sum of scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.metrics.codes import clip_probabilities, code_probabilities, probability_of_code, row_blocks
from stages.metrics.resampling import unit_counts

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True)
class ScoreTable:
    """Rows by unit, label and code: ``counts`` (units, 2, codes), with the ascending ``probabilities`` of the codes."""

    probabilities: Float
    counts: Float

    @property
    def rows(self) -> Float:
        """Rows by unit and label, (units, 2)."""
        return np.asarray(self.counts.sum(axis=2))

    @property
    def codes(self) -> Int:
        """The codes that occur."""
        return code_probabilities(self.probabilities).astype(np.int64)

    @classmethod
    def from_cells(cls, cells: pl.DataFrame, view: str, units: list[str]) -> ScoreTable:
        """The table of one view, its columns limited to the codes that occur."""
        codes, counts = unit_counts(cells, view, units, n_labels=2)
        return cls(probability_of_code(codes), counts)

    def resample(self, weights: Float) -> tuple[Float, Float]:
        """Negatives and positives by code, each (R, codes), under weights (R, units); columns beyond are not its own.

        The sums are whole numbers, so the matrix product is exact and equal for any number of threads.
        """
        totals = weights[:, : len(self.counts)] @ self.counts.reshape(len(self.counts), -1)
        by_label = totals.reshape(len(weights), 2, -1)
        return by_label[:, 0], by_label[:, 1]


def roc_auc(negatives: Float, positives: Float) -> Float:
    """The chance that a positive scores above a negative, ties counting half; NaN without both."""
    below = np.cumsum(negatives, axis=1) - negatives / 2
    return ratio((positives * below).sum(axis=1), positives.sum(axis=1) * negatives.sum(axis=1))


def average_precision(negatives: Float, positives: Float) -> Float:
    """Σ (recall gained) · precision from the highest code down; NaN without positives."""
    hits = np.cumsum(positives[:, ::-1], axis=1)
    flagged = hits + np.cumsum(negatives[:, ::-1], axis=1)
    precision = np.divide(hits, flagged, out=np.zeros_like(hits), where=flagged > 0)
    return ratio((positives[:, ::-1] * precision).sum(axis=1), hits[:, -1])


def log_loss(negatives: Float, positives: Float, probabilities: Float) -> Float:
    """Mean negative log-likelihood, in nats."""
    loss = -(negatives * np.log1p(-probabilities) + positives * np.log(probabilities)).sum(axis=1)
    return ratio(loss, negatives.sum(axis=1) + positives.sum(axis=1))


def brier(negatives: Float, positives: Float, probabilities: Float) -> Float:
    """Mean squared distance between probability and outcome."""
    squares = (negatives * probabilities**2 + positives * (1 - probabilities) ** 2).sum(axis=1)
    return ratio(squares, negatives.sum(axis=1) + positives.sum(axis=1))


def exact_ranking(labels: NDArray[Any], scores: NDArray[np.float32]) -> dict[str, float]:
    """ROC-AUC and average precision of rows, ties as scikit-learn counts them; NaN without both classes."""
    negatives, positives = scores[labels == 0], scores[labels == 1]
    if len(negatives) == 0 or len(positives) == 0:
        return {"roc_auc": float("nan"), "average_precision": float("nan")}
    negatives.sort()
    positives.sort()
    firsts = np.flatnonzero(np.concatenate([[True], positives[1:] != positives[:-1], [True]]))  # of equals, and the end
    twice_below, precision = 0, 0.0
    for block in row_blocks(len(firsts) - 1):
        first, gained = firsts[block], np.diff(firsts[block.start : block.stop + 1])
        below = np.searchsorted(negatives, positives[first], side="left")
        upto = np.searchsorted(negatives, positives[first], side="right")
        twice_below += int((gained * (below + upto)).sum())
        hits, false_alarms = len(positives) - first, len(negatives) - below
        precision += float((gained * (hits / (hits + false_alarms))).sum())
    return {
        "roc_auc": twice_below / (2 * len(positives) * len(negatives)),
        "average_precision": precision / len(positives),
    }


def exact_probability_scores(labels: NDArray[Any], scores: NDArray[np.float32]) -> dict[str, float]:
    """Log-loss and Brier score of rows."""
    loss = squares = 0.0
    for rows in row_blocks(len(labels)):
        happened, chosen = labels[rows] == 1, scores[rows]
        clipped = clip_probabilities(chosen)
        loss -= float(np.where(happened, np.log(clipped), np.log1p(-clipped)).sum())
        squares += float(((chosen.astype(np.float64) - happened) ** 2).sum())
    return {"log_loss": loss / len(labels), "brier": squares / len(labels)}


def ratio(numerator: Float, denominator: Float) -> Float:
    """NaN where there is nothing to divide by."""
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)
