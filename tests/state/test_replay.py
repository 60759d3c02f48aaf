"""Served is what was evaluated: facts told in the order in which they became known give the features of the line."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tools import replay

ROOT = Path(__file__).parents[2]
EARLY = timedelta(minutes=300)  # the last outcome of a flight is told when it has landed, hours before it counts


@pytest.fixture
def line(flights: Any) -> replay.Line:
    """The sample as the line made it."""
    dataset = flights.dataset
    return replay.Line(
        dataset=dataset,
        published={"2013-01": flights.published, "2013-02": flights.february},
        clean=flights.clean,
        features=flights.features,
        summaries={name: dataset.summarize(rows) for name, rows in flights.clean.items()},
        references=flights.references,
    )


def test_flights_asked_at_their_minute_get_the_features_of_the_line_to_the_bit(
    line: replay.Line, location: str
) -> None:
    done = replay.replay(line, "2013-02", location, early=EARLY, days=timedelta(hours=4))
    assert done.different == []
    assert done.rows >= done.moments > 15 and done.facts > 200


def test_a_state_that_hears_nothing_is_found_out(line, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(replay, "outcomes_told", lambda *_: iter(()))
    done = replay.replay(line, "2013-02", str(tmp_path / "n.sqlite"), days=timedelta(hours=2))
    assert any("origin_waiting" in each or "origin_scheduled_2h" in each for each in done.different)


@pytest.mark.slow
def test_the_whole_sample_over_two_months(line: replay.Line, tmp_path: Path) -> None:
    done = replay.replay(line, "2013-02", str(tmp_path / "n.sqlite"), early=EARLY)
    assert done.different == [] and done.rows == len(line.clean["2013-02"])


@pytest.mark.slow
def test_the_last_two_months_of_the_real_flights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fact is told, one moment in two hundred is asked about; all 23,000 take half an hour (`tools.replay`)."""
    monkeypatch.chdir(ROOT)
    if not Path("data/features/nycflights/manifest.json").exists():
        pytest.skip("the line has not run here: `make repro`")
    line = replay.read_line("nycflights")
    done = replay.replay(line, "2013-11", str(tmp_path / "n.sqlite"), early=EARLY, every=200)
    assert done.different == []
    assert done.rows > 300
