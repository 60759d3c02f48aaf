"""What tuning searches and for how long: ``datasets.<dataset>.tune``, checked against the model that it tunes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field

from stages.experiments.tuning.space import Choices, Number, Parameter, read_space
from stages.experiments.tuning.trial_scores import metrics_to_search
from stages.models.contract import Family, FamilySettings
from stages.models.families import refuse_settings
from stages.workspace.errors import UserError
from stages.workspace.settings import INDENT, Settings, validate_section

NOT_SEARCHED = ("family", "device", "distributed")


class TuneSettings(Settings):
    """Where to look for better settings of the model, and when to stop."""

    metric: str = Field(min_length=1, description="loss, or a metric of the task")
    trials: int = Field(ge=1, le=100_000, description="in all, those of earlier runs of the same study included")
    minutes: float | None = Field(None, gt=0, description="after which one run begins no further trial")
    folds: int = Field(0, ge=0, le=100, description="0 judges on the valid part; so many folds in order of time")
    pruner: Literal["median", "none"] = "median"
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
    whole = {name: field.annotation is int for name, field in fields.items() if name not in NOT_SEARCHED}
    space, problems = read_space(settings.space, whole)
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


def _ends(parameter: Parameter) -> Iterable[Number]:
    return parameter.values if isinstance(parameter, Choices) else (parameter.low, parameter.high)


def _refused_by_model(model: FamilySettings, name: str, values: Iterable[Number]) -> list[str]:
    """What the model says to values of one parameter, in its own words."""
    told = []
    for value in values:
        try:
            validate_section(type(model), {**model.model_dump(), name: value}, path="model")
        except UserError as error:
            told.append(error.found.removeprefix(f"model.{name}: "))
    return told
