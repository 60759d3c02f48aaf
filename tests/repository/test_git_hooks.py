"""The git hooks: all of them pass on the repository as it stands, and each catches what it is there for."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
HOOKS = [
    hook for repo in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"] for hook in repo["hooks"]
]
KEY = "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIB\n"
NOTEBOOK = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {},
    "cells": [
        {
            "id": "a",
            "cell_type": "code",
            "metadata": {},
            "source": ["1"],
            "execution_count": 3,
            "outputs": [{"output_type": "stream", "name": "stdout", "text": ["1\n"]}],
        }
    ],
}
PLANTED = {
    "params": ("params/scale/full.yaml", "replicates: 999\n"),
    "lint-imports": ("stages/metrics/bootstrap.py", "\nimport stages.workspace.layout\n"),
    "mypy": ("stages/workspace/layout.py", "\n\ndef untyped(anything):\n    return anything\n"),
    "ruff-check": ("stages/workspace/layout.py", "\nimport os\n"),
    "ruff-format": ("stages/workspace/layout.py", "\nx = {  'a':1 }\n"),
    "nbstripout": ("notebooks/planted.ipynb", json.dumps(NOTEBOOK)),
    "detect-private-key": ("planted.txt", KEY),
    "check-added-large-files": ("planted.txt", "a\n" * 2**20),
    "check-yaml": ("planted.yaml", "a: [1,\n"),
    "check-toml": ("planted.toml", "a = [1,\n"),
    "check-github-workflows": (".github/workflows/ci.yml", "\nsteps: []\n"),
    "check-gitlab-ci": (".gitlab-ci.yml", "\nbroken:\n  script: 3\n"),
    "end-of-file-fixer": ("planted.txt", "no newline"),
    "trailing-whitespace": ("planted.txt", "a \n"),
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, clone: Callable[[Path], Path]) -> Path:
    cloned = clone(tmp_path_factory.mktemp("hooks") / "repository")
    take_over_what_mypy_knows(ROOT / ".mypy_cache", cloned / ".mypy_cache")
    return cloned


def take_over_what_mypy_knows(earlier: Path, to: Path) -> None:
    """Its cache, if there is one: reading the libraries takes half a minute; it checks each entry against the file."""
    for path in earlier.glob("*/cache*.db"):
        (to / path.parent.name).mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(to / path.parent.name / path.name)) as new:
            old.backup(new)  # whole also while another mypy writes


@pytest.fixture(scope="module")
def pre_commit(tmp_path_factory: pytest.TempPathFactory, run):
    """Run pre-commit with a home of its own."""
    home = str(tmp_path_factory.mktemp("pre-commit"))

    def run_pre_commit(*arguments: str, cwd: Path, check: bool = True, **more: str):
        return run("pre-commit", *arguments, cwd=cwd, check=check, PRE_COMMIT_HOME=home, **more)

    return run_pre_commit


def test_every_hook_passes_on_the_repository_as_it_stands(repository: Path, pre_commit, run) -> None:
    done = pre_commit("run", "--all-files", cwd=repository)
    assert "Failed" not in done.stdout
    assert run("git", "status", "--porcelain", cwd=repository).stdout == ""


def test_every_hook_comes_from_the_environment_and_needs_no_network(root: Path) -> None:
    config = yaml.safe_load((root / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    assert {hook["language"] for hook in HOOKS} == {"system"}
    programs = {hook["entry"].split()[0] for hook in HOOKS}
    assert {program for program in programs if not program.startswith(".venv/bin/")} == set()
    assert {program for program in programs if not (root / program).exists()} == set()


@pytest.mark.parametrize("hook", PLANTED)
def test_a_hook_catches_what_it_is_there_for(hook: str, repository: Path, pre_commit, run) -> None:
    name, text = PLANTED[hook]
    path = repository / name
    path.parent.mkdir(exist_ok=True)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(before + text, encoding="utf-8")
    run("git", "add", "--all", cwd=repository)
    try:
        done = pre_commit("run", hook, "--files", name, cwd=repository, check=False)
        assert done.returncode == 1 and "Failed" in done.stdout, done.stdout
    finally:
        run("git", "reset", "--quiet", "--hard", cwd=repository)


def test_stale_parameters_are_named_with_the_command_that_mends_them(repository: Path, run) -> None:
    changed = repository / "params" / "scale" / "full.yaml"
    changed.write_text(
        changed.read_text(encoding="utf-8").replace("replicates: 1000", "replicates: 999"), encoding="utf-8"
    )
    try:
        done = run("python", "-m", "tools.params", "--check", cwd=repository, check=False)
        assert done.returncode == 1
        assert "+      replicates: 999" in done.stderr and "run `make params`" in done.stderr
        run("python", "-m", "tools.params", cwd=repository)
        run("python", "-m", "tools.params", "--check", cwd=repository)
    finally:
        run("git", "reset", "--quiet", "--hard", cwd=repository)


def test_notebook_outputs_are_taken_out(repository: Path, pre_commit, run) -> None:
    notebook = repository / "notebooks" / "planted.ipynb"
    notebook.parent.mkdir(exist_ok=True)
    notebook.write_text(json.dumps(NOTEBOOK), encoding="utf-8")
    try:
        pre_commit("run", "nbstripout", "--files", "notebooks/planted.ipynb", cwd=repository, check=False)
        cell = json.loads(notebook.read_text(encoding="utf-8"))["cells"][0]
        assert (cell["outputs"], cell["execution_count"]) == ([], None)
    finally:
        notebook.unlink()


@pytest.fixture
def hooked(line: Path, tmp_path: Path, root: Path, run) -> Path:
    """A small line with our DVC remote, the DVC hooks as `make hooks` installs them, and a git remote to push to."""
    shutil.copy(root / ".dvc" / "config", line / ".dvc" / "config")
    (line / ".venv").symlink_to(root / ".venv")
    hooks = [hook for hook in HOOKS if hook["id"].startswith("dvc-")]
    config = {"repos": [{"repo": "local", "hooks": hooks}], "default_stages": ["pre-commit"]}
    (line / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (line / ".gitignore").write_text("/data/\n/.venv\n", encoding="utf-8")
    run("dvc", "remote", "modify", "--local", "storage", "endpointurl", "http://127.0.0.1:9", cwd=line)
    run("git", "add", "--all", cwd=line)
    run("git", "commit", "--quiet", "-m", "hooks", cwd=line)
    run("git", "init", "--quiet", "--bare", str(tmp_path / "upstream"), cwd=tmp_path)
    run("git", "remote", "add", "origin", str(tmp_path / "upstream"), cwd=line)
    home = str(tmp_path / "pre-commit")
    makefile = str(root / "Makefile")
    # -o: the environment is there; a test never rebuilds it
    run(
        "make",
        "-o",
        ".venv/requirements.lock",
        "-o",
        ".venv/plots.html",
        "-f",
        makefile,
        "hooks",
        cwd=line,
        PRE_COMMIT_HOME=home,
    )
    assert {"pre-commit", "pre-push", "post-checkout"} <= {path.name for path in (line / ".git" / "hooks").iterdir()}
    return line


def test_a_newcomer_without_the_storage_server_can_commit_switch_and_push(hooked: Path, tmp_path: Path, run) -> None:
    home = str(tmp_path / "pre-commit")
    (hooked / "draw.py").write_text((hooked / "draw.py").read_text() + "# newer\n", encoding="utf-8")
    committed = run("git", "commit", "--all", "-m", "newer", cwd=hooked, PRE_COMMIT_HOME=home)
    assert "dvc status: out of date: draw@pears, draw@plums" in committed.stdout + committed.stderr
    pushed = run("git", "push", "origin", "HEAD:main", cwd=hooked, PRE_COMMIT_HOME=home)
    assert "dvc push: skipped, no answer from http://127.0.0.1:9" in pushed.stdout + pushed.stderr
    assert (
        run("git", "rev-parse", "main", cwd=tmp_path / "upstream").stdout
        == run("git", "rev-parse", "HEAD", cwd=hooked).stdout
    )
    shutil.rmtree(hooked / ".dvc" / "cache")
    run("git", "switch", "--create", "idea", "HEAD~1", cwd=hooked, PRE_COMMIT_HOME=home)


def test_outputs_follow_the_branch(hooked: Path, tmp_path: Path, run) -> None:
    home = str(tmp_path / "pre-commit")
    run("git", "switch", "--create", "longer", cwd=hooked, PRE_COMMIT_HOME=home)
    config = hooked / "params" / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("n: 5", "n: 6"), encoding="utf-8")
    run("python", "-m", "tools.params", cwd=hooked)
    run("dvc", "repro", "--quiet", cwd=hooked)
    run("git", "commit", "--quiet", "--all", "-m", "longer", cwd=hooked, PRE_COMMIT_HOME=home)
    run("git", "switch", "-", cwd=hooked, PRE_COMMIT_HOME=home)
    assert (hooked / "data" / "pears.txt").read_text(encoding="utf-8") == "xxxxx"
    run("git", "switch", "longer", cwd=hooked, PRE_COMMIT_HOME=home)
    assert (hooked / "data" / "pears.txt").read_text(encoding="utf-8") == "xxxxxx"
