"""Which features stay, why the others go, and how sure is that?

The rule, in this order: a feature with one filled level is constant; one that is mostly null is near-empty; then,
from the most relevant down, a feature too closely associated with a more relevant one that stays is redundant; what
is left must reach the least relevance.  The most relevant feature always stays.

Stability is the share of bootstrap resamples in which the same rule keeps a feature.  A resample draws groups (days,
or random blocks of independent rows) with replacement, which is one product of a matrix of multiplicities with the
tables by group.  Relevance, null share and levels are computed anew; the associations stay as they are, because pairs
are not tabulated by group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.features.contingency import (
    Tally,
    clustered_bias,
    cramers_v,
    entropy,
    miller_madow_bias,
    mutual_information,
    pair_order,
)

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True)
class Rule:
    """The thresholds."""

    max_null_share: float
    max_association: float
    min_relevance: float


@dataclass(frozen=True)
class Figures:
    """What the rule looks at, one number per feature; ``levels`` counts the filled ones, null among them."""

    relevance: Float
    null_share: Float
    levels: Int


@dataclass(frozen=True)
class Verdict:
    """``kept``, ``constant``, ``near-empty``, ``irrelevant``, or ``redundant`` with the feature number ``instead``."""

    name: str
    instead: int | None = None

    @property
    def is_kept(self) -> bool:
        """Whether the model sees the feature."""
        return self.name == "kept"


@dataclass(frozen=True)
class Choice:
    """The verdicts, what they rest on, and how they fare in the resamples.

    ``stability`` has one share per feature, ``resampled`` the relevance by (resample × feature).
    """

    verdicts: list[Verdict]
    figures: Figures
    association: Float
    resampled: Float
    stability: Float


def choose(tally: Tally, rule: Rule, *, clustered: bool, resamples: int, rng: np.random.Generator) -> Choice:
    """Apply the rule to all rows and to every resample of the groups."""
    bias = relevance_bias(tally, clustered)
    figures, association = measure(tally, bias), association_matrix(tally.pairs, len(tally.tables))
    drawn = measure_resamples(tally, bias, resamples, rng)
    kept = np.array([[verdict.is_kept for verdict in judge(rule, resample, association)] for resample in drawn])
    return Choice(
        verdicts=judge(rule, figures, association),
        figures=figures,
        association=association,
        resampled=np.array([resample.relevance for resample in drawn]),
        stability=kept.mean(axis=0),
    )


def judge(rule: Rule, figures: Figures, association: Float) -> list[Verdict]:
    """One verdict per feature; equal relevance is decided by the order of the features."""
    verdicts: dict[int, Verdict] = {}
    for f, (levels, null_share) in enumerate(zip(figures.levels, figures.null_share, strict=True)):
        if null_share > rule.max_null_share or null_share == 1:
            verdicts[f] = Verdict("near-empty")
        elif levels < 2:
            verdicts[f] = Verdict("constant")
    staying: list[int] = []
    for f in np.argsort(-figures.relevance, kind="stable").tolist():
        if f in verdicts:
            continue
        closest = max(staying, key=lambda g: association[f, g], default=None)
        if closest is not None and association[f, closest] >= rule.max_association:
            verdicts[f] = Verdict("redundant", closest)
        elif staying and figures.relevance[f] < rule.min_relevance:
            verdicts[f] = Verdict("irrelevant")
        else:
            verdicts[f] = Verdict("kept")
            staying.append(f)
    return [verdicts[f] for f in range(len(figures.levels))]


def association_matrix(pairs: Int, features: int) -> Float:
    """Symmetrical matrix of corrected Cramér's V, ones on the diagonal."""
    matrix = np.eye(features)
    for (i, j), v in zip(pair_order(features), cramers_v(pairs), strict=True):
        matrix[i, j] = matrix[j, i] = v
    return matrix


def relevance_bias(tally: Tally, clustered: bool) -> Float:
    """Bias of the plug-in mutual information of each feature, in nats."""
    if clustered:
        return np.array([clustered_bias(table) for table in tally.tables])
    return np.array([miller_madow_bias(table.sum(axis=0)) for table in tally.tables])


def measure(tally: Tally, bias: Float) -> Figures:
    """The figures of all rows counted."""
    tables = [table.sum(axis=0)[None] for table in tally.tables]
    return _figures(tables, bias)[0]


def measure_resamples(tally: Tally, bias: Float, resamples: int, rng: np.random.Generator) -> list[Figures]:
    """The figures of each bootstrap resample of the groups.

    ``bias`` is taken off twice: the resample overstates the table it was drawn from, which overstates the truth.
    """
    n = len(tally.groups)
    times = rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)
    # whole numbers below 2**53 in float64: exact, whatever the order in which BLAS adds
    tables = [(times @ table.reshape(n, -1)).reshape(resamples, *table.shape[1:]) for table in tally.tables]
    return _figures(tables, 2 * bias)


def _figures(tables: Sequence[Int | Float], bias: Float) -> list[Figures]:
    """One `Figures` for each entry along the first axis of the tables, whose last level is the null bin."""
    relevance, null_share, levels = [], [], []
    for table, excess in zip(tables, bias, strict=True):
        filled = table.sum(axis=2)
        n, target = filled.sum(axis=1), entropy(table.sum(axis=1))
        known = target > 0
        relevance.append(np.where(known, (mutual_information(table) - excess) / np.where(known, target, 1), 0.0))
        null_share.append(filled[:, -1] / np.maximum(n, 1))
        levels.append((filled > 0).sum(axis=1))
    columns = (np.stack(figures, axis=1) for figures in (relevance, null_share, levels))
    return [Figures(*row) for row in zip(*columns, strict=True)]
