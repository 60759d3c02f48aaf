"""What may be said of this model?  A model card in words made from the figures, never stronger than the intervals.

The sections follow Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

BETTER, WORSE, OPEN, DESCRIPTIVE = "better", "worse", "not shown to differ", "descriptive"


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


def conclusion(question: str, results: Mapping[str, Mapping[str, Any]], baseline: str) -> str:
    """A few sentences: the leading metric, then how many of all metrics beat the baseline."""
    name, lead = next(iter(results.items()))
    verdicts = {metric: verdict(result) for metric, result in results.items() if not result.get("descriptive")}
    words = {
        BETTER: "beats the one-rule baseline",
        WORSE: "does worse than the one-rule baseline",
        OPEN: "has not been shown to beat the one-rule baseline",
    }[verdicts[name]]
    better, worse, open_ = (sum(v == kind for v in verdicts.values()) for kind in (BETTER, WORSE, OPEN))
    lines = [
        f"“{question}” On {lead['n']:,} test rows the model reaches {_name(name)} {_interval(lead)}, "
        f"and {words} ({baseline}): {_interval_of(lead, 'baseline')}, "
        f"difference {_interval_of(lead, 'difference')}.",
        f"Of {len(verdicts)} metrics, {better} are better than the baseline's, {worse} worse, "
        f"and for {open_} the {100 * lead['level']:g}% interval of the difference includes zero.",
    ]
    if worse:
        lines.append("Worse: " + ", ".join(_name(m) for m, v in verdicts.items() if v == WORSE) + ".")
    if lead.get("resampled") not in (None, "rows"):
        lines.append(
            f"The intervals resample {lead['units']} units of “{lead['resampled']}”: rows of the same "
            f"{lead['resampled']} share their luck.{_runs(lead)}"
        )
    return " ".join(lines)


def _runs(lead: Mapping[str, Any]) -> str:
    block = lead.get("block", 1)
    return f" They are drawn in runs of {block}, because neighbours are alike too." if block > 1 else ""


def metrics_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Every metric as a Markdown table."""
    head = (
        "| metric | better is | value | interval | baseline | difference | verdict |\n|---|---|---|---|---|---|---|\n"
    )
    rows = [
        f"| {_name(name)} | {r['direction']} | {r['value']:.4g} | {r['low']:.4g} – {r['high']:.4g} "
        f"| {r['baseline']:.4g} | {_interval_of(r, 'difference')} | {verdict(r)} |"
        for name, r in results.items()
    ]
    return head + "\n".join(rows) + "\n"


def inputs_table(inputs: Sequence[Mapping[str, Any]]) -> str:
    """Every input as a Markdown table."""
    head = "| input | kind | meaning | unit | seen in training |\n|---|---|---|---|---|\n"
    rows = [
        f"| `{entry['name']}` | {entry['kind']} | {_cell(entry['about'])} | {_cell(entry['unit'])} "
        f"| {_cell(_seen(entry))} |"
        for entry in inputs
    ]
    return head + "\n".join(rows) + "\n"


def write_card(
    *,
    signature: Mapping[str, Any],
    results: Mapping[str, Mapping[str, Any]],
    training: Mapping[str, Any],
    baseline_feature: str,
    dropped: Sequence[Mapping[str, Any]],
) -> str:
    """The whole card as Markdown."""
    decision = ""
    if signature.get("threshold") is not None:
        decision = (
            f"A row is called “{signature['classes'][1]}” from a probability of {signature['threshold']:.4g} on: the "
            f"cheapest threshold on the valid part when a miss costs {signature['cost_of_miss']:g} and a false alarm "
            f"{signature['cost_of_false_alarm']:g}.\n\n"
        )
    left_out = "".join(f"- `{feature['name']}`: {feature['reason']}\n" for feature in dropped) or "None.\n"
    return (
        f"# Model card: {signature['dataset']}\n\n"
        f"## Conclusion\n{conclusion(signature['question'], results, f'`{baseline_feature}` alone')}\n\n"
        f"## What it is\nGradient boosted trees (XGBoost {signature['xgboost']}, {training['best_round'] + 1} rounds) "
        f"on {training['features']} features, fitted to {training['rows']['train']:,} rows; the number of rounds was "
        f"chosen on {training['rows']['valid']:,} later or held-out ones.\n\n{decision}"
        f"## Test results\n{metrics_table(results)}\n"
        f"## Use\n`python -m stages.predict bundles/{signature['dataset']} rows.csv` scores rows that hold the inputs "
        "below; `example.csv` holds some to start from.\n\n"
        f"## Inputs\n{inputs_table(signature['inputs'])}\n"
        f"## Left out\n{left_out}\n"
        "## Limits\nThe figures hold for rows like those of the test part.  A category that training never saw is "
        "refused, or scored as missing with `--unknown missing`; a number outside its range is scored like the nearest "
        "one that training saw, with a warning.  `reference.json` holds the distribution of every input over the "
        "training rows, to tell when new rows have drifted away from it.\n"
    )


def _name(metric: str) -> str:
    return metric.replace("_", " ").replace("roc auc", "ROC-AUC")


def _interval(result: Mapping[str, Any]) -> str:
    return f"{result['value']:.4g} [{result['low']:.4g}, {result['high']:.4g}]"


def _interval_of(result: Mapping[str, Any], what: str) -> str:
    sign = "+" if what == "difference" else ""
    value, low, high = (f"{result[key]:{sign}.4g}" for key in (what, f"{what}_low", f"{what}_high"))
    return f"{value} [{low}, {high}]"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _seen(entry: Mapping[str, Any]) -> str:
    if entry["kind"] == "categorical":
        names = entry["categories"]
        return ", ".join(names[:6]) + (f", … ({len(names)})" if len(names) > 6 else "")
    return f"{entry['low']:g} to {entry['high']:g}" if entry["low"] is not None else "never filled"
