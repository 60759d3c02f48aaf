"""A real repository with commits, a tag, a branch, DVC experiments and a remote in a folder."""

import shutil
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from dvc.repo import Repo

from tests.git_repositories import commit_all, git, go_to, new_repository, run_pipeline

ADDED = "data/added.bin"
PIPELINE = """\
stages:
  make:
    foreach: [a]
    do:
      cmd: mkdir -p data/tables models/a/deep metrics && cp params.yaml data/tables/a.txt
        && cp params.yaml models/a/deep/model.txt && echo same > models/a/card.txt && cp params.yaml metrics/a.json
      params: [value]
      outs: [data/tables/a.txt, models/a]
      metrics: [{metrics/a.json: {cache: false}}]
"""


def commit(value: int) -> None:
    """Run the pipeline with a parameter, and commit what it left."""
    Path("params.yaml").write_text(f"value: {value}\n", encoding="utf-8")
    run_pipeline()
    commit_all(f"value {value}")


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """main: 1 (tag first) ← 2 ← 3, and branch feature/other from the tag; experiments of main."""
    with new_repository(tmp_path_factory.mktemp("history"), autostage=True, remote=True) as folder:
        Path("dvc.yaml").write_text(PIPELINE, encoding="utf-8")
        Path("data").mkdir()
        Path(ADDED).write_bytes(b"\x00added")
        with Repo() as repo:
            repo.add(ADDED)
        commit(1)
        git("tag", "-a", "first", "-m", "first")
        commit(2)
        commit(3)
        with Repo() as repo:
            repo.push(all_commits=True)
            repo.experiments.run(name="trial", params=["value=7"])
        go_to("main")
        with Repo() as repo:
            repo.experiments.run(name="later", params=["value=8"], queue=True)
        git("branch", "feature/other", "first")
        git("update-ref", "refs/remotes/origin/theirs", "first")
    return folder


@pytest.fixture
def history(original: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of its own, with its remote beside it."""
    shutil.copytree(original.parent, tmp_path / "copy", symlinks=True)
    with chdir(tmp_path / "copy" / "repository"):
        yield Path.cwd()


@pytest.fixture
def shared(original: Path) -> Iterator[Path]:
    """The one of the session, to be read only."""
    with chdir(original):
        yield original
