"""Keep the features that tell something about the target and do not repeat one another; say why the others go.

Reads   data/features/<dataset>          training rows only; sketches.json for the edges of the bins
Writes  data/selection/<dataset>.json    the selected names in canonical order, and every feature with its reason
        plots/<dataset>/relevance.csv    one bar a feature, most relevant first
Params  datasets.<dataset>.select_features, seed, cluster

One pass over the partitions, after a look at the cluster column alone.  No result depends on the number of workers.
Counts are added up as partitions get ready: memory does not grow with their number, nor with the rows.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
from pydantic import Field

from stages.features.binning import Coding, bin_column, group_clusters
from stages.features.contingency import Tally, empty_tally, merge_tallies, tally_frame
from stages.features.selection import Choice, Rule, Verdict, choose
from stages.features.sketch import NumberSketch, Sketch, merge_sketches, sketch_frame
from stages.features.table import FeatureTable, open_features, read_sketches
from stages.features.words import bars, describe, summary
from stages.runtime.log import log, start_log
from stages.runtime.partitions import each_partition, fit_in_memory
from stages.workspace import layout
from stages.workspace.errors import UserError, run_stage
from stages.workspace.files import require_writable, write_csv, write_json
from stages.workspace.seeds import child_seed
from stages.workspace.settings import Settings, WorkerSettings, read_scale, read_seed, read_settings, read_workers

LEVEL = 0.95  # of the intervals of the relevance
MAX_GROUPS = 512  # what a bootstrap draws; their standard errors are then good to about 3 %
BLOCKS = 256  # random blocks of rows, where there is no cluster column
BYTES_PER_VALUE = 20  # of a partition in work; measured: about 9 for each feature of each row


class SelectSettings(Settings):
    """Thresholds of the rule and the resolution at which it looks."""

    bins: int = Field(ge=2, le=256, description="groups of about equal size that a numeric feature is cut in")
    max_null_share: float = Field(ge=0, le=1, description="above it a feature is near-empty")
    max_association: float = Field(gt=0, le=1, description="corrected Cramér's V from which two features are redundant")
    min_relevance: float = Field(ge=0, lt=1, description="share of the target's entropy that a feature must explain")
    resamples: int = Field(ge=1, le=100_000, description="bootstrap resamples behind stability and intervals")
    pair_rows: int = Field(ge=1000, default=100_000, description="rows a partition that pairs are tabulated from")


def main(name: str) -> None:
    """Select the features of one dataset."""
    settings = read_settings(SelectSettings, dataset=name, section="select_features")
    seed, table = read_seed(), open_features(name)
    refuse_nothing(table)
    require_writable(layout.selection(name).parent, layout.plots(name))
    workers = choose_workers(table, read_workers(), read_scale().memory_limit_bytes)
    coding = plan_coding(table, read_sketches(name), bins=settings.bins, workers=workers)
    tally = tally_partitions(table, coding, pair_rows=settings.pair_rows, seed=seed, workers=workers)
    refuse_one_class(table, tally)

    rule = Rule(settings.max_null_share, settings.max_association, settings.min_relevance)
    rng = np.random.default_rng(child_seed(seed, "select_features", name, "resamples"))
    choice = choose(tally, rule, clustered=coding.groups is not None, resamples=settings.resamples, rng=rng)
    refuse_no_choice(table, choice)
    choice = keep_always(table, choice)

    features = describe(table.names, choice, rule, level=LEVEL)
    drawn = table.cluster if coding.groups is not None else "rows"
    content = {
        "selected": [feature for feature, verdict in zip(table.names, choice.verdicts, strict=True) if verdict.is_kept],
        "rows": tally.rows,
        "resamples": {"n": settings.resamples, "of": drawn, "groups": len(tally.groups), "level": LEVEL},
        "features": features,
    }
    write_json(layout.selection(name), content)
    write_csv(layout.plots(name) / "relevance.csv", bars(features))
    log.info("%s: %s of %s training rows", name, summary(choice), f"{tally.rows:,}")


def plan_coding(table: FeatureTable, sketches: dict[str, Sketch], *, bins: int, workers: WorkerSettings) -> Coding:
    """The bins of every column, and the clusters numbered in sorted order."""
    missing = [column for column in table.names if column not in sketches]
    if missing:
        raise UserError("a sketch of every feature", f"none of {', '.join(missing)}", "run `dvc repro`")
    target_edges, groups = None, None
    if not table.classes or table.cluster is not None:
        target, clusters = sketch_target(table, workers)
        if not table.classes:
            target_edges = target.edges(bins)
        if table.cluster is not None and len(clusters) > 1:  # one cluster cannot be resampled, its rows can
            groups = group_clusters(clusters, MAX_GROUPS)
    return Coding(
        bins=tuple(bin_column(c.name, sketches[c.name], c.categories, bins) for c in table.columns),
        target=table.target,
        target_edges=target_edges,
        classes=len(table.classes) if target_edges is None else len(target_edges) + 1,
        cluster=table.cluster,
        groups=groups,
        blocks=BLOCKS,
    )


def choose_workers(table: FeatureTable, workers: WorkerSettings, limit_bytes: int) -> WorkerSettings:
    """No more partitions at a time than fit in memory."""
    value = BYTES_PER_VALUE * (table.values + 3)  # beside the features: part, target and cluster
    estimates = {partition["name"]: value * partition["rows"] for partition in table.partitions}
    return fit_in_memory(workers, estimates, limit_bytes, f"{table.dataset}: select_features")


def sketch_target(table: FeatureTable, workers: WorkerSettings) -> tuple[NumberSketch, pl.Series]:
    """A sketch of the target and the distinct clusters, from these two columns of the training rows."""
    bare, extra = table.with_columns([]), [table.cluster] if table.cluster else []

    def look(partition: str) -> tuple[dict[str, Sketch], pl.Series]:
        frame = bare.read(partition, "train", extra)
        return sketch_frame(frame, [table.target]), frame[table.cluster].unique() if table.cluster else pl.Series()

    names, label = table.partition_names("train"), f"look at {table.dataset}"
    with each_partition(look, names, workers=workers, label=label) as looks:
        sketches, clusters = next(looks)
        for more, others in looks:
            sketches = merge_sketches([sketches, more])
            clusters = pl.concat([clusters, others]).unique()
    target = sketches[table.target]
    assert isinstance(target, NumberSketch)
    return target, clusters


def tally_partitions(
    table: FeatureTable, coding: Coding, *, pair_rows: int, seed: int, workers: WorkerSettings
) -> Tally:
    """Count every training row, and add the counts up as they come."""

    def count(partition: str) -> Tally:
        frame = table.read(partition, "train", extra=[table.cluster] if table.cluster else [])
        rng = np.random.default_rng(child_seed(seed, "select_features", table.dataset, "blocks", partition))
        return tally_frame(frame, coding, pair_rows=pair_rows, rng=rng)

    names, label = table.partition_names("train"), f"select_features {table.dataset}"
    total = empty_tally(coding.levels, coding.classes, coding.width)
    with each_partition(count, names, workers=workers, label=label) as tallies:
        for tally in tallies:
            total = merge_tallies([total, tally])
    return total


def refuse_nothing(table: FeatureTable) -> None:
    """Stop where there is no training row or no feature."""
    if not table.columns:
        raise UserError(f"features of {table.dataset}", "none", "let the dataset's `featurize` return some")
    if table.rows("train") == 0:
        raise UserError(
            f"labelled training rows of {table.dataset}",
            "0 rows with part = train and a label",
            f"check datasets.{table.dataset}.featurize.split and metrics/{table.dataset}/clean.json",
        )


def refuse_one_class(table: FeatureTable, tally: Tally) -> None:
    """Stop where the target does not vary."""
    filled = np.flatnonzero(tally.tables[0].sum(axis=(0, 1)))
    if len(filled) < 2:
        what = table.classes[filled[0]] if table.classes else "one value"
        raise UserError(
            f"a target {table.target!r} that varies over the training rows of {table.dataset}",
            f"{tally.rows:,} rows, all of them {what!r}",
            f"check datasets.{table.dataset}.featurize.split, or widen the training part",
        )


def keep_always(table: FeatureTable, choice: Choice) -> Choice:
    """The choice with the features that a family needs whatever they tell by themselves."""
    verdicts = [
        Verdict("kept") if column.always else verdict
        for column, verdict in zip(table.columns, choice.verdicts, strict=True)
    ]
    return replace(choice, verdicts=verdicts)


def refuse_no_choice(table: FeatureTable, choice: Choice) -> None:
    """Stop where every feature is constant or near-empty."""
    if not any(verdict.is_kept for verdict in choice.verdicts):
        found = ", ".join(f"{name} {verdict.name}" for name, verdict in zip(table.names, choice.verdicts, strict=True))
        raise UserError(
            f"a feature of {table.dataset} to learn from", found, "check the columns that `featurize` makes"
        )


if __name__ == "__main__":
    start_log()
    run_stage(main)
