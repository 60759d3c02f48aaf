"""The real line with real DVC: a clone of the working tree on ``scale=tiny``, run once from an empty cache."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LEFT_OUT = ("diabetes", "weather", "rates")
"""Of the line that tests run again and again: what is asked of DVC here, two datasets answer as well."""
BINARIES = Path(sys.executable).parent


@dataclass
class Line:
    """A git and DVC repository with a cache of its own, and what its first run said."""

    root: Path
    environment: dict[str, str]
    first_log: str = ""
    first_changes: list[str] = field(default_factory=list)

    def start(self, *command: str) -> "subprocess.Popen[str]":
        """Start a program in a process group of its own; both streams are read from ``stdout``."""
        return subprocess.Popen(
            command, cwd=self.root, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, *command: str, fails: bool = False) -> str:
        """What a program says on both streams; the test fails when its exit status is not as expected."""
        process = self.start(*command)
        said, _ = process.communicate()
        if bool(process.returncode) != fails:
            pytest.fail(f"{' '.join(command)} → {process.returncode}\n{said}")
        return said

    def read(self, *command: str) -> str:
        """What a program says on standard output alone."""
        done = subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.fail(f"{' '.join(command)} → {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def changes(self) -> list[str]:
        """What git has to say about the workspace."""
        return self.run("git", "status", "--porcelain", "--untracked-files=all").splitlines()

    def commit(self, message: str) -> None:
        """Commit everything that git sees."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--no-verify", "--message", message)

    def reset(self) -> None:
        """Back to the last commit, outputs included."""
        self.run("git", "reset", "--quiet", "--hard")
        self.run("git", "clean", "--quiet", "-fd")
        self.run("dvc", "checkout", "--quiet")

    @property
    def datasets(self) -> list[str]:
        """The datasets of the line."""
        return list(yaml.safe_load((self.root / "params.yaml").read_text(encoding="utf-8"))["datasets"])

    @property
    def stages(self) -> list[str]:
        """Every stage for every dataset, by the names that DVC gives them."""
        declared = yaml.safe_load((self.root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
        made = [name for name, stage in declared.items() if "foreach" in stage]  # `params` judges, and makes nothing
        return [f"{stage}@{dataset}" for stage in made for dataset in self.datasets]


def stages_run(log: str) -> list[str]:
    """The stages whose command DVC started, as ``stage@dataset``."""
    return [f"{stage}@{dataset}" for stage, dataset in re.findall(r"^> python -m stages\.(\w+) (\w+)$", log, re.M)]


def stages_restored(log: str) -> list[str]:
    """The stages whose outputs DVC took from its run cache."""
    return re.findall(r"^Stage '([\w@]+)' is cached - skipping run", log, re.M)


def _environment(folder: Path) -> dict[str, str]:
    """This environment without what belongs to an enclosing git command; DVC's own state in ``folder``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "PRE_COMMIT", "DVC_"))}
    people = {f"GIT_{who}_{what}": "test@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    own = {"DVC_SITE_CACHE_DIR": str(folder / "site"), "DVC_NO_ANALYTICS": "1", "COLUMNS": "200"}
    return {**kept, **people, **own, "PATH": f"{BINARIES}{os.pathsep}{os.environ['PATH']}"}


def _copy_working_tree(to: Path) -> None:
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


@pytest.fixture
def tree(tmp_path: Path) -> Line:
    """A copy of the working tree on ``scale=tiny`` in which nothing has been run; no repository yet."""
    return _tiny_tree(tmp_path)


@pytest.fixture(scope="session")
def new_tree() -> Callable[[Path], Line]:
    """`tree` in a folder of one's own, for a fixture that lives longer than a test."""
    return _tiny_tree


def _tiny_tree(folder: Path) -> Line:
    line = Line(folder / "clone", _environment(folder))
    _copy_working_tree(line.root)
    contents = line.root / "params/config.yaml"
    told = contents.read_text(encoding="utf-8").replace("scale: full", "scale: tiny")
    for name in LEFT_OUT:
        told = told.replace(f"  - dataset@datasets.{name}: {name}\n", "")
        for kept in ("metrics", "plots"):
            shutil.rmtree(line.root / kept / name, ignore_errors=True)
    contents.write_text(told, encoding="utf-8")
    lock = line.root / "dvc.lock"
    entries = re.split(r"(?m)^(?=  \S)", lock.read_text(encoding="utf-8"))
    theirs = tuple(f"@{name}:" for name in LEFT_OUT)
    others = [entry for entry in entries if not entry.partition("\n")[0].endswith(theirs)]
    lock.write_text("".join(others), encoding="utf-8")
    return line


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """The line after its first run, committed; for tests that leave it as it is."""
    line = _tiny_tree(tmp_path_factory.mktemp("line"))
    line.run("git", "init", "--quiet", "--initial-branch=main")
    (line.root / ".dvc" / "config.local").write_text("[cache]\n    dir = cache\n", encoding="utf-8")  # nobody else's
    line.run("python", "-m", "tools.params")
    line.commit("tiny")
    line.first_log = line.run("dvc", "repro")
    line.first_changes = line.changes()
    line.commit("a run")
    return line


@pytest.fixture
def settled(line: Line) -> Iterator[Line]:
    """The line as committed, for tests that change it; put back afterwards."""
    yield line
    line.reset()


@pytest.fixture(scope="session")
def read_log():
    """How a log is read: which stages ran, which were restored."""
    return stages_run, stages_restored
