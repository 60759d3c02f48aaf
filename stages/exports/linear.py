"""A linear model as a graph: one product for all numbers, one look-up for each category, added up in float64."""

from __future__ import annotations

import numpy as np

from stages.exports.graph import Graph
from stages.models.linear import Line


def add_line(graph: Graph, rows: str, model: Line) -> str:
    """Scores (rows,), or (rows, classes)."""
    numbers = [(place, term) for place, term in enumerate(model.terms) if term.categories is None]
    total = graph.constant(model.intercept[None], np.float64)
    if numbers:
        chosen = graph.constant([place for place, _ in numbers], np.int64)
        values = graph.cast(graph.add("Gather", rows, chosen, axis=1), np.float64)
        centred = graph.add("Sub", values, graph.constant([term.mean for _, term in numbers], np.float64))
        scaled = graph.add("Div", centred, graph.constant([term.scale for _, term in numbers], np.float64))
        is_missing = graph.add("IsNaN", values)
        known = graph.add("Where", is_missing, graph.constant(0, np.float64), scaled)
        slopes = graph.constant([term.slope for _, term in numbers], np.float64)
        missing = graph.constant([term.missing for _, term in numbers], np.float64)
        for value, weights in ((known, slopes), (graph.cast(is_missing, np.float64), missing)):
            total = graph.add("Add", total, graph.add("MatMul", value, weights))
    for place, term in enumerate(model.terms):
        if term.categories is not None:
            code = graph.add("Gather", rows, graph.constant(place, np.int64), axis=1)
            last = graph.constant(len(term.levels), np.float32)  # the row of what is missing
            row = graph.cast(graph.add("Where", graph.add("IsNaN", code), last, code), np.int64)
            levels = graph.constant(np.concatenate([term.levels, term.missing[None]]), np.float64)
            total = graph.add("Add", total, graph.add("Gather", levels, row, axis=0))
    if model.task == "multiclass":
        return graph.cast(graph.add("Softmax", total, axis=1), np.float32)
    flat = graph.add("Squeeze", total, graph.constant([1], np.int64))
    return graph.cast(graph.add("Sigmoid", flat) if model.task == "binary" else flat, np.float32)
