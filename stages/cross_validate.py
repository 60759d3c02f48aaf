"""Train and judge a model several times over, each time on days after those that it has learnt from.

Reads   data/features/<dataset>          all rows of the chosen parts, and the sketches
        data/selection/<dataset>.json    the features, in the model's order
Writes  cross_validation/<dataset>/      cross_validation.json, .csv and .md: every metric with its interval, over all
                                         folds and fold by fold, beside the one-rule baseline fitted to the same rows
Params  datasets.<dataset>.model, datasets.<dataset>.evaluate, seed, scale, cluster

A command, not a stage: nothing later depends on it, and it touches nothing that the line has written.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

from stages.experiments.folds.deal import PARTS
from stages.experiments.folds.pooled import Float, draw_within, pool, refuse_few_units, split_folds
from stages.experiments.folds.runs import Judged, judge_folds
from stages.experiments.folds.table import Fold, time_folds
from stages.experiments.folds.words import fold_table, long_form, markdown, metric_table, sentences
from stages.features.table import FeatureTable, open_features, read_selection, refuse_no_features
from stages.metrics.contract import System, round_figures
from stages.metrics.scoring import cluster_of
from stages.metrics.settings import EvaluateSettings, refuse_few_replicates
from stages.metrics.stored import task_named
from stages.metrics.systems import compare_systems
from stages.models.contract import FamilySettings
from stages.models.families import family_of, refuse_impossible
from stages.pages.tables import as_text
from stages.runtime.commands import run_command
from stages.runtime.log import log, start_log
from stages.workspace.errors import UserError, plain_words
from stages.workspace.files import require_writable, write_csv, write_json
from stages.workspace.seeds import child_seed
from stages.workspace.settings import read_seed, read_settings

FOLDER = Path("cross_validation")
NAME = "cross_validation"
WIDTH = 120


def main(*arguments: str) -> None:
    """Cross-validate one dataset; see ``--help``."""
    options = parse(arguments)
    name = options.dataset
    family = family_of(name)
    model = read_settings(family.settings, name, "model")
    judging = read_settings(EvaluateSettings, name, "evaluate")
    refuse_few_replicates(name, judging)
    table = open_features(name, columns=read_selection(name))
    refuse_impossible(family, model, table)
    tell_distributed(model, name)
    check_table(table, options.metric)
    folds = time_folds(table, options.parts, options.folds, options.gap)
    with plain_words():
        check_units(folds, judging)
        require_writable(FOLDER)
        judged = judge_folds(folds, model, judging)
        record = describe(judged, options, judging) | {"model": model.model_dump()}

    metric = options.metric or next(iter(task_named(table.task).metrics))
    write_whole(FOLDER / name, record, metric)
    show(record, metric)
    log.info("%s: written to %s", name, FOLDER / name)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m stages.cross_validate", description=str(__doc__).split("\n")[0])
    parser.add_argument("dataset", help="one of the datasets in params.yaml")
    parser.add_argument("--folds", type=int, default=5, help="how many (default: 5)")
    parser.add_argument(
        "--parts", type=lambda text: [part for part in text.split(",") if part], default=list(PARTS), metavar="PART,…",
        help="parts of the split whose rows take part (default: all three; leave test out while you still choose)",
    )  # fmt: skip
    parser.add_argument(
        "--gap", type=int, default=0, help="units (days) left out before what stops and what tests (default: 0)"
    )
    parser.add_argument("--metric", help="the metric that is shown fold by fold (default: the first)")
    return parser.parse_args(arguments)


def tell_distributed(model: FamilySettings, name: str) -> None:
    """Say that the rows are not shared out."""
    if model.distributed:
        log.info(
            "%s: datasets.%s.model.distributed is on; every fold is trained in this process all the same", *[name] * 2
        )


def check_table(table: FeatureTable, metric: str | None) -> None:
    """Refuse to go on without features, or with a metric that the task does not have."""
    refuse_no_features(table)
    with plain_words():
        known = task_named(table.task).metrics
    if metric is not None and metric not in known:
        raise UserError(f"a metric of a {table.task} task", repr(metric), f"name one of {', '.join(known)}")


def check_units(folds: Sequence[Fold], judging: EvaluateSettings) -> None:
    """Refuse, before anything is trained, tests from which no interval could be drawn."""
    resampled = cluster_of(folds[0].table, judging)
    tests = [fold.stretches["test"] for fold in folds]
    if resampled:
        refuse_few_units([test.units for test in tests], judging.block, resampled)
    else:
        refuse_few_units([test.rows for test in tests], 1, "rows")


def describe(judged: Sequence[Judged], options: argparse.Namespace, judging: EvaluateSettings) -> dict[str, Any]:
    """The record: what was asked, every metric over all folds, and every fold."""
    table = judged[0].fold.table
    resampled = cluster_of(table, judging)
    block = judging.block if resampled else 1
    n_units = [len(one.tested["model"].units) for one in judged]
    seeds = [child_seed(read_seed(), NAME, table.dataset, f"fold {one.fold.number}") for one in judged]
    n_valid = [one.tested["model"].n_valid for one in judged]
    weights = draw_within(n_units, judging.replicates, seeds, block, n_valid)
    task = task_named(table.task)
    whole = {system: pool([one.tested[system] for one in judged], task.metrics) for system in ("model", "baseline")}
    rows = sum(one.fold.stretches["test"].rows for one in judged)
    drawn = split_folds(weights, n_units, n_valid)
    return {
        "dataset": table.dataset,
        "question": table.question,
        "task": table.task,
        "scheme": "rolling origin" if table.cluster else "k-fold",
        "cluster": table.cluster,
        "parts": list(options.parts),
        "gap": options.gap,
        "features": len(table.names),
        "resampled": resampled or "rows",
        "units": sum(n_units),
        "block": block,
        "replicates": judging.replicates,
        "level": judging.level,
        "metrics": {
            name: found | {"over_folds": task.metrics[name].over_folds}
            for name, found in judge(whole, table.task, weights, judging, rows, block, len(judged)).items()
        },
        "folds": [describe_fold(one, own, judging, block) for one, own in zip(judged, drawn, strict=True)],
    }


def describe_fold(one: Judged, weights: Float, judging: EvaluateSettings, block: int) -> dict[str, Any]:
    """One fold by itself: its rows, its model, its metrics."""
    systems = {system: tested.system() for system, tested in one.tested.items()}
    rows = {part: asdict(one.fold.stretches[part]) for part in PARTS}
    thresholds = {system: tested.decision.threshold for system, tested in one.tested.items()}
    return {
        "fold": one.fold.number,
        **rows,
        "units": len(one.tested["model"].units),
        "rounds": one.fit.best_round + 1,
        "valid_loss": round_figures(one.fit.best),
        **{f"{system}_threshold": round_figures(found) for system, found in thresholds.items() if found is not None},
        "metrics": judge(systems, one.fold.table.task, weights, judging, rows["test"]["rows"], block),
    }  # fmt: skip


def judge(
    systems: Mapping[str, System],
    task: str,
    weights: Float,
    judging: EvaluateSettings,
    n: int,
    block: int,
    strata: int = 1,
) -> dict[str, Any]:
    """Every metric of the model with its interval, beside the baseline's, six significant digits of each."""
    found: dict[str, Any] = round_figures(
        compare_systems(
            systems["model"], systems["baseline"], task_named(task).metrics, weights,
            level=judging.level, method=judging.method, n=n, block=block, strata=strata,
        )
    )  # fmt: skip
    return found


def write_whole(folder: Path, record: Mapping[str, Any], metric: str) -> None:
    """All files or none: they are written aside, then take the place of those of an earlier run."""
    aside = folder.with_name(f".{folder.name}.{uuid4().hex}.part")
    try:
        write_json(aside / f"{NAME}.json", record)
        write_csv(aside / f"{NAME}.csv", long_form(record))
        (aside / f"{NAME}.md").write_text(markdown(record, metric), encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        aside.replace(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def show(record: Mapping[str, Any], metric: str) -> None:
    """The tables and what may be said, on standard output."""
    tables = [as_text(metric_table(record)), as_text(fold_table(record, metric))]
    told = [textwrap.fill(line, WIDTH, subsequent_indent="  ") for line in sentences(record, metric)]
    sys.stdout.write("\n\n".join([*tables, "\n".join(told)]) + "\n")


if __name__ == "__main__":
    start_log()
    run_command(main)
