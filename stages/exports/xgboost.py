"""XGBoost's trees as a graph: boosting, forest, and the members of a bag.

Sums are taken in float32 and in the order of the trees, exponentials rounded from float64 as the C library rounds them,
so that scores are XGBoost's own, nearly always to the bit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from stages.exports.graph import LESS, MEMBER, Graph, Leaf, Split
from stages.models.trees import Trees


def add_trees(graph: Graph, rows: str, model: Trees) -> str:
    """Scores (rows,), or (rows, classes)."""
    learner = json.loads(bytes(model.cut().booster.save_raw("json")))["learner"]
    content, objective = learner["gradient_booster"]["model"], learner["objective"]["name"]
    outputs = max(1, int(learner["learner_model_param"]["num_class"]))
    start = np.array(json.loads(learner["learner_model_param"]["base_score"]), dtype=np.float32)
    if objective == "binary:logistic":  # kept as a probability, added as log-odds, which float32 rounds twice
        start = -np.log((1 / start - 1).astype(np.float64))
    # the start is a tree of its own and the first, because XGBoost adds to it
    starts = ((Leaf(float(value)), output) for output, value in enumerate(np.broadcast_to(start, outputs)))
    trees = ((_node(tree, 0), output) for tree, output in zip(content["trees"], content["tree_info"], strict=True))
    raw = graph.trees(rows, len(model.features), (*starts, *trees), outputs, np.float32)
    if objective == "multi:softprob":
        return _softmax(graph, raw)
    flat = graph.add("Squeeze", raw, graph.constant([1], np.int64))
    return _logistic(graph, flat) if objective == "binary:logistic" else flat


def _node(tree: Mapping[str, Any], place: int) -> Split | Leaf:
    left, right = tree["left_children"][place], tree["right_children"][place]
    if left == -1:
        return Leaf(tree["split_conditions"][place])
    feature, missing_left = tree["split_indices"][place], bool(tree["default_left"][place])
    if tree["split_type"][place]:  # the categories that are listed go to the right
        return Split(feature, MEMBER, 0.0, tuple(_members(tree, place)), not missing_left,
                     yes=_node(tree, right), no=_node(tree, left))  # fmt: skip
    return Split(feature, LESS, tree["split_conditions"][place], (), missing_left,
                 yes=_node(tree, left), no=_node(tree, right))  # fmt: skip


def _members(tree: Mapping[str, Any], place: int) -> Iterator[int]:
    at = tree["categories_nodes"].index(place)
    start = tree["categories_segments"][at]
    yield from tree["categories"][start : start + tree["categories_sizes"][at]]


def _exp(graph: Graph, values: str) -> str:
    return graph.cast(graph.add("Exp", graph.cast(values, np.float64)), np.float32)


def _logistic(graph: Graph, raw: str) -> str:
    one = graph.constant(1, np.float32)
    return graph.add("Div", one, graph.add("Add", _exp(graph, graph.add("Neg", raw)), one))


def _softmax(graph: Graph, raw: str) -> str:
    axis = graph.constant([1], np.int64)
    powers = _exp(graph, graph.add("Sub", raw, graph.add("ReduceMax", raw, axis, keepdims=1)))
    total = graph.add("ReduceSum", graph.cast(powers, np.float64), axis, keepdims=1)
    return graph.add("Div", powers, graph.cast(total, np.float32))
