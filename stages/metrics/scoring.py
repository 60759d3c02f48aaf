"""Score the rows of a feature table with several systems at once, and tabulate what a bootstrap needs of them.

One partition at a time, side by side where memory allows; results stand in the order of the partitions, so neither
their cut nor the number of workers can be seen in them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.features.sketch import CategorySketch, Sketch
from stages.features.table import FeatureTable, refuse_no_rows
from stages.metrics.contract import Decision, System, Terms
from stages.metrics.files import FORMAT
from stages.metrics.resampling import deal_rows, fingerprint, gather_cells, merge_cells, number_units, unit_names
from stages.metrics.settings import EvaluateSettings
from stages.metrics.stored import BETWEEN, VALID, Segments, task_named
from stages.models.contract import Baseline
from stages.runtime.partitions import each_partition, fit_in_memory
from stages.workspace.errors import UserError
from stages.workspace.settings import WorkerSettings

Scorer = Callable[[pl.DataFrame], NDArray[np.float32]]
BYTES_PER_VALUE = 20  # of a partition in work; measured: about 13 for each feature of each row


@dataclass(frozen=True)
class Scored:
    """One partition of the test part, or all of it: labels in order, and every system's scores and cells.

    Cells of segments stand beside those of all rows, under views of their own.
    """

    labels: NDArray[Any]
    scores: dict[str, NDArray[np.float32]]
    cells: dict[str, pl.DataFrame]


@dataclass(frozen=True)
class Judged:
    """Every system on the test part: what it decides, its cells, its table over ``units`` and its exact metrics.

    The thresholds, where there are any, were chosen on the ``valid_units``; their cells stand among the others.
    """

    decisions: Mapping[str, Decision]
    cells: Mapping[str, pl.DataFrame]
    units: list[str]
    valid_units: list[str]
    systems: Mapping[str, System]


def judge(
    table: FeatureTable, scorers: Mapping[str, Scorer], terms: Terms, settings: EvaluateSettings,
    workers: WorkerSettings, segments: Segments,
) -> Judged:  # fmt: skip
    """Decide on the valid part, score and count the test part."""
    decisions, valid = decide(table, scorers, terms, settings, workers)
    scored = score_test(table, scorers, decisions, settings, workers, segments)
    task, first = task_named(table.task), next(iter(scorers))
    units, valid_units = unit_names(scored.cells[first]), unit_names(valid[first]) if valid else []
    systems, cells = {}, {}
    for name, decision in decisions.items():
        made = decision.table(scored.cells[name], units)
        made = task.redecide(made, valid[name], valid_units, False) if valid else made
        systems[name] = System(made, decision.exact(scored.labels, scored.scores[name]))
        kept = [_beneath(VALID, valid[name])] if valid else []
        cells[name] = pl.concat([scored.cells[name].with_columns(pl.col("unit", "view").cast(pl.String)), *kept])
    return Judged(decisions, cells, units, valid_units, systems)


def _beneath(segment: str, cells: pl.DataFrame) -> pl.DataFrame:
    """Cells of a segment among those of others."""
    view = (pl.lit(f"{segment}{BETWEEN}") + pl.col("view").cast(pl.String)).alias("view")
    return cells.with_columns(pl.col("unit").cast(pl.String), view)


def unit_words(table: FeatureTable, settings: EvaluateSettings, n_units: int) -> dict[str, Any]:
    """What a bootstrap draws, for the reader of a metric; independent rows have no neighbours to be drawn with."""
    column = cluster_of(table, settings)
    return {"resampled": column or "rows", "units": n_units, "block": settings.block if column else 1}


def header_of(
    table: FeatureTable, judged: Judged, settings: EvaluateSettings, seed: int, segments: Segments
) -> dict[str, Any]:
    """What a later comparison must know, to read the cells and to refuse those of other rows."""
    question = {"dataset": table.dataset, "question": table.question, "task": table.task, "target": table.target,
                "classes": list(table.classes)}  # fmt: skip
    view, label = task_named(table.task).known_by
    cells = next(iter(judged.cells.values()))
    return {
        "format": FORMAT,
        **question,
        "rows": table.rows("test"),
        **unit_words(table, settings, len(judged.units)),
        "same_rows": fingerprint(cells, view, question, label),
        "seed": seed,
        "replicates": settings.replicates,
        "level": settings.level,
        "segments": segments.found(cells["view"].cast(pl.String)),
        "systems": {
            name: {"decides": asdict(judged.decisions[name]), "exact": dict(system.exact)}
            for name, system in judged.systems.items()
        },
    }


def choose_workers(table: FeatureTable, workers: WorkerSettings, limit_bytes: int) -> WorkerSettings:
    """No more partitions at a time than fit in memory."""
    value = BYTES_PER_VALUE * (table.values + 3)  # beside the features: part, target and cluster
    read = {*table.partition_names("valid"), *table.partition_names("test")}
    estimates = {part["name"]: value * part["rows"] for part in table.partitions if part["name"] in read}
    return fit_in_memory(workers, estimates, limit_bytes, f"{table.dataset}: evaluate")


def terms_of(table: FeatureTable, rule: Baseline, settings: EvaluateSettings) -> Terms:
    """On what terms the rows of a table are judged."""
    return Terms(
        len(table.classes), rule.target_mean, rule.target_spread, settings.cost_of_miss, settings.cost_of_false_alarm
    )


def decide(
    table: FeatureTable, scorers: Mapping[str, Scorer], terms: Terms, settings: EvaluateSettings,
    workers: WorkerSettings,
) -> tuple[dict[str, Decision], dict[str, pl.DataFrame]]:  # fmt: skip
    """What each system does with its scores, and the cells of the valid rows on which its own threshold was chosen."""
    task = task_named(table.task)
    task.check_classes(table.dataset, table.classes)
    tally = task.tally
    if tally is None:
        return {name: task.decide(pl.DataFrame(), terms) for name in scorers}, {}
    units_in = unit_reader(table, "valid", settings)

    def count(partition: str) -> dict[str, pl.DataFrame]:
        frame, names, units = units_in(partition, [])
        labels = frame[table.target].to_numpy().astype(task.label_type)
        return {name: tally(units, names, labels, score(frame)) for name, score in scorers.items()}

    refuse_no_rows(table, "valid")
    found: dict[str, list[pl.DataFrame]] = {name: [] for name in scorers}
    with each_partition(count, table.partition_names("valid"), workers=workers, label="score valid part") as counted:
        for part in counted:
            for name, cells in part.items():
                found[name] = gather_cells(found[name], cells)
    merged = {name: merge_cells(cells) for name, cells in found.items()}
    return {name: task.decide(cells, terms) for name, cells in merged.items()}, merged


def unit_reader(
    table: FeatureTable, part: str, settings: EvaluateSettings
) -> Callable[[str, Sequence[str]], tuple[pl.DataFrame, list[str], NDArray[np.int64]]]:
    """A reader of partitions, and columns beside the features: rows, names of the units, and the unit of each row."""
    column, names = cluster_of(table, settings), table.partition_names(part)
    along = task_named(table.task).along
    rows = {partition["name"]: partition["parts"][part] for partition in table.partitions}
    starts = dict(zip(names, np.cumsum([0] + [rows[name] for name in names[:-1]]).tolist(), strict=True))

    def read(partition: str, extra: Sequence[str]) -> tuple[pl.DataFrame, list[str], NDArray[np.int64]]:
        frame = table.read(partition, part, extra=[*([column] if column else []), *along, *extra])
        if column:
            return frame, *number_units(frame[column])
        units = deal_rows(starts[partition], len(frame), table.rows(part))
        return frame, [f"{unit:04d}" for unit in range(int(units.max()) + 1)], units

    return read


def choose_segments(table: FeatureTable, sketches: Mapping[str, Sketch], columns: Sequence[str]) -> Segments:
    """The values of the declared columns that are told apart, from the training rows."""
    known = {name: sketch for name, sketch in sketches.items() if isinstance(sketch, CategorySketch)}
    if unknown := [name for name in columns if name not in known]:
        raise UserError(
            f"datasets.{table.dataset}.evaluate.segments: categorical features ({', '.join(known) or 'there is none'})",
            ", ".join(unknown),
            "correct it under params/ and run `make params`",
        )
    return Segments.of({name: known[name].counts for name in columns})


def score_test(
    table: FeatureTable,
    scorers: Mapping[str, Scorer],
    decisions: Mapping[str, Decision],
    settings: EvaluateSettings,
    workers: WorkerSettings,
    segments: Segments,
) -> Scored:
    """Score and tabulate the test part, one partition at a time."""
    refuse_no_rows(table, "test")
    names, label_type = table.partition_names("test"), task_named(table.task).label_type
    units_in = unit_reader(table, "test", settings)

    def score(partition: str) -> Scored:
        frame, unit_labels, units = units_in(partition, list(segments.values))
        stored = frame[table.target].to_numpy()  # one byte a label, while it waits for others
        labels: NDArray[Any] = stored.astype(label_type)
        scores = {name: finite(scorer(frame), name, partition) for name, scorer in scorers.items()}
        cells = {}
        for name, decision in decisions.items():
            whole = decision.tabulate(units, unit_labels, labels, scores[name])
            apart = segments.tabulate(decision, frame, units, unit_labels, labels, scores[name])
            cells[name] = pl.concat([whole, *apart])
        return Scored(stored, scores, cells)

    with each_partition(score, names, workers=workers, label="score test part") as scored:
        return gather(table, scored)


def gather(table: FeatureTable, parts: Iterable[Scored]) -> Scored:
    """All of the test part, every row at its place, labels as small as they can be."""
    n, at, task = table.rows("test"), 0, task_named(table.task)
    labels = np.empty(n, np.min_scalar_type(len(table.classes)) if task.has_classes else task.label_type)
    scores: dict[str, NDArray[np.float32]] = {}
    cells: dict[str, list[pl.DataFrame]] = {}
    found: Counter[int] = Counter()
    for part in parts:
        rows = slice(at, at := at + len(part.labels))
        labels[rows] = part.labels
        if task.has_classes:
            found.update(dict(zip(*(x.tolist() for x in np.unique(part.labels, return_counts=True)), strict=True)))
        for system, values in part.scores.items():
            scores.setdefault(system, np.empty((n, *values.shape[1:]), np.float32))[rows] = values
            cells[system] = gather_cells(cells.get(system, []), part.cells[system])
    if task.has_classes:
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


def refuse_one_class(table: FeatureTable, found: Mapping[int, int]) -> None:
    """Stop when the test part cannot tell a good model from a bad one, or holds labels without a class."""
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
