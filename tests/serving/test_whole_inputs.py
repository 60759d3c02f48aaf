"""Pictures and texts in JSON: strings, read as a file of rows is read, refused by field."""

import pytest

from stages.serving.objects import Inputs
from stages.serving.problems import Problem

SIGNATURE = {
    "inputs": [
        {"name": "look", "kind": "picture", "shape": [2, 2, 1], "about": "the thing", "unit": "", "null_share": 0.0},
        {"name": "said", "kind": "text", "about": "what is said", "unit": "", "null_share": 0.0},
        {"name": "size", "kind": "numeric", "about": "", "unit": "", "low": 0.0, "high": 1.0, "null_share": 0.0},
        {"name": "maker", "kind": "categorical", "categories": ["A"], "about": "", "unit": "", "null_share": 0.0},
    ]
}
INPUTS = Inputs.of(SIGNATURE, ["look", "said", "size", "maker"])
ROW = {"look": "iVBO", "said": " né ", "size": 0.1, "maker": None}


def test_rows_become_the_text_of_a_file() -> None:
    assert INPUTS.has_whole
    assert INPUTS.texts([ROW, {**ROW, "size": None, "maker": "A"}]).rows() == [
        ("iVBO", " né ", "0.1", None), ("iVBO", " né ", None, "A"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "field", "wanted"),
    [
        ({**ROW, "look": None}, "/0/look", "PNG or JPEG"),
        ({**ROW, "look": [1, 2]}, "/0/look", "PNG or JPEG"),
        ({key: value for key, value in ROW.items() if key != "said"}, "/0/said", "a string"),
        ({**ROW, "said": 5}, "/0/said", "a string"),
        ({**ROW, "size": "0.1"}, "/0/size", "a number"),
        ({**ROW, "size": True}, "/0/size", "a number"),
        ({**ROW, "maker": 1}, "/0/maker", "a string such as"),
        ({**ROW, "other": 1}, "/0/other", "only inputs"),
        ("text", "/0", "an object"),
    ],
)
def test_what_does_not_fit_is_told_by_field(row: object, field: str, wanted: str) -> None:
    with pytest.raises(Problem) as refused:
        INPUTS.texts([row], "/{}")
    assert [(fault.field, wanted in fault.wanted) for fault in refused.value.faults] == [(field, True)]
