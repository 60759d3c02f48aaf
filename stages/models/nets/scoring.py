"""A trained network for tables: scored by NumPy alone, so that no bundle needs the optional layer.

Rows are scored in blocks of a fixed size, the last one filled up: sums of a matrix product may depend on how many rows
it has, and so a row scores the same alone as among others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.models.contract import DamagedModel, Float32
from stages.models.nets.coding import Coding, coding_from_json, matrix_of
from stages.models.nets.tensors import Arrays, from_bytes, to_bytes

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

MODEL, WEIGHTS = "model.json", "model.safetensors"
FORMAT = 1
BLOCK = 16  # a single row waits for as many: a millisecond


@dataclass(frozen=True)
class TableModel:
    """Weights by the names of `architecture.TableNet`; numbers come back in their unit by ``mean`` and ``spread``."""

    task: str
    coding: Coding
    weights: Arrays
    mean: float = 0.0
    spread: float = 1.0

    @property
    def features(self) -> list[str]:
        """The names of its inputs."""
        return [feature.name for feature in self.coding.features]

    def predict(self, rows: pl.DataFrame) -> Float32:
        """Scores (rows,), or (rows, classes)."""
        return self.predict_coded(matrix_of(rows, self.features))

    def predict_coded(self, rows: Float32) -> Float32:
        """The same of rows that need no frame."""
        places, codes = self.coding.encode(rows)
        more = max(1, -(-len(rows) // BLOCK)) * BLOCK - len(rows)
        places, codes = np.pad(places, ((0, more), (0, 0))), np.pad(codes, ((0, more), (0, 0)))
        with one_thread().limit(limits=1):
            blocks = [
                self._score(places[start : start + BLOCK], codes[start : start + BLOCK])
                for start in range(0, len(places), BLOCK)
            ]
        return np.concatenate(blocks)[: len(rows)]

    def _score(self, places: Float32, codes: NDArray[np.int64]) -> Float32:
        raw = self._raw(places, codes)  # (rows, members, outputs)
        if self.task == "regression":
            return np.asarray(raw[:, :, 0].mean(axis=1) * self.spread + self.mean, np.float32)
        if self.task == "binary":
            return np.asarray((0.5 * (1 + np.tanh(raw[:, :, 0] / 2))).mean(axis=1), np.float32)
        powers = np.exp(raw - raw.max(axis=2, keepdims=True))
        return np.asarray((powers / powers.sum(axis=2, keepdims=True)).mean(axis=1), np.float32)

    def _raw(self, places: Float32, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        w = self.weights
        missing = (places < 0).astype(np.float32)[..., None]
        basis = np.clip(places[..., None] - np.arange(w["pieces"].shape[1] - 1, dtype=np.float32), 0, 1)
        basis = np.concatenate([basis * (1 - missing), missing], axis=2).transpose(1, 0, 2)
        numbers = np.maximum(np.matmul(basis, w["pieces"]) + w["offsets"][:, None], 0)
        embedded = np.concatenate(
            [numbers.transpose(1, 0, 2).reshape(len(places), -1), w["table"][codes].reshape(len(places), -1)], axis=1
        )
        hidden = (embedded @ w["first"])[:, None] * w["signs"]  # (rows, members, width)
        for layer, bias in enumerate(w["biases"]):
            if layer:
                hidden = (hidden.reshape(-1, hidden.shape[2]) @ w["others"][layer - 1]).reshape(hidden.shape)
            hidden = np.maximum(hidden + bias, 0)
        found = np.matmul(hidden.transpose(1, 0, 2), w["answers"]).transpose(1, 0, 2) + w["means"]
        return np.asarray(found, np.float64)

    def contributions(self, rows: pl.DataFrame) -> Float32 | None:
        """None: a network's answer is no sum over its inputs."""
        return None

    def use_threads(self, threads: int) -> None:
        """One thread is always enough."""

    def files(self) -> dict[str, bytes]:
        """The weights, and as text what they mean."""
        content = {
            "format": FORMAT, "kind": "table", "task": self.task, "mean": self.mean, "spread": self.spread,
            "inputs": self.coding.to_json(),
        }  # fmt: skip
        return {MODEL: (json.dumps(content, indent=1) + "\n").encode(), WEIGHTS: to_bytes(self.weights)}


@cache
def one_thread() -> ThreadpoolController:
    """The libraries of matrix products: looking for them takes milliseconds, holding them back microseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def load_table(content: Mapping[str, Any], files: Mapping[str, bytes]) -> TableModel:
    """The inverse of `TableModel.files`."""
    coding = coding_from_json(content["inputs"])
    weights, _ = from_bytes(files[WEIGHTS])
    numbers, _, inside = weights["pieces"].shape
    expected = {
        "pieces": (len(coding.numbers), coding.pieces + 1, inside), "offsets": (numbers, inside),
        "table": (int(coding.starts[-1]), inside), "first": (inside * len(coding.features), weights["first"].shape[1]),
    }  # fmt: skip
    for name, shape in expected.items():
        if weights[name].shape != shape:
            raise DamagedModel(f"{WEIGHTS}: {name} is {weights[name].shape}, and {MODEL} asks for {shape}")
    model = TableModel(str(content["task"]), coding, weights, float(content["mean"]), float(content["spread"]))
    model.predict_coded(np.full((1, len(coding.features)), np.nan, np.float32))  # all shapes fit one another
    return model
