"""Judge a model on the test part, beside a baseline, with an interval for every figure.

Reads   data/features/<dataset>          test rows; for a binary task valid rows too, to choose the threshold
        data/selection/<dataset>.json    the features, in the model's order
        models/<dataset>                 model.ubj, baseline.json
Writes  metrics/<dataset>/test.json      every metric: value, low, high, level, n, direction, baseline, difference
        data/evaluation/<dataset>.parquet    the resampling table: all that a later comparison needs
        plots/<dataset>/                 roc, precision_recall, calibration, confusion, intervals, per_class (.csv)
Params  datasets.<dataset>.evaluate, seed, cluster

The intervals are drawn from the resampling table alone; the values are computed on the scores themselves.  What grows
with the test rows are therefore a label and two scores a row (9 bytes for a yes-or-no question, 16 while they are
ranked), and with its days the cells of the table (about 100 kB a day while they are added up).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from stages.edges import layout
from stages.edges.cluster import each_partition
from stages.edges.errors import UserError, plain_words, run_stage
from stages.edges.evaluations import write_evaluation
from stages.edges.features import FeatureTable, open_features, read_selection
from stages.edges.files import read_json, write_csv, write_json
from stages.edges.log import log, start_log
from stages.edges.memory import fit_in_memory
from stages.edges.models import predict, read_booster
from stages.edges.settings import ClusterSettings, Settings, read_cluster, read_scale, read_seed, read_settings
from stages.methods import binary_scores, multiclass_scores, regression_scores
from stages.methods.baseline import OneRule, predict_one_rule, rule_from_json
from stages.methods.binary_scores import BinaryTask
from stages.methods.bootstrap import draw_weights
from stages.methods.evaluation_plots import draw_plots
from stages.methods.metrics import System, compare_systems, round_figures
from stages.methods.multiclass_scores import MulticlassTask
from stages.methods.regression_scores import RegressionTask
from stages.methods.resampling import deal_rows, fingerprint, gather_cells, merge_cells, number_units, unit_names
from stages.methods.score_codes import N_CODES, Grid, code_probabilities
from stages.methods.seeds import child_seed
from stages.methods.thresholds import choose_threshold, count_codes

Scorer = Callable[[pl.DataFrame], NDArray[np.float32]]
Task = BinaryTask | MulticlassTask | RegressionTask
METRICS = {
    "binary": binary_scores.METRICS,
    "multiclass": multiclass_scores.METRICS,
    "regression": regression_scores.METRICS,
}
BYTES_PER_VALUE = 20  # of a partition in work; measured: about 13 for each feature of each row
FEW_UNITS = 20
MIN_BEYOND = 2
"""Replicates that must lie beyond each end of an interval: fewer, and the end is a single draw."""


class EvaluateSettings(Settings):
    """How intervals are made, and what mistakes cost."""

    replicates: int = Field(ge=20, le=100_000, description="bootstrap replicates behind every interval")
    level: float = Field(gt=0, lt=1, description="share of such intervals that are to hold the true value")
    method: Literal["percentile", "bca"]
    resample: Literal["clusters", "rows"] = "clusters"
    block: int = Field(
        default=1,
        ge=1,
        description="neighbouring units drawn together: days of one weather system; 1 where rows are independent",
    )
    cost_of_miss: float = Field(gt=0, le=1e6, allow_inf_nan=False)
    cost_of_false_alarm: float = Field(gt=0, le=1e6, allow_inf_nan=False)


@dataclass(frozen=True)
class Scored:
    """One partition of the test part, or all of it: labels in order, and every system's scores and cells."""

    labels: NDArray[Any]
    scores: dict[str, NDArray[np.float32]]
    cells: dict[str, pl.DataFrame]


