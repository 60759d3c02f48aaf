"""The cost of a threshold is what its decisions cost, row by row; beside it stand never and always acting."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.metrics.binary import BinaryDecision, BinaryTable
from stages.metrics.bootstrap import draw_weights
from stages.metrics.codes import code_probabilities, threshold_of_code
from stages.results.costs import CostCurve, cost_curve

UNITS = [f"{k:02d}" for k in range(12)]


def rows(seed: int, n: int = 800) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    unit = rng.integers(0, len(UNITS), n)
    logit = rng.normal(-1, 1.2, n) + rng.normal(0, 0.5, len(UNITS))[unit]
    return pl.DataFrame(
        {
            "unit": unit,
            "label": (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.int64),
            "score": (1 / (1 + np.exp(-logit - rng.normal(0, 0.5, n)))).astype(np.float32),
        }
    )


def tabled(frame: pl.DataFrame, code: int, miss: float = 3.0, alarm: float = 1.0) -> BinaryTable:
    task = BinaryDecision(code, miss, alarm)
    cells = task.tabulate(frame["unit"].to_numpy(), UNITS, frame["label"].to_numpy(), frame["score"].to_numpy())
    return task.table(cells, UNITS)


def cost_of_rows(frame: pl.DataFrame, code: int, miss: float = 3.0, alarm: float = 1.0) -> float:
    act, label = frame["score"].to_numpy() >= np.float32(threshold_of_code(code)), frame["label"].to_numpy() == 1
    return float(np.mean(miss * (label & ~act) + alarm * (~label & act)))


def drawn(seed: int, code: int, miss: float = 3.0) -> tuple[pl.DataFrame, CostCurve]:
    frame = rows(seed)
    return frame, cost_curve(tabled(frame, code, miss), draw_weights(len(UNITS), 100, 1), 0.95, 1)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(700, 1400), st.sampled_from([0.5, 1.0, 3.0, 20.0]))
def test_every_point_is_the_cost_of_the_rows(seed: int, code: int, miss: float) -> None:
    frame, curve = drawn(seed, code, miss)
    assert curve.chosen.value == pytest.approx(cost_of_rows(frame, code, miss))
    assert curve.never.value == pytest.approx(miss * frame["label"].mean())
    assert curve.always.value == pytest.approx(1 - frame["label"].mean())
    for threshold, value in list(zip(curve.thresholds, curve.values, strict=True))[::9]:
        at = int(code_probabilities(np.array([threshold]))[0])
        assert value == pytest.approx(cost_of_rows(frame, at, miss))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(700, 1400))
def test_hindsight_is_the_cheapest_of_all(seed: int, code: int) -> None:
    _, curve = drawn(seed, code)
    least = curve.hindsight.value
    assert least <= min(curve.values.min(), curve.chosen.value, curve.never.value, curve.always.value) + 1e-12
    assert curve.chosen.value - least == pytest.approx(curve.hindsight.difference)


def test_the_threshold_of_hindsight_costs_what_is_said() -> None:
    frame, curve = drawn(5, 1000)
    act, label = frame["score"].to_numpy() >= np.float32(curve.hindsight_threshold), frame["label"].to_numpy() == 1
    assert np.mean(3 * (label & ~act) + (~label & act)) == pytest.approx(curve.hindsight.value)


def test_the_difference_from_never_acting_is_paired() -> None:
    frame = rows(8)
    weights = draw_weights(len(UNITS), 300, 2, block=3)
    table = tabled(frame, 900)
    curve = cost_curve(table, weights, 0.9, 3)
    act, label = frame["score"].to_numpy() >= np.float32(threshold_of_code(900)), frame["label"].to_numpy() == 1
    gap = 3.0 * (label & ~act) + (~label & act) - 3.0 * label
    gaps = [np.average(gap, weights=w[frame["unit"].to_numpy()]) for w in weights]
    told = (curve.never.difference_low, curve.never.difference_high)
    assert told == pytest.approx(tuple(np.quantile(gaps, [0.05, 0.95])))


def test_one_score_for_all_rows_costs_one_of_two_things() -> None:
    frame = rows(1).with_columns(score=pl.lit(0.3, dtype=pl.Float32))
    curve = cost_curve(tabled(frame, 0), draw_weights(len(UNITS), 50, 1), 0.95, 1)
    assert set(np.round(curve.values, 9)) == {round(curve.never.value, 9), round(curve.always.value, 9)}
    assert curve.chosen.difference == 0 or curve.chosen.value == curve.always.value
