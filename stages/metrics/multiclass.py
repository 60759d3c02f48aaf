"""How good are the probabilities of one class out of several?

Each class against the rest is a binary table, so ranking, log-loss and Brier score come from the same counts as those
of a yes-or-no question; whether the most probable class is right, at its confidence, is another; the confusion matrix
is the third.  *Macro* is the plain mean over the classes that the test part holds, *weighted* weighs by their rows.
A replicate that lacks one of those classes is undefined, never quietly averaged over the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.metrics.codes import (
    CENTRE,
    calibration_error,
    clip_probabilities,
    coarsen,
    code_probabilities,
    exact_calibration_error,
    row_blocks,
)
from stages.metrics.confusion import (
    accuracy_share,
    average_class_scores,
    class_table,
    confusion_table,
    resample_confusion,
)
from stages.metrics.contract import Metric, Tabulated, Task
from stages.metrics.curves import calibration_curve, precision_recall_curve, roc_curve
from stages.metrics.evidence import Share
from stages.metrics.probabilities import ScoreTable, average_precision, exact_ranking, roc_auc
from stages.metrics.resampling import count_cells, unit_counts

Float = NDArray[np.float64]
Int = NDArray[np.int64]

METRICS = {
    "accuracy": Metric("higher", ceiling=1.0, every_class=False),
    "log_loss": Metric("lower", every_class=False),
    "brier": Metric("lower", ceiling=2.0, every_class=False),
    "calibration_error": Metric("lower", ceiling=1.0, method="basic", descriptive=True, every_class=False),
    "roc_auc_macro": Metric("higher", ceiling=1.0, over_folds="mean"),
    "average_precision_macro": Metric("higher", ceiling=1.0, over_folds="mean"),
    "precision_macro": Metric("higher", ceiling=1.0),
    "recall_macro": Metric("higher", ceiling=1.0),
    "f1_macro": Metric("higher", ceiling=1.0),
    "precision_weighted": Metric("higher", ceiling=1.0, every_class=False),
    "recall_weighted": Metric("higher", ceiling=1.0, every_class=False),
    "f1_weighted": Metric("higher", ceiling=1.0, every_class=False),
}


@dataclass(frozen=True)
class MulticlassTable:
    """The resampling table of one system; ``present`` are the classes with rows in the test part."""

    by_class: list[ScoreTable]
    calibrated: ScoreTable
    confusion: Float
    """Rows by unit, actual and predicted class, shape (units, classes, classes)."""

    @property
    def counts(self) -> Float:
        """Rows by unit and class, (units, classes)."""
        return np.asarray(self.confusion.sum(axis=2))

    @property
    def shares(self) -> dict[str, Share]:
        """Accuracy, under both of its names."""
        right = accuracy_share(self.confusion)
        return {"accuracy": right, "recall_weighted": right}

    @property
    def present(self) -> Int:
        """Classes that the test part holds."""
        return np.flatnonzero(self.confusion.sum(axis=(0, 2)))

    @property
    def ranked(self) -> list[ScoreTable]:
        """The tables whose curves are averaged."""
        return [self.by_class[c] for c in self.present]

    def measure(self, weights: Float) -> dict[str, Float]:
        """Every metric (R,) under weights (R, units)."""
        confusion = resample_confusion(self.confusion, weights)
        rows = confusion.sum(axis=(1, 2))
        loss, squares, aucs, precisions = np.zeros(len(weights)), np.zeros(len(weights)), [], []
        present = set(self.present.tolist())
        for c, table in enumerate(self.by_class):
            negatives, positives = table.resample(weights)
            loss -= (positives * np.log(table.probabilities)).sum(axis=1)
            squares += (negatives * table.probabilities**2 + positives * (1 - table.probabilities) ** 2).sum(axis=1)
            if c in present:
                aucs.append(roc_auc(negatives, positives))
                precisions.append(average_precision(negatives, positives))
        return {
            "log_loss": loss / rows,
            "brier": squares / rows,
            "calibration_error": calibration_error(*self.calibrated.resample(weights), self.calibrated.probabilities),
            "roc_auc_macro": np.mean(aucs, axis=0),
            "average_precision_macro": np.mean(precisions, axis=0),
            **average_class_scores(confusion, self.present),
        }


@dataclass(frozen=True)
class MulticlassDecision:
    """Choosing among ``n_classes`` classes: the most probable one, the first of equals."""

    n_classes: int
    threshold = None

    def tabulate(self, units: Int, names: list[str], labels: Int, scores: NDArray[np.float32]) -> pl.DataFrame:
        """The cells of one partition; ``scores`` are (rows, classes)."""
        chosen = scores.argmax(axis=1)
        views = [
            ("confusion", labels, chosen),
            ("confidence", chosen == labels, code_probabilities(scores.max(axis=1))),
        ]
        views += [(class_view(c), labels == c, code_probabilities(scores[:, c])) for c in range(self.n_classes)]
        return pl.concat([count_cells(view, units, names, label, codes) for view, label, codes in views])

    def coarsened(self, cells: pl.DataFrame) -> pl.DataFrame:
        """Cells with coarse codes of probabilities; classes stay as they are."""
        codes = pl.Series("coarse", coarsen(cells["code"].to_numpy(), CENTRE), dtype=pl.Int32)
        scored = cells["view"] != "confusion"
        return cells.with_columns(pl.when(scored).then(codes).otherwise(pl.col("code")).alias("code"))

    def table(self, cells: pl.DataFrame, units: list[str]) -> MulticlassTable:
        """Merged cells as arrays."""
        predicted, counts = unit_counts(cells, "confusion", units, n_labels=self.n_classes)
        confusion = np.zeros((len(units), self.n_classes, self.n_classes))
        confusion[:, :, predicted] = counts
        return MulticlassTable(
            [ScoreTable.from_cells(cells, class_view(c), units) for c in range(self.n_classes)],
            ScoreTable.from_cells(cells, "confidence", units),
            confusion,
        )

    def exact(self, labels: Int, scores: NDArray[np.float32]) -> dict[str, float]:
        """Every metric on the rows themselves."""
        chosen, loss, squares = np.empty(len(labels), np.int32), 0.0, 0.0
        confusion = np.zeros((1, self.n_classes, self.n_classes))
        for rows in row_blocks(len(labels)):
            label, score = labels[rows].astype(np.int64), scores[rows]
            chosen[rows] = score.argmax(axis=1)
            np.add.at(confusion[0], (label, chosen[rows]), 1.0)
            loss -= float(np.log(clip_probabilities(score[np.arange(len(label)), label])).sum())
            squares += float(((score - (label[:, None] == np.arange(self.n_classes)).astype(np.float64)) ** 2).sum())
        present = np.unique(labels)
        ranking = [exact_ranking(labels == c, scores[:, c]) for c in present]
        averaged = average_class_scores(confusion, present)
        return {
            "log_loss": loss / len(labels),
            "brier": squares / len(labels),
            "calibration_error": exact_calibration_error(chosen == labels, scores.max(axis=1)),
            "roc_auc_macro": float(np.mean([scores_of["roc_auc"] for scores_of in ranking])),
            "average_precision_macro": float(np.mean([scores_of["average_precision"] for scores_of in ranking])),
            **{name: float(value[0]) for name, value in averaged.items()},
        }

    def outcomes(self, _table: Tabulated, _weights: Float) -> Float | None:
        """No threshold decides."""
        return None

    def outcome_metrics(self, _outcomes: Float) -> dict[str, Float]:
        """Of nothing."""
        return {}


def class_view(c: int) -> str:
    """The view of class number ``c`` against the rest."""
    return f"class {c}"


def name_scores(scores: NDArray[np.float32], signature: Mapping[str, Any]) -> pl.DataFrame:
    """The most probable class, and the probability of each."""
    classes = pl.Series(signature["classes"], dtype=pl.String)
    columns = {f"probability_{name}": scores[:, k] for k, name in enumerate(signature["classes"])}
    return pl.DataFrame({"prediction": classes[scores.argmax(axis=1)], **columns})


def name_row(scores: NDArray[np.float32], signature: Mapping[str, Any]) -> dict[str, Any]:
    """`name_scores` of one row."""
    classes = signature["classes"]
    named = {f"probability_{name}": score for name, score in zip(classes, scores[0], strict=True)}
    return {"prediction": classes[int(scores[0].argmax())], **named}


def draw_plots(
    model: MulticlassTable, baseline: MulticlassTable, classes: Sequence[str], weights: Float, level: float, block: int
) -> dict[str, pl.DataFrame]:
    """Curves averaged over classes, calibration of the chosen one, and right and wrong choices by class."""
    drawn = resample_confusion(model.confusion, weights)
    return {
        "roc": roc_curve(model.ranked, baseline.ranked, weights, level, block),
        "precision_recall": precision_recall_curve(model.ranked, baseline.ranked, weights, level, block),
        "calibration": calibration_curve(model.calibrated, weights, level, block),
        "confusion": confusion_table(model.confusion, classes, drawn, level, block),
        "per_class": class_table(model.confusion, classes, drawn, level, block),
    }


MULTICLASS = Task(
    name="multiclass",
    metrics=METRICS,
    loss="log_loss",
    shown=("accuracy", "log_loss"),
    classes=(3, None),
    known_by=("confusion", "label"),
    decide=lambda _counts, terms: MulticlassDecision(terms.n_classes),
    unpack=lambda decides: MulticlassDecision(**decides),
    of_signature=lambda _signature, terms: MulticlassDecision(terms.n_classes),
    name_scores=name_scores,
    name_row=name_row,
    draw=draw_plots,
)
