"""How do numeric columns vary together?  Pairwise-complete moments per partition that add up to those of the whole.

For every pair (i, j), over the rows in which both are present: the count, the mean and the summed squared deviation
of i, and the summed cross-product of the deviations.  Deviations are taken from the partition's own mean and merged
by the update of Chan, Golub & LeVeque (1983), so a column of large values with a small spread loses no digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Float = NDArray[np.float64]
SLICE = 65_536  # rows multiplied at a time: what lies between takes 20 MB for 40 columns
DECIMALS = 6  # a matrix product may differ in its last bits between thread counts; what is reported does not


@dataclass(frozen=True)
class Moments:
    """Square matrices over ``names``; entry (i, j) speaks of column i where column j is present too."""

    names: tuple[str, ...]
    counts: Float
    means: Float
    squares: Float
    products: Float

    def deviations(self) -> Float:
        """Standard deviation of each column over its own present values; NaN for an empty column."""
        n = np.diag(self.counts)
        variance = np.divide(np.diag(self.squares), n, out=np.full(len(n), np.nan), where=n > 0)
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)))

    def correlations(self, min_rows: int = 30) -> Float:
        """Pearson's r of every pair; NaN where a column is constant or fewer than ``min_rows`` rows hold both."""
        spread = self.squares * self.squares.T
        scale = np.abs(self.means) + 1.0
        moves = self.squares > self.counts * (1e-12 * scale) ** 2
        known = (self.counts >= min_rows) & moves & moves.T
        r = np.divide(self.products, np.sqrt(spread), out=np.full(spread.shape, np.nan), where=known)
        return np.asarray(np.round(np.clip(r, -1.0, 1.0), DECIMALS))


def measure_moments(frame: pl.DataFrame, names: Sequence[str]) -> Moments:
    """Moments of the named columns of one partition; nulls and NaN are absent, never zero."""
    centre = np.array([_mean(frame[name]) for name in names])
    counts, sums, squares, products = np.zeros((4, len(names), len(names)))
    for start in range(0, len(frame), SLICE):
        rows = frame.slice(start, SLICE).select(pl.col(name).cast(pl.Float64) for name in names)
        values = rows.to_numpy().reshape(len(rows), len(names))
        present = np.isfinite(values)
        held, shifted = present.astype(np.float64), np.where(present, values - centre, 0.0)
        counts += held.T @ held
        sums += shifted.T @ held
        squares += (shifted**2).T @ held
        products += shifted.T @ shifted

    offset = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
    means = np.where(counts > 0, centre[:, None] + offset, 0.0)
    squares = np.maximum(squares - sums * offset, 0.0)
    return Moments(tuple(names), counts, means, squares, products - counts * offset * offset.T)


def _mean(column: pl.Series) -> float:
    """The mean of the finite values; 0 where there are none."""
    values = column.cast(pl.Float64).to_numpy()
    held = values[np.isfinite(values)]
    return float(held.mean()) if len(held) else 0.0


def merge_moments(parts: Sequence[Moments]) -> Moments:
    """Add up partitions given in canonical order."""
    whole = parts[0]
    for part in parts[1:]:
        whole = _add(whole, part)
    return whole


def _add(a: Moments, b: Moments) -> Moments:
    counts = a.counts + b.counts
    share = np.divide(b.counts, counts, out=np.zeros_like(counts), where=counts > 0)
    shift = np.where((a.counts > 0) & (b.counts > 0), b.means - a.means, 0.0)
    weight = a.counts * share
    means = np.where(a.counts > 0, a.means + shift * share, b.means)
    squares = a.squares + b.squares + shift**2 * weight
    products = a.products + b.products + shift * shift.T * weight
    return Moments(a.names, counts, means, squares, products)
