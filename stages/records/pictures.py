"""Pictures as text and as bytes: the base64 of a PNG or JPEG file, and a row of pixels.

A row of pixels is what a feature of the kind *picture* holds: (rows × columns × channels) bytes, channels last.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MOST_BYTES = 1 << 24  # of a file; a photograph takes 2 to 10 MB
MOST_PIXELS = 1 << 26  # of a picture, so that a small file cannot unpack into all of memory
FORMATS = ("PNG", "JPEG")
MODES = {1: "L", 3: "RGB"}


class NoPicture(ValueError):
    """Bytes that are no picture of the wanted shape; the message says what was found."""


def decode(content: bytes, shape: Sequence[int]) -> NDArray[np.uint8]:
    """The pixels (rows × columns × channels,) of a PNG or JPEG file, in grey or in colour.

    What is transparent is laid on black, as pictures of things usually are.  Raises `NoPicture` where the file is none,
    is damaged or too large, or the picture has other rows or columns: nothing is scaled without a word.
    """
    if len(content) > MOST_BYTES:
        raise NoPicture(f"a file of {len(content):,} bytes, of which at most {MOST_BYTES:,} are read")
    rows, columns, channels = shape
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
            picture: Image.Image = opened
            if picture.width * picture.height > MOST_PIXELS:
                raise NoPicture(
                    f"{picture.width} by {picture.height} pixels, of which at most {MOST_PIXELS:,} are read"
                )
            if (picture.height, picture.width) != (rows, columns):
                raise NoPicture(f"{picture.height} rows and {picture.width} columns, not {rows} and {columns}")
            if picture.has_transparency_data:
                behind = Image.new("RGBA", picture.size, (0, 0, 0, 255))
                picture = Image.alpha_composite(behind, picture.convert("RGBA"))
            pixels = np.asarray(picture.convert(MODES[channels]), dtype=np.uint8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, NoPicture):
            raise
        raise NoPicture(f"no PNG or JPEG file that can be read ({type(error).__name__})") from error
    return pixels.reshape(-1)


def encode(pixels: NDArray[np.uint8], shape: Sequence[int]) -> bytes:
    """A PNG file of a row of pixels: the same pixels give the same bytes."""
    rows, columns, channels = shape
    file = io.BytesIO()
    Image.fromarray(pixels.reshape((rows, columns) if channels == 1 else (rows, columns, channels))).save(file, "PNG")
    return file.getvalue()


def to_text(pixels: NDArray[np.uint8], shape: Sequence[int]) -> str:
    """The same as base64, for CSV and JSON."""
    return base64.b64encode(encode(pixels, shape)).decode("ascii")


def from_text(text: str, shape: Sequence[int]) -> NDArray[np.uint8]:
    """The inverse of `to_text`; raises `NoPicture`.  A data URL, as browsers write one, is read too."""
    head, comma, rest = text.partition(",")
    try:
        content = base64.b64decode(rest if comma and head.startswith("data:") else text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoPicture("no base64") from error
    return decode(content, shape)
