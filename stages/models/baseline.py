"""How far does one feature alone get?  The rule that every model has to beat.

The one-rule baseline of Holte ("Very simple classification rules perform well on most commonly used datasets", Machine
Learning 11, 1993): cut the most relevant feature in bins, missing values in a bin of their own, and predict what the
training rows of that bin did.  Shares and means are drawn towards those of all training rows as if two more rows had
been seen there (Cestnik's m-estimate), so an empty bin predicts the overall share and no share is 0 or 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.features.binning import Bins, bins_from_json, bins_to_json

Float = NDArray[np.float64]
EXTRA_ROWS = 2.0
KIND = "one rule"


@dataclass(frozen=True)
class OneRule:
    """The rule: ``values[b]`` is predicted in bin b of a feature.

    They are one number, or the share of the second of two classes, or a share for each of more.
    """

    bins: Bins
    values: tuple[tuple[float, ...], ...]
    rows: tuple[int, ...]
    target_mean: float
    target_spread: float

    @property
    def told(self) -> str:
        """The rule in words."""
        return f"one rule on {self.bins.name} alone"

    def predict(self, frame: pl.DataFrame) -> NDArray[np.float32]:
        """Probabilities (rows,), shares (rows, classes) or means (rows,), as a booster would return them."""
        values = np.asarray(self.values, dtype=np.float32)[self.bins.codes(frame[self.bins.name])]
        return values if values.shape[1] > 1 else values[:, 0]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form; see `rule_from_json`."""
        columns = {"values": [list(row) for row in self.values], "rows": list(self.rows)}
        target = {"target_mean": self.target_mean, "target_spread": self.target_spread}
        return {"kind": KIND, "bins": bins_to_json(self.bins), **columns, **target}


def fit_one_rule(frames: Iterable[pl.DataFrame], *, bins: Bins, target: str, classes: Sequence[str] = ()) -> OneRule:
    """The rule of training rows that come one partition at a time; without ``classes`` the target is a number."""
    sums = np.zeros((bins.levels, max(len(classes), 1) + 3))
    for frame in frames:
        sums += sum_bins(frame, bins=bins, target=target, n_outcomes=len(classes))
    return rule_from_sums(sums, bins=bins)


def sum_bins(frame: pl.DataFrame, *, bins: Bins, target: str, n_outcomes: int) -> Float:
    """One partition's sums by bin: rows, Σ target, Σ target², then rows of each class (or Σ target); they add up."""
    codes, y = bins.codes(frame[bins.name]), frame[target].cast(pl.Float64).to_numpy()
    columns = [np.ones(len(y)), y, y**2] + [(y == c).astype(np.float64) for c in range(n_outcomes)]
    if n_outcomes == 0:
        columns.append(y)
    return np.stack([np.bincount(codes, weights=column, minlength=bins.levels) for column in columns], axis=1)


def rule_from_sums(sums: Float, *, bins: Bins) -> OneRule:
    """Shares (or means) by bin from added-up sums."""
    rows, whole = sums[:, 0], sums.sum(axis=0)
    if whole[0] == 0:
        raise ValueError(f"training rows for a rule on {bins.name}", "none", "look at the split of featurize")
    shares = (sums[:, 3:] + EXTRA_ROWS * whole[3:] / whole[0]) / (rows + EXTRA_ROWS)[:, None]
    if shares.shape[1] == 2:
        shares = shares[:, 1:]
    mean = whole[1] / whole[0]
    return OneRule(
        bins=bins,
        values=tuple(tuple(float(value) for value in row) for row in shares),
        rows=tuple(int(n) for n in rows),
        target_mean=float(mean),
        target_spread=float(np.sqrt(max(whole[2] / whole[0] - mean**2, 0.0))),
    )


def most_relevant(features: Iterable[Mapping[str, Any]]) -> str:
    """The kept feature with the highest relevance, by the entries of a selection; the first of equals."""
    kept = [feature for feature in features if feature["kept"]]
    if not kept:
        raise ValueError("at least one selected feature", "none", "loosen the thresholds of select_features")
    return str(max(kept, key=lambda feature: feature["relevance"])["name"])


def rule_from_json(content: Mapping[str, Any]) -> OneRule:
    """The inverse of `OneRule.to_json`."""
    try:
        rule = OneRule(
            bins=bins_from_json(content["bins"]),
            values=tuple(tuple(row) for row in content["values"]),
            rows=tuple(content["rows"]),
            target_mean=content["target_mean"],
            target_spread=content["target_spread"],
        )
    except (KeyError, TypeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise _no_rule(what) from None
    if len(rule.values) != rule.bins.levels:
        raise _no_rule(f"{len(rule.values)} values for {rule.bins.levels} bins")
    return rule


def _no_rule(found: str) -> ValueError:
    return ValueError("a one-rule baseline as `train` writes it", found, "run `dvc repro` to fit it again")
