"""What is remembered of other flights: their outcomes on past days, their departures in the last hours.

Past days cross the months by way of mergeable daily counts.  The last hours are seen within one month only: in the
first hours of its first day, less is known than could be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import polars as pl

from stages.datasets.nycflights.flights import HOME_ZONE, LONGEST_DELAY_MIN
from stages.records.clock import local_to_utc, utc_to_local_day
from stages.records.contract import Outcome
from stages.records.windows import Past, accumulate, smoothed_share, sums_before

RECENT = timedelta(hours=3)
TAXI_AT_MOST_MIN = 300  # gate to runway plus runway to gate; the longest of 2013 is 235
AIRCRAFT_SEEN_WITHIN = timedelta(hours=18)
FASTEST_MI_PER_MIN, QUICKEST_TURNS_MIN = 8.5, 60  # there and back at cruising speed, two short turns on the ground
WAIT_AT_MOST = timedelta(hours=4)  # a flight that has not left by then is no longer counted as waiting
LOOKS_BACK = AIRCRAFT_SEEN_WITHIN + timedelta(minutes=LONGEST_DELAY_MIN)
"""The aircraft's last departure, 18 h ago, may have been due 30 h earlier.  The last three hours see 33 h back in the
same way; who waits was due 4 h ago at most (who came before counts once in, once out); congestion sees 2 h."""

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


def _left() -> pl.Expr:
    """A flight that left early is known to have left at its scheduled minute, not before."""
    return pl.col("sched_dep_utc") + pl.duration(minutes=pl.col("dep_delay_min").cast(pl.Int64).clip(0))


def _landed() -> pl.Expr:
    return _left() + pl.duration(minutes=pl.col("air_time_min") + TAXI_AT_MOST_MIN)


OUTCOMES = (
    Outcome("departed", ("dep_min", "dep_delay_min"), lambda flights: flights.select(at=_left())["at"]),
    Outcome("landed", ("arr_min", "arr_delay_min", "air_time_min"), lambda flights: flights.select(at=_landed())["at"]),
)


# ── memory of past days ──────────────────────────────────────────────────────────────────────────────────────────────
def summarize(flights: pl.DataFrame) -> pl.DataFrame:
    """Daily counts of one month, by group, on the home day after which everything about the flight is known.

    A flight counts on the day it arrived, by its departure plus its time in the air plus the longest plausible taxi:
    arrivals after midnight would otherwise leak a day early.
    """
    outcomes = flights.filter(pl.col("late").is_not_null()).with_columns(
        utc_to_local_day(_landed(), HOME_ZONE).alias("day"),
        (pl.col("sched_dep_min") // 60).alias("sched_dep_hour"),
    )
    parts = [
        outcomes.drop_nulls(columns)
        .group_by(pl.lit(group).alias("group"), _key(columns), "day")
        .agg(pl.len().cast(pl.Int64).alias("flights"), pl.col("late").cast(pl.Int64).sum())
        .sort("key", "day")  # the same rows, the same bytes
        for group, (columns, _, _) in {**HISTORIES, "all": ((), 7, 0.0)}.items()
    ]
    return pl.concat(parts)


def asked_from(summary: pl.DataFrame) -> pl.Series:
    """The midnight after which the counts of a day are asked for."""
    return summary.select(at=local_to_utc(pl.col("day") + pl.duration(days=1), pl.lit(0), HOME_ZONE))["at"]


def add_up_days(summaries: Sequence[pl.DataFrame]) -> dict[str, Past]:
    """The daily counts of all months, by group, ready to be asked."""
    daily = pl.concat(summaries)
    return {
        group: accumulate(daily.filter(pl.col("group") == group), at="day", by=["key"], values=["flights", "late"])
        for group in ("all", *HISTORIES)
    }


def _key(columns: Sequence[str]) -> pl.Expr:
    return pl.concat_str(*columns, separator=" ").alias("key") if columns else pl.lit("").alias("key")


def past_days(flights: pl.DataFrame, days: Mapping[str, Past]) -> pl.DataFrame:
    """Smoothed shares of late arrivals over the days before the flight's; null while nothing at all is known."""

    def counts(group: str, back: int) -> pl.DataFrame:
        columns = HISTORIES[group][0] if group in HISTORIES else ()
        return sums_before(flights.select("day", _key(columns)), days[group], window=timedelta(days=back))

    week = counts("all", 7).select((pl.col("late") / pl.col("flights")).fill_nan(None)).to_series()
    found = [week.cast(pl.Float32).alias("all_late_share_7d")]
    for group, (_, back, weight) in HISTORIES.items():
        known = counts(group, back).with_columns(week.alias("prior"))
        share = smoothed_share(pl.col("late"), pl.col("flights"), pl.col("prior"), weight)
        found.append(known.select(share.cast(pl.Float32).alias(f"{group}_late_share_{back}d")).to_series())
        if group == "flight_number":
            found.append(known["flights"].cast(pl.Int16).alias("flight_number_flights_28d"))
    yesterday = counts("origin", 1)
    found.append(
        (yesterday["late"] / yesterday["flights"]).cast(pl.Float32).fill_nan(None).alias("origin_late_share_1d")
    )
    return pl.DataFrame(found)


# ── memory of the last hours ─────────────────────────────────────────────────────────────────────────────────────────
def last_hours(flights: pl.DataFrame, asked: pl.DataFrame) -> pl.DataFrame:
    """Delays of ``flights`` that had left by the minute at which is asked; how many should have but had not."""
    left = flights.filter(pl.col("dep_delay_min").is_not_null()).select(
        "carrier", "origin", "dest", "tailnum", "sched_dep_utc", "distance_mi", *_departure_facts()
    )
    asked = asked.select(pl.col("asked_utc").alias("at"), "sched_dep_utc", "carrier", "origin", "dest", "tailnum")
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
        _left().alias("at"),
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
    """The last departure from New York of the same aircraft: how late it left, how long ago.

    Should an aircraft have left twice in one minute, the longer delay counts.  Where it was not even planned to be back
    when it is due out, the recorded aircraft is not the planned one: it was swapped in once delays were known, so
    nothing is told.
    """
    there_and_back = (pl.col("distance_mi") * 2 / FASTEST_MI_PER_MIN).cast(pl.Int64) + QUICKEST_TURNS_MIN
    last = left.drop_nulls("tailnum").select(
        *("tailnum", "at", "delay"),
        left_at="at",
        back_at=pl.col("sched_dep_utc") + pl.duration(minutes=there_and_back),
    )
    last = last.sort("at", "tailnum", "delay", "back_at")
    joined = (
        asked.with_row_index("_row")
        .sort("at")
        .join_asof(
            last,
            on="at",
            by="tailnum",
            allow_exact_matches=False,
            tolerance=AIRCRAFT_SEEN_WITHIN,
            check_sortedness=False,
        )
        .sort("_row")
    )
    planned = pl.when(pl.col("back_at") <= pl.col("sched_dep_utc"))
    ago = (pl.col("at") - pl.col("left_at")).dt.total_minutes()
    return joined.select(
        planned.then(pl.col("delay")).cast(pl.Int16).alias("aircraft_last_delay_min"),
        planned.then(ago).cast(pl.Int16).alias("aircraft_last_left_ago_min"),
    )
