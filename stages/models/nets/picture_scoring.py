"""A trained network for pictures: scored by NumPy alone, so that no bundle needs the optional layer.

Pictures are scored in blocks of a fixed size, the last one filled up, so that one alone scores as among others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view

from stages.models.contract import DamagedModel, Float32
from stages.models.nets.scoring import MODEL, WEIGHTS, one_thread
from stages.models.nets.tensors import Arrays, from_bytes, to_bytes

FORMAT = 1
BLOCK = 8

Step = dict[str, Any]
"""What is done next: convolve, halve, add (a residual block), lay flat, average, dense; and between which widths."""


def plan_plain(shape: Sequence[int], *, width: int, hidden: int, outputs: int) -> list[Step]:
    """Two convolutions and two dense layers."""
    rows, columns, channels = shape
    flat = (rows // 4) * (columns // 4) * 2 * width
    return [
        {"do": "convolve", "name": "c0", "inputs": channels, "outputs": width, "normed": False},
        {"do": "halve"},
        {"do": "convolve", "name": "c1", "inputs": width, "outputs": 2 * width, "normed": False},
        {"do": "halve"},
        {"do": "lay flat"},
        {"do": "dense", "name": "d0", "inputs": flat, "outputs": hidden, "last": False},
        {"do": "dense", "name": "d1", "inputs": hidden, "outputs": outputs, "last": True},
    ]


def plan_residual(shape: Sequence[int], *, width: int, blocks: int, outputs: int) -> list[Step]:
    """Three stages of ``blocks`` blocks; each stage but the first halves the picture and doubles the width."""
    steps: list[Step] = [{"do": "convolve", "name": "c0", "inputs": shape[2], "outputs": width, "normed": True}]
    inputs = width
    for stage in range(3):
        for block in range(blocks):
            step = {"do": "add", "name": f"s{stage}_{block}_", "inputs": inputs, "outputs": width * 2**stage}
            steps.append({**step, "stride": 2 if stage and not block else 1})
            inputs = width * 2**stage
    last = {"do": "dense", "name": "d0", "inputs": inputs, "outputs": outputs, "last": True}
    return [*steps, {"do": "average"}, last]


@dataclass(frozen=True)
class PictureModel:
    """A plan, its weights, and how pixels are scaled first."""

    task: str
    feature: str
    shape: tuple[int, int, int]
    plan: list[Step]
    weights: Arrays
    mean: float
    spread: float

    @property
    def features(self) -> list[str]:
        """The name of its only input."""
        return [self.feature]

    def predict(self, rows: pl.DataFrame) -> Float32:
        """Probabilities (rows,) of a yes, or (rows, classes)."""
        pixels = rows[self.feature].to_numpy().reshape(len(rows), *self.shape)
        pixels = np.pad(pixels, ((0, -len(rows) % BLOCK), (0, 0), (0, 0), (0, 0)))
        with one_thread().limit(limits=1):
            blocks = [self._score(pixels[start : start + BLOCK]) for start in range(0, len(pixels), BLOCK)]
        found = np.concatenate(blocks)[: len(rows)] if blocks else np.zeros((0, 2), np.float32)
        return found[:, 1] if self.task == "binary" else found

    def _score(self, pixels: Any) -> Float32:
        values = (pixels.astype(np.float32) - np.float32(self.mean)) / np.float32(self.spread)
        for step in self.plan:
            values = self._do(step, values)
        raw = values.astype(np.float64)
        powers = np.exp(raw - raw.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)

    def _do(self, step: Step, values: Float32) -> Float32:
        kind, name = step["do"], step.get("name", "")
        if kind == "convolve":
            return np.maximum(self._convolve(name, values), 0)
        if kind == "halve":
            n, rows, columns, channels = values.shape
            kept = values[:, : rows // 2 * 2, : columns // 2 * 2]
            return np.asarray(kept.reshape(n, rows // 2, 2, columns // 2, 2, channels).max(axis=(2, 4)), np.float32)
        if kind == "add":
            inner = np.maximum(self._convolve(f"{name}a", values, step["stride"]), 0)
            kept = values[:, :: step["stride"], :: step["stride"]]
            kept = np.pad(kept, ((0, 0), (0, 0), (0, 0), (0, step["outputs"] - step["inputs"])))
            return np.asarray(np.maximum(self._convolve(f"{name}b", inner) + kept, 0), np.float32)
        if kind == "lay flat":
            return values.reshape(len(values), -1)
        if kind == "average":
            return np.asarray(values.mean(axis=(1, 2)), np.float32)
        found = values @ self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]
        return np.asarray(found if step["last"] else np.maximum(found, 0), np.float32)

    def _convolve(self, name: str, values: Float32, stride: int = 1) -> Float32:
        """(rows, height, width, channels) → the same with other channels."""
        padded = np.pad(values, ((0, 0), (1, 1), (1, 1), (0, 0)))
        windows = sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::stride, ::stride]
        n, rows, columns = windows.shape[:3]
        found = windows.reshape(n * rows * columns, -1) @ self.weights[f"{name}.weight"]
        return np.asarray(found + self.weights[f"{name}.bias"]).reshape(n, rows, columns, -1)

    def contributions(self, rows: pl.DataFrame) -> Float32 | None:
        """None: a network's answer is no sum over its inputs."""
        return None

    def use_threads(self, threads: int) -> None:
        """One thread is always enough."""

    def files(self) -> dict[str, bytes]:
        """The weights, and as text what they mean."""
        content = {
            "format": FORMAT, "kind": "pictures", "task": self.task, "feature": self.feature, "shape": list(self.shape),
            "mean": self.mean, "spread": self.spread, "plan": self.plan,
        }  # fmt: skip
        return {MODEL: (json.dumps(content, indent=1) + "\n").encode(), WEIGHTS: to_bytes(self.weights)}


def load_pictures(files: Mapping[str, bytes]) -> PictureModel:
    """The inverse of `PictureModel.files`; whatever is wrong with the bytes is a `DamagedModel`."""
    try:
        content = json.loads(files[MODEL])
        rows, columns, channels = (int(length) for length in content["shape"])
        weights, _ = from_bytes(files[WEIGHTS])
        model = PictureModel(
            str(content["task"]), str(content["feature"]), (rows, columns, channels), list(content["plan"]), weights,
            float(content["mean"]), float(content["spread"]),
        )  # fmt: skip
        black = pl.Series(
            model.feature, [[0] * (rows * columns * channels)], pl.Array(pl.UInt8, rows * columns * channels)
        )
        model.predict(black.to_frame())  # all shapes fit one another
        return model
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise DamagedModel(f"{MODEL} or its weights: {error}") from error
