"""Missing values of one bad day are no drift of a month; missing from then on, they are."""

import numpy as np
import pytest

from stages.features.profile import Cut
from stages.monitoring.judged import judge_column

CUT = Cut("temperature", edges=(0.0,))
DAYS, ROWS = 243, 400


def days_of(bad: int, days: int, share: float, seed: int) -> np.ndarray:
    """Counts (days, 3) of two groups and what is missing, on the last ``bad`` days at random the stated share."""
    rng, counts = np.random.default_rng(seed), np.zeros((days, 3), np.int64)
    missing = np.where(np.arange(days) >= days - bad, int(share * ROWS), 0)
    low = rng.binomial(ROWS - missing, 0.5)
    counts[:, 0], counts[:, 1], counts[:, 2] = low, ROWS - missing - low, missing
    return counts


@pytest.mark.parametrize(("bad", "told"), [(1, False), (3, True), (28, True)])
def test_gaps_count_by_the_days_that_have_them(bad: int, told: bool) -> None:
    found = judge_column(days_of(0, DAYS, 0.0, 1), days_of(bad, 28, 0.5, 2), CUT, by_units=True)
    assert found.p is not None and (found.p < 0.01) == told


def test_rows_without_days_are_counted_one_by_one() -> None:
    before, batch = days_of(0, DAYS, 0.0, 1), days_of(1, 28, 0.5, 2)
    found = judge_column(before, batch, CUT, by_units=False)
    assert found.p is not None and found.p < 1e-9
