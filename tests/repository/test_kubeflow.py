"""What schedulers are told is the DAG that DVC sees; deploy/kubeflow/pipeline.yaml is that, in words that kfp reads."""

import ast
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.dag import read_dag

ROOT = Path(__file__).parents[2]
LOCK, PIPELINE = Path("tools/requirements-kubeflow.lock"), Path("deploy/kubeflow/pipeline.yaml")
PYTHON = ROOT / ".venv/kubeflow/bin/python"
SPEC, PLATFORMS = yaml.load_all((ROOT / PIPELINE).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
TASKS: dict[str, dict[str, Any]] = SPEC["root"]["dag"]["tasks"]
EXECUTORS = SPEC["deploymentSpec"]["executors"]
with_kfp = pytest.mark.skipif(not PYTHON.exists(), reason="no .venv/kubeflow; `make kubeflow` builds it")


def stage_of(task: str) -> str:
    return str(TASKS[task]["inputs"]["parameters"]["name"]["runtimeValue"]["constant"])


def container_of(task: str) -> dict[str, Any]:
    label = SPEC["components"][TASKS[task]["componentRef"]["name"]]["executorLabel"]
    return dict(EXECUTORS[label]["container"])


def test_schedulers_are_told_the_stages_and_the_edges_that_dvc_sees_in_an_order_that_works(run) -> None:
    drawn = run("dvc", "dag", "--dot", cwd=ROOT).stdout
    seen: dict[str, set[str]] = {name: set() for name in re.findall(r'^"([^"]+@[^"]+)";$', drawn, re.MULTILINE)}
    for needed, name in re.findall(r'^"([^"]+)" -> "([^"]+)";$', drawn, re.MULTILINE):
        seen[name].add(needed)
    told = read_dag(ROOT)
    assert {name: set(needed) for name, needed in told.items()} == seen
    names = list(told)
    assert [name for name in names if any(names.index(other) > names.index(name) for other in told[name])] == []


def test_the_compiled_pipeline_is_as_new_as_that() -> None:
    edges = {(stage_of(task), stage_of(needed)) for task in TASKS for needed in TASKS[task].get("dependentTasks", [])}
    told = read_dag(ROOT)
    assert sorted(stage_of(task) for task in TASKS) == sorted(told), "`make kubeflow` compiles it again"
    assert edges == {(name, other) for name in told for other in told[name]}


def test_every_pod_runs_its_stage_by_the_same_command_in_the_image_that_a_run_names() -> None:
    containers = [container_of(task) for task in TASKS]
    assert all(each == containers[0] for each in containers)
    one = containers[0]
    assert one["image"] == "{{$.inputs.parameters['pipelinechannel--image']}}"
    named = ("name", "repository", "revision", "remote")
    assert one["args"] == [f"{{{{$.inputs.parameters['{name}']}}}}" for name in named]
    assert subprocess.run(["sh", "-n", "-c", one["command"][-1]], check=False).returncode == 0
    assert [task for task in TASKS if TASKS[task]["taskInfo"]["name"] != stage_of(task)] == []
    assert [task for task in TASKS if TASKS[task]["cachingOptions"]] == []  # whether there is work to do, DVC says


def test_what_has_no_default_must_be_given_and_keys_come_from_a_secret() -> None:
    given = SPEC["root"]["inputDefinitions"]["parameters"]
    assert {name for name, one in given.items() if "defaultValue" not in one} == {"repository", "revision", "remote"}
    executors = PLATFORMS["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors.keys() == EXECUTORS.keys()
    named = [one["secretAsEnv"][0]["secretNameParameter"] for one in executors.values()]
    assert all(name == {"runtimeValue": {"constant": "plumbline-remote"}} for name in named)


def test_the_code_on_the_page_is_python_and_names_what_is_there() -> None:
    page = (ROOT / "docs/orchestration.md").read_text(encoding="utf-8")
    blocks = [ast.parse(block) for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL)]
    imports = [node for block in blocks for node in ast.walk(block) if isinstance(node, ast.ImportFrom)]
    ours = {(each.module, name.name) for each in imports for name in each.names if str(each.module).startswith("tools")}
    assert len(blocks) == 3 and ours == {(read_dag.__module__, read_dag.__name__)}


def test_every_package_is_pinned_by_hash_and_no_host_is_named() -> None:
    text = (ROOT / LOCK).read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert [block for block in blocks if not re.match(r"[\w.-]+==\S+", block) or "--hash=sha256:" not in block] == []
    assert "://" not in text
    assert re.search(rf"^kfp=={SPEC['sdkVersion'].removeprefix('kfp-')} ", text, flags=re.MULTILINE)


@pytest.mark.slow
@with_kfp
def test_compiled_again_it_has_the_same_bytes(tmp_path: Path, run) -> None:
    for name in ("dvc.yaml", "params.yaml", "tools/__init__.py", "tools/dag.py", "tools/kubeflow.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / PIPELINE).parent.parent.mkdir()
    run(PYTHON, "-m", "tools.kubeflow", cwd=tmp_path, PYTHONPATH="")
    assert (tmp_path / PIPELINE).read_bytes() == (ROOT / PIPELINE).read_bytes()


@pytest.mark.slow
@with_kfp
def test_kfp_reads_it_and_no_other_word(tmp_path: Path, run) -> None:
    load = """import sys; from kfp.components import load_component_from_file as load
print(*sorted(load(sys.argv[1]).pipeline_spec.root.dag.tasks))"""
    assert run(PYTHON, "-c", load, ROOT / PIPELINE, cwd=tmp_path, PYTHONPATH="").stdout.split() == sorted(TASKS)
    broken = tmp_path / "broken.yaml"
    text = (ROOT / PIPELINE).read_text(encoding="utf-8")
    broken.write_text(text.replace("taskInfo:", "taskinfo:", 1), encoding="utf-8")
    assert run(PYTHON, "-c", load, broken, cwd=tmp_path, check=False, PYTHONPATH="").returncode != 0
