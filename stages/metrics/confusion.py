"""Which class is taken for which?  Rows by actual and predicted class, resampled, and what follows from them.

A confusion matrix is a sum over rows, so those of units add up under any weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.metrics.curves import share_band
from stages.metrics.evidence import Share

Float = NDArray[np.float64]
Int = NDArray[np.int64]


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


def class_shares(confusion: Float) -> dict[str, Share]:
    """What precision, recall and F1 of every class are shares of, by unit: confusion (units, classes, classes)."""
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    rows, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
    return {
        "precision": Share(hits, predicted),
        "recall": Share(hits, rows),
        "f1": Share(hits, rows + predicted - hits, is_f1=True),
    }


def accuracy_share(confusion: Float) -> Share:
    """The share of right decisions, by unit."""
    return Share(np.trace(confusion, axis1=1, axis2=2), confusion.sum(axis=(1, 2)))


def confusion_table(confusion: Float, classes: Sequence[str], drawn: Float, level: float, block: int) -> pl.DataFrame:
    """Rows by actual and predicted class, and the share of the actual class's rows with its interval.

    ``drawn`` are the resamples (R, classes, classes) of ``confusion`` by unit.
    """
    whole, n = confusion.sum(axis=0), len(classes)
    drawn = _row_shares(drawn).reshape(len(drawn), -1)
    rows = np.repeat(confusion.sum(axis=2), n, axis=1)
    share = Share(confusion.reshape(len(confusion), -1), rows)
    low, high = share_band(share, drawn, level, block)
    return pl.DataFrame(
        {
            "actual": np.repeat(np.asarray(classes, dtype=str), n).tolist(),
            "predicted": list(classes) * n,
            "rows": whole.ravel().astype(np.int64),
            "share_of_actual": _row_shares(whole[None]).ravel(),
            "low": low,
            "high": high,
        }
    ).fill_nan(None)


def class_table(confusion: Float, classes: Sequence[str], drawn: Float, level: float, block: int) -> pl.DataFrame:
    """Rows, precision, recall and F1 of every class, each with its interval; empty for a class without rows.

    ``drawn`` are the resamples (R, classes, classes) of ``confusion`` by unit.
    A precision of 0 of a class that is never predicted has no interval.
    """
    whole, resampled = class_scores(confusion.sum(axis=0)[None]), class_scores(drawn)
    shares, absent = class_shares(confusion), np.where(confusion.sum(axis=(0, 2)) > 0, 0.0, np.nan)
    columns: dict[str, object] = {"class": list(classes), "rows": confusion.sum(axis=(0, 2)).astype(np.int64)}
    for name, values in whole.items():
        low, high = (absent + end for end in share_band(shares[name], resampled[name], level, block))
        columns |= {name: values[0], f"{name}_low": low, f"{name}_high": high}
    return pl.DataFrame(columns).fill_nan(None)


def _row_shares(confusion: Float) -> Float:
    rows = confusion.sum(axis=2, keepdims=True)
    shares: Float = np.divide(confusion, rows, out=np.full(confusion.shape, np.nan), where=rows > 0)
    return shares
