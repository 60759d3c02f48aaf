"""What is to be said of a batch of later rows: which columns moved, whether scores did, and how the model fares.

Many columns are looked at, so their p-values are corrected (Benjamini and Hochberg): of the columns that are called
drifted, the stated share may be wrong.  And a large batch shows the smallest of differences, so a column has drifted
only from a PSI of `FLOOR` on: about a seventh of a standard deviation.  The rules of thumb begin at 0.1, where a shift
of 0.3 deviations is missed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import isnan
from typing import Any, Literal

import numpy as np
import polars as pl

from stages.features.profile import Cut, Int, Profile
from stages.metrics.apart import Side, compare_apart
from stages.metrics.contract import Decision, Metric, Tabulated, Task
from stages.metrics.paired import adjust
from stages.metrics.resampling import unit_names
from stages.monitoring.drift import Drift, measure_drift, p_of_drift

Every = Literal["year", "month", "week", "day"]
FLOOR = 0.02
REFERENCE = "reference"  # in the place of a verdict: these rows are the ones that the others are compared with
WHOLE = "test"  # the one batch of rows without days


@dataclass(frozen=True)
class Reference:
    """What later rows are compared with, as a bundle carries it."""

    inputs: Profile
    scores: Profile
    cuts: Mapping[str, Sequence[Cut]]
    cells: pl.DataFrame
    decision: Decision
    task: Task
    effects: Mapping[str, float]
    """How much each input moves the answer, as a share of all of them."""
    block: int
    by_units: bool


@dataclass(frozen=True)
class Seen:
    """What was counted of later rows: inputs and scores by unit, cells of labelled rows, and of all as unlabelled."""

    inputs: Profile
    scores: Profile
    labelled: pl.DataFrame
    every: pl.DataFrame


@dataclass(frozen=True)
class Rule:
    """When a difference counts: the rate of false alarms, the least PSI, and how intervals are drawn."""

    rate: float
    floor: float
    level: float
    replicates: int
    seed: int


def batches_of(units: Sequence[str], every: Every) -> dict[str, list[str]]:
    """Units by year, month, ISO week or day; all of them together where they are no days."""
    batches: dict[str, list[str]] = {}
    for unit in units:
        try:
            day = date.fromisoformat(unit)
        except ValueError:
            return {WHOLE: list(units)}
        name = {"year": f"{day:%Y}", "month": f"{day:%Y-%m}", "week": f"{day:%G-W%V}", "day": unit}[every]
        batches.setdefault(name, []).append(unit)
    return batches


def judge_batches(seen: Seen, reference: Reference, rule: Rule, every: Every) -> list[dict[str, Any]]:
    """Every batch, first to last: JSON-ready."""
    before = reference.decision.table(reference.cells, unit_names(reference.cells))
    then = Side.of(before, replicates=rule.replicates, seed=rule.seed, block=reference.block)
    batches = batches_of(seen.scores.units, every)
    return [_judge_batch(name, units, seen, reference, then, rule) for name, units in batches.items()]


def _judge_batch(
    name: str, units: Sequence[str], seen: Seen, reference: Reference, then: Side, rule: Rule
) -> dict[str, Any]:
    inputs, scores = seen.inputs.of(units), seen.scores.of(units)
    cells = seen.labelled.filter(pl.col("unit").is_in(units)) if len(seen.labelled) else seen.labelled
    labelled = reference.decision.table(cells, unit_names(cells)) if len(cells) else None
    is_day = name != WHOLE
    return {
        "batch": name,
        "from": units[0] if is_day else None,
        "to": units[-1] if is_day else None,
        "units": len(units),
        "rows": int(next(iter(scores.counts.values())).sum()),
        "labelled": 0 if labelled is None else int(labelled.counts.sum()),
        "columns": judge_columns(inputs, reference.inputs, reference.cuts["inputs"], reference, rule),
        "predictions": judge_columns(scores, reference.scores, reference.cuts["scores"], reference, rule),
        "quality": [] if labelled is None else judge_quality(units, labelled, reference, then, rule),
        "estimate": estimate(units, seen.every, reference, then),
    }


def judge_columns(
    batch: Profile, before: Profile, cuts: Sequence[Cut], reference: Reference, rule: Rule
) -> list[dict[str, Any]]:
    """Every column of a profile, farthest first; rows that are in the reference too are told and not judged."""
    is_reference = reference.by_units and bool(set(batch.units) & set(before.units))
    found: list[dict[str, Any]] = []
    for cut in cuts:
        own, then = batch.counts[cut.name], before.counts[cut.name]
        drift = judge_column(then, own, cut, by_units=reference.by_units)
        shares = {"null_share": _share(own, cut.missing), "reference_null_share": _share(then, cut.missing)}
        new = {"new_share": _share(own, cut.levels - 1) if cut.edges is None else 0.0}
        effect = {"effect": reference.effects.get(cut.name)}
        told = {"psi": _number(drift.psi), "js": _number(drift.js), "p": None if is_reference else drift.p}
        found.append({"name": cut.name, **told, **shares, **new, **effect})
    known = [entry for entry in found if entry["p"] is not None]
    for entry, p in zip(known, adjust([entry["p"] for entry in known], "bh"), strict=True):
        entry["p_adjusted"] = p
    for entry in found:
        adjusted = entry.setdefault("p_adjusted", None)
        entry["drifted"] = bool(adjusted is not None and adjusted < rule.rate and entry["psi"] >= rule.floor)
    return sorted(found, key=lambda entry: (-(entry["psi"] or 0.0), entry["name"]))


def judge_column(before: Int, batch: Int, cut: Cut, *, by_units: bool) -> Drift:
    """Counts (units, bins) of one column.

    Values that come and go with the seasons would hide that a column is gone: so each is looked at twice, for values
    that are known and for what is missing or new, and the smaller of the two p-values counts twice.
    """
    gaps_before, gaps_now = _gaps(before, cut), _gaps(batch, cut)
    p_gaps = p_of_drift(gaps_before, gaps_now, by_units=by_units)
    if p_gaps is None:
        return measure_drift(before, batch, None)
    if by_units:
        p_gaps = max(p_gaps, _chance_of_days(gaps_before, gaps_now))
    p_values = p_of_drift(before[:, : cut.missing], batch[:, : cut.missing], by_units=by_units)
    least = p_gaps if p_values is None else min(p_values, p_gaps)  # None: no value is left
    return measure_drift(before, batch, min(2 * least, 1.0))


def _chance_of_days(before: Int, batch: Int) -> float:
    """How often the units of the batch that have more gaps than is usual would all have fallen into it by chance.

    A sensor that fails on one day of a year fails in some month; that the reference has no such day shows nothing.
    """
    usual = before.sum(axis=0) / before.sum()
    unusual = (batch > usual * batch.sum(axis=1, keepdims=True))[:, 1:].sum(axis=0).max()
    return float((len(batch) / (len(batch) + len(before))) ** int(unusual))


def _gaps(counts: Int, cut: Cut) -> Int:
    """Of counts (units, bins), those of what is known, what is missing and what is new (units, 2 or 3)."""
    known = counts[:, : cut.missing].sum(axis=1, keepdims=True)
    return np.hstack([known, counts[:, cut.missing :]])


def _share(counts: Any, code: int) -> float:
    rows = counts.sum()
    return float(counts[:, code].sum() / rows) if rows else 0.0


def _number(value: float) -> float | None:
    return None if isnan(value) else value


def judge_quality(
    units: Sequence[str], labelled: Tabulated, reference: Reference, then: Side, rule: Rule
) -> list[dict[str, Any]]:
    """How the model does on the labelled rows of a batch beside those of its test, metric by metric."""
    now = Side.of(labelled, replicates=rule.replicates, seed=rule.seed + 1, block=reference.block)
    is_reference = not reference.by_units or bool(set(units) & set(unit_names(reference.cells)))
    quality: list[dict[str, Any]] = []
    for name, metric in _told_metrics(reference.task).items():
        low, high = now.interval(name, metric, rule.level)
        gap = compare_apart(then, now, name, metric, rule.level)
        told = {"metric": name, "direction": metric.direction, "value": gap.b, "low": low, "high": high}
        if is_reference:
            quality.append(told | {"verdict": REFERENCE})
            continue
        apart = {"difference": gap.difference, "difference_low": gap.low, "difference_high": gap.high}
        quality.append(told | {"reference": gap.a} | apart | {"p_value": gap.p_value, "verdict": gap.verdict})
    corrected(quality, rule.level)
    return quality


def _told_metrics(task: Task) -> dict[str, Metric]:
    return {name: task.metrics[name] for name in dict.fromkeys([*task.shown, task.loss])}


def corrected(quality: list[dict[str, Any]], level: float) -> None:
    """Verdicts of several metrics at once, by Holm's correction; in place."""
    tested = [entry for entry in quality if entry.get("p_value") is not None and entry["verdict"] != "descriptive"]
    for entry, p in zip(tested, adjust([entry["p_value"] for entry in tested], "holm"), strict=True):
        entry["p_adjusted"] = p
        if p >= 1 - level:
            entry["verdict"] = "no evidence"


