"""Parameters that nobody asked for are refused, by content, with the command that mends them; all others run."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest

from stages.workspace import origin
from stages.workspace.contents import tree_id
from stages.workspace.errors import UserError
from tests.git_repositories import commit_all, git, new_repository
from tools.params import main as make_params

HYDRA = "[hydra]\n    enabled = true\n    config_dir = params\n"
BASELINE = "ab" + "c" * 38


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A commit whose params.yaml is the composition of its params/; nothing is noted, as in a fresh clone."""
    monkeypatch.delenv(origin.EXPERIMENT, raising=False)
    with new_repository(tmp_path) as folder:
        (folder / ".dvc/config").write_text(HYDRA, encoding="utf-8")
        (folder / "params/model").mkdir(parents=True)
        (folder / "params/model/deep.yaml").write_text("depth: 5\n", encoding="utf-8")
        (folder / "params/config.yaml").write_text("defaults:\n  - model: deep\nseed: 1\n", encoding="utf-8")
        make_params()
        (folder / origin.NOTE).unlink()
        commit_all("composed")
        yield folder


def judge(folder: Path) -> None:
    """As a new process would."""
    origin.require_origin.cache_clear()
    origin.require_origin(folder)


def refused(folder: Path) -> UserError:
    with pytest.raises(UserError) as caught:
        judge(folder)
    return caught.value


def override(folder: Path, depth: int = 3) -> None:
    params = folder / "params.yaml"
    params.write_text(params.read_text(encoding="utf-8").replace("depth: 5", f"depth: {depth}"), encoding="utf-8")


@pytest.fixture
def composing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origin, "composition", lambda root: pytest.fail("composed"))


def test_a_fresh_clone_is_in_order_without_composing(repository: Path, tmp_path: Path, composing_is_an_error) -> None:
    git("clone", "-q", ".", str(tmp_path / "fresh"))
    judge(tmp_path / "fresh")


def test_an_override_that_git_takes_for_unchanged_is_refused(repository: Path) -> None:
    """As Ctrl-C in `dvc exp run` leaves it: as long as before, in the same second."""
    params, long_ago_s = repository / "params.yaml", 1_000_000_000
    git("config", "core.trustctime", "false")
    os.utime(params, (long_ago_s, long_ago_s))
    git("add", "params.yaml")
    override(repository)
    os.utime(params, (long_ago_s, long_ago_s))
    assert git("status", "--porcelain") == ""
    error = refused(repository)
    assert "broken-off `dvc exp run`" in error.found
    assert "-  depth: 3" in error.found
    assert "make main" in error.next_step


def test_params_edited_and_not_composed_are_refused_until_they_are_composed(repository: Path) -> None:
    (repository / "params/model/deep.yaml").write_text("depth: 7\n", encoding="utf-8")
    error = refused(repository)
    assert "params/ was edited after params.yaml was composed" in error.found
    assert "make params" in error.next_step
    make_params()
    judge(repository)
    (repository / "params/model/deep.yaml").write_text("depth: 8\n", encoding="utf-8")
    assert "params/ was edited after params.yaml was composed" in refused(repository).found


def test_an_edit_that_changes_no_parameter_is_in_order(repository: Path) -> None:
    (repository / "params/model/deep.yaml").write_text("# deep enough\ndepth: 5\n", encoding="utf-8")
    judge(repository)


def test_overrides_given_to_make_params_were_asked_for(repository: Path, composing_is_an_error) -> None:
    make_params("seed=2")
    judge(repository)


def test_a_folder_of_parameters_that_does_not_compose_is_told_in_the_words_of_hydra(repository: Path) -> None:
    (repository / "params/config.yaml").write_text("defaults:\n  - model: shallow\n", encoding="utf-8")
    error = refused(repository)
    assert (error.wanted, "shallow" in error.found) == ("params/ to compose", True)


def test_the_override_of_a_running_experiment_is_welcome_and_no_other(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origin, "PATIENCE_S", 0.0)
    monkeypatch.setenv(origin.EXPERIMENT, "shallow")
    override(repository)
    git("update-ref", origin.ASKED_FOR, git("commit-tree", "-m", "dvc-exp", _tree_of_the_workspace()))
    judge(repository)
    override(repository, depth=5)  # nothing to replace: it stays
    git("checkout", "-q", "HEAD", "--", "params.yaml")  # what a second experiment does to the first
    assert "as the experiment shallow composed it" in refused(repository).wanted


def test_the_parameters_of_an_experiment_that_was_applied_are_in_order(repository: Path) -> None:
    override(repository)
    assert "broken-off" in refused(repository).found
    commit = git("commit-tree", "-m", "dvc: commit experiment", _tree_of_the_workspace())
    git("update-ref", f"refs/exps/{BASELINE[:2]}/{BASELINE[2:]}/shallow", commit)
    judge(repository)
    assert origin.experiments_with(repository, origin.ids_of(repository)) == ["shallow"]


def _tree_of_the_workspace() -> str:
    git("add", "-A")
    tree = git("write-tree")
    git("reset", "-q")
    return tree


def test_without_params_there_is_nothing_to_compare(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("seed: 1\n", encoding="utf-8")
    judge(tmp_path)


def test_a_stray_params_yaml_is_named_with_the_command_that_removes_it(repository: Path) -> None:
    (repository / "docs").mkdir()
    (repository / "docs/params.yaml").write_text("depth: 3\n", encoding="utf-8")
    for added in (False, True):  # DVC adds what it writes
        if added:
            git("add", "docs/params.yaml")
        with pytest.raises(UserError) as caught:
            make_params("--check")
        assert "`rm docs/params.yaml`" in caught.value.next_step


def test_a_folder_has_the_id_that_git_gives_it(repository: Path) -> None:
    (repository / "params/é").mkdir()
    (repository / "params/é/run").write_bytes(b"\x00\xff")
    (repository / "params/é/run").chmod(0o755)
    (repository / "params/model.yaml").write_text("", encoding="utf-8")  # sorts before the folder of that name
    commit_all("more")
    assert tree_id(repository / "params") == git("rev-parse", "HEAD:params")


def test_it_costs_a_stage_20_ms_at_most(repository: Path) -> None:
    """Seconds of the processor, git's included, the better of a few: the machine may be busy."""
    for noted in (False, True):
        if noted:
            origin.note_composed(repository)
        spent = []
        for _ in range(5):
            before = _cpu_s()
            judge(repository)
            spent.append(_cpu_s() - before)
        assert min(spent) <= 0.020


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def test_a_stage_refuses_such_parameters_before_it_reads_them(repository: Path) -> None:
    override(repository)
    root = Path(origin.__file__).parents[2]
    script = "from stages.workspace.errors import run_stage\nfrom stages.workspace.settings import *\n"
    script += "run_stage(lambda: read_settings(Settings, 'pears', 'model'), [])"
    with chdir(repository):
        done = subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True
        )
    assert done.returncode == 1
    assert "broken-off `dvc exp run`" in done.stderr
    assert "Traceback" not in done.stderr
