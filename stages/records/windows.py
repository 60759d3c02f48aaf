"""What was known before a given moment?  Sums over past windows, in O((n + m) log(n + m)) for n questions and m events.

Two ways; in both nothing is paired with everything.  `accumulate` and `sums_before` take any frame: cumulative sums,
asked by as-of joins.  `Questions` takes groups and minutes as whole numbers: a moment of a group is one integer,
``group << MINUTE_BITS | minute``, so that one sort puts the events of every group in order and one search finds where a
window begins; nothing is hashed and nothing is joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Number = TypeVar("Number", bound=np.generic)
FEW = 64  # questions
MINUTE_BITS = 17
MAX_MINUTE = 1 << (MINUTE_BITS - 1)
"""Minutes lie below it, so that a window that begins before minute zero finds nothing of the group before."""


# ── any frame: cumulative sums and as-of joins ────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Past:
    """Events added up once, to be asked many times: running sums of ``values`` by group, sorted by time."""

    running: pl.DataFrame
    at: str
    by: tuple[str, ...]
    values: tuple[str, ...]


def accumulate(events: pl.DataFrame, *, at: str, by: Sequence[str], values: Sequence[str]) -> Past:
    """Running sums of the numeric ``values`` over the time column ``at`` (date or datetime) within the groups ``by``.

    Several events may share a moment; nulls among the values count as zero; an event without a moment or a group
    never happened.
    """
    running = (
        events.drop_nulls([at, *by])
        .group_by([*by, at])
        .agg(pl.col(value).sum() for value in values)
        .sort(at, *by)
        .with_columns(pl.col(value).cum_sum().over(by) if by else pl.col(value).cum_sum() for value in values)
    )
    return Past(running, at, tuple(by), tuple(values))


def sums_before(
    questions: pl.DataFrame, past: Past, *, window: timedelta | None = None, include_now: bool = False
) -> pl.DataFrame:
    """For each question (a moment and a group), the sums over the events before it.

    Parameters
    ----------
    questions
        Holds the time and group columns of ``past``, of the same types.
    window
        Only events at most this old count; None counts the whole past.
    include_now
        Whether events at the very moment of the question count.

    Returns
    -------
    One row per question, in the order of ``questions``, and exactly the columns ``past.values``; zero where nothing
    is known.  A question with a null time or group knows nothing.
    """
    if len(questions) <= FEW:
        return _few_sums(questions, past, window, include_now)
    asked = questions.select(pl.int_range(pl.len()).alias("_row"), past.at, *past.by).sort(past.at)
    sums = _running_at(asked, past, include_now)
    if window is not None:
        # an event exactly as old as the window still counts, so what is taken off stops just before it
        before = _running_at(asked.with_columns(pl.col(past.at) - window), past, include_now=False)
        sums = sums.select(pl.col(value) - before[value] for value in past.values)
    return sums.with_columns(asked["_row"]).sort("_row").drop("_row")


def _running_at(asked: pl.DataFrame, past: Past, include_now: bool) -> pl.DataFrame:
    """The running sums at the moments ``asked``, which are sorted by time; in that order."""
    found = asked.join_asof(
        past.running, on=past.at, by=list(past.by) or None, allow_exact_matches=include_now, check_sortedness=False
    )
    return found.select(pl.col(value).fill_null(0) for value in past.values)


def _few_sums(questions: pl.DataFrame, past: Past, window: timedelta | None, include_now: bool) -> pl.DataFrame:
    """The same for the questions of one request, each looked up by itself: joins cost more than these answers."""
    own, asked = past.running, questions.select(past.at, *past.by)
    if past.by:
        own = own.join(asked, on=past.by, how="semi", maintain_order="left")
    groups = own.partition_by(past.by, as_dict=True, maintain_order=True) if past.by else {(): own}
    moments = {group: rows[past.at].to_physical().to_numpy() for group, rows in groups.items()}
    names = asked.select(past.by).rows() if past.by else [()] * len(asked)
    ends = asked[past.at].to_physical().to_list()
    starts = [None] * len(asked) if window is None else (asked[past.at] - window).to_physical().to_list()
    sums: dict[str, list[object]] = {value: [] for value in past.values}
    for group, end, start in zip(names, ends, starts, strict=True):
        last = before = 0
        if group in groups and end is not None:
            last = int(np.searchsorted(moments[group], end, side="right" if include_now else "left"))
            before = 0 if start is None else int(np.searchsorted(moments[group], start, side="left"))
        for value in past.values:
            until = groups[group][value][last - 1] if last else 0
            sums[value].append(until - groups[group][value][before - 1] if before else until)
    return pl.DataFrame({value: pl.Series(sums[value], dtype=own.schema[value]) for value in past.values})


def smoothed_share(hits: pl.Expr, trials: pl.Expr, prior: pl.Expr, weight: float) -> pl.Expr:
    """The share ``hits / trials`` pulled towards ``prior`` as if ``weight`` more trials had shown it."""
    return (hits + weight * prior) / (trials + weight)


# ── small whole numbers: packed integers, sorts and searches ──────────────────────────────────────────────────────────
def moments(groups: Ints, minutes: Ints) -> Ints:
    """One sortable integer for each pair of a group (0, 1, …) and a minute (0 … `MAX_MINUTE`)."""
    if len(minutes) and not 0 <= minutes.min() <= minutes.max() < MAX_MINUTE:
        raise ValueError(f"wanted minutes from 0 to {MAX_MINUTE}; found {minutes.min()} to {minutes.max()}")
    return groups.astype(np.int64) << MINUTE_BITS | minutes


def sort_with(keys: Ints, values: Ints, bits: int) -> tuple[Ints, Ints]:
    """``keys`` in ascending order, and the ``values`` that go with them; of equal keys, the smallest value first.

    Both travel in one integer, which sorts several times faster than an order is found.  Keys are not negative; values
    lie in 0 … 2 ** bits - 1.
    """
    if len(keys) and int(keys.max()) >> (63 - bits):
        raise ValueError(f"wanted keys and values that fit in 63 bits; found {int(keys.max())} and {bits} bits")
    packed = keys << bits
    packed |= values
    packed.sort()
    return packed >> bits, packed & ((1 << bits) - 1)


class Questions:
    """Moments at which something is asked, sorted once, for several windows over the same groups."""

    def __init__(self, asked: Ints) -> None:
        """``asked`` as made by `moments`; answers come in its order."""
        self.sorted, self._rows = sort_with(asked, np.arange(len(asked)), max(len(asked), 1).bit_length())

    def in_order(self, answers: NDArray[Number]) -> NDArray[Number]:
        """Answers to the sorted questions, in the order in which they were asked."""
        placed = np.empty_like(answers)
        placed[self._rows] = answers
        return placed

    def ranges(self, events: Ints, window: int) -> tuple[Ints, Ints]:
        """Where the window of each sorted question begins and ends among the sorted ``events``: before the question."""
        return np.searchsorted(events, self.sorted - window), np.searchsorted(events, self.sorted)

    def count_own(self, window: int) -> Ints:
        """For each question, how many questions lie at most ``window`` minutes before it or at it, itself included."""
        is_last = np.append(self.sorted[1:] != self.sorted[:-1], True)[: len(self.sorted)]
        ends = np.flatnonzero(is_last) + 1  # of runs of equal moments
        high = np.repeat(ends, np.diff(ends, prepend=0))
        return self.in_order(high - np.searchsorted(self.sorted, self.sorted - window))


def running(values: Ints | NDArray[np.bool_]) -> Ints:
    """Sums of all values before each place, and of all of them at the end: ``running[high] - running[low]``."""
    sums = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, out=sums[1:])
    return sums


def code_pairs(first: Ints, second: Ints, size: int) -> tuple[Ints, Ints]:
    """Dense numbers 0, 1, … for the pairs that occur, and the pair ``first * size + second`` behind each number."""
    pairs = first * size + second
    occurs = np.bincount(pairs, minlength=1) > 0
    numbers = np.cumsum(occurs) - 1
    return numbers[pairs], np.flatnonzero(occurs)
