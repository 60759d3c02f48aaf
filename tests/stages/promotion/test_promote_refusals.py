"""What a promotion refuses, in words that name the next step; nothing is written where it does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stages import promote
from stages.experiments.promotion import log as decision_log
from stages.experiments.promotion import registry
from stages.workspace.errors import UserError

ROOT = Path(__file__).parents[3]
LOG = Path("registry/trial.jsonl")


def cached(tools, revision: str, path: str = "bundles/trial") -> Path:
    """The cache file of an output of a revision."""
    md5 = tools.git("show", f"{revision}:dvc.lock").split(f"path: {path}")[1].split("md5: ")[1].split()[0]
    return Path(".dvc/cache/files/md5", md5[:2], md5[2:])


def cached_file(tools, revision: str, name: str) -> Path:
    """The cache file of one file of a revision's bundle."""
    [md5] = [file["md5"] for file in json.loads(cached(tools, revision).read_bytes()) if file["relpath"] == name]
    return Path(".dvc/cache/files/md5", md5[:2], md5[2:])


@pytest.fixture
def undecided(repository, tools):
    """The repository, which must have neither a decision nor a tag more when the test ends."""
    before = (LOG.read_bytes() if LOG.exists() else b"", tools.git("tag"))
    yield repository
    assert (LOG.read_bytes() if LOG.exists() else b"", tools.git("tag")) == before


def test_a_candidate_that_the_registry_cannot_name_is_refused(undecided, told) -> None:
    with pytest.raises(UserError, match=r"a candidate that git knows.*\n.*next edit\n.*dvc exp save -n NAME"):
        told("workspace")
    with pytest.raises(UserError, match=r"'tvin', which is none of these; did you mean 'twin'\?"):
        told("tvin")
    with pytest.raises(UserError, match=r"a candidate: .*\nfound   none"):
        told()
    for both in (("main", "--rollback"), ("main", "--history"), ("--champion", "--history")):
        with pytest.raises(SystemExit):
            told(*both)


def test_a_candidate_without_a_bundle_is_refused(repository, told, tools) -> None:
    tools.git("rm", "-q", "dvc.lock")
    tools.git("commit", "-qm", "no outputs")
    with pytest.raises(UserError, match=r"bundles/trial at main\nfound   neither in git nor among"):
        told("main")
    assert not LOG.exists()


def test_an_unknown_dataset_or_a_metric_that_cannot_decide_is_refused(undecided, told, tools) -> None:
    with pytest.raises(UserError, match="'trail'; known: trial"):
        told("main", "--dataset", "trail")
    tools.change_params(promote={"metric": "calibration_error"})
    with pytest.raises(UserError, match="so biased that its interval carries no verdict"):
        told("main")
    tools.change_params(promote={"metric": "gini"})
    with pytest.raises(UserError, match=r"promote\.metric: one of roc_auc, .*\nfound   'gini'"):
        told("main")
    tools.change_params(promote={"metric": "roc_auc", "margin": "much"})
    with pytest.raises(UserError, match=r"datasets\.trial\.promote\.margin"):
        told("main")


@pytest.mark.parametrize("name", ["model.ubj", "signature.json"])
def test_a_champion_with_a_damaged_file_is_refused_and_can_be_replaced(repository, told, tools, name: str) -> None:
    told("weak")
    file = cached_file(tools, "main~1", name)
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"(?s)the champion v0\.0\.1 of trial.*damaged.*--replace-broken"):
        told("main")
    assert "\nreplace: champion v0.0.1 could no longer be judged" in told("main", "--replace-broken")
    assert registry.champion("trial").version == "v0.0.2"
    with pytest.raises(UserError, match="damaged"):
        told("--rollback")
    assert registry.champion("trial").version == "v0.0.2"


def test_a_champion_of_another_format_is_refused_with_the_step_to_take(repository, told, tools) -> None:
    manifest = json.loads(Path("bundles/trial/manifest.json").read_text())
    Path("bundles/trial/manifest.json").unlink()
    Path("bundles/trial/manifest.json").write_text(json.dumps(manifest | {"format": 99}))
    tools.git("tag", "-a", "-m", "by hand", "trial@v1.0.0", record(tools, "of a later version"))
    tools.git("tag", "-a", "-m", "by hand", "trial#champion#1", "trial@v1.0.0^{commit}")
    with pytest.raises(
        UserError, match=r"(?s)the champion v1\.0\.0 .*that lists no files in that format.*--replace-br"
    ):
        told("twin")


def record(tools, message: str) -> str:
    """Commit the workspace's bundle as it stands."""
    from dvc.repo import Repo

    with Repo() as repo:
        repo.commit(force=True)
    tools.git("add", "-A")
    tools.git("commit", "-qm", message)
    return tools.git("rev-parse", "HEAD")


def test_a_tag_whose_bundle_is_in_neither_cache_nor_remote_is_refused(repository, told, tools) -> None:
    told("weak")
    cached(tools, "main~1").unlink()
    with pytest.raises(UserError, match=r"(?s)the champion v0\.0\.1 .*bundles/trial in DVC's cache or in its remote"):
        told("main")
    assert "replace: " in told("main", "--replace-broken", "--dry-run")


def test_replacing_what_is_not_broken_is_an_ordinary_trial(repository, told) -> None:
    told("main")
    assert "\nkeep: " in told("weak", "--replace-broken")


