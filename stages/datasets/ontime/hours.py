"""What the flight's own day tells: who left this airport in the last three hours, what is planned, what has landed.

Only the month itself is looked at: in the first hours of its first day less is known than could be.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.datasets.ontime.codes import Coded, Ints
from stages.datasets.ontime.flights import DELAY_AT_MOST_MIN, ELAPSED_AT_MOST_MIN
from stages.records.clock import MINUTES_PER_DAY
from stages.records.windows import MAX_MINUTE, Questions, code_pairs, moments, running, sort_with

RECENT_MIN, PLANNED_MIN, INBOUND_MIN = 180, 60, 1080
BEHIND_MIN = 15
SHORTEST_DELAY_MIN, LONGEST_DELAY_MIN = -30, 300  # beyond them a delay counts as this much
DELAY_BITS = 9
LONGEST_ZONE_MIN = 480
LOOKS_BACK = timedelta(
    minutes=INBOUND_MIN + DELAY_AT_MOST_MIN + ELAPSED_AT_MOST_MIN + LONGEST_ZONE_MIN + MINUTES_PER_DAY + 60
)
"""The leg that brought the aircraft may have landed 18 h ago, three days late after a flight of 15 hours to where the
calendar is a day ahead and a clock was changed: all that the checks and `_landings` let pass.  By the clocks of their
origins a leg that came over a zone border may even seem to leave after the flight that its landing tells of."""


class Airports:
    """The flights of one month in the order of their origins, and of carriers at them; sorted once, asked often."""

    def __init__(self, coded: Coded) -> None:
        """Sort by (origin, scheduled minute) and by (carrier and origin, scheduled minute)."""
        origin = coded.codes["origin"]
        both, _ = code_pairs(coded.codes["carrier"], origin, coded.size)
        self.groups = {"origin": origin, "carrier_origin": both}
        self.questions = {name: Questions(moments(group, coded.at)) for name, group in self.groups.items()}


def last_hours(flights: pl.DataFrame, coded: Coded, airports: Airports) -> pl.DataFrame:
    """Mean delay, and share of delays of 15 minutes and more, of the flights that had left by the scheduled minute."""
    left = flights["dep_delay_min"].is_not_null().to_numpy()
    delay = flights["dep_delay_min"].fill_null(0).to_numpy().astype(np.int64)[left]
    planned = coded.at[left]
    at = planned + np.maximum(delay, 0)
    at += coded.clock_changed(planned, at)
    told = _clipped(delay)
    found: dict[str, pl.Series] = {}
    for group, questions in airports.questions.items():
        events, delays = sort_with(moments(airports.groups[group][left], at), told, DELAY_BITS)
        low, high = questions.ranges(events, RECENT_MIN)
        n = high - low
        delays += SHORTEST_DELAY_MIN
        averaged: dict[str, Ints | NDArray[np.bool_]] = {"mean_delay": delays, "behind_share": delays >= BEHIND_MIN}
        for name, values in averaged.items():
            sums = running(values)
            mean = np.divide(sums[high] - sums[low], n, out=np.full(len(n), np.nan), where=n > 0)
            answers = questions.in_order(mean.astype(np.float32))
            found[f"{group}_{name}_3h"] = pl.Series(answers, nan_to_null=True)
    return pl.DataFrame(found)


def congestion(coded: Coded, airports: Airports) -> pl.DataFrame:
    """Departures planned in the last hour, this one included; those to one destination each by their own clock."""
    dest = Questions(moments(coded.codes["dest"], coded.at))
    counted = {**airports.questions, "dest": dest}
    return pl.DataFrame(
        {
            f"{group}_scheduled_1h": questions.count_own(PLANNED_MIN).astype(np.int16)
            for group, questions in counted.items()
        }
    )


def inbound(flights: pl.DataFrame, coded: Coded) -> pl.DataFrame:
    """The last leg that brought the aircraft to this airport and has landed: how late it was, how long ago.

    Both clocks are this airport's, so no zone needs to be known.  A leg that has not landed tells nothing, nor does one
    of an aircraft that stands elsewhere: it was swapped in, which is known only once delays are.
    """
    seen = flights["tailnum"].unique().drop_nulls().sort()
    tails = flights["tailnum"].cast(pl.Enum(seen)).to_physical()
    here = _aircraft_at(tails, coded, "origin")
    legs = flights.select("sched_dep_min", "sched_arr_min", "sched_elapsed_min", "arr_delay_min", "late")
    landed, delay, is_leg = _landings(legs, coded)
    is_leg &= tails.is_not_null().to_numpy()
    there = _aircraft_at(tails, coded, "dest")
    events, delays = sort_with(moments(there[is_leg], landed[is_leg]), _clipped(delay[is_leg]), DELAY_BITS)
    questions = Questions(moments(here, coded.at))
    low, high = questions.ranges(events, INBOUND_MIN)
    found = high > low  # the last one before the question, and of several in that minute the longest delay
    last = np.where(found, high - 1, 0)
    missing = np.zeros(1, dtype=np.int64)
    ago = questions.sorted - (events if len(events) else missing)[last]
    answers = {
        "aircraft_inbound_delay_min": (delays if len(events) else missing)[last] + SHORTEST_DELAY_MIN,
        "aircraft_inbound_ago_min": ago,
    }
    known = questions.in_order(found) & tails.is_not_null().to_numpy()
    return pl.DataFrame(
        {name: _masked(questions.in_order(values).astype(np.int16), known) for name, values in answers.items()}
    )


def _clipped(delay: Ints) -> Ints:
    """Delays as numbers from 0 on, to be packed."""
    return np.clip(delay, SHORTEST_DELAY_MIN, LONGEST_DELAY_MIN) - SHORTEST_DELAY_MIN


def _aircraft_at(tails: pl.Series, coded: Coded, column: str) -> Ints:
    return tails.fill_null(0).to_numpy().astype(np.int64) * coded.size + coded.codes[column]


def _landings(legs: pl.DataFrame, coded: Coded) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """By the clock of the destination: the minute of landing, the delay, and whether that can be told."""
    dep, arr, elapsed, delay = (
        legs[name].fill_null(0).to_numpy().astype(np.int64)
        for name in ("sched_dep_min", "sched_arr_min", "sched_elapsed_min", "arr_delay_min")
    )
    half = MINUTES_PER_DAY // 2
    zone = (arr - dep - elapsed + half) % MINUTES_PER_DAY - half
    due = coded.at + elapsed + zone + MINUTES_PER_DAY * coded.is_far_pacific("dest")
    landed = due + np.maximum(delay, 0)
    landed += coded.clock_changed(due, landed)
    is_leg = legs["late"].is_not_null().to_numpy() & (np.abs(zone) <= LONGEST_ZONE_MIN)
    return landed, delay, is_leg & (landed >= 0) & (landed < MAX_MINUTE)


def _masked(values: NDArray[np.int16], known: NDArray[np.bool_]) -> pl.Series:
    return pl.Series(values).to_frame("value").select(pl.when(pl.Series(known)).then(pl.col("value")))["value"]
