"""May two evaluations be compared?  Only when they asked the same question of the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class _Same:
    """One thing in which two evaluations must agree."""

    key: str
    wanted: str
    next_step: str


_SAME = (
    _Same("dataset", "evaluations of one dataset", "name a dataset that both have with --dataset"),
    _Same("task", "evaluations of one kind of task", "compare revisions in which the dataset asks the same question"),
    _Same("question", "the same question asked of the test rows", "compare revisions that ask the same question"),
    _Same("target", "the same target column", "compare revisions that predict the same column"),
    _Same("classes", "the same classes in the same order", "compare revisions with the same label definition"),
    _Same("resampled", "the same unit of resampling", "set evaluate.resample alike in both and evaluate again"),
    _Same("rows", "the same test rows", "evaluate both with the same scale, split and cleaning rules"),
    _Same("units", "the same test rows", "evaluate both with the same scale, split and cleaning rules"),
    _Same("same_rows", "the same test rows with the same labels",
          "evaluate both with the same scale, split, cleaning rules and label definition"),
)  # fmt: skip


def refuse_other_rows(header_a: Mapping[str, Any], header_b: Mapping[str, Any], names: tuple[str, str]) -> None:
    """Stop when two evaluations are not about the same rows and the same question.

    Seed, number of replicates, length of runs and level may differ: the comparison draws anew, alike for both.
    """
    for same in _SAME:
        found_a, found_b = header_a.get(same.key), header_b.get(same.key)
        if found_a != found_b:
            raise ValueError(same.wanted, _told(same.key, found_a, found_b, header_a, names), same.next_step)


def _told(key: str, a: Any, b: Any, header: Mapping[str, Any], names: tuple[str, str]) -> str:
    name_a, name_b = names
    if key == "same_rows":
        return (
            f"{name_a} and {name_b} have {header['rows']:,} test rows each, "
            "but not the same ones, or not the same labels"
        )
    words = {"rows": "test rows", "units": f"units of {header['resampled']}"}.get(key, key)
    told_a, told_b = (f"{value:,}" if isinstance(value, int) else repr(value) for value in (a, b))
    return f"{words} of {name_a}: {told_a}; of {name_b}: {told_b}"
