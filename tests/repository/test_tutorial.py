"""docs/tutorial.md can be followed: its commands exist, and what it prints is what they say.

Each block ``console`` holds a command after ``$`` and what follows it; ``…`` stands for any lines left out.  What
depends on time or machine (seconds, hashes) is not compared.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.git_repositories import git

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
BINARIES = Path(sys.executable).parent
VARIES = re.compile(r"\d+(\.\d+)? (s|min)\b|\b[0-9a-f]{7,40}\b|\s+|\u202f")


def steps() -> Iterator[tuple[str, list[str]]]:
    """Every command of the tutorial with the lines that it is said to print."""
    for block in re.findall(r"^```console\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *said = step.splitlines()
            yield command, said


STEPS = list(steps())


def shape(line: str) -> str:
    """A line without what varies, and without the widths of columns."""
    return VARIES.sub(" ", line).strip()


def missing_lines(said: list[str], found: str) -> list[str]:
    """The lines of the tutorial that the output does not hold, in their order."""
    lines, missing = iter([shape(line) for line in found.splitlines()]), []
    for line in said:
        if line.strip() not in ("", "…") and shape(line) not in lines:
            missing.append(line)
            lines = iter([shape(one) for one in found.splitlines()])
    return missing


def test_a_missing_or_misplaced_line_is_found() -> None:
    assert missing_lines(["a 3 s", "…", "b"], "x\na 17.5 s\n  b\n") == []
    assert missing_lines(["b", "a"], "a\nb\n") == ["a"]
    assert missing_lines(["0.7566"], "0.7565") == ["0.7566"]


def test_every_command_is_one_that_the_repository_has() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert len(STEPS) >= 8
    for command, _ in STEPS:
        words = shlex.split(command)
        if words[0] == "make":
            assert words[1] in targets
        elif words[:2] == ["python", "-m"]:
            assert (ROOT / f"{words[2].replace('.', '/')}.py").exists()
        else:
            assert words[0] in {"git", "dvc", "head"}, command


def test_the_results_are_those_of_the_committed_metrics() -> None:
    [said] = [said for command, said in STEPS if command == "make repro"]
    done = subprocess.run([sys.executable, "-m", "tools.results"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert len([line for line in said if "[" in line]) >= 5
    assert missing_lines(said, done.stdout) == [], "the tutorial shows older results"


def test_pages_and_documents_that_it_names_exist() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (ROOT / "docs" / link).exists(), link


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_whoever_follows_the_tutorial_sees_what_it_says(tmp_path: Path) -> None:
    """In a clone with a cache of its own, which holds what was made here: `make verify` runs it all from nothing."""
    clone = tmp_path / "plumbline"
    git("clone", "--quiet", str(ROOT), str(clone))
    listed = git("-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    for name in listed:  # what is not committed yet takes part
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / name).write_bytes((ROOT / name).read_bytes())
    (clone / ".git/info/exclude").write_text(".venv\n")
    (clone / ".venv").symlink_to(BINARIES.parent)
    git("-C", str(clone), "checkout", "--quiet", "-B", "main")
    git("-C", str(clone), "add", "--all")
    git("-C", str(clone), "commit", "--quiet", "--allow-empty", "--no-verify", "-m", "what is to be tried")
    environment = {**os.environ, "PATH": f"{BINARIES}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "200"}
    cache = subprocess.run(["dvc", "cache", "dir"], cwd=ROOT, env=environment, capture_output=True, text=True).stdout
    for words in (["remote", "add", "--local", "here", cache.strip()], ["pull", "--remote", "here"]):
        subprocess.run(["dvc", *words], cwd=clone, env=environment, capture_output=True)  # else the line makes it
    for command, said in STEPS:
        if command.startswith("git clone"):
            continue
        done = subprocess.run(
            ["bash", "-c", command], cwd=clone, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        if command == "make repro":  # on a branch whose outputs are still to be committed
            git("-C", str(clone), "commit", "--quiet", "--all", "--allow-empty", "--no-verify", "-m", "a run")
        assert missing_lines(said, done.stdout + done.stderr) == [], f"{command}\n{done.stdout}\n{done.stderr}"
