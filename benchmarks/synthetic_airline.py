"""Rows of the shape of the classic airline benchmark, that nobody flew: eight features, six of them categories.

The shape is that of GBM-perf (github.com/szilard/GBM-perf): month, day of month, day of week, carrier, origin and
destination as categories, departure time and distance as numbers, a flight in five late.  Written twice with the same
rows in the same order: as a feature folder for the stage `train`, and as plain arrays for its peers.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from stages.features.sketch import merge_sketches, sketch_frame, sketch_to_json
from stages.workspace.files import write_json, write_manifest, write_parquet

DATASET, TARGET = "airline", "late"
LEVELS = {"month": 12, "day_of_month": 31, "day_of_week": 7, "carrier": 22, "origin": 300, "dest": 300}
FEATURES = (*LEVELS, "dep_time_min", "distance_mi")
ROWS_A_PARTITION = 500_000
ASIDE = 100_000  # rows to stop on, and as many to test on


def names_of(feature: str) -> list[str]:
    """The categories of one feature."""
    return [f"{feature}-{code:03d}" for code in range(LEVELS[feature])]


def draw_flights(rows: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Features, shape (rows, 8), categories as codes; and whether each flight was late."""
    generator, habits = np.random.default_rng(seed), np.random.default_rng(2005)
    table = np.empty((rows, len(FEATURES)), np.float32)
    logit = np.full(rows, -1.9)
    for column, levels in enumerate(LEVELS.values()):
        skew = 2 if levels >= 20 else 1  # few airports see most flights
        codes = (levels * generator.random(rows) ** skew).astype(np.int64)
        table[:, column] = codes
        logit += habits.normal(0, 0.35, levels)[codes]
    rush = habits.normal(0, 0.5, (LEVELS["origin"], 24))
    minute = np.clip(generator.normal(820, 270, rows), 0, 1439)
    logit += 0.0012 * (minute - 820) + rush[table[:, 4].astype(np.int64), (minute // 60).astype(np.int64)]
    table[:, -2], table[:, -1] = minute.astype(np.int64), np.round(generator.gamma(2.0, 370, rows))
    late = generator.random(rows) < 1 / (1 + np.exp(-logit))
    return table, late.astype(np.float32)


def write_airline(folder: Path, rows: int) -> None:
    """What the stage `train` reads, with ``rows`` rows to fit, and ``arrays/`` for the peers."""
    features, sizes = folder / "data" / "features" / DATASET, {"train": rows, "valid": ASIDE, "test": ASIDE}
    described, sketches = [], []
    for part, table, late in _parts(folder / "arrays", sizes):
        frame, name = _frame(table, late, part), f"rows-{len(described):04d}"
        write_parquet(features / f"{name}.parquet", frame)
        described.append({"name": name, "rows": len(frame), "parts": {p: len(frame) * (p == part) for p in sizes}})
        if part == "train":
            sketches.append(sketch_frame(frame, FEATURES))
    merged = merge_sketches(sketches)
    write_json(features / "sketches.json", {name: sketch_to_json(sketch) for name, sketch in merged.items()})
    write_manifest(features, _manifest(described))
    kept = [{"name": name, "kept": True, "reason": "", "relevance": 1.0} for name in FEATURES]
    write_json(folder / "data" / "selection" / f"{DATASET}.json", {"selected": list(FEATURES), "features": kept})


def write_params(folder: Path, model: Mapping[str, Any], memory_limit_gib: float) -> None:
    """The parameters of the stage `train`, all cores."""
    scale = {"sample": 1.0, "max_rounds": 1, "replicates": 1, "resamples": 1, "memory_limit_gib": memory_limit_gib}
    cluster = {"workers": 1, "training_threads": 0}
    params = {"seed": 0, "scale": scale, "cluster": cluster, "datasets": {DATASET: {"model": dict(model)}}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def _parts(arrays: Path, sizes: Mapping[str, int]) -> Iterator[tuple[str, NDArray[np.float32], NDArray[np.float32]]]:
    """Partition by partition, each also written to its place in the arrays."""
    arrays.mkdir(parents=True, exist_ok=True)
    seed = 0
    for part, rows in sizes.items():
        table = open_memmap(arrays / f"{part}_features.npy", "w+", np.float32, (rows, len(FEATURES)))
        label = open_memmap(arrays / f"{part}_{TARGET}.npy", "w+", np.float32, (rows,))
        for start in range(0, rows, ROWS_A_PARTITION):
            own = slice(start, min(start + ROWS_A_PARTITION, rows))
            seed += 1
            table[own], label[own] = draw_flights(own.stop - own.start, seed)
            yield part, table[own], label[own]


def _frame(table: NDArray[np.float32], late: NDArray[np.float32], part: str) -> pl.DataFrame:
    columns: dict[str, Any] = {"part": [part] * len(table), TARGET: late.astype(np.int8)}
    for column, feature in enumerate(FEATURES):
        if feature in LEVELS:
            columns[feature] = np.asarray(names_of(feature))[table[:, column].astype(np.int64)]
        else:
            columns[feature] = table[:, column]
    return pl.DataFrame(columns)


def _manifest(partitions: list[dict[str, Any]]) -> dict[str, Any]:
    columns = [
        {"name": name, "about": name, "unit": "", "kind": "numeric"}
        | ({"kind": "categorical", "categories": names_of(name)} if name in LEVELS else {})
        for name in FEATURES
    ]
    return {
        "dataset": DATASET, "question": "late?", "task": "binary", "target": TARGET, "classes": ["on time", "late"],
        "cluster": None, "columns": columns, "partitions": partitions,
    }  # fmt: skip
