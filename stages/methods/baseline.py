"""How far does one feature alone get?  The rule that every model has to beat.

The one-rule baseline of Holte ("Very simple classification rules perform well on most commonly used datasets", Machine
Learning 11, 1993): cut the most relevant feature in bins, missing values in a bin of their own, and predict what the
training rows of that bin did.  Shares and means are drawn towards those of all training rows as if two more rows had
been seen there (Cestnik's m-estimate), so an empty bin predicts the overall share and no share is 0 or 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Task = Literal["binary", "multiclass", "regression"]
EXTRA_ROWS = 2.0


@dataclass(frozen=True)
class Cut:
    """How one feature falls into bins: a number by inner ``edges``, a category by name; bin 0 is for nulls."""

    feature: str
    kind: Literal["numeric", "categorical"]
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def n_bins(self) -> int:
        """Bins, that of nulls included."""
        return 1 + (len(self.categories) if self.kind == "categorical" else len(self.edges) + 1)

    def bins(self, column: pl.Series) -> Int:
        """The bin of each value; a category that is not listed counts as null."""
        if self.kind == "categorical":
            known = column.cast(pl.String).cast(pl.Enum(self.categories), strict=False)
            return known.to_physical().cast(pl.Int64).fill_null(-1).to_numpy() + 1
        values = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        place = np.searchsorted(np.asarray(self.edges), values, side="right") + 1
        return np.where(np.isnan(values), 0, place).astype(np.int64)


@dataclass(frozen=True)
class OneRule:
    """The rule: ``values[b]`` is predicted in bin b; one number, or one share per class."""

    task: Task
    cut: Cut
    values: tuple[tuple[float, ...], ...]
    rows: tuple[int, ...]
    target_mean: float
    target_spread: float


def fit_one_rule(
    frames: Iterable[pl.DataFrame], *, cut: Cut, target: str, task: Task, classes: Sequence[str] = ()
) -> OneRule:
    """The rule of training rows that come one partition at a time."""
    n_outcomes = len(classes) if task != "regression" else 1
    sums = np.zeros((cut.n_bins, n_outcomes + 3))
    for frame in frames:
        sums += sum_bins(frame, cut=cut, target=target, n_outcomes=n_outcomes if task != "regression" else 0)
    return rule_from_sums(sums, cut=cut, task=task)


def sum_bins(frame: pl.DataFrame, *, cut: Cut, target: str, n_outcomes: int) -> Float:
    """One partition's sums by bin: rows, Σ target, Σ target², then rows of each class (or Σ target); they add up."""
    bins, y = cut.bins(frame[cut.feature]), frame[target].cast(pl.Float64).to_numpy()
    columns = [np.ones(len(y)), y, y**2] + [(y == c).astype(np.float64) for c in range(n_outcomes)]
    if n_outcomes == 0:
        columns.append(y)
    return np.stack([np.bincount(bins, weights=column, minlength=cut.n_bins) for column in columns], axis=1)


def rule_from_sums(sums: Float, *, cut: Cut, task: Task) -> OneRule:
    """Shares (or means) by bin from added-up sums."""
    rows, whole = sums[:, 0], sums.sum(axis=0)
    if whole[0] == 0:
        raise ValueError(f"training rows for a rule on {cut.feature}", "none", "look at the split of featurize")
    shares = (sums[:, 3:] + EXTRA_ROWS * whole[3:] / whole[0]) / (rows + EXTRA_ROWS)[:, None]
    if task == "binary":
        shares = shares[:, 1:]
    mean = whole[1] / whole[0]
    return OneRule(
        task=task,
        cut=cut,
        values=tuple(tuple(float(value) for value in row) for row in shares),
        rows=tuple(int(n) for n in rows),
        target_mean=float(mean),
        target_spread=float(np.sqrt(max(whole[2] / whole[0] - mean**2, 0.0))),
    )


def predict_one_rule(rule: OneRule, frame: pl.DataFrame) -> NDArray[np.float32]:
    """Probabilities (rows,), shares (rows, classes) or means (rows,), as a booster would return them."""
    values = np.asarray(rule.values, dtype=np.float32)[rule.cut.bins(frame[rule.cut.feature])]
    return values if rule.task == "multiclass" else values[:, 0]


def most_relevant(features: Iterable[Mapping[str, Any]]) -> str:
    """The kept feature with the highest relevance, by the entries of a selection; the first of equals."""
    kept = [feature for feature in features if feature["kept"]]
    if not kept:
        raise ValueError("at least one selected feature", "none", "loosen the thresholds of select_features")
    return str(max(kept, key=lambda feature: feature["relevance"])["name"])


def rule_to_json(rule: OneRule) -> dict[str, Any]:
    """A JSON-ready form; see `rule_from_json`."""
    return {"kind": "one rule", **asdict(rule)}


def rule_from_json(content: Mapping[str, Any]) -> OneRule:
    """The inverse of `rule_to_json`."""
    cut = content["cut"]
    return OneRule(
        task=content["task"],
        cut=Cut(cut["feature"], cut["kind"], tuple(cut["edges"]), tuple(cut["categories"])),
        values=tuple(tuple(row) for row in content["values"]),
        rows=tuple(content["rows"]),
        target_mean=content["target_mean"],
        target_spread=content["target_spread"],
    )
