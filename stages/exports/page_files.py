"""A page that runs a graph of drawn digits in a browser: static files, beside those of ONNX Runtime Web.

``assets/page.js`` makes of a drawing what the model wants: pixels, their sums by row and column, the centre of the ink.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import polars as pl

SIDE = 8
PIXELS = tuple(f"pixel_{row}_{column}" for row in range(SIDE) for column in range(SIDE))
SUMS = tuple(f"{line}_{place}_ink" for line in ("row", "column") for place in range(SIDE))
KNOWN = {*PIXELS, *SUMS, "ink", "centre_row", "centre_column"}
ASSETS = ("index.html", "page.css", "page.js", "mark.svg")
EXAMPLES = "examples.json"
RUNTIME = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
"""What the page takes of ONNX Runtime Web."""


def page_files(signature: Mapping[str, Any], published: pl.DataFrame) -> dict[str, bytes]:
    """The page's own files by name, with the published rows as examples; raises a refusal (wanted, found, next)."""
    others = [str(entry["name"]) for entry in signature["inputs"] if entry["name"] not in KNOWN]
    if others or signature["task"] != "multiclass":
        raise ValueError(
            f"a bundle that tells pictures of {SIDE} × {SIDE} pixels apart, for a page to draw on",
            f"inputs such as {', '.join(others[:3])}" if others else f"a {signature['task']} task",
            "leave out --page: model.onnx and inputs.json are all that a page of your own needs (docs/export.md)",
        )
    assets = files("stages.exports") / "assets"
    examples = published.select(pl.col(PIXELS).cast(pl.Int64)).rows()
    return {name: (assets / name).read_bytes() for name in ASSETS} | {EXAMPLES: json.dumps(examples).encode()}
