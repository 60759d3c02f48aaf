"""LightGBM's trees as a graph, in float64 as LightGBM computes, until the scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stages.exports.graph import LESS_OR_EQUAL, MEMBER, Graph, Leaf, Split
from stages.models.lightgbm import LightTrees

ZERO = np.float32(1e-35)  # what is no larger, LightGBM takes for 0


def add_light_trees(graph: Graph, rows: str, model: LightTrees) -> str:
    """Scores (rows,), or (rows, classes)."""
    content = model.booster.dump_model()
    outputs, (objective, *settings) = content["num_tree_per_iteration"], content["objective"].split()
    trees = [(_node(tree["tree_structure"]), at % outputs) for at, tree in enumerate(content["tree_info"])]
    is_zero = graph.add("LessOrEqual", graph.add("Abs", rows), graph.constant(ZERO, np.float32))
    values = graph.cast(graph.add("Where", is_zero, graph.constant(0, np.float32), rows), np.float64)
    raw = graph.trees(values, len(model.features), trees, outputs, np.float64)
    if objective == "multiclass":
        return graph.cast(graph.add("Softmax", raw, axis=1), np.float32)
    flat = graph.add("Squeeze", raw, graph.constant([1], np.int64))
    if objective == "binary":
        steepness = next(float(each.partition(":")[2]) for each in settings if each.startswith("sigmoid:"))
        flat = graph.add("Sigmoid", graph.add("Mul", flat, graph.constant(steepness, np.float64)))
    return graph.cast(flat, np.float32)


def _node(node: Mapping[str, Any]) -> Split | Leaf:
    if "leaf_value" in node:
        return Leaf(node["leaf_value"])
    yes, no, feature = _node(node["left_child"]), _node(node["right_child"]), node["split_feature"]
    if node["decision_type"] == "==":  # what is missing is no member
        members = tuple(int(code) for code in node["threshold"].split("||"))
        return Split(feature, MEMBER, 0.0, members, False, yes, no)
    # where no training row missed the value, LightGBM takes a missing one for 0
    missing_is_yes = node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0
    return Split(feature, LESS_OR_EQUAL, node["threshold"], (), missing_is_yes, yes, no)
