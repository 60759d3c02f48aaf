"""A fitted booster on disk: ``models/<dataset>/model.ubj``, XGBoost's own binary JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import xgboost as xgb
from numpy.typing import NDArray

from stages.workspace.errors import UserError
from stages.workspace.files import whole_file

MODEL = "model.ubj"


def write_booster(folder: Path, booster: xgb.Booster) -> None:
    """Write the booster, cut after its best round, as ``model.ubj``."""
    kept = booster[: booster.best_iteration + 1] if booster.attr("best_iteration") else booster
    with whole_file(folder / MODEL) as aside:
        aside.write_bytes(kept.save_raw("ubj"))


def read_booster(folder: Path, threads: int = 0) -> xgb.Booster:
    """The booster in ``folder``; ``threads`` 0 takes every core."""
    path = folder / MODEL
    if not path.exists():
        raise UserError(f"the model {path}", "no such file", "run `dvc repro`, or `dvc pull` to fetch it")
    booster = xgb.Booster({"nthread": threads})
    try:
        booster.load_model(path)
    except xgb.core.XGBoostError as error:
        found = str(error).strip().splitlines()[-1]
        raise UserError(
            f"a model in {path}", f"a damaged file: {found}", f"remove {path} and run `dvc repro`"
        ) from None
    return booster


def predict(booster: xgb.Booster, frame: pl.DataFrame, columns: Sequence[str]) -> NDArray[np.float32]:
    """Predictions for rows of ``frame``, its categoricals enums over the training categories.

    Shape (rows,), or (rows, classes).  Only the rounds up to the best one count, when early stopping recorded it.
    """
    names = booster.feature_names
    if names is not None and list(columns) != list(names):
        raise UserError(f"the features {', '.join(names)}", ", ".join(columns), "run `dvc repro`")
    best = booster.attr("best_iteration")
    rounds = (0, 0) if best is None else (0, int(best) + 1)
    scores: Any = booster.inplace_predict(frame.select(columns), iteration_range=rounds)
    result: NDArray[np.float32] = np.asarray(scores, dtype=np.float32)
    return result
