"""How do rows that come one partition at a time become the bins that XGBoost's `hist` trees are grown on?

Of each feature value it needs only the index of its bin.  `QuantileDMatrix` makes those from an iterator over
partitions, so the rows are never all in memory as floats (Chen & Guestrin, "XGBoost", KDD 2016).  Beyond memory,
`ExtMemQuantileDMatrix` keeps the same bins in pages on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.models.lean_xgboost import xgb


class Partitions(xgb.DataIter):
    """Feeds XGBoost one partition at a time; ``open_frames`` starts a fresh pass over them.

    ``pages`` begins the names of the files in which `ExtMemQuantileDMatrix` keeps its bins; one page a partition.
    """

    def __init__(
        self,
        open_frames: Callable[[], Iterable[pl.DataFrame]],
        features: Sequence[str],
        target: str,
        pages: str | None = None,
    ) -> None:
        super().__init__(cache_prefix=pages, release_data=True)
        self.open_frames, self.features, self.target = open_frames, list(features), target
        self.remaining = iter(open_frames())

    def reset(self) -> None:
        """Start over: XGBoost passes four times, for the shape, the quantiles, the bins by row and by column."""
        self.remaining = iter(self.open_frames())

    def next(self, input_data: Callable[..., Any]) -> bool:
        """Hand over the next partition; False when there is none."""
        frame = next(self.remaining, None)
        if frame is None:
            return False
        label: NDArray[np.float32] = frame[self.target].cast(pl.Float32).to_numpy()
        input_data(data=frame.select(self.features), label=label)
        return True


@dataclass(frozen=True)
class BinnedRows:
    """Both parts as XGBoost holds them while it trains; any number of fits may use them.

    Bins depend on the rows and on ``max_bin`` alone: a fit with another ``max_bin`` needs other ones.
    """

    train: xgb.DMatrix
    valid: xgb.DMatrix
    max_bin: int


def bin_rows(
    train: Callable[[], Iterable[pl.DataFrame]],
    valid: Callable[[], Iterable[pl.DataFrame]],
    *,
    features: Sequence[str],
    target: str,
    max_bin: int,
    threads: int,
    pages: str | None = None,
) -> BinnedRows:
    """Read both parts and keep their bins, in memory or, with ``pages``, on disk; see `fit_booster`."""
    shared = {"enable_categorical": True, "max_bin": max_bin, "nthread": threads or None}
    matrix = xgb.QuantileDMatrix if pages is None else xgb.ExtMemQuantileDMatrix
    train_rows = matrix(Partitions(train, features, target, pages and f"{pages}train"), **shared)
    valid_rows = matrix(Partitions(valid, features, target, pages and f"{pages}valid"), ref=train_rows, **shared)
    return BinnedRows(train_rows, valid_rows, max_bin)


def bin_like(
    rows: BinnedRows,
    frames: Callable[[], Iterable[pl.DataFrame]],
    *,
    features: Sequence[str],
    target: str,
    threads: int,
    pages: str | None = None,
) -> xgb.DMatrix:
    """Other rows in the bins of ``rows``, to be scored."""
    shared = {"enable_categorical": True, "max_bin": rows.max_bin, "nthread": threads or None}
    matrix = xgb.QuantileDMatrix if pages is None else xgb.ExtMemQuantileDMatrix
    return matrix(Partitions(frames, features, target, pages and f"{pages}other"), ref=rows.train, **shared)
