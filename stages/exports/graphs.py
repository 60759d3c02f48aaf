"""Which models can be a graph, and how each becomes one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from stages.exports.graph import INPUT, Graph
from stages.exports.lightgbm import add_light_trees
from stages.exports.linear import add_line
from stages.exports.network import add_network
from stages.exports.pictures import add_pictures
from stages.exports.xgboost import add_trees
from stages.models.bagging import Bag
from stages.models.blend import Blend, CodedBlend
from stages.models.contract import Model
from stages.models.lightgbm import LightTrees
from stages.models.linear import Line
from stages.models.nets.picture_scoring import PictureModel
from stages.models.nets.scoring import TableModel
from stages.models.trees import Trees

ABLE = "boosting, forest, bagging, lightgbm, linear, network, cnn, and blend of these"
TOLD = ("question", "dataset", "target", "family", "library")


def graph_of(model: Model, signature: Mapping[str, Any]) -> Any:
    """The model as ONNX's message; raises a refusal (wanted, found, next step) where there is none."""
    graph = Graph()
    scores = add_model(graph, INPUT, model)
    outputs = len(signature["classes"]) if signature["task"] == "multiclass" else 1
    width = sum(math.prod(entry.get("shape", ())) for entry in signature["inputs"])
    return graph.model(scores, width, outputs, {name: str(signature[name]) for name in TOLD})


def add_model(graph: Graph, rows: str, model: Model) -> str:
    """Its scores, a row as `Model.predict` gives them."""
    add = _ADD.get(type(model))
    if add is None:
        raise _refusal(f"a model that no graph says ({type(model).__name__})")
    return add(graph, rows, model)


def add_bag(graph: Graph, rows: str, model: Bag) -> str:
    """The mean over the members, added up in float64 and in their order."""
    each = [graph.cast(add_model(graph, rows, member), np.float64) for member in model.members]
    return graph.cast(
        graph.add("Div", graph.add("Sum", *each), graph.constant(len(model.members), np.float64)), np.float32
    )


def add_blend(graph: Graph, rows: str, model: Blend) -> str:
    """The weighted mean over the members, each of which sees its own inputs."""
    each = []
    for member in model.members:
        for one in member.copies if member.weight else ():
            if isinstance(one, PictureModel):
                raise _refusal("a blend with a network that looks at pictures")
            places = [model.features.index(name) for name in one.features]
            own = graph.add("Gather", rows, graph.constant(places, np.int64), axis=1)
            share = graph.constant(member.weight / len(member.copies), np.float64)
            each.append(graph.add("Mul", graph.cast(add_model(graph, own, one), np.float64), share))
    return graph.cast(graph.add("Sum", *each), np.float32)


def _refusal(found: str) -> ValueError:
    return ValueError(
        f"a bundle of a family that can be an ONNX graph: {ABLE}",
        found,
        "serve it by `python -m stages.serve`, or train another family: docs/export.md says which is which",
    )


_ADD: Mapping[type, Callable[[Graph, str, Any], str]] = {
    Trees: add_trees,
    Bag: add_bag,
    LightTrees: add_light_trees,
    Line: add_line,
    TableModel: add_network,
    PictureModel: add_pictures,
    Blend: add_blend,
    CodedBlend: add_blend,
}
