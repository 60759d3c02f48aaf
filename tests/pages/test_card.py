"""Words are never stronger than the interval that they rest on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.pages.card import inputs_table, metrics_table
from stages.pages.numbers import GAP, MINUS
from stages.pages.verdicts import conclusion, verdict

SMALL = st.floats(-10, 10, allow_nan=False)


def result(low: float | None, high: float | None, direction: str = "higher", **more) -> dict:
    return {
        "value": 0.8, "low": 0.7, "high": 0.9, "level": 0.95, "n": 1234, "direction": direction,
        "baseline": 0.6, "baseline_low": 0.5, "baseline_high": 0.7,
        "difference": 0.2, "difference_low": low, "difference_high": high, **more,
    }  # fmt: skip


BETTER, WORSE, OPEN = result(0.1, 0.3), result(-0.3, -0.1), result(-0.1, 0.3)


@given(SMALL, SMALL, st.sampled_from(["higher", "lower"]))
def test_a_verdict_is_given_only_where_every_difference_in_the_interval_agrees(
    one: float, other: float, direction: str
) -> None:
    low, high = sorted((one, other))
    told = verdict(result(low, high, direction))
    gains = [gap if direction == "higher" else -gap for gap in (low, high)]
    if told == "better":
        assert min(gains) > 0
    elif told == "worse":
        assert max(gains) < 0
    else:
        assert min(gains) <= 0 <= max(gains)


@given(SMALL, SMALL, SMALL, st.sampled_from(["higher", "lower"]))
def test_the_conclusion_claims_a_win_only_with_such_a_verdict(
    one: float, other: float, point: float, direction: str
) -> None:
    low, high = sorted((one, other))
    lead = result(low, high, direction, difference=point)  # the point estimate must not speak
    words = conclusion("q?", {"accuracy": lead}, "x alone")
    claims = {
        "better": "and beats the",
        "worse": "and does worse than the",
        "not shown to differ": "has not been shown",
    }
    assert [kind for kind, claim in claims.items() if claim in words] == [verdict(lead)]


@given(SMALL, SMALL, st.sampled_from(["higher", "lower"]))
def test_the_printed_interval_lies_on_the_side_that_its_verdict_says(one: float, other: float, direction: str) -> None:
    low, high = sorted((one, other))
    *_, difference, told, _ = metrics_table({"brier": result(low, high, direction)}).splitlines()[-1].split("|")
    ends = [float(end) for end in difference.split("[")[1].strip(" ]").replace(MINUS, "-").split(",")]
    assert verdict(result(*ends, direction)) == told.strip()


def test_too_few_rows_are_neither_won_nor_lost_and_a_test_without_an_interval_is_told() -> None:
    few = result(None, None, difference_p=None) | {"low": None, "high": None}
    assert verdict(few) == "too few rows"
    assert "0.8000 (too few), and cannot be judged" in conclusion("late?", {"accuracy": few}, "x alone")
    assert "(too few)" in metrics_table({"accuracy": few})
    assert verdict(result(None, None, difference_p=0.001)) == "better"
    assert verdict(result(None, None, "lower", difference_p=0.001)) == "worse"
    assert verdict(result(None, None, difference_p=1.0)) == "not shown to differ"


@pytest.mark.parametrize(
    ("lead", "words"),
    [
        (BETTER, "reaches accuracy 0.8000 [0.7000, 0.9000], and beats the baseline (x alone): "
                 "0.6000 [0.5000, 0.7000], difference +0.2000 [+0.1000, +0.3000]."),
        (WORSE, "and does worse than the baseline"),
        (OPEN, "and has not been shown to beat the baseline"),
    ],
)  # fmt: skip
def test_the_leading_metric_is_told_with_its_intervals(lead: dict, words: str) -> None:
    told = conclusion("late?", {"accuracy": lead}, "x alone")
    assert told.startswith("“late?” On 1,234 test rows")
    assert words in told


def test_all_metrics_are_counted_and_the_worse_ones_named() -> None:
    told = conclusion("q?", {"roc_auc": BETTER, "log_loss": WORSE, "f1": OPEN, "brier": OPEN}, "x alone")
    assert f"Of 4 metrics, 1 are better than the baseline's, 1 worse, and for 2 the 95{GAP}% interval" in told
    assert "Worse: log loss." in told


def test_the_level_is_not_rounded_up() -> None:
    assert f"for 1 the 99.5{GAP}% interval" in conclusion("q?", {"f1": result(-1, 1, level=0.995)}, "x")


def test_clustered_resampling_is_told_and_plain_rows_are_not() -> None:
    clustered = conclusion("q?", {"f1": {**BETTER, "resampled": "day", "units": 61}}, "x")
    assert "resample 61 units of “day”" in clustered
    assert "units of" not in conclusion("q?", {"f1": {**BETTER, "resampled": "rows", "units": 360}}, "x")


def test_the_table_has_a_row_for_every_metric() -> None:
    rows = metrics_table({"roc_auc": BETTER, "log_loss": WORSE, "f1": OPEN}).splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == ["| ROC-AUC", "| log loss", "| f1"]
    assert [row.split(" | ")[-1] for row in rows] == ["better |", "worse |", "not shown to differ |"]


def test_a_bar_in_a_text_does_not_break_the_table() -> None:
    entry = {"name": "x", "kind": "categorical", "about": "a | b", "unit": "", "categories": ["c|d"]}
    row = inputs_table([entry]).splitlines()[-1]
    assert row.replace("\\|", "").count("|") == 6
