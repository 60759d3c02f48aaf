"""A file of rows as the page tells of it: how many were answered and how, a histogram, bad rows and why, a preview."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stages.metrics.contract import Task
from stages.models.signature import Misfit
from stages.pages.numbers import count_text, elided, share_text, value_text
from stages.pages.tables import Column, Table, table
from stages.serving import pictures
from stages.serving.scored import PROBLEM, Look

COLUMNS = 5  # beside the answers
LONGEST = 60  # letters of a value


def tell_file(task: Task, signature: Mapping[str, Any], look: Look) -> dict[str, Any]:
    """What the page shows of a file that could be read."""
    good, bad = look.tallied.rows, f", {count_text(look.refused)} without a score" if look.refused else ""
    decided = sorted(look.tallied.decided.items(), key=lambda item: -item[1])
    answers = [[answer, count_text(n), share_text(n / good)] for answer, n in decided]
    reasons = [[reason, count_text(n), count_text(first)] for reason, (n, first) in look.reasons.items()]
    return {
        "refused": None,
        "headline": f"{_rows(good)} answered{bad}",
        "histogram": pictures.histogram(task, signature, look.ends, look.counts) if good else "",
        "scored": task.scored if task.scored == "probability" else "prediction",
        "decided": table("Answers", [Column("answer", "name"), "rows", "share"], answers, 10),
        "reasons": table("Rows without a score", [Column("why", "name"), "rows", "the first is row"], reasons, 10),
        "doubts": [_doubt(each) for each in look.tallied.misfits],
        "head": preview(signature, look),
    }


def preview(signature: Mapping[str, Any], look: Look) -> Table:
    """The first rows with their answers and a few other columns, the inputs that matter most among them."""
    place = look.head.columns.index(PROBLEM) + 1
    answers = look.head[:, :place].drop([f"probability_{name}" for name in signature["classes"]], strict=False)
    if answers[PROBLEM].null_count() == len(answers):
        answers = answers.drop(PROBLEM)
    shown = answers.hstack(look.head[:, place : place + COLUMNS])
    kinds = ["name", *("number" if column.dtype.is_numeric() else "short" for column in shown[:, 1:])]
    columns = [Column(name, kind) for name, kind in zip(shown.columns, kinds, strict=True)]
    rows = [["" if value is None else _seen(value) for value in row] for row in shown.iter_rows()]
    return table(f"The first {_rows(len(rows))}", columns, rows)


def _doubt(misfit: Misfit) -> str:
    return f"{misfit.kind.capitalize()}: {misfit.told} ({_rows(misfit.rows)})."


def _seen(value: Any) -> str:
    return value_text(value) if isinstance(value, float) else elided(str(value), LONGEST)


def _rows(n: int) -> str:
    return f"{count_text(n)} row{'' if n == 1 else 's'}"
