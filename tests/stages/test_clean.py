"""`clean` on a small real month of flights, and on every way in which published files are known to go wrong."""

import resource
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from stages import clean
from stages.records.contract import load_dataset
from stages.workspace.errors import UserError
from stages.workspace.files import read_json, write_manifest

ROOT = Path(__file__).parents[2]
# a process that may write only short files would leave cut byte code behind
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
SAMPLES = ROOT / "tests" / "data"
RAW, CLEAN, QUARANTINE = (Path("data") / folder / "nycflights" for folder in ("raw", "clean", "quarantine"))
METRICS = Path("metrics/nycflights/clean.json")
FLIGHTS = RAW / "flights.csv.zip"
MEMBER = "flights.csv"
N_FLIGHTS = 1666  # rows as published in the sample; planted faults follow them


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch) -> Path:
    """The sample of nycflights without its planted faults, ready to be cleaned."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SAMPLES / "nycflights", RAW)
    write_manifest(RAW, {"files": []})
    rewrite(lambda lines: lines[: N_FLIGHTS + 1])
    for name, rows in {"weather": 504, "planes": 236, "airports": 87}.items():
        path = RAW / f"{name}.csv"
        path.write_bytes(b"\n".join(path.read_bytes().splitlines()[: rows + 1]) + b"\n")
    set_params()
    return tmp_path


def set_params(**changes: object) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["datasets"]["nycflights"]["clean"] |= {"sample": 1.0, **changes}
    Path("params.yaml").write_text(yaml.safe_dump(params))


def rewrite(change: Callable[[list[bytes]], list[bytes]], end: bytes = b"\n") -> None:
    """Change the lines of the published flights, header first."""
    with zipfile.ZipFile(FLIGHTS) as archive:
        lines = archive.read(MEMBER).split(b"\n")
    pack(end.join(change(lines[:-1])) + end)


def pack(text: bytes) -> None:
    with zipfile.ZipFile(FLIGHTS, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MEMBER, text)


def set_cell(lines: list[bytes], row: int, column: str, value: bytes) -> None:
    """Put ``value`` into one cell; row 0 is the first flight."""
    place = lines[0].split(b",").index(column.encode())
    cells = lines[row + 1].split(b",")
    cells[place] = value
    lines[row + 1] = b",".join(cells)


def cell(row: int, column: str, value: bytes) -> None:
    def change(lines: list[bytes]) -> list[bytes]:
        set_cell(lines, row, column, value)
        return lines

    rewrite(change)


def failures(table: str = "flights") -> list[tuple[str, int, list[tuple[str | None, str, str | None]]]]:
    """Partition, row and failures of all that is in quarantine."""
    found = []
    for path in sorted(QUARANTINE.glob(f"{table}/*.parquet")):
        for row, told in pl.read_parquet(path).select("row", "failures").iter_rows():
            found.append((path.stem, row, [tuple(failure.values()) for failure in told]))
    return found


def refusal() -> UserError:
    """The error that `clean` ends with; nothing then looks complete."""
    with pytest.raises(UserError) as caught:
        clean.main("nycflights")
    assert not (CLEAN / "manifest.json").exists()
    return caught.value


def run_clean(*arguments: str, largest_file: int = resource.RLIM_INFINITY) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "stages.clean", *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY)),
    )


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# ── good rows ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_clean_rows_pass_whole_and_in_order():
    clean.main("nycflights")
    assert failures() == []
    metrics = read_json(METRICS)
    assert metrics["records"] == {
        "rows_published": N_FLIGHTS,
        "rows_in": N_FLIGHTS,
        "rows_clean": N_FLIGHTS,
        "rows_quarantined": 0,
        "labelled": N_FLIGHTS - sum(metrics["unlabelled"].values()),
    }
    with zipfile.ZipFile(FLIGHTS) as archive:
        lines = [line.split(",") for line in archive.read(MEMBER).decode().splitlines()[1:]]
    tidy = pl.read_parquet(sorted(CLEAN.glob("*.parquet")))
    assert tidy["flight"].to_list() == [int(line[10]) for line in lines]
    assert metrics["unlabelled"] == {
        "cancelled": sum(line[3] == "NA" for line in lines),
        "diverted": sum(line[3] != "NA" and line[8] == "NA" for line in lines),
    }


def test_a_second_run_and_another_number_of_workers_give_the_same_bytes(monkeypatch):
    clean.main("nycflights")
    first = tree(Path("data/clean")), tree(Path("data/quarantine")), METRICS.read_bytes()
    for workers in ("1", "3"):
        monkeypatch.setenv("PLUMBLINE_WORKERS", workers)
        clean.main("nycflights")
        assert (tree(Path("data/clean")), tree(Path("data/quarantine")), METRICS.read_bytes()) == first


def test_carriage_returns_change_nothing():
    clean.main("nycflights")
    before = tree(CLEAN)
    rewrite(lambda lines: lines, end=b"\r\n")
    clean.main("nycflights")
    assert tree(CLEAN) == before


def test_a_byte_order_mark_and_a_missing_last_line_end_change_nothing():
    clean.main("nycflights")
    before = tree(CLEAN)
    with zipfile.ZipFile(FLIGHTS) as archive:
        text = archive.read(MEMBER)
    pack(b"\xef\xbb\xbf" + text.rstrip(b"\n"))
    clean.main("nycflights")
    assert tree(CLEAN) == before


def test_a_sample_is_a_share_of_the_same_rows_whatever_the_number_of_workers(monkeypatch):
    clean.main("nycflights")
    everything = pl.read_parquet(sorted(CLEAN.glob("*.parquet")))
    set_params(sample=0.25)
    clean.main("nycflights")
    sampled = pl.read_parquet(sorted(CLEAN.glob("*.parquet")))
    records = read_json(METRICS)["records"]
    assert records["rows_published"] == N_FLIGHTS
    assert records["rows_in"] == records["rows_clean"] == len(sampled)
    assert 0.2 < len(sampled) / N_FLIGHTS < 0.3
    assert_frame_equal(everything.join(sampled, on=everything.columns, how="semi", nulls_equal=True), sampled)
    before = tree(CLEAN)
    monkeypatch.setenv("PLUMBLINE_WORKERS", "3")
    clean.main("nycflights")
    assert tree(CLEAN) == before


# ── bad rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_text_in_a_number_goes_to_quarantine_with_the_text():
    cell(3, "distance", b"far")
    clean.main("nycflights")
    assert failures() == [("2013-01", 3, [("distance_mi", "parses as Int16", "far")])]
    quarantined = pl.read_parquet(QUARANTINE / "flights" / "2013-01.parquet")
    assert quarantined["distance"].to_list() == ["far"]


def test_one_pass_of_pandera_finds_all_failures_of_a_row(monkeypatch):
    import pandera.polars as pa

    passes: Counter[bool] = Counter()
    validate = pa.DataFrameSchema.validate

    def counted(self, *arguments, **named):
        passes[named["lazy"]] += 1
        return validate(self, *arguments, **named)

    monkeypatch.setattr(pa.DataFrameSchema, "validate", counted)
    for column, value in {
        "origin": b"PHL",
        "carrier": b"u",
        "distance": b"-5",
        "dep_delay": b"99",
        "dest": b"",
    }.items():
        cell(0, column, value)
    clean.main("nycflights")
    ((_, row, told),) = failures()
    assert row == 0
    assert {column for column, *_ in told} == {"origin", "carrier", "distance_mi", "dest", None}
    assert passes == {True: 1}  # of the month; tables of a few rows that hold no fault need none


def test_the_first_of_two_equal_keys_stays():
    rewrite(lambda lines: [*lines, lines[5], lines[5]])
    clean.main("nycflights")
    assert [told for *_, told in failures()] == [[(None, "unique", None)]] * 2
    tidy = pl.read_parquet(CLEAN / "2013-01.parquet")
    assert not tidy.select("day", "carrier", "flight", "origin").is_duplicated().any()
    assert read_json(METRICS)["records"]["rows_clean"] == N_FLIGHTS


@pytest.mark.parametrize(
    ("column", "value", "cause"),
    [
        ("month", b"13", "parses as Date"),
        ("month", b"", "month not empty"),
        ("year", b"NA", "year not empty"),
        ("month", b"May", "parses as Date"),
    ],
)
def test_a_row_that_names_no_month_is_quarantined_not_lost(column, value, cause):
    cell(700, column, value)
    clean.main("nycflights")
    records = read_json(METRICS)["records"]
    assert (records["rows_in"], records["rows_quarantined"]) == (N_FLIGHTS, 1)
    ((partition, _, told),) = failures()
    assert partition == "2013-01"
    assert ("day", cause) in {(column, check) for column, check, _ in told}
    assert value.decode() in next(text for column, _, text in told if column == "day")


def test_bytes_that_are_not_utf8_cost_one_row():
    cell(10, "tailnum", b"N\xe91\xff")
    clean.main("nycflights")
    assert failures() == [("2013-01", 10, [("tailnum", "str_matches('^[0-9A-Z]{5,6}$')", "N\ufffd1\ufffd")])]


@pytest.mark.parametrize("value", [b'"UA', b'"UA"', b'U"A', "ÜA".encode(), "Ｕ".encode(), b"U\x00"])
def test_stray_quotes_and_other_letters_cost_one_row_and_swallow_no_line(value):
    cell(10, "carrier", value)
    cell(20, "carrier", value)
    clean.main("nycflights")
    assert [(row, told[0][0], told[0][2]) for _, row, told in failures()] == [
        (n, "carrier", value.decode()) for n in (10, 20)
    ]
    assert read_json(METRICS)["records"]["rows_in"] == N_FLIGHTS


def test_names_in_any_language_pass_where_nothing_is_asked_of_them():
    path = RAW / "airports.csv"
    path.write_text(path.read_text().replace("George Bush Intercontinental", 'Aéroport "Élysée" 空港'))
    clean.main("nycflights")
    assert read_json(METRICS)["references"]["airports"]["rows_quarantined"] == 0


def test_a_day_out_of_its_calendar_is_quarantined():
    cell(0, "day", b"32")
    clean.main("nycflights")
    assert ("day", "parses as Date", "2013 1 32") in failures()[0][2]


# ── bad files ────────────────────────────────────────────────────────────────────────────────────────────────────────
def assert_unreadable(error: UserError, *words: str) -> None:
    assert "flights" in error.wanted
    assert all(word in error.found for word in words), error.found
    assert "data/raw" in error.next_step


def test_a_truncated_zip_ends_the_command_in_plain_words():
    FLIGHTS.write_bytes(FLIGHTS.read_bytes()[:20_000])
    done = run_clean("nycflights")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    wanted, found, step = (line for line in done.stderr.splitlines() if line[:6].strip() in ("wanted", "found", "next"))
    assert "flights" in wanted
    assert "not a zip file" in found
    assert "data/raw" in step
    assert not (CLEAN / "manifest.json").exists()


def test_a_web_page_instead_of_a_zip_is_refused():
    FLIGHTS.write_text("<!DOCTYPE html><html><body>Service temporarily unavailable</body></html>")
    assert_unreadable(refusal(), "not a zip file")


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), near_an_end=st.booleans())
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_flipped_bit_is_harmless_or_refused(place, bit, near_an_end):
    """The directory of a zip has bits that nothing depends on; any other one must be noticed."""
    table = load_dataset("nycflights").records
    good, whole = FLIGHTS.read_bytes(), clean.read_partition(table, RAW, "2013-01")
    damaged = bytearray(good)
    at = len(good) - 1 - int(place * 120) if near_an_end else int(place * len(good))
    damaged[at] ^= 1 << bit
    try:
        FLIGHTS.write_bytes(damaged)
        assert clean.read_partition(table, RAW, "2013-01").equals(whole)
    except UserError as error:
        assert_unreadable(error)
    finally:
        FLIGHTS.write_bytes(good)


@pytest.mark.parametrize("damage", ["cut", "flip", "page", "empty"])
def test_a_damaged_gzip_is_refused(damage):
    raw = Path("data/raw/digits")
    shutil.copytree(SAMPLES / "digits", raw)
    write_manifest(raw, {"files": []})
    file = raw / "digits.csv.gz"
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 4
    file.write_bytes({"cut": whole[:900], "flip": bytes(flipped), "page": b"<html>busy</html>", "empty": b""}[damage])
    with pytest.raises(UserError) as caught:
        clean.main("digits")
    assert "images" in caught.value.wanted
    assert "data/raw" in caught.value.next_step


@pytest.mark.parametrize("column", ["sched_dep_time", "year", "time_hour"])
def test_a_missing_column_is_named(column):
    def drop(lines: list[bytes]) -> list[bytes]:
        place = lines[0].split(b",").index(column.encode())
        return [b",".join(cell for i, cell in enumerate(line.split(b",")) if i != place) for line in lines]

    rewrite(drop)
    assert_unreadable(refusal(), f"no column {column}")


def test_a_missing_column_of_a_reference_is_named():
    path = RAW / "planes.csv"
    path.write_text(path.read_text().replace("seats", "chairs", 1))
    error = refusal()
    assert "planes" in error.wanted
    assert "no column seats" in error.found
    assert "chairs" in error.found


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda text: text.replace(b",", b";"), "parted by semicolons"),
        (lambda text: text.replace(b",", b"\t"), "parted by tabs"),
        (lambda text: b"sep=,\n" + text, "`sed 1d"),
        (lambda text: text.upper(), "YEAR for year"),
        (lambda text: text.decode().encode("utf-16"), "`iconv -f UTF-16"),
    ],
)
def test_a_file_of_another_kind_is_refused_by_its_cause_and_the_command(change, cause):
    with zipfile.ZipFile(FLIGHTS) as archive:
        flights = archive.read(MEMBER)
    pack(change(flights))
    assert_unreadable(refusal(), cause)
    pack(flights)
    weather = RAW / "weather.csv"
    weather.write_bytes(change(weather.read_bytes()))
    assert cause in refusal().found


def test_an_extra_column_is_ignored_with_a_note(caplog):
    clean.main("nycflights")
    before = tree(CLEAN)
    rewrite(lambda lines: [line + (b",gate" if i == 0 else b",A1") for i, line in enumerate(lines)])
    with caplog.at_level("INFO", logger="plumbline"):
        clean.main("nycflights")
    assert tree(CLEAN) == before
    assert "flights 2013-01: unknown columns ignored: gate" in caplog.messages


@pytest.mark.parametrize("change", [lambda line: line + b",one,too,many", lambda line: line[:30], lambda _: b"sorry"])
def test_a_line_with_another_number_of_fields_costs_one_row_and_is_told_once_with_its_text(change):
    told: list[str] = []

    def spoil(lines: list[bytes]) -> list[bytes]:
        told.append(change(lines[5]).decode())
        return [*lines[:5], change(lines[5]), *lines[6:]]

    rewrite(spoil)
    clean.main("nycflights")
    assert failures() == [("2013-01", 4, [(None, "number_of_fields", *told)])]
    assert read_json(METRICS)["records"]["rows_in"] == N_FLIGHTS


def test_blank_lines_are_no_rows():
    clean.main("nycflights")
    before = tree(CLEAN)
    rewrite(lambda lines: [*lines[:5], b"", b"  ", *lines[5:], b"", b""])
    clean.main("nycflights")
    assert tree(CLEAN) == before


@pytest.mark.parametrize(
    ("text", "found"), [(b"", "an empty file"), (b"year,month\n", "no column"), (b"\n\n\n", "an empty file")]
)
def test_a_file_without_a_table_is_refused(text, found):
    pack(text)
    assert_unreadable(refusal(), found)


def test_a_header_without_rows_is_refused():
    rewrite(lambda lines: lines[:1])
    assert_unreadable(refusal(), "not one row that names its partition")


def test_a_zip_without_a_member_is_refused():
    with zipfile.ZipFile(FLIGHTS, "w"):
        pass
    assert_unreadable(refusal())


def test_a_zip_with_two_members_is_refused():
    with zipfile.ZipFile(FLIGHTS, "a") as archive:
        archive.writestr("more.csv", "1")
    assert_unreadable(refusal(), "flights.csv, more.csv")


@pytest.mark.parametrize("name", ["flights.csv.zip", "weather.csv"])
def test_a_missing_file_names_the_stage_to_run(name):
    (RAW / name).unlink()
    error = refusal()
    assert name.partition(".")[0] in error.wanted
    assert name in error.found
    assert "download" in error.next_step


def test_an_incomplete_raw_folder_is_refused():
    (RAW / "manifest.json").unlink()
    error = refusal()
    assert "manifest.json" in error.found
    assert "dvc repro" in error.next_step


# ── bad tables ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_all_null_column_stops_the_run_and_shows_the_rows():
    def blank(lines: list[bytes]) -> list[bytes]:
        for row in range(len(lines) - 1):
            set_cell(lines, row, "sched_arr_time", b"NA")
        return lines

    rewrite(blank)
    error = refusal()
    assert error.found == f"{N_FLIGHTS} rows in, {N_FLIGHTS} quarantined"
    assert "data/quarantine/nycflights" in error.next_step
    assert len(failures()) == N_FLIGHTS
    assert read_json(METRICS)["failures"]["flights: sched_arr_min not_nullable"] == N_FLIGHTS


def test_an_all_null_column_that_may_be_null_passes():
    def blank(lines: list[bytes]) -> list[bytes]:
        for row in range(len(lines) - 1):
            set_cell(lines, row, "tailnum", b"NA")
        return lines

    rewrite(blank)
    clean.main("nycflights")
    tidy = pl.read_parquet(CLEAN / "2013-01.parquet")
    assert tidy.schema["tailnum"] == pl.String
    assert tidy["tailnum"].null_count() == len(tidy)


def test_a_flight_with_half_a_departure_is_neither_cancelled_nor_flown():
    cell(10, "dep_time", b"NA")
    cell(20, "dep_delay", b"NA")
    cell(20, "arr_delay", b"NA")
    clean.main("nycflights")
    assert failures() == [("2013-01", row, [(None, "departure_whole", None)]) for row in (10, 20)]


def test_too_many_quarantined_rows_stop_the_run_but_not_before_they_can_be_looked_at():
    set_params(max_quarantined_share=0.005)
    for row in range(20):
        cell(row, "origin", b"PHL")
    error = refusal()
    assert "at most 0.50% of flights" in error.wanted
    assert "20 of 1,666 rows (1.20%)" in error.found
    assert "origin isin" in error.found
    assert "datasets.nycflights.clean.max_quarantined_share" in error.next_step
    assert len(failures()) == 20
    assert read_json(METRICS)["records"]["rows_quarantined"] == 20
    assert read_json(QUARANTINE / "manifest.json")["dataset"] == "nycflights"


def test_missing_days_stop_the_run():
    rewrite(lambda lines: [line for line in lines if not line.startswith((b"2013,1,30,", b"2013,1,31,"))])
    error = refusal()
    assert error.found == "2 days missing: 2013-01-30, 2013-01-31"
    assert "datasets.nycflights.clean.max_missing_days" in error.next_step
    set_params(max_missing_days=2)
    clean.main("nycflights")
    assert read_json(METRICS)["calendar"] == {"days": 5, "missing_days": 2}


def test_missing_days_are_those_between_the_first_and_the_last():
    days = [date(2013, 1, 1), date(2013, 1, 2), date(2013, 1, 5), date(2013, 1, 6)]
    assert clean.missing_days(days) == [date(2013, 1, 3), date(2013, 1, 4)]
    assert clean.missing_days(days[:2]) == clean.missing_days([]) == []


def test_a_month_of_which_no_row_is_clean_is_an_empty_partition():
    set_params(max_quarantined_share=1.0)

    def spoil(lines: list[bytes]) -> list[bytes]:
        for row, line in enumerate(lines[1:]):
            if line.startswith(b"2013,2,"):
                set_cell(lines, row, "carrier", b"?")
        return lines

    rewrite(spoil)
    clean.main("nycflights")
    assert pl.read_parquet(CLEAN / "2013-02.parquet").is_empty()
    rows = {part["name"]: part["rows"] for part in read_json(CLEAN / "manifest.json")["records"]["partitions"]}
    assert rows["2013-02"] == 0 < rows["2013-01"]


def test_one_key_in_two_partitions_stops_the_run(monkeypatch):
    """The months of nycflights cannot overlap; two files that carry the same rows can."""
    flights = load_dataset("nycflights").records
    twice = replace(
        flights,
        partitions=lambda raw: ["2013-01", "2013-01-again", "2013-02"],
        read=lambda raw, partition: flights.read(raw, partition.removesuffix("-again")),
        schema=lambda partition: flights.schema(partition.removesuffix("-again")),
    )
    monkeypatch.setattr(clean, "load_dataset", lambda name: replace(load_dataset(name), records=twice))
    error = refusal()
    assert "day, carrier, flight, origin" in error.wanted
    assert "740 keys in both 2013-01 and 2013-01-again" in error.found
    assert "remove one" in error.next_step


# ── broken off ───────────────────────────────────────────────────────────────────────────────────────────────────────
def killed_between_partitions() -> bool:
    """Kill `clean` once it has written its first partition; False when it was too fast for that."""
    command = [sys.executable, "-m", "stages.clean", "nycflights"]
    running = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    while (CLEAN / "manifest.json").exists() or not list(CLEAN.glob("*.parquet")):
        assert running.poll() in (None, 0)
        time.sleep(0.002)
    running.send_signal(signal.SIGKILL)
    return running.wait() == -signal.SIGKILL and not (CLEAN / "manifest.json").exists()


def test_a_killed_run_looks_incomplete_and_the_next_one_gives_the_same_bytes():
    clean.main("nycflights")
    before = tree(Path("data/clean")), tree(Path("data/quarantine")), METRICS.read_bytes()
    assert any(killed_between_partitions() for _ in range(10))  # a busy machine may let it end first
    assert not (CLEAN / "manifest.json").exists()
    (CLEAN / ".2013-01.parquet.4711.part").write_bytes(b"half a file")
    clean.main("nycflights")
    assert (tree(Path("data/clean")), tree(Path("data/quarantine")), METRICS.read_bytes()) == before


def test_what_an_earlier_run_left_does_not_look_like_a_part_of_this_one():
    clean.main("nycflights")
    rewrite(lambda lines: [line for line in lines if not line.startswith(b"2013,2,")])
    clean.main("nycflights")
    assert sorted(path.name for path in CLEAN.glob("*.parquet")) == ["2013-01.parquet"]
    rewrite(lambda lines: lines[:1])  # and a refused run leaves no earlier manifest behind
    refusal()


def test_a_full_disk_ends_the_command_in_plain_words_and_leaves_nothing_that_looks_complete():
    """A file size limit stands for the full disk: the write fails just so, in the middle of a partition."""
    done = run_clean("nycflights", largest_file=12_000)
    assert done.returncode == 1
    assert "the disk is full" in done.stderr
    assert "room to write data/" in done.stderr
    assert "run the same command again" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (CLEAN / "manifest.json").exists()
    for path in [*CLEAN.rglob("*.p*"), *QUARANTINE.rglob("*.p*")]:
        assert path.suffix == ".parquet"
        pl.read_parquet(path)  # whole, or not there


def test_a_command_without_a_dataset_says_how_it_is_called():
    done = run_clean()
    assert done.returncode == 1
    assert "usage" in done.stderr
    assert "<name>" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_dataset_is_told_the_known_ones():
    with pytest.raises(UserError, match=r"'nycfligths'; known: diabetes, digits, nycflights"):
        clean.main("nycfligths")
