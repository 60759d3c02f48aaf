"""What `make new-pictures` makes of a folder, and what it says where it cannot."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.workspace.errors import UserError
from tools import new_pictures


def save(path: Path, size: tuple[int, int], colour: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], 3) if colour else (size[1], size[0])
    Image.fromarray(np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)).save(path)


def test_pictures_of_one_size_stay_as_they_are(tmp_path):
    for name in ("cats/a.png", "cats/b.jpg", "dogs/a.png"):
        save(tmp_path / name, (12, 10))
    (tmp_path / "dogs/broken.png").write_bytes(b"none")
    files = new_pictures.find_pictures(tmp_path)
    assert new_pictures.only_size(files) == (10, 12, 1)
    assert all(new_pictures.scaled(path, (10, 12, 1), given=False) == path.read_bytes() for path in files)


def test_several_sizes_are_scaled_where_one_is_named_and_refused_where_none_is(tmp_path):
    save(tmp_path / "cats/a.png", (30, 20), colour=True)
    save(tmp_path / "dogs/a.png", (12, 10))
    files = new_pictures.find_pictures(tmp_path)
    with pytest.raises(UserError, match="20x30x3") as refused:
        new_pictures.only_size(files)
    assert "SIZE=" in refused.value.next_step
    for path in files:
        with Image.open(io.BytesIO(new_pictures.scaled(path, (16, 18, 3), given=True))) as picture:
            assert (picture.height, picture.width, picture.mode) == (16, 18, "RGB")


def test_a_zip_of_the_same_pictures_has_the_same_bytes():
    pictures = {"b/1.png": b"1", "a/2.png": b"2"}
    content = new_pictures.packed(pictures)
    assert content == new_pictures.packed(dict(reversed(pictures.items())))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == pictures


@pytest.mark.parametrize("names", [[], ["cats/a.png"], ["a.png", "b.png"], ["cats/a.txt", "dogs/b.txt"]])
def test_a_folder_without_two_classes_is_refused(tmp_path, names):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match="at least two folders of pictures"):
        new_pictures.find_pictures(tmp_path)


@pytest.mark.parametrize("text", ["32", "32x32", "32x32x2", "0x32x1", "4x4x1", "99999x1x1"])
def test_a_size_that_is_none_is_refused(text, capsys):
    with pytest.raises(SystemExit):
        new_pictures.parse(["toys", "folder", "--size", text])
    assert "32x32x3" in capsys.readouterr().err
