"""What the recent rows say about champion and candidate: a ruling, and all the evidence for it.

Two ways lead to the same figures.  Where the resampling tables of both revisions are about these very rows, made under
the same costs and thresholds, they answer by themselves; otherwise both bundles score the rows again.  Either way these
files are judged as they are; whether the change helps, trained again, is told beside it (`change.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from stages.experiments.promotion.change import answer_change
from stages.experiments.promotion.contenders import Contender, score_rows, stored_systems
from stages.experiments.promotion.rows import RecentRows
from stages.experiments.promotion.ruling import Ruling, rule
from stages.metrics.bootstrap import draw_weights
from stages.metrics.contract import round_figures
from stages.metrics.paired import Difference, compare
from stages.metrics.settings import EvaluateSettings
from stages.metrics.stored import task_named
from stages.workspace.seeds import child_seed
from stages.workspace.settings import Settings, read_scale, read_seed, read_workers


class PromoteSettings(Settings):
    """When a candidate takes the champion's place."""

    metric: str = Field(description="by which both are judged; expected_cost has the costs of evaluate")
    margin: float = Field(description="by how much the candidate has to be better, in units of the metric")
    max_gain: float | None = Field(
        None, gt=0, description="share of the champion's value above which a gain is suspicious; null trusts any"
    )
    last_units: int | None = Field(None, ge=1, description="latest units of the test part to judge on; null takes all")


def evaluate_challenger(
    champion: Contender | None, candidate: Contender, rows: RecentRows, settings: PromoteSettings,
    evaluation: EvaluateSettings,
) -> tuple[Ruling, dict[str, Any]]:  # fmt: skip
    """The ruling and its evidence; without a champion, what the candidate scores."""
    both = [champion, candidate] if champion else [candidate]
    stored = stored_systems(both, rows, evaluation)
    if isinstance(stored, str):
        systems = score_rows(both, rows, evaluation, read_workers(), read_scale().memory_limit_bytes)
        path = f"bundles scored the rows: {stored}"
    else:
        systems, path = stored, "stored resampling tables, made from these rows"
    metrics = task_named(rows.table.task).metrics
    evidence = {"path": path} | facts(rows, settings, evaluation) | unseen_by(both)
    if champion is None:
        alone = {name: {"candidate": systems["candidate"].exact[name]} for name in metrics}
        return Ruling("first", "no champion yet: the first model becomes it"), round_figures(
            evidence | {"metrics": alone}
        )
    # drawn as `evaluate` draws: the same replicates of the same units
    seed = child_seed(read_seed(), "evaluate", rows.table.dataset)
    weights = draw_weights(len(rows.units), evaluation.replicates, seed, rows.block)
    found = compare(
        systems["champion"], systems["candidate"], metrics, weights, level=evaluation.level, block=rows.block
    )  # fmt: skip
    ruling = rule(found[settings.metric], settings.margin, settings.max_gain)
    gain = {"gain": {"value": ruling.gain, "low": ruling.low, "high": ruling.high}}
    compared = {"metrics": {name: compared_as(difference) for name, difference in found.items()}}
    changed = {"change": answer_change(champion, candidate, rows, settings.metric, evaluation)}
    return ruling, round_figures(evidence | gain | compared | changed)


def facts(rows: RecentRows, settings: PromoteSettings, evaluation: EvaluateSettings) -> dict[str, Any]:
    """Which rows, and by what rules they were asked."""
    costs = {"cost_of_miss": evaluation.cost_of_miss, "cost_of_false_alarm": evaluation.cost_of_false_alarm}
    ordered = {"first": rows.units[0], "last": rows.units[-1]} if rows.resampled != "rows" else {}
    return {
        "rows": rows.n,
        "whole_test_part": rows.is_whole,
        "resampled": rows.resampled,
        "units": len(rows.units),
        **ordered,
        "same_rows": rows.same_rows,
        "metric": settings.metric,
        "margin": settings.margin,
        **({"max_gain": settings.max_gain} if settings.max_gain else {}),
        **(costs if task_named(rows.table.task).at_threshold else {}),
        "level": evaluation.level,
        "replicates": evaluation.replicates,
        "block": rows.block,
    }


def unseen_by(contenders: Sequence[Contender]) -> dict[str, Any]:
    """Rows whose category a contender never saw in training, by contender and input; nothing where there are none."""
    unseen = {each.label: dict(sorted(each.unseen.items())) for each in contenders if each.unseen}
    return {"unseen_categories": unseen} if unseen else {}


def compared_as(found: Difference) -> dict[str, Any]:
    """One metric of the comparison, as the log keeps it."""
    return {
        "champion": found.a,
        "candidate": found.b,
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "p_value": found.p_value,
        "share_better": found.share_better,
        "direction": found.direction,
        "verdict": found.verdict,
    }
