"""A log tells what was said and what came true: nothing twice, nothing overwritten, nothing by half."""

import signal
import sqlite3
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from stages.forecasts.log import ForecastLog, as_said
from stages.workspace.errors import UserError
from tests.forecasts.conftest import START, forecasts_of, values_of

ROOT = Path(__file__).parents[2]
NOW = datetime(2024, 4, 1, 12)
WRITER = """
import sys
from datetime import datetime, timedelta
from pathlib import Path
import polars as pl
from stages.forecasts.log import ForecastLog
from tests.forecasts.conftest import forecasts_of, values_of
log, made = ForecastLog(Path(sys.argv[1]), "planted"), forecasts_of(values_of(100))
for turn in range(int(sys.argv[2]), int(sys.argv[3])):
    log.keep(made, model=f"model {turn}", way="scheduled", logged_at=datetime(2024, 4, 1))
    print(turn, flush=True)
"""


def test_the_same_forecasts_again_keep_nothing_twice(kept_in: ForecastLog) -> None:
    made = forecasts_of(values_of(10))
    assert kept_in.keep(made, model="m", way="scheduled", logged_at=NOW) == (40, 0, [])
    assert kept_in.keep(made, model="m", way="served", logged_at=NOW + timedelta(days=1)) == (0, 40, [])
    found = kept_in.read()
    assert found.select(made.columns).equals(made.sort("made_at", "series", "due_at"))
    assert set(found["way"]) == {"scheduled"} and set(found["logged_at"]) == {NOW}


def test_another_value_for_the_same_forecast_is_told_and_the_first_one_stands(kept_in: ForecastLog) -> None:
    made = forecasts_of(values_of(2))
    kept_in.keep(made, model="m", way="scheduled", logged_at=NOW)
    other = made.with_columns(forecast=pl.when(pl.int_range(pl.len()) == 3).then(99.0).otherwise("forecast"))
    again = kept_in.keep(other, model="m", way="scheduled", logged_at=NOW)
    assert (again.new, again.known) == (0, 7)
    assert again.differing == ["B 6 h 2024-03-01T00:00:00.000000"]
    assert kept_in.read()["forecast"].to_list() == made["forecast"].to_list()
    assert kept_in.keep(other, model="another", way="scheduled", logged_at=NOW).new == 8


def test_outcomes_are_joined_when_they_come_and_a_correction_is_a_revision(kept_in: ForecastLog) -> None:
    observed = values_of(12)
    kept_in.keep(forecasts_of(observed), model="m", way="scheduled", logged_at=NOW)
    early, late = observed.filter(pl.col("at") < START + timedelta(hours=6)), observed
    assert kept_in.hear(early, heard_at=NOW) == (12, 0, 0)
    assert kept_in.read()["value"].count() == 2 * 5  # one hour ahead, from the first five hours
    assert kept_in.hear(late, heard_at=NOW) == (12, 12, 0)
    assert kept_in.read()["value"].count() == 2 * (11 + 6)
    corrected = observed[3:4].with_columns(value=pl.col("value") + 1)
    assert kept_in.hear(corrected, heard_at=NOW + timedelta(days=1)) == (0, 0, 1)
    assert kept_in.hear(corrected, heard_at=NOW + timedelta(days=2)) == (0, 1, 0)
    moment = pl.col("due_at") == corrected["at"][0]
    of_it = kept_in.read().filter(moment & (pl.col("series") == "A") & (pl.col("horizon") == "1 h"))
    assert of_it["value"].to_list() == corrected["value"].to_list() and of_it["revision"].to_list() == [1]
    with sqlite3.connect(kept_in.path) as connection:  # what was told first is still there
        values = connection.execute("SELECT value FROM outcomes WHERE series = 'A' AND at LIKE '%T03:00%'").fetchall()
    assert [value for (value,) in values] == [observed["value"][3], corrected["value"][0]]


def test_of_several_models_the_forecast_that_was_said_first_is_shown_not_hindsight(
    kept_in: ForecastLog,
) -> None:
    made = forecasts_of(values_of(1))
    kept_in.keep(made, model="hindsight", way="replayed", logged_at=NOW - timedelta(days=1))
    kept_in.keep(made, model="first", way="scheduled", logged_at=NOW)
    kept_in.keep(made, model="second", way="served", logged_at=NOW + timedelta(days=1))
    assert len(kept_in.read()) == 3 * len(made)
    assert as_said(kept_in.read())["model"].to_list() == ["first"] * len(made)


def test_a_log_that_is_not_there_holds_nothing_and_is_not_made_by_a_question(kept_in: ForecastLog) -> None:
    assert kept_in.read().is_empty() and kept_in.outcomes().is_empty() and kept_in.newest() is None
    assert not kept_in.path.exists()


def test_the_log_of_another_dataset_is_refused(kept_in: ForecastLog) -> None:
    kept_in.hear(values_of(1), heard_at=NOW)
    with pytest.raises(UserError, match="the log of others"):
        ForecastLog(kept_in.path, "others").hear(values_of(1), heard_at=NOW)


def test_a_writer_that_is_killed_leaves_whole_changes_and_loses_none_that_it_told_of(kept_in: ForecastLog) -> None:
    kept_in.hear(values_of(1), heard_at=NOW)
    command = [sys.executable, "-c", WRITER, str(kept_in.path), "0", "1000"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "0\n"
        time.sleep(0.05)
        writer.send_signal(signal.SIGKILL)
        told = [0, *map(int, writer.stdout.read().split())]
    by_model = kept_in.read().group_by("model").len()
    assert set(by_model["len"]) == {400}
    assert len(by_model) in (len(told), len(told) + 1)


def test_two_writers_at_once_wait_for_each_other(kept_in: ForecastLog) -> None:
    command = [sys.executable, "-c", WRITER, str(kept_in.path)]
    each = [("0", "4"), ("4", "8")]
    writers = [subprocess.Popen([*command, *turns], cwd=ROOT, stdout=subprocess.DEVNULL) for turns in each]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert kept_in.read().group_by("model").len()["len"].to_list() == [400] * 8


def test_a_full_disk_is_told_in_words_and_changes_nothing(kept_in: ForecastLog) -> None:
    kept_in.hear(values_of(1), heard_at=NOW)
    before = kept_in.path.stat().st_size
    limit = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({before + 4096},) * 2)\n"
    command = [sys.executable, "-c", WRITER.replace("for turn", f"{limit}for turn"), str(kept_in.path), "0", "4"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1 and ended.stdout == ""
    assert "UserError" in ended.stderr and "to read and write the log of forecasts" in ended.stderr
    assert kept_in.read().is_empty() and len(kept_in.outcomes()) == 2
