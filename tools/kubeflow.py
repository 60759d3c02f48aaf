"""Compile the DAG of `dvc.yaml` into a Kubeflow pipeline: `make kubeflow`; docs/orchestration.md tells how it runs.

Reads   dvc.yaml, params.yaml
Writes  deploy/kubeflow/pipeline.yaml

Runs in an environment of its own, which has kfp and nothing of the line's.
"""

from pathlib import Path

from kfp import compiler, dsl, kubernetes

from tools.dag import read_dag

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
    cpu: str = "2",
    memory: str = "8G",
) -> None:
    """Each stage after those that it reads from."""
    tasks: dict[str, dsl.PipelineTask] = {}
    for name, needed in read_dag(Path.cwd()).items():
        task = run_stage(name=name, repository=repository, revision=revision, remote=remote)
        task.set_display_name(name).set_container_image(image).set_caching_options(False).set_retry(2)
        task.set_cpu_request(cpu).set_memory_request(memory).set_memory_limit(memory)
        kubernetes.use_secret_as_env(task, SECRET, {key: key for key in KEYS}, optional=True)
        tasks[name] = task.after(*(tasks[each] for each in needed))


if __name__ == "__main__":
    PIPELINE.parent.mkdir(exist_ok=True)
    compiler.Compiler().compile(line, str(PIPELINE))
