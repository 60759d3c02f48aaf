"""Bundles are swapped, refused and kept: nothing unfit ever answers, and the last good one always does."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.models.bundle import EXAMPLE, MANIFEST, SIGNATURE, seal
from stages.serving.champions import Champions, open_champions
from stages.workspace.errors import UserError
from tests.serving.conftest import copy_bundle

Spoil = Callable[[Path], object]


def flip_a_bit(bundle: Path) -> None:
    model = next(bundle.glob("model*"))
    model.write_bytes(model.read_bytes()[:-1] + b"\x00")


def reseal(bundle: Path, change: Spoil) -> None:
    (bundle / MANIFEST).unlink()
    change(bundle)
    seal(bundle)


SPOILT: dict[str, Spoil] = {
    "no manifest": lambda bundle: (bundle / MANIFEST).unlink(),
    "a file is missing": lambda bundle: (bundle / EXAMPLE).unlink(),
    "a file was added": lambda bundle: (bundle / "extra").write_text("x"),
    "a bit flipped": flip_a_bit,
    "a model that does not load": lambda bundle: reseal(bundle, lambda b: next(b.glob("model*")).write_bytes(b"{}")),
    "an example that does not fit": lambda bundle: reseal(bundle, lambda b: (b / EXAMPLE).write_text("other\n1\n")),
    "a signature without inputs": lambda bundle: reseal(bundle, lambda b: (b / SIGNATURE).write_text("{}")),
    "a signature that is no JSON": lambda bundle: reseal(bundle, lambda b: (b / SIGNATURE).write_text("{")),
    "nothing": shutil.rmtree,
}


@pytest.fixture
def pointer(bundles: Path, tmp_path: Path) -> Path:
    """A link to a bundle, as deployments have it; beside it another version."""
    for version, question in (("v1", "first?"), ("v2", "second?")):
        copy_bundle(bundles / "binary", tmp_path / version, question=question)
    (tmp_path / "current").symlink_to(tmp_path / "v1")
    return tmp_path / "current"


def point(pointer: Path, target: str) -> None:
    """As a deployment does: at once."""
    (aside := pointer.with_name("aside")).symlink_to(pointer.with_name(target))
    aside.replace(pointer)


def question(champions: Champions) -> str:
    return str(champions.served["binary"].bundle.signature["question"])


@pytest.fixture
def told() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def champions(pointer: Path, tmp_path: Path, told: list[tuple[str, str]]) -> Champions:
    return open_champions([pointer], tmp_path / "kept", lambda *of: told.append(of))


def test_a_changed_pointer_is_swapped_in_and_back(champions: Champions, pointer: Path, told) -> None:
    versions = [champions.served["binary"].version]
    for target, wanted in (("v2", "second?"), ("v1", "first?")):
        point(pointer, target)
        champions.refresh()
        assert question(champions) == wanted
        versions.append(champions.served["binary"].version)
    assert versions[0] == versions[2] != versions[1]
    champions.refresh()
    assert told == [("binary", "loaded")] * 3


def test_a_request_keeps_the_bundle_that_it_began_with(champions: Champions, pointer: Path) -> None:
    mine = champions.served["binary"]
    point(pointer, "v2")
    shutil.rmtree(pointer.with_name("v1"))
    champions.refresh()
    assert mine.bundle.signature["question"] == "first?"
    assert (mine.bundle.folder / "README.md").exists()  # its copy is not that folder


@pytest.mark.parametrize("how", SPOILT)
def test_what_is_broken_never_answers(how: str, champions: Champions, pointer: Path, told) -> None:
    SPOILT[how](pointer.with_name("v2"))
    point(pointer, "v2")
    champions.refresh()
    assert question(champions) == "first?"
    assert champions.trouble["binary"] and champions.is_ready
    assert told[-1] == ("binary", "refused")
    point(pointer, "v1")
    champions.refresh(now=True)
    assert champions.trouble == {}


@pytest.mark.parametrize("how", SPOILT)
def test_a_start_on_a_broken_pointer_takes_the_last_good_one(how: str, champions: Champions, pointer, tmp_path) -> None:
    SPOILT[how](pointer.with_name("v1"))
    again = open_champions([pointer], tmp_path / "kept")
    assert question(again) == "first?"
    assert again.served["binary"].version == champions.served["binary"].version
    assert again.trouble["binary"]
    if pointer.exists():
        shutil.rmtree(pointer.with_name("v1"))
    shutil.copytree(pointer.with_name("v2"), pointer.with_name("v1"))
    again.refresh(now=True)
    assert question(again) == "second?" and again.trouble == {}


def test_a_first_start_on_a_broken_bundle_is_refused_in_words(bundles: Path, tmp_path: Path) -> None:
    bundle = copy_bundle(bundles / "binary", tmp_path / "mine")
    flip_a_bit(bundle)
    with pytest.raises(UserError, match="was changed"):
        open_champions([bundle], tmp_path / "kept")
    with pytest.raises(UserError, match="a bundle to serve"):
        open_champions([tmp_path / "nowhere"], tmp_path / "kept")


def test_a_damaged_copy_is_made_again(pointer: Path, tmp_path: Path) -> None:
    first = open_champions([pointer], tmp_path / "kept").served["binary"]
    flip_a_bit(first.bundle.folder)
    again = open_champions([pointer], tmp_path / "kept")
    assert again.trouble == {} and again.served["binary"].version == first.version


def test_a_half_copied_bundle_is_taken_when_it_is_whole(
    champions: Champions, pointer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, half = pointer.with_name("v2"), pointer.with_name("half")
    half.mkdir()
    shutil.copy(whole / MANIFEST, half)
    point(pointer, "half")
    champions.refresh()
    assert question(champions) == "first?"
    for file in whole.iterdir():
        shutil.copy(file, half)
    champions.refresh()
    champions.refresh(now=True)
    assert question(champions) == "second?"


def test_few_copies_are_kept(champions: Champions, pointer: Path, bundles: Path, tmp_path: Path) -> None:
    for number in range(6):
        copy_bundle(bundles / "binary", tmp_path / f"n{number}", question=f"{number}?")
        point(pointer, f"n{number}")
        champions.refresh()
        assert question(champions) == f"{number}?"
    (home,) = (tmp_path / "kept").iterdir()
    assert len([each for each in home.iterdir() if each.is_dir()]) == 3


def test_a_folder_that_cannot_be_written_keeps_nothing_and_answers(pointer: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    champions = open_champions([pointer], tmp_path / "file" / "kept")
    assert question(champions) == "first?"


def test_two_bundles_of_one_model_are_not_both_served(pointer: Path, tmp_path: Path) -> None:
    champions = open_champions([tmp_path / "v1", tmp_path / "v2"], tmp_path / "kept")
    assert question(champions) == "first?"
    assert "another origin" in json.dumps(champions.trouble)
