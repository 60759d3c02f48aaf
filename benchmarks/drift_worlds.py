"""Rows of which it is known whether they drifted: columns without drift, beside others in which a shift was planted.

A value is partly its day's: `luck` is the day's share of the variance, and days are an autoregression of one step, so
neighbours are alike.  The batch follows the reference without a gap, so a week's weather may run on into it, as it does
when a model is watched.  Columns know nothing of each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, compress
from pathlib import Path
from statistics import NormalDist

import numpy as np
import polars as pl

from benchmarks.alike_systems import Float, correlated

QUIET = (*(f"number {k:02d}" for k in range(1, 19)), "nulls", "category")
"""Twenty columns that never drift: numbers, one of which lacks a value in twenty, and six categories."""
SHIFTS = {"shift 0.1": 0.1, "shift 0.15": 0.15, "shift 0.3": 0.3}
PLANTED = (*SHIFTS, "nulls doubled", "new category")
"""Columns like those, in whose batch: numbers lie higher by so many standard deviations; twice as many values are
missing; a category that nobody had seen takes one row in fifty."""
NULLS, NEW = 0.05, 0.02
SHARES = {"a": 0.35, "b": 0.25, "c": 0.2, "d": 0.1, "e": 0.07, "f": 0.03}
DAY, UNSEEN = "day", "z"
REFERENCE = 243, 80
"""Days and rows a day: eight months."""


@dataclass(frozen=True)
class World:
    """How reference and batch are drawn: days and rows a day of each, and what a day decides."""

    told: str
    batch: tuple[int, int]
    luck: float = 0.0
    correlation: float = 0.0
    reference: tuple[int, int] = REFERENCE

    @property
    def by_units(self) -> bool:
        """Whether rows of a day share their luck."""
        return self.luck > 0

    def draw(self, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Reference and batch, day after day, with the number of each row's day."""
        rng, columns = np.random.default_rng(seed), len(QUIET) + len(PLANTED)
        days = correlated(rng, 2 * columns, self.reference[0] + self.batch[0], self.correlation)
        before, after = np.split(days, [self.reference[0]], axis=1)
        return self._rows(rng, before, self.reference[1], False), self._rows(rng, after, self.batch[1], True)

    def _rows(self, rng: np.random.Generator, days: Float, rows: int, planted: bool) -> pl.DataFrame:
        own = rng.standard_normal((*days.shape, rows))
        values = np.sqrt(self.luck) * days[:, :, None] + np.sqrt(1 - self.luck) * own
        day = pl.Series(DAY, np.repeat(np.arange(days.shape[1]), rows))
        return _name(values.reshape(2, len(days) // 2, -1), planted, rng).with_columns(day)


def _name(values: Float, planted: bool, rng: np.random.Generator) -> pl.DataFrame:
    """Columns from standard normal values (2, columns, rows), the second of which say what is missing."""
    columns: dict[str, pl.Series] = {}
    for name, value, other in zip((*QUIET, *PLANTED), *values, strict=True):
        if "categor" in name:
            steps = [NormalDist().inv_cdf(share) for share in np.cumsum([*SHARES.values()])[:-1]]
            named = np.array([*SHARES])[np.searchsorted(steps, value)]
            if planted and name in PLANTED:
                named[rng.random(len(named)) < NEW] = UNSEEN
            columns[name] = pl.Series(name, named)
        elif "nulls" in name:
            share = 2 * NULLS if planted and name in PLANTED else NULLS
            missing = pl.Series(other < NormalDist().inv_cdf(share))
            columns[name] = pl.select(pl.when(~missing).then(pl.Series(value))).to_series().alias(name)
        else:
            columns[name] = pl.Series(name, value + (SHIFTS.get(name, 0.0) if planted else 0.0))
    return pl.DataFrame(columns)


WORLDS = (
    World("independent rows, batch of 50", (1, 50)),
    World("independent rows, batch of 200", (1, 200)),
    World("independent rows, batch of 1,000", (1, 1000)),
    World("independent rows, batch of 5,000", (1, 5000)),
    World("independent rows, 1,000 against 1,000", (1, 1000), reference=(1, 1000)),
    World("days decide 10 %, correlated 0.5, batch of 7 days", (7, 80), 0.1, 0.5),
    World("days decide 10 %, correlated 0.5, batch of 30 days", (30, 80), 0.1, 0.5),
    World("days decide 30 %, correlated 0.8, batch of 7 days", (7, 80), 0.3, 0.8),
    World("days decide 30 %, correlated 0.8, batch of 30 days", (30, 80), 0.3, 0.8),
)


Deal = tuple[str, list[str], list[str]]
"""A name, days of the reference, days of the batch."""


def deal_weeks(days: Sequence[str], batch: int, trials: int, seed: int = 0) -> Iterator[Deal]:
    """Whole weeks dealt at random, so many of them to the batch: whatever differs between both sides is chance."""
    weeks = [list(days[start : start + 7]) for start in range(0, len(days) - 6, 7)]
    rng = np.random.default_rng(seed)
    for trial in range(trials):
        chosen = np.isin(np.arange(len(weeks)), rng.permutation(len(weeks))[:batch])
        yield f"{trial:03d}", *(list(chain(*compress(weeks, side))) for side in (~chosen, chosen))


def deal_months(days: Sequence[str], trained: str) -> Iterator[Deal]:
    """Each month against the others up to the day ``trained``."""
    for month in sorted({day[:7] for day in days}):
        yield month, [d for d in days if d[:7] != month and d <= trained], [d for d in days if d[:7] == month]


def write_pair(folder: Path, name: str, reference: pl.DataFrame, batch: pl.DataFrame) -> None:
    """As peers read them."""
    reference.write_parquet(folder / f"{name}-reference.parquet")
    batch.write_parquet(folder / f"{name}-batch.parquet")
