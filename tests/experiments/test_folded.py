"""Figures over several folds, beside scikit-learn on the rows, and the trap of ranking across models."""

from dataclasses import replace
from functools import partial

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    log_loss,
    precision_score,
    r2_score,
    recall_score,
    roc_auc_score,
    root_mean_squared_error,
)

from benchmarks.alike_systems import correlated
from benchmarks.study_aa import MEAN, Valued
from stages.experiments.folds.pooled import FoldScores, draw_within, pool, refuse_few_units, split_folds
from stages.metrics.binary import METRICS, BinaryDecision, redecide
from stages.metrics.bootstrap import draw_weights
from stages.metrics.codes import Grid
from stages.metrics.contract import System
from stages.metrics.multiclass import MULTICLASS, MulticlassDecision
from stages.metrics.paired import compare
from stages.metrics.regression import REGRESSION, RegressionDecision
from stages.metrics.systems import compare_systems

COSTS = {"cost_of_miss": 3.0, "cost_of_false_alarm": 1.0}
THRESHOLDS = (900, 1000, 1100)


def binary_fold(number: int, n: int = 900, days: int = 12, shift: float = 0.0) -> FoldScores:
    """Scores of one model: the same separation in every fold, on a scale that is moved by ``shift`` logits."""
    rng = np.random.default_rng(number)
    labels = (rng.random(n) < 0.2 + 0.15 * number).astype(np.int64)
    scores = (1 / (1 + np.exp(-(rng.normal(size=n) + 1.2 * labels - 1 + shift)))).astype(np.float32)
    return fold_of(BinaryDecision(THRESHOLDS[number], **COSTS), number, days, labels, scores)


def fold_of(task, number: int, days: int, labels: np.ndarray, scores: np.ndarray) -> FoldScores:
    units = np.sort(np.arange(len(labels)) % days)
    names = [f"2013-{number + 1:02d}-{day + 1:02d}" for day in range(days)]
    return FoldScores.of(task, task.tabulate(units, names, labels, scores), names, labels, scores)


def rows_of(folds: list[FoldScores]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([fold.labels for fold in folds]), np.concatenate([fold.scores for fold in folds])


def test_sums_over_rows_are_those_of_scikit_learn_with_every_fold_at_its_own_threshold() -> None:
    folds = [binary_fold(k, n=600 + 300 * k) for k in range(3)]
    found, (labels, scores) = pool(folds, METRICS).exact, rows_of(folds)
    said = np.concatenate([fold.scores >= np.float32(fold.decision.threshold) for fold in folds])
    misses, false_alarms = np.sum(labels & ~said), np.sum(~labels.astype(bool) & said)
    wanted = {
        "log_loss": log_loss(labels, scores.astype(np.float64)),
        "brier": brier_score_loss(labels, scores),
        "accuracy": accuracy_score(labels, said),
        "precision": precision_score(labels, said),
        "recall": recall_score(labels, said),
        "f1": f1_score(labels, said),
        "expected_cost": (3 * misses + false_alarms) / len(labels),
    }
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, rel=1e-6)


def test_rankings_are_averaged_over_folds_weighted_by_rows() -> None:
    folds = [binary_fold(k, n=600 + 300 * k) for k in range(3)]
    found, rows = pool(folds, METRICS).exact, [len(fold.labels) for fold in folds]
    for name, score in (("roc_auc", roc_auc_score), ("average_precision", average_precision_score)):
        wanted = np.average([score(fold.labels, fold.scores) for fold in folds], weights=rows)
        assert found[name] == pytest.approx(wanted, rel=1e-9)


def test_models_on_other_scales_do_not_spoil_the_ranking_as_pooling_would() -> None:
    alike, moved = [binary_fold(k) for k in range(3)], [binary_fold(k, shift=-3.0 * k) for k in range(3)]
    assert pool(moved, METRICS).exact["roc_auc"] == pytest.approx(pool(alike, METRICS).exact["roc_auc"], abs=1e-6)
    assert roc_auc_score(*rows_of(moved)) < roc_auc_score(*rows_of(alike)) - 0.1


