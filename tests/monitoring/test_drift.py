"""Distances by hand, p-values that keep their word: on independent rows, and on days that resemble their neighbours."""

import numpy as np
import pytest
from scipy.stats import kstest

from stages.monitoring.drift import distances_of_runs, jensen_shannon, judge_drift, psi

EDGES = np.array([-1.28, -0.84, -0.52, -0.25, 0.0, 0.25, 0.52, 0.84, 1.28])


def days(rng: np.random.Generator, n: int, likeness: float, spread: float, rows: int = 50, shift: float = 0.0):
    """Counts by bin of ``n`` days whose means follow each other; ``spread`` of a value is that of its day."""
    mean, means = rng.normal(), []
    for _ in range(n):
        mean = likeness * mean + np.sqrt(1 - likeness**2) * rng.normal()
        means.append(mean)
    values = spread * np.array(means)[:, None] + np.sqrt(1 - spread**2) * rng.normal(size=(n, rows)) + shift
    return np.stack([np.bincount(np.searchsorted(EDGES, day), minlength=10) for day in values])


def test_distances_by_hand() -> None:
    before, now = np.array([50, 30, 20, 0]), np.array([20, 30, 50, 0])
    p, q = (before[:3] + 0.5) / 101.5, (now[:3] + 0.5) / 101.5
    assert psi(before, now) == pytest.approx(float(((q - p) * np.log(q / p)).sum()))
    assert psi(before, before) == 0 == jensen_shannon(before, before)
    p, q = before[:3] / 100, now[:3] / 100
    m = (p + q) / 2
    divergence = (p * np.log2(p / m)).sum() / 2 + (q * np.log2(q / m)).sum() / 2
    assert jensen_shannon(before, now) == pytest.approx(np.sqrt(divergence))
    assert jensen_shannon(np.array([5, 0]), np.array([0, 9])) == pytest.approx(1.0)


def test_every_run_is_set_against_all_other_days() -> None:
    counts = np.random.default_rng(3).integers(0, 20, (7, 4))
    found = distances_of_runs(counts, 3)
    for start in range(7):
        own = [(start + k) % 7 for k in range(3)]
        others = [day for day in range(7) if day not in own]
        assert found[start] == pytest.approx(psi(counts[others].sum(axis=0), counts[own].sum(axis=0)))


@pytest.mark.parametrize("n, m", [(2000, 300), (50_000, 20_000)])
def test_p_values_of_independent_rows_are_uniform(n: int, m: int) -> None:
    rng, shares = np.random.default_rng(5), np.full(8, 1 / 8)
    found = [
        judge_drift(rng.multinomial(n, shares)[None], rng.multinomial(m, shares)[None], by_units=False).p
        for _ in range(400)
    ]
    assert kstest(found, "uniform").pvalue > 0.01


@pytest.mark.parametrize("likeness, spread", [(0.0, 0.3), (0.5, 0.3), (0.8, 0.5)])
@pytest.mark.parametrize("n, m", [(120, 1), (120, 7), (120, 30)])
def test_days_that_resemble_each_other_raise_no_more_alarms_than_stated(
    likeness: float, spread: float, n: int, m: int
) -> None:
    rng = np.random.default_rng(11)
    found = [
        judge_drift(days(rng, n, likeness, spread), days(rng, m, likeness, spread), by_units=True).p for _ in range(80)
    ]
    assert np.mean(np.array(found) < 0.05) <= 0.13, "of 80 at a rate of 0.05, more come about once in 500 times"


def test_a_shift_is_found() -> None:
    rng = np.random.default_rng(7)
    found = [
        judge_drift(days(rng, 243, 0.3, 0.3), days(rng, 30, 0.3, 0.3, shift=0.5), by_units=True) for _ in range(50)
    ]
    assert np.mean([drift.p < 0.01 for drift in found]) > 0.8


def test_what_a_rule_of_thumb_calls_drift_in_few_rows_is_chance() -> None:
    """50 rows in ten bins: PSI is mostly above 0.1, and nothing has moved."""
    rng, shares = np.random.default_rng(9), np.full(10, 0.1)
    found = [
        judge_drift(rng.multinomial(5000, shares)[None], rng.multinomial(50, shares)[None], by_units=False)
        for _ in range(300)
    ]
    assert np.mean([drift.psi > 0.1 for drift in found]) > 0.6
    assert np.mean([drift.p < 0.01 for drift in found]) < 0.03


def test_nothing_is_said_of_what_is_not_there() -> None:
    empty, some = np.zeros((3, 4), np.int64), np.ones((3, 4), np.int64)
    assert judge_drift(empty, some, by_units=True).p is None
    assert judge_drift(some, empty, by_units=False).p is None
    assert judge_drift(some, some, by_units=True).p is None, "three days are no yardstick"
    assert judge_drift(np.ones((40, 1), np.int64), np.ones((3, 1), np.int64), by_units=True).p == 1.0
