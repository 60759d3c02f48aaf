"""What a search improves are the evaluation's metrics, here beside scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics

from stages.experiments.tuning.trials import ScoredRows, direction_of, metrics_to_search, score_trial

COSTS = {"cost_of_miss": 3.0, "cost_of_false_alarm": 1.0}


def scored(n: int, seed: int) -> ScoredRows:
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.3).astype(np.float32)
    logits = rng.normal(size=n) + 1.5 * labels - 1
    return ScoredRows(labels, (1 / (1 + np.exp(-logits))).astype(np.float32))


def test_metrics_of_probabilities_are_scikit_learns() -> None:
    rows = scored(4000, 0)
    for metric, truth in (
        ("loss", metrics.log_loss), ("log_loss", metrics.log_loss), ("roc_auc", metrics.roc_auc_score),
        ("average_precision", metrics.average_precision_score), ("brier", metrics.brier_score_loss),
    ):  # fmt: skip
        found = score_trial(metric, "binary", 2, rows, rows, COSTS)
        assert found == pytest.approx(truth(rows.labels, rows.scores.astype(np.float64)), rel=1e-6), metric


def test_a_cost_is_that_of_the_threshold_that_was_cheapest_on_the_rows_stopped_on() -> None:
    stopped, judged = scored(6000, 1), scored(3000, 2)

    def cost(rows: ScoredRows, threshold: float) -> float:
        flagged = rows.scores >= threshold
        return float(np.mean(3.0 * (rows.labels == 1) * ~flagged + 1.0 * (rows.labels == 0) * flagged))

    found = score_trial("expected_cost", "binary", 2, stopped, judged, COSTS)
    best = min(np.unique(stopped.scores), key=lambda threshold: cost(stopped, threshold))
    assert found == pytest.approx(cost(judged, best), abs=0.01)  # thresholds lie on score codes
    assert score_trial("expected_cost", "binary", 2, stopped, stopped, COSTS) == pytest.approx(
        cost(stopped, best), abs=2e-3
    )


def test_classes_and_numbers_are_judged_as_well() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, 500).astype(np.float32)
    scores = rng.dirichlet([1, 1, 1], 500).astype(np.float32)
    rows = ScoredRows(labels, scores)
    assert score_trial("accuracy", "multiclass", 3, rows, rows, {}) == metrics.accuracy_score(labels, scores.argmax(1))
    targets, predictions = rng.normal(size=300).astype(np.float32), rng.normal(size=300).astype(np.float32)
    numbers = ScoredRows(targets, predictions)
    rmse = score_trial("loss", "regression", 0, numbers, numbers, {})
    assert rmse == pytest.approx(metrics.root_mean_squared_error(targets, predictions), rel=1e-6)


def test_a_metric_without_a_verdict_is_not_searched_and_directions_are_known() -> None:
    assert metrics_to_search("binary")[:3] == ["loss", "roc_auc", "average_precision"]
    assert "calibration_error" not in metrics_to_search("binary")
    assert [direction_of(metric, "binary") for metric in ("loss", "roc_auc", "expected_cost")] == [
        "minimize", "maximize", "minimize",
    ]  # fmt: skip
