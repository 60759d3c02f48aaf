"""How is a cross-validation told?  Tables and sentences from its record, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from stages.metrics.stored import task_named
from stages.pages.card import AGAINST, DESCRIPTIVE, FEW_RUNS, marked, metric_name, metrics_table, verdict

Record = Mapping[str, Any]
Row = tuple[str, ...]

METRIC_HEADER = ("metric", "value", "interval", "baseline", "difference", "interval", "verdict")
ARROWS = {"higher": "↑", "lower": "↓"}
FIGURES = ("value", "low", "high", "baseline", "baseline_low", "baseline_high",
           "difference", "difference_low", "difference_high")  # fmt: skip


def metric_rows(record: Record) -> list[Row]:
    """Every metric over all folds."""
    return [
        (
            f"{name} {ARROWS[found['direction']]}",
            number(found["value"]),
            span(found, "low", "high"),
            number(found["baseline"]),
            *_gap(found),
            verdict(found),
        )
        for name, found in record["metrics"].items()
    ]


def fold_header(record: Record, metric: str) -> Row:
    """The heads of `fold_rows`."""
    where = (f"tested on ({record['cluster']})",) if record["cluster"] else ()
    return (
        "fold",
        *where,
        "train rows",
        "test rows",
        "rounds",
        metric,
        "interval",
        "baseline",
        "difference",
        "interval",
    )


def fold_rows(record: Record, metric: str) -> list[Row]:
    """One metric, fold by fold."""
    rows = []
    for fold in record["folds"]:
        found, test = fold["metrics"][metric], fold["test"]
        where = (f"{test['first']} … {test['last']}",) if test["units"] else ()
        counts = (f"{fold['train']['rows']:,}", f"{test['rows']:,}", str(fold["rounds"]))
        told = (number(found["value"]), span(found, "low", "high"), number(found["baseline"]), *_gap(found))
        rows.append((str(fold["fold"]), *where, *counts, *told))
    return rows


def sentences(record: Record, metric: str) -> list[str]:
    """What may be said: the figure, how it varies between folds, and what the interval covers."""
    found, folds = record["metrics"][metric], [fold["metrics"][metric] for fold in record["folds"]]
    values = [fold["value"] for fold in folds]
    lines = [
        f"{len(folds)} folds ({scheme_words(record)}): {metric} {number(found['value'])} {span(found, 'low', 'high')}, "
        f"from {number(min(values))} to {number(max(values))} between folds."
    ]
    told = verdict(found)
    if told != DESCRIPTIVE:
        alike = sum(verdict(fold) == told for fold in folds)
        lines.append(
            f"The model {AGAINST[told]}: difference {number(found['difference'], sign=True)} "
            f"{span(found, 'difference_low', 'difference_high', sign=True)}; "
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
        f"{100 * record['level']:g} % intervals resample the tested {drawn} within each fold; the fitted models are "
        "held fixed."
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
    head = fold_header(record, metric)
    by_fold = "\n".join("| " + " | ".join(map(marked, row)) + " |" for row in [head, *fold_rows(record, metric)])
    by_fold = by_fold.replace("\n", f"\n|{'---|' * len(head)}\n", 1)
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


def number(value: float, sign: bool = False) -> str:
    """Four decimals, or four significant digits for what is large."""
    plus = "+" if sign else ""
    return f"{value:{plus}.4f}" if abs(value) < 100 else f"{value:{plus},.4g}"


def span(found: Mapping[str, Any], low: str, high: str, sign: bool = False) -> str:
    """[0.7272, 0.7782]"""
    return f"[{number(found[low], sign)}, {number(found[high], sign)}]"


def _gap(found: Mapping[str, Any]) -> Row:
    return number(found["difference"], sign=True), span(found, "difference_low", "difference_high", sign=True)


def _figures(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: found[name] for name in ("direction", "level", *FIGURES)}
