"""Tags as a registry: versions, the champion, and what stands in the way; git and GTO are the second opinions."""

from pathlib import Path

import gto.api
import pytest

from stages.experiments.promotion.registry import Registered, Tag, champion, mark, missing, plan, version_at, who
from stages.workspace.errors import UserError
from tests.git_repositories import git


@pytest.fixture(autouse=True)
def commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three commits of a new repository, first to last."""
    monkeypatch.chdir(tmp_path)
    git("init", "-q")
    git("config", "user.name", "Ada")
    git("config", "user.email", "ada@example.org")
    for number in range(3):
        git("commit", "-q", "--allow-empty", "-m", str(number))
    return git("log", "--reverse", "--format=%H").split()


def make_champion(commit: str) -> None:
    mark("trial", plan("trial", commit)[1], "as decided")


def test_a_new_commit_gets_the_next_version_and_a_known_one_keeps_its_own(commits: list[str]) -> None:
    assert champion("trial") is None
    assert plan("trial", commits[0]) == (
        "v0.0.1", [Tag("trial@v0.0.1", commits[0]), Tag("trial#champion#1", commits[0])],
    )  # fmt: skip
    make_champion(commits[0])
    make_champion(commits[1])
    assert champion("trial") == Registered("v0.0.2", commits[1])
    assert plan("trial", commits[0]) == ("v0.0.1", [Tag("trial#champion#3", commits[0])])
    assert [version_at("trial", commit) for commit in commits] == ["v0.0.1", "v0.0.2", None]
    assert champion("other") is None


def test_the_champion_is_the_one_marked_last_not_the_highest_version(commits: list[str]) -> None:
    for commit in (commits[0], commits[1], commits[0]):
        make_champion(commit)
    assert champion("trial") == Registered("v0.0.1", commits[0])
    [shown] = gto.api.show(".", "trial#champion")
    assert shown["commit_hexsha"] == commits[0]


def test_tags_are_annotated_and_signed_with_the_name_of_who_decided(commits: list[str]) -> None:
    make_champion(commits[0])
    told = git("cat-file", "-p", "trial#champion#1")
    assert told.startswith(f"object {commits[0]}\ntype commit\n")
    assert "tagger Ada <ada@example.org>" in told
    assert told.endswith("as decided")


def test_marking_twice_changes_nothing_and_never_moves_a_tag(commits: list[str]) -> None:
    _, tags = plan("trial", commits[0])
    assert missing(tags) == tags
    mark("trial", tags, "first")
    before = git("for-each-ref")
    mark("trial", tags, "second")
    assert git("for-each-ref") == before
    assert missing(tags) == []
    with pytest.raises(UserError, match="somebody else decided meanwhile"):
        mark("trial", [Tag("trial@v0.0.1", commits[1])], "third")
    assert git("for-each-ref") == before


def test_a_withdrawn_version_is_not_given_again_and_its_commit_is_refused(commits: list[str]) -> None:
    make_champion(commits[0])
    gto.api.deregister(".", "trial", version="v0.0.1")
    with pytest.raises(UserError, match=r"v0\.0\.1 \(.{7}\) was deregistered\n.*git tag -d 'trial@v0\.0\.1!'"):
        plan("trial", commits[0])
    assert plan("trial", commits[1])[0] == "v0.0.2"


@pytest.mark.parametrize("taken", ["trial@v0.0.1", "trial#champion#1"])
def test_a_light_tag_in_the_way_never_counts_and_is_never_moved(commits: list[str], taken: str) -> None:
    git("tag", taken, commits[2])
    assert champion("trial") is None
    if taken.endswith("#1"):  # assignments are numbered, so the next number is free
        make_champion(commits[0])
        assert champion("trial") == Registered("v0.0.1", commits[0])
    else:
        with pytest.raises(UserError, match=r"the tag trial@v0\.0\.1 to be free"):
            plan("trial", commits[0])
    assert git("rev-parse", taken) == commits[2]


def test_tags_of_other_projects_and_models_are_left_alone(commits: list[str]) -> None:
    for tag in ("v1.0", "other@v3.0.0", "other#champion#7", "trial", "trial@latest", "tri#al#b#c"):
        git("tag", "-a", "-m", "theirs", tag, commits[2])
    make_champion(commits[0])
    assert champion("trial") == Registered("v0.0.1", commits[0])
    assert champion("other") == Registered("v3.0.0", commits[2])


def test_packed_tags_count_like_loose_ones(commits: list[str]) -> None:
    make_champion(commits[0])
    git("pack-refs", "--all")
    assert champion("trial") == Registered("v0.0.1", commits[0])
    make_champion(commits[1])
    assert champion("trial") == Registered("v0.0.2", commits[1])


def test_who_decides_is_who_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert who() == ("Ada", "ada@example.org")
    monkeypatch.setenv("GIT_COMMITTER_NAME", "Grace")
    assert who() == ("Grace", "ada@example.org")


def test_outside_a_repository_it_says_so(tmp_path_factory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    with pytest.raises(UserError, match="git repository"):
        champion("trial")
