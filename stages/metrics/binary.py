"""How good are the probabilities of a yes-or-no question?

Two forms of every metric: on the rows themselves (`BinaryDecision.exact`), and on counts of rows by label and score
code, for many replicates at once (`BinaryTable.measure`).  The names and the conventions are scikit-learn's: average
precision is the step-wise sum, precision is 0 where nothing is flagged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.metrics.bootstrap import in_chunks
from stages.metrics.codes import (
    COARSE,
    N_CODES,
    calibrated_threshold,
    calibrated_thresholds,
    calibration_error,
    chance_of_codes,
    coarsen,
    code_probabilities,
    count_codes,
    exact_calibration_error,
    probability_of_code,
    threshold_of_code,
)
from stages.metrics.confusion import accuracy_share, class_shares, class_table, confusion_table
from stages.metrics.contract import Metric, Tabulated, Task, Terms
from stages.metrics.curves import calibration_curve, precision_recall_curve, roc_curve
from stages.metrics.evidence import Share
from stages.metrics.probabilities import (
    ScoreTable,
    average_precision,
    brier,
    exact_probability_scores,
    exact_ranking,
    log_loss,
    ratio,
    roc_auc,
)
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
class BinaryTable:
    """The resampling table of one system; ``flagged`` (codes,) are a yes, and mistakes have their costs.

    Weights may be those of its units alone: then the threshold stays.  Or those of the ``valid`` units stand to their
    right: then it is chosen anew from the valid rows of each resample.  A code stands for ``width`` neighbours.
    """

    scores: ScoreTable
    flagged: NDArray[np.bool_]
    cost_of_miss: float
    cost_of_false_alarm: float
    valid: ScoreTable | None = None
    width: int = 1

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
        return {
            "roc_auc": roc_auc(negatives, positives),
            "average_precision": average_precision(negatives, positives),
            "log_loss": log_loss(negatives, positives, probabilities),
            "brier": brier(negatives, positives, probabilities),
            "calibration_error": calibration_error(negatives, positives, probabilities),
            **self.outcome_metrics(self._decided(negatives, positives, weights)),
        }

    def decided(self, weights: Float) -> Float:
        """Rows by actual and decided class, (R, 2, 2), under weights (R, units)."""
        return self._decided(*self.scores.resample(weights), weights)

    def outcome_metrics(self, outcomes: Float) -> dict[str, Float]:
        """Metrics of decisions from counts by actual and decided class, (R, 2, 2)."""
        return decision_scores(outcomes, cost_of_miss=self.cost_of_miss, cost_of_false_alarm=self.cost_of_false_alarm)

    @property
    def confusion(self) -> Float:
        """Rows by unit, actual and predicted class, shape (units, 2, 2)."""
        decided = np.stack([~self.flagged, self.flagged], axis=1).astype(np.float64)
        return np.asarray(self.scores.counts @ decided)

    def _decided(self, negatives: Float, positives: Float, weights: Float) -> Float:
        flags, by_label = self._flags(weights[:, len(self.scores.counts) :]), np.stack([negatives, positives], axis=1)
        yes = (by_label * flags[:, None]).sum(axis=2)
        return np.stack([by_label.sum(axis=2) - yes, yes], axis=2)

    def _flags(self, valid_weights: Float) -> Float:
        """The share of each code's rows that are a yes, (R, codes) or (1, codes)."""
        if self.valid is None or not valid_weights.shape[1]:
            return self.flagged.astype(np.float64)[None]
        thresholds = calibrated_thresholds(
            *self.valid.resample(valid_weights), self.valid.codes,
            cost_of_miss=self.cost_of_miss, cost_of_false_alarm=self.cost_of_false_alarm,
        )  # fmt: skip
        above = self.scores.codes + self.width - self.width // 2 - thresholds[:, None]
        return np.clip(above / self.width, 0.0, 1.0)


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
        return tally(units, names, labels, scores)

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
        outcome = [[np.count_nonzero(rows & ~flagged), np.count_nonzero(rows & flagged)] for rows in (~late, late)]
        decided = self.outcome_metrics(np.array([outcome], np.float64))
        return {
            **exact_ranking(labels, scores),
            **exact_probability_scores(labels, scores),
            "calibration_error": exact_calibration_error(labels, scores),
            **{name: float(value[0]) for name, value in decided.items()},
        }

    def outcomes(self, table: Tabulated, weights: Float) -> Float | None:
        """Rows by actual and decided class."""
        assert isinstance(table, BinaryTable)
        return table.decided(weights)

    def outcome_metrics(self, outcomes: Float) -> dict[str, Float]:
        """Metrics of decisions from counts by actual and decided class, (R, 2, 2)."""
        return decision_scores(outcomes, cost_of_miss=self.cost_of_miss, cost_of_false_alarm=self.cost_of_false_alarm)


