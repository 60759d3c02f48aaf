"""What is said never goes beyond what was found; numbers are written so that they can be compared by eye."""

import itertools
from typing import Any

import pytest

from stages.experiments.comparison.changes import changed_parameters
from stages.experiments.comparison.comparison import Compared
from stages.experiments.comparison.tables import differences_frame
from stages.experiments.comparison.words import Comparison, Drawn, Side, conclusion, decimals
from stages.metrics.paired import Difference
from stages.pages.numbers import fixed, p_text

FIGURES = {
    "better": (0.02, 0.01, 0.03, 0.001),
    "worse": (-0.02, -0.03, -0.01, 0.001),
    "no evidence": (0.001, -0.01, 0.012, 0.8),
    "descriptive": (0.02, 0.01, 0.03, None),
    "undefined": (None, None, None, None),
}


def difference(verdict: Any, metric: str = "roc_auc") -> Difference:
    gap, low, high, p = FIGURES[verdict]
    b = None if gap is None else 0.7 + gap
    return Difference(metric, "higher", 0.7, b, gap, low, high, 0.95, p, None, verdict, 1000, "", p)


def comparison(*verdicts: str) -> Comparison:
    drawn = Drawn("flights", "Late?", "binary", 1000, "day", 60, 5, 1000, 0.95, 1)
    whole = [Compared("", 1000, difference(verdict, f"metric_{k}")) for k, verdict in enumerate(verdicts)]
    return Comparison(Side("main", "a" * 40), Side("deep", "b" * 40), drawn, "holm", False, [], whole, [], [])


@pytest.mark.parametrize("verdicts", list(itertools.product(FIGURES, repeat=3)))
def test_a_conclusion_names_exactly_what_was_found(verdicts: tuple[str, ...]) -> None:
    said = conclusion(comparison(*verdicts))
    for verdict in ("better", "worse"):
        named = said.partition(f"{verdict} than main on ")[2] or said.partition(f"and {verdict} on ")[2]
        named = named.partition(" and worse on ")[0] if verdict == "better" else named
        named = named.partition("; on ")[0].partition(", and ")[0].partition(": which")[0]
        for k, found in enumerate(verdicts):
            assert (f"metric_{k}" in named) == (found == verdict), said
    if not {"better", "worse"} & set(verdicts):
        assert said.startswith(("No evidence that deep differs", "Nothing can be said"))
    for k, found in enumerate(verdicts):
        if found in ("descriptive", "undefined"):
            assert f"metric_{k}" not in said


def test_no_evidence_is_told_with_what_is_still_possible() -> None:
    said = conclusion(comparison("no evidence", "no evidence"))
    assert said.endswith("on metric_0 the difference lies between −0.0100 and +0.0120 (95 %).")
    assert "Holm's correction for 2 metrics made" in said


@pytest.mark.parametrize(
    ("low", "high", "a", "digits"),
    [(-0.01, 0.01, 0.7, 4), (-0.00001, 0.00003, 0.7, 6), (-4.0, 4.0, 250.0, 1), (-400.0, 400.0, 25_000.0, 0),
     (0.0, 0.0, 0.7, 4), (None, None, 0.7, 4)],
)  # fmt: skip
def test_as_many_digits_are_shown_as_the_interval_tells_apart(
    low: float | None, high: float | None, a: float, digits: int
) -> None:
    found = Difference("rmse", "lower", a, a, 0.0, low, high, 0.95, 1.0, 0.5, "no evidence", 100)
    assert decimals(found) == digits


def test_small_numbers_are_written_without_promises() -> None:
    assert [p_text(p) for p in (None, 0.0, 0.00099, 0.034, 1.0)] == ["–", "<0.001", "<0.001", "0.034", "1.000"]
    assert [fixed(x, 3, sign=True) for x in (0.0123, -0.0123, 0.0, -0.0001, None)] == [
        "+0.012",
        "−0.012",
        "0.000",
        "0.000",
        "–",
    ]


def test_the_plot_of_differences_has_no_row_for_what_has_no_interval() -> None:
    drawn = differences_frame(
        [difference("better", "one"), difference("undefined", "two"), difference("descriptive", "three")]
    )
    assert drawn["metric"].to_list() == ["one", "three"]
    assert differences_frame([]).columns == drawn.columns


def test_only_parameters_that_can_matter_to_the_dataset_are_changes() -> None:
    general = {"scale": {"sample": 1.0}, "cluster": {"workers": 2}, "tracking": {"live": False}}
    model_a, model_b = {"depth": 5, "space": [1, 2]}, {"depth": 8, "space": [1, 3], "new": None}
    a = {"seed": 1, "datasets": {"x": {"model": model_a, "tune": {"trials": 3}}, "y": {"model": {"depth": 1}}}}
    b = {"seed": 2, "datasets": {"x": {"model": model_b, "tune": {"trials": 9}}, "y": {}}, "cluster": {"workers": 8}}
    a, b = general | a, general | b
    assert [str(change) for change in changed_parameters(a, b, "x")] == [
        "seed 1 → 2", "datasets.x.model.depth 5 → 8", "datasets.x.model.space [1, 2] → [1, 3]",
        "datasets.x.model.new (none) → null",
    ]  # fmt: skip
    assert changed_parameters(a, {}, "x")[0].b is None
