"""Intervals: scipy as a second implementation, closed forms, and coverage in simulation."""

import numpy as np
import pytest
import scipy.stats

from stages.metrics import bootstrap
from stages.metrics.binary import BinaryTable
from stages.metrics.bootstrap import draw_weights, interval, jackknife, replicate
from stages.metrics.probabilities import ScoreTable


def mean_of(values: np.ndarray) -> bootstrap.Measure:
    return lambda weights: {"mean": weights @ values / weights.sum(axis=1)}


@pytest.mark.parametrize("method", ["percentile", "bca", "basic"])
def test_intervals_of_a_skewed_mean_agree_with_scipy(method: str) -> None:
    values = np.random.default_rng(1).lognormal(0, 1, 60)
    drawn = replicate(mean_of(values), draw_weights(60, 40_000, seed=2))["mean"]
    left_out = jackknife(mean_of(values), 60)["mean"]
    found = interval(drawn, values.mean(), method=method, level=0.9, left_out=left_out)
    expected = scipy.stats.bootstrap(
        (values,), np.mean, confidence_level=0.9, n_resamples=40_000, method=method, rng=np.random.default_rng(3)
    ).confidence_interval
    assert [found.low, found.high] == pytest.approx([expected.low, expected.high], abs=0.02)


def test_bca_is_the_percentile_interval_for_a_symmetric_unbiased_statistic() -> None:
    replicates = np.linspace(-1, 1, 2001)
    corrected = interval(replicates, 0.0, method="bca", level=0.9, left_out=np.array([-1.0, 0.0, 1.0]))
    assert [corrected.low, corrected.high] == pytest.approx([-0.9, 0.9], abs=1e-9)


def test_weights_draw_as_many_units_as_there_are_and_do_not_depend_on_anything_but_the_seed() -> None:
    weights = draw_weights(30, 500, seed=4)
    assert (weights.sum(axis=1) == 30).all()
    assert weights.mean() == 1.0
    assert weights.var() == pytest.approx(1 - 1 / 30, rel=0.05)
    assert np.array_equal(weights, draw_weights(30, 500, seed=4))
    assert not np.array_equal(weights, draw_weights(30, 500, seed=5))


def test_runs_of_one_are_single_draws() -> None:
    plain = np.random.default_rng(4).multinomial(30, np.full(30, 1 / 30), size=500)
    assert np.array_equal(draw_weights(30, 500, seed=4, block=1), plain)
    assert np.array_equal(draw_weights(30, 500, seed=4), plain)


@pytest.mark.parametrize(("units", "block"), [(61, 5), (60, 5), (10, 5), (4, 2), (61, 30)])
def test_runs_of_neighbours_wrap_around_and_draw_as_many_units_as_there_are(units: int, block: int) -> None:
    weights = draw_weights(units, 4000, seed=4, block=block)
    assert weights.shape == (4000, units)
    assert (weights.sum(axis=1) == units).all()
    # the first and the last unit are as likely as those in the middle, which they are not without wrapping around
    assert weights.mean(axis=0) == pytest.approx(1.0, abs=5 * weights.std() / np.sqrt(4000))
    together = np.mean((weights - 1) * (np.roll(weights, -1, axis=1) - 1), axis=0)
    if units > 2 * block:
        assert (together > 0.3).all()  # neighbours come together, the last and the first too
    assert np.array_equal(weights, draw_weights(units, 4000, seed=4, block=block))


def test_the_spread_of_a_mean_over_runs_is_that_of_the_circular_run_means() -> None:
    values = np.random.default_rng(6).normal(size=60).cumsum()
    runs = np.array([np.roll(values, -k)[:6].mean() for k in range(60)])
    drawn = replicate(mean_of(values), draw_weights(60, 20_000, seed=3, block=6))["mean"]
    assert drawn.mean() == pytest.approx(values.mean(), abs=0.03)
    assert drawn.std() == pytest.approx(runs.std() / np.sqrt(10), rel=0.02)


