"""The server answers by the registry's champion, and follows promotions and rollbacks while it runs."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.serving.champions import open_champions


@pytest.fixture
def rounds() -> Callable[..., int]:
    """By how many rounds of trees a champion answers: what tells the models apart."""

    def count(champions) -> int:  # type: ignore[no-untyped-def]
        return int(champions.served["trial"].bundle.model.booster.num_boosted_rounds())

    return count


def test_without_a_champion_the_bundle_of_the_workspace_answers(repository: Path, tmp_path: Path, rounds) -> None:
    champions = open_champions([], tmp_path / "kept")
    assert rounds(champions) > 1
    assert len(champions.served["trial"].version) == 12  # the digits of its contents


def test_promotions_and_rollbacks_are_followed(repository: Path, tmp_path: Path, told, rounds) -> None:
    told("weak")
    champions = open_champions([], tmp_path / "kept")
    assert (champions.served["trial"].version, rounds(champions)) == ("v0.0.1", 1)
    told("main")
    champions.refresh()
    assert champions.served["trial"].version == "v0.0.2" and rounds(champions) > 1
    told("--rollback")
    champions.refresh()
    assert (champions.served["trial"].version, rounds(champions)) == ("v0.0.1", 1)
    assert champions.trouble == {}


def test_a_champion_that_cannot_be_fetched_leaves_the_last_one(repository: Path, tmp_path: Path, told, rounds) -> None:
    told("weak")
    open_champions([], tmp_path / "kept")
    told("main")
    shutil.rmtree(repository / ".dvc" / "cache")
    again = open_champions([], tmp_path / "kept")
    assert (again.served["trial"].version, rounds(again)) == ("v0.0.1", 1)
    assert "not in the cache" in again.trouble["trial"] and again.is_ready


def test_a_folder_that_is_named_comes_before_the_registry(repository: Path, tmp_path: Path, told, rounds) -> None:
    told("weak")
    champions = open_champions([Path("bundles")], tmp_path / "kept")
    assert rounds(champions) > 1
