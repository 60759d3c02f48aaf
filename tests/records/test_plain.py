"""A plain table: what its columns say is what is checked, and an edit of them is an edit of the work on them."""

import sys
from pathlib import Path

import polars as pl
import pytest

from stages.clean import functions_of
from stages.records.contract import load_dataset
from stages.records.plain import Column, plain_dataset
from stages.records.prepare import judge_rows
from stages.runtime.digest import code_digest, source_digest

COLUMNS = (
    Column("age_years", "numeric", "age", "years", 0, 120),
    Column("rooms", "numeric", "rooms", low=1, type=pl.Int16),
    Column("sex", "categorical", "sex", among=("f", "m"), nullable=True, published="Sex"),
    Column("town", "categorical", "town"),
)
TEXT = "age_years,rooms,Sex,town,sick\n40,3, f ,Ulm,yes\n41.5,2,NA,Bonn,no\n"


def judged(tmp_path: Path, more: str, **changes) -> tuple[list[dict], dict[int, list[tuple]]]:
    """The rows that pass, and the failures of the others."""
    target = Column("sick", "categorical", "whether sick", nullable=changes.pop("nullable", False))
    dataset = plain_dataset(
        "tests.own", "Sick?", task="binary", columns=COLUMNS, target=target, classes=("no", "yes"), file="own.csv"
    )
    (tmp_path / "own.csv").write_text(TEXT + more, encoding="utf-8")
    judgement = judge_rows(dataset.records, dataset.records.read(tmp_path, "rows"), "rows")
    failures = judgement.quarantined.select("row", "failures").iter_rows()
    return judgement.passed.to_dicts(), {row: [tuple(one.values()) for one in told] for row, told in failures}


def test_texts_become_numbers_categories_and_codes(tmp_path: Path) -> None:
    passed, failures = judged(tmp_path, "")
    assert failures == {}
    assert passed == [
        {"record": 0, "age_years": 40.0, "rooms": 3, "sex": "f", "town": "Ulm", "sick": 1},
        {"record": 1, "age_years": 41.5, "rooms": 2, "sex": None, "town": "Bonn", "sick": 0},
    ]


@pytest.mark.parametrize(
    ("line", "failure"),
    [
        ("150,3,f,Ulm,yes", ("age_years", "in_range(0, 120)", "150.0")),
        ("nan,3,f,Ulm,yes", ("age_years", "parses as Float64", "nan")),
        ("40,0,f,Ulm,yes", ("rooms", "greater_than_or_equal_to(1)", "0")),
        ("40,2.5,f,Ulm,yes", ("rooms", "parses as Int16", "2.5")),
        ('40,"2,5",f,Ulm,yes', ("rooms", "decimal point", "2,5")),
        (",3,f,Ulm,yes", ("age_years", "not_nullable", None)),
        ("40,3,x,Ulm,yes", ("sex", "isin(['f', 'm'])", "x")),
        ("40,3,f,,yes", ("town", "not_nullable", None)),
        ("40,3,f,Ulm,maybe", ("sick", "parses as one of no, yes", "maybe")),
        ("40,3,f,Ulm,", ("sick", "not_nullable", None)),
        ("40,3,f,Ulm", (None, "number_of_fields", "40,3,f,Ulm")),
    ],
)
def test_a_faulty_row_is_told_by_its_one_cause(tmp_path: Path, line: str, failure: tuple) -> None:
    assert judged(tmp_path, line + "\n")[1] == {2: [failure]}


def test_a_row_without_a_target_that_may_lack_has_no_label(tmp_path: Path) -> None:
    passed, failures = judged(tmp_path, "40,3,f,Ulm,\n", nullable=True)
    assert failures == {} and passed[2]["sick"] is None


@pytest.mark.parametrize("name", ["digits", "diabetes"])
def test_cached_partitions_hang_on_the_columns_of_their_own_dataset(name: str) -> None:
    dataset = load_dataset(name)
    for function in [*functions_of(dataset), dataset.summarize, dataset.context, dataset.featurize, dataset.split]:
        package = Path(str(sys.modules[function.__module__].__file__))
        assert package.parent.name == name
    assert code_digest(*functions_of(dataset)) == source_digest(frozenset({package}))
