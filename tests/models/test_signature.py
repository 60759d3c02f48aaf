"""Rows against a signature: numbers to the bit, categories by name, every misfit counted."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from stages.models.signature import BY_CHANCE, MORE_MISSING, Tally, as_texts, fit_rows, unfit_rows

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


@pytest.mark.parametrize("values", [pl.Series([5.0]), pl.Series([True]), pl.Series(["2013-01-01"]).str.to_date()])
def test_a_category_that_training_never_saw_is_told_and_missing(values: pl.Series) -> None:
    assert fit_category(values) == ([None], ["unknown category"])


@pytest.mark.parametrize("values", [pl.Series([["AA"]]), pl.Series([b"AA"])])
def test_what_can_be_no_category_is_told_and_missing(values: pl.Series) -> None:
    assert fit_category(values) == ([None], ["not a category"])


def test_a_column_of_nothing_is_missing_and_no_misfit() -> None:
    nothing = pl.Series([None, None], dtype=pl.Null)
    assert fit_number(nothing) == ([None, None], [])
    assert fit_category(nothing) == ([None, None], [])


def test_the_ends_of_a_range_belong_to_it_and_the_next_numbers_do_not() -> None:
    entry = {**NUMBER, "low": float(np.float32(-0.1)), "high": float(np.float32(0.7))}
    _, misfits = fit_rows(pl.DataFrame({"x": ["-0.1", "0.7", "-0.10000001", "0.70000005"]}), [entry])
    assert [(misfit.kind, misfit.rows) for misfit in misfits] == [("out of range", 2)]
    assert misfits[0].told.startswith("x = '-0.10000001' in row 3 (training: -0.1 to 0.7)")


def tally_of(missing: int, rows: int, usual: float, inputs: int = 1) -> list[tuple[str, int]]:
    """What is told of rows of which the first ``missing`` lack the first of some inputs, in pieces of 1,000."""
    entries = [{**NUMBER, "name": f"x{k}", "low": None, "null_share": usual} for k in range(inputs)]
    tally = Tally(entries)
    for start in range(0, rows, 1000):
        places = range(start, min(start + 1000, rows))
        first = {"x0": [None if place < missing else 1.0 for place in places]}
        others = {f"x{k}": [1.0] * len(places) for k in range(1, inputs)}
        tally.fit(pl.DataFrame(first | others, schema_overrides={"x0": pl.Float32}))
    return [(misfit.told, misfit.rows) for misfit in tally.misfits() if misfit.kind == "missing more often"]


def test_inputs_that_are_missing_more_often_than_in_training_are_told_with_both_shares() -> None:
    assert tally_of(5000, 5400, 0.0144) == [("x0 in 92.6\u202f%, in training in 1.4\u202f%", 5000)]
    assert tally_of(2500, 2500, 0.748) == [("x0 in 100\u202f%, in training in 74.8\u202f%", 2500)]
    assert tally_of(4, 12, 0.0) != []  # training never lacked it


@pytest.mark.parametrize(
    ("missing", "rows", "usual"),
    [
        (1, 1, 0.0),
        (1, 1, 0.3),
        (2, 10, 0.0),
        (4, 10, 0.1),
        (3, 3, 0.5),
        (700, 50_000, 0.0),
        (1900, 10_000, 0.15),
        (0, 9, 0.9),
    ],
)
def test_nothing_is_told_of_a_few_rows_or_of_what_another_month_would_do(missing: int, rows: int, usual: float) -> None:
    assert tally_of(missing, rows, usual, inputs=20) == []


@pytest.mark.parametrize("rows", [1, 5, 20, 100, 1000])
@pytest.mark.parametrize("usual", [0.001, 0.02, 0.3, 0.9])
def test_rows_like_those_of_training_are_hardly_ever_told_of(rows: int, usual: float) -> None:
    """The exact chance of the smallest count that is told of, by the binomial distribution itself."""
    least = next((k for k in range(rows + 1) if tally_of(k, rows, usual)), None)
    if least is not None:
        assert binom.sf(least - 1, rows, usual) < BY_CHANCE
        assert least / rows >= usual + MORE_MISSING


def test_a_row_without_any_input_is_told_and_one_with_an_unknown_category_is_not() -> None:
    tally = Tally([{**NUMBER, "null_share": 0.5}, {**CATEGORY, "null_share": 0.5}])
    tally.fit(pl.DataFrame({"x": ["", "1", "NA"], "c": [None, "", "ZZ"]}))
    tally.fit(pl.DataFrame({"x": [" ", None], "c": ["AA", "nan"]}))
    told = [(misfit.kind, misfit.rows, misfit.told) for misfit in tally.misfits()]
    assert told == [
        ("unknown category", 1, "c = 'ZZ' in row 3"),
        ("no input", 2, "the first is row 1"),
    ]


# ── pictures and texts ───────────────────────────────────────────────────────────────────────────────────────────────
PICTURE = {"name": "p", "kind": "picture", "shape": [2, 2, 1], "null_share": 0.0}
TEXT = {"name": "t", "kind": "text", "null_share": 0.0}
PIXELS = np.array([[0, 10, 20, 255], [1, 2, 3, 4]], np.uint8)


def test_pictures_are_read_from_text_as_they_were_written() -> None:
    rows = pl.DataFrame({"p": pl.Series(PIXELS, dtype=pl.Array(pl.UInt8, 4))})
    fitted, misfits = fit_rows(as_texts(rows, [PICTURE]), [PICTURE])
    assert misfits == []
    assert fitted.equals(fit_rows(rows, [PICTURE])[0])
    assert np.array_equal(fitted["p"].to_numpy(), PIXELS)


def test_what_is_no_picture_is_refused_by_row() -> None:
    rows = as_texts(pl.DataFrame({"p": pl.Series(PIXELS, dtype=pl.Array(pl.UInt8, 4))}), [PICTURE])
    rows = pl.concat([rows, pl.DataFrame({"p": ["bad", None]})])
    tally = Tally([PICTURE])
    fitted = tally.fit(rows)
    told = {misfit.kind: (misfit.rows, misfit.told) for misfit in tally.misfits()}
    assert told["not a picture"] == (2, "p in row 3: no base64")
    assert fitted["p"].is_null().to_list() == [False, False, True, True]
    assert unfit_rows(rows, fitted)["p is no picture"].to_list() == [2, 3]


def test_a_text_is_what_is_left_without_the_spaces_around_it() -> None:
    rows = pl.DataFrame({"t": [" a b\n", "", None, "NA"]})
    fitted, misfits = fit_rows(rows, [TEXT])
    assert fitted["t"].to_list() == ["a b", None, None, "NA"]
    assert [(m.kind, m.rows, m.told) for m in misfits] == [("no text", 2, "t in row 2")]
    assert unfit_rows(rows, fitted)["t is no text"].to_list() == [1, 2]
