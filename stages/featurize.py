"""Turn clean rows into model inputs, a target and a part, one partition at a time.

Reads   data/clean/<dataset>      tidy partitions and references
Writes  data/features/<dataset>   partitions; manifest.json: task, kinds of columns, rows of each part;
                                  sketches.json: every feature over the training rows;
                                  summaries/: of every partition, what rows of others may know of it
Params  datasets.<dataset>.featurize, seed

Two passes: a small summary of every partition; then the features of every partition, which may know the summaries of
the partitions in its reach (past days) and the joined tables, and nothing else.  A changed partition therefore touches
those alone that reach it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import Field

from stages.features.sketch import (
    CategorySketch,
    Sketch,
    merge_sketches,
    sketch_frame,
    sketch_from_json,
    sketch_to_json,
    sum_up,
)
from stages.features.table import SKETCHES, SUMMARIES
from stages.records import prepare
from stages.records.contract import PARTS, Dataset, load_dataset
from stages.runtime.jobs import Job, run_jobs
from stages.runtime.log import log, start_log
from stages.workspace import layout
from stages.workspace.errors import UserError, run_stage
from stages.workspace.files import read_manifest, start_folder, write_json, write_manifest, write_parquet
from stages.workspace.seeds import child_seed
from stages.workspace.settings import Settings, read_scale, read_seed, read_settings, read_workers

MEMORY_PER_BYTE = 60  # of a clean partition; measured on half a million flights
FEW_MATCHED = 0.5  # of the rows: below, a joined table is probably not the one that was meant
MONTH = re.compile(r"\d{4}-\d{2}")  # a partition with the days of one
MERGED_AT_ONCE = 16  # sketches of partitions held before they are added up


class FeaturizeSettings(Settings):
    """``datasets.<dataset>.featurize``."""

    split: Mapping[str, str | float | None]
    """Read by the dataset's own split; see its module."""
    complete: bool = Field(True, description="whether the partitions hold every record, as counts of them need")


@dataclass(frozen=True)
class Whole:
    """What all partitions of features add up to."""

    partitions: list[dict[str, Any]]
    sketches: dict[str, Sketch]
    matched: dict[str, dict[str, int]]
    """By joined table and partition: rows that found something in it."""

    def rows(self, part: str) -> int:
        """Labelled rows of one part."""
        return sum(partition["parts"][part] for partition in self.partitions)


def main(name: str) -> None:
    """Featurize every partition of the dataset ``name``."""
    settings = read_settings(FeaturizeSettings, name, "featurize")
    manifest = read_manifest(layout.clean(name))
    partitions = [part["name"] for part in manifest["records"]["partitions"]]
    dataset = choose_features(load_dataset(name), complete=settings.complete and "sample" not in manifest)
    split, seed = dict(settings.split), read_seed()
    refuse_empty_parts(dataset, partitions, split, seed)
    start_folder(layout.features(name))

    run: dict[str, Any] = {
        "workers": read_workers(),
        "limit_bytes": read_scale().memory_limit_bytes,
        "memory_bytes": memory_of,
    }
    summarize = [summary_job(dataset, partition) for partition in partitions]
    asked = [dataset.summarize, dataset.sign_of_extract]
    with run_jobs(summarize_partition, summarize, uses=asked, label=f"{name}: summarize", **run) as summaries:
        summarized = list(summaries)
    warn_of_extracts(dataset, dict(zip(partitions, (facts["sign_of_extract"] for facts in summarized), strict=True)))
    arguments = {"split": split, "seed": seed, "features": [f.name for f in dataset.features]}
    jobs = [features_job(dataset, partition, partitions, arguments) for partition in partitions]
    uses: list[Callable[..., Any]] = [dataset.context, dataset.featurize, dataset.split]
    with run_jobs(featurize_partition, jobs, uses=uses, label=f"{name}: featurize", **run) as done:
        whole = add_up(done)

    refuse_unmatched(dataset, whole)
    content = {column: sketch_to_json(sketch) for column, sketch in whole.sketches.items()}
    write_json(layout.features(name) / SKETCHES, content)
    write_manifest(layout.features(name), describe(dataset, whole))
    counted = ", ".join(f"{whole.rows(part):,} {part}" for part in PARTS)
    log.info("%s: %d features; rows: %s", name, len(dataset.features), counted)


