"""How are forecasts, and how they did, written as tables?"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from stages.forecasts.judged import Figure, Judged
from stages.pages.numbers import UNKNOWN, decimals_of, estimate_text, figure, fixed, share_text
from stages.pages.tables import Column, Table, table

FORECASTS: tuple[Column | str, ...] = (
    Column("series", "name"), Column("made at (UTC)", "short"), Column("ahead", "short"), "now", "forecast",
    "from 10 % to 90 %", "naive",
)  # fmt: skip


def forecast_table(forecasts: pl.DataFrame, first: int = 10_000) -> Table:
    """A line a forecast: what is now, what will be, within which ends; and what came true, where that is known."""
    rows, came_true = [], ["value"] if "value" in forecasts.columns else []
    for row in forecasts.iter_rows(named=True):
        places = decimals_of(row["now"], row["forecast"]) or 0
        now, forecast, low, high, naive, *value = (
            fixed(row[name], places) for name in ("now", "forecast", "low", "high", "naive", *came_true)
        )
        told = [row["series"], f"{row['made_at']:%Y-%m-%d %H:%M}", row["horizon"]]
        rows.append([*told, now, forecast, f"{low} to {high}", naive, *value])
    return table("forecasts", [*FORECASTS, *(["came true"] if came_true else [])], rows, first)


def horizon_table(judged: Sequence[Judged], unit: str) -> Table:
    """How the forecasts of each horizon did, beside the best naive one."""
    heads: list[Column | str] = [
        Column("ahead", "name"), "n", f"MAE ({unit})", "naive", "difference", "skill", "80 % interval holds",
    ]  # fmt: skip
    return table("how those did that have come true", heads, [_row(each) for each in judged])


def _row(of: Judged) -> list[str]:
    mae, skill, coverage = (of.figures[name] for name in ("mae", "skill", "coverage"))
    gained = UNKNOWN if of.gained is None else estimate_text(of.gained.value, of.gained.low, of.gained.high, sign=True)
    return [
        of.name, f"{of.rows:,}", figure(mae.value), figure(of.naive_mae), gained, share_text(skill.value),
        share_words(coverage),
    ]  # fmt: skip


def share_words(found: Figure) -> str:
    """A share with its interval, where there is one."""
    if found.low is None:
        return share_text(found.value)
    return f"{share_text(found.value)} [{share_text(found.low)}, {share_text(found.high)}]"
