"""How is a look at a model told?  To the terminal, to Prometheus, and as a table, a row for each batch and column."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from stages.monitoring.judged import REFERENCE, newest_judged, quality_of
from stages.pages.numbers import count_text, estimate_text, figure, p_text, share_text
from stages.pages.tables import Column, Table, as_text, table
from stages.pages.verdicts import metric_name

SHOWN, NEWEST = 8, 12  # columns in the terminal; batches before the others are folded away
Told = Mapping[str, Any]
COLUMNS = (
    "name",
    "psi",
    "js",
    "p",
    "p_adjusted",
    "null_share",
    "reference_null_share",
    "new_share",
    "effect",
    "drifted",
)


def as_table(told: Told) -> pl.DataFrame:
    """A row for each batch and column; ``kind`` is input, or score for what the model answered."""
    rows = [
        {"batch": batch["batch"], "kind": kind, **{name: entry[name] for name in COLUMNS}}
        for batch in told["batches"]
        for kind, entries in (("input", batch["columns"]), ("score", batch["predictions"]))
        for entry in entries
    ]
    floats = dict.fromkeys(COLUMNS[1:-1], pl.Float64)
    return pl.DataFrame(rows, schema_overrides=floats)


def since(told: Told, name: str) -> str | None:
    """The batch from which on a column has drifted in every one up to the newest; None where it has not."""
    first = None
    for batch in reversed(told["batches"]):
        if not any(entry["name"] == name and entry["drifted"] for entry in batch["columns"]):
            break
        first = batch["batch"]
    return first


def drifted(told: Told) -> Table:
    """The columns that have drifted in the newest batch: how far, since when, and how much they move the answer."""
    newest = told["batches"][-1]["columns"]
    rows = [
        [
            entry["name"], figure(entry["psi"], decimals=2), p_text(entry["p_adjusted"]),
            str(since(told, entry["name"])), "" if entry["effect"] is None else share_text(entry["effect"]),
            _absent(entry),
        ]
        for entry in newest if entry["drifted"]
    ]  # fmt: skip
    columns = (
        Column("column", "name"),
        "PSI",
        "p",
        Column("since", "words"),
        "share of the answer",
        Column("missing, new", "words"),
    )
    return table(f"Moved in {told['newest']['batch']}", columns, rows, first=25)


def _absent(entry: Told) -> str:
    """Missing values, where their share has changed, and categories that training never saw."""
    pieces = []
    if abs(entry["null_share"] - entry["reference_null_share"]) >= 0.01:
        pieces.append(f"{share_text(entry['null_share'])} missing, was {share_text(entry['reference_null_share'])}")
    if entry["new_share"] > 0:
        pieces.append(f"{share_text(entry['new_share'])} new")
    return "; ".join(pieces)


def batches(told: Told) -> Table:
    """A line for each batch, the newest first; what scores lead to expect where they lead to anything."""
    metric = next((batch["quality"][0]["metric"] for batch in told["batches"] if batch["quality"]), None)
    named = metric_name(metric) if metric else "metric"
    columns: list[Column | str] = [
        Column("batch", "name"), "rows", "labelled", "columns moved", Column("scores", "name"), named,
        f"{named} to expect", Column("quality", "verdict"),
    ]  # fmt: skip
    lines = [_line(batch, metric) for batch in reversed(told["batches"])]
    if not any(batch["estimate"] for batch in told["batches"]):
        columns, lines = [*columns[:-2], columns[-1]], [[*line[:-2], line[-1]] for line in lines]
    return table("Batch by batch", columns, lines, first=NEWEST)


def _line(batch: Told, metric: str | None) -> list[str]:
    own = next((entry for entry in batch["quality"] if entry["metric"] == metric), None)
    expected = next((entry["value"] for entry in batch["estimate"] if entry["metric"] == metric), None)
    moved = [entry for entry in batch["columns"] if entry["drifted"]]
    return [
        batch["batch"], count_text(batch["rows"]), count_text(batch["labelled"]), str(len(moved)),
        "moved" if any(entry["drifted"] for entry in batch["predictions"]) else "",
        estimate_text(own["value"], own["low"], own["high"]) if own else "",
        "" if expected is None else figure(expected), quality_of(batch),
    ]  # fmt: skip


def qualities(told: Told) -> Table:
    """Every metric on the newest labelled batch, beside what it was in the test."""
    batch = newest_judged(told["batches"])
    if batch is None:
        return table("Quality", ["metric"], [])
    expected = {entry["metric"]: entry["value"] for entry in batch["estimate"]}
    rows = []
    for entry in batch["quality"]:
        gap, low, high = (entry.get(f"difference{end}") for end in ("", "_low", "_high"))
        rows.append([
            metric_name(entry["metric"]), estimate_text(entry["value"], entry["low"], entry["high"]),
            figure(entry.get("reference")), estimate_text(gap, low, high, sign=True), p_text(entry.get("p_adjusted")),
            figure(expected.get(entry["metric"])), entry["verdict"],
        ])  # fmt: skip
    columns = (Column("metric", "name"), batch["batch"], "in the test", "difference", "p", "to expect by scores alone",
               Column("verdict", "verdict"))  # fmt: skip
    return table(f"Quality in {batch['batch']}", columns, rows)


def headline(told: Told) -> str:
    """The newest batch in a sentence."""
    newest, n = told["newest"], len(told["batches"][-1]["columns"])
    moved = newest["drifted"]
    columns = (
        f"{len(moved)} of {n} columns {'has' if len(moved) == 1 else 'have'} moved" if moved else "no column moved"
    )
    scores = ", and the scores with them" if newest["prediction_drifted"] and moved else (
        ", but the scores have" if newest["prediction_drifted"] else "")  # fmt: skip
    return f"{newest['batch']}: {columns}{scores}; {quality_words(newest)}"


def quality_words(newest: Told) -> str:
    """How the model fares, in a clause."""
    when = f" in {newest['quality_batch']}" if newest["quality_batch"] not in (None, newest["batch"]) else ""
    return {
        "worse": f"the model does worse{when} than in its test",
        "better": f"the model does better{when} than in its test",
        "no evidence": f"the model is not shown to do worse{when} than in its test",
        REFERENCE: f"its rows{when} are the model's test, which later ones are compared with",
        "unknown": "no labels yet, so nothing is known of its quality",
    }.get(newest["quality"], f"the rows{when} are too few to judge its quality")  # fmt: skip


def tell(told: Told) -> str:
    """For the terminal."""
    shown = batches(told)
    lines = [f"{told['dataset']}: {headline(told)}", "", as_text(replace(shown, rows=shown.rows[:NEWEST]))]
    if earlier := len(shown.rows[NEWEST:]):
        lines.append(f"… and {earlier} earlier")
    moved = drifted(told)
    if moved.rows:
        lines += ["", as_text(replace(moved, rows=moved.rows[:SHOWN]))]
        if len(moved.rows) > SHOWN:
            lines.append(f"… and {len(moved.rows) - SHOWN} more")
    return "\n".join(lines)


def as_prometheus(told: Told) -> str:
    """The newest batch as metrics in Prometheus' text format, for the textfile collector of its node exporter."""
    model, newest = told["dataset"], told["batches"][-1]
    labelled = newest_judged(told["batches"])
    families: dict[str, tuple[str, list[tuple[dict[str, str], float | None]]]] = {
        "plumbline_monitor_rows": ("Rows of the newest batch.", [({}, newest["rows"])]),
        "plumbline_monitor_psi": (
            "Population stability index of a column, newest batch against the training rows.",
            [({"column": entry["name"]}, entry["psi"]) for entry in _columns(newest)],
        ),
        "plumbline_monitor_drifted": (
            "Whether a column has drifted, corrected for the number of columns.",
            [({"column": entry["name"]}, int(entry["drifted"])) for entry in _columns(newest)],
        ),
        "plumbline_monitor_quality": (
            "A metric of the model on the newest labelled batch.",
            [({"metric": entry["metric"]}, entry["value"]) for entry in _quality(labelled)],
        ),
        "plumbline_monitor_quality_reference": (
            "The same metric on the test rows of the model.",
            [({"metric": entry["metric"]}, entry.get("reference")) for entry in _quality(labelled)],
        ),
        "plumbline_monitor_quality_worse": (
            "Whether the metric is shown to be worse than in the test.",
            [({"metric": entry["metric"]}, int(entry["verdict"] == "worse")) for entry in _quality(labelled)],
        ),
    }
    lines = []
    for name, (about, samples) in families.items():
        lines += [f"# HELP {name} {about}", f"# TYPE {name} gauge"]
        lines += [
            f"{name}{_labels({'model': model} | labels)} {value:g}" for labels, value in samples if value is not None
        ]
    return "\n".join(lines) + "\n"


def _columns(batch: Told) -> Iterator[Told]:
    yield from batch["columns"]
    yield from batch["predictions"]


def _quality(batch: Told | None) -> Sequence[Told]:
    return batch["quality"] if batch else []


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f"{name}={json.dumps(text, ensure_ascii=False)}" for name, text in labels.items()) + "}"
