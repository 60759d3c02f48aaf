"""What is a family of models, and what is a fitted one?  Two frozen values; nothing else knows which library fits.

A family is one module here that ends in a `Family`, one line in `stages.models.families` and one YAML under
``params/model/``.  Frames that it is given hold every feature, categories as enums over those of the training rows,
missing values as nulls.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from stages.workspace.settings import Settings

if TYPE_CHECKING:
    from stages.features.table import Column
    from stages.models.rows import Training

Float32 = NDArray[np.float32]
TASKS = ("binary", "multiclass", "regression")
LEAST = 1e-15  # of a probability, before its logarithm is taken


class Model(Protocol):
    """A fitted model, whatever its family."""

    @property
    def features(self) -> list[str]:
        """The names of its inputs, in its order."""

    def predict(self, rows: pl.DataFrame) -> Float32:
        """Probabilities of a yes or numbers (rows,), or probabilities of each class (rows, classes).

        A row's scores depend on that row alone: the same alone as among others, for any number of threads.
        """

    def contributions(self, rows: pl.DataFrame) -> Float32 | None:
        """What each feature adds to a row's raw score, (rows, outputs, features + 1), the last for the rest.

        In log-odds for classes, in the target's unit for numbers.  None where the family has no exact ones.
        """

    def use_threads(self, threads: int) -> None:
        """Score with so many threads from now on; 0 takes every core."""

    def files(self) -> dict[str, bytes]:
        """All that `Family.load` needs, by file name; every name begins with ``model``."""


@runtime_checkable
class ByCodes(Protocol):
    """A model that can score without a frame, whose making takes longer than the scores of a row."""

    def predict_coded(self, rows: Float32) -> Float32:
        """`Model.predict` of (rows, features), contiguous: categories by their place in the enum, NaN for missing."""


@runtime_checkable
class ByTerms(Protocol):
    """A model that can tell which words of a text speak for an answer."""

    @property
    def features(self) -> list[str]:
        """The names of its inputs, all of them texts."""

    def speaking(self, text: str, column: str) -> list[tuple[str, NDArray[np.float64]]]:
        """The known terms of a text, and what each adds to the raw score of every output."""


class Baseline(Protocol):
    """What every model has to beat; fitted on the training rows, and kept as JSON."""

    @property
    def target_mean(self) -> float:
        """Of the training rows; of a number, the origin of the grid on which it is counted."""

    @property
    def target_spread(self) -> float:
        """The standard deviation there, whose parts are the steps of that grid."""

    @property
    def told(self) -> str:
        """What it is, in words."""

    def predict(self, frame: pl.DataFrame) -> Float32:
        """Scores of the same shape as a model's."""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form, with its ``kind``; `families.read_baseline` is the inverse."""


@dataclass(frozen=True)
class Fit:
    """A fitted model and its learning curve: one loss per round for the train and the valid part.

    A family without rounds has a curve of one point.
    """

    model: Model
    metric: str
    best_round: int
    train_losses: tuple[float, ...]
    valid_losses: tuple[float, ...]
    told: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    """What else ``training.json`` says of it."""

    @property
    def best(self) -> float:
        """Loss of the valid part at the best round."""
        return self.valid_losses[self.best_round]


class FamilySettings(Settings):
    """``datasets.<dataset>.model``: what every family has; each adds its own, by the names of its library."""

    family: str = Field("boosting", description="which family of models; the others are settings of that family")
    device: Literal["cpu", "cuda"] = Field("cpu", description="who does the work")
    distributed: bool = Field(False, description="share the rows out among worker processes or machines")

    @property
    def rounds(self) -> int:
        """How many rounds a fit has at most, for those who wait."""
        return 1


def numbers_and_categories(columns: Sequence[Column]) -> Sequence[Column]:
    """What most families read."""
    return [column for column in columns if column.kind in ("numeric", "categorical")]


def needs_nothing(_settings: FamilySettings, _path: str) -> None:
    """The core is enough."""


@dataclass(frozen=True)
class Family:
    """A kind of models: how one is fitted, loaded and told of."""

    name: str
    settings: type[FamilySettings]
    fit: Callable[[Training, Any], Fit]
    """``fit(training, settings)``: the same rows, settings and seed give the same bytes for any number of threads."""
    load: Callable[[Mapping[str, bytes]], Model]
    """The inverse of `Model.files`; whatever is wrong with the bytes is raised as a `DamagedModel`."""
    library: Callable[[], str]
    """The library that fits, with its version."""
    words: Callable[[Mapping[str, Any], str], str]
    """``words(training, library)``: what kind of model it is, from ``training.json``; the beginning of a sentence."""
    alone: str = ""
    """Python that scores the bundle's ``example.csv`` by the library alone, run in its folder; empty where none can."""
    tasks: Collection[str] = TASKS
    """Names of the tasks that it can do."""
    reads: Callable[[Sequence[Column]], Sequence[Column]] = numbers_and_categories
    """Which of the selected features it learns from; `Training` holds no others."""
    ready: Callable[[Any, str], None] = needs_nothing
    """``ready(settings, path)`` refuses what a fit would lack here, before it begins; ``path`` is the settings'."""
    stops_early: bool = False
    """Whether the valid part decides on the number of rounds."""
    devices: tuple[str, ...] = ("cpu",)
    distributes: bool = False
    by_chance: bool = True
    """Whether another seed gives another model."""


class DamagedModel(Exception):
    """The files of a model are not what its family writes."""


def mean_loss(task: str, labels: NDArray[Any], scores: NDArray[Any]) -> float:
    """Mean log-loss of probabilities, or the root mean squared error of numbers; what `LOSSES` names."""
    if task == "regression":
        return float(np.sqrt(np.mean((labels - scores.astype(np.float64)) ** 2)))
    chosen = scores if scores.ndim == 2 else np.stack([1 - scores, scores], axis=1)  # (rows, classes)
    own = chosen[np.arange(len(labels)), labels.astype(np.int64)].astype(np.float64)
    return float(-np.mean(np.log(np.clip(own, LEAST, 1.0))))


LOSSES = {"binary": "logloss", "multiclass": "mlogloss", "regression": "rmse"}
"""The loss of each task by XGBoost's name, which learning curves and training.json use."""