def test_a_replicate_is_what_the_drawn_rows_give() -> None:
    folds = [binary_fold(k) for k in range(3)]
    weights = draw_within([12] * 3, 4, [1, 2, 3], block=3)
    found = pool(folds, METRICS).table.measure(weights)
    for r, drawn in enumerate(weights):
        again = []
        for fold, own in zip(folds, np.split(drawn, 3), strict=True):
            day = np.sort(np.arange(len(fold.labels)) % 12)
            chosen = np.repeat(np.arange(len(day)), own[day].astype(int))
            again.append((fold.labels[chosen], fold.scores[chosen], np.float32(fold.decision.threshold)))
        rows = [len(labels) for labels, _, _ in again]
        auc = np.average([roc_auc_score(labels, scores) for labels, scores, _ in again], weights=rows)
        labels = np.concatenate([one[0] for one in again])
        said = np.concatenate([scores >= threshold for _, scores, threshold in again])
        assert found["roc_auc"][r] == pytest.approx(auc, abs=2e-3)  # codes are as fine as 1/64 logit
        assert found["recall"][r] == pytest.approx(recall_score(labels, said), rel=1e-12)
        assert found["accuracy"][r] == pytest.approx(accuracy_score(labels, said), rel=1e-12)


def test_where_valid_days_are_drawn_too_every_fold_decides_by_its_own() -> None:
    folds, valid_days = [], 9
    for number in range(3):
        fold, chosen_on = binary_fold(number), binary_fold((number + 1) % 3, n=450, days=valid_days, shift=0.3 * number)
        again = partial(redecide, cells=chosen_on.cells, units=chosen_on.units, coarse=False)
        folds.append(replace(fold, n_valid=valid_days, redecide=again))
    pooled, weights = pool(folds, METRICS), draw_within([12] * 3, 20, [1, 2, 3], 3, [valid_days] * 3)
    assert weights.shape == (20, 3 * 12 + 3 * valid_days)
    found = pooled.table.measure(weights)
    alone = [fold.system().table.decided(own)
             for fold, own in zip(folds, split_folds(weights, [12] * 3, [valid_days] * 3), strict=True)]  # fmt: skip
    right = np.sum([outcome[:, 0, 0] + outcome[:, 1, 1] for outcome in alone], axis=0)
    assert found["accuracy"] == pytest.approx(right / np.sum(alone, axis=(0, 2, 3)))
    held = pooled.table.measure(draw_within([12] * 3, 20, [1, 2, 3], 3))
    assert np.array_equal(found["log_loss"], held["log_loss"]) and np.array_equal(found["roc_auc"], held["roc_auc"])
    assert not np.allclose(found["accuracy"], held["accuracy"])


def false_alarms(folds: int, days: int, strata: int, trials: int = 300) -> float:
    """How often two systems that differ by nothing but their days are told apart, days drawn in runs within folds."""
    gaps, alarms = correlated(np.random.default_rng(5), trials, folds * days, 0.4), 0
    for trial, gap in enumerate(gaps):
        weights = draw_within([days] * folds, 199, [100 * trial + fold for fold in range(folds)], block=5)
        pair = [System(Valued(values), {"mean": float(values.mean())}) for values in (np.zeros(len(gap)), gap)]
        found = compare(*pair, MEAN, weights, level=0.95, block=5, strata=strata)["mean"]
        alarms += found.verdict in ("better", "worse")
    return alarms / trials


def test_folds_of_few_days_raise_as_few_alarms_as_stated_and_not_if_taken_for_one_stretch() -> None:
    assert false_alarms(10, 12, strata=10) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    assert false_alarms(10, 12, strata=1) > 2 * 0.05


@pytest.mark.slow
@pytest.mark.parametrize(("folds", "days"), [(5, 52), (4, 61), (5, 20)])
def test_alarms_over_folds_are_as_rare_as_stated(folds: int, days: int) -> None:
    assert abs(false_alarms(folds, days, strata=folds, trials=1000) - 0.05) <= 3.5 * np.sqrt(0.05 * 0.95 / 1000)


