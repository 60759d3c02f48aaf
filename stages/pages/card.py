"""What may be said of this model?  A model card in words made from the figures, never stronger than the intervals.

The sections follow Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

Results = Mapping[str, Mapping[str, Any]]

BETTER, WORSE, OPEN, DESCRIPTIVE = "better", "worse", "not shown to differ", "descriptive"
FEW_UNITS, FEW_RUNS = 20, 30
ERRORS = {"mae": "MAE", "rmse": "RMSE", "r2": "R²"}
AGAINST = {
    BETTER: "beats the one-rule baseline",
    WORSE: "does worse than the one-rule baseline",
    OPEN: "has not been shown to beat the one-rule baseline",
}


def verdict(result: Mapping[str, Any]) -> str:
    """Better or worse than the baseline only where the interval of the difference leaves zero out.

    A descriptive metric (an estimate whose interval does not keep its level) gets no verdict.
    """
    if result.get("descriptive"):
        return DESCRIPTIVE
    low, high = result["difference_low"], result["difference_high"]
    if low <= 0 <= high:
        return OPEN
    return BETTER if (low > 0) == (result["direction"] == "higher") else WORSE


def verdicts(results: Results) -> dict[str, str]:
    """The verdict on every metric that has one."""
    return {metric: verdict(result) for metric, result in results.items() if not result.get("descriptive")}


def conclusion(question: str, results: Results, baseline: str) -> str:
    """A few sentences: the leading metric, then how many of all metrics beat the baseline."""
    return " ".join([f"“{question}”", *sentences(results, baseline)])


def sentences(results: Results, baseline: str) -> list[str]:
    """The sentences of the conclusion, without the question."""
    name, lead = next(iter(results.items()))
    told = verdicts(results)
    better, worse, open_ = (sum(v == kind for v in told.values()) for kind in (BETTER, WORSE, OPEN))
    lines = [
        f"On {lead['n']:,} test rows the model reaches {metric_name(name)} {_interval(lead)}, "
        f"and {AGAINST[told[name]]} ({baseline}): {_interval_of(lead, 'baseline')}, "
        f"difference {_interval_of(lead, 'difference')}.",
        f"Of {len(told)} metrics, {better} are better than the baseline's, {worse} worse, "
        f"and for {open_} the {100 * lead['level']:g}% interval of the difference includes zero.",
    ]
    if worse:
        lines.append("Worse: " + ", ".join(metric_name(m) for m, v in told.items() if v == WORSE) + ".")
    if lead.get("resampled") not in (None, "rows"):
        lines.append(
            f"The intervals resample {lead['units']} units of “{lead['resampled']}”: rows of the same "
            f"{lead['resampled']} share their luck.{_runs(lead)}"
        )
    return lines


def _runs(lead: Mapping[str, Any]) -> str:
    block = lead.get("block", 1)
    return f" They are drawn in runs of {block}, because neighbours are alike too." if block > 1 else ""


def cautions(results: Results) -> list[str]:
    """What the intervals do not cover, and how rough they are; one sentence or two each."""
    lead = next(iter(results.values()))
    units, block, level = lead.get("units", lead["n"]), lead.get("block", 1), f"{100 * lead['level']:g}%"
    unit = "row" if lead.get("resampled", "rows") == "rows" else str(lead["resampled"])
    fixed = "the rows that it was fitted to" + (
        " and its threshold" if any("threshold" in result for result in results.values()) else ""
    )
    told = [
        f"The intervals say how the figures vary with the {unit}s that happen to be in the test part.  The model with "
        f"{fixed} is held fixed: fitting again on other rows would vary them more."
    ]
    if unit != "row" and units / block < FEW_RUNS:
        drawn = f"{units} units of “{unit}”" + (f" are only {units / block:.0f} runs of {block}" if block > 1 else "")
        told.append(
            f"{drawn}{'' if block > 1 else ' are few'}: {level} intervals from so few are somewhat too narrow."
            + (" Take them as rough." if units < FEW_UNITS else "")
        )
    n = len(verdicts(results))
    if n > 1:
        told.append(
            f"{n} metrics are {n} looks at the same rows: the verdicts are given one by one, and are not corrected for "
            "their number."
        )
    if any(result.get("descriptive") for result in results.values()):
        names = ", ".join(metric_name(name) for name, result in results.items() if result.get("descriptive"))
        told.append(
            f"The estimate of {names} is biased upwards: it is a bound on how wrong the probabilities are, and no "
            "ground for a verdict."
        )
    return told


def metrics_table(results: Results) -> str:
    """Every metric as a Markdown table."""
    head = (
        "| metric | better is | value | interval | baseline | difference | verdict |\n|---|---|---|---|---|---|---|\n"
    )
    rows = [
        f"| {metric_name(name)} | {r['direction']} | {r['value']:.4g} | {r['low']:.4g} – {r['high']:.4g} "
        f"| {r['baseline']:.4g} | {_interval_of(r, 'difference')} | {verdict(r)} |"
        for name, r in results.items()
    ]
    return head + "\n".join(rows) + "\n"


def inputs_table(inputs: Sequence[Mapping[str, Any]]) -> str:
    """Every input as a Markdown table."""
    head = "| input | kind | meaning | unit | seen in training |\n|---|---|---|---|---|\n"
    rows = [
        f"| {code(entry['name'])} | {entry['kind']} | {marked(entry['about'])} | {marked(entry['unit'])} "
        f"| {marked(_seen(entry))} |"
        for entry in inputs
    ]
    return head + "\n".join(rows) + "\n"


def write_card(
    *,
    signature: Mapping[str, Any],
    results: Results,
    fitted: str,
    baseline_feature: str,
    dropped: Sequence[Mapping[str, Any]],
) -> str:
    """The whole card as Markdown."""
    left_out = "".join(f"- {code(feature['name'])}: {marked(feature['reason'])}\n" for feature in dropped) or "None.\n"
    cautious = "".join(f"- {marked(line)}\n" for line in cautions(results))
    return (
        f"# Model card: {marked(signature['dataset'])}\n\n"
        f"## Conclusion\n{conclusion(marked(signature['question']), results, f'{code(baseline_feature)} alone')}\n\n"
        f"## What it is\n{fitted}\n\n{decides(signature)}"
        f"## Test results\n{metrics_table(results)}\n"
        f"## Use\n`python -m stages.predict bundles/{signature['dataset']} rows.csv` scores rows that hold the inputs "
        "below; `example.csv` holds some to start from.\n\n"
        f"## Inputs\n{inputs_table(signature['inputs'])}\n"
        f"## Left out\n{left_out}\n"
        "## Limits\n"
        "- The figures hold for rows like those of the test part; of other times and places they say nothing.\n"
        f"{cautious}"
        "- A category that training never saw is refused, or scored as missing with `--unknown missing`; a number "
        "outside its range is scored like the nearest one that training saw, with a warning.\n"
        "- `reference.json` holds the distribution of every input over the training rows, to tell when new rows have "
        "drifted away from it.\n"
    )


def decides(signature: Mapping[str, Any]) -> str:
    """From which probability on the answer is yes, or in what unit it is; empty where nothing is to be said."""
    if unit := signature.get("target_unit"):
        return f"{code(signature['target'])} is predicted in {marked(unit)}; its errors are in the same unit.\n\n"
    if signature.get("threshold") is None:
        return ""
    return (
        f"A row is called “{marked(signature['classes'][1])}” from a probability of {signature['threshold']:.4g} on: "
        f"the cheapest threshold on the valid part when a miss costs {signature['cost_of_miss']:g} and a false alarm "
        f"{signature['cost_of_false_alarm']:g}.\n\n"
    )


def metric_name(metric: str) -> str:
    """For people: ROC-AUC, log loss, MAE."""
    if metric in ERRORS:
        return ERRORS[metric]
    return metric.replace("_", " ").replace("roc auc", "ROC-AUC")


def marked(text: str) -> str:
    """A text of the data as Markdown that shows it and does nothing else, in a table cell too."""
    special = r"([\\`*<>|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|\](?=[(\[:]))"  # what would set, link or end a cell
    return re.sub(special, r"\\\1", text.replace("&", "&amp;")).replace("\n", " ")


def code(name: str) -> str:
    """A name of the data set as code; a bar is escaped for tables, and what would end the code is replaced."""
    return f"`{name.replace('`', '′').replace('|', chr(92) + '|')}`"


def _interval(result: Mapping[str, Any]) -> str:
    return f"{result['value']:.4g} [{result['low']:.4g}, {result['high']:.4g}]"


def _interval_of(result: Mapping[str, Any], what: str) -> str:
    sign = "+" if what == "difference" else ""
    value, low, high = (f"{result[key]:{sign}.4g}" for key in (what, f"{what}_low", f"{what}_high"))
    return f"{value} [{low}, {high}]"


def _seen(entry: Mapping[str, Any]) -> str:
    if entry["kind"] == "categorical":
        names = entry["categories"]
        return ", ".join(names[:6]) + (f", … ({len(names)})" if len(names) > 6 else "")
    return f"{entry['low']:g} to {entry['high']:g}" if entry["low"] is not None else "never filled"
