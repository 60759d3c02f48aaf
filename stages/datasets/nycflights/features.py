"""What was known of a flight at the scheduled minute of its departure.

The schedule, the last hourly weather report, the aircraft register, outcomes of past days, and which of the day's
earlier flights had left by then.  A flight's own outcome, and anything of a later flight, never enters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from stages.datasets.contract import Feature
from stages.datasets.nycflights.flights import HOME_ZONE
from stages.datasets.nycflights.references import WEATHER_UNITS
from stages.methods.clock import MINUTES_PER_DAY, utc_offset_min, utc_to_local_day
from stages.methods.past import Past, accumulate, smoothed_share, sums_before

# Destinations that airports.csv lacks: all four on Atlantic time, which has no summer time.
ZONES_ADDED = {
    "BQN": "America/Puerto_Rico",
    "PSE": "America/Puerto_Rico",
    "SJU": "America/Puerto_Rico",
    "STT": "America/St_Thomas",
}
HOME_NOON_OFFSET = "home_offset_min"
WEATHER_AGE_AT_MOST = timedelta(hours=3)
RECENT = timedelta(hours=3)
TAXI_AT_MOST_MIN = 300  # gate to runway plus runway to gate; the longest of 2013 is 235
WAIT_AT_MOST = timedelta(hours=4)  # a flight that has not left by then is no longer counted as waiting

# Groups whose past days are remembered: name → (columns, days back, pseudo-flights of the smoothing)
HISTORIES: dict[str, tuple[tuple[str, ...], int, float]] = {
    "carrier": (("carrier",), 7, 20.0),
    "origin": (("origin",), 7, 20.0),
    "dest": (("dest",), 14, 20.0),
    "carrier_dest": (("carrier", "dest"), 28, 20.0),
    "flight_number": (("carrier", "flight"), 28, 10.0),
    "aircraft": (("tailnum",), 28, 10.0),
    "hour": (("origin", "sched_dep_hour"), 14, 20.0),
}
# Groups whose last hours are remembered: name → columns
RECENTS: dict[str, tuple[str, ...]] = {
    "origin": ("origin",),
    "carrier": ("carrier",),
    "dest": ("dest",),
    "carrier_origin": ("carrier", "origin"),
}


@dataclass(frozen=True)
class Context:
    """What a flight may know beyond its own month."""

    days: Mapping[str, Past]
    """By group, running counts of flights and late arrivals over the days on which they became known."""
    weather: pl.DataFrame
    planes: pl.DataFrame
    offsets: pl.DataFrame
    """Minutes by which a destination's clock runs ahead of New York's, by dest and day."""


# ── memory of past days ──────────────────────────────────────────────────────────────────────────────────────────────
def summarize(flights: pl.DataFrame) -> pl.DataFrame:
    """Daily counts of one month, by group, on the home day after which everything about the flight is known.

    A flight counts on the day it arrived, by its scheduled departure plus its longest plausible journey: arrivals
    after midnight and diversions would otherwise leak a day early.
    """
    known = (
        pl.col("sched_dep_utc")
        + pl.duration(minutes=pl.col("dep_delay_min").fill_null(0).clip(0))
        + pl.duration(minutes=pl.col("air_time_min").fill_null(0) + TAXI_AT_MOST_MIN)
    )
    outcomes = flights.filter(pl.col("late").is_not_null()).with_columns(
        utc_to_local_day(known, HOME_ZONE).alias("day"),
        (pl.col("sched_dep_min") // 60).alias("sched_dep_hour"),
    )
    parts = [
        outcomes.drop_nulls(columns)
        .group_by(pl.lit(group).alias("group"), _key(columns), "day")
        .agg(pl.len().cast(pl.Int64).alias("flights"), pl.col("late").cast(pl.Int64).sum())
        for group, (columns, _, _) in {**HISTORIES, "all": ((), 7, 0.0)}.items()
    ]
    return pl.concat(parts).sort("group", "key", "day")


def build_context(summaries: Sequence[pl.DataFrame], references: Mapping[str, pl.DataFrame]) -> Context:
    """Add up the months (in any order) and prepare the joined tables."""
    daily = (
        pl.concat(summaries)
        .group_by("group", "key", "day")
        .agg(pl.col("flights", "late").sum())
        .sort("group", "key", "day")
    )
    added = pl.DataFrame({"airport": list(ZONES_ADDED), "zone": list(ZONES_ADDED.values())})
    zones = pl.concat([references["airports"].select("airport", "zone"), added]).unique("airport", keep="last")
    calendar = daily.select(pl.date_range(pl.col("day").min() - timedelta(days=1), pl.col("day").max()).alias("day"))
    by_zone = utc_offset_min(calendar, pl.concat([zones.select("zone"), pl.DataFrame({"zone": [HOME_ZONE]})]))
    home = by_zone.filter(pl.col("zone") == HOME_ZONE).select("day", pl.col("utc_offset_min").alias(HOME_NOON_OFFSET))
    offsets = (
        zones.join(by_zone, on="zone")
        .join(home, on="day")
        .select(
            pl.col("airport").alias("dest"),
            "day",
            (pl.col("utc_offset_min") - pl.col(HOME_NOON_OFFSET)).cast(pl.Int16).alias("clock_ahead_min"),
        )
    )
    days = {
        group: accumulate(daily.filter(pl.col("group") == group), at="day", by=["key"], values=["flights", "late"])
        for group in ("all", *HISTORIES)
    }
    return Context(days, _with_weather_trends(references["weather"]), references["planes"], offsets)


def _key(columns: Sequence[str]) -> pl.Expr:
    return pl.concat_str(*columns, separator=" ").alias("key") if columns else pl.lit("").alias("key")


def _past_days(flights: pl.DataFrame, days: Mapping[str, Past]) -> pl.DataFrame:
    """Smoothed shares of late arrivals over the days before the flight's, and the flights behind them."""

    def counts(group: str, back: int) -> pl.DataFrame:
        columns = HISTORIES[group][0] if group in HISTORIES else ()
        return sums_before(flights.select("day", _key(columns)), days[group], window=timedelta(days=back))

    week = counts("all", 7).select(pl.col("late") / pl.col("flights").clip(1)).to_series()
    found = [week.cast(pl.Float32).alias("all_late_share_7d")]
    for group, (_, back, weight) in HISTORIES.items():
        known = counts(group, back).with_columns(week.alias("prior"))
        share = smoothed_share(pl.col("late"), pl.col("flights"), pl.col("prior"), weight)
        found.append(known.select(share.cast(pl.Float32).alias(f"{group}_late_share_{back}d")).to_series())
        if group == "flight_number":
            found.append(known["flights"].cast(pl.Int16).alias("flight_number_flights_28d"))
    yesterday = counts("origin", 1)
    found.append((yesterday["late"] / yesterday["flights"]).cast(pl.Float32).fill_nan(None).alias("origin_late_share_1d"))
    return pl.DataFrame(found)


