"""The training benchmark compares equal work: the same rows for all, and equal models from equal settings."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks import bench_train, synthetic_airline
from benchmarks.synthetic_airline import DATASET, FEATURES, LEVELS, TARGET, draw_flights, names_of, write_airline
from stages.workspace.files import read_json


def test_arrays_and_partitions_hold_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic_airline, "ROWS_A_PARTITION", 700)
    monkeypatch.setattr(synthetic_airline, "ASIDE", 500)
    write_airline(tmp_path, 2000)
    folder = tmp_path / "data" / "features" / DATASET
    manifest = read_json(folder / "manifest.json")
    assert [partition["parts"]["train"] for partition in manifest["partitions"]] == [700, 700, 600, 0, 0]
    rows = pl.concat(pl.read_parquet(folder / f"{partition['name']}.parquet") for partition in manifest["partitions"])
    for part in ("train", "valid", "test"):
        own = rows.filter(part=part).with_columns(
            pl.col(name).cast(pl.Enum(names_of(name))).to_physical() for name in LEVELS
        )
        table, late = (np.load(tmp_path / "arrays" / f"{part}_{what}.npy") for what in ("features", TARGET))
        assert np.array_equal(own.select(pl.col(FEATURES).cast(pl.Float32)).to_numpy(), table)
        assert np.array_equal(own[TARGET].to_numpy(), late)


def test_rows_are_the_same_every_time_and_others_for_another_seed() -> None:
    (table, late), again, other = draw_flights(5000, 1), draw_flights(5000, 1), draw_flights(5000, 2)
    assert np.array_equal(table, again[0]) and np.array_equal(late, again[1])
    assert not np.array_equal(table, other[0])
    assert 0.15 < late.mean() < 0.3


def test_lightgbm_takes_part_on_processors_alone() -> None:
    assert bench_train.LIGHTGBM in bench_train.peers("cpu", 5)
    assert bench_train.LIGHTGBM not in bench_train.peers("cuda", 5)


@pytest.mark.slow
def test_stage_and_plain_xgboost_find_the_same_model_so_their_scores_are_equal() -> None:
    found = bench_train.contest(20_000, 1, trees=4)
    expected = found.scores[bench_train.PLAIN]
    for name in (bench_train.LINE, bench_train.FROM_DISK, bench_train.QUANTILE):
        assert found.scores[name] == pytest.approx(expected, abs=1e-9)
    text = bench_train.block([found], 1, 4, "cpu")
    assert "Synthetic" in text and "| 20,000 | plain XGBoost |" in text and "79.5 s, 0.757" in text