def tally(units: Int, names: list[str], labels: Int, scores: NDArray[np.float32]) -> pl.DataFrame:
    """Rows by unit, label and code."""
    return count_cells(VIEW, units, names, labels, code_probabilities(scores))


def redecide(table: Tabulated, cells: pl.DataFrame, units: list[str], coarse: bool) -> BinaryTable:
    """A table that knows the valid rows that its threshold was chosen on."""
    assert isinstance(table, BinaryTable)
    return replace(table, valid=ScoreTable.from_cells(cells, VIEW, units), width=COARSE if coarse else 1)


def expect(rows: Tabulated, reference: Tabulated) -> BinaryTable:
    """Rows without labels as so many of either label as their scores, calibrated on the reference, lead to expect.

    What is read off such a table is an estimate of the metrics to come (confidence-based performance estimation): right
    as long as a score means what it meant, and blind to a change in that.
    """
    assert isinstance(rows, BinaryTable) and isinstance(reference, BinaryTable)
    known = np.zeros((2, N_CODES))
    known[:, reference.scores.codes] = reference.scores.counts.sum(axis=0)
    chance, counts = chance_of_codes(rows.scores.codes, known), rows.scores.counts.sum(axis=1)
    expected = np.stack([counts * (1 - chance), counts * chance], axis=1)
    return replace(rows, scores=ScoreTable(rows.scores.probabilities, expected))


def decide(cells: pl.DataFrame, terms: Terms) -> BinaryDecision:
    """The threshold that suits the costs, by the valid rows."""
    counts = count_codes(*(cells[key].to_numpy() for key in ("label", "code", "n")))
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
    drawn = np.concatenate([model.decided(chunk) for chunk in in_chunks(weights)])
    return {
        "roc": roc_curve([model.scores], [baseline.scores], weights, level, block),
        "precision_recall": precision_recall_curve([model.scores], [baseline.scores], weights, level, block),
        "calibration": calibration_curve(model.scores, weights, level, block),
        "confusion": confusion_table(model.confusion, classes, drawn, level, block),
        "per_class": class_table(model.confusion, classes, drawn, level, block),
    }


def decision_scores(outcomes: Float, *, cost_of_miss: float, cost_of_false_alarm: float) -> dict[str, Float]:
    """Metrics of yes-or-no decisions from counts by actual and decided class, (R, 2, 2); NaN without positives."""
    (passes, false_alarms), (misses, hits) = np.moveaxis(outcomes, 0, 2)
    rows = passes + false_alarms + misses + hits
    flagged, positives = hits + false_alarms, hits + misses
    precision = np.divide(hits, flagged, out=np.zeros_like(hits), where=flagged > 0)
    return {
        "accuracy": ratio(passes + hits, rows),
        "precision": np.where(positives > 0, precision, np.nan),
        "recall": ratio(hits, positives),
        "f1": np.where(positives > 0, ratio(2 * hits, flagged + positives), np.nan),
        "expected_cost": ratio(cost_of_miss * misses + cost_of_false_alarm * false_alarms, rows),
    }


BINARY = Task(
    name="binary",
    metrics=METRICS,
    loss="log_loss",
    shown=("roc_auc", "expected_cost"),
    classes=(2, 2),
    known_by=(VIEW, "label"),
    tally=tally,
    decide=decide,
    redecide=redecide,
    expect=expect,
    unpack=lambda decides: BinaryDecision(**decides),
    of_signature=decision_of_signature,
    name_scores=name_scores,
    name_row=name_row,
    draw=draw_plots,
    at_threshold=AT_THRESHOLD,
    positive=1,
)
