"""Rows that were binned once serve any number of fits: each is the fit that reading them anew would have given."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import xgboost as xgb

from stages.models.binned import BinnedRows, bin_like, bin_rows
from stages.models.trees import boost, fit_booster

FEATURES = ["x", "c"]
ROWS = {"features": FEATURES, "target": "y", "threads": 1}
SETTINGS = {
    "task": "binary", "classes": 2, "max_depth": 3, "learning_rate": 0.3, "min_child_weight": 1.0, "subsample": 0.8,
    "colsample_bytree": 1.0, "reg_lambda": 1.0, "max_rounds": 12, "early_stopping_rounds": 4, "threads": 1, "seed": 1,
    "each_round": lambda *_: None,
}  # fmt: skip
TRIED = [{}, {"max_depth": 6, "subsample": 0.5}, {"learning_rate": 0.05, "colsample_bytree": 0.5, "reg_lambda": 9.0}]


def rows(n: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    x, c = rng.normal(size=n).astype(np.float32), rng.integers(0, 3, n)
    names = pl.Series(np.array(["a", "b", "c"])[c]).cast(pl.Enum(["a", "b", "c"]))
    x[rng.random(n) < 0.1] = np.nan
    known = pl.Series(x).fill_nan(None)
    return pl.DataFrame({"x": known, "c": names, "y": (np.nan_to_num(x) + c + rng.normal(size=n) > 1).astype(np.int8)})


TRAIN, VALID, OTHER = rows(5000, 0), rows(1500, 1), rows(700, 2)


def cut(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    return (frame[start : start + 900] for start in range(0, len(frame), 900))


@pytest.fixture(params=["in memory", "on disk"])
def binned(request: pytest.FixtureRequest, tmp_path: Path) -> BinnedRows:
    pages = f"{tmp_path}/" if request.param == "on disk" else None
    return bin_rows(lambda: cut(TRAIN), lambda: cut(VALID), **ROWS, max_bin=64, pages=pages)


def test_fits_on_kept_rows_equal_fits_on_rows_read_anew_to_the_byte(binned: BinnedRows) -> None:
    for changes in [*TRIED, *TRIED[:1]]:  # the first one again, after the others
        kept = boost(binned, **{**SETTINGS, **changes})
        anew = fit_booster(lambda: cut(TRAIN), lambda: cut(VALID), **{**ROWS, **SETTINGS, **changes}, max_bin=64)
        assert kept.model.booster.save_raw("ubj") == anew.model.booster.save_raw("ubj")
        assert (kept.train_losses, kept.valid_losses) == (anew.train_losses, anew.valid_losses)


def test_rows_in_bins_are_scored_as_the_rows_themselves(binned: BinnedRows) -> None:
    fit = boost(binned, **{**SETTINGS, "max_depth": 6})
    like = bin_like(binned, lambda: cut(OTHER), **ROWS)
    for matrix, frame in ((binned.valid, VALID), (like, OTHER)):
        from_frame = fit.model.booster.inplace_predict(frame.select(FEATURES), iteration_range=(0, fit.best_round + 1))
        assert np.array_equal(fit.model.booster.predict(matrix, iteration_range=(0, fit.best_round + 1)), from_frame)
        assert np.array_equal(matrix.get_label(), frame["y"].to_numpy())


def test_an_error_after_a_round_ends_the_fit_at_once_and_leaves_the_rows_good(binned: BinnedRows) -> None:
    told = []

    def stop(number: int, *_: float) -> None:
        told.append(number)
        if number == 2:
            raise InterruptedError("enough")

    with pytest.raises(InterruptedError, match="enough"):
        boost(binned, **{**SETTINGS, "each_round": stop})
    assert told == [0, 1, 2]
    assert isinstance(boost(binned, **SETTINGS).model.booster, xgb.Booster)
