"""What `ontime` promises: every published line is a row, and no row knows what had not happened, by any clock.

The rows are those of the sample, read here with `csv`; the features are reckoned anew, row by row, as the docstring of
features.py defines them; clocks are judged by `zoneinfo`.
"""

import csv
import io
import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from stages.clean import UNREADABLE
from stages.datasets.ontime import DATASET, published
from stages.datasets.ontime.codes import FAR_PACIFIC, encode
from stages.datasets.ontime.flights import COLUMNS, parse_flights
from stages.datasets.ontime.history import KNOWN_AFTER_MIN
from stages.records import lines
from stages.records.failures import find_failures, split_rows
from stages.records.lines import LINE
from stages.records.prepare import judge_rows

SAMPLE = Path(__file__).parents[1] / "data" / "ontime"
MONTHS = ["1987-10", "1987-11", "2020-02"]
STEM = published.STEM
FLIGHTS = DATASET.records


def clean_month(raw: Path, month: str) -> pl.DataFrame:
    rows = FLIGHTS.read(raw, month)
    tidy = FLIGHTS.parse(rows)
    failures = find_failures(rows, tidy, FLIGHTS.schema(month), FLIGHTS.parsed_from, FLIGHTS.null_texts)
    return split_rows(rows, tidy, failures)[0]


@pytest.fixture(scope="module")
def tidy() -> dict[str, pl.DataFrame]:
    return {month: clean_month(SAMPLE, month) for month in MONTHS}


@pytest.fixture(scope="module")
def summaries(tidy) -> dict[str, pl.DataFrame]:
    return {month: DATASET.summarize(rows) for month, rows in tidy.items()}


def featurized(tidy, summaries, month: str, reached: list[str] | None = None) -> pl.DataFrame:
    names = DATASET.reach(month, MONTHS) if reached is None else reached
    return DATASET.featurize(tidy[month], DATASET.context([summaries[name] for name in names], {}))


# ── the files ────────────────────────────────────────────────────────────────────────────────────────────────────────
def csv_of(path: Path) -> tuple[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".csv"))
        return name, archive.read(name)


def zip_of(folder: Path, text: bytes, month: str = "1987_10", name: str = "flights.csv") -> Path:
    path = folder / f"{STEM}_{month}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
        archive.writestr("readme.html", "<html></html>")
    return path


@pytest.fixture
def october() -> bytes:
    return csv_of(SAMPLE / f"{STEM}_1987_10.zip")[1]


def test_rows_are_those_that_the_csv_module_reads(october):
    rows = list(csv.DictReader(io.StringIO(october.decode())))
    read = FLIGHTS.read(SAMPLE, "1987-10")
    assert read.columns == [*COLUMNS, LINE]
    assert read.select(COLUMNS).rows() == [tuple(row[name] for name in COLUMNS) for row in rows]


@pytest.mark.parametrize("block", [200, 1000, 5000])
@pytest.mark.parametrize("month", ["1987-10", "1987-11"])
def test_size_of_the_blocks_changes_nothing(monkeypatch, block, month):
    whole = FLIGHTS.read(SAMPLE, month)
    monkeypatch.setattr(lines, "BLOCK_BYTES", block)
    monkeypatch.setattr(published, "COUNTED_BYTES", 64)
    assert_frame_equal(FLIGHTS.read(SAMPLE, month), whole)


def test_columns_count_by_name_in_any_order_and_among_others(tmp_path, october):
    rows = list(csv.reader(io.StringIO(october.decode())))
    for row in rows:
        row.reverse()
        row.insert(3, "new, of this year")
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    zip_of(tmp_path, out.getvalue().encode("utf-8-sig"))
    assert_frame_equal(FLIGHTS.read(tmp_path, "1987-10"), FLIGHTS.read(SAMPLE, "1987-10"))


