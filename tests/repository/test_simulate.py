"""Simulated months: the same bytes every time, the shape of the real ones, marked, and never mistaken for them."""

import json
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks import simulate, simulation
from benchmarks.published_month import STEM, csv_header, csv_lines, numbers, read_month
from stages.clean import is_simulated
from stages.records.failures import find_failures
from stages.workspace.errors import UserError


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, publish_month) -> Path:
    folder = tmp_path_factory.mktemp("real")
    for year, month in ((2001, 2), (2001, 3), (2008, 3)):
        publish_month(folder, year, month)
    return folder


Simulate = Callable[..., Path]


@pytest.fixture
def to(tmp_path: Path, real: Path) -> Simulate:
    """Simulate into a folder of that name with further options."""

    def run(name: str, *options: str) -> Path:
        simulate.main("--from", str(real), "--to", str(tmp_path / name), "--rows", "3000", *options)
        return tmp_path / name

    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def texts(folder: Path, name: str) -> pl.DataFrame:
    return read_month(folder / f"{STEM}_{name}")


def number(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Float64)


def minute(name: str) -> pl.Expr:
    return pl.col(name).str.head(2).cast(pl.Int32) * 60 + pl.col(name).str.tail(2).cast(pl.Int32)


@pytest.mark.parametrize("kind", ["zip", "parquet"])
def test_same_bytes_in_any_order_by_any_number_of_workers(to: Simulate, kind: str) -> None:
    once = to("once", "--months", "2001-02..2001-03,2004-03", "--format", kind, "--workers", "1")
    for month in ("2004-03", "2001-02..2001-03"):
        again = to("again", "--months", month, "--format", kind, "--workers", "2")
    assert contents(once) == contents(again)


def test_same_bytes_under_another_hash_seed(to: Simulate, real: Path, run, root: Path, tmp_path: Path) -> None:
    here = to("here", "--months", "2001-03", "--seed", "5")
    options = ("--from", real, "--to", tmp_path / "there", "--months", "2001-03", "--seed", "5", "--rows", "3000")
    run("python", "-m", "benchmarks.simulate", *options, cwd=root, PYTHONHASHSEED="77")
    assert contents(here) == contents(tmp_path / "there")
    assert contents(here) != contents(to("other", "--months", "2001-03", "--seed", "6"))


def test_zip_and_parquet_hold_the_same_texts(to: Simulate) -> None:
    as_zip, as_parquet = to("z", "--months", "2008-03"), to("p", "--months", "2008-03", "--format", "parquet")
    assert texts(as_zip, "2008_3.zip").equals(texts(as_parquet, "2008_3.parquet"))


def test_a_real_month_is_written_back_as_it_was_published(tmp_path: Path, publish_month) -> None:
    published = publish_month(tmp_path / "real", 2001, 3)
    flights = read_month(tmp_path / "real" / f"{STEM}_2001_3.zip")
    assert len(flights.columns) == 109
    assert csv_header(flights.columns) + csv_lines(flights) == published


def test_shares_are_those_of_the_real_month(to: Simulate, real: Path) -> None:
    was, now = texts(real, "2001_3.zip"), texts(to("many", "--months", "2001-03"), "2001_3.zip")
    assert len(now) == 3000
    for name in ("Reporting_Airline", "Origin", "Dest", "DayofMonth", "ArrDel15", "Cancelled", "Tail_Number"):
        shares = [dict(flights[name].value_counts(normalize=True).iter_rows()) for flights in (was, now)]
        assert shares[1] == pytest.approx(shares[0], abs=2 / len(now)), name


