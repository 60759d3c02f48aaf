"""What was known of a flight at the scheduled minute of its departure.

The schedule, the last hourly weather report, the aircraft register, outcomes of past days, and which of the day's
earlier flights had left by then.  A flight's own outcome, and anything of a later flight, never enters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import polars as pl

from stages.datasets.nycflights.flights import HOME_ZONE
from stages.datasets.nycflights.history import HISTORIES, RECENTS, add_up_days, last_hours, past_days
from stages.datasets.nycflights.references import WEATHER_KNOWN_AFTER, WEATHER_UNITS
from stages.records.clock import MINUTES_PER_DAY, utc_offset_min, utc_to_local_day
from stages.records.contract import Feature, Kind
from stages.records.windows import Past, accumulate, sums_before

# Destinations that airports.csv lacks: all four on Atlantic time, which has no summer time.
ZONES_ADDED = {
    "BQN": "America/Puerto_Rico",
    "PSE": "America/Puerto_Rico",
    "SJU": "America/Puerto_Rico",
    "STT": "America/St_Thomas",
}
WEATHER_AGE_AT_MOST = timedelta(hours=3)


@dataclass(frozen=True)
class Context:
    """What a flight may know beyond its own month."""

    days: Mapping[str, Past]
    """By group, running counts of flights and late arrivals over the days on which they became known."""
    weather: pl.DataFrame
    """Hourly reports with their trends, by origin, sorted by ``known_utc``: when they had been made."""
    planes: pl.DataFrame
    zones: pl.DataFrame
    """The time zone of every destination: dest, zone."""


def build_context(summaries: Sequence[pl.DataFrame], references: Mapping[str, pl.DataFrame]) -> Context:
    """Add up the months (in any order) and prepare the joined tables.

    Nothing else about the months is kept, not even their first and last day: that too would tell of later flights.
    """
    added = pl.DataFrame({"airport": list(ZONES_ADDED), "zone": list(ZONES_ADDED.values())})
    zones = pl.concat([references["airports"].select("airport", "zone"), added]).unique("airport", keep="last")
    weather = _with_weather_trends(references["weather"])
    return Context(add_up_days(summaries), weather, references["planes"], zones.rename({"airport": "dest"}))


def recall(context: Context, at: datetime) -> Context:
    """What was known at ``at`` of a context: reports that had been made, outcomes of the days before its day."""
    day = pl.select(utc_to_local_day(pl.lit(at), HOME_ZONE)).item()
    days = {
        group: replace(past, running=past.running.filter(pl.col("day") < day)) for group, past in context.days.items()
    }
    return replace(context, days=days, weather=context.weather.filter(pl.col("known_utc") <= at))


# ── the schedule, the weather, the aircraft ──────────────────────────────────────────────────────────────────────────
def _congestion(flights: pl.DataFrame, asked: pl.DataFrame) -> pl.DataFrame:
    """Flights scheduled in the minutes up to and including that of each one asked: later ones never count."""
    asked = asked.select(pl.col("sched_dep_utc").alias("at"), "carrier", "origin", "dest")
    planned = flights.select(
        pl.col("sched_dep_utc").alias("at"), "carrier", "origin", "dest", pl.lit(1, pl.Int64).alias("one")
    )

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
        .with_columns(
            (pl.col("pressure_mbar") - pl.col("was")).alias("pressure_change_3h_mbar"),
            (pl.col("hour_utc") + WEATHER_KNOWN_AFTER).alias("known_utc"),
        )
        .drop("was", "hour_utc")
        .sort("known_utc", "origin")
    )


def _clock_ahead(flights: pl.DataFrame, zones: pl.DataFrame) -> pl.DataFrame:
    """Minutes by which a destination's clock runs ahead of New York's at noon: dest, day, clock_ahead_min."""
    flown_to = flights.select("dest").unique().join(zones, on="dest")
    home = pl.DataFrame({"zone": [HOME_ZONE]})
    offsets = utc_offset_min(flights, pl.concat([flown_to.select("zone"), home]))
    at_home = offsets.filter(pl.col("zone") == HOME_ZONE).select("day", home="utc_offset_min")
    ahead = (pl.col("utc_offset_min") - pl.col("home")).cast(pl.Int16).alias("clock_ahead_min")
    return flown_to.join(offsets, on="zone").join(at_home, on="day").select("dest", "day", ahead)


def featurize(
    flights: pl.DataFrame, context: Context, last: int | None = None, at: datetime | None = None
) -> pl.DataFrame:
    """Every column that later stages may see, one row per flight, or for the ``last`` ones, in their order.

    Asked ``at`` an earlier moment than the scheduled departure, a flight sees the weather and the airport of that
    moment: what is between them, nobody knows yet.
    """
    asked = (flights if last is None else flights.tail(last)).with_columns(
        (pl.col("sched_dep_min") // 60).alias("sched_dep_hour"),
        asked_utc=pl.min_horizontal("sched_dep_utc", pl.lit(at, pl.Datetime("us"))),
        _row=pl.int_range(pl.len()),
    )
    known = (
        asked.join(context.planes, on="tailnum", how="left", maintain_order="left")
        .join(_clock_ahead(asked, context.zones), on=["dest", "day"], how="left", maintain_order="left")
        .sort("asked_utc")
        .join_asof(
            context.weather,
            left_on="asked_utc",
            right_on="known_utc",
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
        [frame, _congestion(flights, asked), past_days(asked, context.days), last_hours(flights, asked)],
        how="horizontal",
    )


GROUP_WORDS = {
    "carrier": "carrier",
    "origin": "origin",
    "dest": "destination",
    "carrier_dest": "carrier and destination",
    "carrier_origin": "carrier and origin",
    "flight_number": "flight number",
    "aircraft": "aircraft",
    "hour": "origin and hour of the day",
}


# ── what each column means ───────────────────────────────────────────────────────────────────────────────────────────
def _described() -> tuple[Feature, ...]:
    number: Kind = "numeric"
    listed = [
        Feature("carrier", "categorical", "operating airline, two-letter code"),
        Feature("origin", "categorical", "airport of departure"),
        Feature("dest", "categorical", "airport of arrival"),
        Feature("day_of_week", number, "1 Monday … 7 Sunday"),
        Feature("sched_dep_min", number, "scheduled departure, local minutes since midnight", "min"),
        Feature("sched_arr_min", number, "scheduled arrival, local minutes since midnight", "min"),
        Feature("distance_mi", number, "great-circle distance", "mi"),
        Feature("scheduled_duration_min", number, "scheduled time from gate to gate", "min", joined="airports"),
        Feature(
            "scheduled_speed_mph",
            number,
            "distance over scheduled duration: low where the schedule is padded",
            "mph",
            joined="airports",
        ),
        *(
            Feature(name, number, f"last hourly report at the origin: {' '.join(words)}", unit, joined="weather")
            for name in WEATHER_UNITS.values()
            for *words, unit in [name.split("_")]
        ),
        Feature(
            "precipitation_6h_in", number, "rain of the last six hourly reports at the origin", "in", joined="weather"
        ),
        Feature(
            "pressure_change_3h_mbar",
            number,
            "pressure of that report less that of three hours before",
            "mbar",
            joined="weather",
        ),
        Feature("manufacturer", "categorical", "maker of the aircraft", joined="planes"),
        Feature("engine", "categorical", "type of engine", joined="planes"),
        Feature("seats", number, "seats of the aircraft", joined="planes"),
        Feature("aircraft_age_years", number, "year of the flight less year built", "years", joined="planes"),
        Feature("origin_scheduled_30min", number, "departures planned from the origin in the last 30 minutes"),
        Feature("origin_scheduled_2h", number, "departures planned from the origin in the last two hours"),
        Feature("carrier_origin_scheduled_1h", number, "the same carrier's planned departures there in the last hour"),
        Feature("dest_scheduled_1h", number, "departures planned to the same destination in the last hour"),
        Feature("all_late_share_7d", number, "share of late arrivals over the 7 days before"),
        *(
            Feature(
                f"{group}_late_share_{days}d",
                number,
                f"late arrivals, same {GROUP_WORDS[group]}, {days} days before (smoothed)",
            )
            for group, (_, days, _) in HISTORIES.items()
        ),
        Feature("flight_number_flights_28d", number, "arrivals of the same flight number in the 28 days before"),
        Feature("origin_late_share_1d", number, "late share of the arrivals from the origin known by the day before"),
    ]
    for group in RECENTS:
        same = GROUP_WORDS[group]
        listed.append(
            Feature(f"{group}_mean_delay_3h", number, f"mean delay of departures, last 3 h, same {same}", "min")
        )
        listed.append(Feature(f"{group}_behind_share_3h", number, f"departures 15 min behind, last 3 h, same {same}"))
    for group in ("origin", "carrier_origin", "dest"):
        listed.append(Feature(f"{group}_waiting", number, f"flights due out but not gone, same {GROUP_WORDS[group]}"))
        listed.append(
            Feature(
                f"{group}_waited_min", number, f"minutes those have waited, summed, same {GROUP_WORDS[group]}", "min"
            )
        )
    listed.append(
        Feature(
            "aircraft_last_delay_min", number, "delay of the aircraft's last departure from New York, 18 h back", "min"
        )
    )
    listed.append(Feature("aircraft_last_left_ago_min", number, "minutes since that departure", "min"))
    return tuple(listed)


FEATURES = _described()
