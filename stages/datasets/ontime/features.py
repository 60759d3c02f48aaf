"""What was known of a flight, anywhere in the US, at the scheduled minute of its departure.

The schedule, the outcomes of past days, and how the flights before it left the same airport in the last three hours.
A flight's own outcome, and anything that happened later, never enters.  There is no table of time zones, so clocks
are compared only where they are the same one (within an airport) or with a margin that covers any two of them.

Definitions, in whole minutes: ``at = day * 1440 + sched_dep_min`` is the scheduled departure by the clock of the origin
(24:00 is the minute 1440 of its day, and its hour is 24).

Past days
    An outcome (``late`` is not null) counts on its known day,
    ``day + (sched_dep_min + sched_elapsed_min + max(arr_delay_min, dep_delay_min, 0) + 480) // 1440``: landed by the
    clock of the origin, plus seven hours between the clocks of any two airports (Pago Pago and Boston in summer), plus
    one for a clock just changed.  A flight asks for the known days ``asked - window … asked - 1``; ``asked`` is its
    day, or the day before at the airports `FAR_PACIFIC`, whose calendar runs ahead of all others.  Of n outcomes, k of
    them late, ``share = (k + 20 * prior) / (n + 20)``, prior being the share of all flights over 7 days; reckoned in
    float64, stored as float32.  The two shares of all flights are plain k / n, null when n is 0; without a prior every
    share is null.  No window exceeds three weeks: with the longest delay, that stays within the month and the one
    before.

Last three hours, same origin (same carrier and origin), same calendar month
    A flight with a departure delay left at ``left = at + max(dep_delay_min, 0)``, an hour later where the clock may
    have been changed on the way (on a Sunday at 2:00): where
    ``(left - SUNDAY_1AM) // 10080 > (at - SUNDAY_3AM) // 10080``.  A flight sees those with
    ``own at - 180 <= left < own at``: the mean of their delays, each clipped to -30 … 300, and the share of delays of
    15 and more; null where there are none.

Only right where every flight is on record (``needs_complete``), same calendar month
    ``…_scheduled_1h``: flights of the same origin (carrier and origin, destination) with
    ``own at - 60 <= at <= own at``, itself included; those to the same destination each by the clock of its own origin.
    ``aircraft_inbound_…``: of the legs of the same tail number (not null) that were flown to this origin, the last to
    land, by the clock here.  It was due at ``due = at + sched_elapsed_min + zone``, plus 1440 if it came to
    `FAR_PACIFIC`, where ``zone = (sched_arr_min - sched_dep_min - sched_elapsed_min + 720) % 1440 - 720`` (legs with a
    zone beyond ± 480 are left out), and landed at ``landed = due + max(arr_delay_min, 0)``, an hour later where the
    clock may have been changed on the way (as above, ``due`` for ``at``, ``landed`` for ``left``).  Of those with
    ``own at - 1080 <= landed < own at`` the latest counts, of several in that minute the one with the longest delay:
    its arrival delay, clipped to -30 … 300, and ``own at - landed``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from stages.datasets.ontime.codes import encode
from stages.datasets.ontime.history import HISTORIES, add_up, past_days
from stages.datasets.ontime.hours import Airports, congestion, inbound, last_hours
from stages.records.contract import Feature, Kind


@dataclass(frozen=True)
class Context:
    """What a flight may know beyond its own month."""

    known: pl.DataFrame
    """Daily counts of the month and of the one before."""
    complete: bool
    """Whether every flight is on record, so that flights can be counted and aircraft followed."""


def build_context(
    summaries: Sequence[pl.DataFrame], _references: Mapping[str, pl.DataFrame], complete: bool = True
) -> Context:
    """The months (in any order) that a month reaches to."""
    return Context(add_up(summaries), complete)


def featurize(
    flights: pl.DataFrame, context: Context, last: int | None = None, at: datetime | None = None
) -> pl.DataFrame:
    """Every column that later stages may see, one row per flight, in the order of ``flights``: those of one month.

    With ``last``, of so many at the end.  Asked ``at`` an earlier moment, a flight sees less, and nothing else.
    Without ``context.complete`` the features that need complete months are left out.
    """
    coded = encode(flights)
    airports = Airports(coded)
    elapsed = pl.col("sched_elapsed_min")
    schedule = flights.select(
        *("day", "carrier", "flight", "origin", "dest", "sched_dep_min", "late"),
        pl.col("day").dt.month().alias("month"),
        pl.col("day").dt.weekday().alias("day_of_week"),
        "sched_arr_min",
        "distance_mi",
        "sched_elapsed_min",
        (pl.col("distance_mi").cast(pl.Float64) * 60 / elapsed).cast(pl.Float32).alias("sched_speed_mph"),
    )
    blocks = [schedule, past_days(coded, context.known), last_hours(flights, coded, airports)]
    if context.complete:
        blocks += [congestion(coded, airports), inbound(flights, coded)]
    frame = pl.concat(blocks, how="horizontal")
    return frame if last is None else frame.tail(last)


# ── what each column means ───────────────────────────────────────────────────────────────────────────────────────────
def _described() -> tuple[Feature, ...]:
    number: Kind = "numeric"
    words = {
        "carrier": "carrier",
        "origin": "origin",
        "dest": "destination",
        "carrier_origin": "carrier and origin",
        "route": "origin and destination",
        "origin_hour": "origin and hour of the day",
    }
    listed = [
        Feature("carrier", "categorical", "reporting airline, as the publisher tells them apart"),
        Feature("origin", "categorical", "airport of departure"),
        Feature("dest", "categorical", "airport of arrival"),
        Feature("month", number, "1 January … 12 December"),
        Feature("day_of_week", number, "1 Monday … 7 Sunday"),
        Feature("sched_dep_min", number, "scheduled departure, local minutes since midnight", "min"),
        Feature("sched_arr_min", number, "scheduled arrival, local minutes since midnight", "min"),
        Feature("distance_mi", number, "great-circle distance", "mi"),
        Feature("sched_elapsed_min", number, "scheduled time from gate to gate", "min"),
        Feature("sched_speed_mph", number, "distance over scheduled time: low where the schedule is padded", "mph"),
        Feature("all_late_share_1d", number, "share of late arrivals that became known the day before"),
        Feature("all_late_share_7d", number, "share of late arrivals over the 7 days before"),
        *(
            Feature(
                f"{group}_late_share_{back}d",
                number,
                f"late arrivals, same {words[group]}, {back} days before (smoothed)",
            )
            for group, (_, back) in HISTORIES.items()
        ),
    ]
    for group in ("origin", "carrier_origin"):
        same = f"last 3 h, same {words[group]}"
        listed.append(Feature(f"{group}_mean_delay_3h", number, f"mean delay of departures, {same}", "min"))
        listed.append(Feature(f"{group}_behind_share_3h", number, f"departures 15 min behind, {same}"))
    counts = [
        ("origin_scheduled_1h", "departures planned from the origin in the last hour", ""),
        ("carrier_origin_scheduled_1h", "the same carrier's planned departures there in the last hour", ""),
        ("dest_scheduled_1h", "departures planned to the same destination in the last hour, local clocks", ""),
        ("aircraft_inbound_delay_min", "arrival delay of the leg that brought the aircraft, if it has landed", "min"),
        ("aircraft_inbound_ago_min", "minutes since that leg landed", "min"),
    ]
    listed += [Feature(name, number, about, unit, needs_complete=True) for name, about, unit in counts]
    return tuple(listed)


FEATURES = _described()
