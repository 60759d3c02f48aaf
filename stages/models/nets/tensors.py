"""Named arrays as bytes in the safetensors format, which any framework reads and which cannot carry code.

Eight bytes with the length of a JSON header, the header (type, shape and place of each array), the values.  A few
lines here, so that a trained network scores without the optional layer; a test reads it with the format's own library.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.models.contract import DamagedModel

Arrays = dict[str, NDArray[Any]]
TYPES = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "U8": "|u1"}
ABOUT = "__metadata__"


def to_bytes(arrays: Mapping[str, NDArray[Any]], about: Mapping[str, str] | None = None) -> bytes:
    """The arrays by name in the order of their names, and ``about`` in the header."""
    letters = {np.dtype(name): letter for letter, name in TYPES.items()}
    header: dict[str, Any] = {ABOUT: dict(about)} if about else {}
    start = 0
    for name in sorted(arrays):
        array = arrays[name]
        header[name] = {
            "dtype": letters[array.dtype], "shape": list(array.shape), "data_offsets": [start, start + array.nbytes]
        }  # fmt: skip
        start += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # values begin at a multiple of eight, as the library has it
    return b"".join([len(text).to_bytes(8, "little"), text, *(arrays[name].tobytes() for name in sorted(arrays))])


def from_bytes(content: bytes) -> tuple[Arrays, dict[str, str]]:
    """The arrays, and what the header says about them; a `DamagedModel` where the bytes are not as they should be."""
    begin = 8 + int.from_bytes(content[:8], "little")
    try:
        header: dict[str, Any] = json.loads(content[8:begin])
        about = header.pop(ABOUT, {})
        if max((entry["data_offsets"][1] for entry in header.values()), default=0) != len(content) - begin:
            raise DamagedModel(f"{len(content):,} bytes, and another number in the header")
        arrays: Arrays = {}
        for name, entry in header.items():
            (start, stop), shape = entry["data_offsets"], tuple(entry["shape"])
            flat = np.frombuffer(content[begin + start : begin + stop], TYPES[entry["dtype"]])
            if len(flat) != math.prod(shape) or not np.isfinite(flat).all():
                raise DamagedModel(f"{name}: not {shape} finite numbers")
            arrays[name] = flat.reshape(shape)
        return arrays, about
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DamagedModel(f"no safetensors: {error}") from error
