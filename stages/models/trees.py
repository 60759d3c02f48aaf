"""How does XGBoost fit trees to rows that are binned?  Boosting, forest and bagging stand on it.

The same rows in the same order give the same model to the byte, for any number of threads, wherever the rows are cut
into partitions, and from memory as from disk: measured, and a test holds it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from pydantic import Field

from stages.models.binned import BinnedRows, bin_rows
from stages.models.contract import DamagedModel, FamilySettings, Fit, Float32
from stages.models.lean_xgboost import xgb

OBJECTIVES = {
    "binary": ("binary:logistic", "logloss"),
    "multiclass": ("multi:softprob", "mlogloss"),
    "regression": ("reg:squarederror", "rmse"),
}
"""Objective and loss by the name of a task."""


MODEL = "model.ubj"
ALONE = """\
import polars
import xgboost

booster = xgboost.Booster(model_file="model.ubj")
kinds = {
    name: polars.Float32 if known is None else polars.Enum(known.to_pylist())
    for name, known in booster.get_categories(export_to_arrow=True).to_arrow()
}
rows = polars.read_csv("example.csv", infer_schema=False).select(
    polars.col(name).cast(kind, strict=False) for name, kind in kinds.items()
)
scores = booster.inplace_predict(rows)
"""
ROWS_AT_ONCE = 2_000  # XGBoost holds their contributions twice


class BoosterSettings(FamilySettings):
    """XGBoost's own names, of whatever boosts round after round."""

    max_depth: int = Field(ge=1, le=20)
    learning_rate: float = Field(gt=0, le=1)
    min_child_weight: float = Field(ge=0)
    subsample: float = Field(gt=0, le=1)
    colsample_bytree: float = Field(gt=0, le=1)
    reg_lambda: float = Field(ge=0)
    max_bin: int = Field(ge=2, le=65_536)
    max_rounds: int = Field(ge=1)
    early_stopping_rounds: int = Field(ge=1)


@dataclass(frozen=True)
class Trees:
    """XGBoost's trees as a model; only the rounds up to the best one count, when early stopping recorded it."""

    booster: xgb.Booster

    @property
    def features(self) -> list[str]:
        """The names of its inputs, in its order."""
        return list(self.booster.feature_names or [])

    @property
    def _counted(self) -> tuple[int, int]:
        best = self.booster.attr("best_iteration")
        return (0, 0) if best is None else (0, int(best) + 1)

    def predict(self, rows: pl.DataFrame) -> Float32:
        """Scores (rows,), or (rows, classes)."""
        scores: Any = self.booster.inplace_predict(rows.select(self.features), iteration_range=self._counted)
        return np.asarray(scores, dtype=np.float32)

    def predict_coded(self, rows: Float32) -> Float32:
        """The same of rows that need no frame."""
        scores: Any = self.booster.inplace_predict(rows, iteration_range=self._counted)
        return np.asarray(scores, dtype=np.float32)

    def predict_binned(self, rows: xgb.DMatrix) -> Float32:
        """The same of rows that are binned already."""
        return np.asarray(self.booster.predict(rows, iteration_range=self._counted), np.float32)

    def contributions(self, rows: pl.DataFrame) -> Float32:
        """SHAP values (rows, outputs, features + 1), exact for trees; the last is the bias."""
        pieces: list[Float32] = []
        for start in range(0, len(rows), ROWS_AT_ONCE):
            few = rows[start : start + ROWS_AT_ONCE].select(self.features)
            matrix: Any = xgb.DMatrix(few, enable_categorical=True)
            found = self.booster.predict(matrix, pred_contribs=True, iteration_range=self._counted)
            values = np.asarray(found, dtype=np.float32)
            pieces.append(values if values.ndim == 3 else values[:, None, :])
        return np.concatenate(pieces)

    def use_threads(self, threads: int) -> None:
        """Score with so many threads from now on."""
        self.booster.set_param({"nthread": threads})

    def cut(self) -> Trees:
        """Without the rounds after the best one."""
        if self.booster.attr("best_iteration") is None:
            return self
        return Trees(_with_categories(self.booster[: self.booster.best_iteration + 1], self.booster))

    def raw(self) -> bytes:
        """XGBoost's own binary JSON of the rounds that count."""
        return bytes(self.cut().booster.save_raw("ubj"))

    def files(self) -> dict[str, bytes]:
        """One file."""
        return {MODEL: self.raw()}


def _with_categories(booster: xgb.Booster, source: xgb.Booster) -> xgb.Booster:
    """The same trees with the category names of ``source``, which XGBoost 3.2 forgets where it cuts rounds off.

    By them it maps the codes of any frame to those that it was trained with.  Without them the codes are taken as they
    are, and pandas, which sorts names its own way, gets other scores without a word.
    """
    place = b'"cats":'  # a key, for within a name the quotes would be escaped
    texts = [bytes(each.save_raw("json")) for each in (booster, source)]
    (head, _, tail), (_, _, known) = (text.partition(place) for text in texts)
    parts = [text.decode() for text in (tail, known)]
    ends = [json.JSONDecoder().raw_decode(part)[1] for part in parts]
    whole = xgb.Booster()
    whole.load_model(bytearray(head + place + (parts[1][: ends[1]] + parts[0][ends[0] :]).encode()))
    return whole