def choose_features(dataset: Dataset, *, complete: bool) -> Dataset:
    """The dataset without the features that are wrong where partitions are samples."""
    left_out = [feature.name for feature in dataset.features if feature.needs_complete]
    if complete or not left_out:
        return dataset
    log.info("%s: left out, because they need every record of a partition: %s", dataset.name, ", ".join(left_out))
    return replace(dataset, features=tuple(feature for feature in dataset.features if not feature.needs_complete))


def warn_of_extracts(dataset: Dataset, signs: Mapping[str, str]) -> None:
    """Say that counts see an extract alone, where partitions said to hold every record show that they do not."""
    counting = [feature.name for feature in dataset.features if feature.needs_complete]
    if doubtful := [f"{partition}: {sign}" for partition, sign in signs.items() if sign and counting]:
        log.warning(
            "warning: %s: extracts, by the look of %d of %d partitions (%s): %s count what is there and no more; "
            "`datasets.%s.featurize.complete: false` leaves them out",
            dataset.name, len(doubtful), len(signs), doubtful[0], ", ".join(counting), dataset.name,
        )  # fmt: skip


def summary_job(dataset: Dataset, partition: str) -> Job:
    """The summary of one partition as a value."""
    return Job(
        name=partition,
        inputs=(layout.clean(dataset.name) / f"{partition}.parquet",),
        outputs=(_summary_path(dataset, partition),),
        arguments={"dataset": dataset.name},
    )


def features_job(dataset: Dataset, partition: str, partitions: Sequence[str], arguments: Mapping[str, Any]) -> Job:
    """The features of one partition as a value: its rows, the summaries in its reach, the joined tables."""
    return Job(
        name=partition,
        inputs=(
            layout.clean(dataset.name) / f"{partition}.parquet",
            *(_summary_path(dataset, other) for other in dataset.reach(partition, partitions)),
            *(layout.clean(dataset.name) / "references" / f"{table.name}.parquet" for table in dataset.references),
        ),
        outputs=(layout.features(dataset.name) / f"{partition}.parquet",),
        arguments={"dataset": dataset.name, **arguments},
    )


def memory_of(job: Job) -> int:
    """An upper estimate of what one partition takes."""
    return MEMORY_PER_BYTE * job.inputs[0].stat().st_size if job.inputs[0].exists() else 0


def summarize_partition(job: Job, root: Path) -> dict[str, Any]:
    """Write the dataset's own mergeable summary of one clean partition."""
    dataset = load_dataset(job.arguments["dataset"])
    tidy = read_rows(root / job.inputs[0])
    write_parquet(root / job.outputs[0], dataset.summarize(tidy))
    return {"sign_of_extract": dataset.sign_of_extract(tidy)}


def read_references(dataset: Dataset) -> dict[str, pl.DataFrame]:
    """The clean tables that records are joined with."""
    return {table.name: read_clean(dataset.name, f"references/{table.name}") for table in dataset.references}


def read_clean(name: str, partition: str) -> pl.DataFrame:
    """One clean partition, whole."""
    return read_rows(layout.clean(name) / f"{partition}.parquet")


def read_rows(path: Path) -> pl.DataFrame:
    """A whole file; one that is missing or damaged is a `UserError`."""
    try:
        return pl.read_parquet(path)
    except (FileNotFoundError, pl.exceptions.PolarsError) as error:
        again = "run `dvc checkout` to put it back, or `dvc repro --force` to make it again"
        raise UserError(f"the clean rows in {path}", str(error).splitlines()[0], again) from error


