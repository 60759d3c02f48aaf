"""The comparison of two systems: what it promises about directions, ties and cases where there is nothing to test."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from benchmarks.alike_systems import World, as_system, correlated
from stages.metrics.binary import METRICS
from stages.metrics.bootstrap import draw_weights, replicate
from stages.metrics.contract import Metric, System
from stages.metrics.paired import Difference, compare
from stages.metrics.variance import unseen_correlation

WEIGHTS = draw_weights(61, 500, seed=3, block=5)
MEAN = {"mean": Metric("higher")}


@dataclass(frozen=True)
class Means:
    """The mean of a number a unit."""

    values: np.ndarray
    shares: ClassVar = {}

    @property
    def counts(self) -> np.ndarray:
        return np.full((len(self.values), 1), 100.0)

    def measure(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        return {"mean": weights @ self.values / weights.sum(axis=1)}


def of_units(values: np.ndarray) -> System:
    return System(Means(values), {"mean": float(values.mean())})


def difference_of(values: np.ndarray, weights: np.ndarray = WEIGHTS, block: int = 5, level: float = 0.95) -> Difference:
    a = np.random.default_rng(2).normal(size=len(values))
    return compare(of_units(a), of_units(a + values), MEAN, weights, level=level, block=block)["mean"]


def two_systems(gain: float = 0.0, seed: int = 1) -> tuple[System, System]:
    counts = World(61, 200, 0.4, 0.3, gain).counts(np.random.default_rng(seed), 1)
    return as_system(counts[0][0]), as_system(counts[1][0])


def test_the_difference_is_that_of_the_exact_values_and_lies_in_the_middle_of_its_interval() -> None:
    a, b = two_systems()
    b = replace(b, exact={name: value + 0.01 for name, value in b.exact.items()})
    for name, found in compare(a, b, METRICS, WEIGHTS, level=0.95, block=5).items():
        assert (found.a, found.b) == (a.exact[name], b.exact[name])
        assert found.difference == b.exact[name] - a.exact[name]
        assert found.low is not None and found.high is not None
        assert (found.low + found.high) / 2 == pytest.approx(found.difference)


def test_verdict_interval_and_p_value_never_disagree() -> None:
    rng, seen = np.random.default_rng(4), set()
    for _ in range(300):
        found = difference_of(rng.normal(rng.normal(0, 0.4), 1, size=61), level=float(rng.choice([0.8, 0.95, 0.99])))
        assert found.p_value is not None and found.low is not None and found.high is not None
        excludes = found.low > 0 or found.high < 0
        assert excludes == (found.p_value < 1 - found.level) == (found.verdict != "no evidence")
        seen.add(found.verdict)
    assert seen == {"better", "worse", "no evidence"}


def test_a_gain_is_better_in_every_metric_that_it_moves_whichever_way_is_up() -> None:
    a, b = two_systems(gain=0.8)
    found = compare(a, b, METRICS, WEIGHTS, level=0.95, block=5)
    assert [found[name].verdict for name in ("roc_auc", "log_loss", "brier")] == ["better"] * 3
    back = compare(b, a, METRICS, WEIGHTS, level=0.95, block=5)
    assert [back[name].verdict for name in ("roc_auc", "log_loss", "brier")] == ["worse"] * 3
    for name in found:
        assert found[name].difference == -(back[name].difference or 0)
        assert found[name].p_value == pytest.approx(back[name].p_value)
        assert (found[name].share_better or 0) + (back[name].share_better or 0) == pytest.approx(1)


def test_pairing_takes_out_the_luck_that_both_share() -> None:
    luck, gain = np.random.default_rng(5).normal(0, 10, 61), np.random.default_rng(6).normal(0.5, 0.5, 61)
    alone = replicate(Means(luck).measure, WEIGHTS)["mean"].std()
    found = compare(of_units(luck), of_units(luck + gain), MEAN, WEIGHTS, level=0.95, block=5)["mean"]
    assert found.verdict == "better"
    assert found.high is not None and found.low is not None and found.high - found.low < alone


def test_the_share_of_resamples_in_favour_counts_ties_half() -> None:
    weights = np.repeat([[2.0, 0, 0], [0, 2.0, 0], [0, 0, 2.0], [0, 0, 2.0]], 4, axis=1)
    found = difference_of(np.repeat([1.0, -1.0, 0.0], 4), weights, block=1)
    assert found.share_better == 0.5
    found = difference_of(np.repeat([1.0, 1.0, 0.0], 4), weights, block=1)
    assert found.share_better == 0.75


def test_a_metric_where_less_is_better_counts_the_resamples_the_other_way() -> None:
    a, b = of_units(np.zeros(61)), of_units(np.random.default_rng(7).normal(-0.5, 1, 61))
    found = compare(a, b, {"mean": Metric("lower")}, WEIGHTS, level=0.95, block=5)["mean"]
    assert found.share_better is not None and found.share_better > 0.95
    assert found.verdict == "better"


def test_the_same_system_twice_gives_no_evidence_and_nothing_else() -> None:
    a, _ = two_systems()
    for name, found in compare(a, a, METRICS, WEIGHTS, level=0.95, block=5).items():
        assert (found.difference, found.low, found.high, found.share_better) == (0, 0, 0, 0.5)
        assert found.reason == "A and B are equal in every resample"
        if name == "calibration_error":
            assert (found.p_value, found.verdict) == (None, "descriptive")
        else:
            assert (found.p_value, found.verdict) == (1, "no evidence")


def test_a_difference_too_small_for_the_codes_is_no_evidence_and_its_interval_holds_it_and_nought() -> None:
    a, _ = two_systems()
    b = replace(a, exact={name: value - 1e-7 for name, value in a.exact.items()})
    found = compare(a, b, METRICS, WEIGHTS, level=0.95, block=5)["log_loss"]
    assert (found.verdict, found.p_value, found.high) == ("no evidence", 1, 0)
    assert found.low == found.difference == pytest.approx(-1e-7)


def test_rounding_in_sums_of_the_same_counts_is_not_taken_for_a_difference() -> None:
    noise = np.random.default_rng(3).normal(0, 1e-16, 61)
    a = np.full(61, 0.7)
    found = compare(of_units(a), of_units(a + noise), MEAN, WEIGHTS, level=0.95, block=5)["mean"]
    assert (found.verdict, found.p_value, found.share_better) == ("no evidence", 1, 0.5)


def test_a_constant_score_is_compared_like_any_other() -> None:
    a, _ = two_systems()
    counts = a.table.scores.counts.copy()  # type: ignore[attr-defined]
    counts[:, :, 5] = counts.sum(axis=2)
    counts[:, :, :5] = counts[:, :, 6:] = 0
    constant = as_system(counts)
    found = compare(constant, a, METRICS, WEIGHTS, level=0.95, block=5)
    assert found["roc_auc"].a == 0.5
    assert found["roc_auc"].verdict == "better"
    assert found["recall"].a == 0.0  # it never says yes
    assert found["recall"].verdict == "better"
    assert all(one.p_value is None or 0 <= one.p_value <= 1 for one in found.values())


def test_a_difference_that_no_resample_changes_is_as_certain_as_its_runs_are_many() -> None:
    found = difference_of(np.full(61, 0.25))
    assert (found.verdict, found.share_better) == ("better", 1.0)
    assert found.p_value == pytest.approx(2 / 2 ** (61 / 5))  # all twelve runs favour one of two equals
    assert (found.low, found.high) == (None, None)
    assert "same in every resample" in found.reason


def test_systems_that_agree_on_one_metric_alone_have_no_interval_of_no_width() -> None:
    counts = World(61, 50, 0.4, 0.3).counts(np.random.default_rng(1), 1)[0][0]
    moved = counts.copy()
    moved[:, :, [2, 3]] = counts[:, :, [3, 2]]  # both below the threshold: decisions stay
    found = compare(as_system(counts), as_system(moved), METRICS, WEIGHTS, level=0.95, block=5)
    assert found["log_loss"].low is not None
    same = found["accuracy"]
    assert (same.verdict, same.p_value, same.low, same.high) == ("no evidence", 1.0, None, None)


@dataclass(frozen=True)
class Gappy(Means):
    """Two metrics, one of them undefined for a share of the resamples."""

    undefined: float = 0.0

    def measure(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        means = weights @ self.values / weights.sum(axis=1)
        holes = np.arange(len(weights)) % 10 < 10 * self.undefined if len(weights) > 1 else np.zeros(1, bool)
        return {"mean": means, "rare": np.where(holes, np.nan, means)}


RARE = {"mean": Metric("higher"), "rare": Metric("higher")}


def gappy(undefined: float) -> dict[str, Difference]:
    rng = np.random.default_rng(8)
    a, b = (System(Gappy(rng.normal(size=61), undefined), {"mean": 0.1, "rare": 0.1}) for _ in range(2))
    return compare(a, b, RARE, WEIGHTS, level=0.95, block=1)


def test_undefined_resamples_are_dropped_and_counted() -> None:
    found = gappy(0.2)
    assert (found["mean"].replicates, found["rare"].replicates) == (500, 400)
    assert found["rare"].p_value is not None


def test_a_metric_undefined_in_most_resamples_says_so_and_the_others_do_not_suffer() -> None:
    found = gappy(0.6)
    assert found["mean"].verdict == "no evidence"
    rare = found["rare"]
    assert (rare.verdict, rare.low, rare.high, rare.p_value, rare.share_better) == ("undefined", *[None] * 4)
    assert rare.reason == "rare is defined in 200 of 500 resamples: too few rows of the rarest class"


def test_rows_without_a_positive_leave_ranking_undefined_and_accuracy_as_it_is() -> None:
    counts = [pair[0] * [[1.0], [0.0]] for pair in World(61, 50, 0.4, 0.3).counts(np.random.default_rng(1), 1)]
    found = compare(as_system(counts[0]), as_system(counts[1]), METRICS, WEIGHTS, level=0.95, block=5)
    for name in ("roc_auc", "average_precision", "recall", "f1", "precision"):
        assert (found[name].verdict, found[name].a, found[name].difference) == ("undefined", None, None)
        assert "they lack a class" in found[name].reason
    assert found["accuracy"].p_value is not None


def test_a_metric_from_after_an_evaluation_is_taken_from_both_tables() -> None:
    a, b = two_systems()
    old = replace(a, exact={name: value for name, value in a.exact.items() if name != "brier"})
    changed = replace(b, exact=b.exact | {"brier": 0.5})
    found = compare(old, changed, METRICS, WEIGHTS, level=0.95, block=5)["brier"]
    assert (found.a, found.b) == (a.exact["brier"], b.exact["brier"])


def test_a_metric_that_a_table_cannot_give_names_the_table() -> None:
    a, _ = two_systems()
    lacking = compare(a, of_units(np.zeros(61)), {"roc_auc": METRICS["roc_auc"]}, WEIGHTS, level=0.95, block=5)
    assert lacking["roc_auc"].verdict == "undefined"
    assert lacking["roc_auc"].reason == "roc_auc cannot be computed from the resampling table of B"


def test_one_unit_is_refused_before_anything_is_compared() -> None:
    with pytest.raises(ValueError, match="at least two clusters"):
        draw_weights(1, 100, seed=1, block=1)


@pytest.mark.parametrize(("units", "block"), [(2, 1), (9, 1), (19, 5)])
def test_few_units_are_too_few_to_judge_by(units: int, block: int) -> None:
    found = difference_of(np.arange(units) + 1.0, draw_weights(units, 500, seed=1, block=block), block=block)
    assert (found.verdict, found.low, found.p_value, found.share_better) == ("too few", None, None, None)
    assert found.difference == pytest.approx((units + 1) / 2)  # it is told, and not judged
    assert "units" in found.reason


@pytest.mark.parametrize(("r", "own_noise"), [(0.5, 0.0), (0.7, 0.0), (0.4, 1.0), (0.4, 3.0)])
def test_what_runs_do_not_show_of_a_fading_correlation_is_put_back(r: float, own_noise: float) -> None:
    days = correlated(np.random.default_rng(9), 1, 120_000, r)[0]
    days = days + np.sqrt(own_noise) * np.random.default_rng(10).normal(size=len(days))
    whole = (1 + r) / (1 - r) + own_noise  # of the variance of a mean of very many days
    for block in (2, 5, 20):
        seen = days.reshape(-1, block).sum(axis=1).var() / block
        assert unseen_correlation(-days, block) == pytest.approx(whole / seen, rel=0.05)


def test_nothing_is_put_back_where_neighbours_are_unlike_or_nothing_varies() -> None:
    assert unseen_correlation(np.tile([1.0, -1.0], 40), 5) == 1.0
    assert unseen_correlation(np.zeros(40), 5) == 1.0
    assert unseen_correlation(np.full(40, np.nan), 5) == 1.0


def test_more_days_make_a_narrower_interval() -> None:
    widths = []
    for days in (40, 160, 640):
        values = np.random.default_rng(11).normal(size=days)
        found = difference_of(values, draw_weights(days, 800, seed=2, block=5))
        assert found.low is not None and found.high is not None
        widths.append(found.high - found.low)
    assert widths[0] > 1.5 * widths[1] > 2.25 * widths[2]
