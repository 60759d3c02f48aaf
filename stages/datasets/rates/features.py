"""What was known of a currency when its rate was published: past returns, their spread, the euro's own moves.

Places count business days, so "20 days ahead" is a month, holidays or not; a day without a rate is a gap and stays one.
Returns are differences of logarithms in basis points (1 bp = 1/10,000).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.datasets.rates.business_days import CALENDAR, Days, days_ahead, number_days, published_at
from stages.datasets.rates.published import CURRENCIES
from stages.records.contract import Feature, Kind

Floats = NDArray[np.float64]
HORIZONS = (1, 5, 20)
"""Business days: tomorrow, in a week, in a month."""
BP = 1e4
YEAR, WEEK = 250, 5
RETURNS = (1, 2, 5, 10, 20, 60)
VOLATILITIES = (5, 20, 60, YEAR)
MARKET = (1, 5, 20)
RANGES = (60, YEAR)
DECAY = 0.94  # of the weights of squared returns from day to day, as RiskMetrics (1996) has it
DECAY_DAYS = 60  # beyond, 2 % of the weight is left


def summarize(rates: pl.DataFrame) -> pl.DataFrame:
    """Of a year, all that others may know of it: its rates."""
    return rates.select("day", *CURRENCIES)


def build_context(summaries: Sequence[pl.DataFrame], _references: Any) -> pl.DataFrame:
    """The rates of the years in reach, in any order."""
    return pl.concat(summaries)


def recall(context: pl.DataFrame, at: datetime) -> pl.DataFrame:
    """What had been published at ``at``."""
    return context.filter(published_at(pl.col("day")) <= at)


class Grid:
    """Rates by business day and currency (days, currencies), not a number where there is none, and the days asked."""

    def __init__(self, seen: pl.DataFrame, asked: pl.DataFrame) -> None:
        """``asked`` are among ``seen``; there is room for a year before and for the longest horizon after them."""
        numbers = number_days(seen["day"].to_numpy().astype("datetime64[D]"))
        first = int(numbers.min(initial=0)) - YEAR
        self.rates = np.full((int(numbers.max(initial=0)) - first + 1 + max(HORIZONS), len(CURRENCIES)), np.nan)
        self.rates[numbers - first] = seen.select(CURRENCIES).to_numpy()
        self.asked = number_days(asked["day"].to_numpy().astype("datetime64[D]")) - first
        self.logs = BP * np.log(self.rates)
        self.returns = np.diff(self.logs, axis=0, prepend=np.nan)

    def moved(self, days: int) -> Floats:
        """The return over so many days until each day asked (asked, currencies)."""
        moved: Floats = self.logs[self.asked] - self.logs[self.asked - days]
        return moved

    def last_year(self, values: Floats) -> Floats:
        """The last `YEAR` of ``values`` until each day asked (asked, currencies, days), oldest first.

        Laid out so that sums over days are taken in the same order, however many days are asked.
        """
        found = values[self.asked[:, None] + np.arange(1 - YEAR, 1)]
        return np.ascontiguousarray(np.moveaxis(found, 1, 2))


def mean_known(values: Floats, weights: Floats | float = 1.0) -> Floats:
    """The mean over the last axis of what is known; not a number where that is less than half of it."""
    known = ~np.isnan(values)
    enough = 2 * known.sum(axis=-1) >= values.shape[-1]
    total = np.where(known, values * weights, 0.0).sum(axis=-1)
    return np.where(enough, total / np.where(enough, (known * weights).sum(axis=-1), 1), np.nan)


def featurize(
    rates: pl.DataFrame, context: pl.DataFrame, last: int | None = None, at: datetime | None = None
) -> pl.DataFrame:
    """A line for each currency and horizon of every day, or of the ``last`` ones.

    The year of ``rates`` is known from them alone, the years around it from ``context``.  Published rates are what is
    asked from, so a question ``at`` an earlier moment would be none.
    """
    del at
    asked = rates if last is None else rates.tail(last)
    others = context.filter(~pl.col("day").dt.year().is_in(rates["day"].dt.year().unique().implode()))
    grid = Grid(pl.concat([others, summarize(rates)]), asked)
    days = asked["day"].to_numpy().astype("datetime64[D]")
    due = np.stack([days_ahead(days, horizon) for horizon in HORIZONS], axis=-1)
    columns = {
        **_asked(grid, days, due),
        **{name: values.astype(np.float32) for name, values in _known(grid).items()},
        "day_of_week": asked["day"].dt.weekday().to_numpy(),
        "days_to_month_end": _days_to_month_end(days),
        "calendar_days": (due - days[:, None]).astype(np.int16)[:, None],
    }
    shape = (len(asked), len(CURRENCIES), len(HORIZONS))
    lines = {
        name: np.broadcast_to(values.reshape(values.shape + (1,) * (3 - values.ndim)), shape).reshape(-1)
        for name, values in columns.items()
    }
    texts = {"series": pl.String, "horizon": pl.String}  # of no lines, the arrays do not tell
    return pl.DataFrame(lines, schema_overrides=texts).with_columns(pl.selectors.float().fill_nan(None))


# ── of a day (days,), a currency's day (days, currencies), a line (days, currencies, horizons) ────────────────────────
def _asked(grid: Grid, days: Days, due: Days) -> dict[str, NDArray[Any]]:
    """What a line asks, and the answer."""
    now = grid.rates[grid.asked]
    later = np.stack([grid.rates[grid.asked + horizon] for horizon in HORIZONS], axis=-1)
    return {
        "day": days,
        "series": np.array(CURRENCIES, dtype=object)[None],
        "horizon": np.array([f"{horizon} d" for horizon in HORIZONS], dtype=object)[None, None],
        "made_at": _moments(days),
        "due_at": _moments(due)[:, None],
        "level": np.where(np.isnan(now), np.nan, BP),
        "change": BP * (later / now[..., None] - 1),
    }


def _known(grid: Grid) -> dict[str, Floats]:
    """Numbers known when the rates of each day were published."""
    horizons = np.array(HORIZONS)
    returns = {days: grid.moved(days) for days in RETURNS}
    squares = grid.last_year(grid.returns**2)
    volatility = {days: np.sqrt(mean_known(squares[..., -days:])) for days in VOLATILITIES}
    weighted = np.sqrt(mean_known(squares[..., -DECAY_DAYS:], DECAY ** np.arange(DECAY_DAYS - 1, -1, -1.0)))
    market = {days: np.broadcast_to(mean_known(returns[days])[:, None], returns[days].shape) for days in MARKET}
    now, year = grid.rates[grid.asked], grid.last_year(grid.rates)
    seasonal = np.stack([grid.rates[grid.asked + h - WEEK * -(-h // WEEK)] for h in HORIZONS], axis=-1)
    return {
        **{f"return_{days}d_bp": values for days, values in returns.items()},
        **{f"volatility_{days}d_bp": values for days, values in volatility.items()},
        "volatility_weighted_bp": weighted,
        "volatility_bp": weighted[..., None] * np.sqrt(horizons),
        **{f"market_return_{days}d_bp": values for days, values in market.items()},
        **{f"own_return_{days}d_bp": returns[days] - values for days, values in market.items()},
        **{f"range_position_{days}d": _position(year[..., -days:]) for days in RANGES},
        "naive_seasonal": BP * (seasonal / now[..., None] - 1),
        "naive_drift": BP * np.expm1(grid.moved(YEAR)[..., None] / BP / YEAR * horizons),
        "naive_climatology": BP * (mean_known(year) / now - 1),
    }


def _position(window: Floats) -> Floats:
    """Where the last value stands between the least (0) and the greatest (1) of its window."""
    last = window[..., -1]
    low, high = (ends(window, axis=-1, where=~np.isnan(window), initial=start) for ends, start in EXTREMES)
    enough = (2 * (~np.isnan(window)).sum(axis=-1) >= window.shape[-1]) & (high > low)
    return np.where(enough, (last - low) / np.where(enough, high - low, 1), np.nan)


EXTREMES = ((np.min, np.inf), (np.max, -np.inf))


def _moments(days: Days) -> NDArray[np.datetime64]:
    """When the rates of each day are published (UTC)."""
    moments = pl.DataFrame({"day": days.reshape(-1)}, schema={"day": pl.Date}).select(published_at(pl.col("day")))
    return moments.to_series().to_numpy().reshape(days.shape)


def _days_to_month_end(days: Days) -> NDArray[np.int16]:
    """Business days that follow in the same month."""
    next_month = days.astype("datetime64[M]") + 1
    return (np.busday_count(days, next_month.astype("datetime64[D]"), busdaycal=CALENDAR) - 1).astype(np.int16)


# ── what each column means ───────────────────────────────────────────────────────────────────────────────────────────
def _described() -> tuple[Feature, ...]:
    number: Kind = "numeric"

    def in_bp(name: str, about: str, *, always: bool = False) -> Feature:
        return Feature(name, number, about, "bp", always=always)

    return (
        Feature("series", "categorical", "currency, of which one euro buys so many units", always=True),
        Feature("horizon", "categorical", "business days from the rate known to the rate asked", always=True),
        *(in_bp(f"return_{days}d_bp", f"return since {days} d before, in business days") for days in RETURNS),
        *(
            in_bp(f"volatility_{days}d_bp", f"root mean square of daily returns over {days} days")
            for days in VOLATILITIES
        ),
        in_bp(
            "volatility_weighted_bp",
            f"root mean square of daily returns over {DECAY_DAYS} days, a day weighing {DECAY} of the next",
        ),
        in_bp("volatility_bp", "weighted volatility times the root of the horizon: the spread to expect", always=True),
        *(in_bp(f"market_return_{days}d_bp", f"mean return of all, since {days} d before") for days in MARKET),
        *(in_bp(f"own_return_{days}d_bp", f"return less the mean of all, since {days} d before") for days in MARKET),
        *(
            Feature(f"range_position_{days}d", number, f"between the least (0) and greatest rate (1) of {days} days")
            for days in RANGES
        ),
        Feature("day_of_week", number, "1 Monday … 5 Friday"),
        Feature("days_to_month_end", number, "business days that follow in the month"),
        Feature("calendar_days", number, "days on the calendar until the rate asked, closed ones included"),
        in_bp("naive_seasonal", "as if the last known rate of the same weekday came again", always=True),
        in_bp("naive_drift", f"as if the mean daily return of {YEAR} days went on", always=True),
        in_bp("naive_climatology", f"as if it went back to its mean of {YEAR} days", always=True),
    )


FEATURES = _described()
