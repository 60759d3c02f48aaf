"""Which stage of `dvc.yaml` needs which, for schedulers: docs/orchestration.md.

Reads   dvc.yaml, params.yaml (which datasets a `foreach` runs over)

Needs nothing but PyYAML, because schedulers have environments of their own, which know neither DVC nor `stages`; a test
compares what is understood here with what DVC says.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml


def read_dag(root: str | Path) -> dict[str, list[str]]:
    """Every stage of every dataset (``train@digits``), in the order of `dvc.yaml`, with the stages that it needs.

    The stage `params`, which makes nothing, is none of them.
    """
    files = (Path(root, "dvc.yaml"), Path(root, "params.yaml"))
    defined, params = (yaml.safe_load(file.read_text(encoding="utf-8")) for file in files)
    stages = {
        f"{verb}@{dataset}": (set(_paths(stage["do"], dataset, "deps")),
                              set(_paths(stage["do"], dataset, "outs", "metrics", "plots")))
        for verb, stage in defined["stages"].items() if "foreach" in stage
        for dataset in params[stage["foreach"].removeprefix("${").removesuffix("}")]
    }  # fmt: skip
    return {
        name: [other for other, (_, outs) in stages.items() if any(_meet(dep, out) for dep in deps for out in outs)]
        for name, (deps, _) in stages.items()
    }


def _paths(stage: dict[str, Any], dataset: str, *sections: str) -> Iterator[PurePosixPath]:
    for entry in (entry for section in sections for entry in stage.get(section, [])):
        yield PurePosixPath((entry if isinstance(entry, str) else next(iter(entry))).replace("${key}", dataset))


def _meet(dep: PurePosixPath, out: PurePosixPath) -> bool:
    """Whether a path is the other one, a part of it, or a folder around it."""
    return dep == out or dep in out.parents or out in dep.parents
