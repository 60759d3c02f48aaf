"""Evaluations of other rows, or of another question, are refused, each with its reason."""

from typing import Any

import pytest

from stages.metrics.paired import refuse_other_rows

HEADER: dict[str, Any] = {
    "format": 2, "dataset": "flights", "question": "late?", "task": "binary", "target": "is_late",
    "classes": ["on time", "late"], "rows": 12_345, "resampled": "day", "units": 61, "block": 5, "same_rows": "a1",
    "seed": 1, "replicates": 1000, "level": 0.95, "systems": {},
}  # fmt: skip
NAMES = ("main", "my-exp")


@pytest.mark.parametrize(
    ("change", "wanted", "found"),
    [
        ({"dataset": "trains"}, "one dataset", "dataset of main: 'flights'; of my-exp: 'trains'"),
        ({"task": "multiclass"}, "one kind of task", "'binary'.*'multiclass'"),
        ({"question": "very late?"}, "same question", "'late\\?'.*'very late\\?'"),
        ({"target": "is_very_late"}, "same target column", "'is_late'.*'is_very_late'"),
        ({"classes": ["late", "on time"]}, "same classes", r"\['on time', 'late'\].*\['late', 'on time'\]"),
        ({"resampled": "rows"}, "unit of resampling", "'day'.*'rows'"),
        ({"rows": 12_346}, "same test rows", "test rows of main: 12,345; of my-exp: 12,346"),
        ({"units": 60}, "same test rows", "units of day of main: 61; of my-exp: 60"),
        ({"same_rows": "b2"}, "same labels", "main and my-exp have 12,345 test rows each, but not the same ones"),
    ],
)
def test_what_differs_is_named(change: dict[str, Any], wanted: str, found: str) -> None:
    with pytest.raises(ValueError, match=wanted) as refused:
        refuse_other_rows(HEADER, HEADER | change, NAMES)
    assert len(refused.value.args) == 3
    with pytest.raises(ValueError, match=found):
        refuse_other_rows(HEADER, HEADER | change, NAMES)


def test_the_first_reason_is_the_deepest_one() -> None:
    other = HEADER | {"dataset": "trains", "rows": 7, "same_rows": "b2"}
    with pytest.raises(ValueError, match="one dataset"):
        refuse_other_rows(HEADER, other, NAMES)


def test_seed_replicates_runs_level_and_format_are_no_reason() -> None:
    other = HEADER | {"seed": 2, "replicates": 20, "level": 0.9, "block": 7, "format": 1, "systems": {"model": {}}}
    refuse_other_rows(HEADER, other, NAMES)
