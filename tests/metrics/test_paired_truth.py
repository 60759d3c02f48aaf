"""The comparison against other people's tests of the same difference, where theirs apply: independent rows or clusters.

DeLong, DeLong & Clarke-Pearson 1988 for ROC-AUC; McNemar 1947 for accuracy; Student's paired t for a mean of clusters;
and resampled rows scored by scikit-learn.
"""

import numpy as np
import pytest
import scipy.stats
from sklearn import metrics as sklearn

from stages.metrics.binary import METRICS, BinaryDecision
from stages.metrics.bootstrap import draw_weights, replicate
from stages.metrics.codes import CENTRE
from stages.metrics.contract import System
from stages.metrics.paired import Difference, compare
from stages.metrics.resampling import deal_rows, unit_names
from stages.metrics.variance import t_quantile

ROWS = 700
TASK = BinaryDecision(CENTRE - 40, cost_of_miss=3.0, cost_of_false_alarm=1.0)


def scored_rows(rows: int, noise: tuple[float, float], seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Labels, and the probabilities of two systems that see the same signal."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=rows)
    labels = (1.4 * signal - 0.8 + rng.logistic(size=rows) > 0).astype(int)
    logits = [1.4 * signal - 0.8 + sd * rng.normal(size=rows) for sd in noise]
    return labels, [(1 / (1 + np.exp(-one))).astype(np.float32) for one in logits]


def systems_of(labels: np.ndarray, scores: list[np.ndarray], units: np.ndarray) -> tuple[list[System], int]:
    """Both systems through the line's own coding and counting."""
    names = [f"{unit:04d}" for unit in range(int(units.max()) + 1)]
    cells = [TASK.tabulate(units, names, labels, score) for score in scores]
    order = unit_names(cells[0])
    return [System(TASK.table(c, order), TASK.exact(labels, s)) for c, s in zip(cells, scores, strict=True)], len(order)


def compared(labels: np.ndarray, scores: list[np.ndarray], units: np.ndarray, n: int) -> dict[str, Difference]:
    (a, b), n_units = systems_of(labels, scores, units)
    return compare(a, b, METRICS, draw_weights(n_units, n, seed=5), level=0.95, block=1)


def standard_error(found: Difference, n_units: int) -> float:
    assert found.low is not None and found.high is not None
    return (found.high - found.low) / 2 / t_quantile(found.level, n_units - 1)


def delong(labels: np.ndarray, scores: list[np.ndarray]) -> tuple[float, float]:
    """The difference of two correlated areas and its standard error, from the placements of each row."""
    by_positive, by_negative, areas = [], [], []
    for score in scores:
        positives, negatives = score[labels == 1], score[labels == 0]
        above = (positives[:, None] > negatives) + 0.5 * (positives[:, None] == negatives)
        areas.append(above.mean())
        by_positive.append(above.mean(axis=1))
        by_negative.append(above.mean(axis=0))
    contrast = np.array([-1.0, 1.0])
    covariance = np.cov(by_positive) / len(by_positive[0]) + np.cov(by_negative) / len(by_negative[0])
    return areas[1] - areas[0], float(np.sqrt(contrast @ covariance @ contrast))


@pytest.mark.parametrize("noise", [(0.5, 0.5), (1.0, 0.6), (1.0, 0.5)])
def test_auc_of_independent_rows_agrees_with_delong(noise: tuple[float, float]) -> None:
    labels, scores = scored_rows(ROWS, noise, seed=11)
    found = compared(labels, scores, np.arange(ROWS), 2000)["roc_auc"]
    difference, error = delong(labels, scores)
    assert found.difference == pytest.approx(difference, abs=1e-12)
    assert standard_error(found, ROWS) == pytest.approx(error, rel=0.05)
    assert found.p_value == pytest.approx(2 * scipy.stats.norm.sf(abs(difference / error)), abs=0.02)


def test_auc_of_rows_dealt_into_blocks_agrees_with_delong_on_the_rows() -> None:
    rows = 6000
    labels, scores = scored_rows(rows, (1.0, 0.9), seed=12)
    units = deal_rows(0, rows, rows)
    found = compared(labels, scores, units, 1000)["roc_auc"]
    difference, error = delong(labels, scores)
    assert standard_error(found, int(units.max()) + 1) == pytest.approx(error, rel=0.1)
    assert found.p_value == pytest.approx(2 * scipy.stats.norm.sf(abs(difference / error)), abs=0.03)


def test_every_metric_agrees_with_scikit_learn_on_the_resampled_rows() -> None:
    labels, scores = scored_rows(ROWS, (1.0, 0.7), seed=13)
    weights = draw_weights(ROWS, 80, seed=6)
    systems, _ = systems_of(labels, scores, np.arange(ROWS))
    ours = [replicate(system.table.measure, weights) for system in systems]
    expected = {
        "roc_auc": lambda y, p: sklearn.roc_auc_score(y, p),
        "average_precision": lambda y, p: sklearn.average_precision_score(y, p),
        "log_loss": lambda y, p: sklearn.log_loss(y, p),
        "brier": lambda y, p: sklearn.brier_score_loss(y, p),
        "accuracy": lambda y, p: sklearn.accuracy_score(y, p >= np.float32(TASK.threshold)),
        "f1": lambda y, p: sklearn.f1_score(y, p >= np.float32(TASK.threshold)),
    }
    found = compare(*systems, METRICS, weights, level=0.95, block=1)
    for name, score in expected.items():
        theirs = []
        for weight in weights:
            rows = np.repeat(np.arange(ROWS), weight.astype(int))
            chosen = labels[rows]
            theirs.append(score(chosen, scores[1][rows]) - score(chosen, scores[0][rows]))
        spread = np.std(theirs)
        assert ours[1][name] - ours[0][name] == pytest.approx(np.array(theirs), abs=0.2 * spread)  # codes are rounded
        error = np.std(theirs, ddof=1) * np.sqrt(ROWS / (ROWS - 1))
        assert standard_error(found[name], ROWS) == pytest.approx(error, rel=0.03)
        won = np.array(theirs) > 0 if METRICS[name].direction == "higher" else np.array(theirs) < 0
        assert found[name].share_better == pytest.approx(won.mean() + np.mean(np.array(theirs) == 0) / 2, abs=0.03)


@pytest.mark.parametrize("noise", [(1.0, 1.0), (1.2, 0.7), (1.0, 0.3)])
def test_accuracy_of_independent_rows_agrees_with_mcnemar(noise: tuple[float, float]) -> None:
    labels, scores = scored_rows(ROWS, noise, seed=14)
    found = compared(labels, scores, np.arange(ROWS), 2500)["accuracy"]
    right = [(score >= np.float32(TASK.threshold)) == (labels == 1) for score in scores]
    gained, lost = int((right[1] & ~right[0]).sum()), int((right[0] & ~right[1]).sum())
    assert gained + lost > 40
    chi_square = scipy.stats.chi2.sf((gained - lost) ** 2 / (gained + lost), 1)
    exact = scipy.stats.binomtest(gained, gained + lost).pvalue
    assert found.difference == pytest.approx((gained - lost) / ROWS)
    assert found.p_value == pytest.approx(chi_square, abs=0.02)
    assert found.p_value == pytest.approx(exact, abs=0.09)  # the exact test errs on the side of caution


def test_brier_of_independent_clusters_agrees_with_the_paired_t_test_of_cluster_means() -> None:
    rng, clusters, each = np.random.default_rng(15), 30, 40
    labels, scores = scored_rows(clusters * each, (0.9, 0.8), seed=15)
    units = np.repeat(np.arange(clusters), each)
    shift = rng.normal(0, 0.3, clusters)[units]
    logit = np.log(scores[1] / (1 - scores[1])) + shift
    scores[1] = (1 / (1 + np.exp(-logit))).astype(np.float32)
    found = compared(labels, scores, units, 10_000)["brier"]
    by_cluster = [((score - labels) ** 2).reshape(clusters, each).mean(axis=1) for score in scores]
    expected = scipy.stats.ttest_rel(by_cluster[1], by_cluster[0])
    assert found.difference == pytest.approx(by_cluster[1].mean() - by_cluster[0].mean(), rel=1e-5)
    assert found.p_value == pytest.approx(expected.pvalue, abs=0.01)
    around = expected.confidence_interval(0.95)
    assert [found.low, found.high] == pytest.approx([around.low, around.high], abs=0.03 * (around.high - around.low))


def test_rows_taken_for_independent_claim_far_too_much_where_days_share_their_luck() -> None:
    rng, days, each = np.random.default_rng(16), 40, 50
    labels, scores = scored_rows(days * each, (0.9, 0.9), seed=16)
    day = np.repeat(np.arange(days), each)
    for score in scores:
        luck = rng.normal(0, 1, days)[day]
        score[:] = 1 / (1 + np.exp(-(np.log(score / (1 - score)) + luck)))
    by_day = compared(labels, scores, day, 1000)["log_loss"]
    by_row = compared(labels, scores, deal_rows(0, len(labels), len(labels)), 1000)["log_loss"]
    assert standard_error(by_day, days) > 1.3 * standard_error(by_row, 1000)
