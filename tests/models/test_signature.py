"""Rows against a signature: numbers to the bit, categories by name, every misfit counted."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.models.signature import fit_rows

NUMBER = {"name": "x", "kind": "numeric", "low": -1.0, "high": 1.0}
CATEGORY = {"name": "c", "kind": "categorical", "categories": ["AA", "B6", "NA", " padded"]}


def fit_number(values: object, **more) -> tuple[list, list[str]]:
    fitted, misfits = fit_rows(pl.DataFrame({"x": values}), [{**NUMBER, "low": None, "high": None, **more}])
    return fitted["x"].to_list(), [misfit.kind for misfit in misfits]


def fit_category(values: object) -> tuple[list, list[str]]:
    fitted, misfits = fit_rows(pl.DataFrame({"c": values}), [CATEGORY])
    return fitted["c"].to_list(), [misfit.kind for misfit in misfits]


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=50))
def test_the_text_of_a_float32_gives_its_very_bits_back(patterns: list[int]) -> None:
    values = np.array(patterns, dtype=np.uint32).view(np.float32)
    values = values[np.isfinite(values)]
    as_csv = pl.DataFrame({"x": values}).write_csv().encode()
    for text in (
        pl.read_csv(as_csv, infer_schema=False)["x"],
        pl.Series([str(float(v)) for v in values], dtype=pl.String),
    ):
        fitted, misfits = fit_rows(pl.DataFrame({"x": text}), [{**NUMBER, "low": None}])
        assert misfits == []
        assert np.array_equal(fitted["x"].to_numpy().view(np.uint32), values.view(np.uint32))


def test_inputs_come_in_the_order_of_the_signature_and_others_are_left_out() -> None:
    rows = pl.DataFrame({"c": ["AA"], "other": [1], "x": [0.5]})
    fitted, misfits = fit_rows(rows, [NUMBER, CATEGORY])
    assert fitted.columns == ["x", "c"]
    assert fitted.dtypes == [pl.Float32, pl.Enum(CATEGORY["categories"])]
    assert misfits == []


def test_missing_columns_are_all_told() -> None:
    _, misfits = fit_rows(pl.DataFrame({"other": [1, 2]}), [NUMBER, CATEGORY])
    assert [(misfit.kind, misfit.column, misfit.rows) for misfit in misfits] == [
        ("missing column", "x", 2), ("missing column", "c", 2)
    ]  # fmt: skip


@pytest.mark.parametrize("missing", ["", " ", "NA", "null", "None", "NaN", "nan", None])
def test_words_for_missing_are_missing(missing: str | None) -> None:
    assert fit_number(["1", missing]) == ([1.0, None], [])
    if missing != "NA":
        assert fit_category(["AA", missing]) == (["AA", None], [])


def test_a_category_that_reads_like_a_missing_value_is_that_category() -> None:
    assert fit_category(["NA", " NA", " padded", "", "nan"]) == (["NA", "NA", " padded", None, None], [])


@pytest.mark.parametrize(
    "values",
    [
        pl.Series(["1", "0", None]), pl.Series([1, 0, None]), pl.Series([1.0, 0.0, None]),
        pl.Series([True, False, None]),
        pl.Series(["true", "FALSE", ""]), pl.Series(["1", "0", None], dtype=pl.Categorical),
        pl.Series([1.0, 0.0, float("nan")]), pl.Series([1, 0, None], dtype=pl.Decimal(5, 1)),
    ],
)  # fmt: skip
def test_numbers_of_any_type_are_numbers(values: pl.Series) -> None:
    assert fit_number(values, low=0.0, high=1.0) == ([1.0, 0.0, None], [])


@pytest.mark.parametrize(
    "values",
    [
        pl.Series(["one"]), pl.Series(["1,5"]), pl.Series(["inf"]), pl.Series([float("inf")]), pl.Series([1e300]),
        pl.Series([[1.0]]), pl.Series([{"a": 1}]), pl.Series([b"1"]), pl.Series(["2013-01-01"]).str.to_date(),
    ],
)  # fmt: skip
def test_what_is_no_finite_number_is_told_and_missing(values: pl.Series) -> None:
    assert fit_number(values) == ([None], ["not a number"])


@pytest.mark.parametrize("values", [pl.Series([["AA"]]), pl.Series([b"AA"]), pl.Series([5.0]), pl.Series([True])])
def test_what_is_no_category_is_told_and_missing(values: pl.Series) -> None:
    assert fit_category(values) == ([None], ["unknown category"])


def test_a_column_of_nothing_is_missing_and_no_misfit() -> None:
    nothing = pl.Series([None, None], dtype=pl.Null)
    assert fit_number(nothing) == ([None, None], [])
    assert fit_category(nothing) == ([None, None], [])


def test_the_ends_of_a_range_belong_to_it_and_the_next_numbers_do_not() -> None:
    entry = {**NUMBER, "low": float(np.float32(-0.1)), "high": float(np.float32(0.7))}
    _, misfits = fit_rows(pl.DataFrame({"x": ["-0.1", "0.7", "-0.10000001", "0.70000005"]}), [entry])
    assert [(misfit.kind, misfit.rows) for misfit in misfits] == [("out of range", 2)]
    assert misfits[0].told.startswith("x = '-0.10000001' in row 3 (training: -0.1 to 0.7)")
