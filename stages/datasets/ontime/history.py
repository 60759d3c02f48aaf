"""What past days tell: shares of late arrivals by group, from daily counts that add up across months.

The windows slide over a small table of (group, day) cells; a flight only looks its own cell up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.datasets.ontime.codes import Coded, Ints, encode
from stages.records.clock import MINUTES_PER_DAY
from stages.records.windows import code_pairs

KNOWN_AFTER_MIN = 480  # seven hours between the clocks of any two airports, and one for a clock just changed
WEIGHT = 20.0  # flights at the prior share that every group starts from
LONGEST_DAYS = 21
"""With the longest delay and flight, a window of three weeks ends within the month before: see `reach`."""

HISTORIES: dict[str, tuple[tuple[str, ...], int]] = {  # name → (columns, days back)
    "carrier": (("carrier",), 7),
    "origin": (("origin",), 7),
    "dest": (("dest",), 14),
    "carrier_origin": (("carrier", "origin"), 21),
    "route": (("origin", "dest"), 21),
    "origin_hour": (("origin", "sched_dep_hour"), 14),
}
SUMMARY = {
    "group": pl.String,
    "first": pl.String,
    "second": pl.String,
    "day": pl.Int32,
    "flights": pl.Int32,
    "late": pl.Int32,
}


def summarize(flights: pl.DataFrame) -> pl.DataFrame:
    """Outcomes of one month, counted by group and by the day (since 1970) on which they were known everywhere.

    By the clock of its origin, a flight has landed its scheduled time and the longer of its two delays after its
    scheduled departure; `KNOWN_AFTER_MIN` later it has done so by every clock, those of `FAR_PACIFIC` excepted.
    """
    flown = flights.filter(pl.col("late").is_not_null())
    if flown.is_empty():
        return pl.DataFrame(schema=SUMMARY)
    coded = encode(flown)
    delays = pl.max_horizontal("arr_delay_min", "dep_delay_min", pl.lit(0, pl.Int16)).cast(pl.Int32)
    duration = flown.select((pl.col("sched_elapsed_min") + delays).alias("min"))["min"].to_numpy().astype(np.int64)
    known = coded.first_day + (coded.at + duration + KNOWN_AFTER_MIN) // MINUTES_PER_DAY
    late = flown["late"].to_numpy()
    counts = [_count(coded, group, known, late) for group in ("all", *HISTORIES)]
    return pl.concat(counts).with_columns(pl.col("first", "second").cast(pl.String))


def _count(coded: Coded, group: str, known: Ints, late: NDArray[np.uint8]) -> pl.DataFrame:
    """One row for each cell (group, known day) that holds an outcome."""
    numbers, pairs = _numbers(coded, group)
    start, days = int(known.min()), int(known.max() - known.min()) + 1
    cells = numbers * days + (known - start)
    flights = np.bincount(cells)
    filled = np.flatnonzero(flights)
    behind = np.bincount(cells[late == 1], minlength=len(flights))
    pair = pairs[filled // days]
    return pl.DataFrame(
        {
            "group": pl.repeat(group, len(filled), eager=True),
            "first": _named(pair // coded.size, coded.names),
            "second": _named(pair % coded.size, coded.names),
            "day": (filled % days + start).astype(np.int32),
            "flights": flights[filled].astype(np.int32),
            "late": behind[filled].astype(np.int32),
        }
    )


def _named(codes: Ints, names: pl.Enum) -> pl.Series:
    return names.categories.gather(pl.Series(codes))


def _numbers(coded: Coded, group: str) -> tuple[Ints, Ints]:
    """The dense number of each flight's group, and the pair of codes behind each number."""
    columns = HISTORIES[group][0] if group in HISTORIES else ()
    nothing = np.zeros(len(coded.day), dtype=np.int64)
    first, second = ([coded.codes[name] for name in columns] + [nothing, nothing])[:2]
    return code_pairs(first, second, coded.size)