def main(name: str) -> None:
    """Evaluate the model of one dataset."""
    settings = read_settings(EvaluateSettings, dataset=name, section="evaluate")
    refuse_few_replicates(name, settings)
    seed, table = child_seed(read_seed(), "evaluate", name), open_features(name, columns=read_selection(name))
    cluster = choose_workers(table, read_cluster(), read_scale().memory_limit_bytes)
    with plain_words():
        rule = rule_from_json(read_json(layout.models(name) / "baseline.json"))
    # partitions side by side get a thread each: teams of threads would wait for one another's cores
    booster = read_booster(layout.models(name), threads=1 if cluster.workers > 1 else cluster.training_threads)
    scorers: dict[str, Scorer] = {
        "model": lambda frame: predict(booster, frame, table.names),
        "baseline": lambda frame: predict_one_rule(rule, frame),
    }
    with plain_words():
        tasks = choose_tasks(table, scorers, rule, settings, cluster)
        scored = score_test(table, scorers, tasks, settings, cluster)
        cells = scored.cells
        units = unit_names(cells["model"])
        words = unit_words(table, settings, len(units))
        weights = draw_weights(len(units), settings.replicates, seed, words["block"])
        systems = {
            system: System(task.table(cells[system], units), task.exact(scored.labels, scored.scores[system]))
            for system, task in tasks.items()
        }
        results = compare_systems(
            systems["model"], systems["baseline"], METRICS[table.task], weights,
            level=settings.level, method=settings.method, n=table.rows("test"), block=words["block"],
        )  # fmt: skip
        plots = draw_plots(
            systems["model"].table, systems["baseline"].table, results, table.classes, weights, settings.level
        )
    results = {metric: result | words for metric, result in results.items()}

    write_evaluation(layout.evaluation(name), cells, header_of(table, tasks, systems, cells, units, settings, seed))
    for plot, frame in plots.items():
        write_csv(layout.plots(name) / f"{plot}.csv", round_columns(frame))
    write_json(layout.metrics(name) / "test.json", with_thresholds(round_figures(results), tasks))
    report(name, results, table, words)


def choose_workers(table: FeatureTable, cluster: ClusterSettings, limit_bytes: int) -> ClusterSettings:
    """No more partitions at a time than fit in memory."""
    value = BYTES_PER_VALUE * (len(table.names) + 3)  # beside the features: part, target and cluster
    read = {*table.partition_names("valid"), *table.partition_names("test")}
    estimates = {part["name"]: value * part["rows"] for part in table.partitions if part["name"] in read}
    return fit_in_memory(cluster, estimates, limit_bytes, f"{table.dataset}: evaluate")


def choose_tasks(
    table: FeatureTable,
    scorers: Mapping[str, Scorer],
    rule: OneRule,
    settings: EvaluateSettings,
    cluster: ClusterSettings,
) -> dict[str, Task]:
    """What each system is asked to do; for a binary task with its own threshold, chosen on the valid part."""
    if table.task == "multiclass":
        return dict.fromkeys(scorers, MulticlassTask(len(table.classes)))
    if table.task == "regression":
        return dict.fromkeys(scorers, RegressionTask(Grid.around(rule.target_mean, rule.target_spread)))

    def count(partition: str) -> dict[str, NDArray[np.float64]]:
        frame = table.read(partition, "valid")
        labels = frame[table.target].to_numpy()
        return {name: count_codes(labels, code_probabilities(score(frame))) for name, score in scorers.items()}

    refuse_no_rows(table, "valid")
    totals = {name: np.zeros((2, N_CODES)) for name in scorers}
    for counted in each_partition(count, table.partition_names("valid"), cluster=cluster, label="score valid part"):
        for name, counts in counted.items():
            totals[name] += counts
    costs = {"cost_of_miss": settings.cost_of_miss, "cost_of_false_alarm": settings.cost_of_false_alarm}
    return {name: BinaryTask(choose_threshold(totals[name], **costs), **costs) for name in scorers}


