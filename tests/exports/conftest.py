"""Models of every family that can be a graph, fitted to real rows: small ones, in seconds."""

from collections.abc import Callable
from contextlib import chdir
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest

from stages.exports.graph import INPUT, MEMBER, Graph, Leaf, Split
from stages.features.table import FeatureTable, open_features, read_selection, read_sketches
from stages.models.blend import Member, blend_of
from stages.models.bundle import SIGNATURE
from stages.models.contract import Float32, Model
from stages.models.families import FAMILIES
from stages.models.rows import Share, Training
from stages.workspace.files import read_json

ROOT = Path(__file__).parents[2]
BOOSTED = {
    "max_depth": 6, "learning_rate": 0.3, "min_child_weight": 5.0, "subsample": 0.8, "colsample_bytree": 0.5,
    "reg_lambda": 1.0, "max_bin": 64, "max_rounds": 20, "early_stopping_rounds": 5,
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "boosting": BOOSTED,
    "forest": {"trees": 10, "max_depth": 8, "min_child_weight": 5.0, "subsample": 0.6, "colsample_bynode": 0.3,
               "reg_lambda": 1.0, "max_bin": 64},
    "bagging": {**BOOSTED, "members": 3},
    "lightgbm": {"num_leaves": 31, "learning_rate": 0.1, "min_data_in_leaf": 20, "bagging_fraction": 0.8,
                 "feature_fraction": 0.8, "lambda_l2": 1.0, "max_bin": 64, "max_rounds": 20,
                 "early_stopping_rounds": 5},
    "network": {"max_epochs": 2, "patience": 2, "batch": 512, "learning_rate": 0.01, "weight_decay": 0.0003,
                "schedule": "constant", "shards": 1, "pieces": 12, "embedding": 4, "width": 32, "layers": 2,
                "members": 2, "dropout": 0.1},
    "linear": {"penalty": 1.0, "max_iterations": 30},
}  # fmt: skip


class Fitted(NamedTuple):
    """A model as it comes back from its files, the signature of its rows, and the rows that it did not learn from."""

    model: Model
    signature: dict[str, Any]
    later: pl.DataFrame


@pytest.fixture(scope="session")
def fitted() -> Callable[[str, str], Fitted]:
    """The model of a dataset and a family; of flights, one month to learn from and the next to score."""

    @cache
    def once(dataset: str, family: str) -> Fitted:
        if family == "blend":
            return _blended({name: once(dataset, name) for name in ("boosting", "network", "linear")})
        with chdir(ROOT):
            if not (Path("bundles") / dataset / SIGNATURE).exists():
                pytest.skip("no bundles here: `make repro` makes them")
            table, sketches = _narrow(open_features(dataset, read_selection(dataset))), read_sketches(dataset)
            training = Training(Share(table, table), sketches, 5, 1, 1 << 33, dataset, lambda *_: None)
            settings = FAMILIES[family].settings(family=family, **SETTINGS[family])
            files = FAMILIES[family].fit(training, settings).model.files()
            later = pl.concat(frame.select(table.names) for frame in table.frames("valid"))
            signature = read_json(Path("bundles") / dataset / SIGNATURE) | {"family": family}
        model = FAMILIES[family].load(files)
        model.use_threads(1)
        return Fitted(model, signature, later)

    return once


def _blended(fitted: dict[str, Fitted]) -> Fitted:
    """An average of the three, whose inputs come the other way round than those of its members."""
    (_, signature, later), weights = fitted["boosting"], (0.3, 0.5, 0.2)
    members = [Member(name, name, weight, (each.model,))
               for (name, each), weight in zip(fitted.items(), weights, strict=True)]  # fmt: skip
    names = later.columns[::-1]
    turned = signature | {"family": "blend", "inputs": signature["inputs"][::-1]}
    return Fitted(blend_of(names, members), turned, later.select(names))


def planted_sets(categories: int = 70, n: int = 200) -> tuple[Any, Float32, Float32]:
    """A graph of one question a tree: is the category in a set?  Rows with every category and none, and its answers.

    Sets come thin and dense, of the first 32 alone and of all: a runtime keeps them as bits of a number, or as a list.
    """
    chance, members, missing = np.random.default_rng(0), list[tuple[int, ...]](), [place % 3 == 0 for place in range(n)]
    for place in range(n):
        among = 33 if place % 2 else categories
        members.append(tuple(np.flatnonzero(chance.random(among) < (place % 10 + 1) / 10).tolist()) or (0,))
    graph = Graph()
    trees = [(Split(1, MEMBER, 0.0, each, lost, Leaf(1.0), Leaf(2.0)), place)
             for place, (each, lost) in enumerate(zip(members, missing, strict=True))]  # fmt: skip
    model = graph.model(graph.trees(INPUT, 2, trees, n, np.float32), 2, n, {})
    codes = [*range(categories), np.nan]
    rows = np.array([[np.nan, code] for code in codes], dtype=np.float32)
    answers = [[lost if np.isnan(code) else code in each for each, lost in zip(members, missing, strict=True)]
               for code in codes]  # fmt: skip
    return model, rows, np.where(answers, np.float32(1), np.float32(2))


def _narrow(table: FeatureTable) -> FeatureTable:
    """Every partition of a small table; of a large one, the first that has rows of each part."""
    if table.rows("train") < 10_000:
        return table
    first = (next(each for each in table.partitions if each["parts"][part]) for part in ("train", "valid"))
    return replace(table, partitions=tuple(first))
