"""Quantiles of errors that have come due: by brute force, from the past alone, and true to their level in a drift."""

import numpy as np
import pytest

from stages.models.adaptive import DAY_US, FEWEST, adaptive_shifts
from stages.models.forecasts import QUANTILES

HOUR_US = DAY_US // 24
FIRST = (-9.0, 0.0, 9.0)


def errors_of(days: int, seed: int = 3, grows: float = 1.0, hours: int = 30) -> tuple[np.ndarray, ...]:
    """An error every hour, which comes due so many hours later, and whose spread grows with the days."""
    rng = np.random.default_rng(seed)
    made = np.arange(24 * days) * HOUR_US
    spread = np.linspace(1.0, grows, len(made))
    return made, made + hours * HOUR_US, rng.normal(size=len(made)) * spread


@pytest.mark.parametrize("adapt", [0.0, 0.1])
def test_they_are_what_a_loop_over_the_days_in_plain_python_finds(adapt: float) -> None:
    made, due, errors = errors_of(25, grows=3.0)
    shuffled = np.random.default_rng(0).permutation(len(made))
    found = adaptive_shifts(
        made[shuffled], due[shuffled], errors[shuffled], window_days=7, adapt=adapt, first=FIRST
    )  # fmt: skip
    levels, in_use = list(QUANTILES), {}
    for day in found.days.tolist():
        begins = day * DAY_US
        past = [e for e, d in zip(errors, due, strict=True) if begins - 7 * DAY_US <= d < begins]
        if len(past) < FEWEST:
            in_use[day] = FIRST
            continue
        news = [
            (e, m // DAY_US) for e, m, d in zip(errors, made, due, strict=True) if begins - DAY_US <= d < begins
        ]  # fmt: skip
        for place, level in enumerate(QUANTILES):
            below = [error <= in_use[made_on][place] for error, made_on in news]
            if below:
                levels[place] = min(max(levels[place] + adapt * (level - sum(below) / len(below)), 0.002), 0.998)
        in_use[day] = tuple(np.quantile(past, sorted(levels)))
    assert max(in_use) == due.max() // DAY_US + 1  # the day that begins with all known
    assert np.allclose(found.values, [in_use[day] for day in found.days.tolist()])


def test_what_comes_due_later_changes_nothing() -> None:
    made, due, errors = errors_of(40)
    noon = 20 * DAY_US + 12 * HOUR_US
    other = np.where(due >= noon, errors + 1000.0, errors)
    one, two = (
        adaptive_shifts(made, due, each, window_days=10, adapt=0.1, first=FIRST) for each in (errors, other)
    )  # fmt: skip
    assert np.array_equal(one.values[one.days <= 20], two.values[two.days <= 20])
    assert not np.array_equal(one.values[one.days == 21], two.values[two.days == 21])


def test_eighty_percent_hold_eighty_while_errors_triple() -> None:
    held, still = [], []
    for seed in range(5):
        made, due, errors = errors_of(200, seed=seed, grows=3.0)
        found = adaptive_shifts(made, due, errors, window_days=30, adapt=0.05, first=FIRST)
        judged = made >= 60 * DAY_US
        bands = found.on(made // DAY_US)
        held.append(((errors >= bands[:, 0]) & (errors <= bands[:, 2]))[judged].mean())
        low, high = np.quantile(errors[~judged], [0.1, 0.9])
        still.append(((errors >= low) & (errors <= high))[judged].mean())
    assert 0.78 < np.mean(held) < 0.82
    assert np.mean(still) < 0.70  # what the first two months alone would have made of it


def test_without_errors_the_first_quantiles_stay() -> None:
    none = np.empty(0, np.int64)
    found = adaptive_shifts(none, none, np.empty(0), window_days=10, adapt=0.1, first=FIRST)
    assert found.on(np.array([-5, 0, 99_999])).tolist() == [list(FIRST)] * 3