def past_days(coded: Coded, known: pl.DataFrame) -> pl.DataFrame:
    """Shares of late arrivals over the days before each flight's; null while nothing at all is known.

    ``known`` holds summaries, several rows for one cell included.
    """
    if not len(coded.day):
        return pl.DataFrame(schema=dict.fromkeys(_names(), pl.Float32))
    table = _Table(coded, {str(group): rows for (group,), rows in known.group_by("group")})
    everyone = table.sums("all")
    shares = [_share(*everyone.last(back)) for back in (1, 7)]
    found = [everyone.look_up(share) for share in shares]
    for group, (_, back) in HISTORIES.items():
        sums = table.sums(group)
        n, k = sums.last(back)
        found.append(sums.look_up((k + WEIGHT * shares[1]) / (n + WEIGHT)))
    return pl.DataFrame([pl.Series(name, share, nan_to_null=True) for name, share in zip(_names(), found, strict=True)])


def _names() -> list[str]:
    histories = [f"{group}_late_share_{back}d" for group, (_, back) in HISTORIES.items()]
    return ["all_late_share_1d", "all_late_share_7d", *histories]


def _share(n: Ints, k: Ints) -> NDArray[np.float64]:
    share: NDArray[np.float64] = np.divide(k, n, out=np.full(n.shape, np.nan), where=n > 0)
    return share


@dataclass(frozen=True)
class _Sums:
    """Flights and late ones known before each day, shape (groups, days + 1), from the longest window's first day on."""

    flights: Ints
    late: Ints
    row: Ints
    """The group of each flight."""
    asked: Ints
    """The day that each flight asks at, counted from the first that any asks at."""

    def last(self, back: int) -> tuple[Ints, Ints]:
        """Both sums over the ``back`` days before each asked day: shape (groups, asked days)."""
        until, since = slice(LONGEST_DAYS, None), slice(LONGEST_DAYS - back, -back)
        return self.flights[:, until] - self.flights[:, since], self.late[:, until] - self.late[:, since]

    def look_up(self, share: NDArray[np.float64]) -> NDArray[np.float32]:
        """Each flight's own cell."""
        return np.asarray(share.astype(np.float32)[self.row, self.asked])


class _Table:
    """The daily counts that one month of flights may ask for, by group."""

    def __init__(self, coded: Coded, known: Mapping[str, pl.DataFrame]) -> None:
        asked = coded.day - coded.is_far_pacific("origin")
        self._coded, self._known = coded, known
        self._first, self._asked = int(asked.min()), asked - asked.min()
        self._n_days = int(self._asked.max()) + LONGEST_DAYS

    def sums(self, group: str) -> _Sums:
        """Cells of groups or days that no flight asks for are dropped."""
        row, pairs = _numbers(self._coded, group)
        known, size, n_days = self._known.get(group, pl.DataFrame(schema=SUMMARY)), self._coded.size, self._n_days
        row_of = np.full(size * size, -1, dtype=np.int64)
        row_of[pairs] = np.arange(len(pairs))
        codes = known.with_columns(pl.col("first", "second").cast(self._coded.names, strict=False).to_physical())
        first, second, day, *counts = (
            column.to_numpy().astype(np.int64) for column in codes.drop_nulls().drop("group").get_columns()
        )
        rows, days = row_of[first * size + second], day - (self._first - LONGEST_DAYS)
        inside = (rows >= 0) & (days >= 0) & (days < n_days)
        cells = rows[inside] * n_days + days[inside]
        flights, late = (
            _sums_before_each_day(np.bincount(cells, weights=count[inside], minlength=len(pairs) * n_days), n_days)
            for count in counts
        )
        return _Sums(flights, late, row, self._asked)


def _sums_before_each_day(counts: NDArray[np.generic], n_days: int) -> Ints:
    """Running sums along the days, those of the first day being zero."""
    counted = counts.astype(np.int64).reshape(-1, n_days)
    return np.pad(np.cumsum(counted, axis=1), ((0, 0), (1, 0)))


def add_up(summaries: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The summaries of several months, in any order: cells that occur twice are added where they are looked up."""
    return pl.concat(summaries) if summaries else pl.DataFrame(schema=SUMMARY)
