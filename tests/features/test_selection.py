"""The rule on planted figures, and stability on planted tables."""

import numpy as np
import pytest

from stages.features.contingency import Tally, tally_rows
from stages.features.selection import Figures, Rule, Verdict, choose, judge, measure, measure_resamples, relevance_bias
from stages.features.words import describe

RULE = Rule(max_null_share=0.9, max_association=0.95, min_relevance=0.01)


def figures(relevance, null_share=None, levels=None) -> Figures:
    n = len(relevance)
    return Figures(np.array(relevance), np.array(null_share or [0.0] * n), np.array(levels or [5] * n))


def associated(n: int, *pairs: tuple[int, int, float]) -> np.ndarray:
    matrix = np.eye(n)
    for i, j, v in pairs:
        matrix[i, j] = matrix[j, i] = v
    return matrix


def test_of_two_redundant_features_the_less_relevant_goes():
    verdicts = judge(RULE, figures([0.1, 0.3, 0.2]), associated(3, (0, 1, 0.97)))
    assert verdicts == [Verdict("redundant", 1), Verdict("kept"), Verdict("kept")]


def test_the_reason_names_the_closest_of_those_that_stay():
    verdicts = judge(RULE, figures([0.3, 0.2, 0.1]), associated(3, (0, 2, 0.96), (1, 2, 0.99)))
    assert verdicts[2] == Verdict("redundant", 1)


def test_a_feature_is_not_redundant_with_one_that_went():
    chain = associated(3, (0, 1, 0.97), (1, 2, 0.97))
    assert [v.name for v in judge(RULE, figures([0.3, 0.2, 0.1]), chain)] == ["kept", "redundant", "kept"]
    faint = judge(RULE, figures([0.3, 0.002, 0.001]), associated(3, (1, 2, 1.0)))
    assert [v.name for v in faint] == ["kept", "irrelevant", "irrelevant"]


def test_equal_features_are_decided_by_their_order():
    assert judge(RULE, figures([0.2, 0.2]), np.ones((2, 2))) == [Verdict("kept"), Verdict("redundant", 0)]


def test_the_most_relevant_feature_stays_even_below_the_least_relevance():
    assert [v.name for v in judge(RULE, figures([-0.1, 0.001]), np.eye(2))] == ["irrelevant", "kept"]


def test_constant_and_near_empty_features_never_enter_the_ranking():
    verdicts = judge(RULE, figures([0.9, 0.8, 0.7], [0.0, 0.95, 1.0], [1, 3, 1]), np.eye(3))
    assert [v.name for v in verdicts] == ["constant", "near-empty", "near-empty"]


def planted(n_groups: int = 150, per_group: int = 40, seed: int = 0) -> Tally:
    """Target 0/1; features: strong, noise, and one whose relevance is close to the threshold of 0.01."""
    rng = np.random.default_rng(seed)
    n = n_groups * per_group
    y = rng.integers(0, 2, n)
    strong = np.where(rng.random(n) < 0.8, y, rng.integers(0, 2, n))
    borderline = np.where(rng.random(n) < 0.118, y, rng.integers(0, 2, n))
    codes = [strong, rng.integers(0, 6, n), borderline]
    group = np.repeat(np.arange(n_groups), per_group)
    return tally_rows(codes, codes, y, group, levels=(3, 7, 3), classes=2, width=7)


def test_stability_is_one_for_the_informative_zero_for_noise_and_between_for_the_borderline():
    stability = np.array(
        [
            choose(planted(seed=seed), RULE, clustered=True, resamples=100, rng=np.random.default_rng(1)).stability
            for seed in range(10)
        ]
    )
    assert (stability[:, 0] == 1).all() and (stability[:, 1] == 0).all()
    assert 0.2 < stability[:, 2].mean() < 0.8


def test_two_copies_of_one_feature_share_the_stability():
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 4000)
    one = np.where(rng.random(4000) < 0.5, y, rng.integers(0, 2, 4000))
    other = np.where(rng.random(4000) < 0.005, 1 - one, one)
    tally = tally_rows([one, other], [one, other], y, np.arange(4000) % 100, levels=(3, 3), classes=2, width=3)
    choice = choose(tally, RULE, clustered=True, resamples=200, rng=np.random.default_rng(3))
    assert sorted(v.name for v in choice.verdicts) == ["kept", "redundant"]
    assert choice.stability.sum() == pytest.approx(1)
    assert choice.stability.min() > 0


def test_a_resample_equals_the_figures_of_the_rows_it_drew():
    tally = planted(n_groups=20)
    bias = relevance_bias(tally, clustered=True)
    times = np.random.default_rng(4).multinomial(20, np.full(20, 0.05), size=5)
    for draw, resample in zip(times, measure_resamples(tally, bias, 5, np.random.default_rng(4)), strict=True):
        rows = np.repeat(np.arange(20), draw)
        redrawn = Tally(np.arange(20), tuple(table[rows] for table in tally.tables), tally.pairs)
        expected = measure(redrawn, 2 * bias)
        assert resample.relevance == pytest.approx(expected.relevance)
        assert resample.levels.tolist() == expected.levels.tolist()


def test_interval_covers_the_true_relevance():
    """True relevance of a symmetric channel; 90 % intervals from 80 simulated data sets cover it about that often."""
    right = 0.75
    truth = 1 + (right * np.log(right) + (1 - right) * np.log(1 - right)) / np.log(2)
    covered = 0
    for seed in range(80):
        rng = np.random.default_rng(100 + seed)
        y = rng.integers(0, 2, 1500)
        x = np.where(rng.random(1500) < right, y, 1 - y)
        tally = tally_rows([x], [x], y, rng.integers(0, 100, 1500), levels=(3,), classes=2, width=3)
        choice = choose(tally, RULE, clustered=False, resamples=200, rng=rng)
        [entry] = describe(["x"], choice, RULE, level=0.9)
        covered += entry["relevance_low"] <= truth <= entry["relevance_high"]
    assert 0.8 < covered / 80 < 0.99


def test_replicates_of_noise_lie_around_zero_and_not_around_their_bias():
    rng = np.random.default_rng(5)
    y, x = rng.integers(0, 2, 3000), rng.integers(0, 15, 3000)
    tally = tally_rows([x], [x], y, rng.integers(0, 100, 3000), levels=(16,), classes=2, width=16)
    choice = choose(tally, RULE, clustered=False, resamples=300, rng=rng)
    bias = relevance_bias(tally, clustered=False)[0] / np.log(2)
    assert abs(choice.resampled.mean() - choice.figures.relevance[0]) < 0.3 * bias
