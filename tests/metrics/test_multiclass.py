"""Metrics over several classes beside scikit-learn's and beside a plain bootstrap of the rows."""

import numpy as np
import pytest
from sklearn import metrics as reference

from stages.metrics.bootstrap import draw_weights, replicate
from stages.metrics.multiclass import METRICS, MulticlassDecision, MulticlassTable
from stages.metrics.resampling import merge_cells, unit_names

N_CLASSES = 4
TASK = MulticlassDecision(N_CLASSES)


def draw_scores(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.choice(N_CLASSES, n, p=[0.4, 0.3, 0.2, 0.1])
    logits = rng.normal(0, 1, (n, N_CLASSES))
    logits[np.arange(n), labels] += 1.2
    odds = np.exp(logits)
    return labels, (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)


def table_of(labels: np.ndarray, scores: np.ndarray) -> MulticlassTable:
    names = [f"{u:04d}" for u in range(len(labels))]
    cells = merge_cells([TASK.tabulate(np.arange(len(labels)), names, labels, scores)])
    return TASK.table(cells, unit_names(cells))


def sklearn_scores(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    chosen, doubles = scores.argmax(axis=1), scores.astype(np.float64)
    onehot = np.eye(N_CLASSES)[labels]
    found = {
        "accuracy": reference.accuracy_score(labels, chosen),
        "log_loss": reference.log_loss(labels, doubles / doubles.sum(axis=1, keepdims=True)),
        "brier": ((scores - onehot) ** 2).sum(axis=1).mean(),
        "roc_auc_macro": reference.roc_auc_score(onehot, scores, average="macro"),
        "average_precision_macro": reference.average_precision_score(onehot, scores, average="macro"),
    }
    for average in ("macro", "weighted"):
        figures = reference.precision_recall_fscore_support(labels, chosen, average=average, zero_division=0)
        found |= {f"{name}_{average}": figures[k] for k, name in enumerate(("precision", "recall", "f1"))}
    return found


def test_exact_values_are_those_of_scikit_learn() -> None:
    labels, scores = draw_scores(3000, seed=1)
    exact = TASK.exact(labels, scores)
    for name, value in sklearn_scores(labels, scores).items():
        assert exact[name] == pytest.approx(value, rel=1e-6), name
    assert set(exact) == set(METRICS)


def test_coded_values_are_the_exact_ones_but_for_the_width_of_a_code() -> None:
    labels, scores = draw_scores(600, seed=2)
    coded, exact = table_of(labels, scores).measure(np.ones((1, 600))), TASK.exact(labels, scores)
    for name, value in exact.items():
        decided = name == "accuracy" or name.startswith(("precision", "recall", "f1"))
        assert coded[name][0] == pytest.approx(value, abs=1e-12 if decided else 4e-3), name


def test_replicates_are_spread_like_those_of_a_plain_bootstrap_of_the_rows() -> None:
    labels, scores = draw_scores(400, seed=3)
    drawn = replicate(table_of(labels, scores).measure, draw_weights(400, 1000, seed=4))
    rng, plain = np.random.default_rng(5), []
    for _ in range(120):
        rows = rng.integers(0, 400, 400)
        plain.append(sklearn_scores(labels[rows], scores[rows]))
    for name in plain[0]:
        values = np.array([one[name] for one in plain])
        assert drawn[name].std() == pytest.approx(values.std(), rel=0.25), name
        assert drawn[name].mean() == pytest.approx(values.mean(), abs=0.35 * values.std()), name


def test_a_replicate_without_one_of_the_classes_is_undefined_for_macro_means_only() -> None:
    labels, scores = draw_scores(60, seed=6)
    weights = np.stack([np.ones(60), (labels != 3).astype(float)])
    found = table_of(labels, scores).measure(weights)
    for name, values in found.items():
        assert np.isfinite(values[0])
        assert np.isnan(values[1]) == name.endswith("_macro"), name


def test_a_class_that_the_test_part_lacks_altogether_is_left_out_of_the_means() -> None:
    labels, scores = draw_scores(200, seed=7)
    kept = labels != 3
    exact = TASK.exact(labels[kept], scores[kept])
    coded = table_of(labels[kept], scores[kept]).measure(np.ones((1, kept.sum())))
    recalls = reference.recall_score(labels[kept], scores[kept].argmax(axis=1), labels=[0, 1, 2], average=None)
    assert exact["recall_macro"] == pytest.approx(recalls.mean())
    assert coded["recall_macro"][0] == pytest.approx(recalls.mean())