def estimate(units: Sequence[str], every: pl.DataFrame, reference: Reference, then: Side) -> list[dict[str, Any]]:
    """Metrics that the scores of all rows lead to expect, labels unseen; none where scores do not tell."""
    chosen = every.filter(pl.col("unit").is_in(units)) if len(every) else every
    if reference.task.expect is None or not len(chosen):
        return []
    own = unit_names(chosen)
    expected = reference.task.expect(reference.decision.table(chosen, own), then.table).measure(np.ones((1, len(own))))
    return [{"metric": name, "value": _number(float(expected[name][0]))} for name in _told_metrics(reference.task)]


def newest_of(batches: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What a machine decides by: the newest batch, and the newest of which labels tell how the model does."""
    if not batches:
        return None
    last, judged = batches[-1], newest_judged(batches)
    return {
        "batch": last["batch"],
        "drifted": [entry["name"] for entry in last["columns"] if entry["drifted"]],
        "prediction_drifted": any(entry["drifted"] for entry in last["predictions"]),
        "quality": quality_of(judged) if judged else "unknown",
        "quality_batch": judged["batch"] if judged else None,
    }


def newest_judged(batches: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The newest batch of which labels tell how the model does."""
    return next((batch for batch in reversed(batches) if batch["quality"]), None)


def quality_of(batch: Mapping[str, Any]) -> str:
    """One word for a batch: worse if any metric is, better if one is and none worse."""
    verdicts = [entry["verdict"] for entry in batch["quality"] if entry["verdict"] != "descriptive"]
    for word in ("worse", "better", "no evidence", REFERENCE):
        if word in verdicts:
            return word
    return verdicts[0] if verdicts else "unknown"
