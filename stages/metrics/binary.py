"""How good are the probabilities of a yes-or-no question?

Two forms of every metric: on the rows themselves (`BinaryDecision.exact`), and on counts of rows by label and score
code, for many replicates at once (`BinaryTable.measure`).  The names and the conventions are scikit-learn's: average
precision is the step-wise sum, precision is 0 where nothing is flagged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.metrics.codes import (
    calibrated_threshold,
    calibration_error,
    clip_probabilities,
    coarsen,
    code_probabilities,
    count_codes,
    exact_calibration_error,
    probability_of_code,
    row_blocks,
    threshold_of_code,
)
from stages.metrics.confusion import accuracy_share, class_shares, class_table, confusion_table
from stages.metrics.contract import Metric, Tabulated, Task, Terms
from stages.metrics.curves import calibration_curve, precision_recall_curve, roc_curve
from stages.metrics.evidence import Share
from stages.metrics.resampling import count_cells, unit_counts

Float = NDArray[np.float64]
Int = NDArray[np.int64]

VIEW = "score"
METRICS = {
    "roc_auc": Metric("higher", ceiling=1.0, over_folds="mean"),
    "average_precision": Metric("higher", ceiling=1.0, over_folds="mean"),
    "log_loss": Metric("lower"),
    "brier": Metric("lower", ceiling=1.0),
    "calibration_error": Metric("lower", ceiling=1.0, method="basic", descriptive=True),
    "accuracy": Metric("higher", ceiling=1.0),
    "precision": Metric("higher", ceiling=1.0),
    "recall": Metric("higher", ceiling=1.0),
    "f1": Metric("higher", ceiling=1.0),
    "expected_cost": Metric("lower"),
}
AT_THRESHOLD = ("accuracy", "precision", "recall", "f1", "expected_cost")


@dataclass(frozen=True)
class ScoreTable:
    """Rows by unit, label and code: ``counts`` (units, 2, codes), with the ascending ``probabilities`` of the codes."""

    probabilities: Float
    counts: Float

    @property
    def rows(self) -> Float:
        """Rows by unit and label, (units, 2)."""
        return np.asarray(self.counts.sum(axis=2))

    @classmethod
    def from_cells(cls, cells: pl.DataFrame, view: str, units: list[str]) -> ScoreTable:
        """The table of one view, its columns limited to the codes that occur."""
        codes, counts = unit_counts(cells, view, units, n_labels=2)
        return cls(probability_of_code(codes), counts)

    def resample(self, weights: Float) -> tuple[Float, Float]:
        """Negatives and positives by code, each (R, codes), under weights (R, units).

        The sums are whole numbers, so the matrix product is exact and equal for any number of threads.
        """
        totals = weights @ self.counts.reshape(len(self.counts), -1)
        by_label = totals.reshape(len(weights), 2, -1)
        return by_label[:, 0], by_label[:, 1]


@dataclass(frozen=True)
class BinaryTable:
    """The resampling table of one system; ``flagged`` (codes,) are a yes, and mistakes have their costs."""

    scores: ScoreTable
    flagged: NDArray[np.bool_]
    cost_of_miss: float
    cost_of_false_alarm: float

    @property
    def counts(self) -> Float:
        """Rows by unit and class, (units, 2)."""
        return self.scores.rows

    @property
    def shares(self) -> dict[str, Share]:
        """Accuracy; precision, recall and F1 of a yes."""
        confusion = self.confusion
        of_yes = {
            name: Share(share.hits[:, 1], share.rows[:, 1], share.is_f1)
            for name, share in class_shares(confusion).items()
        }
        return {"accuracy": accuracy_share(confusion), **of_yes}

    def measure(self, weights: Float) -> dict[str, Float]:
        """Every metric (R,) under weights (R, units)."""
        negatives, positives = self.scores.resample(weights)
        probabilities = self.scores.probabilities
        outcome = self._confusion(negatives, positives)
        return {
            "roc_auc": roc_auc(negatives, positives),
            "average_precision": average_precision(negatives, positives),
            "log_loss": log_loss(negatives, positives, probabilities),
            "brier": brier(negatives, positives, probabilities),
            "calibration_error": calibration_error(negatives, positives, probabilities),
            **decision_scores(*outcome, cost_of_miss=self.cost_of_miss, cost_of_false_alarm=self.cost_of_false_alarm),
        }

    @property
    def confusion(self) -> Float:
        """Rows by unit, actual and predicted class, shape (units, 2, 2)."""
        decided = np.stack([~self.flagged, self.flagged], axis=1).astype(np.float64)
        return np.asarray(self.scores.counts @ decided)

    def _confusion(self, negatives: Float, positives: Float) -> tuple[Float, Float, Float, Float]:
        false_alarms, hits = negatives[:, self.flagged].sum(axis=1), positives[:, self.flagged].sum(axis=1)
        return negatives.sum(axis=1) - false_alarms, false_alarms, positives.sum(axis=1) - hits, hits


@dataclass(frozen=True)
class BinaryDecision:
    """One system's yes or no: it says yes from ``threshold_code`` on."""

    threshold_code: int
    cost_of_miss: float
    cost_of_false_alarm: float

    @property
    def threshold(self) -> float:
        """The smallest probability that is a yes."""
        return threshold_of_code(self.threshold_code)

    def tabulate(self, units: Int, names: list[str], labels: Int, scores: NDArray[np.float32]) -> pl.DataFrame:
        """The cells of one partition."""
        return count_cells(VIEW, units, names, labels, code_probabilities(scores))

    def coarsened(self, cells: pl.DataFrame) -> pl.DataFrame:
        """Cells with coarse codes, every decision the same."""
        codes = coarsen(cells["code"].to_numpy(), self.threshold_code)
        return cells.with_columns(pl.Series("code", codes, dtype=pl.Int32))

    def table(self, cells: pl.DataFrame, units: list[str]) -> BinaryTable:
        """Merged cells as arrays."""
        codes, counts = unit_counts(cells, VIEW, units, n_labels=2)
        scores = ScoreTable(probability_of_code(codes), counts)
        return BinaryTable(scores, codes >= self.threshold_code, self.cost_of_miss, self.cost_of_false_alarm)

    def exact(self, labels: Int, scores: NDArray[np.float32]) -> dict[str, float]:
        """Every metric on the rows themselves."""
        flagged, late = scores >= np.float32(self.threshold), labels == 1
        outcome = [np.array([np.count_nonzero(rows)], np.float64)
                   for rows in (~flagged & ~late, flagged & ~late, ~flagged & late, flagged & late)]  # fmt: skip
        decided = decision_scores(
            *outcome, cost_of_miss=self.cost_of_miss, cost_of_false_alarm=self.cost_of_false_alarm
        )
        return {
            **exact_ranking(labels, scores),
            **exact_probability_scores(labels, scores),
            "calibration_error": exact_calibration_error(labels, scores),
            **{name: float(value[0]) for name, value in decided.items()},
        }

    def outcomes(self, table: Tabulated) -> Float | None:
        """Rows by unit, actual and decided class."""
        assert isinstance(table, BinaryTable)
        return table.confusion

    def outcome_metrics(self, outcomes: Float) -> dict[str, Float]:
        """Metrics of decisions from counts by actual and decided class, (R, 2, 2)."""
        return decision_scores(
            outcomes[:, 0, 0], outcomes[:, 0, 1], outcomes[:, 1, 0], outcomes[:, 1, 1],
            cost_of_miss=self.cost_of_miss, cost_of_false_alarm=self.cost_of_false_alarm,
        )  # fmt: skip


