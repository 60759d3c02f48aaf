"""The published rates: one line a day, newest first, a column for each currency, "N/A" where there is no rate."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from stages.datasets.rates.business_days import FIRST, LAST, business_days, is_business_day
from stages.records.contract import Table
from stages.records.lines import lacking_words, read_lines
from stages.records.plain import open_zipped

if TYPE_CHECKING:
    import pandera.polars as pa

FILE = "eurofxref-hist.zip"
QUOTED = (  # today
    *("USD", "JPY", "CZK", "DKK", "GBP", "HUF", "PLN", "RON", "SEK", "CHF", "ISK", "NOK", "TRY", "AUD", "BRL"),
    *("CAD", "CNY", "HKD", "IDR", "ILS", "INR", "KRW", "MXN", "MYR", "NZD", "PHP", "SGD", "THB", "ZAR"),
)
LAST_QUOTED = {
    **{"SIT": "2006-12-29", "CYP": "2007-12-31", "MTL": "2007-12-31", "SKK": "2008-12-31", "EEK": "2010-12-31"},
    **{"LVL": "2013-12-31", "LTL": "2014-12-31", "HRK": "2022-12-30", "BGN": "2025-12-31"},  # these joined the euro
    **{"TRL": "2004-12-31", "ROL": "2005-06-30"},  # a new lira, a new leu
    "RUB": "2022-03-01",  # sanctions
}
CURRENCIES = tuple(sorted((*QUOTED, *LAST_QUOTED)))
NO_RATE = "N/A"


YEAR = pl.col("Date").str.extract(r"^\s*(1999|20[0-4]\d|2050)-\d\d-\d\d\s*$")
"""The partition that a published day names: none beyond the calendar, so that no misprint founds one."""


def years(raw: Path) -> list[str]:
    """Years with a published day."""
    found: list[str] = _published(raw)["_year"].unique().drop_nulls().sort().to_list()
    return found


def read(raw: Path, partition: str) -> pl.DataFrame:
    """The published days of one year, oldest first; a line that names no day goes with the one before it."""
    days = _published(raw)
    return days.filter(pl.col("_year") == partition).drop("_year")


def _published(raw: Path) -> pl.DataFrame:
    path = raw / FILE
    status = path.stat()
    return _read_published(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1)
def _read_published(path: Path, _changed_ns: int, _size: int) -> pl.DataFrame:
    with open_zipped(path) as lines:
        days = read_lines(lines).reverse()
    if lacking := lacking_words(days.columns, ("Date", *CURRENCIES)):
        raise ValueError(lacking)
    nameless = [name for name in days.columns if not name]  # what follows the comma that ends every line
    year = YEAR.fill_null(strategy="forward").fill_null(strategy="backward")
    return days.drop(nameless).with_columns(year.alias("_year"))


def parse(raw: pl.DataFrame) -> pl.DataFrame:
    """The day, and units of each currency that one euro buys."""
    rates = [pl.col(name).str.strip_chars().cast(pl.Float64, strict=False) for name in CURRENCIES]
    return raw.select(
        pl.col("Date").str.strip_chars().str.to_date("%Y-%m-%d", strict=False).alias("day"),
        *(pl.when(rate.is_finite()).then(rate) for rate in rates),
    )


def schema(_partition: str) -> pa.DataFrameSchema:
    """Business days, each once, and rates above zero."""
    import pandera.polars as pa  # most of a second to import; only `clean` validates

    def business(data: pa.PolarsData) -> pl.LazyFrame:
        days = data.lazyframe.select(data.key).collect().to_series()
        is_open = is_business_day(days.fill_null(FIRST).to_numpy().astype("datetime64[D]"))
        return pl.LazyFrame({"day": days.is_null() | pl.Series(is_open)})

    # Pandera's own `unique` reports every copy; here the first one passes
    first = pa.Check(
        lambda data: data.lazyframe.select(pl.col("day").is_null() | pl.col("day").is_first_distinct()), name="unique"
    )

    def rate() -> pa.Column:
        return pa.Column(pl.Float64, pa.Check.gt(0), nullable=True)

    return pa.DataFrameSchema(
        {
            "day": pa.Column(pl.Date, [pa.Check.in_range(FIRST, LAST), pa.Check(business, name="business_day")]),
            **{name: rate() for name in CURRENCIES},
        },
        checks=[first],
        strict=True,
    )


RATES = Table(
    name="rates",
    columns=("Date", *CURRENCIES),
    partitions=years,
    read=read,
    parse=parse,
    schema=schema,
    key=("day",),
    parsed_from={"day": "Date", **{name: name for name in CURRENCIES}},
    null_texts=("", NO_RATE),
    day="day",
    calendar=business_days,
    partition_of=YEAR,
    derived={name: pl.when(pl.col("Date") > day).then(pl.lit(NO_RATE)) for name, day in LAST_QUOTED.items()},
)
