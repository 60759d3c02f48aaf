"""Boosted trees on bootstrap samples of the training rows, their predictions averaged.

Breiman, "Bagging predictors", Machine Learning 24, 1996.  Drawing n of n rows with replacement is, for large n, giving
each row a weight from a Poisson distribution of mean 1 (Oza and Russell, 2001): rows are read and binned once, and a
member changes their weights alone.  How far members lie apart says how much one training varies with its rows; it is no
interval for a row's outcome, and nothing shows it as one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from pydantic import Field

from stages.models.binned import bin_rows
from stages.models.boosting import BoostingSettings, library
from stages.models.contract import LOSSES, DamagedModel, Family, Fit, Float32, mean_loss
from stages.models.trees import Trees, boost, load_trees

if TYPE_CHECKING:
    from stages.models.rows import Training

INDEX = "model.json"


class BaggingSettings(BoostingSettings):
    """Those of a member, and how many there are."""

    members: int = Field(ge=2, le=1000)

    @property
    def rounds(self) -> int:
        """A round is a member."""
        return self.members


@dataclass(frozen=True)
class Bag:
    """Boosters whose probabilities (or numbers) are averaged."""

    members: tuple[Trees, ...]

    @property
    def features(self) -> list[str]:
        """The names of its inputs."""
        return self.members[0].features

    def predict(self, rows: pl.DataFrame) -> Float32:
        """The mean over the members, always added up in their order."""
        return _mean([member.predict(rows) for member in self.members])

    def predict_coded(self, rows: Float32) -> Float32:
        """The same of rows that need no frame."""
        return _mean([member.predict_coded(rows) for member in self.members])

    def contributions(self, rows: pl.DataFrame) -> Float32 | None:
        """None: what a feature adds to the log-odds of each member does not add up to those of the mean."""
        return None

    def use_threads(self, threads: int) -> None:
        """Score with so many threads."""
        for member in self.members:
            member.use_threads(threads)

    def files(self) -> dict[str, bytes]:
        """One file a member, and how many there are."""
        names = [f"model_{number:03d}.ubj" for number in range(len(self.members))]
        index = json.dumps({"members": names}, indent=1).encode()
        return {INDEX: index, **{name: each.raw() for name, each in zip(names, self.members, strict=True)}}


def load(files: Mapping[str, bytes]) -> Bag:
    """The inverse of `Bag.files`."""
    try:
        return Bag(tuple(load_trees({"model.ubj": files[name]}) for name in json.loads(files[INDEX])["members"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedModel(f"{INDEX} or one of its members: {error}") from error


def fit(training: Training, settings: BaggingSettings) -> Fit:
    """Fit the members one after another; the curve tells what each one more is worth."""
    named, chosen = training.named(), settings.for_booster()
    chosen.pop("members")
    task, max_bin = str(named["task"]), int(chosen.pop("max_bin"))
    each_round, seed = named.pop("each_round"), int(named.pop("seed"))
    rows_named = {name: named.pop(name) for name in ("train", "valid", "features", "target")}
    losses: dict[str, list[float]] = {"train": [], "valid": []}
    sums: dict[str, Any] = {"train": 0.0, "valid": 0.0}
    members = []
    with training.pages(max_bin, may_use_disk=True) as pages:
        rows = bin_rows(**rows_named, max_bin=max_bin, threads=named["threads"], pages=pages)
        labels = {"train": rows.train.get_label(), "valid": rows.valid.get_label()}
        for number in range(settings.members):
            own = np.random.SeedSequence([seed, number])
            drawn = np.random.default_rng(own).poisson(1.0, len(labels["train"])).astype(np.float32)
            rows.train.set_weight(drawn)
            found = boost(rows, **named, **chosen, seed=int(own.generate_state(1)[0]), each_round=_silent)
            member = found.model
            assert isinstance(member, Trees)
            members.append(member.cut())
            for part, matrix in (("train", rows.train), ("valid", rows.valid)):
                sums[part] = sums[part] + member.predict_binned(matrix).astype(np.float64)
                losses[part].append(mean_loss(task, labels[part], (sums[part] / (number + 1)).astype(np.float32)))
            each_round(number, losses["train"][-1], losses["valid"][-1])
    return Fit(Bag(tuple(members)), LOSSES[task], settings.members - 1, tuple(losses["train"]), tuple(losses["valid"]))


def words(training: Mapping[str, Any], library: str) -> str:
    """What kind of model it is."""
    return f"Boosted trees on {training['rounds']} bootstrap samples of the rows, averaged ({library})"


def _mean(scores: Sequence[Float32]) -> Float32:
    total = sum((each.astype(np.float64) for each in scores), np.zeros_like(scores[0], dtype=np.float64))
    return np.asarray(total / len(scores), dtype=np.float32)


def _silent(_round: int, _train_loss: float, _valid_loss: float) -> None:
    """A member's own rounds are nobody's business."""


FAMILY = Family(
    name="bagging", settings=BaggingSettings, fit=fit, load=load, library=library, words=words, devices=("cpu", "cuda")
)
