"""Scores that nobody's model gave, with the traits that matter for resampling: rare positives and days that differ."""

import numpy as np
from numpy.typing import NDArray

DAYS = 365
ROWS_AT_ONCE = 1 << 20


def synthetic_scores(rows: int, seed: int = 0) -> tuple[NDArray[np.int16], NDArray[np.uint8], NDArray[np.float32]]:
    """Day 0 … 364 (about equally many rows each, in order), label (about 24 % positive) and probability of each row.

    A score is the true log-odds of its row plus noise, so ranking and calibration are neither perfect nor void.
    """
    generator = np.random.default_rng(seed)
    luck = generator.normal(-1.5, 0.7, DAYS).astype(np.float32)
    day = (np.arange(rows) * DAYS // rows).astype(np.int16)
    late, scores = np.empty(rows, np.uint8), np.empty(rows, np.float32)
    for start in range(0, rows, ROWS_AT_ONCE):
        part = slice(start, min(start + ROWS_AT_ONCE, rows))
        n = part.stop - part.start
        logit = luck[day[part]] + generator.standard_normal(n, dtype=np.float32)
        late[part] = generator.random(n, dtype=np.float32) < 1 / (1 + np.exp(-logit))
        logit += 0.5 * generator.standard_normal(n, dtype=np.float32)
        scores[part] = 1 / (1 + np.exp(-logit))
    return day, late, scores


def draw_clusters(units: int, replicates: int, seed: int) -> NDArray[np.int64]:
    """How often each day is drawn in each replicate, shape (replicates, units): the weights that the line draws."""
    return np.random.default_rng(seed).multinomial(units, np.full(units, 1.0 / units), size=replicates)
