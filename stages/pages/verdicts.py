"""What may be said of a model beside its baseline?  Verdicts and sentences, never stronger than the intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stages.pages.numbers import ARROWS, count_text, decimals_of, estimate_text, figure, level_text

Results = Mapping[str, Mapping[str, Any]]

BETTER, WORSE, OPEN, DESCRIPTIVE, TOO_FEW = "better", "worse", "not shown to differ", "descriptive", "too few rows"
FEW_UNITS, FEW_RUNS = 20, 30
ERRORS = {"mae": "MAE", "rmse": "RMSE", "r2": "R²", "mase": "MASE", "smape": "sMAPE"}
AGAINST = {
    BETTER: "beats the baseline",
    WORSE: "does worse than the baseline",
    OPEN: "has not been shown to beat the baseline",
    TOO_FEW: "cannot be judged beside the baseline on so few rows",
}


def verdict(result: Mapping[str, Any]) -> str:
    """Better or worse than the baseline only where the interval of the difference leaves zero out.

    A descriptive metric (an estimate whose interval does not keep its level) gets no verdict.  A difference that no
    resample changes has a test and no interval; one of too few rows has neither.
    """
    if result.get("descriptive"):
        return DESCRIPTIVE
    low, high, p = result["difference_low"], result["difference_high"], result.get("difference_p")
    if low is None and p is None:
        return TOO_FEW
    if low <= 0 <= high if low is not None else p >= 1 - result["level"]:
        return OPEN
    gain = result["difference"] if low is None else low
    return BETTER if (gain > 0) == (result["direction"] == "higher") else WORSE


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
    better, worse, open_, few = (sum(v == kind for v in told.values()) for kind in (BETTER, WORSE, OPEN, TOO_FEW))
    unjudged = f"; of {few} the rows are too few to judge" if few else ""
    lines = [
        f"On {count_text(lead['n'])} test rows the model reaches {metric_name(name)} {estimate_of(lead)}, "
        f"and {AGAINST[told[name]]} ({baseline}): {estimate_of(lead, 'baseline')}, "
        f"difference {estimate_of(lead, 'difference')}.",
        f"Of {len(told)} metrics, {better} are better than the baseline's, {worse} worse, "
        f"and for {open_} the {level_text(lead['level'])} interval of the difference includes zero{unjudged}.",
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
    units, block, level = lead.get("units", lead["n"]), lead.get("block", 1), level_text(lead["level"])
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
    promised = [name for name, result in results.items() if "nominal" in result]
    if any(result.get("descriptive") for result in results.values()) and not promised:
        names = ", ".join(metric_name(name) for name, result in results.items() if result.get("descriptive"))
        told.append(
            f"The estimate of {names} is biased upwards: it is a bound on how wrong the probabilities are, and no "
            "ground for a verdict."
        )
    for name in promised:
        nominal = level_text(results[name]["nominal"])
        told.append(
            f"An interval of {nominal} should cover {nominal} of the outcomes: more is no better than less.  Coverage "
            "and width are told and not judged; pinball judges both at once."
        )
    return told


def estimate_of(result: Mapping[str, Any], what: str = "") -> str:
    """A figure with its interval: the model's, the ``baseline`` one, or their ``difference`` with its sign.

    All three are told to the decimals of the model's, so that they can be compared digit by digit.
    """
    own = f"{what}_" if what else ""
    if what == "baseline" and result["baseline_low"] is None and result["low"] is not None:
        return figure(result["baseline"], decimals=decimals_in(result))  # no skill over itself
    return estimate_text(
        result[what or "value"], result[f"{own}low"], result[f"{own}high"], what == "difference", decimals_in(result)
    )  # fmt: skip


def decimals_in(result: Mapping[str, Any]) -> int | None:
    """The decimals of every figure of a metric."""
    return decimals_of(result["value"], result["low"], result["high"])


def metric_label(name: str, result: Mapping[str, Any]) -> str:
    """The name of a metric, and which way is better, or what is promised."""
    if "nominal" in result:
        return f"{metric_name(name)} (of {level_text(result['nominal'])})"
    return f"{metric_name(name)} {ARROWS[result['direction']]}"


def metric_name(metric: str) -> str:
    """For people: ROC-AUC, log loss, MAE."""
    if metric in ERRORS:
        return ERRORS[metric]
    return metric.replace("_", " ").replace("roc auc", "ROC-AUC")