# ── memory of the last hours ─────────────────────────────────────────────────────────────────────────────────────────
def _last_hours(flights: pl.DataFrame) -> pl.DataFrame:
    """Delays of flights that had left by the scheduled minute, and how many should have left but had not."""
    left = flights.filter(pl.col("dep_delay_min").is_not_null()).select(
        "carrier", "origin", "dest", "tailnum", "sched_dep_utc", *_departure_facts()
    )
    asked = flights.select(pl.col("sched_dep_utc").alias("at"), "carrier", "origin", "dest", "tailnum")
    found: list[pl.DataFrame] = []
    for group, columns in RECENTS.items():
        past = accumulate(left, at="at", by=columns, values=["one", "delay", "behind"])
        sums = sums_before(asked, past, window=RECENT)
        some = pl.when(pl.col("one") > 0)
        found.append(
            sums.select(
                some.then(pl.col("delay") / pl.col("one")).cast(pl.Float32).alias(f"{group}_mean_delay_3h"),
                some.then(pl.col("behind") / pl.col("one")).cast(pl.Float32).alias(f"{group}_behind_share_3h"),
            )
        )
    found.append(_waiting(flights, asked, ("origin",), "origin"))
    found.append(_waiting(flights, asked, ("carrier", "origin"), "carrier_origin"))
    found.append(_waiting(flights, asked, ("dest",), "dest"))
    found.append(_aircraft_today(asked, left))
    return pl.concat(found, how="horizontal")


def _departure_facts() -> list[pl.Expr]:
    delay = pl.col("dep_delay_min").cast(pl.Int64)
    return [
        # a flight that left early is known to have left at its scheduled minute, not before
        (pl.col("sched_dep_utc") + pl.duration(minutes=delay.clip(0))).alias("at"),
        pl.lit(1, pl.Int64).alias("one"),
        delay.clip(-30, 300).alias("delay"),
        (delay >= 15).cast(pl.Int64).alias("behind"),
    ]


