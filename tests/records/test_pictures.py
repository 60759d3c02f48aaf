"""Pixels go through PNG and base64 unchanged; what is no picture of the wanted shape is refused by name."""

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stages.records.pictures import NoPicture, decode, encode, from_text, to_text

SHAPE = (3, 5, 1)
GREY = np.arange(15, dtype=np.uint8) * 17


def file_of(picture: Image.Image, kind: str = "PNG") -> bytes:
    written = io.BytesIO()
    picture.save(written, kind)
    return written.getvalue()


@given(st.binary(min_size=18, max_size=18), st.sampled_from([(2, 9, 1), (2, 3, 3)]))
def test_pixels_come_back_as_they_were(content: bytes, shape: tuple[int, ...]) -> None:
    pixels = np.frombuffer(content, np.uint8)
    assert np.array_equal(from_text(to_text(pixels, shape), shape), pixels)


def test_channels_come_last() -> None:
    pixels = np.arange(18, dtype=np.uint8)
    assert Image.open(io.BytesIO(encode(pixels, (2, 3, 3)))).getpixel((1, 0)) == (3, 4, 5)


def test_a_data_url_is_read_as_browsers_write_it() -> None:
    assert np.array_equal(from_text("data:image/png;base64," + to_text(GREY, SHAPE), SHAPE), GREY)


def test_colour_turns_grey_by_luma_and_what_is_transparent_turns_black() -> None:
    red = Image.new("RGB", (5, 3), (255, 0, 0))
    assert set(decode(file_of(red), SHAPE)) == {76}  # 0.299 of 255: ITU-R BT.601
    nothing = Image.new("RGBA", (5, 3), (255, 255, 255, 0))
    assert set(decode(file_of(nothing), SHAPE)) == {0}


def test_a_photograph_is_nearly_itself() -> None:
    even = Image.new("L", (5, 3), 100)
    assert np.abs(decode(file_of(even, "JPEG"), SHAPE).astype(int) - 100).max() <= 1


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no PNG or JPEG file"),
        (b"\x89PNG\r\n\x1a\n", "no PNG or JPEG file"),
        (encode(GREY, SHAPE)[:-30], "no PNG or JPEG file"),
        (file_of(Image.new("L", (5, 3)), "GIF"), "no PNG or JPEG file"),
        (encode(GREY, (5, 3, 1)), "5 rows and 3 columns, not 3 and 5"),
        (file_of(Image.new("1", (9000, 9000))), "81000000|9000"),
        (b"x" * ((1 << 24) + 1), "at most"),
    ],
)
def test_what_is_no_such_picture_is_refused(content: bytes, told: str) -> None:
    with pytest.raises(NoPicture, match=told):
        decode(content, SHAPE)


@pytest.mark.parametrize("text", ["", "é", "not base64!", base64.b64encode(b"text").decode()])
def test_a_text_that_holds_no_picture_is_refused(text: str) -> None:
    with pytest.raises(NoPicture):
        from_text(text, SHAPE)
