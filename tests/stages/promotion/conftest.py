"""A real repository, git and DVC, with three models of one planted dataset: weak (an experiment), main and twin.

``weak`` is a single round, ``main`` thirty, ``twin`` thirty with a few more bins: a difference that nobody could tell.
The commands behind `dvc.yaml` are not run here: `dvc commit` records what the stages wrote, which is all that counts.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from dvc.repo import Repo

from stages import evaluate, package, promote, retrain, train
from tests.git_repositories import commit_all, git, go_to, new_repository

PIPELINE = """\
stages:
  package:
    cmd: "true"
    outs: [bundles/trial, data/evaluation/trial.parquet, data/trainings/trial.parquet]
artifacts:
  trial: {path: bundles/trial, type: model}
"""
PROMOTE = {"metric": "log_loss", "margin": 0.0, "last_units": None}
IGNORED = "/data/features/\n/data/selection/\n/models/\n/plots/\n/metrics/\n*.part\n"


def change_params(**sections: dict[str, object]) -> None:
    """Change keys in sections of the dataset's parameters."""
    params = yaml.safe_load(Path("params.yaml").read_text())
    for section, values in sections.items():
        params["datasets"]["trial"].setdefault(section, {}).update(values)
    Path("params.yaml").write_text(yaml.safe_dump(params))


def commit_model(message: str, **model: object) -> str:
    """Train, evaluate and package with other settings, and commit what came out."""
    change_params(model=model)
    for stage in (train, evaluate, retrain, package):
        stage.main("trial")
    with Repo() as repo:
        repo.commit(force=True)
    commit_all(message)
    return git("rev-parse", "HEAD")


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory, planted: SimpleNamespace) -> Path:
    """The repository; nobody writes to it."""
    with new_repository(tmp_path_factory.mktemp("promotion"), author="Ada", remote=True) as folder:
        Path("dvc.yaml").write_text(PIPELINE)
        with Path(".gitignore").open("a") as ignored:
            ignored.write(IGNORED)
        planted.write(planted.rows(n=4000), dropped=("wind",), evaluate={"block": 2, "trainings": 3})
        change_params(promote=PROMOTE)
        weak = commit_model("weak", max_rounds=1)
        git("update-ref", f"refs/exps/{weak[:2]}/{weak[2:]}/weak", weak)
        commit_model("main", max_rounds=30)
        git("checkout", "-qb", "twin")
        commit_model("twin", max_bin=40)
        go_to("main")
    return folder


@pytest.fixture
def repository(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to work in, its remote empty."""
    copy = tmp_path / "here" / "repository"
    shutil.copytree(original, copy, symlinks=True)
    monkeypatch.chdir(copy)
    return copy


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the command and return what it prints."""

    def run(*arguments: str) -> str:
        capsys.readouterr()
        promote.main(*arguments)
        return capsys.readouterr().out

    return run


@pytest.fixture
def tools() -> SimpleNamespace:
    """``git``, ``change_params`` and ``commit_model``."""
    return SimpleNamespace(git=git, change_params=change_params, commit_model=commit_model)
