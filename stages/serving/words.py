"""What is said of one answer: the prediction, the decision, how such answers fared in the test, what was doubtful."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stages.metrics.codes import N_GROUPS, group_of
from stages.metrics.contract import Task
from stages.models.forecasts import HIGH, LOW, NAIVE
from stages.models.signature import Misfit
from stages.pages.numbers import GAP, MINUS, count_text, figure, level_text, share_text, share_texts, value_text

USUAL = 0.05  # share of training rows that lack an input, up to which a missing one is told of
NAMED = 6  # inputs by name in a sentence
SEEN = {
    "probability": "what came of such answers in the test",
    "number": f"where {level_text(0.8)} of such rows lay",
    "forecast": f"where the outcome is expected with {level_text(0.8)}",
}
Calibration = Mapping[str, Any] | None
"""The bundle's ``calibration.json``; None where it was made before there was one."""


def headline(task: Task, signature: Mapping[str, Any], scores: np.ndarray[Any, Any]) -> str:
    """The answer in a few words; ``scores`` are those of one row."""
    if not task.has_classes:
        unit = f" {signature['target_unit']}" if signature.get("target_unit") else ""
        return f"{capital(str(signature['target']))}: {figure(float(scores.flat[0]))}{unit}"
    classes = signature["classes"]
    if task.positive is not None:
        return f"{capital(classes[task.positive])}: {share_text(float(scores))} probable"
    return f"{capital(classes[int(scores.argmax())])}: {share_text(float(scores.max()))} probable"


def decision(task: Task, signature: Mapping[str, Any], scores: np.ndarray[Any, Any]) -> str:
    """What follows from the probability, or what else is probable; empty where the answer is a number."""
    if task.scored == "forecast":
        unit = f" {signature['target_unit']}" if signature.get("target_unit") else ""
        low, high, naive = (_signed(float(scores[place])) for place in (LOW, HIGH, NAIVE))
        return f"With {level_text(0.8)} between {low} and {high}{unit}.  The naive forecast says {naive}{unit}."
    if not task.has_classes:
        return ""
    classes = signature["classes"]
    if task.positive is None:
        order = np.argsort(-scores, kind="stable")[1:3]
        told = share_texts([float(scores[k]) for k in order])
        return "Next: " + ", ".join(f"“{classes[k]}” {text}" for k, text in zip(order, told, strict=True)) + "."
    threshold = signature["threshold"]
    yes = bool(scores >= np.float32(threshold))
    says = classes[task.positive if yes else 1 - task.positive]
    return (
        f"The model says “{says}”: it says “{classes[task.positive]}” {'' if yes else 'only '}from "
        f"{share_text(threshold)} on, because {costs(signature)}."
    )


def costs(signature: Mapping[str, Any]) -> str:
    """Why the threshold lies where it does, as part of a sentence."""
    miss, alarm = signature["cost_of_miss"], signature["cost_of_false_alarm"]
    if miss == alarm:
        return "a miss and a false alarm cost the same"
    if not miss or not alarm:
        return f"a miss costs {miss:g} and a false alarm {alarm:g}"
    if miss > alarm:
        return f"a miss costs as much as {miss / alarm:g} false alarms"
    return f"a false alarm costs as much as {alarm / miss:g} misses"


def group_for(task: Task, score: float, calibration: Calibration) -> Mapping[str, Any] | None:
    """The group of test rows that were answered like this one; None where there were too few to say."""
    groups = calibration["groups"] if calibration else []
    if not groups:
        return None
    predicted = np.array([group["predicted"] for group in groups])
    if task.scored == "forecast":
        return None  # its groups are quantiles
    if task.scored == "probability":
        same = np.flatnonzero(group_of(predicted) == group_of(np.array([score]))[0])
        return groups[same[0]] if len(same) else None
    nearest = int(np.abs(predicted - score).argmin())
    widest = float(np.diff(predicted).max()) if len(predicted) > 1 else float("inf")
    return groups[nearest] if abs(predicted[nearest] - score) <= widest else None


def fared(task: Task, signature: Mapping[str, Any], score: float, calibration: Calibration) -> str:
    """How test rows fared that were answered like this one."""
    if calibration is None:
        return ""
    group = group_for(task, score, calibration)
    if task.scored == "forecast":
        below = [each["observed"] for each in calibration["groups"]]
        return (
            f"In the test {share_text(below[-1] - below[0])} of the outcomes lay within such intervals."
            if below
            else ""
        )
    if task.scored == "number":
        return _fared_number(score, group, calibration)
    low = int(group_of(np.array([score]))[0]) / N_GROUPS
    given = f"{100 * low:.0f} to {100 * low + 100 / N_GROUPS:.0f}{GAP}%"
    if group is None:
        return f"Too few test rows were given {given} to say how such answers fare."
    share, *ends = share_texts([group["observed"], group["low"], group["high"]])
    rows = f"{count_text(group['rows'])} test rows"
    if task.positive is None:
        told = f"Of {rows} whose class was given {given}, {share} were of that class"
    else:
        told = f"Of {rows} that were given {given}, {share} were “{signature['classes'][task.positive]}”"
    return f"{told}{_interval(group, ends, calibration)}."


