"""A series is the months that were asked for, once each; anything else is refused in words."""

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stages.sources.months import check_pattern, expand_months, fill_pattern, month_ranges
from tools.params import compose_params

MONTHS = st.builds("{:04d}-{:02d}".format, st.integers(1987, 2030), st.integers(1, 12))


def test_a_range_holds_both_ends_and_every_month_between():
    assert expand_months("2007-11..2008-02") == ["2007-11", "2007-12", "2008-01", "2008-02"]
    assert len(expand_months("1987-10..2026-06")) == 3 + 38 * 12 + 6


def test_lists_of_months_and_ranges_come_in_order_of_time():
    assert expand_months(["2008-03..2008-04", "2004-12", "2008-01"]) == ["2004-12", "2008-01", "2008-03", "2008-04"]


@given(st.sets(MONTHS, min_size=1))
def test_the_shortest_ranges_stand_for_the_same_months(months):
    ranges = month_ranges(sorted(months))
    assert expand_months(ranges) == sorted(months)
    ends = [text.partition("..") for text in ranges]
    starts = {first for first, _, _ in ends}
    assert not any(expand_months(f"{last or first}..2031-01")[1] in starts for first, _, last in ends)


@pytest.mark.parametrize(
    ("months", "told"),
    [
        ("2008-06..2008-01", "runs backwards: the earlier month comes first, 2008-01..2008-06"),
        ("2008-13", "01 to 12, found '2008-13'"),
        ("2008-00..2008-02", "01 to 12"),
        ("2008-1", "written 2008-01"),
        ("2008", "written 2008-01"),
        ("2008-01-01", "written 2008-01"),
        ("2008-01..", "found ''"),
        ("2008-01...2008-03", "found '.2008-03'"),
        ("٢٠٠٨-01", "written 2008-01"),
        ([], "at least one month"),
        (["2008-01..2008-06", "2008-03"], "2008-03 is asked for twice, in '2008-01..2008-06' and in '2008-03'"),
        (["2008-03", "2008-03"], "2008-03 is asked for twice, as '2008-03'"),
    ],
)
def test_months_that_are_none_are_refused(months, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        expand_months(months)


def test_a_month_has_no_leading_zero_unless_the_pattern_wants_one():
    assert fill_pattern("a_{year}_{month}.zip", "2008-03") == "a_2008_3.zip"
    assert fill_pattern("{year}/{{x}}-{month:02d}", "2008-03") == "2008/{x}-03"


@pytest.mark.parametrize("pattern", ["{year}_{month}", "{year:04d}-{month:02d}", "{month:02}{year}"])
def test_patterns_with_year_and_month_are_sound(pattern):
    check_pattern(pattern)
    assert "2008" in fill_pattern(pattern, "2008-03")


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("{year}_{mon}", "found {mon}"),
        ("{year}_{month}_{day}", "found {day}"),
        ("{}_{month}", "found {}"),
        ("{year.__class__}_{month}", "found {year.__class__}"),
        ("{year!r}_{month}", "found {year!r}"),
        ("{year}_{month:>99999999d}", "found {month:>99999999d}"),
        ("{year}_{month:{year}}", "found {month:{year}}"),
        ("{year}.zip", "with {month}, or all months are one file"),
        ("{year}_{month", "braces only around"),
    ],
)
def test_a_pattern_with_anything_else_is_refused(pattern, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        check_pattern(pattern)


def test_months_can_be_overridden_on_the_command_line_as_they_are_written_in_a_file(tmp_path: Path):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[hydra]\n    enabled = True\n    config_dir = params\n")
    (tmp_path / "params").mkdir()
    (tmp_path / "params/config.yaml").write_text("series:\n  months: 1987-10..2026-06\n")
    asked = {"[2008-01,2008-03..2008-04]": ["2008-01", "2008-03", "2008-04"], "2008-01": ["2008-01"]}
    for written, months in asked.items():
        composed = yaml.safe_load(compose_params(tmp_path, [f"series.months={written}"]))
        assert expand_months(composed["series"]["months"]) == months
