"""The environment: one lock for every platform, pinned by hash, silent about hosts, and what is installed here."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PINS = {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==([^ ;\\]+)", LOCK, re.MULTILINE)}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", ["stages.train", "tools.params"])
def test_a_python_without_the_packages_is_told_to_be_the_wrong_one(module: str) -> None:
    alone = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, '.'); import {module}"]
    done = subprocess.run(alone, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: not the environment of this project\nwanted  ")
    assert "no polars, pydantic, tqdm, yaml" in done.stderr
    assert "make setup" in done.stderr and "activate" in done.stderr


def test_every_package_is_pinned_by_hash_and_no_host_is_named() -> None:
    blocks = re.split(r"\n(?=\S)", LOCK.strip())
    assert [block for block in blocks if "--hash=sha256:" not in block] == []
    assert [block for block in blocks if not re.match(r"[\w.-]+==\S+", block)] == []
    assert "://" not in LOCK and "index" not in re.sub(r"^[\w.-]+==", "", LOCK, flags=re.MULTILINE)


@pytest.mark.parametrize("listed", [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]])
def test_the_lock_answers_what_the_project_asks_for(listed: str) -> None:
    asked = Requirement(listed)
    assert asked.specifier.contains(PINS[canonicalize_name(asked.name)])


def test_what_is_installed_here_is_what_the_lock_says() -> None:
    differing = {}
    for block in re.split(r"\n(?=\S)", LOCK.strip()):
        asked = Requirement(block.split(" \\")[0])
        if asked.marker is None or asked.marker.evaluate():
            try:
                installed = metadata.version(asked.name)
            except metadata.PackageNotFoundError:
                installed = "nothing"
            if not asked.specifier.contains(installed if installed != "nothing" else "0", prereleases=True):
                differing[asked.name] = installed
    assert differing == {}


def test_setup_does_nothing_while_the_lock_stays_the_same(tmp_path: Path, run) -> None:
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    (tmp_path / ".venv").mkdir()
    shutil.copy(ROOT / "requirements.lock", tmp_path / ".venv")
    done = run(ROOT / "tools" / "setup.sh", cwd=tmp_path)
    assert done.stdout == "" and [path.name for path in (tmp_path / ".venv").iterdir()] == ["requirements.lock"]


def test_setup_without_a_suitable_python_says_what_it_wants(tmp_path: Path, run) -> None:
    (tmp_path / "requirements.lock").write_text("a==1\n", encoding="utf-8")
    done = run(ROOT / "tools" / "setup.sh", cwd=tmp_path, check=False, PYTHON="no-such-python")
    assert done.returncode == 1 and "wanted  Python 3.11 or newer" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_setup_builds_an_environment_and_marks_it_complete_last(tmp_path: Path, run) -> None:
    """A lock with one wrong hash: the environment is begun, refused and never marked complete."""
    (tmp_path / "requirements.lock").write_text(
        f"setuptools==80.9.0 \\\n    --hash=sha256:{'0' * 64}\n", encoding="utf-8"
    )
    wheels = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}
    done = run(ROOT / "tools" / "setup.sh", cwd=tmp_path, check=False, **wheels)
    assert done.returncode != 0
    assert (tmp_path / ".venv" / "bin" / "python").exists()
    assert not (tmp_path / ".venv" / "requirements.lock").exists()
