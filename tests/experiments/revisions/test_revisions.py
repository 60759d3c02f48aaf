"""Names, bytes, parameters and folders of revisions; git and DVC's own API are the second opinion."""

import json
import subprocess
from pathlib import Path

import dvc.api
import pytest
from dvc.repo import Repo

from stages.experiments.revisions.revisions import (
    default_reference,
    experiments_of,
    fetch_folder,
    outputs_under,
    params_of,
    read_output,
    recorded_params,
    resolve,
)
from stages.experiments.revisions.waiting import QUEUED, RUNNING, started_elsewhere, waiting_experiments
from stages.workspace.errors import UserError
from tests.git_repositories import git

TABLE, BUNDLE, ADDED, SMALL = "data/tables/a.txt", "models/a", "data/added.bin", "metrics/a.json"


def test_every_kind_of_name_is_the_commit_that_git_means(shared: Path) -> None:
    full = git("rev-parse", "main")
    names = ["main", "HEAD", "HEAD~1", "first", "feature/other", full, full[:9], "origin/theirs"]
    assert [resolve(name).commit for name in names] == [git("rev-parse", f"{name}^{{commit}}") for name in names]
    assert [resolve(name).label for name in ("feature/other", full, full[:9])] == ["feature/other", full[:8], full[:8]]


def test_the_workspace_is_no_commit(shared: Path) -> None:
    assert resolve("workspace").commit is None


def test_experiments_are_those_that_dvc_lists(shared: Path) -> None:
    with Repo() as repo:
        listed = {name: commit for found in repo.experiments.ls().values() for name, commit in found}
    assert {each.name: each.commit for each in experiments_of(resolve("main"))} == listed
    assert {each.name: each.commit for each in experiments_of(resolve("workspace"))} == listed
    assert resolve("trial").commit == listed["trial"]
    assert experiments_of(resolve("first")) == []
    assert started_elsewhere(resolve("first").commit) == {git("rev-parse", "main"): 1}


def test_a_queued_experiment_is_known_to_wait(shared: Path) -> None:
    assert waiting_experiments(None) == {"later": QUEUED}
    assert waiting_experiments(resolve("first").commit) == {}


def test_only_a_run_whose_process_lives_is_told_to_be_running(history: Path) -> None:
    """DVC keeps its note of a run in the workspace, unfinished, after it has ended."""
    note = {"baseline_rev": git("rev-parse", "HEAD"), "location": "workspace", "name": "gone", "status": 1}
    for folder in ("0a03acca", "workspace"):
        Path(".dvc/tmp/exps/run", folder).mkdir(parents=True, exist_ok=True)
        Path(".dvc/tmp/exps/run", folder, f"{folder}.run").write_text(json.dumps(note), encoding="utf-8")
    assert waiting_experiments(None) == {"later": QUEUED}
    process = subprocess.Popen(["sleep", "60"])
    Path(".dvc/tmp/exps/run/workspace/workspace.json").write_text(json.dumps({"pid": process.pid}), encoding="utf-8")
    assert waiting_experiments(None) == {"later": QUEUED, "gone": RUNNING}
    process.kill()
    process.wait()
    assert waiting_experiments(None) == {"later": QUEUED}


def test_one_name_for_experiments_of_two_commits_means_that_of_head(history: Path) -> None:
    trial, start = git("rev-parse", "HEAD~1"), git("rev-parse", "first^{commit}")
    git("update-ref", f"refs/exps/{start[:2]}/{start[2:]}/trial", trial)
    assert resolve("trial").commit != trial
    git("checkout", "-qf", "HEAD~1")
    with pytest.raises(UserError, match=f"2: .*{trial[:8]} \\(from {start[:8]}\\)"):
        resolve("trial")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("mian", "did you mean 'main'"), ("trail", "did you mean 'trial'"), ("theirs", "there is 'origin/theirs'"),
     ("-x", "none of these"), ("", "none of these"), ("0123456", "none of these"), ("main:params.yaml", "none of")],
)  # fmt: skip
def test_an_unknown_name_is_told_with_what_is_close(shared: Path, name: str, hint: str) -> None:
    with pytest.raises(UserError, match=hint):
        resolve(name)


@pytest.mark.parametrize("name", ["main", "HEAD~1", "first", "trial"])
@pytest.mark.parametrize("path", [TABLE, ADDED, SMALL, f"{BUNDLE}/deep/model.txt", "params.yaml"])
def test_bytes_are_those_that_dvc_reads(shared: Path, name: str, path: str) -> None:
    assert read_output(resolve(name), path) == dvc.api.read(path, rev=resolve(name).commit, mode="rb")


