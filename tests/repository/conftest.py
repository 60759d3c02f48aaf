"""Small real repositories for the tests of this room: git and DVC as anyone has them, in a folder of their own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BINARIES = Path(sys.executable).parent


PIPELINE = """\
stages:
  draw:
    foreach: ${datasets}
    do:
      cmd: python draw.py ${key}
      deps: [draw.py]
      params: ["datasets.${key}.n"]
      outs: ["data/${key}.txt"]
  count:
    foreach: ${datasets}
    do:
      cmd: python count.py ${key}
      deps: [count.py, "data/${key}.txt"]
      metrics: [{"metrics/${key}/count.json": {cache: false}}]
"""
DRAW = """\
import os, sys
from pathlib import Path
import yaml
n = yaml.safe_load(Path("params.yaml").read_text())["datasets"][sys.argv[1]]["n"]
Path("data").mkdir(exist_ok=True)
Path(f"data/{sys.argv[1]}.txt").write_text("x" * n)
"""
COUNT = """\
import json, sys
from pathlib import Path
text = Path(f"data/{sys.argv[1]}.txt").read_text()
Path(f"metrics/{sys.argv[1]}").mkdir(parents=True, exist_ok=True)
Path(f"metrics/{sys.argv[1]}/count.json").write_text(json.dumps({"length": {"value": len(text)}}) + "\\n")
"""
HYDRA = """\
[core]
    analytics = false
[hydra]
    enabled = true
    config_dir = params
"""


def environment(**more: str) -> dict[str, str]:
    """The environment of this run without what belongs to an enclosing git command or pre-commit."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "PRE_COMMIT", "AWS_"))}
    people = {f"GIT_{who}_{what}": "test@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return {**kept, **people, "PATH": f"{BINARIES}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT), **more}


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository under test."""
    return ROOT


@pytest.fixture(scope="session")
def run() -> Run:
    """Run a program in a folder; fails the test on a non-zero exit unless ``check=False``."""

    def run_program(
        *command: str | Path, cwd: Path, check: bool = True, **more: str
    ) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env=environment(**more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if check and done.returncode:
            pytest.fail(f"{' '.join(map(str, command))} → {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    return run_program


@pytest.fixture(scope="session")
def start() -> "Callable[..., subprocess.Popen[str]]":
    """Start a program in a folder and let it run; what it says on both streams is read from ``stdout``."""

    def start_program(*command: str | Path, cwd: Path, **more: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env=environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start_program


@pytest.fixture(scope="session")
def write_files() -> Callable[[Path, Mapping[str, str]], None]:
    """Write texts by relative path."""

    def write(folder: Path, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")

    return write


@pytest.fixture(scope="session")
def clone(run: Run) -> Callable[[Path], Path]:
    """Copy what git knows or would add into a new git repository with one commit, ``.venv`` beside it."""

    def clone_working_tree(to: Path) -> Path:
        listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).stdout
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (to / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, to / name)
        run("git", "init", "--quiet", "--initial-branch=main", cwd=to)
        (to / ".git" / "info" / "exclude").write_text("/.venv\n", encoding="utf-8")  # a link here, not a folder
        (to / ".venv").symlink_to(BINARIES.parent)
        run("git", "add", "--all", cwd=to)
        run("git", "commit", "--quiet", "--no-verify", "-m", "as it stands", cwd=to)
        return to

    return clone_working_tree


@pytest.fixture
def line(tmp_path: Path, run, write_files) -> Path:
    """A committed two-stage line whose lock is up to date."""
    repository = tmp_path / "line"
    write_files(
        repository,
        {
            "dvc.yaml": PIPELINE,
            "draw.py": DRAW,
            "count.py": COUNT,
            "params/config.yaml": "datasets:\n  pears:\n    n: 5\n  plums:\n    n: 7\n",
            ".gitignore": "/data/\n",
        },
    )
    run("git", "init", "--quiet", cwd=repository)
    run("dvc", "init", "--quiet", cwd=repository)
    (repository / ".dvc" / "config").write_text(HYDRA, encoding="utf-8")
    run("python", "-m", "tools.params", cwd=repository)
    run("dvc", "repro", "--quiet", cwd=repository)
    run("git", "add", "--all", cwd=repository)
    run("git", "commit", "--quiet", "-m", "a run", cwd=repository)
    return repository
