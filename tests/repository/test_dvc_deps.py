"""DVC reruns a stage only for what `dvc.yaml` lists: the code it imports, the parameters and data it reads."""

import ast
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grimp
import pytest
import yaml

from stages.workspace import layout

ROOT = Path(__file__).parents[2]
STAGES: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
PIPELINE = {name: stage for name, stage in STAGES.items() if "foreach" in stage}  # `params` judges, and makes nothing
DATASETS = sorted(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["datasets"])
# In the order of the line.  `runtime` is none of them: who works, in what order, with which cache and which log never
# changes a result, as tests/pipeline/test_same_bytes.py shows.
ROOMS = (
    "sources", "records", "features", "models", "state", "metrics",
    "exploration", "results", "forecasts", "monitoring", "exports", "texts",
    "experiments", "serving", "pages", "workspace",
)  # fmt: skip
# Imports under TYPE_CHECKING never run, so they cannot change a result.
GRAPH = grimp.build_graph("stages", exclude_type_checking_imports=True)


def body(stage: str) -> dict[str, Any]:
    definition: dict[str, Any] = PIPELINE[stage]
    return definition.get("do", definition)


def module_of(stage: str) -> str:
    """The module that the stage's command runs: ``python -m stages.train ${key}``."""
    return next(word for word in str(body(stage)["cmd"]).split() if word.startswith("stages."))


