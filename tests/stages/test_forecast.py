"""`python -m stages.forecast` says what the line would have said, keeps it once, and hears what comes true."""

import logging
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest

from stages.forecast import main
from stages.forecasts.log import ForecastLog
from stages.ingest import main as ingest
from stages.models.bundle import PUBLISHED
from stages.models.forecasts import MADE_AT
from stages.predict import main as predict
from stages.state.requests import open_known
from stages.workspace.errors import UserError

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "bundles" / "weather"
LINE = ROOT / "data" / "features" / "weather" / "2013-12.parquet"
AIRPORTS = ("EWR", "JFK", "LGA")


class Said(NamedTuple):
    """How the command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


Forecast = Callable[..., Said]


@pytest.fixture(scope="module", autouse=True)
def known() -> None:
    try:
        open_known(BUNDLE, str(ROOT / "none.sqlite"))
    except UserError as error:
        pytest.skip(f"{error.found}: `dvc repro` makes it")


@pytest.fixture
def forecast(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Forecast:
    """The command in a folder of its own that has the model, the features and the clean records of this checkout."""
    for name in ("bundles", "data"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO)

    def run(*arguments: str) -> Said:
        caplog.clear()
        try:
            main(*arguments)
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        return Said(code, capsys.readouterr().out, caplog.text)

    return run


def log_in(folder: Path) -> ForecastLog:
    return ForecastLog(folder / "forecasts" / "weather.sqlite", "weather")


def report(hour: str, **values: str) -> pl.DataFrame:
    """A published report of every airport, as the bundle's own example has them."""
    example = pl.read_csv(BUNDLE / PUBLISHED, infer_schema=False).head(3)
    told = {"origin": pl.Series(AIRPORTS), "time_hour": pl.lit(hour)}
    return example.with_columns(**told, **{name: pl.lit(value) for name, value in values.items()})


def test_the_latest_forecasts_are_those_of_the_line_and_are_kept_once(forecast: Forecast, tmp_path: Path) -> None:
    said = forecast("weather")
    assert said.returncode == 0, said.stderr
    assert len(said.stdout.splitlines()) == 2 + 15 and max(map(len, said.stdout.splitlines())) <= 100
    first = log_in(tmp_path).read()
    assert set(first["series"]) == {*AIRPORTS} and first["made_at"].n_unique() == 1
    day = f"{first['made_at'][0]:%Y-%m-%d}"
    again = forecast("weather", "--replay", day, day)  # by the features that the line made
    assert "15 known" in again.stderr, again.stderr
    assert again.returncode == 0  # and to the value: another one would have been told
    assert log_in(tmp_path).read().filter(pl.col("way") == "scheduled").equals(first)


def test_replayed_forecasts_come_true_and_are_judged(forecast: Forecast, tmp_path: Path) -> None:
    assert forecast("weather", "--replay", "2013-12-01", "2013-12-20").returncode == 0
    found = log_in(tmp_path).read()
    line = pl.read_parquet(LINE).filter(pl.col(MADE_AT) < datetime(2013, 12, 21))
    both = found.join(line, on=["series", "horizon", "made_at"], how="inner")
    assert len(both) == len(line.drop_nulls("level"))
    changes = both.select((pl.col("value") - pl.col("now") - pl.col("change")).abs().max()).item()
    assert changes < 1e-4  # what came true is the label of the line
    assert both["value"].null_count() == both["change"].null_count()
    judged = forecast("weather", "--judge")
    assert judged.stdout.splitlines()[2].startswith("1 h ") and max(map(len, judged.stdout.splitlines())) <= 100


def test_a_new_report_moves_the_forecasts_and_makes_earlier_ones_come_true(forecast: Forecast, tmp_path: Path) -> None:
    forecast("weather")
    before = log_in(tmp_path).read()
    hour = before["made_at"][0]  # the report of this hour is known from the next one on
    report(f"{hour:%Y-%m-%dT%H:00:00Z}", temp="31.5").write_csv(tmp_path / "new.csv")
    ingest("weather", "new.csv")
    after = log_in(tmp_path).read().filter(pl.col("horizon") == "1 h")
    assert after["value"].to_list() == [31.5] * 3 and after["revision"].to_list() == [0] * 3
    said = forecast("weather")
    assert said.returncode == 0, said.stderr
    newest = log_in(tmp_path).read().filter(pl.col("made_at") > hour)
    assert len(newest) == 15 and set(newest["now"]) == {31.5}
    report(f"{hour:%Y-%m-%dT%H:00:00Z}", temp="33.5").write_csv(tmp_path / "corrected.csv")
    ingest("weather", "corrected.csv")
    assert set(log_in(tmp_path).read().drop_nulls("value")["revision"]) == {1}
    corrected = forecast("weather")  # what is forecast now is not what was said of the same moment
    assert corrected.returncode == 3 and "which stands" in corrected.stderr
    assert log_in(tmp_path).read().filter(pl.col("made_at") > hour)["now"].to_list() == newest["now"].to_list()


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("weather", "--at", "2013-10-20T12:00"), "none since 2013-12"),
        (("weather", "--replay", "2013-02-01", "2013-02-03"), "it cannot be said to forecast"),
        (("weather", "--judge"), "none yet"),
        (("nosuch",), "no such folder"),
    ],
)
def test_what_cannot_be_forecast_is_told(forecast: Forecast, arguments: tuple[str, ...], found: str) -> None:
    with pytest.raises(UserError) as refused:
        forecast(*arguments)
    assert found in refused.value.found and refused.value.next_step


def test_the_table_and_the_log_know_of_no_hour_after_the_one_asked_about(forecast: Forecast, tmp_path: Path) -> None:
    said = forecast("weather", "--at", "2013-12-15T07:30")
    assert said.returncode == 0, said.stderr
    made = log_in(tmp_path).read()
    assert made["made_at"].max() <= datetime(2013, 12, 15, 7, 30)  # type: ignore[operator]
    assert set(made["way"]) == {"replayed"}
    shutil.rmtree(tmp_path / "forecasts")
    forecast("weather", "--replay", "2013-12-15", "2013-12-15")
    assert len(log_in(tmp_path).read().join(made, on=["series", "horizon", "made_at", "forecast"])) == 15


def test_a_currency_that_is_not_quoted_any_more_gets_no_forecast_and_says_why(tmp_path: Path) -> None:
    rates, scored = ROOT / "bundles" / "rates", tmp_path / "scored.csv"
    predict(str(rates), str(rates / PUBLISHED), "--raw", "--state", str(tmp_path / "none.sqlite"), "-o", str(scored))
    lines = pl.read_csv(scored)
    quoted = pl.read_csv(rates / PUBLISHED).unpivot(index="Date", value_name="rate").drop_nulls("rate")
    told = lines.filter(pl.col("forecast").is_not_null())
    assert len(told) == 3 * len(quoted) < len(lines)
    assert set(told.select("Date", "series").iter_rows()) == set(quoted.select("Date", "variable").iter_rows())
    assert told["note"].null_count() == len(told)
    silent = lines.filter(pl.col("forecast").is_null())
    assert silent["note"].unique().to_list() == ["no value of the series now"]
    assert silent.select(pl.col("low", "median", "high", "naive").is_null().all()).row(0) == (True,) * 4
