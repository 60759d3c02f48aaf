"""Figures that stand together have one precision, and none of them is written as more or less than it is."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.pages.numbers import GAP, MINUS, estimate_text, figure, level_text, share_texts
from stages.pages.verdicts import estimate_of

ROOT = Path(__file__).parents[2]
SIZES = st.floats(-5000, 5000, allow_nan=False)


def decimals(text: str) -> set[int]:
    plain = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    return {len(found) for found in re.findall(r"\d(?:\.(\d*))?(?=[,\] ]|$)", plain)}


@given(SIZES, SIZES, SIZES)
def test_an_estimate_and_its_interval_have_as_many_decimals(value: float, low: float, high: float) -> None:
    assert len(decimals(estimate_text(value, low, high))) == 1


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        ((0.1025, 0.06622, 0.1431), "0.1025 [0.0662, 0.1431]"),
        ((0.01487, 0.0, 0.01885), "0.01487 [0.00000, 0.01885]"),
        ((0.95, 0.9, 1.0), "0.9500 [0.9000, 1.0000]"),
        ((1834.6, 990.2, 2000.0), "1,835 [990, 2,000]"),
        ((None, None, None), "–"),
    ],
)
def test_the_largest_figure_of_an_estimate_has_four_digits(estimate: tuple[float, float, float], text: str) -> None:
    assert estimate_text(*estimate) == text


def test_a_baseline_and_a_difference_are_told_to_the_decimals_of_the_model() -> None:
    found = {
        "value": 0.7566, "low": 0.7272, "high": 0.7782, "baseline": 0.03456, "baseline_low": 0.01, "baseline_high": 2.5,
        "difference": 0.053154, "difference_low": 0.036671, "difference_high": 0.069618,
    }  # fmt: skip
    assert estimate_of(found, "baseline") == "0.0346 [0.0100, 2.5000]"
    assert estimate_of(found, "difference") == "+0.0532 [+0.0367, +0.0696]"


def test_a_difference_that_is_not_zero_is_never_written_as_zero() -> None:
    assert estimate_text(0.1, 1e-6, 0.2, sign=True, decimals=4) == "+0.1000 [+1e−06, +0.2000]"
    assert figure(-1e-6, sign=True, decimals=4) == f"{MINUS}1e{MINUS}06"
    assert figure(0.0, sign=True, decimals=4) == "0.0000"


def test_shares_that_stand_together_have_as_many_digits() -> None:
    plain = [text.replace(GAP, " ") for text in share_texts([0.024, 0.0035, 0.0, 1.0, None, 1e-7])]
    assert plain == ["2.40 %", "0.35 %", "0 %", "100 %", "–", "< 0.01 %"]
    assert share_texts([0.024, 0.3]) == [f"2.4{GAP}%", f"30.0{GAP}%"]
    assert share_texts([]) == []


def test_a_percentage_on_a_page_never_breaks_from_its_sign() -> None:
    """Every way to write one is `GAP`: what pages hold literally is checked here, what they compute is `level_text`."""
    assert level_text(0.95) == f"95{GAP}%"
    places = ("README.md", "docs/*.md", "stages/results/*", "notebooks/**/*", ".dvc/plots/*")
    sources = [path for place in places for path in ROOT.glob(place)]
    for path in sources:
        if path.is_file() and path.suffix not in {".pyc", ".css"}:
            shown = re.sub(r'""".*?"""|<style>.*?</style>|#.*', "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
            tight = "" if path.suffix == ".json" else "?"  # ".0%" is a format of Vega's
            assert not re.findall(rf"\d {tight}%(?![\w(])", shown), path
