"""What may be said of this model?  A model card in words made from the figures, never stronger than the intervals.

The sections follow Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stages.pages.numbers import figure, interval_text
from stages.pages.tables import Column, as_markdown, code, marked, table
from stages.pages.verdicts import Results, cautions, conclusion, decimals_in, estimate_of, metric_name, verdict

SEEN = ("kind", "meaning", "unit", "seen in training")
COLOURS = {1: "in grey", 3: "in colour"}


def metrics_table(results: Results) -> str:
    """Every metric as a Markdown table."""
    columns = (Column("metric", "name"), Column("better is", "words"), "value", "interval", "baseline", "difference",
               Column("verdict", "verdict"))  # fmt: skip
    rows = [
        [metric_name(name), r["direction"], figure(r["value"], decimals=d),
         interval_text(r["low"], r["high"], decimals=d), figure(r["baseline"], decimals=d),
         estimate_of(r, "difference"), verdict(r)]
        for name, r, d in ((name, r, decimals_in(r)) for name, r in results.items())
    ]  # fmt: skip
    return as_markdown(table("Test results", columns, rows)) + "\n"


def inputs_table(inputs: Sequence[Mapping[str, Any]]) -> str:
    """Every input as a Markdown table."""
    columns = [Column("input", "name code"), *(Column(label, "words") for label in SEEN)]
    rows = [[entry["name"], entry["kind"], entry["about"], entry["unit"], _seen(entry)] for entry in inputs]
    return as_markdown(table("Inputs", columns, rows)) + "\n"


def write_card(
    *,
    signature: Mapping[str, Any],
    results: Results,
    fitted: str,
    baseline: str,
    dropped: Sequence[Mapping[str, Any]],
    alone: str,
) -> str:
    """The whole card as Markdown; ``alone`` is the Python that scores the example without this repository, or empty."""
    left_out = "".join(f"- {code(feature['name'])}: {marked(feature['reason'])}\n" for feature in dropped) or "None.\n"
    cautious = "".join(f"- {marked(line)}\n" for line in cautions(results))
    return (
        f"# Model card: {marked(signature['dataset'])}\n\n"
        f"## Conclusion\n{conclusion(marked(signature['question']), results, marked(baseline))}\n\n"
        f"## What it is\n{fitted}\n\n{decides(signature)}"
        f"## Test results\n{metrics_table(results)}\n"
        f"## Use\n`python -m stages.predict bundles/{signature['dataset']} rows.csv` scores rows that hold the inputs "
        f"below; `example.csv` holds some to start from.\n\n{_alone(alone)}"
        f"## Inputs\n{inputs_table(signature['inputs'])}\n"
        f"## Left out\n{left_out}\n"
        "## Limits\n"
        "- The figures hold for rows like those of the test part; of other times and places they say nothing.\n"
        f"{cautious}"
        "- A category that training never saw counts as missing, here as in the test results; a number outside its "
        "range is scored like the nearest one that training saw.  Both are warned of, and so are inputs that are "
        "missing more often than in training; `--strict` refuses unknown categories and such inputs.\n"
        "- `reference.json` holds the distribution of every input over the training rows, to tell when new rows have "
        "drifted away from it; `calibration.json` says how predictions of each size fared in the test.\n"
    )


def decides(signature: Mapping[str, Any]) -> str:
    """From which probability on the answer is yes, or in what unit it is; empty where nothing is to be said."""
    if unit := signature.get("target_unit"):
        return f"{code(signature['target'])} is predicted in {marked(unit)}; its errors are in the same unit.\n\n"
    if signature.get("threshold") is None:
        return ""
    return (
        f"A row is called “{marked(signature['classes'][1])}” from a probability of {figure(signature['threshold'])} "
        f"on: there, by the valid part, both mistakes cost the same, a miss {signature['cost_of_miss']:g} and a false "
        f"alarm {signature['cost_of_false_alarm']:g}.\n\n"
    )


def _alone(lines: str) -> str:
    if not lines:
        return "Nothing but this repository reads the model's files.\n\n"
    return (
        "Without this repository, in the bundle's folder; the model's file holds the names of the categories, so a "
        f"category is known by its name and never by its place:\n```python\n{lines}```\n\n"
    )


def _seen(entry: Mapping[str, Any]) -> str:
    if entry["kind"] == "picture":
        return f"a picture of {' × '.join(map(str, entry['shape'][:2]))} pixels, {COLOURS[entry['shape'][2]]}"
    if entry["kind"] == "text":
        return "a text"
    if entry["kind"] == "categorical":
        names = entry["categories"]
        return ", ".join(names[:6]) + (f", … ({len(names)})" if len(names) > 6 else "")
    return f"{entry['low']:g} to {entry['high']:g}" if entry["low"] is not None else "never filled"
