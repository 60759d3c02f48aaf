"""Forecasts with a rule in them: two series, two horizons, four months of lines every six hours."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from stages.features.table import Column, FeatureTable, as_enums
from stages.models.direct import DirectSettings
from stages.models.rows import Share, Training

FIRST, VALID_FROM, TEST_FROM, LAST = (datetime(2020, month, 1) for month in (1, 3, 4, 7))
HOURS = {"6 h": 6, "24 h": 24}
CATEGORIES = {"horizon": tuple(sorted(HOURS)), "series": ("A", "B")}
NUMBERS = ("x", "naive_seasonal", "volatility_bp")
COLUMNS = tuple(
    Column(name, "categorical" if name in CATEGORIES else "numeric", name, "", CATEGORIES.get(name, ()), always=True)
    for name in ("horizon", "series", *NUMBERS)
)
SETTINGS = DirectSettings.model_validate(
    {
        "family": "direct", "max_depth": 2, "learning_rate": 0.3, "min_child_weight": 1.0, "subsample": 0.8,
        "colsample_bytree": 1.0, "reg_lambda": 1.0, "max_bin": 32, "max_rounds": 12, "early_stopping_rounds": 3,
        "refit": "month", "point": "tested", "interval": "even", "calibrate_days": 20, "adapt": 0.05,
    }
)  # fmt: skip


def forecasts(seed: int = 1, rule: float = 2.0) -> pl.DataFrame:
    """Lines in order of time; the change is ``rule`` times x, and noise that spreads with the volatility."""
    rng, lines = np.random.default_rng(seed), []
    made = FIRST
    while made < LAST:
        for series in ("A", "B"):
            for horizon, hours in HOURS.items():
                due = made + timedelta(hours=hours)
                cuts = [("train", FIRST, VALID_FROM), ("valid", VALID_FROM, TEST_FROM), ("test", TEST_FROM, LAST)]
                part = next((name for name, start, stop in cuts if start <= made and due <= stop), None)
                lines.append((horizon, series, made, due, part))
        made += timedelta(hours=6)
    frame = pl.DataFrame(lines, schema=["horizon", "series", "made_at", "due_at", "part"], orient="row")
    n = len(frame)
    x, seasonal, volatility = rng.normal(size=n), rng.normal(size=n), rng.uniform(0.5, 4.0, n)
    return frame.with_columns(
        pl.col("made_at", "due_at").cast(pl.Datetime("us")),
        pl.col("made_at").dt.date().alias("day"),
        x=pl.Series(x, dtype=pl.Float32).set(pl.Series(rng.random(n) < 0.05), None),
        naive_seasonal=pl.Series(seasonal, dtype=pl.Float32),
        volatility_bp=pl.Series(volatility, dtype=pl.Float32),
        level=pl.lit(100.0),
        change=rule * x + 0.3 * volatility * rng.normal(size=n),
    )


def table_of(frame: pl.DataFrame, folder: Path, lines: int = 1000) -> FeatureTable:
    """The frame as a table of partitions of so many lines."""
    folder.mkdir(parents=True, exist_ok=True)
    partitions = []
    for number, start in enumerate(range(0, len(frame), lines)):
        own = frame[start : start + lines]
        own.write_parquet(folder / f"{number:03d}.parquet")
        parts = {part: own.filter(pl.col("part") == part, pl.col("change").is_not_null()).height for part in PARTS}
        partitions.append({"name": f"{number:03d}", "rows": len(own), "parts": parts})
    return FeatureTable(
        folder, "planted", "how far will it move?", "forecast", "change", "bp", (), "day", COLUMNS, tuple(partitions)
    )


PARTS = ("train", "valid", "test")


def training_of(table: FeatureTable, train: FeatureTable | None = None, threads: int = 1) -> Training:
    """One training on the table; ``train`` where its train part is another's."""
    return Training(Share(train or table, table), {}, 7, threads, 1 << 33, "planted", lambda *_: None)


def inputs(frame: pl.DataFrame) -> pl.DataFrame:
    """Lines as they are scored, with the moment that they are made at."""
    names = [column.name for column in COLUMNS]
    return as_enums(frame.select(*names, "made_at", "level"), COLUMNS)


def without(table: FeatureTable, name: str) -> FeatureTable:
    """The table without a feature."""
    return replace(table, columns=tuple(column for column in table.columns if column.name != name))
