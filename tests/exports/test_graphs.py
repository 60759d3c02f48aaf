"""A graph scores as the library does that fitted the model, on real rows and on rows made to find a difference."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from stages.exports.graphs import add_model, graph_of
from stages.exports.parity import TOLERANCE, Runner, code_rows, compare, refuse_apart
from stages.exports.sweep import made_rows, values_asked
from tests.exports.conftest import planted_sets

pytestmark = pytest.mark.networks
onnx = pytest.importorskip("onnx", reason="no optional layer: `make networks`")
pytest.importorskip("onnxruntime", reason="no optional layer: `make networks`")

FAMILIES = ("boosting", "forest", "bagging", "lightgbm", "linear", "network", "blend")
DATASETS = ("nycflights", "digits", "diabetes")


def graph_and_bytes(found) -> tuple[Any, bytes]:
    graph = graph_of(found.model, found.signature)
    return graph, graph.SerializeToString(deterministic=True)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dataset", DATASETS)
def test_rows_score_alike_and_are_decided_alike(fitted, dataset: str, family: str) -> None:
    found = fitted(dataset, family)
    graph, content = graph_and_bytes(found)
    made = made_rows(found.signature["inputs"], code_rows(found.later)[0], graph)
    for rows in (found.later, made):
        theirs = Runner(content).predict(code_rows(rows))
        ours = found.model.predict(rows)
        assert theirs.shape == ours.shape and theirs.dtype == np.float32
        assert np.abs(ours.astype(np.float64) - theirs).max() <= TOLERANCE * max(1, np.abs(ours).max())
        told = compare(found.model, Runner(content), rows, found.signature)
        assert told.other_decisions == 0 and told.rows == len(rows)
        assert told.equal_to_the_bit > 0.99 or family in ("network", "blend")


def test_the_real_rows_of_flights_have_missing_values_and_categories(fitted) -> None:
    later = fitted("nycflights", "boosting").later
    assert sum(later.null_count().row(0)) > 1000
    assert later["dest"].n_unique() > 70  # more than a set of 64 bits holds


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_scores_alone_as_among_others(fitted, family: str) -> None:
    found = fitted("nycflights", family)
    runner, rows = Runner(graph_and_bytes(found)[1]), code_rows(found.later.head(200))
    alone = np.concatenate([runner.predict(rows[place : place + 1]) for place in range(len(rows))])
    apart = np.abs(alone - runner.predict(rows)).max()
    assert apart == 0 or (
        family in ("network", "blend") and apart < TOLERANCE / 2
    )  # products of matrices are summed in blocks


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_gives_the_same_bytes_twice(fitted, family: str) -> None:
    found = fitted("diabetes", family)
    assert graph_and_bytes(found)[1] == graph_and_bytes(found)[1]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_made_rows_try_every_category_the_ends_and_what_is_missing(fitted, family: str) -> None:
    found = fitted("nycflights", family)
    graph, _ = graph_and_bytes(found)
    made = made_rows(found.signature["inputs"], code_rows(found.later)[0], graph)
    assert made.null_count().min_horizontal()[0] > 100
    assert made.select(pl.all_horizontal(pl.all().is_null()).any()).item()
    for entry in found.signature["inputs"]:
        values = set(made[entry["name"]].drop_nulls())
        if entry["kind"] == "categorical":
            assert values == set(entry["categories"])
        else:
            assert min(values) <= np.float32(entry["low"]) and np.float32(entry["high"]) <= max(values)


def test_sets_of_categories_are_told_apart() -> None:
    graph, rows, expected = planted_sets()
    assert np.array_equal(Runner(graph.SerializeToString()).predict(rows), expected)


def of_trees(graph: Any) -> dict[str, Any]:
    """The attributes of the first ensemble, to be changed in place."""
    node = next(node for node in graph.graph.node if node.op_type == "TreeEnsemble")
    return {attribute.name: attribute for attribute in node.attribute}


def turned_missing(told: dict[str, Any], place: int) -> None:
    told["nodes_missing_value_tracks_true"].ints[place] ^= 1


def moved_threshold(told: dict[str, Any], place: int) -> None:
    splits = onnx.numpy_helper.to_array(told["nodes_splits"].t).copy()
    splits[place] = np.nextafter(splits[place], splits.dtype.type(np.inf))
    told["nodes_splits"].t.CopyFrom(onnx.numpy_helper.from_array(splits))


def one_below_for_another(told: dict[str, Any], place: int) -> None:
    modes = onnx.numpy_helper.to_array(told["nodes_modes"].t).copy()
    modes[place] = 1 - modes[place]  # < for ≤, and the other way round
    told["nodes_modes"].t.CopyFrom(onnx.numpy_helper.from_array(modes))


@pytest.mark.parametrize("change", [turned_missing, moved_threshold, one_below_for_another])
@pytest.mark.parametrize("dataset", DATASETS)
def test_a_graph_with_one_slip_in_it_is_refused(fitted, dataset: str, change: Any) -> None:
    found = fitted(dataset, "boosting")
    graph, _ = graph_and_bytes(found)
    made = made_rows(found.signature["inputs"], code_rows(found.later)[0], graph)
    told = of_trees(graph)
    outputs = len(found.signature["classes"]) if dataset == "digits" else 1
    change(told, outputs)  # the first question of the first tree: the trees before it are where the sum starts
    apart = compare(found.model, Runner(graph.SerializeToString()), made, found.signature)
    with pytest.raises(ValueError, match="scores as the bundle does") as refusal:
        refuse_apart(apart, 1.0 if found.signature["classes"] else 300.0)
    assert "nothing was written" in refusal.value.args[1]


def test_thresholds_are_tried_with_the_numbers_beside_them(fitted) -> None:
    found = fitted("diabetes", "boosting")
    graph, _ = graph_and_bytes(found)
    told = of_trees(graph)
    split = onnx.numpy_helper.to_array(told["nodes_splits"].t)[1]
    values = values_asked(found.signature["inputs"], graph)[told["nodes_featureids"].ints[1]]
    assert {split, np.nextafter(split, np.float32(-np.inf)), np.nextafter(split, np.float32(np.inf))} <= set(values)


def test_a_model_that_no_graph_says_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="boosting, forest, bagging, lightgbm, linear, network") as refusal:
        add_model(None, "inputs", object())
    assert len(refusal.value.args) == 3