def load_trees(files: Mapping[str, bytes]) -> Trees:
    """The inverse of `Trees.files`."""
    booster = xgb.Booster()
    try:
        booster.load_model(bytearray(files[MODEL]))
    except KeyError:
        raise DamagedModel(f"no {MODEL}") from None
    except xgb.core.XGBoostError as error:
        raise DamagedModel(str(error).strip().splitlines()[-1]) from error
    return Trees(booster)


def parameters_of(
    task: str, *, classes: int, max_bin: int, threads: int, seed: int, device: str = "cpu", **settings: float | str
) -> dict[str, Any]:
    """XGBoost's parameters; ``settings`` are those by its own names."""
    objective, metric = OBJECTIVES[task]
    return {
        "objective": objective,
        "eval_metric": metric,
        "tree_method": "hist",
        "max_bin": max_bin,
        "nthread": threads,
        "device": device,
        "seed": seed % 2**31,
        **({"num_class": classes} if classes > 2 else {}),
        **settings,
    }


def boost(
    rows: BinnedRows,
    *,
    task: str,
    classes: int,
    max_depth: int,
    learning_rate: float,
    min_child_weight: float,
    subsample: float,
    colsample_bytree: float,
    reg_lambda: float,
    max_rounds: int,
    early_stopping_rounds: int,
    threads: int,
    seed: int,
    each_round: Callable[[int, float, float], None],
    device: str = "cpu",
    **others: float | str,
) -> Fit:
    """Boost on rows that are binned already; an error raised by ``each_round`` ends the fit at once.

    ``others`` are further parameters by XGBoost's names.
    """
    parameters = parameters_of(
        task, classes=classes, max_bin=rows.max_bin, threads=threads, device=device, seed=seed, max_depth=max_depth,
        learning_rate=learning_rate, min_child_weight=min_child_weight, subsample=subsample,
        colsample_bytree=colsample_bytree, reg_lambda=reg_lambda, **others,
    )  # fmt: skip
    metric = OBJECTIVES[task][1]
    losses: dict[str, dict[str, list[float]]] = {}
    booster = xgb.train(
        parameters,
        rows.train,
        num_boost_round=max_rounds,
        evals=[(rows.train, "train"), (rows.valid, "valid")],
        evals_result=losses,
        early_stopping_rounds=early_stopping_rounds,
        verbose_eval=False,
        callbacks=[_Rounds(each_round, metric)],
    )
    return Fit(
        model=Trees(booster),
        metric=metric,
        best_round=int(booster.best_iteration),
        train_losses=tuple(map(float, losses["train"][metric])),
        valid_losses=tuple(map(float, losses["valid"][metric])),
    )


def fit_booster(
    train: Callable[[], Iterable[pl.DataFrame]],
    valid: Callable[[], Iterable[pl.DataFrame]],
    *,
    features: Sequence[str],
    target: str,
    max_bin: int,
    threads: int,
    pages: str | None = None,
    **settings: Any,
) -> Fit:
    """Boost until the valid part has not improved for ``early_stopping_rounds`` rounds, or ``max_rounds`` are done.

    ``train`` and ``valid`` open a pass over frames that hold ``features`` (categoricals as enums) and ``target``;
    ``each_round`` is told the round and both losses.  With ``pages``, the beginning of file names, the bins are kept
    on disk instead of in memory; XGBoost removes the files when it is done with them.  ``settings`` are those of
    `boost`.
    """
    rows = bin_rows(train, valid, features=features, target=target, max_bin=max_bin, threads=threads, pages=pages)
    return boost(rows, threads=threads, **settings)


class _Rounds(xgb.callback.TrainingCallback):
    def __init__(self, each_round: Callable[[int, float, float], None], metric: str) -> None:
        super().__init__()
        self.each_round, self.metric = each_round, metric

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        train_loss, valid_loss = (float(evals_log[part][self.metric][-1]) for part in ("train", "valid"))
        self.each_round(epoch, train_loss, valid_loss)
        return False


def has_device(device: str) -> bool:
    """Whether XGBoost computes on ``device`` here: asked for one that it does not find, it takes the processor.

    A build without CUDA refuses; one with it, on a machine without a GPU, falls back with a warning.
    """
    rows = xgb.QuantileDMatrix(np.zeros((2, 1), np.float32), label=np.arange(2, dtype=np.float32))
    try:
        with xgb.config_context(verbosity=0):
            tried = xgb.train({"device": device, "tree_method": "hist", "verbosity": 0}, rows, num_boost_round=1)
    except xgb.core.XGBoostError:
        return False
    taken = json.loads(tried.save_config())["learner"]["generic_param"]["device"]
    return str(taken).partition(":")[0] == device
