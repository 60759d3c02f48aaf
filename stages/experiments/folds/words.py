"""How is a cross-validation told?  Tables and sentences from its record, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from stages.metrics.stored import task_named
from stages.pages.card import metrics_table
from stages.pages.numbers import ARROWS, count_text, figure, interval_text, level_text
from stages.pages.tables import Column, Table, as_markdown, marked, table
from stages.pages.verdicts import AGAINST, DESCRIPTIVE, FEW_RUNS, estimate_of, metric_name, verdict

Record = Mapping[str, Any]
Row = tuple[str, ...]

BESIDE = ("value", "interval", "baseline", "difference", "interval")
FIGURES = ("value", "low", "high", "baseline", "baseline_low", "baseline_high",
           "difference", "difference_low", "difference_high")  # fmt: skip


def metric_table(record: Record) -> Table:
    """Every metric over all folds."""
    columns = (Column("metric", "name"), *BESIDE, Column("verdict", "verdict"))
    rows = [
        (f"{name} {ARROWS[found['direction']]}", *_beside(found), verdict(found))
        for name, found in record["metrics"].items()
    ]
    return table("All folds", columns, rows)


def fold_table(record: Record, metric: str) -> Table:
    """One metric, fold by fold."""
    head = (Column(f"tested on ({record['cluster']})", "words"),) if record["cluster"] else ()
    columns = (Column("fold", "name"), *head, "train rows", "test rows", "rounds", metric, *BESIDE[1:])
    rows = []
    for fold in record["folds"]:
        found, test = fold["metrics"][metric], fold["test"]
        where = (f"{test['first']} … {test['last']}",) if test["units"] else ()
        counts = (count_text(fold["train"]["rows"]), count_text(test["rows"]), count_text(fold["rounds"]))
        rows.append((str(fold["fold"]), *where, *counts, *_beside(found)))
    return table(f"{metric} by fold", columns, rows)


def sentences(record: Record, metric: str) -> list[str]:
    """What may be said: the figure, how it varies between folds, and what the interval covers."""
    found, folds = record["metrics"][metric], [fold["metrics"][metric] for fold in record["folds"]]
    values = [fold["value"] for fold in folds]
    lines = [
        f"{len(folds)} folds ({scheme_words(record)}): {metric} {estimate_of(found)}, "
        f"from {figure(min(values))} to {figure(max(values))} between folds."
    ]
    told = verdict(found)
    if told != DESCRIPTIVE:
        alike = sum(verdict(fold) == told for fold in folds)
        lines.append(
            f"The model {AGAINST[told]}: difference {estimate_of(found, 'difference')}; "
            f"taken alone, {alike} of {len(folds)} folds say the same."
        )
    return [*lines, *notes(record)]


def scheme_words(record: Record) -> str:
    """How the rows were dealt."""
    rows = f"{', '.join(record['parts'])} rows"
    if record["scheme"] != "rolling origin":
        return f"{rows} dealt at random" + (", class by class" if task_named(record["task"]).has_classes else "")
    gap = f", {record['gap']} left out before each" if record["gap"] else ""
    return f"rolling origin over {record['cluster']}{gap}; {rows}"


def notes(record: Record) -> list[str]:
    """What the figures rest on, and what they leave out."""
    block, fewest = record["block"], min(fold["units"] for fold in record["folds"])
    runs = f" in runs of {block}" if block > 1 else ""
    drawn = "rows" if record["resampled"] == "rows" else f"{record['units']} units of {record['resampled']}{runs}"
    lines = [
        f"{level_text(record['level'])} intervals resample the tested {drawn} within each fold; the fitted models are "
        "held fixed.  Differences and verdicts are those of the paired test."
    ]
    if fewest / block < FEW_RUNS:
        lines.append(f"A fold alone has as few as {fewest} units{runs}: its own intervals are rough, and too narrow.")
    within = [name for name, found in record["metrics"].items() if found["over_folds"] == "mean"]
    own = ", every fold at its own threshold" if task_named(record["task"]).at_threshold else ""
    if within:
        lines.append(
            f"Computed within folds and averaged, weighted by rows: {', '.join(within)}. All others: pooled over the "
            f"tested rows{own}."
        )
    if record["cluster"]:
        lines.append(
            "The selection of features, their categories and the baseline's bin edges come from the original train "
            "part, which may hold what earlier folds are tested on."
        )
    else:
        lines.append("The selection of features and the baseline's bin edges come from the original train part.")
    return lines


def markdown(record: Record, metric: str) -> str:
    """The whole cross-validation as a page."""
    by_fold = as_markdown(fold_table(record, metric))
    told = "".join(f"- {marked(line)}\n" for line in sentences(record, metric))
    return (
        f"# Cross-validation of {marked(record['dataset'])}\n\n“{marked(record['question'])}”\n\n{told}\n"
        f"## All folds\n\n{metrics_table(record['metrics'])}\n## {metric_name(metric)} by fold\n\n{by_fold}\n"
    )


def long_form(record: Record) -> pl.DataFrame:
    """One row per fold and metric; fold "all" first."""
    whole = {"rows": sum(fold["test"]["rows"] for fold in record["folds"])}
    rows = [{"fold": "all", "metric": name, **_figures(found), **whole} for name, found in record["metrics"].items()]
    for fold in record["folds"]:
        told = {
            "rows": fold["test"]["rows"],
            "train_rows": fold["train"]["rows"],
            "valid_rows": fold["valid"]["rows"],
            "rounds": fold["rounds"],
            "first": fold["test"]["first"],
            "last": fold["test"]["last"],
        }
        rows += [{"fold": str(fold["fold"]), "metric": name, **_figures(found), **told}
                 for name, found in fold["metrics"].items()]  # fmt: skip
    return pl.DataFrame(rows, infer_schema_length=None)


def _beside(found: Mapping[str, Any]) -> Row:
    own = figure(found["value"]), interval_text(found["low"], found["high"])
    between = interval_text(found["difference_low"], found["difference_high"], sign=True)
    return *own, figure(found["baseline"]), figure(found["difference"], sign=True), between


def _figures(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: found[name] for name in ("direction", "level", *FIGURES)}
