"""What was not known yet of a row that is asked about?  In words, beside its answer."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl

from stages.records.contract import Dataset

QUIET = timedelta(hours=12)
"""Without any outcome, before a row is told that little is known of the hours before it."""


def tell_notes(
    dataset: Dataset, features: pl.DataFrame, moments: pl.Series, seen: pl.DataFrame, at: datetime | None
) -> pl.Series:
    """A note for each row of ``features``; null where nothing lacks.

    Parameters
    ----------
    moments
        When each row is asked about by itself.
    seen
        All rows that were known, themselves included.
    at
        The moment of the question, if it is another.
    """
    moment, asked = pl.lit(moments), pl.lit(at, pl.Datetime("us"))
    told = [
        pl.when(moment > asked).then(
            pl.format("asked {} ahead: what happens until then is not known", _span(moment - asked))
        ),
        pl.when(moment < asked).then(
            pl.format("asked {} after: the answer is that of its own moment", _span(asked - moment))
        ),
    ]
    if dataset.outcomes:
        first = dataset.outcomes[0]
        ends = (moments if at is None else moments.clip(upper_bound=at)).to_numpy()
        happened = np.sort(first.known(seen).drop_nulls().to_numpy())
        quiet = np.searchsorted(happened, ends - np.timedelta64(QUIET)) == np.searchsorted(happened, ends, side="right")
        hours = int(QUIET.total_seconds()) // 3600
        told.append(
            pl.when(pl.lit(pl.Series(quiet))).then(
                pl.lit(f"nothing is known to have {first.name} in the {hours} h before")
            )
        )
    for table in sorted({feature.joined for feature in dataset.features if feature.joined}):
        nothing = [
            pl.col(f.name).is_null() for f in dataset.features if f.joined == table and f.name in features.columns
        ]
        told.append(pl.when(pl.all_horizontal(nothing)).then(pl.lit(f"not found in {table}")))
    note = pl.concat_str(told, separator="; ", ignore_nulls=True)
    return features.select(pl.when(note != "").then(note).alias("_note"))["_note"]


def _span(span: pl.Expr) -> pl.Expr:
    minutes = span.dt.total_minutes()
    hours, rest = minutes // 60, minutes % 60
    return (
        pl.when(rest == 0)
        .then(pl.format("{} h", hours))
        .when(hours == 0)
        .then(pl.format("{} min", rest))
        .otherwise(pl.format("{} h {} min", hours, rest))
    )
