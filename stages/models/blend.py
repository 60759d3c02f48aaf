"""Models of several families, averaged, with weights that the valid part chooses.

Wolpert, "Stacked generalization", Neural Networks 5, 1992; weights that are not negative and add up to one, after
Breiman, "Stacked regressions", Machine Learning 24, 1996.  Every family has a few copies from other seeds, which share
one weight: chance moves copies alike, so that there is nothing to learn about one of them.  The loss of an average is
convex in its weights.  Members stopped early on the same rows, which favours each of them a little.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from stages.models.contract import (
    LOSSES,
    TASKS,
    ByCodes,
    DamagedModel,
    Family,
    FamilySettings,
    Fit,
    Float32,
    Model,
    mean_loss,
)
from stages.workspace.settings import validate_section

if TYPE_CHECKING:
    from stages.models.rows import Training

Float = NDArray[np.float64]
INDEX = "model.json"
SWEEPS, STEPS = 20, 40  # over all pairs of families; and of a golden section, which leaves 1e-8 of its stretch
GOLDEN = (5**0.5 - 1) / 2


class BlendSettings(FamilySettings):
    """Which families, with their own settings, and how many copies of each."""

    of: dict[str, dict[str, Any]] = Field(min_length=1, description="settings of each member, with its family, by name")
    copies: int = Field(ge=1, le=100, description="trainings of each from other seeds")

    @property
    def rounds(self) -> int:
        """A round is a member, and the last one is their average."""
        return self.copies * len(self.of) + 1


@dataclass(frozen=True)
class Member:
    """Copies of one family that share a weight."""

    name: str
    family: str
    weight: float
    copies: tuple[Model, ...]


@dataclass(frozen=True)
class Blend:
    """Members whose probabilities (or numbers) are averaged by their weights."""

    features: list[str]
    members: tuple[Member, ...]

    def predict(self, rows: pl.DataFrame) -> Float32:
        """The weighted mean, always added up in the order of the members."""
        return self.mean(lambda model: model.predict(rows))

    def mean(self, score: Callable[[Any], Float32]) -> Float32:
        """The same of any scores of the models; a member without a weight is not asked."""
        parts = [
            member.weight / len(member.copies) * score(model).astype(np.float64)
            for member in self.members if member.weight
            for model in member.copies
        ]  # fmt: skip
        return np.asarray(sum(parts[1:], parts[0]), np.float32)

    def contributions(self, rows: pl.DataFrame) -> Float32 | None:
        """None: those of the members are no parts of the averaged probability."""
        return None

    def use_threads(self, threads: int) -> None:
        """Score with so many threads."""
        for member in self.members:
            for model in member.copies:
                model.use_threads(threads)

    def files(self) -> dict[str, bytes]:
        """The files of each model after its number, and what they are."""
        found: dict[str, bytes] = {}
        index: list[dict[str, Any]] = []
        for member in self.members:
            starts = [f"model_{len(index):02d}_{number:02d}_" for number in range(len(member.copies))]
            for start, model in zip(starts, member.copies, strict=True):
                found |= {f"{start}{name}": content for name, content in model.files().items()}
            index.append({"name": member.name, "family": member.family, "weight": member.weight, "copies": starts})
        content = {"features": self.features, "members": index}
        return {INDEX: (json.dumps(content, indent=1) + "\n").encode(), **found}


@dataclass(frozen=True)
class CodedBlend(Blend):
    """A blend all of whose members score rows that need no frame."""

    def predict_coded(self, rows: Float32) -> Float32:
        """`Blend.predict` of (rows, features)."""

        def score(model: Any) -> Float32:
            own = rows[:, [self.features.index(name) for name in model.features]]
            found: Float32 = model.predict_coded(np.ascontiguousarray(own))
            return found

        return self.mean(score)


def blend_of(features: list[str], members: Sequence[Member]) -> Blend:
    """The blend that can all that its members can."""
    coded = all(isinstance(model, ByCodes) for member in members for model in member.copies)
    return (CodedBlend if coded else Blend)(features, tuple(members))


def choose_weights(scores: Sequence[Float], labels: Float, task: str) -> list[float]:
    """Weights of averaged scores, not negative and of sum 1, with the least loss; to six digits.

    The loss is convex: it is made smaller between two at a time, until nothing moves.
    """
    weights = np.full(len(scores), 1 / len(scores))

    def loss(weights: Float, one: int, other: int, part: float) -> float:
        return mean_loss(task, labels, mix(_moved(weights, one, other, part), scores))

    for _ in range(SWEEPS):
        before = weights
        for one, other in combinations(range(len(scores)), 2):
            best = least_between(partial(loss, weights, one, other), 0.0, float(weights[one] + weights[other]))
            weights = _moved(weights, one, other, best)
        if np.abs(weights - before).max() < 1e-6:
            break
    rounded = [round(float(weight), 6) for weight in weights]
    largest = int(np.argmax(rounded))
    rounded[largest] = round(rounded[largest] + 1 - sum(rounded), 6)
    return rounded


def mix(weights: Sequence[float] | Float, scores: Sequence[Float]) -> Float:
    """The weighted sum of scores."""
    return np.asarray(sum(weight * each for weight, each in zip(weights, scores, strict=True)))


def _moved(weights: Float, one: int, other: int, part: float) -> Float:
    """``part`` of what two weights have together goes to ``one``, the rest to ``other``."""
    found = weights.copy()
    found[one], found[other] = part, weights[one] + weights[other] - part
    return found


def least_between(loss: Callable[[float], float], low: float, high: float) -> float:
    """Where a convex function is least, by golden section; an end where that is no worse."""
    ends = (low, high)
    for _ in range(STEPS):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        if loss(left) <= loss(right):
            high = right
        else:
            low = left
    return min(*ends, (low + high) / 2, key=loss)


def family_of(families: Mapping[str, Family]) -> Family:
    """The family whose members are of ``families``."""

    def member_settings(settings: BlendSettings, path: str) -> dict[str, FamilySettings]:
        found = {}
        for name, own in settings.of.items():
            if own.get("family") not in families:
                raise ValueError(
                    f"{path}.of.{name}.family: {', '.join(families)}", repr(own.get("family")),
                    f"take a file of params/model: `{name}: ...` under `of`, as params/model/blend.yaml does",
                )  # fmt: skip
            found[name] = validate_section(families[own["family"]].settings, own, f"{path}.of.{name}")
        return found

    def ready(settings: BlendSettings, path: str) -> None:
        """Whether all members are."""
        for name, own in member_settings(settings, path).items():
            families[own.family].ready(own, f"{path}.of.{name}")

    def fit(training: Training, settings: BlendSettings) -> Fit:
        """Fit the copies one after another, then choose the weights."""
        table, share = training.table, training.share
        labels = {part: _labels(table.with_columns([]).frames(part), table.target) for part in ("train", "valid")}
        members: list[Member] = []
        scores: dict[str, list[Float]] = {"train": [], "valid": []}
        losses: dict[str, list[float]] = {"train": [], "valid": []}
        for place, (name, own) in enumerate(member_settings(settings, f"datasets.{table.dataset}.model").items()):
            family = families[own.family]
            names = [column.name for column in family.reads(table.columns)]
            narrowed = replace(
                share, train=share.train.with_columns(names), valid=share.valid.with_columns(names)
            )  # fmt: skip
            copies = []
            for number in range(settings.copies):
                seed = int(np.random.SeedSequence([training.seed, place, number]).generate_state(1)[0])
                found = family.fit(replace(training, share=narrowed, seed=seed, each_round=_silent), own)
                copies.append(found.model)
                losses["train"].append(found.train_losses[found.best_round])
                losses["valid"].append(found.best)
                training.each_round(len(losses["valid"]) - 1, losses["train"][-1], losses["valid"][-1])
            members.append(Member(name, own.family, 0.0, tuple(copies)))
            alone = blend_of(table.names, [replace(members[-1], weight=1.0)])
            for part, frames in (("train", share.train_frames), ("valid", share.valid_frames)):
                scores[part].append(np.concatenate([alone.predict(frame) for frame in frames()]).astype(np.float64))
        weights = choose_weights(scores["valid"], labels["valid"], table.task)
        for part, own_scores in scores.items():
            losses[part].append(mean_loss(table.task, labels[part], mix(weights, own_scores)))
        last = len(losses["valid"]) - 1
        training.each_round(last, losses["train"][last], losses["valid"][last])
        blend = blend_of(
            table.names, [replace(member, weight=weight) for member, weight in zip(members, weights, strict=True)]
        )
        told = {
            member.name: {
                "copies": settings.copies, "weight": member.weight, "library": families[member.family].library()
            }
            for member in blend.members
        }  # fmt: skip
        curves = [tuple(losses[part]) for part in ("train", "valid")]
        return Fit(blend, LOSSES[table.task], last, *curves, told={"members": told})

    def load(files: Mapping[str, bytes]) -> Blend:
        """The inverse of `Blend.files`."""
        try:
            content = json.loads(files[INDEX])
            members = [
                Member(
                    str(entry["name"]), str(entry["family"]), float(entry["weight"]),
                    tuple(_load_copy(families[entry["family"]], start, files) for start in entry["copies"]),
                )
                for entry in content["members"]
            ]  # fmt: skip
            return blend_of([str(name) for name in content["features"]], members)
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedModel(f"{INDEX} or one of its members: {error}") from error

    def library() -> str:
        return "; ".join(dict.fromkeys(family.library() for family in families.values()))

    return Family(
        name="blend", settings=BlendSettings, fit=fit, load=load, library=library, words=words, tasks=TASKS,
        reads=lambda columns: columns, ready=ready, stops_early=True,
    )  # fmt: skip


def words(training: Mapping[str, Any], library: str) -> str:
    """What kind of model it is."""
    parts = [
        f"{about['copies']} × {name} ({about['library']}, weight {about['weight']:.2f})"
        for name, about in training["members"].items()
    ]
    return f"A blend of {' and '.join(parts)}, weights chosen on the valid part,"


def _load_copy(family: Family, start: str, files: Mapping[str, bytes]) -> Model:
    return family.load({name.removeprefix(start): own for name, own in files.items() if name.startswith(start)})


def _labels(frames: Any, target: str) -> Float:
    return np.concatenate([frame[target].cast(pl.Float64).to_numpy() for frame in frames])


def _silent(_round: int, _train_loss: float, _valid_loss: float) -> None:
    """A member's own rounds are nobody's business."""