def test_runs_longer_than_half_of_the_units_are_refused_with_the_longest_that_will_do() -> None:
    with pytest.raises(ValueError, match=r"at most half of the 9 clusters.*lower evaluate\.block to 4"):
        draw_weights(9, 100, seed=1, block=5)


def test_the_jackknife_leaves_out_runs_as_long_as_those_drawn() -> None:
    values = np.random.default_rng(6).normal(size=62)
    assert jackknife(mean_of(values), 62)["mean"] == pytest.approx((values.sum() - values) / 61)
    even = jackknife(mean_of(values[:60]), 60, block=5)["mean"]
    assert even == pytest.approx((values[:60].sum() - values[:60].reshape(12, 5).sum(axis=1)) / 55)
    left_out = jackknife(lambda weights: {"unit": weights}, 62, block=5)["unit"] == 0
    assert (left_out.sum(axis=0) == 1).all()  # 62 units: every one in one of ten runs of five and two of six
    assert sorted(left_out.sum(axis=1)) == [5] * 10 + [6] * 2
    assert all(np.ptp(np.flatnonzero(run)) == run.sum() - 1 for run in left_out)


def test_bca_of_runs_sees_the_skew_of_runs() -> None:
    values = np.repeat(np.random.default_rng(8).lognormal(0, 1, 40), 5)  # 40 runs of five equal units
    once, runs = mean_of(values[::5]), mean_of(values)
    assert jackknife(runs, 200, block=5)["mean"] == pytest.approx(jackknife(once, 40)["mean"])


def test_one_cluster_is_refused_with_the_way_out() -> None:
    with pytest.raises(ValueError, match=r"at least two clusters.*evaluate\.resample"):
        draw_weights(1, 100, seed=1)


def test_undefined_replicates_are_dropped_and_counted() -> None:
    replicates = np.concatenate([np.linspace(0, 1, 80), np.full(20, np.nan)])
    found = interval(replicates, 0.5, method="percentile", level=0.9)
    assert found.replicates == 80
    assert [found.low, found.high] == pytest.approx([0.05, 0.95])


def test_too_many_undefined_replicates_are_refused() -> None:
    with pytest.raises(ValueError, match=r"roc_auc is defined.*10 of 100"):
        interval(np.where(np.arange(100) < 10, 0.5, np.nan), 0.5, method="percentile", level=0.9, name="roc_auc")


def test_a_statistic_that_never_varies_has_an_interval_of_no_width() -> None:
    for method in ("percentile", "bca", "basic"):
        found = interval(np.full(100, 0.7), 0.7, method=method, level=0.95, left_out=np.full(10, 0.7))
        assert (found.low, found.high) == pytest.approx((0.7, 0.7))


def rows_as_table(labels: np.ndarray, logits: np.ndarray, units: np.ndarray) -> BinaryTable:
    """Counts of coarse codes, made without the code under test."""
    edges = np.linspace(-4, 4, 41)
    codes = np.digitize(logits, edges)
    counts = np.zeros((units.max() + 1, 2, 42))
    np.add.at(counts, (units, labels, codes), 1)
    centres = np.concatenate([[-4.1], (edges[:-1] + edges[1:]) / 2, [4.1]])
    return BinaryTable(ScoreTable(1 / (1 + np.exp(-centres)), counts), centres >= 0, 1.0, 1.0)


def covers(
    labels: np.ndarray, logits: np.ndarray, units: np.ndarray, truth: dict[str, float], seed: int
) -> dict[str, bool]:
    """Whether the interval of each metric holds its truth."""
    table = rows_as_table(labels, logits, units)
    drawn = replicate(table.measure, draw_weights(len(table.scores.counts), 150, seed=seed))
    estimate = table.measure(np.ones((1, len(table.scores.counts))))
    found = {name: interval(drawn[name], estimate[name][0], method="percentile", level=0.9) for name in truth}
    return {name: found[name].low <= value <= found[name].high for name, value in truth.items()}


