"""Compile the DAG of `dvc.yaml` into a Kubeflow pipeline: `make kubeflow`; docs/orchestration.md tells how it runs.

Reads   dvc.yaml, params.yaml (which datasets a `foreach` runs over)
Writes  deploy/kubeflow/pipeline.yaml

Runs in an environment of its own, which has kfp and knows neither DVC nor `stages`: so it reads DVC's file itself, and
a test compares what it understood with what DVC says.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from kfp import compiler, dsl, kubernetes

PIPELINE = Path("deploy/kubeflow/pipeline.yaml")
# A clone for each pod, and `tools.one_stage`.  Packages other than the lock's would make other bytes: refused.
RUN = """\
set -eu
cd "$(mktemp -d)"
git clone --quiet --filter=blob:none "$1" .
git -c advice.detachedHead=false checkout --quiet "$2"
if ! cmp -s requirements.lock "$(dirname "$(command -v dvc)")/../requirements.lock"; then
    echo "error: the image was not built from this revision's requirements.lock" >&2
    exit 1
fi
dvc remote add --quiet --local --default pods "$3"
PYTHONPATH=$PWD exec python -m tools.one_stage "$0"
"""
SECRET = "plumbline-remote"
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL")  # those that the secret has


@dataclass(frozen=True)
class Stage:
    """A stage of one dataset, with the paths that it reads and writes."""

    name: str
    deps: frozenset[PurePosixPath]
    outs: frozenset[PurePosixPath]

    def needs(self, other: "Stage") -> bool:
        """Whether it reads what the other one writes: that path, a part of it, or a folder around it."""
        return any(dep == out or dep in out.parents or out in dep.parents for dep in self.deps for out in other.outs)


def read_stages(root: Path) -> list[Stage]:
    """The stages that write something, in the order of `dvc.yaml`, one for each dataset."""
    defined, params = (
        yaml.safe_load((root / name).read_text(encoding="utf-8")) for name in ("dvc.yaml", "params.yaml")
    )
    return [
        Stage(f"{verb}@{dataset}", frozenset(_paths(stage["do"], dataset, "deps")),
              frozenset(_paths(stage["do"], dataset, "outs", "metrics", "plots")))
        for verb, stage in defined["stages"].items() if "foreach" in stage
        for dataset in params[stage["foreach"].removeprefix("${").removesuffix("}")]
    ]  # fmt: skip


def _paths(stage: dict[str, Any], dataset: str, *sections: str) -> Iterator[PurePosixPath]:
    for entry in (entry for section in sections for entry in stage.get(section, [])):
        yield PurePosixPath((entry if isinstance(entry, str) else next(iter(entry))).replace("${key}", dataset))


@dsl.container_component
def run_stage(name: str, repository: str, revision: str, remote: str) -> dsl.ContainerSpec:
    """One stage of one dataset, in a clone of its own."""
    given = [name, repository, revision, remote]
    return dsl.ContainerSpec(image="named by the pipeline", command=["sh", "-c", RUN], args=given)


@dsl.pipeline(name="plumbline", description="The line of dvc.yaml: a pod for each stage of each dataset")
def line(
    repository: str,
    revision: str,
    remote: str,
    image: str = "plumbline-workers",
    secret: str = SECRET,
    cpu: str = "2",
    memory: str = "8G",
) -> None:
    """Each stage after those that it reads from."""
    stages = read_stages(Path.cwd())
    tasks: dict[str, dsl.PipelineTask] = {}
    for each in stages:
        task = run_stage(name=each.name, repository=repository, revision=revision, remote=remote)
        task.set_display_name(each.name).set_container_image(image).set_caching_options(False).set_retry(2)
        task.set_cpu_request(cpu).set_memory_request(memory).set_memory_limit(memory)
        kubernetes.use_secret_as_env(task, secret, {key: key for key in KEYS}, optional=True)
        task.after(*(tasks[other.name] for other in stages if other.name in tasks and each.needs(other)))
        tasks[each.name] = task


if __name__ == "__main__":
    PIPELINE.parent.mkdir(exist_ok=True)
    compiler.Compiler().compile(line, str(PIPELINE))