def _waiting(flights: pl.DataFrame, asked: pl.DataFrame, by: Sequence[str], group: str) -> pl.DataFrame:
    """Flights whose scheduled minute has passed but which have not left, and for how long they have waited (sum)."""
    gone_after = pl.duration(minutes=pl.col("dep_delay_min").cast(pl.Int64).clip(0))
    limit = pl.duration(minutes=int(WAIT_AT_MOST.total_seconds() // 60))
    gone = pl.col("sched_dep_utc") + pl.when(gone_after < limit).then(gone_after).otherwise(limit)
    minute = pl.col("sched_dep_utc").dt.epoch("s") // 60
    joins = flights.select(*by, pl.col("sched_dep_utc").alias("at"), waiting=pl.lit(1, pl.Int64), since=minute)
    leaves = flights.select(*by, gone.alias("at"), waiting=pl.lit(-1, pl.Int64), since=-minute)
    sums = sums_before(asked, accumulate(pl.concat([joins, leaves]), at="at", by=by, values=["waiting", "since"]))
    now = asked["at"].dt.epoch("s") // 60
    return sums.select(
        pl.col("waiting").cast(pl.Int16).alias(f"{group}_waiting"),
        (pl.col("waiting") * now - pl.col("since")).cast(pl.Int32).alias(f"{group}_waited_min"),
    )


def _aircraft_today(asked: pl.DataFrame, left: pl.DataFrame) -> pl.DataFrame:
    """The last departure from New York of the same aircraft within a day: how late it left, how long ago."""
    last = left.drop_nulls("tailnum").sort("at").select("tailnum", "at", "delay", pl.col("at").alias("left_at"))
    joined = (
        asked.with_row_index("_row")
        .sort("at")
        .join_asof(
            last, on="at", by="tailnum", allow_exact_matches=False, tolerance=timedelta(hours=18), check_sortedness=False
        )
        .sort("_row")
    )
    return joined.select(
        pl.col("delay").cast(pl.Int16).alias("aircraft_last_delay_min"),
        (pl.col("at") - pl.col("left_at")).dt.total_minutes().cast(pl.Int16).alias("aircraft_last_left_ago_min"),
    )


# ── the schedule, the weather, the aircraft ──────────────────────────────────────────────────────────────────────────
def _congestion(flights: pl.DataFrame) -> pl.DataFrame:
    """Flights scheduled in the minutes up to and including this one: later ones never count."""
    asked = flights.select(pl.col("sched_dep_utc").alias("at"), "carrier", "origin", "dest")
    planned = asked.with_columns(pl.lit(1, pl.Int64).alias("one"))

    def counted(by: Sequence[str], minutes: int, name: str) -> pl.DataFrame:
        past = accumulate(planned, at="at", by=by, values=["one"])
        sums = sums_before(asked, past, window=timedelta(minutes=minutes), include_now=True)
        return sums.select(pl.col("one").cast(pl.Int16).alias(name))

    return pl.concat(
        [
            counted(("origin",), 30, "origin_scheduled_30min"),
            counted(("origin",), 120, "origin_scheduled_2h"),
            counted(("carrier", "origin"), 60, "carrier_origin_scheduled_1h"),
            counted(("dest",), 60, "dest_scheduled_1h"),
        ],
        how="horizontal",
    )


def _with_weather_trends(weather: pl.DataFrame) -> pl.DataFrame:
    """Hourly reports with the change of pressure and the rain of the last hours, per airport."""
    earlier = weather.select("origin", (pl.col("hour_utc") + timedelta(hours=3)).alias("hour_utc"), was="pressure_mbar")
    rain = weather.select("origin", "hour_utc", pl.col("precipitation_in").cast(pl.Float64))
    past = accumulate(rain, at="hour_utc", by=["origin"], values=["precipitation_in"])
    rain6 = sums_before(rain, past, window=timedelta(hours=5), include_now=True)
    return (
        weather.with_columns(rain6["precipitation_in"].round(4).cast(pl.Float32).alias("precipitation_6h_in"))
        .join(earlier, on=["origin", "hour_utc"], how="left")
        .with_columns((pl.col("pressure_mbar") - pl.col("was")).alias("pressure_change_3h_mbar"))
        .drop("was")
        .sort("hour_utc")
    )


def featurize(flights: pl.DataFrame, context: Context) -> pl.DataFrame:
    """Every column that later stages may see, one row per flight, in the order of ``flights``."""
    flights = flights.with_columns((pl.col("sched_dep_min") // 60).alias("sched_dep_hour"), _row=pl.int_range(pl.len()))
    known = (
        flights.join(context.planes, on="tailnum", how="left", maintain_order="left")
        .join(context.offsets, on=["dest", "day"], how="left", maintain_order="left")
        .sort("sched_dep_utc")
        .join_asof(
            context.weather,
            left_on="sched_dep_utc",
            right_on="hour_utc",
            by="origin",
            tolerance=WEATHER_AGE_AT_MOST,
            check_sortedness=False,
        )
        .sort("_row")
    )
    duration = (pl.col("sched_arr_min") - pl.col("sched_dep_min") - pl.col("clock_ahead_min")) % MINUTES_PER_DAY
    frame = known.select(
        *("day", "carrier", "flight", "origin", "dest", "tailnum", "sched_dep_utc", "late"),
        pl.col("day").dt.weekday().alias("day_of_week"),
        "sched_dep_min",
        "sched_arr_min",
        "distance_mi",
        duration.cast(pl.Int16).alias("scheduled_duration_min"),
        (pl.col("distance_mi").cast(pl.Float64) * 60 / duration).cast(pl.Float32).alias("scheduled_speed_mph"),
        *WEATHER_UNITS.values(),
        "precipitation_6h_in",
        "pressure_change_3h_mbar",
        pl.col("manufacturer"),
        "engine",
        "seats",
        (pl.col("day").dt.year() - pl.col("built_year")).cast(pl.Int16).alias("aircraft_age_years"),
    )
    return pl.concat(
        [frame, _congestion(flights), _past_days(flights, context.days), _last_hours(flights)], how="horizontal"
    )


# ── what each column means ───────────────────────────────────────────────────────────────────────────────────────────
def _described() -> tuple[Feature, ...]:
    number = "numeric"
    listed = [
        Feature("carrier", "categorical", "operating airline, two-letter code"),
        Feature("origin", "categorical", "airport of departure"),
        Feature("dest", "categorical", "airport of arrival"),
        Feature("day_of_week", number, "1 Monday … 7 Sunday"),
        Feature("sched_dep_min", number, "scheduled departure, local minutes since midnight", "min"),
        Feature("sched_arr_min", number, "scheduled arrival, local minutes since midnight", "min"),
        Feature("distance_mi", number, "great-circle distance", "mi"),
        Feature("scheduled_duration_min", number, "scheduled time from gate to gate", "min"),
        Feature("scheduled_speed_mph", number, "distance over scheduled duration: low where the schedule is padded", "mph"),
        *(Feature(name, number, f"last hourly report at the origin: {_words(name)}", _unit(name)) for name in WEATHER_UNITS.values()),
        Feature("precipitation_6h_in", number, "rain of the last six hourly reports", "in"),
        Feature("pressure_change_3h_mbar", number, "pressure now less three hours ago", "mbar"),
        Feature("manufacturer", "categorical", "maker of the aircraft"),
        Feature("engine", "categorical", "type of engine"),
        Feature("seats", number, "seats of the aircraft"),
        Feature("aircraft_age_years", number, "year of the flight less year built", "years"),
        Feature("origin_scheduled_30min", number, "departures planned from the origin in the last 30 minutes"),
        Feature("origin_scheduled_2h", number, "departures planned from the origin in the last two hours"),
        Feature("carrier_origin_scheduled_1h", number, "the same carrier's planned departures there in the last hour"),
        Feature("dest_scheduled_1h", number, "departures planned to the same destination in the last hour"),
        Feature("all_late_share_7d", number, "share of late arrivals over the 7 days before"),
        *(
            Feature(f"{group}_late_share_{days}d", number, f"late arrivals, same {_words(group)}, {days} days before (smoothed)")
            for group, (_, days, _) in HISTORIES.items()
        ),
        Feature("flight_number_flights_28d", number, "arrivals of the same flight number in the 28 days before"),
        Feature("origin_late_share_1d", number, "share of late arrivals from the origin the day before"),
    ]
    for group in RECENTS:
        same = _words(group)
        listed.append(Feature(f"{group}_mean_delay_3h", number, f"mean delay of departures, last 3 h, same {same}", "min"))
        listed.append(Feature(f"{group}_behind_share_3h", number, f"departures 15 min behind, last 3 h, same {same}"))
    for group in ("origin", "carrier_origin", "dest"):
        listed.append(Feature(f"{group}_waiting", number, f"flights due out but not gone, same {_words(group)}"))
        listed.append(Feature(f"{group}_waited_min", number, f"minutes those have waited, summed, same {_words(group)}", "min"))
    listed.append(Feature("aircraft_last_delay_min", number, "delay of the aircraft's last departure from New York today", "min"))
    listed.append(Feature("aircraft_last_left_ago_min", number, "minutes since that departure", "min"))
    return tuple(listed)


def _words(name: str) -> str:
    return name.rsplit("_", 1)[0].replace("_", " ") if _unit(name) else name.replace("_", " and ")


def _unit(name: str) -> str:
    unit = name.rsplit("_", 1)[-1]
    return unit if unit in {"f", "pct", "deg", "mph", "in", "mbar", "mi"} else ""


FEATURES = _described()
