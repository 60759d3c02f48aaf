"""How are forecasts dealt into parts?  By the moments at which they are made and come due: no label is early."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any

import polars as pl

from stages.records.contract import split_days


def split_by_moment(frame: pl.DataFrame, settings: Mapping[str, Any], _seed: int) -> pl.Series:
    """The part of every line; null where it is made in one part and comes due in the next.

    Train: due by the end of one day; valid: made later, and due by the end of another; test: made later still.  So
    whoever learns from a part knows nothing that was not known when the first forecast of the next one was made.
    """
    train_end, valid_end = (datetime.combine(day, time()) + timedelta(days=1) for day in split_days(settings))
    made, due = pl.col("made_at"), pl.col("due_at")
    part = (
        pl.when(due < train_end)
        .then(pl.lit("train"))
        .when((made >= train_end) & (due < valid_end))
        .then(pl.lit("valid"))
        .when(made >= valid_end)
        .then(pl.lit("test"))
    )
    return frame.select(part.alias("part"))["part"]