def source_of(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def tree_of(module: str) -> ast.Module:
    return ast.parse(source_of(module).read_text(encoding="utf-8"))


def notebook_imports(stage: str) -> set[str]:
    """Modules of ours that the code cells of the stage's notebooks import."""
    found = set()
    folders = [ROOT / dep for dep in body(stage)["deps"] if dep == "notebooks"]
    for notebook in (path for folder in folders for path in sorted(folder.glob("*.ipynb"))):
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        for cell in (cell for cell in cells if cell["cell_type"] == "code"):
            code = "".join(line for line in cell["source"] if not line.startswith(("%", "!")))
            found |= imported(ast.parse(code))
    return found


def imported(tree: ast.AST) -> set[str]:
    """Modules of ours named by the import statements of a tree."""
    named = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            named |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return named & GRAPH.modules


def closure(modules: set[str]) -> set[str]:
    """The modules themselves and all that importing them imports."""
    return modules.union(*(GRAPH.find_upstream_modules(module) for module in modules))


def is_loading_a_dataset(modules: set[str]) -> bool:
    """Whether `load_dataset`, which imports a dataset's module by name, is asked for."""
    names = (node for module in modules for node in ast.walk(tree_of(module)) if isinstance(node, ast.ImportFrom))
    return any(alias.name == "load_dataset" for node in names for alias in node.names)


def code_of(stage: str) -> list[str]:
    """The stage's own file and every room that it enters, as `dvc.yaml` writes them, in the order of the line."""
    own = module_of(stage)
    modules = closure({own} | notebook_imports(stage))
    peculiar: set[str] = set()
    if is_loading_a_dataset(modules):
        for dataset in DATASETS:
            home = f"stages.datasets.{dataset}"
            peculiar |= {home} | {module for module in GRAPH.modules if module.startswith(home + ".")}
        modules |= closure(peculiar)
    entered = {module.split(".")[1] for module in modules - peculiar - {own} if module.count(".") > 1}
    rooms = [f"stages/{room}" for room in ROOMS if room in entered]
    return [source_of(own).relative_to(ROOT).as_posix(), *(["stages/datasets/${key}"] if peculiar else []), *rooms]


def is_code(dep: str) -> bool:
    return dep.startswith("stages/")


@pytest.mark.parametrize("stage", PIPELINE)
def test_a_stage_depends_on_exactly_the_rooms_that_its_imports_enter(stage: str) -> None:
    listed = [str(dep) for dep in body(stage)["deps"]]
    wanted = code_of(stage)
    if sorted(filter(is_code, listed)) != sorted(wanted):
        paste = json.dumps([*(dep for dep in listed if not is_code(dep)), *wanted])
        missing, stale = sorted({*wanted} - {*listed}), sorted({*filter(is_code, listed)} - {*wanted})
        pytest.fail(f"{stage} in dvc.yaml\nmissing {missing}\nstale   {stale}\npaste   deps: {paste}", pytrace=False)


@pytest.mark.parametrize("stage", PIPELINE)
def test_a_stage_lists_exactly_the_parameters_it_reads(stage: str) -> None:
    read = sorted({*parameters_read(tree_of(module_of(stage)))})
    assert sorted(body(stage).get("params", [])) == read, f"paste   params: {json.dumps(read)}"


def parameters_read(tree: ast.Module) -> Iterator[str]:
    """``seed`` and the sections named in calls of `read_settings`, or taken from `read_params` by hand.

    The cluster section is left out on purpose: results never depend on it.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "read_seed":
                yield "seed"
            if node.func.id == "read_settings":
                named = [keyword.value for keyword in node.keywords if keyword.arg == "section"]
                yield f"datasets.${{key}}.{ast.literal_eval((named or node.args[2:])[0])}"
        if isinstance(node, ast.Subscript) and ast.unparse(node).startswith("read_params()['datasets'][name]["):
            yield f"datasets.${{key}}.{ast.literal_eval(node.slice)}"


def outputs(stage: str) -> list[Path]:
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in body(stage).get(kind, [])]
    return [Path(next(iter(entry)) if isinstance(entry, dict) else entry) for entry in entries]


def places() -> list[Path]:
    """Every place of one dataset that the layout names; for a single page in a dataset's folder, that folder."""
    functions = inspect.getmembers(layout, inspect.isfunction)
    named = [place("${key}") for _, place in functions if place.__module__ == layout.__name__]
    return [place.parent if place.suffix and place.parent.name == "${key}" else place for place in named]


@pytest.mark.parametrize("stage", PIPELINE)
def test_a_stage_writes_only_where_the_layout_says(stage: str) -> None:
    lost = [out for out in outputs(stage) if not any(place in (out, *out.parents) for place in places())]
    assert lost == [], "not in stages/workspace/layout.py"


def test_data_that_a_stage_reads_is_made_by_an_earlier_stage() -> None:
    made: list[Path] = []
    for stage in PIPELINE:
        deps = [Path(dep) for dep in body(stage)["deps"]]
        made_elsewhere = [dep for dep in deps if any(place in (dep, *dep.parents) for place in places())]
        unmade = [
            dep for dep in made_elsewhere if not any(dep in out.parents or out in (dep, *dep.parents) for out in made)
        ]
        assert unmade == [], f"{stage} reads them, and no stage above it writes them"
        made += outputs(stage)


def test_nothing_is_imported_by_name_at_run_time_except_datasets_and_the_stage_itself() -> None:
    hidden = [module for module in GRAPH.modules if {"import_module", "__import__"} & names_used(tree_of(module))]
    assert sorted(hidden) == ["stages.records.contract", "stages.workspace.errors"]  # the latter: the stage that is run


def names_used(tree: ast.Module) -> set[str]:
    return {getattr(node, "id", None) or getattr(node, "attr", "") for node in ast.walk(tree)}


def test_every_room_is_known_to_the_list_of_those_that_stages_depend_on() -> None:
    packages = [module for module in GRAPH.modules if source_of(module).name == "__init__.py"]
    rooms = {module.split(".")[1] for module in packages if "." in module}
    assert rooms == {*ROOMS, "datasets", "runtime"}


@pytest.mark.parametrize("stage", PIPELINE)
def test_no_stage_depends_on_what_never_changes_a_result(stage: str) -> None:
    assert not [dep for dep in body(stage)["deps"] if str(dep).startswith("stages/runtime")]


def test_packages_around_the_rooms_hold_no_code_that_changes_a_result_so_that_stages_need_not_list_them() -> None:
    assert len(tree_of("stages.datasets").body) == 1, "more than a docstring"
    _, *statements, ends = tree_of("stages").body  # in another environment than this project's, all ends at once
    others = [each for each in statements if not isinstance(each, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(each) for each in others] == ["os.environ.setdefault('OMP_WAIT_POLICY', 'passive')"]
    assert isinstance(ends, ast.If) and [ast.unparse(each)[:9] for each in ends.body] == ["sys.exit("]


def test_compiled_files_beside_the_code_do_not_count_as_changes() -> None:
    assert "__pycache__/" in (ROOT / ".dvcignore").read_text(encoding="utf-8").splitlines()
