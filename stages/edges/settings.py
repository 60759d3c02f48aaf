"""Typed settings: ``params.yaml`` in, one frozen object per stage out.

An unknown key, a wrong type or a value out of range stops the stage at once with the full path of the key.
"""

import difflib
import os
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stages.edges.errors import UserError

PARAMS = Path("params.yaml")
SECTIONS = ("download", "clean", "featurize", "select_features", "model", "evaluate")
RECOMPOSE = "correct it under params/ and run `make params`, or override it with `dvc exp run -S {path}=…`"


class Settings(BaseModel):
    """Base of every stage's settings: strict types, no unknown keys, immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ClusterSettings(Settings):
    """How work is scheduled; results never depend on it, so no DVC stage lists it as a parameter."""

    workers: int = Field(ge=1, description="partitions worked on at the same time")
    training_threads: int = Field(ge=0, description="XGBoost threads; 0 takes every core")


AnySettings = TypeVar("AnySettings", bound=BaseModel)


def read_settings(model: type[AnySettings], dataset: str, section: str, params: Path = PARAMS) -> AnySettings:
    """The validated settings ``datasets.<dataset>.<section>``.

    Raises
    ------
    UserError
        Naming every offending key with its full path, all of them at once.
    """
    datasets = read_params(params).get("datasets", {})
    if dataset not in datasets:
        known = ", ".join(sorted(datasets)) or "none"
        raise UserError(f"a dataset listed in {params}", f"{dataset!r}; known: {known}", "add it to params/config.yaml")
    for name in datasets[dataset]:
        if name not in SECTIONS:
            raise _unknown_key(f"datasets.{dataset}.{name}", name, SECTIONS)
    if section not in datasets[dataset]:
        path = f"datasets.{dataset}.{section}"
        raise UserError(f"the section {path} in {params}", "no such section", RECOMPOSE.format(path=path))
    return validate_section(model, datasets[dataset][section], path=f"datasets.{dataset}.{section}")


def read_seed(params: Path = PARAMS) -> int:
    """The run's one seed."""
    seed = read_params(params).get("seed")
    if type(seed) is not int or seed < 0:
        raise UserError("seed: a whole number, 0 or more", f"{seed!r}", RECOMPOSE.format(path="seed"))
    return seed


def read_cluster(params: Path = PARAMS) -> ClusterSettings:
    """The ``cluster`` section; ``PLUMBLINE_WORKERS`` and ``PLUMBLINE_THREADS`` override it for one command."""
    section = dict(read_params(params).get("cluster", {}))
    for variable, key in (("PLUMBLINE_WORKERS", "workers"), ("PLUMBLINE_THREADS", "training_threads")):
        if text := os.environ.get(variable):
            section[key] = int(text) if text.isdecimal() else text
    return validate_section(ClusterSettings, section, path="cluster")


def read_params(params: Path = PARAMS) -> dict[str, Any]:
    """The composed parameters as they stand in the workspace."""
    try:
        content: dict[str, Any] = yaml.load(params.read_text(encoding="utf-8"), Loader=_loader()) or {}
    except FileNotFoundError:
        raise UserError(f"the file {params}", "no such file", "run `make params`") from None
    except yaml.YAMLError as error:
        raise UserError(f"YAML in {params}", " ".join(str(error).split()), "run `make params`") from None
    return content


def validate_section(model: type[AnySettings], section: Any, path: str) -> AnySettings:
    """Check one section of the parameters against its model."""
    try:
        return model.model_validate(section)
    except ValidationError as error:
        problems = error.errors()
    unknown = [problem for problem in problems if problem["type"] == "extra_forbidden"]
    if unknown and len(problems) == 1:
        name = str(unknown[0]["loc"][-1])
        parent = ".".join(str(part) for part in unknown[0]["loc"][:-1])
        fields = list(model.model_fields) if not parent else []
        raise _unknown_key(_join(path, unknown[0]["loc"]), name, fields)
    lines = [f"{_join(path, p['loc'])}: {p['msg']}, got {_short(p.get('input'))}" for p in problems]
    first = _join(path, problems[0]["loc"])
    raise UserError(f"valid parameters under {path}", "\n        ".join(lines), RECOMPOSE.format(path=first))


def _unknown_key(path: str, name: str, known: list[str] | tuple[str, ...]) -> UserError:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else (f"; known: {', '.join(known)}" if known else "")
    return UserError("only known parameters", f"{path}: unknown key{hint}", "correct it under params/ and run `make params`")


def _join(path: str, location: tuple[int | str, ...]) -> str:
    return ".".join([path, *(str(part) for part in location)])


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _loader() -> Any:
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)