def test_the_workspace_is_read_as_it_lies(history: Path) -> None:
    Path(TABLE).unlink()
    Path(TABLE).write_text("changed", encoding="utf-8")
    assert read_output(resolve("workspace"), TABLE) == b"changed"
    Path(TABLE).unlink()
    assert read_output(resolve("workspace"), TABLE) == b"value: 3\n"  # what dvc.lock records


def test_outputs_of_a_folder_are_listed_whoever_keeps_them(shared: Path) -> None:
    assert outputs_under(resolve("first"), "data/tables") == [TABLE]
    assert outputs_under(resolve("workspace"), "data/tables") == [TABLE]
    assert outputs_under(resolve("first"), "metrics") == [SMALL]
    assert outputs_under(resolve("first"), "nowhere") == []


def test_parameters_are_those_of_the_revision_and_of_its_last_run(history: Path) -> None:
    assert [params_of(resolve(name))["value"] for name in ("first", "main", "trial", "workspace")] == [1, 3, 7, 3]
    Path("params.yaml").write_text("value: 4\n", encoding="utf-8")
    assert params_of(resolve("workspace")) == {"value": 4}
    assert recorded_params(resolve("workspace"), "a") == {"value": 3}


def test_what_a_revision_never_had_is_told(shared: Path) -> None:
    with pytest.raises(UserError, match="neither in git nor among the outputs"):
        read_output(resolve("main"), "data/tables/none.txt")


def test_a_folder_is_no_file(shared: Path) -> None:
    for name in ("main", "workspace"):
        with pytest.raises(UserError, match=f"a file {BUNDLE} at {name}"):
            read_output(resolve(name), BUNDLE)


def test_a_lock_file_that_is_no_yaml_is_told(history: Path) -> None:
    Path("dvc.lock").write_text("stages: [", encoding="utf-8")
    Path(TABLE).unlink()
    with pytest.raises(UserError, match=r"YAML in dvc.lock of workspace"):
        read_output(resolve("workspace"), TABLE)


@pytest.mark.parametrize("name", ["workspace", "first", "trial"])
def test_a_folder_is_written_whole(history: Path, name: str, tmp_path: Path) -> None:
    folder = fetch_folder(resolve(name), BUNDLE, tmp_path / "bundle")
    value = {"workspace": 3, "first": 1, "trial": 7}[name]
    found = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert found == {"deep/model.txt": f"value: {value}\n", "card.txt": "same\n"}


def test_a_folder_that_git_keeps_is_read_from_it(history: Path, tmp_path: Path) -> None:
    assert (fetch_folder(resolve("first"), "metrics", tmp_path / "m") / "a.json").read_text() == "value: 1\n"


def test_a_folder_in_the_way_is_not_touched(shared: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="exists"):
        fetch_folder(resolve("first"), BUNDLE, tmp_path)


def test_without_a_git_repository_nothing_is_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="a git repository around the working directory"):
        resolve("main")


def test_a_repository_of_another_user_is_told_with_the_command_that_trusts_it(shared: Path, monkeypatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(UserError, match="dubious ownership") as refused:
        resolve("main")
    assert f"`git config --global --add safe.directory {shared}`" in refused.value.next_step


def test_a_shallow_clone_is_told_how_to_get_its_history(shared: Path, tmp_path: Path, monkeypatch) -> None:
    git("clone", "--quiet", "--depth", "1", f"file://{shared}", str(tmp_path / "shallow"))
    monkeypatch.chdir(tmp_path / "shallow")
    assert resolve("HEAD").commit
    for name in ("HEAD~1", "first"):
        with pytest.raises(UserError, match="this clone is shallow") as refused:
            resolve(name)
        assert refused.value.next_step.startswith("run `git fetch --unshallow`")
    git("fetch", "--quiet", "--unshallow", "--tags")
    assert resolve("HEAD~1").commit and resolve("first").commit


def test_a_project_in_a_folder_of_a_larger_repository_is_read(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_output(resolve("main"), "metrics/a.json") == b"value: 3\n"
    monkeypatch.chdir(history / "metrics")
    assert read_output(resolve("first"), "a.json") == b"value: 1\n"


def test_the_reference_by_default_is_main_or_on_main_the_last_commit(history: Path) -> None:
    assert default_reference() == "HEAD"
    git("checkout", "-qf", "feature/other")
    assert default_reference() == "main"