def test_a_champion_with_inputs_or_a_question_of_another_time_is_refused(repository, told) -> None:
    told("weak")
    path = Path("data/features/trial/manifest.json")
    manifest = json.loads(path.read_text())
    lost = [column for column in manifest["columns"] if column["name"] not in ("hour", "rain")]
    path.write_text(json.dumps(manifest | {"columns": lost}))
    with pytest.raises(UserError, match=r"the inputs of the candidate among the features.*\nfound   no hour, no rain"):
        told("main")
    path.write_text(json.dumps(manifest | {"question": "another?"}))
    with pytest.raises(UserError, match=r"found   question: 'planted\?', not 'another\?'"):
        told("main")


def test_without_a_git_identity_nothing_is_decided(undecided, told, tools, monkeypatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    tools.git("config", "--unset", "user.email")
    with pytest.raises(UserError, match=r"a git user\.email, to sign the decision with\nfound   none"):
        told("main")
    assert "first: " in told("main", "--dry-run")  # as a CI job would ask


def test_outside_a_repository_and_before_the_first_commit_it_says_so(
    repository, told, tools, tmp_path, monkeypatch
) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare/params.yaml").write_bytes(Path("params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path / "bare")
    for arguments in (("main",), ("--champion",)):
        with pytest.raises(UserError, match="git repository"):
            told(*arguments)
    tools.git("init", "-q")
    tools.git("config", "user.name", "Ada")
    tools.git("config", "user.email", "ada@example.org")
    assert "no champion yet" in told("--champion")
    with pytest.raises(UserError, match="'main', which is none of these"):
        told("main")


def test_a_tag_by_hand_in_the_place_of_ours_is_refused(repository, told, tools) -> None:
    tools.git("tag", "trial@v0.0.1", "main")
    with pytest.raises(UserError, match=r"the tag trial@v0\.0\.1 to be free\n.*\n.*git tag -d 'trial@v0\.0\.1'"):
        told("weak")
    assert not LOG.exists()


def test_there_is_nothing_to_roll_back_to_without_a_champion(undecided, told) -> None:
    with pytest.raises(UserError, match=r"a champion of trial before this one\nfound   no champion was ever made"):
        told("--rollback")


def test_two_promotions_at_once_are_refused(undecided, told) -> None:
    with decision_log.one_at_a_time("trial"), pytest.raises(UserError, match="another one is running"):
        told("main")


def test_a_log_without_its_tags_says_whose_they_are(repository, told, tools) -> None:
    told("weak")
    tools.git("tag", "-d", "trial#champion#1")
    with pytest.raises(UserError, match=r"(?s)no trial#champion#1.*`git fetch --tags`; if Ada never pushed them"):
        told("main")


def test_a_champion_marked_by_hand_counts_and_is_remarked(repository, told, tools, caplog) -> None:
    told("weak")
    tools.git("tag", "-a", "-m", "by hand", "trial@v0.0.2", "twin")
    when = str(int(tools.git("for-each-ref", "--format=%(taggerdate:unix)", "refs/tags/trial@v0.0.1")) + 1)
    subprocess.run(["git", "tag", "-a", "-m", "by hand", "trial#champion#2", "twin"], check=True,
                   env=os.environ | {"GIT_COMMITTER_DATE": f"{when} +0000"})  # fmt: skip
    assert "champion v0.0.2" in told("weak")
    assert "champion v0.0.2 was marked by other means; the log's is v0.0.1" in caplog.text


def test_the_command_ends_in_words_and_with_an_error_status(repository) -> None:
    command = [sys.executable, "-m", "stages.promote", "nowhere"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    refused = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "Traceback" not in refused.stderr
    assert "'nowhere', which is none of these" in refused.stderr


def test_help_tells_what_each_decision_means(told, capsys) -> None:
    with pytest.raises(SystemExit):
        promote.main("--help")
    help_text = capsys.readouterr().out
    for word in ("CANDIDATE", "promote  ", "keep  ", "inconclusive  ", "--replace-broken", "git push --tags"):
        assert word.lower() in help_text.lower()


def test_every_shipped_metric_of_decision_is_one_that_can_decide() -> None:
    from stages.experiments.promotion.ruling import refuse_metric
    from stages.metrics.stored import TASKS

    for task in ("binary", "multiclass"):
        settings = yaml.safe_load((ROOT / f"params/promote/{task}.yaml").read_text())
        promote.PromoteSettings.model_validate(settings)
        refuse_metric(settings["metric"], TASKS[task].metrics, "any")


def test_a_candidate_whose_bundle_holds_an_earlier_model_is_refused(undecided, told, tools) -> None:
    """An experiment that named an earlier stage than `package` leaves the bundle of the commit it started from."""
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    lock["stages"]["train@trial"] = {"cmd": "t", "outs": [{"path": "models/trial", "hash": "md5", "md5": "b" * 32}]}
    lock["stages"]["package@trial"] = {"cmd": "p", "deps": [{"path": "models/trial", "hash": "md5", "md5": "a" * 32}]}
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    tools.git("commit", "-qam", "train alone")
    with pytest.raises(UserError, match=r"an earlier one: package@trial not run since"):
        told("main")
    lock["stages"]["package@trial"]["deps"][0]["md5"] = "b" * 32
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    tools.git("commit", "-qam", "and packaged")
    assert "first" in told("main", "--dry-run")
