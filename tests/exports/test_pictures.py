"""Networks that look at pictures score as graphs as they do by NumPy: both layouts, odd sizes, colours, two classes."""

import numpy as np
import polars as pl
import pytest

from stages.exports.graphs import graph_of
from stages.exports.parity import TOLERANCE, Runner, code_rows, compare, refuse_apart
from stages.exports.sweep import made_rows
from stages.models.nets.picture_scoring import PictureModel, plan_plain, plan_residual

pytestmark = pytest.mark.networks
pytest.importorskip("onnxruntime", reason="no optional layer: `make networks`")
SHAPES = ((8, 8, 1), (11, 9, 3))
LAYOUTS = {
    "plain": lambda shape, outputs: plan_plain(shape, width=4, hidden=16, outputs=outputs),
    "residual": lambda shape, outputs: plan_residual(shape, width=4, blocks=2, outputs=outputs),
}


def planted(layout: str, shape: tuple[int, int, int], outputs: int) -> tuple[PictureModel, dict]:
    """A network of weights drawn at random, and the signature of its bundle."""
    chance, plan = np.random.default_rng(1), LAYOUTS[layout](shape, outputs)
    weights = {}
    for step in plan:
        for name in {"add": ("a", "b")}.get(step["do"], ("",)):
            if "name" in step:
                inputs = step["outputs"] if name == "b" else step["inputs"]
                into = inputs if step["do"] == "dense" else 9 * inputs
                drawn = chance.normal(0, into**-0.5, (into, step["outputs"]))
                weights[f"{step['name']}{name}.weight"] = drawn.astype(np.float32)
                weights[f"{step['name']}{name}.bias"] = chance.normal(0, 0.1, step["outputs"]).astype(np.float32)
    task = "binary" if outputs == 2 else "multiclass"
    told = dict.fromkeys(("question", "dataset", "target", "family", "library"), "planted")
    inputs = [{"name": "picture", "kind": "picture", "shape": list(shape)}]
    signature = told | {"task": task, "classes": list("abcdefg"[:outputs]), "threshold": 0.5, "inputs": inputs}
    return PictureModel(task, "picture", shape, plan, weights, 70.0, 90.0), signature


@pytest.mark.parametrize("outputs", [2, 5])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_pictures_score_alike(layout: str, shape: tuple[int, int, int], outputs: int) -> None:
    model, signature = planted(layout, shape, outputs)
    real = np.random.default_rng(2).integers(0, 256, (300, int(np.prod(shape))), dtype=np.uint8)
    rows = pl.DataFrame({"picture": pl.Series(real)})
    graph = graph_of(model, signature)
    runner = Runner(graph.SerializeToString())
    made = made_rows(signature["inputs"], code_rows(rows)[0], graph)
    assert made["picture"].dtype == rows["picture"].dtype and len(made) > 100
    for some in (rows, made):
        found = compare(model, runner, some, signature)
        assert found.largest_difference <= TOLERANCE and found.other_decisions == 0
    assert model.predict(rows).std() > 0.001


def test_a_network_with_one_weight_moved_is_refused() -> None:
    model, signature = planted("residual", SHAPES[1], 5)
    graph = graph_of(model, signature)
    model.weights["s1_0_b.weight"][3, 1] += 0.01
    made = made_rows(signature["inputs"], np.zeros(297, np.float32), graph)
    with pytest.raises(ValueError, match="scores as the bundle does"):
        refuse_apart(compare(model, Runner(graph.SerializeToString()), made, signature), 1.0)
