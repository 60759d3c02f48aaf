"""New records come as publishers send them: cleaned by the line's rules, once, in any order, whole files or none."""

import json
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from stages.ingest import main
from stages.state.facts import from_facts, tidy_schema
from stages.state.locations import open_store
from stages.workspace.errors import UserError

OUTCOMES = ("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time")
LANDED = OUTCOMES[2:]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def kept(flights: Any, table: str = "flights") -> pl.DataFrame:
    """The tidy rows of the state, in the order of their key."""
    found = next(t for t in (flights.dataset.records, *flights.dataset.references) if t.name == table)
    facts = open_store(None, "nycflights").changes().facts.get(table, [])
    return from_facts(facts, tidy_schema(found)).sort(found.key)


def version() -> str:
    return open_store(None, "nycflights").version()


def write_rows(rows: pl.DataFrame, name: str) -> str:
    """The same rows as CSV, as a zip of one, as JSON lines or as parquet."""
    rows = rows.drop("(line)", strict=False)
    if name.endswith(".zip"):
        rows.write_csv("inside.csv")
        with zipfile.ZipFile(name, "w") as archive:
            archive.write("inside.csv")
    else:
        {"csv": rows.write_csv, "jsonl": rows.write_ndjson, "parquet": rows.write_parquet}[name.rpartition(".")[2]](
            name
        )
    return name


@pytest.mark.parametrize("name", ["new.csv", "new.zip", "new.jsonl", "new.parquet"])
def test_a_file_in_any_format_gives_the_rows_that_the_line_cleans_of_it(flights, name: str) -> None:
    main("nycflights", write_rows(flights.february.filter(pl.col("(line)").is_null()), name))
    wanted = flights.clean["2013-02"].sort("day", "carrier", "flight", "origin")
    found = kept(flights)
    assert_frame_equal(found.drop("status"), wanted.drop("status"), check_exact=True)
    landed = wanted["arr_min"].is_not_null()  # of the others the outcome is still waited for: cancelled, or in the air
    assert_frame_equal(found.filter(landed), wanted.filter(landed), check_exact=True)
    assert found.filter(~landed)["status"].null_count() == (~landed).sum() > 0
    before = version()
    main("nycflights", name, name)
    assert version() == before, "once is enough"


def test_every_row_is_taken_in_or_kept_with_its_reasons(flights, capsys) -> None:
    main("nycflights", write_rows(flights.published, "new.csv"))
    main("nycflights", str(flights.raw / "weather.csv"), str(flights.raw / "planes.csv"))
    main("nycflights", str(flights.raw / "weather.csv"))
    capsys.readouterr()
    main("nycflights", "--quarantined")
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = {table: [row for row in rows if row["table"] == table] for table in ("flights", "weather", "planes")}
    assert len(kept(flights)) + len(found["flights"]) == len(flights.published)
    assert [len(found["weather"]), len(found["planes"])] == [3, 3]
    assert_frame_equal(kept(flights, "planes"), flights.references["planes"].sort("tailnum"))
    assert_frame_equal(kept(flights, "weather"), flights.references["weather"].sort("origin", "hour_utc"))
    soon = next(
        row for row in found["flights"] if ["sched_dep_min", "parses as time of day (hhmm)", "soon"] in row["failures"]
    )
    assert soon["row"]["sched_dep_time"] == "soon"


def test_scheduled_departed_landed_in_any_order_end_in_the_same_rows(flights) -> None:
    rows = flights.february.filter(pl.col("arr_delay").is_not_null() & (pl.col("arr_delay") != "NA")).head(200)
    stages = {
        "scheduled.jsonl": rows.drop(OUTCOMES),
        "departed.csv": rows.with_columns(pl.lit("NA").alias(name) for name in LANDED),
        "landed.csv": rows,
    }
    files = [write_rows(frame, name) for name, frame in stages.items()]
    levels = []
    for file in files:
        main("nycflights", file)
        levels.append(kept(flights).select("dep_delay_min", "arr_delay_min", "status").null_count().row(0))
    n = len(kept(flights))
    assert levels == [(n, n, n), (0, n, n), (0, 0, 0)]
    in_order, last = kept(flights), version()
    for file in reversed(files):
        main("nycflights", file)  # what comes late takes nothing back
    assert version() == last
    assert_frame_equal(kept(flights), in_order)


def test_a_correction_counts_and_an_older_account_of_less_does_not(flights) -> None:
    row = flights.february.filter((pl.col("arr_delay") == "0") | (pl.col("arr_delay") == "-5")).head(1)
    main("nycflights", write_rows(row, "first.csv"))
    minute = int(row["arr_time"][0]) + (1 if row["arr_time"][0][-2:] != "59" else 41)
    corrected = row.with_columns(arr_time=pl.lit(str(minute)), arr_delay=pl.lit(str(int(row["arr_delay"][0]) + 1)))
    main("nycflights", write_rows(corrected, "corrected.csv"))
    assert kept(flights)["arr_delay_min"].to_list() == [int(row["arr_delay"][0]) + 1]
    main("nycflights", write_rows(row.drop(LANDED), "older.jsonl"))
    assert kept(flights)["arr_delay_min"].to_list() == [int(row["arr_delay"][0]) + 1]


def test_a_file_that_cannot_be_read_to_its_end_changes_nothing(flights) -> None:
    whole = Path(write_rows(flights.february, "new.zip")).read_bytes()
    Path("cut.zip").write_bytes(whole[: len(whole) // 2])
    damaged = bytearray(whole)
    damaged[len(whole) // 3] ^= 255
    Path("damaged.zip").write_bytes(damaged)
    Path("text.jsonl").write_text(json.dumps(flights.february.drop("(line)").row(0, named=True)) + "\n{oops\n")
    Path("list.jsonl").write_text("[1]\n")
    Path("other.csv").write_text("a,b\n1,2\n")
    Path("empty.csv").write_text("")
    Path("table.txt").write_text("a")
    for name in (
        "cut.zip",
        "damaged.zip",
        "text.jsonl",
        "list.jsonl",
        "other.csv",
        "empty.csv",
        "table.txt",
        "none.csv",
    ):
        with pytest.raises((UserError, FileNotFoundError)):
            main("nycflights", name)
        assert version() == "", name


def test_a_table_is_told_by_its_columns_or_by_name(flights) -> None:
    weather = str(flights.raw / "weather.csv")
    with pytest.raises(UserError, match="no column tailnum"):
        main("nycflights", weather, "--table", "planes")
    with pytest.raises(UserError, match="one of the tables flights, weather"):
        main("nycflights", weather, "--table", "trains")
    main("nycflights", weather, "--table", "weather")
    assert len(kept(flights, "weather")) and not len(kept(flights))


@pytest.mark.parametrize("name", ["digits", "diabetes"])
def test_a_dataset_whose_rows_stand_alone_keeps_no_state(name: str) -> None:
    with pytest.raises(UserError, match="rows that stand alone"):
        main(name, "rows.csv")


@pytest.mark.parametrize("name", ["trains", "../nycflights", ""])
def test_a_name_that_is_no_dataset_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="the name of a dataset"):
        main(name, "rows.csv")
