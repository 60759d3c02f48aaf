"""Does a model claim what cannot be?  Where nobody beats the baseline, whoever does has seen the outcomes.

Of daily exchange rates no forecast is known that beats "as today" (Meese & Rogoff, "Empirical exchange rate models of
the seventies", Journal of International Economics 14, 1983, and forty years of attempts since).  So there a point
forecast that does is a fault of the data or the code until the contrary is shown: an input from the day to be forecast,
a label that came too early.  The same paired test that judges every difference looks at all rows and at each horizon,
corrected for so many looks; an honest model raises the alarm in at most one of a hundred evaluations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from stages.metrics.bootstrap import Float
from stages.metrics.contract import Decision, Metric, System
from stages.metrics.paired import Difference, compare, correct
from stages.metrics.stored import BETWEEN

LEVEL = 0.99
EVERYWHERE = "all rows"


def refuse_claims(
    systems: Mapping[str, System], apart: Mapping[str, Mapping[str, System]], metric: tuple[str, Metric],
    weights: Float, *, block: int,
) -> None:  # fmt: skip
    """Stop where the model beats the baseline on the metric: on all rows, or in one of the segments ``apart``."""
    name, about = metric
    looks = {EVERYWHERE: systems, **apart}
    with np.errstate(invalid="ignore", divide="ignore"):  # a replicate may lack every row of a segment
        gaps = [
            compare(pair["baseline"], pair["model"], {name: about}, weights, level=LEVEL, block=block)[name]
            for pair in looks.values()
        ]
    better = [(look, gap) for look, gap in zip(looks, correct(gaps, "holm"), strict=True) if gap.verdict == "better"]
    if better:
        raise ValueError(
            f"no model that beats the baseline on {name}: evaluate.no_point_skill says that here nobody can",
            "\n        ".join(_told(look, gap) for look, gap in better),
            "look for an input or a label that knows what is yet to come; if the skill is real, tested and explained, "
            "set evaluate.no_point_skill to false",
        )


def _told(look: str, gap: Difference) -> str:
    return f"{look}: {gap.b:.5g} against {gap.a:.5g} (p {gap.p_adjusted:.1g}, corrected)"


def systems_apart(
    decisions: Mapping[str, Decision], cells: Mapping[str, pl.DataFrame], column: str, values: Sequence[str],
    units: list[str],
) -> dict[str, dict[str, System]]:  # fmt: skip
    """By segment of a column: every system's table over all units, from cells that are not stored yet."""
    apart: dict[str, dict[str, System]] = {}
    for segment in (f"{column}={value}" for value in values):
        for system, decision in decisions.items():
            begin = f"{segment}{BETWEEN}"
            own = cells[system].filter(pl.col("view").str.starts_with(begin))
            table = decision.table(own.with_columns(pl.col("view").str.strip_prefix(begin)), units)
            coded = table.measure(np.ones((1, len(units))))
            exact = {name: float(found[0]) for name, found in coded.items()}
            apart.setdefault(segment, {})[system] = System(table, exact)
    return apart
