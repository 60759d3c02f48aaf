"""Turn clean rows into model inputs, a target and a part, one partition at a time.

Reads   data/clean/<dataset>      tidy partitions and references
Writes  data/features/<dataset>   partitions; manifest.json: task, kinds of columns, rows of each part;
                                  sketches.json: every feature over the training rows
Params  datasets.<dataset>.featurize, seed

Two passes: a small summary of every partition, added up to what a row may know beyond its own partition (past days,
joined tables); then the features of every partition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl

from stages.datasets.contract import PARTS, Dataset, load_dataset
from stages.edges import layout
from stages.edges.cluster import map_partitions
from stages.edges.errors import UserError, run_stage
from stages.edges.features import SKETCHES
from stages.edges.files import read_manifest, start_folder, write_json, write_manifest, write_parquet
from stages.edges.log import log, start_log
from stages.edges.settings import Settings, read_cluster, read_seed, read_settings
from stages.methods.seeds import child_seed
from stages.methods.sketch import CategorySketch, Sketch, merge_sketches, sketch_frame, sketch_to_json


class FeaturizeSettings(Settings):
    """``datasets.<dataset>.featurize``."""

    split: Mapping[str, str | float]
    """Read by the dataset's own split; see its module."""


@dataclass(frozen=True)
class Featurized:
    """Mergeable facts about one partition of features."""

    partition: str
    rows: int
    parts: dict[str, int]
    unlabelled: int
    sketches: dict[str, Sketch]


def main(name: str) -> None:
    """Featurize every partition of the dataset ``name``."""
    settings = read_settings(FeaturizeSettings, name, "featurize")
    dataset, cluster, seed = load_dataset(name), read_cluster(), read_seed()
    partitions = [part["name"] for part in read_manifest(layout.clean(name))["records"]["partitions"]]
    start_folder(layout.features(name))

    summarize = partial(summarize_partition, dataset=dataset)
    summaries = map_partitions(summarize, partitions, cluster=cluster, label=f"{name}: summarize")
    context = dataset.context(summaries, read_references(dataset))
    work = partial(featurize_partition, dataset=dataset, context=context, split=settings.split, seed=seed)
    done = map_partitions(work, partitions, cluster=cluster, label=f"{name}: featurize")

    sketches = merge_sketches([part.sketches for part in done])
    write_json(
        layout.features(name) / SKETCHES, {column: sketch_to_json(sketch) for column, sketch in sketches.items()}
    )
    write_manifest(layout.features(name), describe(dataset, done, sketches))
    counted = ", ".join(f"{sum(part.parts[p] for part in done):,} {p}" for p in PARTS)
    log.info("%s: %d features; rows: %s", name, len(dataset.features), counted)


def read_references(dataset: Dataset) -> dict[str, pl.DataFrame]:
    """The clean tables that records are joined with."""
    return {table.name: read_clean(dataset.name, f"references/{table.name}") for table in dataset.references}


def summarize_partition(partition: str, *, dataset: Dataset) -> pl.DataFrame:
    """The dataset's own mergeable summary of one clean partition."""
    return dataset.summarize(read_clean(dataset.name, partition))


def read_clean(name: str, partition: str) -> pl.DataFrame:
    """One clean partition, whole; one that is missing or damaged is a `UserError`."""
    path = layout.clean(name) / f"{partition}.parquet"
    try:
        return pl.read_parquet(path)
    except (FileNotFoundError, pl.exceptions.PolarsError) as error:
        again = "run `dvc checkout` to put it back, or `dvc repro --force` to make it again"
        raise UserError(f"the clean rows in {path}", str(error).splitlines()[0], again) from error


def featurize_partition(
    partition: str, *, dataset: Dataset, context: Any, split: Mapping[str, Any], seed: int
) -> Featurized:
    """Compute, check and write the features of one partition; returns its facts."""
    tidy = read_clean(dataset.name, partition)
    frame = dataset.featurize(tidy, context)
    if len(frame) != len(tidy):
        raise AssertionError(f"{dataset.name} {partition}: {len(tidy)} rows in, {len(frame)} featurized")
    try:
        part = dataset.split(frame, split, child_seed(seed, "split", dataset.name, partition))
    except ValueError as error:
        path = f"datasets.{dataset.name}.featurize.split"
        correct = f"correct it in params/dataset/{dataset.name}.yaml and run `make params`"
        raise UserError(f"a valid {path}", str(error), correct) from error
    frame = frame.with_columns(part.cast(pl.String).alias("part"))
    names = [feature.name for feature in dataset.features]
    leading = [*dataset.identity, *([dataset.cluster] if dataset.cluster else []), "part", dataset.target]
    frame = frame.select(list(dict.fromkeys([*leading, *names])))
    write_parquet(layout.features(dataset.name) / f"{partition}.parquet", frame)

    labelled = frame.filter(pl.col(dataset.target).is_not_null())
    counts = dict(labelled["part"].value_counts().iter_rows())
    return Featurized(
        partition=partition,
        rows=len(frame),
        parts={name: counts.get(name, 0) for name in PARTS},
        unlabelled=len(frame) - len(labelled),
        sketches=sketch_frame(labelled.filter(pl.col("part") == "train"), names),
    )


def describe(dataset: Dataset, done: list[Featurized], sketches: Mapping[str, Sketch]) -> dict[str, Any]:
    """The manifest: all that later stages may know of the dataset."""
    columns = []
    for feature in dataset.features:
        column: dict[str, Any] = {
            "name": feature.name,
            "kind": feature.kind,
            "about": feature.about,
            "unit": feature.unit,
        }
        sketch = sketches[feature.name]
        if isinstance(sketch, CategorySketch):
            columns.append({**column, "categories": sorted(sketch.counts)})
        else:
            columns.append(column)
    return {
        "dataset": dataset.name,
        "question": dataset.question,
        "task": dataset.task,
        "target": dataset.target,
        "classes": list(dataset.classes),
        "cluster": dataset.cluster,
        "columns": columns,
        "partitions": [
            {"name": part.partition, "rows": part.rows, "parts": part.parts, "unlabelled": part.unlabelled}
            for part in done
        ],
    }


if __name__ == "__main__":
    start_log()
    run_stage(main)
