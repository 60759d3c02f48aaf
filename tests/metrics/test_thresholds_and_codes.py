"""Score codes, thresholds and blocks of rows: exact where they claim to be."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from stages.metrics.codes import (
    N_CODES,
    calibrated_threshold,
    cheapest_threshold,
    code_probabilities,
    count_codes,
    probability_of_code,
    threshold_of_code,
)
from stages.metrics.resampling import MAX_BLOCKS, count_cells, deal_rows, fingerprint, merge_cells, number_units


@given(st.floats(0, 1, width=32), st.integers(0, N_CODES - 1))
def test_at_or_above_a_threshold_and_at_or_above_its_code_are_the_same(probability: float, code: int) -> None:
    above = np.float32(probability) >= np.float32(threshold_of_code(code))
    assert above == (code_probabilities(np.array([probability], np.float32))[0] >= code)


def test_codes_keep_the_order_and_stay_within_half_a_step_of_the_logit() -> None:
    probabilities = np.linspace(0.0005, 0.9995, 10_001)
    codes = code_probabilities(probabilities)
    assert (np.diff(codes) >= 0).all()
    logit = np.log(probabilities / (1 - probabilities))
    back = probability_of_code(codes)
    assert np.abs(np.log(back / (1 - back)) - logit).max() <= 0.5 / 64 + 1e-4
    assert code_probabilities(np.array([0.0, 0.5, 1.0])).tolist() == [0, 1024, 2048]


def test_the_threshold_has_the_lowest_cost_of_all_cuts() -> None:
    rng = np.random.default_rng(2)
    scores = rng.beta(1, 3, 3000).astype(np.float32)
    labels = (rng.random(3000) < scores**1.5).astype(np.int64)
    code = cheapest_threshold(count_codes(labels, code_probabilities(scores)), cost_of_miss=4, cost_of_false_alarm=1)

    def cost(threshold: float) -> float:
        flagged = scores >= np.float32(threshold)
        return 4 * (~flagged & (labels == 1)).sum() + (flagged & (labels == 0)).sum()

    assert cost(threshold_of_code(code)) == min(cost(threshold_of_code(k)) for k in range(N_CODES))


def curved(shift: float, slope: float, n: int = 20_000, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels: the chance of a yes has the logit shift + slope · logit(score)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1.3, 1.0, n)
    labels = (rng.random(n) < 1 / (1 + np.exp(-shift - slope * logits))).astype(np.int64)
    return (1 / (1 + np.exp(-logits))).astype(np.float32), labels


@pytest.mark.parametrize(("shift", "slope"), [(0.0, 1.0), (0.8, 2.0), (-0.7, 0.5)])
def test_the_calibrated_threshold_lies_where_both_mistakes_cost_the_same(shift: float, slope: float) -> None:
    scores, labels = curved(shift, slope, n=400_000)
    code = calibrated_threshold(count_codes(labels, code_probabilities(scores)), cost_of_miss=3, cost_of_false_alarm=1)
    truth = (np.log(1 / 3) - shift) / slope
    assert threshold_of_code(code) == pytest.approx(1 / (1 + np.exp(-truth)), abs=0.01)


def test_the_calibrated_threshold_is_that_of_scikit_learns_logistic_regression() -> None:
    scores, labels = curved(0.4, 1.4)
    codes = code_probabilities(scores)
    fitted = LogisticRegression(C=np.inf, tol=1e-8).fit(((codes - 1024) / 64)[:, None], labels)
    truth = (np.log(1 / 3) - fitted.intercept_[0]) / fitted.coef_[0, 0]
    code = calibrated_threshold(count_codes(labels, codes), cost_of_miss=3, cost_of_false_alarm=1)
    assert abs(code - (truth * 64 + 1024 + 0.5)) <= 1


def test_the_calibrated_threshold_moves_less_from_sample_to_sample_and_costs_no_more() -> None:
    found, cost = (
        {calibrated_threshold: [], cheapest_threshold: []},
        {calibrated_threshold: 0.0, cheapest_threshold: 0.0},
    )
    new_scores, new_labels = curved(0.0, 1.0, n=200_000, seed=99)
    for seed in range(40):
        scores, labels = curved(0.0, 1.0, n=2_000, seed=seed)
        counts = count_codes(labels, code_probabilities(scores))
        for rule in found:
            code = rule(counts, cost_of_miss=3, cost_of_false_alarm=1)
            flagged = code_probabilities(new_scores) >= code
            found[rule].append(code)
            cost[rule] += 3 * (~flagged & (new_labels == 1)).mean() + (flagged & (new_labels == 0)).mean()
    assert np.std(found[calibrated_threshold]) < 0.6 * np.std(found[cheapest_threshold])
    assert cost[calibrated_threshold] < cost[cheapest_threshold]


@pytest.mark.parametrize(
    ("labels", "scores"),
    [
        pytest.param([0, 1] * 30, [0.01, 0.99] * 30, id="cleanly split"),
        pytest.param([0, 0, 0], [0.1, 0.2, 0.3], id="one class"),
        pytest.param([1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9], id="the wrong way round"),
        pytest.param([0, 1, 0, 0], [0.3, 0.3, 0.3, 0.3], id="one score"),
        pytest.param([0, 1] * 30, [0.0, 1.0] * 30, id="surest scores"),
    ],
)
def test_rows_without_a_rising_curve_have_a_threshold_all_the_same(labels: list[int], scores: list[float]) -> None:
    counts = count_codes(np.array(labels), code_probabilities(np.array(scores)))
    code = calibrated_threshold(counts, cost_of_miss=3, cost_of_false_alarm=1)
    assert 0 <= code < N_CODES
    flagged = code_probabilities(np.array(scores)) >= code
    if len(labels) == 60:
        assert flagged.tolist() == [label == 1 for label in labels]


def test_equal_costs_are_settled_at_the_break_even_probability() -> None:
    counts = count_codes(np.array([0, 1]), code_probabilities(np.array([0.01, 0.99])))
    code = cheapest_threshold(counts, cost_of_miss=3, cost_of_false_alarm=1)
    assert threshold_of_code(code) == pytest.approx(0.25, abs=0.01)


def test_rows_are_dealt_by_their_place_alone_and_evenly() -> None:
    assert deal_rows(0, 500, 500).tolist() == list(range(500))
    whole = deal_rows(0, 200_000, 200_000)
    cut = np.concatenate([deal_rows(start, 50_000, 200_000) for start in range(0, 200_000, 50_000)])
    assert np.array_equal(whole, cut)
    sizes = np.bincount(whole, minlength=MAX_BLOCKS)
    assert len(sizes) == MAX_BLOCKS
    assert sizes.var() / sizes.mean() == pytest.approx(1.0, abs=0.2)  # as a random deal has it
    halves = np.bincount(whole[::2], minlength=MAX_BLOCKS)
    assert halves.var() / halves.mean() == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("values", [["b", "a", "b"], [3, 1, 3]])
def test_units_are_numbered_in_sorted_order(values: list) -> None:
    names, place = number_units(pl.Series("unit", values))
    assert [names[p] for p in place] == [str(value) for value in values]
    assert names == sorted(names)


def test_a_row_without_a_cluster_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a cluster for every row.*day.*1 rows"):
        number_units(pl.Series("day", ["a", None]))


def test_many_cells_are_counted_alike_in_one_array_and_by_sorting(monkeypatch) -> None:
    rng = np.random.default_rng(4)
    units, labels, codes = rng.integers(0, 9, 5000), rng.integers(0, 3, 5000), rng.integers(-20, 20, 5000)
    names = [str(u) for u in range(9)]
    dense = count_cells("view", units, names, labels, codes)
    monkeypatch.setattr("stages.metrics.resampling._DENSE", 0)
    assert dense.equals(count_cells("view", units, names, labels, codes))
    counted = pl.DataFrame({"u": units, "l": labels, "c": codes}).group_by("u", "l", "c").len().sort("u", "l", "c")
    assert dense["n"].to_list() == counted["len"].to_list()


def test_the_fingerprint_changes_with_the_rows_and_the_question_but_not_with_the_scores() -> None:
    units, names = np.array([0, 0, 1, 1]), ["a", "b"]

    def marked(labels: list[int], codes: list[int], question: str = "late?") -> str:
        cells = merge_cells([count_cells("score", units, names, np.array(labels), np.array(codes))])
        return fingerprint(cells, "score", {"question": question})

    assert marked([0, 1, 0, 1], [1, 2, 3, 4]) == marked([0, 1, 0, 1], [9, 9, 9, 9])
    assert marked([0, 1, 0, 1], [1, 2, 3, 4]) != marked([0, 1, 1, 1], [1, 2, 3, 4])
    assert marked([0, 1, 0, 1], [1, 2, 3, 4]) != marked([0, 1, 0, 1], [1, 2, 3, 4], "very late?")
