"""Tell what came out: one page and one model card that a colleague can read without running anything.

Reads   metrics/<dataset>/clean.json, results.json  where the rows went, every metric with its interval
        plots/<dataset>/*.csv                        curves, calibration, confusion, classes, learning curve
        data/selection/<dataset>.json                which features, and why
        data/evaluation/<dataset>.parquet            the resampling table: segments, months, cost of every threshold
        data/trainings/<dataset>.parquet             how far another seed would have moved each figure
        models/<dataset>, data/features/<dataset>    the model on a sample of the test rows: effects of the features
Writes  reports/<dataset>/results.html               one file that needs no network and no script
        reports/<dataset>/card.md                    the same in short, as Markdown
Owes    the same bytes for the same inputs, whatever the number of threads
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from stages.features.contingency import entropy
from stages.features.table import FeatureTable, open_features, read_selection
from stages.metrics.binary import BinaryTable
from stages.metrics.bootstrap import Float, draw_both
from stages.metrics.curves import COLUMNS
from stages.metrics.files import read_evaluation
from stages.metrics.resampling import deal_rows, number_units
from stages.metrics.stored import system_of, task_named, units_of, valid_units_of
from stages.models.contract import Model
from stages.models.families import FAMILIES, FIRST, open_model, read_baseline, say_fitted
from stages.results.costs import cost_curve
from stages.results.effects import (
    Int,
    Sample,
    depend_on,
    mean_effects,
    outputs_of,
    sample_size,
    sampled_places,
)
from stages.results.facts import Effects, Facts
from stages.results.mistakes import Mistakes, find_mistakes
from stages.results.page import write_page, write_results_card
from stages.results.segments import judge_segments
from stages.results.words import headline
from stages.runtime.log import log, start_log
from stages.workspace import layout
from stages.workspace.errors import UserError, plain_words, run_stage
from stages.workspace.files import read_json, whole_file
from stages.workspace.settings import read_workers

CLOSELY = 6  # features whose dependence is drawn
TEXTS = {"metric", "direction", "class", "actual", "part", "feature", "decision"}
PLOTS = (*(name for name in COLUMNS if name != "intervals"), "learning_curve")


def main(name: str) -> None:
    """Report on the dataset ``name``."""
    start = time.monotonic()
    facts = gather_facts(name)
    page = layout.results_report(name)
    for path, text in ((page, write_page(facts)), (page.with_name("card.md"), write_results_card(facts))):
        with whole_file(path) as aside:
            aside.write_text(text, encoding="utf-8")
    log.info("%s: %s; see %s (%.1f s)", name, headline(facts), page, time.monotonic() - start)


def gather_facts(name: str) -> Facts:
    """Everything that the report tells."""
    table = open_features(name, columns=read_selection(name))
    results = read_json(layout.results(name))
    cells, header = read_evaluation(layout.evaluation(name))
    refuse_other_run(name, results, header)
    units, level = units_of(cells), header["level"]
    with plain_words():
        n_valid = len(valid_units_of(cells, ["model", "baseline"]))
        weights = draw_both(len(units), n_valid, header["replicates"], header["seed"], header["block"])
        segments = judge_segments(cells, header, weights, level)
        judged = system_of(cells, header).table
        costs = cost_curve(judged, weights, level, header["block"]) if isinstance(judged, BinaryTable) else None
    model = open_model(table, read_workers().training_threads)
    table = table.with_columns(model.features)
    training = read_json(layout.models(name) / "training.json")
    return Facts(
        dataset=name, question=table.question, task=table.task, target=table.target,
        target_unit=table.target_unit, classes=table.classes,
        columns={c.name: {"about": c.about, "unit": c.unit, "kind": c.kind} for c in every_column(name)},
        parts={part: table.rows(part) for part in ("train", "valid", "test")},
        clean=read_json(layout.metrics(name) / "clean.json"), selection=read_json(layout.selection(name)),
        training=training, guessed={part: guessed_loss(table, part) for part in ("train", "valid")},
        baseline=read_baseline(name).told,
        results=results, plots={plot: read_plot(layout.plots(name) / f"{plot}.csv") for plot in PLOTS}, units=units,
        segments=segments, costs=costs,
        effects=effects_of(draw_sample(table, model, header, units), weights[:, : len(units)], level),
        unseen=count_unseen(table), fitted=say_fitted(training),
        stops_early=FAMILIES[training.get("family", FIRST)].stops_early, mistakes=mistakes_of(table, model, results),
        **read_trainings(name, header),
    )  # fmt: skip


def read_trainings(name: str, header: dict[str, Any]) -> dict[str, Any]:
    """The metrics of the model and of its further trainings, and what these drew again; none before `retrain`."""
    if not layout.trainings(name).exists():
        return {}
    _, again = read_evaluation(layout.trainings(name))
    systems = (header["systems"]["model"], *again["systems"].values())
    return {"trainings": [system["exact"] for system in systems], "redrawn": again.get("redrawn")}


def guessed_loss(table: FeatureTable, part: str) -> float:
    """What there is to explain in a part: entropy of its classes in nats, or standard deviation of its numbers."""
    frames = table.with_columns([]).frames(part)
    if table.classes:
        codes = (frame[table.target].cast(pl.Int64).to_numpy() for frame in frames)
        return float(entropy(np.sum([np.bincount(found, minlength=len(table.classes)) for found in codes], axis=0)))
    values = (frame[table.target].cast(pl.Float64).to_numpy() for frame in frames)
    n, total, squares = np.sum([(len(found), found.sum(), (found**2).sum()) for found in values], axis=0)
    return float(np.sqrt(max(squares / n - (total / n) ** 2, 0.0)))


def every_column(name: str) -> tuple[Any, ...]:
    """All features of the dataset, selected or not."""
    return open_features(name).columns


def refuse_other_run(name: str, results: dict[str, Any], header: dict[str, Any]) -> None:
    """Stop when metrics and resampling table were not written together."""
    lead = next(iter(results.values()), None)
    table = {"n": header["rows"], "units": header["units"], "level": header["level"]}
    found = {key: lead.get(key) for key in table} if lead else {}
    if found != table:
        path = layout.results(name)
        raise UserError(
            f"{path} and {layout.evaluation(name)} of one run of evaluate", f"{found} and {table}",
            f"run `dvc repro evaluate@{name}`, or `dvc checkout`",
        )  # fmt: skip


def read_plot(path: Path) -> pl.DataFrame:
    """A table behind a plot: names as text, everything else as numbers."""
    if not path.exists():
        raise UserError(f"the table {path}", "no such file", "run `dvc repro`, or `git checkout` it")
    table = pl.read_csv(path, infer_schema=False)
    texts = [column for column in table.columns if column in TEXTS]
    if path.stem == "confusion":
        texts.append("predicted")  # a class; elsewhere it is a number
    return table.with_columns(pl.exclude(texts).cast(pl.Float64))


def mistakes_of(table: FeatureTable, model: Model, results: dict[str, Any]) -> Mistakes | None:
    """The mistakes that can be looked at; None where rows are no pictures, or numbers are predicted."""
    picture = next((column for column in every_column(table.dataset) if column.kind == "picture"), None)
    if picture is None or not table.classes:
        return None
    threshold = next((result["threshold"] for result in results.values() if "threshold" in result), None)
    frames = table.frames("test", extra=[picture.name])
    return find_mistakes(
        frames, model, picture=picture.name, shape=picture.shape, target=table.target, classes=table.classes,
        threshold=threshold,
    )  # fmt: skip


def effects_of(sample: Sample | None, weights: Float, level: float) -> Effects:
    """What moves the answer; nothing where the model has no exact contributions."""
    if sample is None:
        return Effects([], [], 0, 0)
    every = mean_effects(sample, weights, level)
    strongest = [effect.name for effect in every[:CLOSELY] if effect.value > 0]
    closely = [depend_on(sample, feature, output, weights, level)
               for feature, output in zip(strongest, outputs_of(sample, strongest), strict=True)]  # fmt: skip
    return Effects(every, closely, len(sample.inputs), sample.n_units)


def draw_sample(table: FeatureTable, model: Model, header: dict[str, Any], units: list[str]) -> Sample | None:
    """Contributions to a sample of the test rows, one partition at a time; None where the model has no exact ones."""
    place = {unit: k for k, unit in enumerate(units)}
    outputs = task_named(table.task).outputs(len(table.classes))
    values, inputs, numbers = [], [], []
    for chosen, unit_labels, unit_places in sampled_rows(table, header, sample_size(outputs, len(table.names))):
        rows = chosen.select(table.names)
        found = model.contributions(rows)
        if found is None:
            return None
        values.append(found[:, :, :-1])
        inputs.append(rows)
        numbers.append(np.array([place[unit] for unit in unit_labels], dtype=np.int64)[unit_places])
    return Sample(np.concatenate(values), pl.concat(inputs), np.concatenate(numbers), len(units))


def sampled_rows(
    table: FeatureTable, header: dict[str, Any], size: int
) -> Iterator[tuple[pl.DataFrame, list[str], Int]]:
    """Sampled rows of each partition, the names of its units, and each row's place among those."""
    column = None if header["resampled"] == "rows" else str(header["resampled"])
    first, total = 0, table.rows("test")
    for frame in table.frames("test", extra=[column] if column else []):
        chosen = sampled_places(first, len(frame), total, size)
        if column:
            names, units = number_units(frame[column])
        else:
            units = deal_rows(first, len(frame), total)
            names = [f"{unit:04d}" for unit in range(int(units.max()) + 1)]
        first += len(frame)
        if len(chosen):
            yield frame[chosen], names, units[chosen]


def count_unseen(table: FeatureTable) -> int:
    """Test rows that hold a category which training never saw, in any feature of the model."""
    unseen = [
        pl.col(c.name).is_not_null() & ~pl.col(c.name).cast(pl.String).is_in(list(c.categories))
        for c in table.columns
        if c.kind == "categorical"
    ]
    if not unseen:
        return 0
    rows = (pl.col("part") == "test") & pl.col(table.target).is_not_null()
    return sum(
        int(
            pl.scan_parquet(table.path_of(partition))
            .filter(rows)
            .select(pl.any_horizontal(unseen).sum())
            .collect()
            .item()
        )
        for partition in table.partition_names("test")
    )


if __name__ == "__main__":
    start_log()
    run_stage(main)
