"""Judge a model on the test part, beside a baseline, with an interval for every figure.

Reads   data/features/<dataset>          test rows; valid rows too where a threshold is chosen
        data/selection/<dataset>.json    the features, in the model's order
        models/<dataset>                 model.ubj, baseline.json
Writes  metrics/<dataset>/results.json   every metric: value, low, high, level, n, direction, baseline, difference
        metrics/<dataset>/test.json      of each the value, low and high, by dataset: what DVC lists and compares
        data/evaluation/<dataset>.parquet    the resampling table: all that a later comparison needs
        plots/<dataset>/                 roc, precision_recall, calibration, residuals, confusion, intervals, per_class
Params  datasets.<dataset>.evaluate, seed, cluster

The intervals are drawn from the resampling table alone; the values are computed on the scores themselves.  Where a
threshold was chosen on valid rows, these are drawn again too, and with them the threshold of each resample.  The
difference to the baseline is judged by the test that compares revisions (`metrics/paired.py`).  What grows
with the test rows are therefore a label and two scores a row (9 bytes for a yes-or-no question, 16 while they are
ranked), and with its days the cells of the table (about 100 kB a day while they are added up).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from stages.features.table import FeatureTable, open_features, read_selection, read_sketches
from stages.metrics.bootstrap import Float, draw_both
from stages.metrics.claims import refuse_claims, systems_apart
from stages.metrics.contract import Decision, Task, round_figures
from stages.metrics.curves import draw_plots
from stages.metrics.files import write_evaluation
from stages.metrics.scoring import (
    Judged,
    Scorer,
    choose_segments,
    choose_workers,
    header_of,
    judge,
    terms_of,
    unit_words,
)
from stages.metrics.settings import EvaluateSettings, refuse_few_replicates
from stages.metrics.stored import Segments, task_named
from stages.metrics.systems import compare_systems
from stages.models.families import open_model, read_baseline
from stages.models.forecasts import HORIZON
from stages.runtime.log import log, start_log
from stages.workspace import layout
from stages.workspace.errors import plain_words, run_stage
from stages.workspace.files import require_writable, write_csv, write_json
from stages.workspace.seeds import child_seed
from stages.workspace.settings import read_scale, read_seed, read_settings, read_workers

FEW_UNITS = 20


def main(name: str) -> None:
    """Evaluate the model of one dataset."""
    settings = read_settings(EvaluateSettings, dataset=name, section="evaluate")
    refuse_few_replicates(name, settings)
    seed, table = child_seed(read_seed(), "evaluate", name), open_features(name, columns=read_selection(name))
    require_writable(layout.evaluation(name).parent, layout.plots(name), layout.metrics(name))
    segments = choose_segments(table, read_sketches(name) if settings.segments else {}, settings.segments)
    workers = choose_workers(table, read_workers(), read_scale().memory_limit_bytes)
    with plain_words():
        rule = read_baseline(name)
    # partitions side by side get a thread each: teams of threads would wait for one another's cores
    model = open_model(table, threads=1 if workers.count > 1 else workers.training_threads)
    scorers: dict[str, Scorer] = {
        "model": model.predict,
        "baseline": rule.predict,
    }
    with plain_words():
        task = task_named(table.task)
        judged = judge(table, scorers, terms_of(table, rule, settings), settings, workers, segments)
        words, systems = unit_words(table, settings, len(judged.units)), judged.systems
        weights = draw_both(len(judged.units), len(judged.valid_units), settings.replicates, seed, words["block"])
        if settings.no_point_skill:
            refuse_point_skill(task, judged, segments, weights, words["block"])
        results = compare_systems(
            systems["model"], systems["baseline"], task.metrics, weights,
            level=settings.level, method=settings.method, n=table.rows("test"), block=words["block"],
        )  # fmt: skip
        own = task.draw(
            systems["model"].table, systems["baseline"].table, table.classes, weights, settings.level, words["block"]
        )
    results = {metric: result | words for metric, result in results.items()}

    write_evaluation(layout.evaluation(name), judged.cells, header_of(table, judged, settings, seed, segments))
    for plot, frame in draw_plots(own, results).items():
        write_csv(layout.plots(name) / f"{plot}.csv", round_columns(frame))
    told = with_thresholds(round_figures(results), task, judged.decisions)
    write_json(layout.results(name), told)
    write_json(layout.metrics(name) / "test.json", {name: estimates(told)})
    report(name, results, table, words)


def refuse_point_skill(task: Task, judged: Judged, segments: Segments, weights: Float, block: int) -> None:
    """Stop before anything is written where the leading metric beats the baseline's: overall, or at a horizon."""
    apart = systems_apart(judged.decisions, judged.cells, HORIZON, segments.values[HORIZON], judged.units)
    refuse_claims(judged.systems, apart, next(iter(task.metrics.items())), weights, block=block)


def with_thresholds(results: Mapping[str, Any], task: Task, decisions: Mapping[str, Decision]) -> dict[str, Any]:
    """The results; those of decisions with the thresholds that were used."""
    exact = {"threshold": decisions["model"].threshold, "baseline_threshold": decisions["baseline"].threshold}
    # a threshold is a float32 and must stay that one: rounded, it would decide some rows another way
    used = {name: float(str(np.float32(found))) for name, found in exact.items() if found is not None}
    return {name: result | used if name in task.at_threshold else result for name, result in results.items()}


def estimates(results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What stands in a column of DVC's tables: of more, nobody could read them."""
    return {metric: {key: result[key] for key in ("value", "low", "high")} for metric, result in results.items()}


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
    between = "too few for an interval" if first["low"] is None else f"{first['low']:.4f}, {first['high']:.4f}"
    log.info(
        "%s: %s %.4f [%s], baseline %.4f, %s test rows, %s resampled%s",
        name, metric, first["value"], between, first["baseline"], f"{table.rows('test'):,}", units, runs,
    )  # fmt: skip


if __name__ == "__main__":
    start_log()
    run_stage(main)