def test_every_physical_line_is_a_row_whatever_is_wrong_with_it(tmp_path, october):
    head, *lines = october.splitlines()
    broken = [
        lines[3].replace(b'"AA"', b'"AA', 1),
        lines[4][:100],
        lines[5] + b",",
        b"<p>server busy</p>",
        lines[6] + b'"',
    ]
    told = [line.decode() for line in broken]
    mixed = [line for pair in zip(lines, [*broken, *([None] * len(lines))], strict=False) for line in pair if line]
    zip_of(tmp_path, b"\n".join([head, *mixed]))
    rows = FLIGHTS.read(tmp_path, "1987-10")
    assert rows[LINE].drop_nulls().to_list() == told
    assert_frame_equal(rows.filter(pl.col(LINE).is_null()), FLIGHTS.read(SAMPLE, "1987-10"))


def test_a_line_with_another_number_of_fields_never_passes_as_one_of_values(tmp_path, october):
    """The parser alone would fill it up, or cut it off, and shift what follows."""
    head, first, *lines = october.splitlines()
    for k in range(first.count(b",")):
        fields = first.split(b",")
        del fields[k]
        lines.append(b",".join(fields))
    zip_of(tmp_path, b"\n".join([head, first, *lines]))
    assert FLIGHTS.read(tmp_path, "1987-10")[LINE].is_not_null().sum() == first.count(b",")


def test_parquet_of_the_same_rows_is_the_same_month(tmp_path):
    FLIGHTS.read(SAMPLE, "1987-10").drop(LINE).write_parquet(tmp_path / f"{STEM}_1987_10.parquet")
    assert_frame_equal(FLIGHTS.read(tmp_path, "1987-10"), FLIGHTS.read(SAMPLE, "1987-10"))


def test_months_are_the_files_of_that_name_and_nothing_else(tmp_path):
    for name in (
        f"{STEM}_2008_9.zip",
        f"{STEM}_2008_10.parquet",
        "manifest.json",
        "notes.zip",
        f"{STEM}_2008_11.zip.part",
    ):
        (tmp_path / name).touch()
    assert FLIGHTS.partitions(tmp_path) == ["2008-09", "2008-10"]
    assert FLIGHTS.files(tmp_path, "2008-09") == [f"{STEM}_2008_9.zip"]
    (tmp_path / f"{STEM}_2008_9.parquet").touch()
    with pytest.raises(ValueError, match=r"one file for 2008-09; found .*_2008_9.parquet and .*_2008_9.zip"):
        FLIGHTS.files(tmp_path, "2008-09")
    (tmp_path / f"{STEM}_2008_13.zip").touch()
    with pytest.raises(ValueError, match="2008_13"):
        FLIGHTS.partitions(tmp_path)


def test_files_and_columns_under_the_publishers_old_names_are_the_same_month(tmp_path, october):
    old = october
    for there, here in published.OLD_COLUMNS.items():
        old = old.replace(here.encode(), there.encode(), 1)
    assert old != october
    zip_of(tmp_path, old).rename(tmp_path / f"{published.OLD_STEM}_1987_10.zip")
    assert FLIGHTS.partitions(tmp_path) == ["1987-10"]
    assert_frame_equal(FLIGHTS.read(tmp_path, "1987-10"), FLIGHTS.read(SAMPLE, "1987-10"))
    renamed = {here: there for there, here in published.OLD_COLUMNS.items()}
    rows = FLIGHTS.read(SAMPLE, "1987-10").drop(LINE).rename(renamed)
    (tmp_path / f"{published.OLD_STEM}_1987_10.zip").unlink()
    rows.write_parquet(tmp_path / f"{published.OLD_STEM}_1987_10.parquet")
    assert_frame_equal(FLIGHTS.read(tmp_path, "1987-10"), FLIGHTS.read(SAMPLE, "1987-10"))


