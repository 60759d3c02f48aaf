"""Two systems that score the same days, as good as one another or not: counts of codes, made without the line's code.

A day has its weather: it makes all rows late together.  A system has its own good and bad days: how sharply it sees
(ranking) and how high it aims (calibration).  Weather and the days of each system are autoregressions of one step with
the same correlation, so the *difference* of two systems varies by day and is correlated between neighbouring days.
Without a gain, A and B are drawn alike: the true difference of every metric is nought.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.metrics.binary import BinaryTable, ScoreTable
from stages.metrics.contract import System

Float = NDArray[np.float64]

N_CODES = 24
LOGITS = np.linspace(-5.0, 3.0, N_CODES)
PROBABILITIES = 1 / (1 + np.exp(-LOGITS))
FLAGGED = PROBABILITIES >= 0.25


@dataclass(frozen=True)
class World:
    """How many days of how many rows, how alike neighbouring days are, and how much a system's days differ."""

    days: int
    rows: int
    correlation: float = 0.0
    luck: float = 0.3
    gain: float = 0.0
    """By which share B's noise is smaller than A's."""

    def counts(self, rng: np.random.Generator, trials: int) -> tuple[Float, Float]:
        """Rows by trial, day, label and code under A and under B, both (trials, days, 2, codes)."""
        signal = rng.normal(size=(trials, self.days, self.rows)).astype(np.float32)
        late = signal * 1.2 - 1 + 0.8 * self._days(rng, trials) > rng.logistic(size=signal.shape).astype(np.float32)
        systems = []
        for noise in (0.8, 0.8 * (1 - self.gain)):
            spread = noise * np.exp(self.luck * self._days(rng, trials))
            aim = self.luck * self._days(rng, trials) - 1
            systems.append(_tabulate(late, 1.2 * signal + aim + spread * rng.normal(size=signal.shape)))
        return systems[0], systems[1]

    def _days(self, rng: np.random.Generator, trials: int) -> Float:
        return correlated(rng, trials, self.days, self.correlation)[:, :, None]


def correlated(rng: np.random.Generator, trials: int, days: int, correlation: float) -> Float:
    """Standard normal days, ``correlation`` between neighbours, shape (trials, days)."""
    days_of = rng.normal(size=(days, trials))
    for day in range(1, days):
        days_of[day] = correlation * days_of[day - 1] + np.sqrt(1 - correlation**2) * days_of[day]
    return days_of.T


def _tabulate(late: NDArray[np.bool_], logits: NDArray[np.floating]) -> Float:
    trials, days, _ = late.shape
    code = np.clip(np.rint((logits - LOGITS[0]) / (LOGITS[1] - LOGITS[0])), 0, N_CODES - 1).astype(np.int64)
    day = np.arange(trials * days).reshape(trials, days, 1)
    counts = np.bincount(((day * 2 + late) * N_CODES + code).ravel(), minlength=trials * days * 2 * N_CODES)
    return counts.reshape(trials, days, 2, N_CODES).astype(np.float64)


def as_system(counts: Float) -> System:
    """One trial's counts (days, 2, codes) as a table; its exact values are those of the table."""
    table = BinaryTable(ScoreTable(PROBABILITIES, counts), FLAGGED, 3.0, 1.0)
    measured = table.measure(np.ones((1, len(counts))))
    return System(table, {name: float(value[0]) for name, value in measured.items()})
