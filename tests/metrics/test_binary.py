"""Binary metrics: closed forms, scikit-learn, and a plain bootstrap of the rows as second opinions."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import rankdata
from sklearn import metrics as reference

from stages.metrics import probabilities
from stages.metrics.binary import AT_THRESHOLD, METRICS, BinaryDecision
from stages.metrics.bootstrap import draw_weights, interval, replicate
from stages.metrics.codes import code_probabilities, exact_calibration_error
from stages.metrics.contract import System
from stages.metrics.resampling import deal_rows, merge_cells, number_units, unit_names
from stages.metrics.systems import compare_systems

TASK = BinaryDecision(threshold_code=950, cost_of_miss=3.0, cost_of_false_alarm=1.0)


def draw_scores(n: int, seed: int, separation: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.3).astype(np.int64)
    logits = rng.normal(-1.0, 1.2, n) + separation * labels
    return labels, (1 / (1 + np.exp(-logits))).astype(np.float32)


def tabulate(labels: np.ndarray, scores: np.ndarray, units: np.ndarray) -> tuple[pl.DataFrame, list[str]]:
    cells = merge_cells([TASK.tabulate(units, [f"{u:04d}" for u in range(int(units.max()) + 1)], labels, scores)])
    return cells, unit_names(cells)


def sklearn_scores(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    yes = scores >= np.float32(TASK.threshold)
    (_, false_alarms), (misses, _) = reference.confusion_matrix(labels, yes, labels=[0, 1])
    return {
        "roc_auc": reference.roc_auc_score(labels, scores),
        "average_precision": reference.average_precision_score(labels, scores),
        "log_loss": reference.log_loss(labels, scores.astype(np.float64)),
        "brier": reference.brier_score_loss(labels, scores),
        "accuracy": reference.accuracy_score(labels, yes),
        "precision": reference.precision_score(labels, yes),
        "recall": reference.recall_score(labels, yes),
        "f1": reference.f1_score(labels, yes),
        "expected_cost": (3.0 * misses + 1.0 * false_alarms) / len(labels),
    }


def plain_scores(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """A few lines that share nothing with the code under test, quick enough to run on every resample."""
    late, yes, p = labels == 1, scores >= np.float32(TASK.threshold), scores.astype(np.float64)
    ranks, n_late = rankdata(p), late.sum()
    order = np.argsort(-p, kind="stable")
    precision = np.cumsum(late[order]) / np.arange(1, len(p) + 1)
    hits = (late & yes).sum()
    return {
        "roc_auc": (ranks[late].sum() - n_late * (n_late + 1) / 2) / (n_late * (~late).sum()),
        "average_precision": precision[late[order]].mean(),
        "log_loss": -np.log(np.where(late, p, 1 - p)).mean(),
        "brier": ((p - late) ** 2).mean(),
        "accuracy": (late == yes).mean(),
        "precision": hits / max(yes.sum(), 1),
        "recall": hits / n_late,
        "f1": 2 * hits / (yes.sum() + n_late),
        "expected_cost": (3.0 * (late & ~yes) + 1.0 * (~late & yes)).mean(),
    }


@pytest.mark.parametrize("digits", [1, 2, 8])
def test_exact_values_are_those_of_scikit_learn_with_and_without_ties(digits: int) -> None:
    labels, scores = draw_scores(4000, seed=3)
    scores = np.round(scores, digits).clip(0.001, 0.999)
    exact = TASK.exact(labels, scores)
    for name, value in sklearn_scores(labels, scores).items():
        assert exact[name] == pytest.approx(value, rel=1e-6), name


def test_calibration_error_is_the_weighted_gap_of_scikit_learns_curve() -> None:
    from sklearn.calibration import calibration_curve

    labels, scores = draw_scores(5000, seed=4)
    observed, predicted = calibration_curve(labels, scores, n_bins=10, strategy="uniform")
    rows = np.histogram(scores, np.linspace(0, 1, 11))[0]
    expected = (np.abs(observed - predicted) * rows[rows > 0]).sum() / rows.sum()
    assert exact_calibration_error(labels, scores) == pytest.approx(expected, rel=1e-6)


def test_auc_of_small_tables_is_known() -> None:
    ones = np.ones((1, 2))
    assert probabilities.roc_auc(ones, ones)[0] == 0.5
    assert probabilities.roc_auc(np.array([[3.0, 0.0]]), np.array([[0.0, 2.0]]))[0] == 1.0
    # three of four pairs in order, one tied: (3 + 1/2) / 4
    assert probabilities.roc_auc(np.array([[1.0, 1.0, 0.0]]), np.array([[0.0, 1.0, 1.0]]))[0] == 0.875


def test_a_class_that_is_missing_leaves_ranking_and_recall_undefined_rather_than_wrong() -> None:
    table = TASK.table(*tabulate(np.zeros(5, np.int64), np.full(5, 0.2, np.float32), np.arange(5)))
    scores = table.measure(np.ones((1, 5)))
    assert all(np.isnan(scores[name][0]) for name in ("roc_auc", "average_precision", "recall", "precision", "f1"))
    assert scores["accuracy"][0] == 1.0


def test_a_constant_score_ranks_like_chance() -> None:
    labels = np.array([0, 1, 0, 1, 1])
    exact = TASK.exact(labels, np.full(5, 0.6, np.float32))
    assert exact["roc_auc"] == 0.5
    assert exact["average_precision"] == pytest.approx(0.6)


def test_metrics_of_decisions_are_equal_on_rows_and_on_codes() -> None:
    labels, scores = draw_scores(20_000, seed=5)
    coded = TASK.table(*tabulate(labels, scores, np.arange(20_000) % 50)).measure(np.ones((1, 50)))
    exact = TASK.exact(labels, scores)
    for name in AT_THRESHOLD:
        assert coded[name][0] == exact[name]


@pytest.mark.parametrize("code", [0, 300, 1024, 1900, 1990, 2040, 2048])
def test_decisions_agree_on_rows_and_on_codes_to_the_very_ends_of_the_scale(code: int) -> None:
    task = BinaryDecision(code, cost_of_miss=3.0, cost_of_false_alarm=1.0)
    near_one = np.float32(1) - np.arange(200, dtype=np.float32) * np.float32(6e-8)
    scores = np.concatenate([near_one, np.geomspace(1e-9, 0.9, 200).astype(np.float32)])
    labels = np.arange(400) % 2
    table = task.table(task.tabulate(np.zeros(400, np.int64), ["all"], labels, scores), ["all"])
    coded, exact = table.measure(np.ones((1, 1))), task.exact(labels, scores)
    assert [coded[name][0] for name in AT_THRESHOLD] == [exact[name] for name in AT_THRESHOLD]


def test_coding_moves_the_other_metrics_far_less_than_their_standard_error() -> None:
    labels, scores = draw_scores(20_000, seed=6)
    cells, units = tabulate(labels, scores, deal_rows(0, 20_000, 20_000))
    table = TASK.table(cells, units)
    coded, exact = table.measure(np.ones((1, len(units)))), TASK.exact(labels, scores)
    spread = replicate(table.measure, draw_weights(len(units), 200, seed=1))
    for name in set(METRICS) - {"average_precision"}:
        assert abs(coded[name][0] - exact[name]) < 0.02 * spread[name].std(), name
    # scores in one code tie, and tied scores cost a little average precision
    assert 0 <= exact["average_precision"] - coded["average_precision"][0] < 0.002


def test_intervals_agree_with_a_plain_bootstrap_of_the_rows() -> None:
    labels, scores = draw_scores(900, seed=7)
    other = np.full_like(scores, 0.3) + 0.2 * (scores > 0.5)
    cells, units = tabulate(labels, scores, deal_rows(0, 900, 900))
    weights = draw_weights(len(units), 2000, seed=11)
    baseline = TASK.table(*tabulate(labels, other, deal_rows(0, 900, 900)))
    results = compare_systems(
        System(TASK.table(cells, units), TASK.exact(labels, scores)), System(baseline, TASK.exact(labels, other)),
        METRICS, weights, level=0.9, method="percentile", n=900,
    )  # fmt: skip

    rng = np.random.default_rng(99)
    drawn = []
    for _ in range(2000):
        rows = rng.integers(0, 900, 900)
        own, its = plain_scores(labels[rows], scores[rows]), plain_scores(labels[rows], other[rows])
        drawn.append([(own[name], own[name] - its[name]) for name in own])
    plain = np.quantile(np.array(drawn), [0.05, 0.95], axis=0)
    for place, name in enumerate(own):
        result, width = results[name], plain[1, place, 0] - plain[0, place, 0]
        assert [result["low"], result["high"]] == pytest.approx(plain[:, place, 0], abs=0.12 * width), name
        if name == "average_precision":
            continue  # the baseline's scores tie, which the plain form does not know
        gap = plain[1, place, 1] - plain[0, place, 1]
        assert [result["difference_low"], result["difference_high"]] == pytest.approx(
            plain[:, place, 1], abs=0.12 * gap + 1e-9
        ), name


def test_intervals_agree_with_a_plain_bootstrap_of_the_days() -> None:
    rng = np.random.default_rng(21)
    day = np.repeat(np.arange(40), rng.integers(5, 60, 40))
    luck = rng.normal(0, 1.0, 40)[day]
    labels = (rng.random(len(day)) < 1 / (1 + np.exp(1.0 - luck))).astype(np.int64)
    scores = (1 / (1 + np.exp(0.8 - rng.normal(0, 1, len(day)) - labels + 0.5 * luck))).astype(np.float32)
    table = TASK.table(*tabulate(labels, scores, day))
    found = replicate(table.measure, draw_weights(40, 2000, seed=5))

    by_day = [np.flatnonzero(day == d) for d in range(40)]
    plain = []
    for _ in range(2000):
        rows = np.concatenate([by_day[d] for d in rng.integers(0, 40, 40)])
        plain.append(plain_scores(labels[rows], scores[rows]))
    for name in ("roc_auc", "log_loss", "brier", "accuracy", "recall", "expected_cost"):
        expected = np.quantile([one[name] for one in plain], [0.05, 0.95])
        assert np.quantile(found[name], [0.05, 0.95]) == pytest.approx(expected, abs=0.12 * np.ptp(expected)), name


def test_standard_error_of_accuracy_is_the_binomial_one_and_shrinks_with_the_root_of_n() -> None:
    errors = []
    for n in (1000, 16_000):
        labels, scores = draw_scores(n, seed=8)
        table = TASK.table(*tabulate(labels, scores, deal_rows(0, n, n)))
        accuracy = TASK.exact(labels, scores)["accuracy"]
        drawn = replicate(table.measure, draw_weights(table.scores.counts.shape[0], 2000, seed=2))["accuracy"]
        assert drawn.std() == pytest.approx(np.sqrt(accuracy * (1 - accuracy) / n), rel=0.09)
        errors.append(drawn.std())
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.12)


def test_a_model_compared_with_itself_differs_by_nothing_in_every_replicate() -> None:
    labels, scores = draw_scores(500, seed=9)
    system = System(TASK.table(*tabulate(labels, scores, np.arange(500))), TASK.exact(labels, scores))
    results = compare_systems(system, system, METRICS, draw_weights(500, 50, seed=1), level=0.95, method="bca", n=500)
    for result in results.values():
        assert (result["difference"], result["difference_low"], result["difference_high"]) == (0.0, 0.0, 0.0)


def test_partitions_of_dates_add_up_in_any_order_and_to_a_small_table(tmp_path) -> None:
    from datetime import date, timedelta

    labels, scores = draw_scores(600_000, seed=10)
    days = pl.Series("day", [date(2013, 1, 1) + timedelta(days=d) for d in range(365)])
    day = days[np.sort(np.random.default_rng(1).integers(0, 365, 600_000))]
    parts = []
    for start in range(0, 600_000, 47_001):
        rows = slice(start, start + 47_001)
        names, units = number_units(day[rows])
        parts.append(TASK.tabulate(units, names, labels[rows], scores[rows]))
    cells = merge_cells(parts)
    assert cells.equals(merge_cells(parts[::-1]))
    names, units = number_units(day)
    assert cells.equals(merge_cells([TASK.tabulate(units, names, labels, scores)]))
    assert cells["n"].sum() == 600_000
    assert unit_names(cells) == days.cast(pl.String).to_list()
    assert code_probabilities(scores).max() < 2049
    cells.write_parquet(tmp_path / "cells.parquet", compression="zstd")
    assert (tmp_path / "cells.parquet").stat().st_size < 1 << 20


def test_a_calibration_error_lies_in_its_interval_and_is_marked_as_descriptive() -> None:
    rng = np.random.default_rng(1)
    scores = rng.random(300).astype(np.float32)  # calibrated: all of the error is noise, and replicates double it
    labels = (rng.random(300) < scores).astype(np.int64)
    cells, units = tabulate(labels, scores, np.arange(300))
    table, exact = TASK.table(cells, units), TASK.exact(labels, scores)
    weights = draw_weights(300, 400, seed=1)
    reflected = interval(replicate(table.measure, weights)["calibration_error"], exact["calibration_error"],
                         method="basic", level=0.9)  # fmt: skip
    assert reflected.high < exact["calibration_error"]
    system = System(table, exact)
    results = compare_systems(system, system, METRICS, weights, level=0.9, method="percentile", n=300)
    found = results["calibration_error"]
    assert found["low"] <= found["value"] <= found["high"]
    assert [name for name, result in results.items() if "descriptive" in result] == ["calibration_error"]
