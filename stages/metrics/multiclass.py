"""How good are the probabilities of one class out of several?

Each class against the rest is a binary table, so ranking, log-loss and Brier score come from the same counts as those
of a yes-or-no question; whether the most probable class is right, at its confidence, is another; the confusion matrix
is the third.  *Macro* is the plain mean over the classes that the test part holds, *weighted* weighs by their rows.
A replicate that lacks one of those classes is undefined, never quietly averaged over the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.metrics.binary import ScoreTable, average_precision, exact_ranking, roc_auc
from stages.metrics.calibration import calibration_error, exact_calibration_error
from stages.metrics.codes import clip_probabilities, code_probabilities
from stages.metrics.contract import Metric
from stages.metrics.resampling import count_cells, unit_counts
from stages.metrics.row_blocks import row_blocks

Float = NDArray[np.float64]
Int = NDArray[np.int64]

METRICS = {
    "accuracy": Metric("higher", ceiling=1.0),
    "log_loss": Metric("lower"),
    "brier": Metric("lower", ceiling=2.0),
    "calibration_error": Metric("lower", ceiling=1.0, method="basic", descriptive=True),
    "roc_auc_macro": Metric("higher", ceiling=1.0),
    "average_precision_macro": Metric("higher", ceiling=1.0),
    "precision_macro": Metric("higher", ceiling=1.0),
    "recall_macro": Metric("higher", ceiling=1.0),
    "f1_macro": Metric("higher", ceiling=1.0),
    "precision_weighted": Metric("higher", ceiling=1.0),
    "recall_weighted": Metric("higher", ceiling=1.0),
    "f1_weighted": Metric("higher", ceiling=1.0),
}


@dataclass(frozen=True)
class MulticlassTable:
    """The resampling table of one system; ``present`` are the classes with rows in the test part."""

    by_class: list[ScoreTable]
    calibrated: ScoreTable
    confusion: Float
    """Rows by unit, actual and predicted class, shape (units, classes, classes)."""

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
class MulticlassTask:
    """Choosing among ``n_classes`` classes: the most probable one, the first of equals."""

    n_classes: int

    def tabulate(self, units: Int, names: list[str], labels: Int, scores: NDArray[np.float32]) -> pl.DataFrame:
        """The cells of one partition; ``scores`` are (rows, classes)."""
        chosen = scores.argmax(axis=1)
        views = [
            ("confusion", labels, chosen),
            ("confidence", chosen == labels, code_probabilities(scores.max(axis=1))),
        ]
        views += [(class_view(c), labels == c, code_probabilities(scores[:, c])) for c in range(self.n_classes)]
        return pl.concat([count_cells(view, units, names, label, codes) for view, label, codes in views])

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


def class_view(c: int) -> str:
    """The view of class number ``c`` against the rest."""
    return f"class {c}"


def resample_confusion(confusion: Float, weights: Float) -> Float:
    """Confusion matrices (R, classes, classes) from per-unit ones under weights (R, units)."""
    n_units, n_classes, _ = confusion.shape
    return (weights @ confusion.reshape(n_units, -1)).reshape(len(weights), n_classes, n_classes)


def class_scores(confusion: Float) -> dict[str, Float]:
    """Precision, recall and F1 of every class, each (R, classes); NaN for a class without rows.

    Precision is 0 for a class that is never predicted.
    """
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    rows, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
    absent = np.where(rows > 0, 0.0, np.nan)
    return {
        "precision": absent + np.divide(hits, predicted, out=np.zeros(hits.shape), where=predicted > 0),
        "recall": absent + np.divide(hits, rows, out=np.zeros(hits.shape), where=rows > 0),
        "f1": absent + np.divide(2 * hits, rows + predicted, out=np.zeros(hits.shape), where=rows + predicted > 0),
    }


def average_class_scores(confusion: Float, present: Int) -> dict[str, Float]:
    """Accuracy, and the macro and weighted means over the classes ``present``, each (R,)."""
    rows = confusion.sum(axis=2)
    total = rows.sum(axis=1)
    result = {"accuracy": np.trace(confusion, axis1=1, axis2=2) / total}
    by_class = class_scores(confusion)
    for name, values in by_class.items():
        result[f"{name}_macro"] = values[:, present].mean(axis=1)
    for name, values in by_class.items():
        result[f"{name}_weighted"] = (np.where(rows > 0, values, 0.0) * rows).sum(axis=1) / total
    return result
