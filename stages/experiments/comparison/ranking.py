"""Which of many experiments is better than the baseline?  All by one metric, corrected for their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stages.experiments.comparison.changes import Change
from stages.experiments.comparison.comparison import Evaluation, Resampling, compare_whole
from stages.experiments.comparison.words import Drawn, Side
from stages.metrics.contract import Metric
from stages.metrics.paired import Correction, Difference, correct


@dataclass(frozen=True)
class Ranked:
    """One experiment beside the baseline."""

    side: Side
    changes: list[Change]
    found: Difference


@dataclass(frozen=True)
class Ranking:
    """All experiments of one baseline on one dataset; ``unranked`` are reasons by label."""

    baseline: Side
    drawn: Drawn
    correction: Correction
    ranked: list[Ranked]
    unranked: dict[str, str]


def compare_experiments(
    baseline: Evaluation, experiments: Sequence[Evaluation], name: str, metric: Metric, resampling: Resampling,
    correction: Correction,
) -> tuple[dict[str, Difference], dict[str, str]]:  # fmt: skip
    """Differences from the baseline by label, best first; and why the others cannot be compared."""
    found, refused = {}, {}
    for experiment in experiments:
        try:
            compared = compare_whole(baseline, experiment, {name: metric}, resampling, "none")
        except ValueError as error:
            if len(error.args) != 3:
                raise
            refused[experiment.label] = str(error.args[1])
        else:
            found[experiment.label] = compared[0].found
    corrected = dict(zip(found, correct(list(found.values()), correction), strict=True))
    return dict(sorted(corrected.items(), key=lambda item: (_badness(item[1]), item[0]))), refused


def _badness(found: Difference) -> tuple[bool, float]:
    """Ascending: the best value first, those without one last."""
    if found.b is None:
        return True, 0.0
    return False, -found.b if found.direction == "higher" else found.b