def _fared_number(score: float, group: Mapping[str, Any] | None, calibration: Mapping[str, Any]) -> str:
    if group is None:
        return "No test rows were predicted near this number, so nothing says how such predictions fare."
    ends = [value_text(group["low"]), value_text(group["high"])]
    told = (
        f"{count_text(group['rows'])} test rows were predicted near {value_text(group['predicted'])}; they came to "
        f"{value_text(group['observed'])} on average{_interval(group, ends, calibration)}."
    )
    if "tenth" not in group:
        return told
    low, high = likely_range(score, group)
    return (
        f"{told} The middle {level_text(0.8)} of them lay between {_signed(group['tenth'])} and "
        f"{_signed(group['ninetieth'])} around their prediction: here {value_text(low)} to {value_text(high)}."
    )


def likely_range(score: float, group: Mapping[str, Any]) -> tuple[float, float]:
    """Where the middle 80 % of rows that are predicted so may be looked for."""
    return score + group["tenth"], score + group["ninetieth"]


def _interval(group: Mapping[str, Any], ends: Sequence[str], calibration: Mapping[str, Any]) -> str:
    if group["low"] is None or group["high"] is None:
        return ", too few for an interval"
    unit = calibration["resampled"]
    over = "" if unit == "rows" else f", over {unit}s"
    return f" ({level_text(calibration['level'])} interval {ends[0]} to {ends[1]}{over})"


def _signed(value: float) -> str:
    return f"{MINUS if value < 0 else '+'}{value_text(abs(value))}"


def speaking_titles(task: Task, signature: Mapping[str, Any], scores: np.ndarray[Any, Any]) -> dict[str, str]:
    """What the table of contributions is called, and what its figures are."""
    if not task.has_classes:
        unit = signature.get("target_unit", "")
        figures = f"adds, in {unit}" if unit else "adds"
        return {"towards": "more", "speaking_title": "What moves the prediction", "speaking_unit": figures}
    name = signature["classes"][int(scores.argmax()) if task.positive is None else task.positive]
    title = f"What speaks for and against “{name}”"
    return {"towards": f"“{name}”", "speaking_title": title, "speaking_unit": "multiplies the odds by"}


def doubts(signature: Mapping[str, Any], misfits: Sequence[Misfit], row: Mapping[str, Any]) -> list[str]:
    """What the model did not know of the row, or saw in no training row; ``row`` is what was given."""
    told = [_doubt(misfit, row.get(misfit.column), signature) for misfit in misfits if misfit.kind in DOUBTS]
    unusual = [
        str(entry["name"])
        for entry in signature["inputs"]
        if row.get(entry["name"]) in (None, "") and entry["null_share"] <= USUAL
    ]
    if unusual:
        more = f" and {len(unusual) - NAMED} more" if len(unusual) > NAMED else ""
        told.append(f"Missing here, and hardly ever in training: {', '.join(unusual[:NAMED])}{more}.")
    return told


DOUBTS = ("unknown category", "out of range")


def _doubt(misfit: Misfit, given: Any, signature: Mapping[str, Any]) -> str:
    if misfit.kind == "unknown category":
        return f"{misfit.column} “{given}” was never seen in training and counts as missing."
    entry = next(entry for entry in signature["inputs"] if entry["name"] == misfit.column)
    return (
        f"{misfit.column} = {given} lies outside what training saw, {value_text(entry['low'])} to "
        f"{value_text(entry['high'])}: nothing was tested there."
    )


def capital(text: str) -> str:
    """With a capital letter first."""
    return text[:1].upper() + text[1:]


def conclusion_of(card: str) -> str:
    """The first sentence of a model card's conclusion, after the question, as plain text; empty where it has none."""
    found = re.search(r"^## Conclusion\n(.*?)(?=\n## |\Z)", card, re.DOTALL | re.MULTILINE)
    text = re.sub(r"\\(.)", r"\1", found[1]).strip() if found else ""
    first = re.match(r"(?:“.*?” )?(On .*?\.)(?=\s|$)", text)
    return first[1].replace("`", "").replace("&amp;", "&") if first else ""
