"""deploy/requirements.lock: what serving stands on, in the versions that evaluated the models, and enough of it."""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import grimp
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.dask_machines import free_port
from tests.deploy.service import BUNDLES, ROOT, asked, check_answers, wait_until_ready

GROUP = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]["serve"]
ROOMS = ("stages.serve", "stages.serving.", "stages.ingest", "stages.state.", "stages.records.", "stages.datasets.")
PYTHON = (sys.executable, "-S")


def pins(path: Path) -> dict[str, str]:
    """Version by package."""
    found = re.findall(r"^([\w.-]+)==([^ ;\\]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {str(canonicalize_name(name)): version for name, version in found}


SERVING, WHOLE = pins(ROOT / "deploy/requirements.lock"), pins(ROOT / "requirements.lock")


def test_every_package_is_pinned_by_hash_and_no_host_is_named() -> None:
    text = (ROOT / "deploy/requirements.lock").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert [block for block in blocks if "--hash=sha256:" not in block or not re.match(r"[\w.-]+==\S+", block)] == []
    assert "://" not in text


@pytest.mark.parametrize("listed", GROUP)
def test_the_lock_answers_what_the_group_asks_for(listed: str) -> None:
    asked_for = Requirement(listed)
    assert asked_for.specifier.contains(SERVING[canonicalize_name(asked_for.name)])


def test_a_model_is_served_by_the_versions_that_evaluated_it() -> None:
    as_evaluated = WHOLE | {"xgboost-cpu": WHOLE["xgboost"]}
    assert {name: version for name, version in SERVING.items() if as_evaluated.get(name) != version} == {}


def test_the_rooms_that_only_serve_import_nothing_else() -> None:
    """Late imports, too: what is imported for the rare request is missed by whoever asks for the usual ones."""
    graph = grimp.build_graph(
        "stages", include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
    )
    owners = metadata.packages_distributions()
    lacking = {
        f"{module} → {name}"
        for module in graph.modules
        if module.startswith(ROOMS)
        for name in graph.find_modules_directly_imported_by(module)
        if name != "stages" and not name.startswith("stages.") and name.partition(".")[0] not in sys.stdlib_module_names
        if {str(canonicalize_name(owner)) for owner in owners[name.partition(".")[0]]}.isdisjoint(SERVING)
    }
    assert lacking == set()


def test_xgboost_is_there_once() -> None:
    """`xgboost` and `xgboost-cpu` write the same files: installed both, one breaks the other."""
    assert "xgboost-cpu" in SERVING and "xgboost" not in SERVING
    assert "xgboost-cpu" not in WHOLE


@pytest.fixture(scope="module")
def only_locked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a Python without site-packages (`-S`): what the lock names, and this repository."""
    packages = tmp_path_factory.mktemp("packages")
    for name in {*SERVING, "xgboost"} - {"xgboost-cpu"}:  # here the same files come from the other distribution
        try:
            files = metadata.files(name) or []
        except metadata.PackageNotFoundError:  # for another platform
            continue
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            (packages / top).symlink_to(metadata.distribution(name).locate_file(top))
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(packages), str(ROOT)])}


def test_what_the_lock_does_not_name_cannot_be_imported_there(only_locked: dict[str, str]) -> None:
    for name in ("dask", "pandas"):
        done = subprocess.run([*PYTHON, "-c", f"import {name}"], env=only_locked, capture_output=True, text=True)
        assert f"No module named '{name}'" in done.stderr


def test_new_records_can_be_taken_in_there(only_locked: dict[str, str], tmp_path: Path) -> None:
    published = ROOT / "tests/data/nycflights/flights.csv.zip"
    ingest = [*PYTHON, "-m", "stages.ingest", "nycflights", published, "--state", "state.sqlite"]
    for command in (ingest, [*PYTHON, "-c", "import stages.state.shared"]):  # Redis, where there is one
        done = subprocess.run(command, cwd=tmp_path, env=only_locked, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not BUNDLES, reason="no bundles to serve; `make repro` makes them")
def test_the_service_needs_nothing_else(only_locked: dict[str, str], tmp_path: Path) -> None:
    """A real server answers for every bundle, and shows all its pages."""
    port = free_port()
    command = [*PYTHON, "-m", "stages.serve", str(ROOT / "bundles"), "--port", str(port), "--keep", "kept"]
    with subprocess.Popen(command, cwd=tmp_path, env=only_locked) as server:
        try:
            wait_until_ready(port, lambda: server.poll() is None)
            for bundle in BUNDLES:
                check_answers(port, bundle, tmp_path / "scores.parquet")
            paths = json.loads(asked(port, "GET", "/openapi.json")[1])["paths"]
            shown = [path for path, methods in paths.items() if "get" in methods and "{version}" not in path]
            for path in (*shown, "/docs"):
                assert asked(port, "GET", re.sub(r"{\w+}", BUNDLES[0].name, path))[0] == 200, path
        finally:
            server.terminate()