def decide(counts: Float, terms: Terms) -> BinaryDecision:
    """The threshold that suits the costs, by the rows counted by label and code."""
    costs = {"cost_of_miss": terms.cost_of_miss, "cost_of_false_alarm": terms.cost_of_false_alarm}
    return BinaryDecision(calibrated_threshold(counts, **costs), **costs)


def decision_of_signature(signature: Mapping[str, Any], terms: Terms) -> BinaryDecision:
    """The threshold of a bundle, under costs that hold now."""
    threshold, advice = signature.get("threshold"), "build the bundle again"
    if not isinstance(threshold, float) or not 0 <= threshold <= 1:
        raise ValueError("a threshold in the signature", f"{threshold!r}", advice)
    code = int(code_probabilities(np.array([threshold]))[0])
    if np.float32(threshold_of_code(code)) != np.float32(threshold):
        wanted = "a threshold on a boundary between score codes, where decisions are exact"
        raise ValueError(wanted, f"{threshold!r}", advice)
    return BinaryDecision(code, terms.cost_of_miss, terms.cost_of_false_alarm)


def name_scores(scores: NDArray[np.float32], signature: Mapping[str, Any]) -> pl.DataFrame:
    """The probability of the second class, and what is decided."""
    flagged = (scores >= np.float32(signature["threshold"])).astype(np.int64)
    classes = pl.Series(signature["classes"], dtype=pl.String)
    return pl.DataFrame({"probability": scores, "decision": classes[flagged]})