def score_test(
    table: FeatureTable,
    scorers: Mapping[str, Scorer],
    tasks: Mapping[str, Task],
    settings: EvaluateSettings,
    cluster: ClusterSettings,
) -> Scored:
    """Score and tabulate the test part, one partition at a time."""
    refuse_no_rows(table, "test")
    rows = {partition["name"]: partition["parts"]["test"] for partition in table.partitions}
    names = table.partition_names("test")
    starts = dict(zip(names, np.cumsum([0] + [rows[name] for name in names[:-1]]).tolist(), strict=True))
    unit_column = cluster_of(table, settings)

    def score(partition: str) -> Scored:
        frame = table.read(partition, "test", extra=[unit_column] if unit_column else [])
        if unit_column:
            unit_labels, units = number_units(frame[unit_column])
        else:
            units = deal_rows(starts[partition], len(frame), table.rows("test"))
            unit_labels = [f"{unit:04d}" for unit in range(int(units.max()) + 1)]
        stored = frame[table.target].to_numpy()  # one byte a label, while it waits for others
        labels: NDArray[Any] = stored.astype(np.float64 if table.task == "regression" else np.int64)
        scores = {name: finite(scorer(frame), name, partition) for name, scorer in scorers.items()}
        cells = {name: tasks[name].tabulate(units, unit_labels, labels, scores[name]) for name in scorers}
        return Scored(stored, scores, cells)

    return gather(table, each_partition(score, names, cluster=cluster, label="score test part"))


def gather(table: FeatureTable, parts: Iterable[Scored]) -> Scored:
    """All of the test part, every row at its place, labels as small as they can be."""
    n, at = table.rows("test"), 0
    labels = np.empty(n, np.float64 if table.task == "regression" else np.min_scalar_type(len(table.classes)))
    scores: dict[str, NDArray[np.float32]] = {}
    cells: dict[str, list[pl.DataFrame]] = {}
    found: Counter[int] = Counter()
    for part in parts:
        rows = slice(at, at := at + len(part.labels))
        labels[rows] = part.labels
        if table.task != "regression":
            found.update(dict(zip(*(x.tolist() for x in np.unique(part.labels, return_counts=True)), strict=True)))
        for system, values in part.scores.items():
            scores.setdefault(system, np.empty((n, *values.shape[1:]), np.float32))[rows] = values
            cells[system] = gather_cells(cells.get(system, []), part.cells[system])
    refuse_one_class(table, found)
    return Scored(labels, scores, {system: merge_cells(cells.pop(system)) for system in scores})


def finite(scores: NDArray[np.float32], system: str, partition: str) -> NDArray[np.float32]:
    """The scores, all of them numbers."""
    broken = int(np.count_nonzero(~np.isfinite(scores)))
    if broken:
        raise UserError(
            f"a finite score for every row of partition {partition}",
            f"{broken} scores of the {system} are not",
            "look at the model's parameters (a learning rate or a target far out of range), then run `dvc repro`",
        )
    return scores


def refuse_few_replicates(name: str, settings: EvaluateSettings) -> None:
    """Stop when an end of an interval would rest on the outermost replicate."""
    beyond = settings.replicates * (1 - settings.level) / 2
    if beyond < MIN_BEYOND - 1e-9:
        path = f"datasets.{name}.evaluate"
        raise UserError(
            f"{path}.replicates: {MIN_BEYOND} or more of them beyond each end of an interval at {path}.level",
            f"replicates {settings.replicates} at level {settings.level:g}: {beyond:.2g} beyond each end",
            f"raise {path}.replicates to {ceil(2 * MIN_BEYOND / (1 - settings.level) - 1e-6)} or more, "
            f"or lower {path}.level",
        )


def refuse_no_rows(table: FeatureTable, part: str) -> None:
    """Stop when a part is empty."""
    if table.rows(part) == 0:
        raise UserError(
            f"labelled rows in the {part} part of {table.dataset}",
            "none",
            f"look at datasets.{table.dataset}.featurize.split, then run `dvc repro`",
        )