def test_nine_in_ten_intervals_hold_the_truth_where_rows_are_independent() -> None:
    rng, trials, normal = np.random.default_rng(12), 400, scipy.stats.norm()
    truth = {"roc_auc": normal.cdf(1 / np.sqrt(2)), "accuracy": normal.cdf(0.5)}
    hits = dict.fromkeys(truth, 0)
    for trial in range(trials):
        labels = (rng.random(250) < 0.5).astype(int)
        logits = rng.normal(0, 1, 250) + labels - 0.5
        for name, held in covers(labels, logits, np.arange(250), truth, trial).items():
            hits[name] += held
    assert [hits[name] / trials for name in truth] == pytest.approx([0.9, 0.9], abs=3 * np.sqrt(0.9 * 0.1 / trials))


def test_nine_in_ten_cluster_intervals_hold_the_truth_where_days_share_their_luck_and_row_intervals_do_not() -> None:
    rng, trials, by_day, by_row = np.random.default_rng(13), 250, 0, 0
    day = np.repeat(np.arange(40), 12)
    # a positive and a negative of different days
    truth = {"roc_auc": scipy.stats.norm().cdf(1 / np.sqrt(2 * (1 + 0.8**2)))}
    for trial in range(trials):
        common, luck = rng.random(40)[day], rng.normal(0, 0.8, 40)[day]
        labels = (rng.random(len(day)) < common).astype(int)  # whole days are late, too
        logits = rng.normal(0, 1, len(day)) + labels - 0.5 + luck
        by_day += covers(labels, logits, day, truth, trial)["roc_auc"]
        if trial < 80:  # enough to see it fail
            by_row += covers(labels, logits, np.arange(len(day)), truth, trial)["roc_auc"]
    assert by_day / trials == pytest.approx(0.9, abs=0.055)  # Monte-Carlo error, and 40 clusters are not many
    assert by_row / 80 < 0.75


def test_runs_of_days_hold_the_truth_far_more_often_where_a_day_is_like_the_day_before() -> None:
    rng, trials, days, rows = np.random.default_rng(15), 400, 61, 50
    hits = {1: 0, 5: 0}
    for trial in range(trials):
        weather = np.empty(days)
        weather[0] = rng.normal()
        for day in range(1, days):
            weather[day] = 0.4 * weather[day - 1] + np.sqrt(1 - 0.4**2) * rng.normal()
        late = rng.binomial(rows, np.clip(0.3 + 0.1 * weather, 0, 1))
        counts = np.zeros((days, 2, 1))
        counts[:, 0, 0], counts[:, 1, 0] = rows - late, late
        table = BinaryTable(ScoreTable(np.array([0.3]), counts), np.array([False]), 1.0, 1.0)
        for block in hits:
            drawn = replicate(table.measure, draw_weights(days, 199, trial, block))["accuracy"]
            found = interval(drawn, 1 - late.mean() / rows, method="percentile", level=0.95)
            hits[block] += found.low <= 0.7 <= found.high
    assert hits[1] / trials < 0.83  # asked for 95 %
    assert hits[5] / trials > 0.85
    assert hits[5] - hits[1] > 0.04 * trials


def test_the_basic_interval_mends_most_of_the_bias_that_makes_percentile_intervals_miss_a_calibration_error() -> None:
    rng, trials, hits = np.random.default_rng(14), 150, {"basic": 0, "percentile": 0}
    groups = (np.arange(10) + 0.5) / 10
    for trial in range(trials):
        group, block = rng.integers(0, 10, 3000), np.arange(3000) % 500
        labels = (rng.random(3000) < groups[group] - 0.02).astype(int)  # truth: 0.02 in every group
        counts = np.zeros((500, 2, 10))
        np.add.at(counts, (block, labels, group), 1)
        table = BinaryTable(ScoreTable(groups, counts), groups >= 0.5, 1.0, 1.0)
        drawn = replicate(table.measure, draw_weights(500, 199, seed=trial))["calibration_error"]
        estimate = table.measure(np.ones((1, 500)))["calibration_error"][0]
        for method in hits:
            found = interval(drawn, estimate, method=method, level=0.9)
            hits[method] += max(found.low, 0) <= 0.02 <= found.high
    assert hits["basic"] / trials > 0.78
    assert hits["percentile"] / trials < 0.5
