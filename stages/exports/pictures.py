"""A network for pictures as a graph: the plan of `stages.models.nets.picture_scoring`, step by step, in float32.

A row is the pixels of one picture, from 0 to 255, row after row, channels last; inside, channels come first.
"""

from __future__ import annotations

import numpy as np

from stages.exports.graph import Graph
from stages.models.nets.picture_scoring import PictureModel, Step


def add_pictures(graph: Graph, rows: str, model: PictureModel) -> str:
    """Probabilities of a yes (rows,), or (rows, classes)."""
    pixels = graph.add("Reshape", rows, graph.constant([-1, *model.shape], np.int64))
    centred = graph.add("Sub", pixels, graph.constant(model.mean, np.float32))
    scaled = graph.add("Div", centred, graph.constant(model.spread, np.float32))
    values = graph.add("Transpose", scaled, perm=[0, 3, 1, 2])
    for step in model.plan:
        values = _do(graph, model, step, values)
    chances = graph.cast(graph.add("Softmax", graph.cast(values, np.float64), axis=1), np.float32)
    if model.task == "binary":
        return graph.add("Gather", chances, graph.constant(1, np.int64), axis=1)
    return chances


def _do(graph: Graph, model: PictureModel, step: Step, values: str) -> str:
    kind, name = step["do"], step.get("name", "")
    if kind == "convolve":
        return graph.add("Relu", _convolve(graph, model, name, values))
    if kind == "halve":
        return graph.add("MaxPool", values, kernel_shape=[2, 2], strides=[2, 2])
    if kind == "add":
        inner = graph.add("Relu", _convolve(graph, model, f"{name}a", values, step["stride"]))
        changed = _convolve(graph, model, f"{name}b", inner)
        return graph.add("Relu", graph.add("Add", changed, _kept(graph, step, values)))
    if kind == "lay flat":
        return graph.add("Flatten", graph.add("Transpose", values, perm=[0, 2, 3, 1]), axis=1)
    if kind == "average":
        return graph.add("ReduceMean", values, graph.constant([2, 3], np.int64), keepdims=0)
    weight, bias = (graph.constant(model.weights[f"{name}.{which}"], np.float32) for which in ("weight", "bias"))
    found = graph.add("Gemm", values, weight, bias)
    return found if step["last"] else graph.add("Relu", found)


def _convolve(graph: Graph, model: PictureModel, name: str, values: str, stride: int = 1) -> str:
    weight = model.weights[f"{name}.weight"]  # (channels × 3 × 3, outputs)
    kernels = graph.constant(weight.T.reshape(weight.shape[1], -1, 3, 3), np.float32)
    bias = graph.constant(model.weights[f"{name}.bias"], np.float32)
    return graph.add("Conv", values, kernels, bias, pads=[1, 1, 1, 1], strides=[stride, stride])


def _kept(graph: Graph, step: Step, values: str) -> str:
    """What a block adds to: every ``stride``-th pixel, and zeros for the channels that it has more."""
    if step["stride"] > 1:
        begin, end, axes, by = ([0, 0], [2**31 - 1] * 2, [2, 3], [step["stride"]] * 2)
        values = graph.add("Slice", values, *(graph.constant(each, np.int64) for each in (begin, end, axes, by)))
    if more := step["outputs"] - step["inputs"]:
        values = graph.add("Pad", values, graph.constant([0, 0, 0, 0, 0, more, 0, 0], np.int64))
    return values
