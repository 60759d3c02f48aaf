"""How much does a feature tell about the target, and how much do two features repeat each other?

Relevance is the uncertainty coefficient I(X; Y) / H(Y): the share of the target's entropy that knowing the feature's
bin removes, in nats over nats.  Association is Cramér's V with Bergsma's correction (J. Korean Stat. Soc. 42, 2013):
symmetrical, 0 for independent features, 1 when the coarser of the two is a function of the finer.
It is strict, since a value in the next bin counts like one in the last: two normal features with correlation 0.99,
0.999 and 0.9999 have V = 0.62, 0.84 and 0.95 in 16 bins.

The plug-in mutual information of n rows is too high.  To second order each entropy falls short by the sum over its
cells of Var(p) / 2p; for independent rows that is the correction of Miller (1955) and Madow, (cells - 1) / 2n.  Rows
that share their luck, as the flights of one day do, make Var(p) larger, often many times; it is then estimated from
the totals of the clusters, as in Rao & Scott (1981), else any feature that is constant over a day would look relevant.
With every row a cluster of its own the two agree.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Counts = Int | Float


def entropy(counts: Counts) -> Float:
    """Plug-in entropy in nats over the last axis; 0 for an empty table."""
    n = counts.sum(axis=-1).astype(np.float64)
    return np.where(n > 0, np.log(np.maximum(n, 1)) - _sum_n_log_n(counts) / np.maximum(n, 1), 0.0)


def mutual_information(table: Counts) -> Float:
    """Plug-in mutual information in nats of tables with shape (…, bins, target levels)."""
    joint = table.reshape(*table.shape[:-2], -1)
    return entropy(table.sum(axis=-1)) + entropy(table.sum(axis=-2)) - entropy(joint)


def miller_madow_bias(table: Int) -> float:
    """What the plug-in mutual information of independent rows exceeds the truth by, for one table."""
    cells, bins, classes = ((counts > 0).sum() for counts in (table, table.sum(axis=1), table.sum(axis=0)))
    return float(cells - bins - classes + 1) / (2 * max(int(table.sum()), 1))


def clustered_bias(tables: Int) -> float:
    """The same where rows come in clusters, at least two; ``tables`` has shape (clusters, bins, target levels)."""
    cells = tables.reshape(len(tables), -1)
    return _half_variance(cells) - _half_variance(tables.sum(axis=2)) - _half_variance(tables.sum(axis=1))


def _half_variance(counts: Int) -> float:
    """The sum over the filled cells of Var(p) / 2p, where p is a ratio of cluster totals; shape (clusters, cells)."""
    counts = counts[:, counts.sum(axis=0) > 0]
    clusters, n = len(counts), int(counts.sum())
    share = counts.sum(axis=0) / n
    away = counts - counts.sum(axis=1, keepdims=True) * share
    variance = (away**2).sum(axis=0) * clusters / (clusters - 1) / n**2
    return float((variance / share).sum() / 2)


def cramers_v(pairs: Int, corrected: bool = True) -> Float:
    """Cramér's V of tables with shape (…, bins, bins); 0 where a margin has a single filled level."""
    n = np.maximum(pairs.sum(axis=(-2, -1)), 1).astype(np.float64)
    rows, columns = pairs.sum(axis=-1), pairs.sum(axis=-2)
    expected = np.maximum(rows[..., :, None] * columns[..., None, :], 1) / n[..., None, None]
    phi2 = (pairs**2 / expected).sum(axis=(-2, -1)) / n - 1
    r, c = ((margin > 0).sum(axis=-1).astype(np.float64) for margin in (rows, columns))
    if corrected:
        spare = np.maximum(n - 1, 1)
        phi2 = phi2 - (r - 1) * (c - 1) / spare
        r, c = r - (r - 1) ** 2 / spare, c - (c - 1) ** 2 / spare
    least = np.minimum(r, c) - 1
    v2: Float = np.where(least > 0, phi2 / np.where(least > 0, least, 1), 0.0)
    return np.sqrt(np.clip(v2, 0.0, 1.0))


def _sum_n_log_n(counts: Counts) -> Float:
    return np.asarray((counts * np.log(np.maximum(counts, 1))).sum(axis=-1))
