"""Rows made to find where a graph and its bundle part.

Two readings of one model part at the edges: at every threshold of a tree and at the numbers beside it, at the ends of
each range, in a rare category, where a value is missing.  Each is tried by itself in a real row, and all are mixed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from stages.exports.graph import MEMBER
from stages.models.contract import Float32

MIXED_ROWS = 4_000
MIXED_MISSING = 0.1
PICTURES = 50
EACH = 300  # values of one input that are tried by themselves; a deep forest asks for thousands


def made_rows(inputs: Sequence[Mapping[str, Any]], real: Float32, graph: Any) -> pl.DataFrame:
    """The rows, as the bundle wants them; ``real`` is one that it has seen, as the graph wants it."""
    if inputs[0]["kind"] == "picture":
        return _pictures(inputs[0], real)
    asked, chance = values_asked(inputs, graph), np.random.default_rng(0)
    mixed = np.stack([chance.choice(values, MIXED_ROWS) for values in asked], axis=1)
    mixed[chance.random(mixed.shape) < MIXED_MISSING] = np.nan
    pieces = [np.full((1, len(inputs)), np.nan, dtype=np.float32), mixed]
    for place, values in enumerate(asked):
        some = chance.choice(values, min(EACH, len(values)), replace=False)
        alone = np.tile(real, (len(some) + 1, 1))
        alone[:-1, place], alone[-1, place] = some, np.nan
        pieces.append(alone)
    coded = np.concatenate(pieces)
    return pl.DataFrame([_column(coded[:, place], entry) for place, entry in enumerate(inputs)])


def _pictures(entry: Mapping[str, Any], real: Float32) -> pl.DataFrame:
    """Black, white, noise, one corner alone, and a real picture, as it is, turned round and in part."""
    chance, size, real = np.random.default_rng(0), len(real), real.astype(np.uint8)
    noise = chance.integers(0, 256, (PICTURES, size), dtype=np.uint8)
    in_part = np.where(chance.random((PICTURES, size)) < np.linspace(0, 1, PICTURES)[:, None], real, 0)
    corners = np.zeros((2, size), dtype=np.uint8)
    corners[0, 0], corners[1, -1] = 255, 255
    pixels = [np.zeros_like(corners[:1]), np.full_like(corners[:1], 255), corners, noise, in_part, real[None, ::-1]]
    return pl.DataFrame({entry["name"]: pl.Series(np.concatenate(pixels).astype(np.uint8))})


def values_asked(inputs: Sequence[Mapping[str, Any]], graph: Any) -> list[Float32]:
    """Of each input the values at which an answer may change: categories, or numbers and those beside them."""
    numbers = [[0.0, *(entry[end] for end in ("low", "high") if entry.get(end) is not None)] for entry in inputs]
    for feature, threshold in _thresholds(graph):
        numbers[feature].append(threshold)
    found = []
    for entry, values in zip(inputs, numbers, strict=True):
        if entry["kind"] == "categorical":
            found.append(np.arange(len(entry["categories"]), dtype=np.float32))
        else:
            at = np.array(values, dtype=np.float32)
            beside = [np.nextafter(at, np.float32(end)) for end in (-np.inf, np.inf)]
            found.append(np.unique([at, *beside]))
    return found


def _thresholds(graph: Any) -> list[tuple[int, float]]:
    """The input and the threshold of every question about a number."""
    from onnx import helper, numpy_helper

    found = []
    for node in graph.graph.node:
        if node.op_type == "TreeEnsemble":
            told = {each.name: helper.get_attribute_value(each) for each in node.attribute}
            splits, modes = (numpy_helper.to_array(told[name]) for name in ("nodes_splits", "nodes_modes"))
            numbers = zip(told["nodes_featureids"], splits.astype(np.float32), modes, strict=True)
            found += [(feature, float(threshold)) for feature, threshold, mode in numbers if mode != MEMBER]
    return found


def _column(coded: Float32, entry: Mapping[str, Any]) -> pl.Series:
    """One input as the bundle wants it."""
    numbers = pl.Series(entry["name"], coded).fill_nan(None)
    if entry["kind"] != "categorical":
        return numbers
    known = pl.Series(entry["categories"], dtype=pl.Enum(entry["categories"]))
    return known.gather(numbers.cast(pl.UInt32)).alias(entry["name"])