def refuse_one_class(table: FeatureTable, found: Mapping[int, int]) -> None:
    """Stop when the test part cannot tell a good model from a bad one, or holds labels without a class."""
    if table.task == "regression":
        return
    known = range(len(table.classes))
    if len(found) < 2 or not all(value in known for value in found):
        raise UserError(
            f"two or more of the classes {', '.join(table.classes)}, and no other, in the test part of {table.dataset}",
            ", ".join(f"{table.classes[v] if v in known else v}: {n:,} rows" for v, n in sorted(found.items())),
            f"take more records into the test part (scale, datasets.{table.dataset}.featurize) and run `dvc repro`",
        )


def cluster_of(table: FeatureTable, settings: EvaluateSettings) -> str | None:
    """The column whose values are drawn; None where single rows are."""
    return table.cluster if settings.resample == "clusters" else None


def unit_words(table: FeatureTable, settings: EvaluateSettings, n_units: int) -> dict[str, Any]:
    """What a bootstrap draws, for the reader of a metric; independent rows have no neighbours to be drawn with."""
    column = cluster_of(table, settings)
    return {"resampled": column or "rows", "units": n_units, "block": settings.block if column else 1}


def with_thresholds(results: Mapping[str, Any], tasks: Mapping[str, Task]) -> dict[str, Any]:
    """The results; those of decisions with the thresholds that were used."""
    model, baseline = tasks["model"], tasks["baseline"]
    if not (isinstance(model, BinaryTask) and isinstance(baseline, BinaryTask)):
        return dict(results)
    # a threshold is a float32 and must stay that one: rounded, it would decide some rows another way
    exact = {"threshold": np.float32(model.threshold), "baseline_threshold": np.float32(baseline.threshold)}
    used = {name: float(str(threshold)) for name, threshold in exact.items()}
    at_threshold = binary_scores.AT_THRESHOLD
    return {name: result | used if name in at_threshold else result for name, result in results.items()}


def header_of(
    table: FeatureTable, tasks: Mapping[str, Task], systems: Mapping[str, System], cells: Mapping[str, pl.DataFrame],
    units: list[str], settings: EvaluateSettings, seed: int,
) -> dict[str, Any]:  # fmt: skip
    """What a later comparison must know, to read the cells and to refuse those of other rows."""
    question = {"dataset": table.dataset, "question": table.question, "task": table.task, "target": table.target,
                "classes": list(table.classes)}  # fmt: skip
    view, label = {
        "binary": ("score", "label"),
        "multiclass": ("confusion", "label"),
        "regression": ("target", "code"),
    }[table.task]
    return {
        "format": 1,
        **question,
        "rows": table.rows("test"),
        **unit_words(table, settings, len(units)),
        "same_rows": fingerprint(cells["model"], view, question, label),
        "seed": seed,
        "replicates": settings.replicates,
        "level": settings.level,
        "systems": {name: {"decides": asdict(tasks[name]), "exact": dict(systems[name].exact)} for name in systems},
    }


def round_columns(frame: pl.DataFrame) -> pl.DataFrame:
    """Six significant digits in every column of floats."""
    return frame.with_columns(pl.selectors.float().round_sig_figs(6))


def report(name: str, results: Mapping[str, Any], table: FeatureTable, words: Mapping[str, Any]) -> None:
    """One line with the leading metric, and a word of caution where units are few."""
    metric, first = next(iter(results.items()))
    units = f"{words['units']} units of {words['resampled']}"
    runs = f" in runs of {words['block']}" if words["block"] > 1 else ""
    if words["units"] < FEW_UNITS:
        log.info("%s: intervals rest on %s only, and are rough", name, units)
    log.info(
        "%s: %s %.4f [%.4f, %.4f], baseline %.4f, %s test rows, %s resampled%s",
        name, metric, first["value"], first["low"], first["high"], first["baseline"], f"{table.rows('test'):,}",
        units, runs,
    )  # fmt: skip


if __name__ == "__main__":
    start_log()
    run_stage(main)
