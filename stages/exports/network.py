"""A network for tables as a graph: the sums of `stages.models.nets.scoring`, in the same types.

Numbers find their place among the quantiles in float64, all other sums are in float32 until each member has its answer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.exports.graph import Graph
from stages.models.nets.scoring import TableModel

FAR = 3e38  # where a number with fewer quantiles than another has the ones that it lacks


def add_network(graph: Graph, rows: str, model: TableModel) -> str:
    """Scores (rows,), or (rows, classes)."""
    w, first_axis = model.weights, graph.constant([0], np.int64)
    is_category = np.array([feature.is_category for feature in model.coding.features])
    embedded = []
    if not is_category.all():
        embedded.append(_numbers(graph, rows, model, np.flatnonzero(~is_category)))
    if is_category.any():
        embedded.append(_categories(graph, rows, model, np.flatnonzero(is_category)))
    whole = graph.add("Concat", *embedded, axis=1)
    shared = graph.add("Unsqueeze", graph.add("MatMul", whole, graph.constant(w["first"], np.float32)), first_axis)
    hidden = graph.add("Mul", shared, graph.constant(w["signs"][:, None], np.float32))  # (members, rows, width)
    for layer, biases in enumerate(w["biases"]):
        if layer:
            hidden = graph.add("MatMul", hidden, graph.constant(w["others"][layer - 1], np.float32))
        hidden = graph.add("Relu", graph.add("Add", hidden, graph.constant(biases[:, None], np.float32)))
    answers = graph.add("MatMul", hidden, graph.constant(w["answers"], np.float32))
    raw = graph.cast(graph.add("Add", answers, graph.constant(w["means"][:, None], np.float32)), np.float64)
    if model.task == "multiclass":
        chances = graph.add("Softmax", raw, axis=2)
        return graph.cast(graph.add("ReduceMean", chances, first_axis, keepdims=0), np.float32)
    each = graph.add("Sigmoid", raw) if model.task == "binary" else raw
    mean = graph.add("ReduceMean", graph.add("Squeeze", each, graph.constant([2], np.int64)), first_axis, keepdims=0)
    if model.task == "regression":
        spread, middle = (graph.constant(number, np.float64) for number in (model.spread, model.mean))
        mean = graph.add("Add", graph.add("Mul", mean, spread), middle)
    return graph.cast(mean, np.float32)


def _numbers(graph: Graph, rows: str, model: TableModel, chosen: NDArray[np.int64]) -> str:
    """The embedded numbers side by side: each stretch between two quantiles has its weights, a missing one its own."""
    numbers, pieces, last = model.coding.numbers, model.coding.pieces, graph.constant([2], np.int64)
    low, width = np.full((2, len(numbers), pieces), FAR)
    for number, feature in enumerate(numbers):
        knots = np.array(feature.knots, dtype=np.float64)
        low[number, : len(knots) - 1], width[number, : len(knots) - 1] = knots[:-1], np.diff(knots)
    values = graph.cast(graph.add("Gather", rows, graph.constant(chosen, np.int64), axis=1), np.float64)
    is_missing = graph.add("IsNaN", values)
    known = graph.add("Unsqueeze", graph.add("Where", is_missing, graph.constant(0, np.float64), values), last)
    beyond = graph.add("Sub", known, graph.constant(low, np.float64))
    passed = _between(graph, graph.add("Div", beyond, graph.constant(width, np.float64)), np.float64)
    place = graph.cast(graph.add("ReduceSum", passed, last, keepdims=1), np.float32)
    inside = _between(graph, graph.add("Sub", place, graph.constant(np.arange(pieces), np.float32)), np.float32)
    missing = graph.add("Unsqueeze", graph.cast(is_missing, np.float32), last)
    there = graph.add("Mul", inside, graph.add("Sub", graph.constant(1, np.float32), missing))
    basis = graph.add("Transpose", graph.add("Concat", there, missing, axis=2), perm=[1, 0, 2])
    sums = graph.add("MatMul", basis, graph.constant(model.weights["pieces"], np.float32))
    found = graph.add("Relu", graph.add("Add", sums, graph.constant(model.weights["offsets"][:, None], np.float32)))
    return graph.add("Flatten", graph.add("Transpose", found, perm=[1, 0, 2]), axis=1)


def _between(graph: Graph, values: str, kind: type) -> str:
    """Clipped to 0 and 1."""
    return graph.add("Clip", values, graph.constant(0, kind), graph.constant(1, kind))


def _categories(graph: Graph, rows: str, model: TableModel, chosen: NDArray[np.int64]) -> str:
    """The embedded categories side by side; a missing one has the code after the last."""
    starts = model.coding.starts
    codes = graph.add("Gather", rows, graph.constant(chosen, np.int64), axis=1)
    none = graph.constant(np.diff(starts)[None] - 1, np.float32)
    known = graph.cast(graph.add("Where", graph.add("IsNaN", codes), none, codes), np.int64)
    places = graph.add("Add", known, graph.constant(starts[:-1], np.int64))
    table = graph.constant(model.weights["table"], np.float32)
    return graph.add("Flatten", graph.add("Gather", table, places, axis=0), axis=1)