def name_row(scores: NDArray[np.float32], signature: Mapping[str, Any]) -> dict[str, Any]:
    """`name_scores` of one row."""
    flagged = scores[0] >= np.float32(signature["threshold"])
    return {"probability": scores[0], "decision": signature["classes"][int(flagged)]}


def draw_plots(
    model: BinaryTable, baseline: BinaryTable, classes: Sequence[str], weights: Float, level: float, block: int
) -> dict[str, pl.DataFrame]:
    """Curves, calibration, and right and wrong decisions by class."""
    return {
        "roc": roc_curve([model.scores], [baseline.scores], weights, level, block),
        "precision_recall": precision_recall_curve([model.scores], [baseline.scores], weights, level, block),
        "calibration": calibration_curve(model.scores, weights, level, block),
        "confusion": confusion_table(model.confusion, classes, weights, level, block),
        "per_class": class_table(model.confusion, classes, weights, level, block),
    }


BINARY = Task(
    name="binary",
    metrics=METRICS,
    loss="log_loss",
    shown=("roc_auc", "expected_cost"),
    classes=(2, 2),
    known_by=(VIEW, "label"),
    count=lambda labels, scores: count_codes(labels, code_probabilities(scores)),
    decide=decide,
    unpack=lambda decides: BinaryDecision(**decides),
    of_signature=decision_of_signature,
    name_scores=name_scores,
    name_row=name_row,
    draw=draw_plots,
    at_threshold=AT_THRESHOLD,
    positive=1,
)


def roc_auc(negatives: Float, positives: Float) -> Float:
    """The chance that a positive scores above a negative, ties counting half; NaN without both."""
    below = np.cumsum(negatives, axis=1) - negatives / 2
    return _ratio((positives * below).sum(axis=1), positives.sum(axis=1) * negatives.sum(axis=1))


def average_precision(negatives: Float, positives: Float) -> Float:
    """Σ (recall gained) · precision from the highest code down; NaN without positives."""
    hits = np.cumsum(positives[:, ::-1], axis=1)
    flagged = hits + np.cumsum(negatives[:, ::-1], axis=1)
    precision = np.divide(hits, flagged, out=np.zeros_like(hits), where=flagged > 0)
    return _ratio((positives[:, ::-1] * precision).sum(axis=1), hits[:, -1])


def log_loss(negatives: Float, positives: Float, probabilities: Float) -> Float:
    """Mean negative log-likelihood, in nats."""
    loss = -(negatives * np.log1p(-probabilities) + positives * np.log(probabilities)).sum(axis=1)
    return _ratio(loss, negatives.sum(axis=1) + positives.sum(axis=1))


def brier(negatives: Float, positives: Float, probabilities: Float) -> Float:
    """Mean squared distance between probability and outcome."""
    squares = (negatives * probabilities**2 + positives * (1 - probabilities) ** 2).sum(axis=1)
    return _ratio(squares, negatives.sum(axis=1) + positives.sum(axis=1))


def decision_scores(
    passes: Float, false_alarms: Float, misses: Float, hits: Float, *, cost_of_miss: float, cost_of_false_alarm: float
) -> dict[str, Float]:
    """Metrics of yes-or-no decisions from the four counts, each (R,); NaN where there are no positives."""
    rows = passes + false_alarms + misses + hits
    flagged, positives = hits + false_alarms, hits + misses
    precision = np.divide(hits, flagged, out=np.zeros_like(hits), where=flagged > 0)
    return {
        "accuracy": _ratio(passes + hits, rows),
        "precision": np.where(positives > 0, precision, np.nan),
        "recall": _ratio(hits, positives),
        "f1": np.where(positives > 0, _ratio(2 * hits, flagged + positives), np.nan),
        "expected_cost": _ratio(cost_of_miss * misses + cost_of_false_alarm * false_alarms, rows),
    }


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


def _ratio(numerator: Float, denominator: Float) -> Float:
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)
