"""What was known before a given moment?  Sums over past windows, by cumulative sums and as-of joins.

O((n + m) log(n + m)) for n questions and m events, whatever the window: nothing is paired with everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import polars as pl


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


def smoothed_share(hits: pl.Expr, trials: pl.Expr, prior: pl.Expr, weight: float) -> pl.Expr:
    """The share ``hits / trials`` pulled towards ``prior`` as if ``weight`` more trials had shown it."""
    return (hits + weight * prior) / (trials + weight)
