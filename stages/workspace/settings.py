"""Typed settings: ``params.yaml`` in, one frozen object per stage out.

An unknown key, a wrong type or a value out of range stops the stage at once with the full path of the key.
"""

import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stages.workspace.errors import UserError
from stages.workspace.origin import require_origin

PARAMS = Path("params.yaml")
SECTIONS = ("download", "clean", "featurize", "select_features", "model", "evaluate", "tune", "promote", "cycle")
RECOMPOSE = "correct it under params/ and run `make params`, or override it with `dvc exp run -S {path}=…`"
INDENT = "\n        "  # of the second line onwards in a `UserError`


class Settings(BaseModel):
    """Base of every stage's settings: strict types, no unknown keys, immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class WorkerSettings(Settings):
    """The ``cluster`` section, how work is scheduled; results never depend on it, so no DVC stage lists it."""

    kind: Literal["threads", "processes", "scheduler"] = Field("threads", description="who works on the partitions")
    count: int = Field(ge=1, alias="workers", description="partitions worked on at the same time by this machine")
    training_threads: int = Field(ge=0, description="XGBoost threads; 0 takes every core")
    address: str | None = Field(None, min_length=1, description="of a running Dask scheduler, such as tcp://host:8786")
    exchange: str | None = Field(
        None,
        min_length=1,
        description="fsspec URL through which workers that do not see this folder get and give files",
    )
    memory_gib: float | None = Field(
        None, gt=0, description="of all worker processes of this machine together; null sets no limit"
    )
    cache_gib: float = Field(0.0, ge=0, description="partition results kept for later runs; 0 keeps none")
    cache_folder: str | None = Field(None, min_length=1, description="where; null takes the user's cache folder")


class ScaleSettings(Settings):
    """How much of everything; the other sections refer to most of it by interpolation."""

    sample: float = Field(gt=0, le=1, description="share of the published records that are read")
    max_rounds: int = Field(ge=1, description="boosting rounds before early stopping ends them anyway")
    replicates: int = Field(ge=1, description="bootstrap replicates behind every interval")
    resamples: int = Field(ge=1, description="resamples behind the stability of the selection")
    memory_limit_gib: float = Field(gt=0, description="memory that a stage may take")

    @property
    def memory_limit_bytes(self) -> int:
        """The limit in bytes."""
        return int(self.memory_limit_gib * 2**30)


AnySettings = TypeVar("AnySettings", bound=BaseModel)


def read_settings(model: type[AnySettings], dataset: str, section: str, params: Path = PARAMS) -> AnySettings:
    """The validated settings ``datasets.<dataset>.<section>``.

    Raises
    ------
    UserError
        Naming every offending key with its full path, all of them at once; or that nobody asked for these parameters.
    """
    require_origin(params.absolute().parent)
    datasets = _mapping(read_params(params), "datasets", "datasets")
    if dataset not in datasets:
        known = ", ".join(sorted(datasets)) or "none"
        raise UserError(f"a dataset listed in {params}", f"{dataset!r}; known: {known}", "add it to params/config.yaml")
    path = f"datasets.{dataset}"
    sections = _mapping(datasets, dataset, path)
    unknown = [f"{path}.{name}: {_unknown(name, SECTIONS)}" for name in sections if name not in SECTIONS]
    if unknown:
        raise UserError("only known parameters", INDENT.join(unknown), "correct it under params/ and run `make params`")
    return validate_section(model, _mapping(sections, section, f"{path}.{section}"), path=f"{path}.{section}")


def read_seed(params: Path = PARAMS) -> int:
    """The run's one seed."""
    seed = read_params(params).get("seed")
    if type(seed) is not int or seed < 0:
        raise UserError("seed: a whole number, 0 or more", f"{seed!r}", RECOMPOSE.format(path="seed"))
    return seed


def read_workers(params: Path = PARAMS) -> WorkerSettings:
    """The ``cluster`` section; environment variables override it for one command.

    ``PLUMBLINE_WORKERS`` and ``PLUMBLINE_THREADS`` are numbers; ``PLUMBLINE_SCHEDULER`` is the address of a running
    Dask scheduler, whose workers then do the work.
    """
    section = dict(_mapping(read_params(params), "cluster", "cluster"))
    if address := os.environ.get("PLUMBLINE_SCHEDULER"):
        section |= {"kind": "scheduler", "address": address}
    for variable, key in (("PLUMBLINE_WORKERS", "workers"), ("PLUMBLINE_THREADS", "training_threads")):
        least = 1 if key == "workers" else 0
        if text := os.environ.get(variable):
            if not text.isdecimal() or int(text) < least:
                raise UserError(f"{variable}: a whole number, {least} or more", f"{text!r}", "set it so, or unset it")
            section[key] = int(text)
    return validate_section(WorkerSettings, section, path="cluster")


def read_scale(params: Path = PARAMS) -> ScaleSettings:
    """The ``scale`` section."""
    return validate_section(ScaleSettings, _mapping(read_params(params), "scale", "scale"), path="scale")


def read_params(params: Path = PARAMS) -> dict[str, Any]:
    """The composed parameters as they stand in the workspace."""
    try:
        content: Any = yaml.load(params.read_text(encoding="utf-8"), Loader=_loader()) or {}
    except FileNotFoundError:
        raise UserError(f"the file {params}", "no such file", "run `make params`") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"YAML in {params}", " ".join(str(error).split()), "run `make params`") from None
    if not isinstance(content, dict):
        raise UserError(f"named sections in {params}", f"a {type(content).__name__}", "run `make params`")
    return content


def validate_section(model: type[AnySettings], section: Any, path: str) -> AnySettings:
    """Check one section of the parameters against its model."""
    try:
        return model.model_validate(section)
    except ValidationError as error:
        problems = error.errors()
    lines = [f"{_join(path, problem['loc'])}: {_say(problem, model)}" for problem in problems]
    first = _join(path, problems[0]["loc"])
    raise UserError(f"valid parameters under {path}", INDENT.join(lines), RECOMPOSE.format(path=first))


def _say(problem: Any, model: type[BaseModel]) -> str:
    """One of pydantic's problems in our words."""
    match problem["type"]:
        case "extra_forbidden":
            *parents, name = problem["loc"]
            return _unknown(str(name), [] if parents else list(model.model_fields))
        case "missing":
            return "missing"
        case _:
            return f"{problem['msg']}, got {_short(problem['input'])}"


def _unknown(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(str(name), known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else (f"; known: {', '.join(known)}" if known else "")
    return f"unknown key{hint}"


def _mapping(parent: Mapping[str, Any], name: str, path: str) -> dict[str, Any]:
    """The section ``name`` of ``parent``; one that is absent, or no section at all, is a `UserError`."""
    section = parent.get(name)
    if isinstance(section, dict):
        return section
    close = difflib.get_close_matches(name, [key for key in map(str, parent) if key != name], n=1)
    found = f"{section!r}" if name in parent else "no such section" + (f", but one named {close[0]!r}" if close else "")
    raise UserError(f"a section {path} in the parameters", found, RECOMPOSE.format(path=path))


def _join(path: str, location: tuple[int | str, ...]) -> str:
    return ".".join([path, *(str(part) for part in location)])


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _loader() -> Any:
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)
