"""The estimate of training's memory: what it counts, and that XGBoost's own pages are as large as it says."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import xgboost as xgb

from stages.models.binned import Partitions
from stages.models.rows import TrainingRows, bytes_of_bins, estimate_from_disk, estimate_in_memory

ROWS = TrainingRows(rows=10_000_000, largest_partition=500_000, columns=22, bins=256, any_missing=False)


@pytest.mark.parametrize("any_missing", [False, True])
@pytest.mark.parametrize("levels", [250, 300])
def test_pages_of_xgboost_are_as_large_as_the_estimate_says(tmp_path: Path, levels: int, any_missing: bool) -> None:
    n, columns, generator = 100_000, 6, np.random.default_rng(0)
    names = [f"level {k}" for k in range(levels)]
    frame = pl.DataFrame({f"x{k}": generator.normal(size=n).astype(np.float32) for k in range(columns - 1)})
    level = pl.Series("c", np.asarray(names)[generator.integers(0, levels, n)]).cast(pl.Enum(names))
    frame = frame.with_columns(level, y=pl.lit(0.0))
    if any_missing:
        frame = frame.with_columns(pl.when(pl.int_range(pl.len()) % 1000 > 0).then("x1"))

    def cut() -> Iterator[pl.DataFrame]:
        return (frame[start : start + 50_000] for start in range(0, n, 50_000))

    features = [name for name in frame.columns if name != "y"]
    rows = xgb.ExtMemQuantileDMatrix(
        Partitions(cut, features, "y", f"{tmp_path}/"), max_bin=256, enable_categorical=True
    )
    (page,) = tmp_path.iterdir()
    told = TrainingRows(n, 50_000, columns, bins=max(256, levels), any_missing=any_missing)
    assert page.stat().st_size / n == pytest.approx(bytes_of_bins(told), rel=0.03)
    del rows
    assert not list(tmp_path.iterdir())  # XGBoost tidies up behind itself


def test_a_missing_value_and_many_categories_cost_bytes() -> None:
    dense = bytes_of_bins(ROWS)
    assert dense == pytest.approx(8 + 22 * 2 + 22 / 8)
    assert bytes_of_bins(replace(ROWS, bins=300)) == pytest.approx(dense + 22 * 2)
    assert bytes_of_bins(replace(ROWS, any_missing=True)) == pytest.approx(dense + 22 * 3)


def test_estimates_grow_with_rows_and_classes_and_less_from_disk() -> None:
    assert estimate_in_memory(ROWS) < estimate_in_memory(replace(ROWS, rows=ROWS.rows + 1))
    assert estimate_in_memory(ROWS) < estimate_in_memory(replace(ROWS, outputs=10))
    assert estimate_from_disk(ROWS) < estimate_in_memory(ROWS)
    hundred_million = replace(ROWS, rows=100_000_000, bins=300, any_missing=True)
    assert estimate_from_disk(hundred_million) < 12 * 2**30
