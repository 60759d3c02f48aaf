"""How are gradient boosted trees fitted to rows that come one partition at a time?

XGBoost's `hist` method needs each feature value once, as one byte: the index of its bin.  `QuantileDMatrix` makes
those from an iterator over partitions, so the rows are never all in memory as floats (Chen & Guestrin, "XGBoost",
KDD 2016).  The same rows in the same order give the same model to the byte, for any number of threads and wherever the
rows are cut into partitions: measured, and a test holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import xgboost as xgb
from numpy.typing import NDArray

OBJECTIVES = {
    "binary": ("binary:logistic", "logloss"),
    "multiclass": ("multi:softprob", "mlogloss"),
    "regression": ("reg:squarederror", "rmse"),
}


@dataclass(frozen=True)
class Fit:
    """A fitted booster and its learning curve: one loss per round for the train and the valid part."""

    booster: xgb.Booster
    metric: str
    best_round: int
    train_losses: tuple[float, ...]
    valid_losses: tuple[float, ...]

    @property
    def best(self) -> float:
        """Loss of the valid part at the best round."""
        return self.valid_losses[self.best_round]


class Partitions(xgb.DataIter):
    """Feeds XGBoost one partition at a time; ``open_frames`` starts a fresh pass over them."""

    def __init__(self, open_frames: Callable[[], Iterable[pl.DataFrame]], features: Sequence[str], target: str) -> None:
        super().__init__(release_data=True)
        self.open_frames, self.features, self.target = open_frames, list(features), target
        self.remaining = iter(open_frames())

    def reset(self) -> None:
        """Start over: XGBoost passes twice, for the quantiles and for the bins."""
        self.remaining = iter(self.open_frames())

    def next(self, input_data: Callable[..., Any]) -> bool:
        """Hand over the next partition; False when there is none."""
        frame = next(self.remaining, None)
        if frame is None:
            return False
        label: NDArray[np.float32] = frame[self.target].cast(pl.Float32).to_numpy()
        input_data(data=frame.select(self.features), label=label)
        return True


def fit_booster(
    train: Callable[[], Iterable[pl.DataFrame]],
    valid: Callable[[], Iterable[pl.DataFrame]],
    *,
    features: Sequence[str],
    target: str,
    task: str,
    classes: int,
    max_depth: int,
    learning_rate: float,
    min_child_weight: float,
    subsample: float,
    colsample_bytree: float,
    reg_lambda: float,
    max_bin: int,
    max_rounds: int,
    early_stopping_rounds: int,
    threads: int,
    seed: int,
    each_round: Callable[[int, float, float], None],
) -> Fit:
    """Boost until the valid part has not improved for ``early_stopping_rounds`` rounds, or ``max_rounds`` are done.

    ``train`` and ``valid`` open a pass over frames that hold ``features`` (categoricals as enums) and ``target``;
    ``each_round`` is told the round and both losses.
    """
    objective, metric = OBJECTIVES[task]
    parameters = {
        "objective": objective,
        "eval_metric": metric,
        "tree_method": "hist",
        "max_depth": max_depth,
        "learning_rate": learning_rate,
        "min_child_weight": min_child_weight,
        "subsample": subsample,
        "colsample_bytree": colsample_bytree,
        "reg_lambda": reg_lambda,
        "max_bin": max_bin,
        "nthread": threads,
        "seed": seed % 2**31,
        **({"num_class": classes} if task == "multiclass" else {}),
    }
    shared = {"enable_categorical": True, "max_bin": max_bin, "nthread": threads or None}
    train_rows = xgb.QuantileDMatrix(Partitions(train, features, target), **shared)
    valid_rows = xgb.QuantileDMatrix(Partitions(valid, features, target), ref=train_rows, **shared)
    losses: dict[str, dict[str, list[float]]] = {}
    booster = xgb.train(
        parameters,
        train_rows,
        num_boost_round=max_rounds,
        evals=[(train_rows, "train"), (valid_rows, "valid")],
        evals_result=losses,
        early_stopping_rounds=early_stopping_rounds,
        verbose_eval=False,
        callbacks=[_Rounds(each_round, metric)],
    )
    return Fit(
        booster=booster,
        metric=metric,
        best_round=int(booster.best_iteration),
        train_losses=tuple(losses["train"][metric]),
        valid_losses=tuple(losses["valid"][metric]),
    )


class _Rounds(xgb.callback.TrainingCallback):
    def __init__(self, each_round: Callable[[int, float, float], None], metric: str) -> None:
        super().__init__()
        self.each_round, self.metric = each_round, metric

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        self.each_round(epoch, evals_log["train"][self.metric][-1], evals_log["valid"][self.metric][-1])
        return False
