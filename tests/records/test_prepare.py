"""Which rows pass, against what a reader of the table would say."""

import pandera.polars as pa
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from stages.records.failures import find_failures, split_rows
from stages.records.lines import LINE

SCHEMA = pa.DataFrameSchema(
    {
        "delay_min": pa.Column(pl.Int16, pa.Check.in_range(-60, 600), nullable=True),
        "origin": pa.Column(pl.String, pa.Check.isin(["EWR", "JFK"])),
        "day": pa.Column(pl.Date),
    },
    checks=[pa.Check(lambda data: data.lazyframe.select(pl.col("origin").is_first_distinct()), name="unique")],
    strict=True,
)
PARSED_FROM = {"delay_min": "delay", "day": ("month", "dom")}
NULLS = ("", "NA")


def raw_rows(*rows: tuple[str | None, ...]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict.fromkeys(["delay", "origin", "month", "dom"], pl.String), orient="row")


def parse(raw: pl.DataFrame) -> pl.DataFrame:
    return raw.select(
        pl.col("delay").cast(pl.Int16, strict=False).alias("delay_min"),
        pl.when(~pl.col("origin").is_in(list(NULLS))).then("origin").alias("origin"),
        pl.concat_str(pl.lit("2013"), "month", "dom", separator="-").str.to_date("%Y-%m-%d", strict=False).alias("day"),
    )


def told(raw: pl.DataFrame) -> list[tuple[int, str | None, str, str | None]]:
    return find_failures(raw, parse(raw), SCHEMA, PARSED_FROM, NULLS).rows()


def test_good_rows_have_no_failure():
    assert told(raw_rows(("5", "EWR", "1", "31"), ("NA", "JFK", "12", "1"))) == []


def test_all_failures_of_a_row_are_told_with_column_check_and_value():
    raw = raw_rows(("5", "EWR", "1", "1"), ("601", "LGA", "2", "30"))
    assert told(raw) == [
        (1, "day", "parses as Date", "2 30"),
        (1, "delay_min", "in_range(-60, 600)", "601"),
        (1, "origin", "isin(['EWR', 'JFK'])", "LGA"),
    ]


def test_a_text_that_does_not_parse_is_told_once_and_with_the_text():
    assert told(raw_rows(("late", "EWR", "1", "1"))) == [(0, "delay_min", "parses as Int16", "late")]
    assert told(raw_rows(("5", "EWR", "13", "1"))) == [(0, "day", "parses as Date", "13 1")]


def test_of_several_texts_the_one_that_is_not_there_is_named() -> None:
    assert told(raw_rows(("5", "EWR", "", "1"))) == [(0, "day", "month not empty", " 1")]
    assert told(raw_rows(("5", "EWR", "1", "NA"))) == [(0, "day", "dom not empty", "1 NA")]
    assert told(raw_rows(("5", "EWR", "", ""))) == [(0, "day", "not_nullable", None)]


def test_a_decimal_comma_and_a_form_that_no_type_tells_are_named_as_the_cause() -> None:
    raw = raw_rows(("1,5", "EWR", "1", "1"), ("2575", "EWR", "1", "1"))
    tidy = parse(raw).with_columns(delay_min=pl.lit(None, pl.Int16))
    found = find_failures(raw, tidy, SCHEMA, PARSED_FROM, NULLS, parses_as={"delay_min": "time of day (hhmm)"})
    assert found["check"].to_list() == ["decimal point", "parses as time of day (hhmm)"]


def test_what_follows_from_a_text_that_did_not_parse_is_not_told_again() -> None:
    schema = pa.DataFrameSchema(
        {"sum": pa.Column(pl.Int16), "origin": pa.Column(pl.String), "derived": pa.Column(pl.Int16)},
        checks=[pa.Check(lambda data: data.lazyframe.select(pl.col("sum").is_not_null()), name="has_sum")],
    )
    raw = pl.DataFrame({"text": ["x", ""], "origin": [None, "EWR"]}, schema_overrides={"origin": pl.String})
    number = pl.col("text").cast(pl.Int16, strict=False)
    tidy = raw.select(number.alias("sum"), "origin", (number + 1).alias("derived"))
    assert find_failures(raw, tidy, schema, {"sum": "text"}, NULLS).rows() == [
        (0, "origin", "not_nullable", None),  # a fault of its own
        (0, "sum", "parses as Int16", "x"),
        (1, "derived", "not_nullable", None),
        (1, "sum", "not_nullable", None),
        (1, None, "has_sum", None),
    ]


def test_a_line_with_another_number_of_fields_is_told_once() -> None:
    raw = raw_rows((None, None, None, None)).with_columns(pl.lit("5,EWR").alias(LINE))
    assert told(raw) == [(0, None, "number_of_fields", "5,EWR")]


@pytest.mark.parametrize("text", ["", "NA", " ", None])
def test_a_text_that_stands_for_nothing_is_not_a_failure_to_parse(text):
    assert told(raw_rows((text, "EWR", "1", "1"))) == []


def test_a_check_across_columns_names_no_column():
    assert told(raw_rows(("1", "EWR", "1", "1"), ("2", "EWR", "1", "2"))) == [(1, None, "unique", None)]


@pytest.mark.parametrize(
    ("tidy", "word"),
    [
        (lambda tidy: tidy.drop("day"), "day"),
        (lambda tidy: tidy.with_columns(gate=pl.lit("A1")), "gate"),
        (lambda tidy: tidy.with_columns(pl.col("delay_min").cast(pl.Float64)), "delay_min"),
    ],
)
def test_a_table_of_another_shape_is_an_error_and_no_matter_of_rows(tidy, word):
    raw = raw_rows(("1", "EWR", "1", "1"))
    with pytest.raises(ValueError, match=word):
        find_failures(raw, tidy(parse(raw)), SCHEMA, {}, NULLS)


def test_no_rows_have_no_failures():
    raw = raw_rows()
    found = find_failures(raw, parse(raw), SCHEMA, PARSED_FROM, NULLS)
    assert found.is_empty()
    assert [len(frame) for frame in split_rows(raw, parse(raw), found)] == [0, 0]


cells = st.tuples(
    st.sampled_from(["1", "700", "x", "NA", ""]),
    st.sampled_from(["EWR", "JFK", "LGA", "NA"]),
    st.sampled_from(["1", "2", "13"]),
    st.sampled_from(["1", "30", ""]),
)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(st.lists(cells, max_size=12))
def test_each_row_is_either_passed_or_quarantined_in_its_order(rows):
    raw = raw_rows(*rows)
    tidy = parse(raw)
    failures = find_failures(raw, tidy, SCHEMA, PARSED_FROM, NULLS)
    passed, quarantined = split_rows(raw, tidy, failures)
    bad = sorted(set(failures["row"]))
    assert quarantined["row"].to_list() == bad
    assert_frame_equal(quarantined.select(raw.columns), raw[bad])
    assert_frame_equal(passed, tidy[[n for n in range(len(raw)) if n not in bad]])
    assert quarantined["failures"].list.len().sum() == len(failures)
    if len(passed):
        SCHEMA.validate(passed, lazy=True)
