"""Feature folders in the format of `stages.features.table`, and what the later stages make of them.

The datasets are small: planted rows with a known rule in them, and two real sets of scikit-learn.
"""

from collections.abc import Callable
from contextlib import chdir
from datetime import date, timedelta
from itertools import pairwise
from math import isqrt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from sklearn.datasets import load_diabetes, load_digits

from stages import evaluate, package, train
from stages.features.sketch import merge_sketches, sketch_frame, sketch_to_json
from stages.workspace.files import write_json, write_manifest, write_parquet

DATASET = "trial"
CARRIERS = ("AA", "B6", "NA", "a|b")  # a category that looks like a missing value, and one that breaks tables
CLASSES = {"binary": ["on time", "late"], "multiclass": ["early", "on time", "late"], "regression": [], "forecast": []}
MODEL = {
    "max_depth": 3, "learning_rate": 0.3, "min_child_weight": 1.0, "subsample": 0.8, "colsample_bytree": 0.8,
    "reg_lambda": 1.0, "max_bin": 32, "max_rounds": 30, "early_stopping_rounds": 5,
}  # fmt: skip
EVALUATE = {
    "replicates": 80, "level": 0.95, "method": "percentile", "resample": "clusters",
    "cost_of_miss": 3.0, "cost_of_false_alarm": 1.0,
}  # fmt: skip
BESIDE = ("day", "part", "target", "made_at", "due_at", "level")


def planted_rows(task: str = "binary", n: int = 3000, days: int = 60, seed: int = 1) -> pl.DataFrame:
    """Rows of ``days`` days in order; half train, a quarter valid, a quarter test."""
    rng = np.random.default_rng(seed)
    day = np.sort(np.arange(n) % days)
    hour, wind, carrier = rng.normal(size=n), rng.normal(size=n), rng.integers(0, len(CARRIERS), n)
    rain = rng.random(n) < 0.3
    strength = hour + 0.7 * carrier + rain + 0.6 * rng.normal(size=days)[day] + rng.normal(size=n)
    target = {
        "binary": (strength > 2).astype(np.int8),
        "multiclass": np.digitize(strength, [0.8, 2.0]).astype(np.int8),
        "regression": 10 * strength + 50,
    }[task]
    dates = [date(2013, 1, 1) + timedelta(days=int(d)) for d in day]
    return pl.DataFrame(
        {
            "day": dates,
            "part": np.where(day < days / 2, "train", np.where(day < 3 * days / 4, "valid", "test")),
            "target": target,
            "hour": np.where(rng.random(n) < 0.05, np.nan, hour),
            "wind": wind,
            "carrier": np.asarray(CARRIERS)[carrier],
            "rain": rain.astype(np.float32),
            "never_known": pl.Series([None] * n, dtype=pl.Float32),
        },
        schema_overrides={"hour": pl.Float32, "wind": pl.Float32},
    ).with_columns(pl.col("hour").fill_nan(None), carrier=pl.when(pl.col("wind") < 2).then("carrier"))


def real_rows(name: str) -> tuple[pl.DataFrame, str, list[str]]:
    """Rows, task and classes of a real set, shuffled into parts."""
    data: Any = {"diabetes": load_diabetes, "digits": load_digits}[name]()
    rows = pl.DataFrame({f"x{k}": column for k, column in enumerate(data.data.T.astype(np.float32))})
    part = np.random.default_rng(0).choice(["train", "valid", "test"], size=len(rows), p=[0.6, 0.2, 0.2])
    task = "regression" if name == "diabetes" else "multiclass"
    target = pl.Series(data.target.astype(np.float64 if task == "regression" else np.int8))
    classes = [] if task == "regression" else [str(k) for k in range(10)]
    beside = pl.DataFrame({"day": [date(2013, 1, 1)] * len(rows), "part": part, "target": target})
    return pl.concat([beside, rows], how="horizontal"), task, classes


def write_features(
    rows: pl.DataFrame, task: str = "binary", classes: list[str] | None = None, partitions: int = 5, threads: int = 1,
    dropped: tuple[str, ...] = (), evaluate: dict[str, Any] | None = None, **model: Any,
) -> None:  # fmt: skip
    """The inputs of `train` in the working directory: features, sketches, selection, parameters."""
    folder = Path("data/features") / DATASET
    described = []
    for start, stop in pairwise(np.linspace(0, len(rows), partitions + 1).astype(int)):
        piece, name = rows[start:stop], f"rows-{start:05d}"
        write_parquet(folder / f"{name}.parquet", piece)
        counts = {part: piece.filter(pl.col("part") == part).height for part in ("train", "valid", "test")}
        described.append({"name": name, "rows": len(piece), "parts": counts})
    names = [name for name in rows.columns if name not in BESIDE]
    columns = [_describe(name, rows[name]) for name in names]
    manifest = {
        "dataset": DATASET, "question": "planted?", "task": task, "target": "target",
        "classes": CLASSES[task] if classes is None else classes,
        "cluster": "day" if rows["day"].n_unique() > 1 else None, "columns": columns, "partitions": described,
    }  # fmt: skip
    sketches = merge_sketches([sketch_frame(rows.filter(pl.col("part") == "train"), names)])
    write_json(folder / "sketches.json", {name: sketch_to_json(sketch) for name, sketch in sketches.items()})
    write_manifest(folder, manifest)
    features = [
        {"name": name, "kept": name not in dropped, "reason": "planted", "relevance": 1 / (k + 1)}
        for k, name in enumerate(names)
    ]
    selected = [name for name in names if name not in dropped]
    write_json(Path(f"data/selection/{DATASET}.json"), {"selected": selected, "features": features})
    sections = {"model": {**MODEL, **model}, "evaluate": {**EVALUATE, **(evaluate or {})}}
    scale = {"sample": 1.0, "max_rounds": 30, "replicates": 80, "resamples": 20, "memory_limit_gib": 1.0}
    params = {
        "seed": 7,
        "scale": scale,
        "cluster": {"workers": 2, "training_threads": threads},
        "datasets": {DATASET: sections},
    }
    Path("params.yaml").write_text(yaml.safe_dump(params))


def _describe(name: str, column: pl.Series) -> dict[str, Any]:
    about = {"name": name, "kind": "numeric", "about": f"planted {name}", "unit": ""}
    if isinstance(column.dtype, pl.Array):
        side = isqrt(column.dtype.size)
        return {**about, "kind": "picture", "always": True, "shape": [side, side, 1]}
    if column.dtype != pl.String:
        return about
    categories = list(CARRIERS) if name == "carrier" else column.unique().sort().to_list()
    return {**about, "kind": "categorical", "categories": categories}


@pytest.fixture(scope="session")
def planted() -> SimpleNamespace:
    """How feature folders are made: ``rows``, ``real``, ``write``; and the name of the dataset."""
    return SimpleNamespace(rows=planted_rows, real=real_rows, write=write_features, dataset=DATASET, carriers=CARRIERS)


@pytest.fixture(scope="session")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder in which train, evaluate and package have run once on planted rows of a task; for reading only."""
    made: dict[str, Path] = {}

    def package_once(task: str) -> Path:
        if task not in made:
            root = tmp_path_factory.mktemp(task)
            with chdir(root):
                write_features(planted_rows(task), task, dropped=("wind",))
                for stage in (train, evaluate, package):
                    stage.main(DATASET)
            made[task] = root
        return made[task]

    return package_once
