"""A task is said once, and an unknown one is never guessed."""

from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest

from stages.metrics.contract import Task, Terms
from stages.metrics.curves import COLUMNS
from stages.metrics.resampling import count_cells, merge_cells
from stages.metrics.stored import TASKS, task_named

EVERY = list(TASKS.values())
CLASSES = {"binary": ("no", "yes"), "multiclass": ("a", "b", "c"), "regression": (), "forecast": ()}


@pytest.mark.parametrize("name", ["ranking", "Binary", "", None, 3])
def test_an_unknown_task_is_refused_with_the_known_ones(name: object) -> None:
    with pytest.raises(ValueError, match="binary, multiclass, regression") as refused:
        task_named(name)
    assert refused.value.args[1] == repr(name)


@pytest.mark.parametrize("task", EVERY, ids=TASKS)
def test_whatever_a_task_names_is_one_of_its_metrics(task: Task) -> None:
    assert {task.loss, *task.shown, *task.at_threshold} <= set(task.metrics)
    assert task.metrics[task.loss].direction == "lower"
    assert all(metric.floor < metric.ceiling for metric in task.metrics.values())


@pytest.mark.parametrize(
    ("name", "classes"),
    [("binary", ()), ("binary", ("a",)), ("binary", tuple("abc")), ("multiclass", tuple("ab")),
     ("multiclass", ()), ("regression", ("a",))],
)  # fmt: skip
def test_classes_that_do_not_fit_the_task_are_refused(name: str, classes: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="classes of pears, whose task is " + name):
        task_named(name).check_classes("pears", classes)
    task_named(name).check_classes("pears", CLASSES[name])


def scored(task: Task, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores of ``n`` rows."""
    rng, k = np.random.default_rng(5), len(CLASSES[task.name])
    labels = rng.integers(0, k, n) if k else rng.normal(size=n)
    if task.scored == "forecast":
        bands = labels[:, None] + rng.normal(size=(n, 1)) + [0.0, -1.0, 0.0, 1.0]
        return labels, np.hstack([bands, rng.normal(size=(n, 1)), np.full((n, 2), 9.0)]).astype(np.float32)
    if not k:
        return labels, (labels + rng.normal(size=n)).astype(np.float32)
    shares = rng.dirichlet(np.ones(k), n).astype(np.float32)
    return labels, shares if task.outputs(k) > 1 else shares[:, 1]


@pytest.mark.parametrize("task", EVERY, ids=TASKS)
def test_a_task_measures_every_metric_it_names_on_rows_and_from_a_table(task: Task) -> None:
    labels, scores = scored(task)
    terms = Terms(len(CLASSES[task.name]), 0.0, 1.0, 3.0, 1.0)
    decision = task.decide_by(labels, scores, terms)
    units, names = np.arange(400) % 40, [f"{unit:02d}" for unit in range(40)]
    table = decision.table(merge_cells([decision.tabulate(units, names, labels, scores)]), names)
    exact, coded = decision.exact(labels, scores), table.measure(np.ones((1, 40)))
    assert set(exact) == set(coded) == set(task.metrics)
    for name in task.metrics:
        assert float(coded[name][0]) == pytest.approx(exact[name], rel=0.02, abs=0.01), name
    assert (decision.threshold is None) == (not task.at_threshold)
    assert (decision.outcomes(table, np.ones((1, 40))) is None) == (not task.at_threshold)


@pytest.mark.parametrize("task", EVERY, ids=TASKS)
def test_a_decision_comes_back_from_what_a_table_and_a_bundle_hold_of_it(task: Task) -> None:
    labels, scores = scored(task)
    terms = Terms(len(CLASSES[task.name]), 0.5, 2.0, 3.0, 1.0)
    decision = task.decide_by(labels, scores, terms)
    assert task.unpack(asdict(decision)) == decision
    assert task.of_signature({"threshold": decision.threshold}, terms) == decision


@pytest.mark.parametrize("threshold", [None, "0.5", -0.1, 1.5, 0.4999, float("nan")])
def test_a_bundle_whose_threshold_cuts_a_score_code_is_refused(threshold: object) -> None:
    with pytest.raises(ValueError, match="threshold"):
        task_named("binary").of_signature({"threshold": threshold}, Terms(2))


@pytest.mark.parametrize("task", EVERY, ids=TASKS)
def test_the_plots_of_a_task_have_the_columns_that_the_pipeline_lists(task: Task) -> None:
    labels, scores = scored(task)
    decision = task.decide_by(labels, scores, Terms(len(CLASSES[task.name])))
    units, names = np.arange(400) % 40, [f"{unit:02d}" for unit in range(40)]
    table = decision.table(merge_cells([decision.tabulate(units, names, labels, scores)]), names)
    for plot, frame in task.draw(table, table, CLASSES[task.name], np.ones((20, 40)), 0.9, 1).items():
        assert tuple(frame.columns) == COLUMNS[plot]
        assert len(frame)


def test_rows_are_known_by_class_or_by_the_number_itself() -> None:
    labels, codes = task_named("multiclass").tell_rows(np.array([2, 0, 1]))
    assert (labels.tolist(), codes.tolist()) == ([2, 0, 1], [0, 0, 0])
    numbers = np.array([0.5, -1.25, 0.5])
    labels, codes = task_named("regression").tell_rows(numbers)
    assert labels.tolist() == [0, 0, 0]
    assert codes[0] == codes[2] != codes[1]
    assert codes.astype(np.int32).view(np.float32).tolist() == numbers.tolist()


def test_scores_are_named_for_a_reader() -> None:
    decided = task_named("binary").name_scores(
        np.float32([0.2, 0.7]), {"classes": ["on time", "late"], "threshold": 0.7}
    )
    assert decided["decision"].to_list() == ["on time", "late"]
    chosen = task_named("multiclass").name_scores(np.float32([[0.2, 0.5, 0.3]]), {"classes": list("abc")})
    assert chosen.columns == ["prediction", "probability_a", "probability_b", "probability_c"]
    assert chosen["prediction"].to_list() == ["b"]
    assert task_named("regression").name_scores(np.float32([3.5]), {})["prediction"].to_list() == [3.5]


def test_numbers_of_both_signs_are_counted_apart_wherever_their_rows_are_cut() -> None:
    numbers = np.array([-3.5, 0.25, 1e30, -1e30, 0.25, -3.5, 7.0])
    units, names = np.array([0, 0, 0, 1, 1, 1, 1]), ["a", "b"]
    labels, codes = task_named("forecast").tell_rows(numbers)
    parts = [count_cells("rows", units[rows], names, labels[rows], codes[rows]) for rows in (slice(3), slice(3, 7))]
    found = merge_cells(parts)
    told = zip(found["unit"], found["code"].to_numpy().view(np.float32).tolist(), found["n"], strict=True)
    expected = Counter((names[unit], float(np.float32(number))) for unit, number in zip(units, numbers, strict=True))
    assert {(unit, number): n for unit, number, n in told} == expected
