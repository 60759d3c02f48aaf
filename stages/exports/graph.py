"""An ONNX graph under construction: nodes by their outputs, and trees in the one form that both tree libraries fit.

`TreeEnsemble` of ONNX's ML operators, version 5, says all that a tree of this line decides by: numbers below a
threshold, sets of categories, and where a missing value goes (https://onnx.ai/onnx/operators).  `onnx` belongs to the
optional layer, so it is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

INPUT, OUTPUT = "inputs", "scores"
OPSETS = {"": 21, "ai.onnx.ml": 5}
IR_VERSION = 10  # of the file format: the one that came with these operators
LESS_OR_EQUAL, LESS, MEMBER = 0, 1, 6  # ONNX's numbers for what a node asks
NO_CATEGORY = -1.0  # for a missing one: builds of ONNX Runtime disagree on whether NaN is in a set


@dataclass(frozen=True)
class Leaf:
    """Where a row ends, and what it gets there."""

    value: float


@dataclass(frozen=True)
class Split:
    """A question about one input: is it below ``value``, or one of ``members``?  Missing values have an answer too."""

    feature: int
    asks: int
    value: float
    members: tuple[int, ...]
    missing_is_yes: bool
    yes: Split | Leaf
    no: Split | Leaf


@dataclass
class Graph:
    """Nodes in the order of their making, and the constants that they read."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """One more node; the name of its output."""
        from onnx import helper

        output = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], domain=domain, **attributes))
        return output

    def constant(self, values: Any, kind: Any) -> str:
        """One more constant; its name."""
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype=kind), name))
        return name

    def cast(self, value: str, kind: Any) -> str:
        """``value`` as another type of numbers."""
        from onnx import helper

        return self.add("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(kind)))

    def trees(self, value: str, width: int, trees: Iterable[tuple[Split | Leaf, int]], outputs: int, kind: Any) -> str:
        """The leaves of all trees that a row (width,) ends in, added up in their order, (rows, outputs).

        Each tree comes with the output that it adds to; ``kind`` is the type of the sums.
        """
        ensemble = _Ensemble()
        for root, output in trees:
            ensemble.plant(root, output)
        if categories := sorted({each.feature for each in ensemble.questions if each.asks == MEMBER}):
            instead = np.full((1, width), np.nan)
            instead[0, categories] = NO_CATEGORY
            value = self.add("Where", self.add("IsNaN", value), self.constant(instead, kind), value)
        return self.add("TreeEnsemble", value, domain="ai.onnx.ml", **ensemble.attributes(outputs, kind))

    def model(self, scores: str, width: int, outputs: int, told: dict[str, str]) -> Any:
        """The whole as ONNX's message: (rows, width) float32 in; (rows,) out, or (rows, outputs)."""
        from onnx import TensorProto, checker, helper

        self.nodes.append(helper.make_node("Identity", [scores], [OUTPUT]))
        shape: list[str | int] = ["rows"] if outputs == 1 else ["rows", outputs]
        graph = helper.make_graph(
            self.nodes,
            "model",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["rows", width])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape)],
            self.constants,
        )
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
        whole = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="plumbline")
        helper.set_model_props(whole, told)
        checker.check_model(whole, full_check=True)
        return whole


@dataclass
class _Ensemble:
    """Trees as the columns of a table of questions and one of leaves."""

    questions: list[Split] = field(default_factory=list)
    yes: list[tuple[int, bool]] = field(default_factory=list)
    no: list[tuple[int, bool]] = field(default_factory=list)
    leaves: list[tuple[float, int]] = field(default_factory=list)
    roots: list[int] = field(default_factory=list)

    def plant(self, root: Split | Leaf, output: int) -> None:
        """One more tree; one without a question gets one that makes no difference, for ONNX wants it."""
        self.roots.append(len(self.questions))
        self._place(root if isinstance(root, Split) else Split(0, LESS, 0.0, (), False, root, root), output)

    def _place(self, node: Split | Leaf, output: int) -> tuple[int, bool]:
        if isinstance(node, Leaf):
            self.leaves.append((node.value, output))
            return len(self.leaves) - 1, True
        place = len(self.questions)
        self.questions.append(node)
        self.yes.append((0, False))
        self.no.append((0, False))
        self.yes[place] = self._place(node.yes, output)
        self.no[place] = self._place(node.no, output)
        return place, False

    def attributes(self, outputs: int, kind: Any) -> dict[str, Any]:
        from onnx import numpy_helper

        def tensor(values: Sequence[float], kind: Any = kind) -> Any:
            return numpy_helper.from_array(np.asarray(values, dtype=kind))

        sets = [(*each.members, *[NO_CATEGORY] * each.missing_is_yes) for each in self.questions if each.asks == MEMBER]
        members = [code for each in sets for code in (*each, np.nan)]  # which ends a set
        return {
            "n_targets": outputs,
            "aggregate_function": 1,  # the sum
            "post_transform": 0,  # none: it is said by nodes, as exactly as the library does it
            "tree_roots": self.roots,
            "nodes_featureids": [each.feature for each in self.questions],
            "nodes_modes": tensor([each.asks for each in self.questions], np.uint8),
            "nodes_splits": tensor([each.value for each in self.questions]),
            "nodes_missing_value_tracks_true": [
                int(each.missing_is_yes and each.asks != MEMBER) for each in self.questions
            ],
            "nodes_truenodeids": [place for place, _ in self.yes],
            "nodes_trueleafs": [int(is_leaf) for _, is_leaf in self.yes],
            "nodes_falsenodeids": [place for place, _ in self.no],
            "nodes_falseleafs": [int(is_leaf) for _, is_leaf in self.no],
            "leaf_targetids": [output for _, output in self.leaves],
            "leaf_weights": tensor([value for value, _ in self.leaves]),
            **({"membership_values": tensor(members)} if members else {}),
        }
