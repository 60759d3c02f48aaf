"""What one search is about: all that the parameters and the features say of it, checked before a trial is run.

What tuning searches and for how long: ``datasets.<dataset>.tune``, checked against the model that it tunes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from stages.experiments.tuning.space import Choices, Kind, Parameter, Value, read_space
from stages.experiments.tuning.trials import LOSS, SEARCHED_PARTS, direction_of, metrics_to_search
from stages.features.table import FeatureTable, open_features, read_selection, refuse_no_features, refuse_no_rows
from stages.metrics.settings import EvaluateSettings
from stages.metrics.stored import task_named
from stages.models.contract import Family, FamilySettings
from stages.models.families import FAMILIES, family_of, readable, refuse_settings
from stages.workspace import layout
from stages.workspace.errors import UserError
from stages.workspace.files import sha256_of
from stages.workspace.seeds import child_seed
from stages.workspace.settings import INDENT, Settings, read_seed, read_settings, validate_section

NOT_SEARCHED = ("family", "device", "distributed")


class TuneSettings(Settings):
    """Where to look for better settings of the model, and when to stop."""

    metric: str = Field(min_length=1, description="loss, or a metric of the task")
    trials: int = Field(ge=1, le=100_000, description="in all, those of earlier runs of the same study included")
    minutes: float | None = Field(None, gt=0, description="after which one run begins no further trial")
    folds: int = Field(0, ge=0, le=100, description="0 judges on the valid part; so many folds in order of time")
    pruner: Literal["median", "none"] = "median"
    confirm: int = Field(3, ge=0, le=20, description="so many of the best trials are trained again from fresh seeds")
    storage: str | None = Field(None, min_length=1, description="an RDB URL; null keeps a SQLite file under tuning/")
    space: dict[str, Any]


def override_settings(settings: TuneSettings, dataset: str, **given: object) -> TuneSettings:
    """The settings with what the command line gives, checked like the rest; None leaves a setting as it is."""
    content = settings.model_dump() | {name: value for name, value in given.items() if value is not None}
    try:
        return validate_section(TuneSettings, content, path=f"datasets.{dataset}.tune")
    except UserError as error:
        raise UserError(error.wanted, error.found, "give another one on the command line") from None


def check_space(settings: TuneSettings, model: FamilySettings, dataset: str) -> dict[str, Parameter]:
    """The space, every value of which the model would accept; the present one of each parameter lies in it.

    Raises
    ------
    UserError
        Naming everything that is wrong, all of it at once.
    """
    fields = type(model).model_fields
    kinds = {name: _kind(field.annotation) for name, field in fields.items() if name not in NOT_SEARCHED}
    space, problems = read_space(settings.space, kinds)
    present = model.model_dump()
    for name, parameter in space.items():
        problems += [f"{name}: {fault}" for fault in _refused_by_model(model, name, _ends(parameter))]
        if not parameter.holds(present[name]):
            told = f"the present value {present[name]} has to be one of those that are tried"
            problems.append(f"{name}: {parameter} leaves out {present[name]}; {told}")
    if problems:
        path = f"datasets.{dataset}.tune.space"
        raise UserError(
            f"a space to search in {path}",
            INDENT.join(problems),
            f"correct it under params/ (params/tune/ has some; the family is {model.family}), then `make params`",
        )
    return space


def check_metric(metric: str, task: str, dataset: str) -> None:
    """Refuse a metric that the task does not have."""
    known = metrics_to_search(task)
    if metric not in known:
        raise UserError(
            f"datasets.{dataset}.tune.metric: {', '.join(known)}",
            metric,
            "correct it under params/ and run `make params`",
        )


def check_model(family: Family, model: FamilySettings, dataset: str) -> None:
    """Refuse what a search cannot do: a trial trains in this process."""
    if model.distributed:
        path = f"datasets.{dataset}.model.distributed"
        raise UserError(
            f"{path}: false, because a trial trains on one machine",
            "true",
            "tune on a share of the records (datasets.…clean.sample, or fewer months) with distributed: false, "
            "then train the winner on the cluster",
        )
    refuse_settings(family, model, f"datasets.{dataset}.model")


def _kind(annotation: Any) -> Kind:
    return annotation if annotation in (int, float) else str


def _ends(parameter: Parameter) -> Iterable[Value]:
    return parameter.values if isinstance(parameter, Choices) else (parameter.low, parameter.high)


def _refused_by_model(model: FamilySettings, name: str, values: Iterable[Value]) -> list[str]:
    """What the model says to values of one parameter, in its own words."""
    told = []
    for value in values:
        try:
            validate_section(type(model), {**model.model_dump(), name: value}, path="model")
        except UserError as error:
            told.append(error.found.removeprefix(f"model.{name}: "))
    return told


@dataclass(frozen=True)
class Search:
    """One question to one study; ``name`` tells several studies of a dataset apart and is empty for the usual one."""

    name: str
    settings: TuneSettings
    model: FamilySettings
    space: Mapping[str, Parameter]
    table: FeatureTable
    costs: Mapping[str, float]
    seed: int

    @property
    def dataset(self) -> str:
        """The dataset whose model is tuned."""
        return self.table.dataset

    @property
    def study(self) -> str:
        """The name of the study in its database."""
        return f"{self.dataset}-{self.name}" if self.name else self.dataset

    @property
    def folder(self) -> Path:
        """Where the study and its tables lie."""
        return layout.studies(self.dataset) / self.name

    @property
    def present(self) -> dict[str, Value]:
        """The present values of the parameters that are searched."""
        return {name: value for name, value in self.model.model_dump().items() if name in self.space}

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """Which way the metric gets better."""
        return direction_of(self.settings.metric, self.table.task)

    @property
    def pruner(self) -> Literal["median", "folds", "none"]:
        """By what a trial may be given up: the loss on its way, or the folds it has behind it."""
        if self.settings.pruner == "none":
            return "none"
        if self.settings.folds:
            return "folds"
        return "median" if self.settings.metric == LOSS else "none"

    @property
    def training_seed(self) -> int:
        """That of the stage `train`, so that the same settings give the same model."""
        return child_seed(self.seed, "train", self.dataset)

    @property
    def drawing_seed(self) -> int:
        """That of the draws of this study."""
        return child_seed(self.seed, "tune", self.study)

    @property
    def where(self) -> str:
        """The rows that judge, in words."""
        return f"{self.settings.folds} folds in order of time" if self.settings.folds else "the valid part"

    def question(self) -> dict[str, str]:
        """What the trials of this search answer; trials that answer another question are of no use to it."""
        names, metric = self.table.names, self.settings.metric
        fixed = {name: value for name, value in self.model.model_dump().items() if name not in self.space}
        return {
            "metric": metric,
            "folds": str(self.settings.folds),
            "space": "; ".join(f"{name} {parameter}" for name, parameter in self.space.items()),
            "other settings": ", ".join(f"{name} {value}" for name, value in fixed.items()),
            **({"costs": str(dict(self.costs))} if metric in task_named(self.table.task).at_threshold else {}),
            "features": f"{len(names)}, {_digest(names)}",
            "rows": fingerprint_rows(self.table),
            "seed": str(self.seed),
            "library": FAMILIES[self.model.family].library(),
        }


def read_search(dataset: str, name: str, **given: object) -> Search:
    """The search that the parameters ask for; ``given`` are settings of the command line, None where there is none.

    Raises
    ------
    UserError
        For an unknown dataset, parameter or metric, a value out of range, features that are not there.
    """
    settings = override_settings(read_settings(TuneSettings, dataset, "tune"), dataset, **given)
    family = family_of(dataset)
    model = read_settings(family.settings, dataset, "model")
    check_model(family, model, dataset)
    space = check_space(settings, model, dataset)
    table = readable(family, open_features(dataset, columns=read_selection(dataset)))
    check_metric(settings.metric, table.task, dataset)
    refuse_no_features(table)
    refuse_no_rows(table, *SEARCHED_PARTS)
    return Search(name, settings, model, space, table, _costs(table), read_seed())


def fingerprint_rows(table: FeatureTable) -> str:
    """A digest of every file with rows to learn from or to judge by, and of what the manifest says of the columns."""
    names = [part["name"] for part in table.partitions if any(part["parts"][wanted] for wanted in SEARCHED_PARTS)]
    digests: list[Any] = [str(table.columns)]
    for name in names:
        digests.append((name, sha256_of(table.path_of(name))))
    return _digest(digests)


def _digest(content: object) -> str:
    return hashlib.sha256(str(content).encode()).hexdigest()[:16]


def _costs(table: FeatureTable) -> dict[str, float]:
    if not task_named(table.task).at_threshold:
        return {}
    settings = read_settings(EvaluateSettings, table.dataset, "evaluate")
    return {"cost_of_miss": settings.cost_of_miss, "cost_of_false_alarm": settings.cost_of_false_alarm}
