"""Corrections for several looks, against SciPy and against their definitions."""

import itertools

import numpy as np
import pytest
import scipy.stats

from stages.metrics.paired import Difference, adjust, correct


def closed_test(p_values: list[float]) -> list[float]:
    """Holm by its reason: a hypothesis falls when every group that it belongs to falls by Bonferroni."""
    n = len(p_values)
    groups = [g for size in range(1, n + 1) for g in itertools.combinations(range(n), size)]
    bonferroni = {group: min(1.0, len(group) * min(p_values[i] for i in group)) for group in groups}
    return [max(p for group, p in bonferroni.items() if i in group) for i in range(n)]


P_VALUES = [
    *(np.random.default_rng(seed).beta(0.4, 1, size=size).tolist() for seed, size in enumerate((1, 2, 5, 9))),
    [0.02, 0.02, 0.02],
    [0.9, 1.0, 0.0, 0.0],
]


@pytest.mark.parametrize("p_values", P_VALUES)
def test_holm_is_the_closed_test_over_all_groups_of_hypotheses(p_values: list[float]) -> None:
    assert adjust(p_values, "holm") == pytest.approx(closed_test(p_values), rel=1e-12)


@pytest.mark.parametrize("p_values", P_VALUES)
def test_benjamini_hochberg_is_that_of_scipy(p_values: list[float]) -> None:
    assert adjust(p_values, "bh") == pytest.approx(scipy.stats.false_discovery_control(p_values), rel=1e-12)


def test_none_changes_nothing_and_no_looks_give_no_findings() -> None:
    assert adjust([0.3, 0.01], "none") == [0.3, 0.01]
    assert adjust([], "holm") == adjust([], "bh") == []


def test_an_unknown_correction_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"holm, bh, none.*sidak"):
        adjust([0.1], "sidak")  # type: ignore[arg-type]


def test_twenty_experiments_without_a_gain_raise_one_alarm_in_twenty_after_holm_and_most_of_the_time_before() -> None:
    p_values = np.random.default_rng(7).random((2000, 20))
    before = (p_values.min(axis=1) < 0.05).mean()
    after = np.mean([min(adjust(list(looks), "holm")) < 0.05 for looks in p_values])
    assert before == pytest.approx(1 - 0.95**20, abs=0.03)
    assert after == pytest.approx(0.05, abs=0.015)


def a_difference(p: float | None, direction: str = "higher", difference: float | None = 0.1) -> Difference:
    verdict = "undefined" if difference is None else "descriptive" if p is None else "better" if p < 0.05 else "worse"
    return Difference("auc", direction, 0.7, 0.8, difference, 0.0, 0.2, 0.95, p, 0.9, verdict, 100)  # type: ignore[arg-type]


def test_a_correction_changes_verdicts_and_leaves_out_what_was_not_tested() -> None:
    found = [a_difference(0.04), a_difference(None), a_difference(0.001, "lower"), a_difference(None, "higher", None)]
    corrected = correct(found, "holm")
    assert [one.p_adjusted for one in corrected] == [0.04, None, 0.002, None]
    assert [one.verdict for one in corrected] == ["better", "descriptive", "worse", "undefined"]
    assert correct([*found, a_difference(0.9)], "holm")[0].verdict == "no evidence"
    assert [one.low for one in corrected] == [one.low for one in found]