def featurize_partition(job: Job, root: Path) -> dict[str, Any]:
    """Compute, check and write the features of one partition; returns its line of the manifest and its sketches."""
    dataset, names = load_dataset(job.arguments["dataset"]), job.arguments["features"]
    rows, *beyond = (root / path for path in job.inputs)
    complete = len(names) == len(dataset.features)
    tidy = read_rows(rows)
    context = build_context(dataset.name, complete, tuple((path, path.stat().st_mtime_ns) for path in beyond))
    try:
        frame = prepare.compute_features(dataset, tidy, context)
    except prepare.WrongColumns as error:
        again = "run `dvc checkout` to put it back, or `dvc repro --force` to make it again"
        raise UserError(f"the clean rows in {job.inputs[0]} with every tidy column", str(error), again) from error
    seed = child_seed(job.arguments["seed"], "split", dataset.name, job.name)
    frame = frame.with_columns(split_rows(dataset, frame, job.arguments["split"], seed).cast(pl.String).alias("part"))
    leading = [*dataset.identity, *([dataset.cluster] if dataset.cluster else []), "part", dataset.target]
    frame = frame.select(list(dict.fromkeys([*leading, *names])))
    write_parquet(root / job.outputs[0], frame)

    labelled = frame.filter(pl.col(dataset.target).is_not_null())
    counts = dict(labelled["part"].value_counts().iter_rows())
    texts = [feature.name for feature in dataset.features if feature.kind == "text" and feature.name in names]
    learnt = labelled.filter(pl.col("part") == "train")
    sketches = sketch_frame(learnt.with_columns(sum_up(learnt[name]) for name in texts), names)
    parts = {name: counts.get(name, 0) for name in PARTS}
    return {
        "partition": {"name": job.name, "rows": len(frame), "parts": parts, "unlabelled": len(frame) - len(labelled)},
        "sketches": {name: sketch_to_json(sketch) for name, sketch in sketches.items()},
        "matched": count_matched(dataset, frame),
    }


def count_matched(dataset: Dataset, frame: pl.DataFrame) -> dict[str, int]:
    """By joined table, the rows in which a feature that is read from it is filled."""
    joined: dict[str, list[str]] = {}
    for feature in dataset.features:
        if feature.joined and feature.name in frame.columns:
            joined.setdefault(feature.joined, []).append(feature.name)
    filled = {table: pl.any_horizontal(pl.col(names).is_not_null()).sum() for table, names in joined.items()}
    return {table: int(count) for table, count in frame.select(**filled).row(0, named=True).items()} if filled else {}


@lru_cache(maxsize=2)
def build_context(name: str, complete: bool, files: tuple[tuple[Path, int], ...]) -> Any:
    """What the rows of a partition may know beyond it; the next partition often knows the same."""
    frames = {path: read_rows(path) for path, _ in files}
    summaries = [frame for path, frame in frames.items() if path.parent.name == SUMMARIES]
    references = {path.stem: frame for path, frame in frames.items() if path.parent.name == "references"}
    return prepare.build_context(load_dataset(name), summaries, references, complete=complete)


def refuse_empty_parts(dataset: Dataset, partitions: Sequence[str], split: Mapping[str, Any], seed: int) -> None:
    """Stop before any work where no day falls into some part; only partitions that are months are asked."""
    if dataset.records.day is None or not partitions or not all(MONTH.fullmatch(name) for name in partitions):
        return
    firsts = pl.Series(dataset.records.day, [f"{name}-01" for name in partitions]).str.to_date()
    days = pl.date_ranges(firsts, firsts.dt.month_end(), eager=True).alias(dataset.records.day).explode().to_frame()
    found = set(split_rows(dataset, days, split, seed))
    if empty := [part for part in PARTS if part not in found]:
        raise UserError(
            f"days for each part of {dataset.name} in its months, {partitions[0]} to {partitions[-1]}",
            f"none for {' and '.join(empty)} with {', '.join(f'{key} {value}' for key, value in split.items())}",
            f"move datasets.{dataset.name}.featurize.split into these months, or choose others under download",
        )