def test_every_fold_draws_as_many_units_as_it_has() -> None:
    weights = draw_within([10, 25], 50, [4, 9], block=5)
    assert (weights[:, :10].sum(axis=1) == 10).all() and (weights[:, 10:].sum(axis=1) == 25).all()
    assert np.array_equal(weights[:, 10:], draw_weights(25, 50, 9, 5))


def test_a_system_against_itself_differs_by_nothing_and_more_folds_narrow_the_interval() -> None:
    def interval(n_folds: int) -> dict:
        first = binary_fold(0)
        folds = [fold_of(first.decision, k, 12, first.labels, first.scores) for k in range(n_folds)]
        system, weights = pool(folds, METRICS), draw_within([12] * n_folds, 400, list(range(n_folds)), 1)
        return compare_systems(system, system, METRICS, weights, level=0.95, method="percentile", n=1)["roc_auc"]

    one, many = interval(2), interval(8)
    assert one["difference_low"] == one["difference_high"] == 0
    assert (many["high"] - many["low"]) == pytest.approx((one["high"] - one["low"]) / 2, rel=0.25)


def test_classes_are_pooled_from_the_confusion_and_ranked_within_folds() -> None:
    folds, rng = [], np.random.default_rng(8)
    for number in range(3):
        labels = rng.integers(0, 3, 400)
        raw = rng.random((400, 3)) + np.eye(3)[labels] * 0.6
        folds.append(
            fold_of(MulticlassDecision(3), number, 10, labels, (raw / raw.sum(axis=1)[:, None]).astype(np.float32))
        )
    found, (labels, scores) = pool(folds, MULTICLASS.metrics).exact, rows_of(folds)
    chosen = scores.argmax(axis=1)
    assert found["f1_macro"] == pytest.approx(f1_score(labels, chosen, average="macro"))
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, chosen))
    by_fold = [roc_auc_score(fold.labels, fold.scores, multi_class="ovr") for fold in folds]
    assert found["roc_auc_macro"] == pytest.approx(np.mean(by_fold), abs=1e-6)


def test_errors_are_pooled_and_what_is_explained_is_so_within_folds() -> None:
    folds, rng = [], np.random.default_rng(8)
    for number in range(3):
        targets = rng.normal(size=300 + 100 * number) + 10 * number
        folds.append(fold_of(RegressionDecision(Grid(0.0, 1 / 64)), number, 10, targets,
                             (targets + rng.normal(size=len(targets))).astype(np.float32)))  # fmt: skip
    found, (targets, predictions) = pool(folds, REGRESSION.metrics).exact, rows_of(folds)
    assert found["rmse"] == pytest.approx(root_mean_squared_error(targets, predictions), rel=1e-6)
    by_fold = np.average([r2_score(fold.labels, fold.scores) for fold in folds], weights=[300, 400, 500])
    assert found["r2"] == pytest.approx(by_fold, rel=1e-6)
    assert r2_score(targets, predictions) > 0.9 > 0.3 > by_fold


def test_tests_with_too_few_units_are_refused_before_anything_is_drawn() -> None:
    refuse_few_units([10, 11], 5, "day")
    with pytest.raises(ValueError) as caught:
        refuse_few_units([30, 9], 5, "day")
    assert caught.value.args[1] == "9 in fold 2" and "fewer folds" in caught.value.args[2]
    with pytest.raises(ValueError, match="2 or more units"):
        refuse_few_units([1], 1, "rows")


def test_rows_by_unit_are_counted_once_whatever_the_views() -> None:
    labels = np.array([0, 1, 2, 1])
    scores = np.full((4, 3), 1 / 3, np.float32)
    task = MulticlassDecision(3)
    cells = task.tabulate(np.array([0, 0, 1, 1]), ["a", "b"], labels, scores)
    assert isinstance(cells, pl.DataFrame)
    assert FoldScores.of(task, cells, ["a", "b"], labels, scores).rows.tolist() == [2.0, 2.0]
