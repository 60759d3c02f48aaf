"""What does a model say of lines that ask ahead, in the unit in which people know the series?

A model answers with changes from a level.  Where the level is the value itself (degrees), a change adds to it; where it
is another one (10,000 basis points), a change is a share of the value: it is scaled by value over level.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from stages.models.contract import Model
from stages.models.forecasts import DUE_AT, HIGH, HORIZON, LEVEL_NOW, LOW, MADE_AT, MEDIAN, NAIVE, POINT, SCALE, SERIES
from stages.models.signature import Tally

VALUES = {"forecast": POINT, "low": LOW, "median": MEDIAN, "high": HIGH, "naive": NAIVE}
"""Columns of a forecast that are values of the series, and where the scores have their changes."""
MADE = {
    SERIES: pl.String(), HORIZON: pl.String(), MADE_AT: pl.Datetime("us"), DUE_AT: pl.Datetime("us"),
    "now": pl.Float64(), LEVEL_NOW: pl.Float64(), **dict.fromkeys(VALUES, pl.Float64()), "scale": pl.Float64(),
}  # fmt: skip
UNIT = pl.when(pl.col("now") == pl.col(LEVEL_NOW)).then(1.0).otherwise(pl.col("now") / pl.col(LEVEL_NOW))
"""What a change of one is in the unit of the series."""


def make_forecasts(
    model: Model, signature: Mapping[str, Any], features: pl.DataFrame, observed: pl.DataFrame
) -> pl.DataFrame:
    """The forecasts (`MADE`) of lines with their identity; a series without a value at its moment has none.

    Parameters
    ----------
    observed
        See `Dataset.observed`: among it the values at the moments at which the forecasts are made.
    """
    now = observed.select(pl.col("series").alias(SERIES), pl.col("at").alias(MADE_AT), pl.col("value").alias("now"))
    lines = features.join(now, on=[SERIES, MADE_AT], how="inner", maintain_order="left")
    if lines.is_empty():
        return pl.DataFrame(schema=MADE)
    inputs = Tally(signature["inputs"]).fit(lines)
    scores = model.predict(inputs.with_columns(lines[MADE_AT], lines[LEVEL_NOW]))
    changes = {name: pl.Series(scores[:, place]).cast(pl.Float64) for name, place in VALUES.items()}
    scale = pl.Series(scores[:, SCALE]).cast(pl.Float64)
    values = [(pl.col("now") + pl.lit(change) * UNIT).alias(name) for name, change in changes.items()]
    return lines.with_columns(*values, scale.alias("scale")).select(
        pl.col(name).cast(kind) for name, kind in MADE.items()
    )
