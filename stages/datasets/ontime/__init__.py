"""ontime: will a flight within the US arrive 15 minutes late or more, judged at its scheduled departure?

The Reporting Carrier On-Time Performance of the US Bureau of Transportation Statistics (a US government work, collected
under 14 CFR Part 234): every scheduled domestic flight of the larger carriers since October 1987, about half a million
a month.  One partition per month.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from stages.datasets.ontime.features import FEATURES, Context, build_context, featurize
from stages.datasets.ontime.flights import FLIGHTS, KEY, sign_of_extract, why_unlabelled
from stages.datasets.ontime.history import summarize
from stages.datasets.ontime.hours import LOOKS_BACK
from stages.records.contract import PARTS, Dataset, Outcome, split_values


def reach(partition: str, partitions: Sequence[str]) -> list[str]:
    """The month before, if it is there, and the month itself: no window of past days is longer."""
    before = (date.fromisoformat(f"{partition}-01") - timedelta(days=1)).strftime("%Y-%m")
    return [name for name in partitions if name in (before, partition)]


def departure(flights: pl.DataFrame) -> pl.Series:
    """The scheduled departure by the clock of the origin: of two flights, which is first is told to within hours."""
    minute = pl.duration(minutes=pl.col("sched_dep_min"))
    return flights.select((pl.col("day").cast(pl.Datetime("us")) + minute).alias("moment"))["moment"]


def after_departure(flights: pl.DataFrame, minutes: pl.Expr) -> pl.Series:
    """So many minutes after the scheduled departure, by the clock of the origin."""
    return flights.select(departure(flights) + pl.duration(minutes=minutes)).to_series()


OUTCOMES = (
    Outcome(
        "departed",
        ("dep_min", "dep_delay_min"),
        lambda flights: after_departure(flights, pl.col("dep_delay_min").clip(0)),
    ),
    Outcome(
        "landed",
        ("arr_min", "arr_delay_min"),
        lambda flights: after_departure(flights, pl.col("sched_elapsed_min") + pl.col("arr_delay_min").clip(0)),
    ),
)


def asked_from(summary: pl.DataFrame) -> pl.Series:
    """The midnight after which the counts of a day are asked for, by any airport's own clock."""
    return summary.select((pl.col("day") + 1).cast(pl.Date).cast(pl.Datetime("us")))["day"]


def recall(context: Context, at: datetime) -> Context:
    """The outcomes of the days before the one of ``at``."""
    day = at.toordinal() - date(1970, 1, 1).toordinal()
    return replace(context, known=context.known.filter(pl.col("day") < day))


def split_by_day(frame: pl.DataFrame, settings: Mapping[str, Any], _seed: int) -> pl.Series:
    """Train until one day, validate until another, test until a third, which may be null: the future judges the past.

    Flights after the third day have no part, and no later stage sees them.
    """
    names = ("train_until", "valid_until", "test_until")
    train_until, valid_until, test_until = _days(split_values(settings, *names), names)
    if train_until is None or valid_until is None:
        raise ValueError(f"wanted the days train_until and valid_until; found {train_until} and {valid_until}")
    if not train_until < valid_until or (test_until is not None and not valid_until < test_until):
        raise ValueError(
            f"wanted train_until before valid_until before test_until; found {train_until}, {valid_until}, {test_until}"
        )
    day = pl.col("day")
    part = pl.when(day <= train_until).then(pl.lit(PARTS[0])).when(day <= valid_until).then(pl.lit(PARTS[1]))
    last = part.when(day <= test_until).then(pl.lit(PARTS[2])) if test_until else part.otherwise(pl.lit(PARTS[2]))
    return frame.select(last.alias("part"))["part"]


def _days(texts: Sequence[Any], names: Sequence[str]) -> list[date | None]:
    try:
        return [None if text is None else date.fromisoformat(text) for text in texts]
    except (ValueError, TypeError):
        found = ", ".join(f"{name} {text!r}" for name, text in zip(names, texts, strict=True))
        raise ValueError(f"wanted days such as 2008-06-30; found {found}") from None


DATASET = Dataset(
    name="ontime",
    question="At its scheduled departure, will a flight within the US arrive 15 minutes late or more?",
    task="binary",
    target="late",
    classes=("on time", "late"),
    records=FLIGHTS,
    references=(),
    identity=KEY,
    features=FEATURES,
    forbidden=frozenset({"dep_min", "arr_min", "dep_delay_min", "arr_delay_min", "status", "late"}),
    summarize=summarize,
    context=build_context,
    featurize=featurize,
    split=split_by_day,
    unlabelled=why_unlabelled,
    sign_of_extract=sign_of_extract,
    cluster="day",
    reach=reach,
    moment=departure,
    looks_back=LOOKS_BACK,
    outcomes=OUTCOMES,
    recall=recall,
    asked_from=asked_from,
)
