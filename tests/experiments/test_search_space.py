"""A declared space is read as it is meant, and everything wrong with it is told at once."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.experiments.tuning.space import Choices, Range, read_space

KINDS = {"max_depth": int, "learning_rate": float, "subsample": float, "max_bin": int, "grow_policy": str}


def test_a_space_is_read_in_the_order_of_its_names_with_the_types_of_the_model() -> None:
    declared = {
        "max_depth": {"low": 3, "high": 9},
        "learning_rate": {"low": 0.03, "high": 1, "log": True},
        "subsample": {"low": 0.5, "high": 1.0, "step": 0.1},
        "max_bin": {"choices": [32, 256]},
        "grow_policy": {"choices": ["depthwise", "lossguide"]},
    }
    assert read_space(declared, KINDS) == (
        {
            "grow_policy": Choices(("depthwise", "lossguide")),
            "learning_rate": Range(0.03, 1.0, log=True),
            "max_bin": Choices((32, 256)),
            "max_depth": Range(3, 9, whole=True),
            "subsample": Range(0.5, 1.0, step=0.1),
        },
        [],
    )


@pytest.mark.parametrize(
    ("name", "entry", "told"),
    [
        ("max_dpth", {"low": 3, "high": 9}, "max_dpth: no such parameter of the model; did you mean 'max_depth'?"),
        ("eta", {"low": 0.1, "high": 1.0}, f"eta: no such parameter of the model; known: {', '.join(KINDS)}"),
        ("max_depth", {"low": 9, "high": 3}, "max_depth: low 9 lies above high 3"),
        ("max_depth", {"low": 3, "high": 9.5}, "max_depth: high: wanted a whole number, got 9.5"),
        ("max_depth", {"low": "3", "high": True}, "max_depth: low: wanted a whole number, got '3'"),
        ("max_depth", {"low": 3}, "max_depth: high missing"),
        ("max_depth", [3, 9], "max_depth: wanted {low: …, high: …} or {choices: […]}, got [3, 9]"),
        ("max_depth", {"low": 3, "hihg": 9}, "max_depth: unknown key 'hihg'; did you mean 'high'?"),
        ("max_depth", {"low": 3, "high": 9, "step": 4}, "max_depth: steps of 4 from 3 miss 9"),
        ("max_depth", {"low": 3, "high": 9, "step": 0}, "max_depth: step: wanted more than 0, got 0"),
        ("max_bin", {"choices": []}, "max_bin: choices: wanted a list of whole numbers, got []"),
        ("max_bin", {"choices": [32, 32]}, "max_bin: choices: a value stands twice"),
        ("max_bin", {"choices": [32, 64.5]}, "max_bin: choices: wanted whole numbers, got 64.5"),
        ("max_bin", {"choices": ["32"]}, "max_bin: choices: wanted whole numbers, got '32'"),
        ("grow_policy", {"choices": [1]}, "grow_policy: choices: wanted names, got 1"),
        ("grow_policy", {"low": "a", "high": "b"}, "grow_policy: a name has no range: wanted {choices: […]}"),
        ("max_bin", {"choices": [32], "low": 1}, "max_bin: choices stand alone, without low"),
        ("learning_rate", {"low": 0.0, "high": 1.0, "log": True}, "learning_rate: log: true wants a low above 0"),
        ("learning_rate", {"low": 0.1, "high": 1.0, "log": 1}, "learning_rate: log: wanted true or false, got 1"),
        ("learning_rate", {"low": math.nan, "high": 1.0}, "learning_rate: low: wanted a number, got nan"),
        ("subsample", {"low": 0.5, "high": 1.0, "log": True, "step": 0.1}, "subsample: step goes without log"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_is_named_with_what_was_wanted(name: str, entry: object, told: str) -> None:
    space, problems = read_space({name: entry}, KINDS)
    assert space == {}
    assert problems[0].startswith(told)


def test_everything_wrong_is_told_at_once_and_an_empty_space_is_wrong() -> None:
    _, problems = read_space({"max_depth": {"low": 9, "high": 3}, "eta": 1, "subsample": {}}, KINDS)
    assert [problem.partition(":")[0] for problem in problems] == ["eta", "max_depth", "subsample"]
    assert read_space({}, KINDS) == ({}, ["no parameter to search"])


@given(st.floats(0.001, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_tidied_number_stays_in_its_range_and_near_what_was_drawn(low: float, width: float, share: float) -> None:
    drawn = Range(low, low + width)
    value = low + share * width
    tidy = drawn.tidy(value)
    assert drawn.low <= tidy <= drawn.high
    assert tidy == pytest.approx(value, rel=6e-4)
    assert tidy in (drawn.low, drawn.high) or tidy == float(f"{tidy:.4g}")


@pytest.mark.parametrize(
    ("parameter", "inside", "outside"),
    [
        (Range(3, 9, whole=True), [3, 5, 9], [2, 10]),
        (Range(0.5, 1.0, step=0.1), [0.5, 0.7, 0.8, 1.0], [0.55, 0.4]),
        (Choices((32, 256)), [32, 256], [64]),
    ],
)
def test_what_could_be_drawn_lies_inside(parameter: Range | Choices, inside: list, outside: list) -> None:
    assert [parameter.holds(value) for value in inside] == [True] * len(inside)
    assert [parameter.holds(value) for value in outside] == [False] * len(outside)
    assert [parameter.tidy(value) for value in inside] == inside
