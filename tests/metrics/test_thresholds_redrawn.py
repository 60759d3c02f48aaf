"""A threshold that valid rows have chosen moves when other valid rows are met: intervals know of it."""

from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from stages.metrics.binary import BINARY, METRICS, BinaryTable
from stages.metrics.bootstrap import draw_both, draw_weights, replicate
from stages.metrics.codes import calibrated_threshold, calibrated_thresholds, code_probabilities, threshold_of_code
from stages.metrics.contract import Decision, System, Terms
from stages.metrics.paired import compare
from stages.metrics.resampling import merge_cells

DAYS, VALID_DAYS = 30, 24
TERMS = Terms(2, cost_of_miss=3.0, cost_of_false_alarm=1.0)


@dataclass(frozen=True)
class Rows:
    """Rows of some days: every day has its own luck."""

    days: np.ndarray
    labels: np.ndarray
    scores: np.ndarray

    @classmethod
    def draw(cls, seed: int, n_days: int, each: int) -> "Rows":
        rng = np.random.default_rng(seed)
        days = np.repeat(np.arange(n_days), each)
        logits = rng.normal(-1.2, 1.1, len(days))
        labels = rng.random(len(days)) < 1 / (1 + np.exp(-1.3 * logits - 0.6 * rng.normal(size=n_days)[days]))
        return cls(days, labels.astype(np.int64), (1 / (1 + np.exp(-logits))).astype(np.float32))

    def drawn(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels and scores, each as often as its day."""
        times = weights[self.days].astype(int)
        return np.repeat(self.labels, times), np.repeat(self.scores, times)


TEST, VALID = Rows.draw(1, DAYS, 60), Rows.draw(2, VALID_DAYS, 60)
NAMES = [f"{day:02d}" for day in range(DAYS)]


def tables(coarse: bool = False) -> tuple[Decision, BinaryTable]:
    assert BINARY.tally is not None
    valid = merge_cells([BINARY.tally(VALID.days, NAMES[:VALID_DAYS], VALID.labels, VALID.scores)])
    decision = BINARY.decide(valid, TERMS)
    cells = merge_cells([decision.tabulate(TEST.days, NAMES, TEST.labels, TEST.scores)])
    if coarse:
        cells = decision.coarsened(cells)
    table = BINARY.redecide(decision.table(cells, NAMES), valid, NAMES[:VALID_DAYS], coarse)
    assert isinstance(table, BinaryTable)
    return decision, table


def platt_on_rows(labels: np.ndarray, scores: np.ndarray) -> float:
    """The logit at which a curve through these rows says that both mistakes cost the same, by scikit-learn."""
    yes, no = (labels.sum() + 1) / (labels.sum() + 2), 1 / ((1 - labels).sum() + 2)
    sure = np.where(labels == 1, yes, no)
    logits = ((code_probabilities(scores) - 1024.0) / 64)[:, None]
    fitted = LogisticRegression(C=np.inf, tol=1e-10, max_iter=500).fit(
        np.vstack([logits, logits]), np.repeat([1, 0], len(labels)), sample_weight=np.concatenate([sure, 1 - sure])
    )
    return float((np.log(1 / 3) - fitted.intercept_[0]) / fitted.coef_[0, 0])


def test_each_resample_decides_as_its_own_rows_would_have_it() -> None:
    """Brute force: rows repeated as often as their days are drawn, a curve by scikit-learn, its metrics on rows."""
    _, table = tables()
    weights = draw_both(DAYS, VALID_DAYS, 25, seed=3, block=5)
    found, thresholds = table.measure(weights), []
    for place, drawn in enumerate(weights):
        logit = platt_on_rows(*VALID.drawn(drawn[DAYS:]))
        code = int(np.rint(logit * 64 + 1024 + 0.5))
        thresholds.append(code)
        labels, scores = TEST.drawn(drawn[:DAYS])
        flagged = (scores >= np.float32(threshold_of_code(code))).astype(int)
        for name, truth in {
            "accuracy": accuracy_score(labels, flagged), "recall": recall_score(labels, flagged),
            "precision": precision_score(labels, flagged), "f1": f1_score(labels, flagged),
            "expected_cost": np.where(labels == 1, 3 * (1 - flagged), flagged).mean(),
        }.items():  # fmt: skip
            assert found[name][place] == pytest.approx(truth, rel=1e-12), (name, place)
    assert np.std(thresholds) > 3  # codes: it does move


def test_many_thresholds_at_once_are_those_one_by_one_even_of_odd_resamples() -> None:
    rng = np.random.default_rng(4)
    codes = np.arange(900, 1100)
    chance = 1 / (1 + np.exp(-(codes - 990) / 40))
    rows = rng.poisson(1.5, (30, 200))
    positives = rng.binomial(rows, chance).astype(float)
    negatives = rows - positives
    negatives[:3], positives[3:6] = 0.0, 0.0  # no resample of both classes
    negatives[6], positives[6] = (rows[6] * (codes >= 1000)).astype(float), rows[6] * (codes < 1000)  # falling
    negatives[7], positives[7] = (rows[7] * (codes < 1000)).astype(float), rows[7] * (codes >= 1000)  # cleanly split
    costs = {"cost_of_miss": 3.0, "cost_of_false_alarm": 1.0}
    found = calibrated_thresholds(negatives, positives, codes, **costs)
    for place in range(30):
        counts = np.zeros((2, 2049))
        counts[:, codes] = negatives[place], positives[place]
        assert found[place] == calibrated_threshold(counts, **costs), place


def test_weights_of_the_test_units_alone_leave_the_threshold_as_it_is_and_ones_find_it_again() -> None:
    decision, table = tables()
    weights = draw_weights(DAYS, 100, seed=3, block=5)
    both = draw_both(DAYS, VALID_DAYS, 100, seed=3, block=5)
    assert np.array_equal(both[:, :DAYS], weights)
    held, moved = table.measure(weights), table.measure(both)
    for name in METRICS:
        assert np.array_equal(held[name], moved[name]) == (name not in BINARY.at_threshold), name
    ones = table.measure(np.ones((1, DAYS + VALID_DAYS)))
    exact = decision.exact(TEST.labels, TEST.scores)
    assert {name: ones[name][0] for name in BINARY.at_threshold} == pytest.approx(
        {name: exact[name] for name in BINARY.at_threshold}
    )


def test_a_segment_with_coarse_codes_moves_nearly_as_one_with_fine_ones() -> None:
    (_, fine), (_, coarse) = tables(), tables(coarse=True)
    both = draw_both(DAYS, VALID_DAYS, 300, seed=5)
    for name in ("recall", "expected_cost", "precision"):
        narrow = fine.measure(both)[name] - coarse.measure(both)[name]
        assert np.abs(narrow).mean() < 0.25 * fine.measure(both)[name].std(), name


def test_a_threshold_that_moves_adds_to_the_uncertainty_of_a_difference_and_of_nothing_else() -> None:
    """Beside a rule that always says yes, whose threshold no valid rows move."""
    decision, table = tables()
    always = BinaryTable(table.scores, np.ones(len(table.flagged), bool), 3.0, 1.0)
    pair = [System(each, {name: float(v[0]) for name, v in each.measure(np.ones((1, DAYS))).items()})
            for each in (always, table)]  # fmt: skip
    held, moved = (
        compare(*pair, METRICS, weights, level=0.95, block=1)
        for weights in (draw_weights(DAYS, 400, seed=6), draw_both(DAYS, VALID_DAYS, 400, seed=6))
    )
    assert {name for name in METRICS if held[name] != moved[name]} == set(BINARY.at_threshold)
    recall = [each["recall"].high - each["recall"].low for each in (held, moved)]
    assert recall[1] > 1.2 * recall[0]
    assert decision.threshold is not None


def test_one_valid_unit_or_none_is_nothing_to_draw_from() -> None:
    for few in (0, 1):
        assert draw_both(DAYS, few, 50, seed=1, block=5).shape == (50, DAYS)
    assert draw_both(DAYS, 4, 50, seed=1, block=5)[:, DAYS:].sum(axis=1).tolist() == [4.0] * 50


def test_the_two_parts_are_drawn_apart() -> None:
    both = draw_both(DAYS, DAYS, 2000, seed=1)
    assert abs(np.corrcoef(both[:, 3], both[:, DAYS + 3])[0, 1]) < 0.1


def test_intervals_of_decisions_are_wider_for_it() -> None:
    _, table = tables()
    held = replicate(table.measure, draw_weights(DAYS, 1000, seed=8))["recall"]
    moved = replicate(table.measure, draw_both(DAYS, VALID_DAYS, 1000, seed=8))["recall"]
    assert moved.std() > 1.2 * held.std()
