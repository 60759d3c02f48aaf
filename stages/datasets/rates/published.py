"""The published rates: one line a day, newest first, a column for each currency, "N/A" where there is no rate."""

from __future__ import annotations

import zipfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from stages.datasets.rates.business_days import FIRST, LAST, business_days, is_business_day
from stages.records.contract import Table
from stages.records.lines import read_lines

if TYPE_CHECKING:
    import pandera.polars as pa

FILE = "eurofxref-hist.zip"
QUOTED = (  # today
    *("USD", "JPY", "CZK", "DKK", "GBP", "HUF", "PLN", "RON", "SEK", "CHF", "ISK", "NOK", "TRY", "AUD", "BRL"),
    *("CAD", "CNY", "HKD", "IDR", "ILS", "INR", "KRW", "MXN", "MYR", "NZD", "PHP", "SGD", "THB", "ZAR"),
)
# joined the euro, were replaced by a new unit (ROL, TRL), or are no longer quoted (RUB, since 2 March 2022)
NO_LONGER_QUOTED = ("BGN", "CYP", "EEK", "HRK", "LTL", "LVL", "MTL", "ROL", "RUB", "SIT", "SKK", "TRL")
CURRENCIES = tuple(sorted((*QUOTED, *NO_LONGER_QUOTED)))
NO_RATE = "N/A"


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
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if len(names) != 1:
            raise ValueError(f"wanted one file in {path.name}; found {', '.join(names) or 'none'}")
        with archive.open(names[0]) as lines:
            days = read_lines(lines).reverse()
    nameless = [name for name in days.columns if not name]  # what follows the comma that ends every line
    year = YEAR.fill_null(strategy="forward").fill_null(strategy="backward")
    return days.drop(nameless).with_columns(year.alias("_year"))


YEAR = pl.col("Date").str.extract(r"^\s*(\d{4})-\d{2}-\d{2}\s*$")
"""The partition that a published day names."""


def parse(raw: pl.DataFrame) -> pl.DataFrame:
    """The day, and units of each currency that one euro buys."""
    rates = [pl.col(name).str.strip_chars().cast(pl.Float64, strict=False) for name in CURRENCIES]
    return raw.select(
        pl.col("Date").str.strip_chars().str.to_date("%Y-%m-%d", strict=False).alias("day"),
        *(pl.when(rate.is_finite()).then(rate) for rate in rates),
    )


def schema(partition: str) -> pa.DataFrameSchema:
    """A business day of its year, each once, and rates above zero."""
    import pandera.polars as pa  # most of a second to import; only `clean` validates

    def business(data: pa.PolarsData) -> pl.LazyFrame:
        days = data.lazyframe.select(data.key).collect().to_series()
        is_open = is_business_day(days.fill_null(FIRST).to_numpy().astype("datetime64[D]"))
        return pl.LazyFrame({"day": days.is_null() | pl.Series(is_open)})

    def rows(name: str, holds: pl.Expr) -> pa.Check:
        return pa.Check(lambda data: data.lazyframe.select(holds.fill_null(True)), name=name)

    def rate() -> pa.Column:
        return pa.Column(pl.Float64, pa.Check.gt(0), nullable=True)

    return pa.DataFrameSchema(
        {
            "day": pa.Column(pl.Date, [pa.Check.in_range(FIRST, LAST), pa.Check(business, name="business_day")]),
            **{name: rate() for name in CURRENCIES},
        },
        checks=[
            # Pandera's own `unique` reports every copy; here the first one passes
            rows("unique", pl.col("day").is_first_distinct() | pl.col("day").is_null()),
            rows("in_its_year", pl.col("day").dt.year() == int(partition or 0)),
        ],
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
    derived={name: pl.lit(NO_RATE) for name in NO_LONGER_QUOTED},
)