def split_rows(dataset: Dataset, frame: pl.DataFrame, split: Mapping[str, Any], seed: int) -> pl.Series:
    """The part of every row; settings that make no sense are a `UserError`."""
    try:
        return dataset.split(frame, split, seed)
    except ValueError as error:
        path = f"datasets.{dataset.name}.featurize.split"
        correct = f"correct it in params/dataset/{dataset.name}.yaml and run `make params`"
        raise UserError(f"a valid {path}", str(error), correct) from error


def add_up(done: Iterable[Mapping[str, Any]]) -> Whole:
    """Fold the facts of partitions in canonical order, a few at a time, so that memory does not grow with them."""
    partitions, waiting = [], []
    matched: dict[str, dict[str, int]] = {}
    for facts in done:
        partitions.append(facts["partition"])
        for table, count in facts["matched"].items():
            matched.setdefault(table, {})[facts["partition"]["name"]] = count
        waiting.append({name: sketch_from_json(sketch) for name, sketch in facts["sketches"].items()})
        if len(waiting) >= MERGED_AT_ONCE:
            waiting = [merge_sketches(waiting)]
    return Whole(partitions, merge_sketches(waiting), matched)


def refuse_unmatched(dataset: Dataset, whole: Whole) -> None:
    """Stop where no row found anything in a joined table; warn where few did, or none of a partition."""
    rows = {partition["name"]: partition["rows"] for partition in whole.partitions if partition["rows"]}
    total = sum(rows.values())
    for table, counts in whole.matched.items():
        bare = [name for name in rows if not counts[name]]
        matched = sum(counts.values())
        if total and not matched:
            raise UserError(
                f"rows of {dataset.name} that find something in the joined table {table}{reach_of(dataset, table)}",
                f"none of {total:,} rows ({_from_to(list(rows))}): every feature that is read from it is missing",
                f"compare their keys with {layout.clean(dataset.name)}/references/{table}.parquet; of other months or "
                f"with other names, the sources in params/dataset/{dataset.name}.yaml want a {table} that fits",
            )
        if bare or matched < FEW_MATCHED * total:
            where = f"; none in {_from_to(bare)}" if bare else ""
            share = f"{matched / total:.1%}"
            log.warning("%s: warning: only %s of the rows find something in %s%s", dataset.name, share, table, where)


def reach_of(dataset: Dataset, table: str) -> str:
    """From when to when a joined table tells of something, where its key holds a time; else nothing."""
    key = next(each.key for each in dataset.references if each.name == table)
    times = read_clean(dataset.name, f"references/{table}").select(key).select(pl.selectors.temporal())
    ends = {time.name: time.sort().cast(pl.String) for time in times}
    return "".join(f", whose {name} runs from {time[0]} to {time[-1]}" for name, time in ends.items())


def _from_to(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{names[0]} … {names[-1]}, {len(names)} partitions"


def describe(dataset: Dataset, whole: Whole) -> dict[str, Any]:
    """The manifest: all that later stages may know of the dataset."""
    columns = []
    for feature in dataset.features:
        column: dict[str, Any] = {
            "name": feature.name,
            "kind": feature.kind,
            "about": feature.about,
            "unit": feature.unit,
            **({"always": True} if feature.always or feature.kind in ("picture", "text") else {}),
            **({"shape": list(feature.shape)} if feature.shape else {}),
        }
        sketch = whole.sketches[feature.name]
        if isinstance(sketch, CategorySketch):
            columns.append({**column, "categories": sorted(sketch.counts)})
        else:
            columns.append(column)
    return {
        "dataset": dataset.name,
        "question": dataset.question,
        "task": dataset.task,
        "target": dataset.target,
        **({"target_unit": dataset.target_unit} if dataset.target_unit else {}),
        "classes": list(dataset.classes),
        "cluster": dataset.cluster,
        "columns": columns,
        "partitions": whole.partitions,
    }


def _summary_path(dataset: Dataset, partition: str) -> Path:
    return layout.features(dataset.name) / SUMMARIES / f"{partition}.parquet"


if __name__ == "__main__":
    start_log()
    run_stage(main)
