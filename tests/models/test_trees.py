"""Rows reach XGBoost one partition at a time, and what goes wrong on the way is told as it was."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import xgboost as xgb
from xgboost._data_utils import TransformedDf

from stages.models.binned import Partitions
from stages.models.trees import Fit, fit_booster, has_device, load_trees

FEATURES = ["x", "c"]
SETTINGS = {
    "features": FEATURES, "target": "y", "task": "binary", "classes": 2, "max_depth": 3, "learning_rate": 0.3,
    "min_child_weight": 1.0, "subsample": 1.0, "colsample_bytree": 1.0, "reg_lambda": 1.0, "max_bin": 16,
    "max_rounds": 5, "early_stopping_rounds": 5, "threads": 1, "seed": 1,
}  # fmt: skip
Frames = Callable[[], Iterator[pl.DataFrame]]


def rows(n: int = 600, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    x, c = rng.normal(size=n).astype(np.float32), rng.integers(0, 3, n)
    names = pl.Series(np.array(["a", "b", "c"])[c]).cast(pl.Enum(["a", "b", "c"]))
    return pl.DataFrame({"x": x, "c": names, "y": (x + c + rng.normal(size=n) > 1).astype(np.int8)})


def cut(frame: pl.DataFrame, size: int) -> Frames:
    return lambda: (frame[start : start + size] for start in range(0, len(frame), size))


def fit(train: Frames, valid: Frames, each_round: Callable = lambda *_: None, **changes) -> Fit:
    return fit_booster(train, valid, **{**SETTINGS, **changes}, each_round=each_round)


def test_no_other_partition_is_alive_when_the_next_one_is_opened() -> None:
    content = [frame.to_dict(as_series=False) for frame in cut(rows(), 100)()]
    schema = rows(1).schema
    alive: list[int] = []

    def frames() -> Iterator[pl.DataFrame]:
        for columns in content:
            gc.collect()
            alive.append(sum(isinstance(thing, pl.DataFrame | TransformedDf) for thing in gc.get_objects()) - before)
            yield pl.DataFrame(columns, schema=schema)

    valid_rows = cut(rows(seed=1), 600)
    gc.collect()
    gc.freeze()  # what is there already is no partition, and looking at it again and again takes seconds
    before = sum(isinstance(thing, pl.DataFrame | TransformedDf) for thing in gc.get_objects())
    fit(frames, valid_rows)
    gc.unfreeze()
    assert len(alive) >= 2 * len(content)  # at least one pass for the quantiles and one for the bins
    assert max(alive) == 0


def test_labels_and_categories_arrive_as_they_were() -> None:
    frame = rows()
    data = xgb.QuantileDMatrix(Partitions(cut(frame, 250), FEATURES, "y"), enable_categorical=True)
    assert (data.num_row(), data.num_col()) == (600, 2)
    assert data.feature_names == FEATURES
    assert data.feature_types == ["float", "c"]
    assert np.array_equal(data.get_label(), frame["y"].to_numpy())


def test_every_round_is_told_with_the_losses_of_the_curve() -> None:
    told: list[tuple] = []
    found = fit(cut(rows(), 200), cut(rows(seed=1), 300), each_round=lambda *losses: told.append(losses))
    assert told == list(zip(range(5), found.train_losses, found.valid_losses, strict=True))
    assert found.best == min(found.valid_losses)


def test_a_model_does_not_depend_on_where_rows_are_cut_even_where_values_outnumber_bins() -> None:
    train, valid = rows(20_000), rows(5000, seed=1)
    models = {
        bytes(fit(cut(train, size), cut(valid, size)).model.booster.save_raw("ubj")) for size in (20_000, 7001, 999)
    }
    assert len(models) == 1


def test_a_model_without_its_last_rounds_keeps_its_trees_and_the_names_of_its_categories() -> None:
    valid = rows(seed=1)
    model = fit(cut(rows(), 200), cut(valid, 300), max_rounds=200).model
    shipped = load_trees(model.files())
    assert model.booster.best_iteration + 1 == shipped.booster.num_boosted_rounds() < model.booster.num_boosted_rounds()
    assert np.array_equal(shipped.predict(valid), model.predict(valid))
    names = dict(shipped.booster.get_categories(export_to_arrow=True).to_arrow())
    assert (names["x"], names["c"].to_pylist()) == (None, ["a", "b", "c"])
    forgetful = dict(model.booster[:1].get_categories(export_to_arrow=True).to_arrow())
    assert forgetful["c"] is None, "XGBoost no longer forgets: `_with_categories` may go"


@pytest.mark.parametrize("part", ["train", "valid"])
def test_an_error_while_rows_are_read_is_told_as_it_was(part: str) -> None:
    def breaks_off() -> Iterator[pl.DataFrame]:
        yield rows(100)
        raise OSError("the disk went away")

    whole = cut(rows(), 200)
    with pytest.raises(OSError, match="the disk went away"):
        fit(breaks_off if part == "train" else whole, breaks_off if part == "valid" else whole)


def test_bins_on_disk_give_the_same_model_and_leave_no_file(tmp_path: Path) -> None:
    train, valid = cut(rows(20_000), 3000), cut(rows(5000, seed=1), 999)
    drawn = {"subsample": 0.7, "colsample_bytree": 0.5, "max_depth": 6}
    in_memory, from_disk = fit(train, valid, **drawn), fit(train, valid, **drawn, pages=f"{tmp_path}/")
    assert in_memory.model.booster.save_raw("ubj") == from_disk.model.booster.save_raw("ubj")
    assert (in_memory.train_losses, in_memory.valid_losses) == (from_disk.train_losses, from_disk.valid_losses)
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_an_error_while_pages_are_written_is_told_as_it_was(tmp_path: Path) -> None:
    def breaks_off() -> Iterator[pl.DataFrame]:
        yield rows(100)
        raise OSError("the disk went away")

    with pytest.raises(OSError, match="the disk went away"):
        fit(breaks_off, cut(rows(), 200), pages=f"{tmp_path}/")


def test_the_processor_is_always_there_and_a_device_that_is_not_is_noticed() -> None:
    assert has_device("cpu")
    assert not has_device("no such device")
    assert has_device("cuda") == (bool(xgb.build_info()["USE_CUDA"]) and any(Path("/dev").glob("nvidia[0-9]*")))
