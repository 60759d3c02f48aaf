"""Beside the ruling on two given files: does what was changed between them help, trained again?

The answer decides nothing.  It comes from the resampling tables of both revisions and of their further trainings, as
`make compare` would give it on the rows of the decision; where these cannot answer, it says what would.
"""

from __future__ import annotations

from typing import Any

from stages.experiments.comparison.comparison import Evaluation, Resampling, compare_whole, metrics_of
from stages.experiments.comparison.files import open_table, read_table, refuse_outdated
from stages.experiments.comparison.words import train_again
from stages.experiments.promotion.contenders import Contender
from stages.experiments.promotion.rows import RecentRows
from stages.metrics.settings import EvaluateSettings
from stages.workspace.errors import UserError

UNKNOWN = "not known"
OTHER_ROWS = "the resampling tables of the two are not about these rows; evaluate and retrain both on them"


def answer_change(
    champion: Contender, candidate: Contender, rows: RecentRows, metric: str, evaluation: EvaluateSettings
) -> dict[str, Any]:
    """The difference of the means over trainings with its interval and verdict; or "not known", and why."""
    dataset = rows.table.dataset
    try:
        a, b = (_open(each, dataset) for each in (champion, candidate))
        resampling = Resampling.of(a, b, evaluation.replicates, evaluation.level, "change")
        if not rows.is_whole:
            resampling = resampling.only(list(rows.units))
        if not _about(rows, a, resampling):
            return {"verdict": UNKNOWN, "reason": OTHER_ROWS}
        (compared,) = compare_whole(a, b, metrics_of(a.header, [metric]), resampling, "none")
    except UserError as error:
        return {"verdict": UNKNOWN, "reason": f"{error.found}; {error.next_step}"}
    except ValueError as error:
        if len(error.args) != 3:
            raise
        return {"verdict": UNKNOWN, "reason": f"{error.args[1]}; {error.args[2]}"}
    found = compared.found
    if found.p_value is None:
        again = train_again(dataset) if found.verdict == UNKNOWN else found.reason
        return {"verdict": UNKNOWN, "reason": again}
    return {
        "verdict": found.verdict, "difference": found.difference, "low": found.low, "high": found.high,
        "p_value": found.p_value, "trainings": {"champion": a.trainings, "candidate": b.trainings},
    }  # fmt: skip


def _open(contender: Contender, dataset: str) -> Evaluation:
    refuse_outdated(contender.revision, dataset)
    return open_table(read_table(contender.revision, dataset), contender.revision, dataset)


def _about(rows: RecentRows, table: Evaluation, resampling: Resampling) -> bool:
    """Whether the tables hold the rows of the decision, or as days a part of theirs.

    Numbers are coded by the training rows of a table, so that no look at the rows alone gives its fingerprint: as many
    rows in the same units are taken for the same.
    """
    if rows.is_whole and rows.table.classes:
        return bool(table.header["same_rows"] == rows.same_rows)
    if rows.is_whole:
        return bool(table.header["rows"] == rows.n and set(resampling.units) == set(rows.units))
    units = table.cells.filter(table.cells["segment"] == "")["unit"]
    return rows.resampled != "rows" and set(resampling.units) <= set(units)
