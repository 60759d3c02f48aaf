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