def test_unreadable_months_say_what_was_found(tmp_path, october):
    path = tmp_path / f"{STEM}_1987_10.zip"
    head, *lines = october.splitlines(keepends=True)

    def refuses(match: str, error: type[Exception] = ValueError) -> None:
        with pytest.raises(error, match=match):
            FLIGHTS.read(tmp_path, "1987-10")

    path.write_bytes(b"<!DOCTYPE html><html>busy</html>")
    refuses("found a web page")
    zip_of(tmp_path, october, name="readme.txt")
    refuses("wanted one CSV")
    zip_of(tmp_path, b"<html>\n<p>busy</p>\n")
    refuses("no column FlightDate, Reporting_Airline")
    zip_of(tmp_path, head.replace(b'"ArrDelay"', b'"ARR_DELAY"') + b"".join(lines))
    refuses("no column ArrDelay among Year")
    zip_of(tmp_path, october.decode().encode("utf-16"))
    refuses("UTF-16, not UTF-8: `iconv")
    zip_of(tmp_path, head)
    refuses("found a header and no row")
    whole = (SAMPLE / path.name).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refuses("not a zip file", zipfile.BadZipFile)


def test_a_flipped_bit_anywhere_in_the_rows_is_found(tmp_path):
    whole = (SAMPLE / f"{STEM}_1987_10.zip").read_bytes()
    path = tmp_path / f"{STEM}_1987_10.zip"
    for at in range(200, len(whole) // 2, 211):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :])
        with pytest.raises(UNREADABLE):
            FLIGHTS.read(tmp_path, "1987-10")


# ── the values ───────────────────────────────────────────────────────────────────────────────────────────────────────
def parsed(**texts: str) -> dict[str, object]:
    usual = dict(zip(COLUMNS, FLIGHTS.read(SAMPLE, "1987-10").row(0), strict=False)) | texts
    return parse_flights(pl.DataFrame([usual])).row(0, named=True)


@pytest.mark.parametrize(
    ("column", "text", "tidy_column", "value"),
    [
        ("CRSDepTime", "0005", "sched_dep_min", 5),
        ("CRSDepTime", "0000", "sched_dep_min", 0),
        ("CRSDepTime", "2400", "sched_dep_min", 1440),
        ("ArrTime", "2359", "arr_min", 1439),
        ("ArrTime", "2627", "arr_min", None),
        ("ArrTime", "1260", "arr_min", None),
        ("ArrTime", "", "arr_min", None),
        ("DepDelay", "-0.00", "dep_delay_min", 0),
        ("DepDelay", "-7.00", "dep_delay_min", -7),
        ("DepDelay", "0.50", "dep_delay_min", None),
        ("DepDelay", "nan", "dep_delay_min", None),
        ("DepDelay", "1e9", "dep_delay_min", None),
        ("Distance", "2556.00", "distance_mi", 2556),
        ("Cancelled", "1.00", "status", "cancelled"),
        ("Diverted", "1.00", "status", "diverted"),
        ("Cancelled", "", "status", None),
        ("Cancelled", "2.00", "status", None),
        ("Reporting_Airline", "PA (1)", "carrier", "PA (1)"),
        ("Tail_Number", "N515", "tailnum", "N515"),
        ("Tail_Number", "UNKNOW", "tailnum", None),
        ("Tail_Number", "�NKNO�", "tailnum", None),
        ("Tail_Number", "", "tailnum", None),
        ("FlightDate", "1987-02-30", "day", None),
    ],
)
def test_values_are_what_the_publisher_means(column, text, tidy_column, value):
    assert parsed(**{column: text})[tidy_column] == value


def test_an_empty_cancelled_and_a_time_that_is_none_are_told_as_such():
    usual = FLIGHTS.read(SAMPLE, "1987-10").head(3)
    texts = {"Cancelled": ["", usual["Cancelled"][1], "2.00"], "ArrTime": [usual["ArrTime"][0], "2575", ""]}
    rows = usual.with_columns(pl.Series(name, column) for name, column in texts.items())
    told = judge_rows(FLIGHTS, rows, "1987-10").quarantined["failures"].to_list()
    assert [[tuple(failure.values()) for failure in failures] for failures in told] == [
        [("status", "Cancelled not empty", " 0.00")],
        [("arr_min", "parses as time of day (hhmm)", "2575")],
        [("status", "parses as Cancelled, Diverted or neither", "2.00 0.00")],
    ]


def flights_of(*legs: tuple[str, str, str]) -> pl.DataFrame:
    return pl.DataFrame(legs, schema=["carrier", "origin", "dest"], orient="row")


@pytest.mark.parametrize(
    ("legs", "sign"),
    [
        ([("AA", "DFW", "ORD"), ("UA", "ORD", "DFW"), ("UA", "LAX", "ORD"), ("AA", "DFW", "LAX")], ""),
        ([("AA", "DFW", "ORD"), ("UA", "DFW", "LAX")], "100% of the flights go to airports from which none leaves"),
        ([("AA", "DFW", "ORD"), ("AA", "ORD", "DFW")], "every flight is one of AA"),
        ([("AA", "DFW", "ORD"), ("UA", "ORD", "DFW"), ("UA", "LAX", "DFW"), ("AA", "DFW", "LAX")], "from or to DFW"),
        ([], ""),
    ],
)
def test_an_extract_of_the_network_shows(legs, sign):
    found = DATASET.sign_of_extract(flights_of(*legs))
    assert sign in found and bool(sign) == bool(found)


def test_late_is_fifteen_minutes_and_more_of_flights_that_were_flown():
    assert [parsed(ArrDelay=text)["late"] for text in ("14.00", "15.00", "-3.00")] == [0, 1, 0]
    assert parsed(ArrDelay="40.00", Diverted="1.00")["late"] is None


# ── what a flight knows, reckoned row by row ─────────────────────────────────────────────────────────────────────────
EPOCH = date(1970, 1, 1)


def at_of(row: dict) -> int:
    return (row["day"] - EPOCH).days * 1440 + row["sched_dep_min"]


def week_of(minute: int, weekday: int, hour: int) -> int:
    """Which week a local minute lies in when weeks begin on that day and hour (Sunday is 6)."""
    monday = datetime(1970, 1, 5) - datetime(1970, 1, 1)  # the first Monday
    start = int(monday.total_seconds()) // 60 + weekday * 1440 + hour * 60
    return (minute - start) // (7 * 1440)


def later_clock(planned: int, actual: int) -> int:
    return 60 if week_of(actual, 6, 1) > week_of(planned, 6, 3) else 0


@pytest.fixture(scope="module")
def history(tidy) -> list[tuple[dict, int]]:
    """Every outcome with its known day."""
    known = []
    for row in pl.concat(tidy.values()).filter(pl.col("late").is_not_null()).rows(named=True):
        delay = max(row["arr_delay_min"], row["dep_delay_min"], 0)
        minutes = row["sched_dep_min"] + row["sched_elapsed_min"] + delay + KNOWN_AFTER_MIN
        known.append((row, (row["day"] - EPOCH).days + minutes // 1440))
    return known


@pytest.mark.parametrize("month", MONTHS)
def test_shares_of_past_days_are_those_of_the_rows(tidy, summaries, history, month):
    features = featurized(tidy, summaries, month)
    groups = {
        "carrier_late_share_7d": (("carrier",), 7),
        "origin_late_share_7d": (("origin",), 7),
        "dest_late_share_14d": (("dest",), 14),
        "carrier_origin_late_share_21d": (("carrier", "origin"), 21),
        "route_late_share_21d": (("origin", "dest"), 21),
    }
    far = tidy[month].with_row_index().filter(pl.col("origin").is_in(FAR_PACIFIC))["index"].to_list()
    rows = tidy[month].rows(named=True)
    for i in [*range(0, len(rows), 7), *far]:
        row, asked = rows[i], (rows[i]["day"] - EPOCH).days - (rows[i]["origin"] in FAR_PACIFIC)

        def share(columns, back, row=row, asked=asked, hour=None) -> tuple[int, int]:
            late = [
                other["late"]
                for other, day in history
                if asked - back <= day < asked
                and all(other[name] == row[name] for name in columns)
                and hour in (None, other["sched_dep_min"] // 60)
            ]
            return len(late), sum(late)

        flights, late = share((), 7)
        found = features.row(i, named=True)
        assert found["all_late_share_7d"] == (pytest.approx(late / flights) if flights else None)
        yesterday, behind = share((), 1)
        assert found["all_late_share_1d"] == (pytest.approx(behind / yesterday) if yesterday else None)
        counted = {name: share(*group) for name, group in groups.items()}
        counted["origin_hour_late_share_14d"] = share(("origin",), 14, hour=row["sched_dep_min"] // 60)
        for name, (n, k) in counted.items():
            smoothed = (k + 20 * late / flights) / (n + 20) if flights else None
            assert found[name] == (None if smoothed is None else pytest.approx(smoothed, rel=1e-6)), name


@pytest.mark.parametrize("month", MONTHS)
def test_last_hours_and_plans_and_inbound_aircraft_are_those_of_the_rows(tidy, summaries, month):
    features, rows = featurized(tidy, summaries, month), tidy[month].rows(named=True)
    seen = 0
    for i in range(0, len(rows), 3):
        row, now, found = rows[i], at_of(rows[i]), features.row(i, named=True)
        for name, columns in {
            "origin": ("origin",),
            "carrier_origin": ("carrier", "origin"),
            "dest": ("dest",),
        }.items():
            same = [other for other in rows if all(other[column] == row[column] for column in columns)]
            assert found[f"{name}_scheduled_1h"] == sum(now - 60 <= at_of(other) <= now for other in same)
            if name == "dest":
                continue
            delays = []
            for other in same:
                if other["dep_delay_min"] is not None:
                    left = at_of(other) + max(other["dep_delay_min"], 0)
                    left += later_clock(at_of(other), left)
                    if now - 180 <= left < now:
                        delays.append(min(max(other["dep_delay_min"], -30), 300))
            mean = pytest.approx(np.mean(delays), rel=1e-6, abs=1e-6) if delays else None
            assert found[f"{name}_mean_delay_3h"] == mean
            behind = pytest.approx(np.mean([delay >= 15 for delay in delays])) if delays else None
            assert found[f"{name}_behind_share_3h"] == behind
        legs = [(landed_at(leg), min(max(leg["arr_delay_min"], -30), 300)) for leg in rows if brought(leg, row)]
        legs = [(landed, delay) for landed, delay in legs if now - 1080 <= landed < now]
        landed, delay = max(legs, default=(None, None))
        assert found["aircraft_inbound_delay_min"] == delay
        assert found["aircraft_inbound_ago_min"] == (None if landed is None else now - landed)
        seen += landed is not None
    assert seen > 20 or month != "2020-02"


def brought(leg: dict, row: dict) -> bool:
    flown = leg["late"] is not None and leg["tailnum"] is not None
    return flown and (leg["tailnum"], leg["dest"]) == (row["tailnum"], row["origin"]) and abs(zone_of(leg)) <= 480


def zone_of(leg: dict) -> int:
    return (leg["sched_arr_min"] - leg["sched_dep_min"] - leg["sched_elapsed_min"] + 720) % 1440 - 720


def landed_at(leg: dict) -> int:
    due = at_of(leg) + leg["sched_elapsed_min"] + zone_of(leg) + 1440 * (leg["dest"] in FAR_PACIFIC)
    landed = due + max(leg["arr_delay_min"], 0)
    return landed + later_clock(due, landed)


def test_features_that_need_every_flight_are_left_out_where_flights_are_missing(tidy, summaries):
    context = DATASET.context([summaries["2020-02"]], {}, complete=False)
    frame = DATASET.featurize(tidy["2020-02"], context)
    needing = {feature.name for feature in DATASET.features if feature.needs_complete}
    whole = featurized(tidy, summaries, "2020-02", ["2020-02"])
    assert set(whole.columns) - set(frame.columns) == needing
    assert_frame_equal(frame, whole.select(frame.columns))


# ── clocks, by zoneinfo ──────────────────────────────────────────────────────────────────────────────────────────────
CLOCKS = {
    "PPG": "Pacific/Pago_Pago",
    "HNL": "Pacific/Honolulu",
    "ADK": "America/Adak",
    "ANC": "America/Anchorage",
    "LAX": "America/Los_Angeles",
    "PHX": "America/Phoenix",
    "ORD": "America/Chicago",
    "BOS": "America/New_York",
    "SJU": "America/Puerto_Rico",
    "GUM": "Pacific/Guam",
}
NIGHTS = [date(2008, 1, 15), date(2008, 3, 8), date(2008, 3, 9), date(2008, 7, 1), date(2008, 11, 1), date(2008, 11, 2)]


def flight(day: date, origin: str, minute: int, *, delay: int = 0, elapsed: int = 60, number: int = 1) -> dict:
    return {
        "day": day,
        "carrier": "XX",
        "flight": number,
        "tailnum": None,
        "origin": origin,
        "dest": "ZZZ",
        "sched_dep_min": minute,
        "sched_arr_min": 0,
        "dep_delay_min": delay,
        "arr_delay_min": delay,
        "sched_elapsed_min": elapsed,
        "distance_mi": 500,
        "status": "flown",
        "late": int(delay >= 15),
    }


def frame_of(rows: list[dict], like: pl.DataFrame) -> pl.DataFrame:
    schema = {name: kind for name, kind in like.schema.items() if name in rows[0]}
    return pl.DataFrame(rows, schema=schema)


def instants(day: date, minute: int, zone: str) -> list[datetime]:
    """The instants that a local minute may mean: two of them on the night when clocks are set back."""
    local = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)
    return [local.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC) for fold in (0, 1)]


@pytest.mark.parametrize("origin", CLOCKS)
def test_an_outcome_is_known_only_after_the_flight_has_landed_by_every_clock(tidy, origin):
    cases = [(day, minute, delay) for day in NIGHTS for minute in range(0, 1440, 90) for delay in (0, 200, 1300)]
    names = [f"{n:03d}" for n in range(len(cases))]  # a destination of its own tells each flight's known day
    rows = [
        flight(day, origin, minute, delay=delay, elapsed=130) | {"dest": name}
        for name, (day, minute, delay) in zip(names, cases, strict=True)
    ]
    told = DATASET.summarize(frame_of(rows, tidy["2020-02"])).filter(pl.col("group") == "dest").sort("first")
    for (day, minute, delay), known in zip(cases, told["day"], strict=True):
        landed = max(instants(day, minute, CLOCKS[origin])) + timedelta(minutes=130 + delay)
        for other, zone in CLOCKS.items():
            asking = EPOCH + timedelta(days=known + 1 + (other in FAR_PACIFIC))
            assert landed < min(instants(asking, 0, zone)), (day, minute, delay, other)


@pytest.mark.parametrize("night", [date(2008, 3, 9), date(2008, 11, 2), date(2004, 4, 4), date(2004, 10, 31)])
def test_a_departure_is_known_only_after_it_happened_on_nights_when_clocks_change(tidy, night):
    """Whatever a scheduled minute may mean, and however early the minute that first knows of the departure may be."""
    rng, zone = np.random.default_rng(2), "America/Chicago"
    planned = [(night + timedelta(days=ahead), minute) for ahead in (-1, 0) for minute in range(0, 1440, 10)]
    rows = [
        flight(day, "ORD", minute, delay=int(rng.integers(0, 240))) for day, minute in planned if exists(day, minute)
    ]
    coded = encode(frame_of(rows, tidy["2020-02"]))
    left = coded.at + np.array([row["dep_delay_min"] for row in rows])
    left += coded.clock_changed(coded.at, left)
    for row, local in zip(rows, left.tolist(), strict=True):
        days, minute = divmod(coded.first_day * 1440 + local + 1, 1440)  # the first minute that knows of it
        asked = EPOCH + timedelta(days=days), minute
        if exists(*asked):
            happened = max(instants(row["day"], row["sched_dep_min"], zone)) + timedelta(minutes=row["dep_delay_min"])
            assert happened < min(instants(*asked, zone)), (row, asked)


def exists(day: date, minute: int) -> bool:
    """Whether clocks in Chicago show that minute at all."""
    local = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)
    return (
        instants(day, minute, "America/Chicago")[0].astimezone(ZoneInfo("America/Chicago")).replace(tzinfo=None)
        == local
    )


def test_a_sunday_begins_where_the_calendar_says():
    sunday = date(2020, 2, 9)
    rows = [flight(sunday, "ORD", minute) for minute in (59, 60, 179, 180)]
    coded = encode(frame_of(rows, clean_month(SAMPLE, "2020-02")))
    assert (coded.clock_changed(coded.at, coded.at) == [0, 60, 60, 0]).all()


# ── which months matter, and which part a flight is in ───────────────────────────────────────────────────────────────
def test_a_month_reaches_the_month_before_and_itself():
    months = ["1987-10", "1987-11", "1987-12", "1988-02", "1988-03"]
    assert DATASET.reach("1987-12", months) == ["1987-11", "1987-12"]
    assert DATASET.reach("1988-02", months) == ["1988-02"]
    assert DATASET.reach("1988-03", months) == ["1988-02", "1988-03"]
    assert DATASET.reach("1987-10", months) == ["1987-10"]


def moved(rows: pl.DataFrame, start: date) -> pl.DataFrame:
    """The same flights in a month that starts on that day, with the longest of delays on its last one."""
    first = rows["day"].min().replace(day=1)
    rows = rows.with_columns(pl.col("day") + (start - first))
    last = pl.col("day") == rows["day"].max()
    longest = pl.when(last & pl.col("late").is_not_null()).then(pl.lit(4320, pl.Int16))
    return rows.with_columns(longest.otherwise(pl.col(name)).alias(name) for name in ("arr_delay_min", "dep_delay_min"))


def test_months_beyond_the_reach_change_no_feature_whether_there_or_not(tidy):
    """After the shortest of Februaries, and with delays of three days at the end of each month."""
    starts = {"2018-12": date(2018, 12, 1), "2019-01": date(2019, 1, 1), "2019-02": date(2019, 2, 1)}
    months = {name: moved(tidy["1987-10"], start) for name, start in starts.items()}
    months["2019-02"] = months["2019-02"].filter(pl.col("day") < date(2019, 3, 1))
    months["2019-03"] = moved(tidy["1987-10"], date(2019, 3, 1))
    months["2019-04"] = moved(tidy["1987-11"], date(2019, 4, 1))
    told = {name: DATASET.summarize(rows) for name, rows in months.items()}
    names = list(months)
    for name, rows in months.items():
        reached = DATASET.featurize(rows, DATASET.context([told[n] for n in DATASET.reach(name, names)], {}))
        everything = DATASET.featurize(rows, DATASET.context([told[n] for n in names], {}))
        assert_frame_equal(reached, everything, check_exact=True)
        alone = DATASET.featurize(rows, DATASET.context([told[name]], {}))
        assert name == "2018-12" or not reached.equals(alone)  # the month before does count


def test_parts_follow_each_other_and_what_comes_after_the_last_day_has_none(tidy, summaries):
    frame = featurized(tidy, summaries, "1987-11")
    until = {"train_until": "1987-11-05", "valid_until": "1987-11-10", "test_until": "1987-11-20"}
    part = DATASET.split(frame, until, 0)
    days = frame["day"].dt.day()
    assert part.to_list() == ["train" if d <= 5 else "valid" if d <= 10 else "test" if d <= 20 else None for d in days]
    assert DATASET.split(frame, {**until, "test_until": None}, 0).null_count() == 0
    assert dict.fromkeys(part.drop_nulls()) == dict.fromkeys(["train", "valid", "test"])


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"train_until": "1987-11-05", "valid_until": "1987-11-10"}, "test_until is missing"),
        ({"train_until": "1987-11-05", "valid_until": "1987-11-01", "test_until": None}, "1987-11-01"),
        ({"train_until": "1987-11-05", "valid_until": "1987-11-10", "test_until": "1987-11-10"}, "before test_until"),
        ({"train_until": "soon", "valid_until": "1987-11-10", "test_until": None}, "train_until 'soon'"),
        ({"train_until": None, "valid_until": "1987-11-10", "test_until": None}, "found None"),
        ({"train_until": 5, "valid_until": "1987-11-10", "test_until": None}, "train_until 5"),
    ],
)
def test_days_that_make_no_sense_are_refused(tidy, settings, found):
    with pytest.raises(ValueError, match=found):
        DATASET.split(tidy["1987-11"], settings, 0)