def test_what_belongs_together_still_agrees(to: Simulate) -> None:
    flights = texts(to("many", "--months", "2001-03"), "2001_3.zip")
    flown = flights.filter(pl.col("ArrDelay").is_not_null())
    assert len(flown) > 2000
    late = flown.filter(pl.col("ArrDel15") == "1.00")
    holds = {
        "departure": (minute("CRSDepTime") + number("DepDelay") - minute("DepTime")) % 1440 == 0,
        "arrival": (minute("CRSArrTime") + number("ArrDelay") - minute("ArrTime")) % 1440 == 0,
        "duration": (minute("CRSDepTime") + number("CRSElapsedTime") - minute("CRSArrTime")) % 1440 == 0,
        "late": (number("ArrDelay") >= 15) == (pl.col("ArrDel15") == "1.00"),
        "late departure": (number("DepDelay") >= 15) == (pl.col("DepDel15") == "1.00"),
        "not early": number("DepDelay").clip(0) == number("DepDelayMinutes"),
        "group": (number("ArrDelay") // 15).clip(-2, 12) == number("ArrivalDelayGroups"),
        "block": pl.col("DepTimeBlk") == pl.col("CRSDepTime").str.head(2).cast(pl.Int32)
        .replace_strict(range(24), simulation.BLOCK_OF_HOUR.to_list()),
    }  # fmt: skip
    assert flown.select(expr.all().alias(name) for name, expr in holds.items()).row(0) == (True,) * len(holds)
    assert (
        len(late)
        and late.select((pl.sum_horizontal(map(number, simulation.CAUSES)) == number("ArrDelay")).all()).item()
    )
    key = ("FlightDate", "Reporting_Airline", "Flight_Number_Reporting_Airline", "Origin")
    assert flights.select(key).n_unique() == len(flights)


def test_copies_differ_in_time_delay_and_number(to: Simulate, real: Path) -> None:
    was, now = texts(real, "2001_3.zip"), texts(to("many", "--months", "2001-03"), "2001_3.zip")
    for name in ("CRSDepTime", "ArrDelay", "Flight_Number_Reporting_Airline"):
        assert now[name].n_unique() > 1.05 * was[name].n_unique(), name


@pytest.mark.parametrize(("month", "days"), [("2004-02", 29), ("2003-02", 28), ("2005-03", 31)])
def test_a_month_without_real_records_takes_those_of_another_year(to: Simulate, month: str, days: int) -> None:
    flights = texts(to("far", "--months", month), f"{numbers(month)}.zip")
    found = flights["FlightDate"].str.to_date().unique().sort()
    year, number_of_month = map(int, month.split("-"))
    expected = [date(year, number_of_month, day) for day in range(1, days + 1)]
    assert found.to_list() == expected
    assert flights.select(
        (pl.col("DayOfWeek").cast(pl.Int8) == pl.col("FlightDate").str.to_date().dt.weekday()).all()
    ).item()
    assert set(flights["Year"]) == {str(year)} and set(flights["DayofMonth"]) == {str(day.day) for day in found}


def test_the_nearest_year_is_taken_and_the_earlier_of_two() -> None:
    real = ["1997-03", "2001-02", "2001-03", "2003-03"]
    assert [simulation.choose_source(m, real) for m in ("2001-03", "2002-03", "2020-03")] == [
        "2001-03",
        "2001-03",
        "2003-03",
    ]
    with pytest.raises(ValueError, match="04"):
        simulation.choose_source("2001-04", real)


def test_times_wrap_at_midnight_and_what_is_no_time_stays() -> None:
    found = simulation.shift_clock(
        pl.Series(["2359", "0001", "2400", "2535", "0970", "", None, "0945"]),
        np.array([1, -2, 3, 5, 5, 5, 5, 0], np.int32),
    )
    assert found.to_list() == ["2400", "2359", "0003", "2540", "0970", "", None, "0945"]


def test_every_file_is_marked_and_the_folder_says_what_it_is(to: Simulate, real: Path) -> None:
    for kind in ("zip", "parquet"):
        folder = to(kind, "--months", "2001-03", "--format", kind)
        file = folder / f"{STEM}_2001_3.{kind}"
        facts = json.loads((folder / "simulated.json").read_text())
        assert is_simulated(file) and facts["simulated"] and list(facts["months"]) == ["2001-03"]
        assert "not observed" in (folder / "SIMULATED.md").read_text()
    assert b"Simulated" in zipfile.ZipFile(to("zip", "--months", "2001-03") / f"{STEM}_2001_3.zip").read("readme.html")
    assert not any(is_simulated(file) for file in real.iterdir())


def test_what_cannot_be_read_carries_no_mark(tmp_path: Path) -> None:
    for name in ("cut.zip", "cut.parquet", "notes.txt"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 and no more")
    assert not any(is_simulated(tmp_path / name) for name in ("cut.zip", "cut.parquet", "notes.txt", "absent.zip"))


def test_months_that_are_there_stay_and_one_more_is_added(to: Simulate) -> None:
    folder = to("grown", "--months", "2001-02")
    first = folder / f"{STEM}_2001_2.zip"
    written = first.stat().st_mtime_ns
    to("grown", "--months", "2001-02..2001-03")
    assert first.stat().st_mtime_ns == written
    assert list(json.loads((folder / "simulated.json").read_text())["months"]) == ["2001-02", "2001-03"]


def test_simulated_months_are_no_source_and_never_mix_with_others(to: Simulate, real: Path, tmp_path: Path) -> None:
    simulated = to("simulated", "--months", "2001-03")
    with pytest.raises(UserError, match="which is simulated"):
        simulate.main("--from", str(simulated), "--to", str(tmp_path / "twice"))
    with pytest.raises(UserError, match="empty folder"):
        simulate.main("--from", str(real), "--to", str(real))
    with pytest.raises(UserError, match="one seed"):
        to("simulated", "--months", "2001-02", "--seed", "9")
    with pytest.raises(UserError, match="2001-3"):
        to("other", "--months", "2001-3")


@pytest.mark.parametrize("content", [b"<html>busy</html>", b"PK\x05\x06" + bytes(18)])
def test_a_web_page_or_an_empty_zip_in_place_of_a_month_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / f"{STEM}_2001_3.zip").write_bytes(content)
    with pytest.raises(UserError, match="2001_3"):
        simulate.main("--from", str(tmp_path / "odd"), "--to", str(tmp_path / "out"), "--rows", "10")


def test_another_header_is_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    with zipfile.ZipFile(folder / f"{STEM}_2001_3.zip", "w") as archive:
        archive.writestr("flights.csv", '"Year","Month",\n2001,3,\n')
    with pytest.raises(UserError, match="ArrDelay"):
        simulate.main("--from", str(folder), "--to", str(tmp_path / "out"), "--rows", "10")


def test_simulated_rows_pass_the_checks_of_ontime_as_the_real_ones_do(to: Simulate, real: Path) -> None:
    table = pytest.importorskip("stages.datasets.ontime").DATASET.records
    shares = []
    for folder in (real, to("many", "--months", "2001-03")):
        rows = table.read(folder, "2001-03")
        tidy = table.parse(rows)
        failed = find_failures(rows, tidy, table.schema("2001-03"), table.parsed_from, table.null_texts)
        shares.append(failed.to_series(0).n_unique() / len(rows))
    assert shares[1] == pytest.approx(shares[0], abs=0.002)
