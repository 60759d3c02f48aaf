"""Delimited text: every line is a row, whatever is wrong with it, and a header that lacks something tells why."""

import csv
import io

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.records import lines
from stages.records.lines import LINE, Format, lacking_words, read_lines, read_records

WANTED = ["day", "delay_min", "origin"]


def read(text: str | bytes, **how) -> list[tuple]:
    return read_lines(io.BytesIO(text if isinstance(text, bytes) else text.encode()), **how).rows()


def test_fields_are_texts_and_columns_count_by_name() -> None:
    text = 'a,b,c\r\n1,,x\r\n"2, or 3",NA,"say ""hi"""\r\n'
    assert read(text) == [("1", "", "x", None), ("2, or 3", "NA", 'say "hi"', None)]
    assert read(text, columns=["c", "a"]) == [("x", "1", None), ('say "hi"', "2, or 3", None)]
    assert read("1 2\n3 4", names=["a", "b"], form=Format(" ")) == [("1", "2", None), ("3", "4", None)]
    assert read("old\n5\n", called={"old": "new"}, columns=["new"]) == [("5", None)]


def test_a_blank_line_is_a_row_only_where_a_row_is_one_field() -> None:
    assert read("a,b\n1,2\n\n  \n3,4\n\n") == [("1", "2", None), ("3", "4", None)]
    assert read("a\n1\n\n3\n") == [("1", None), ("", None), ("3", None)]


def test_a_short_and_a_long_line_do_not_make_up_for_each_other() -> None:
    assert read("a,b,c\n1,2\n1,2,3,4\n5,6,7\n") == [
        (None, None, None, "1,2"), (None, None, None, "1,2,3,4"), ("5", "6", "7", None)
    ]  # fmt: skip


def test_a_quote_that_is_no_quote_swallows_nothing() -> None:
    assert read('a,b\n"1,2\n3,4\n') == [(None, None, '"1,2'), ("3", "4", None)]
    assert read('a,b\n"1,2\n3,4\n', form=Format(quotes=False)) == [('"1', "2", None), ("3", "4", None)]


fields = st.text(st.sampled_from(list('ab1 ,"é')), max_size=4)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(rows=st.lists(st.lists(fields, min_size=1, max_size=4), max_size=8), block=st.sampled_from([8, 40, 1 << 20]))
def test_what_python_writes_is_read_back_and_a_row_of_other_length_keeps_its_text(rows, block) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([["x", "y", "z"], *rows])
    texts = [line for line in out.getvalue().split("\n")[1:] if line.strip()]
    wanted = [
        (*found, None) if len(found := next(csv.reader([line]))) == 3 else (None, None, None, line) for line in texts
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK_BYTES", block)
        assert read(out.getvalue()) == wanted


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("day;delay_min;origin\n", "parted by semicolons"),
        ("day\tdelay_min\torigin\n", "parted by tabs"),
        ("DAY;Delay_min;ORIGIN\n", "parted by semicolons"),
        ("Day,DELAY_MIN,origin\n", "Day for day, DELAY_MIN for delay_min"),
        ("sep=;\nday;delay_min;origin\n", "`sed 1d"),
        ("day,delay_min,origin\n".encode("utf-16"), "`iconv -f UTF-16"),
        ("day,delay_min,origin\n".encode("utf-16-le"), "`iconv -f UTF-16"),
    ],
)
def test_a_header_of_another_kind_of_file_is_told_by_its_cause_and_the_command(text, cause) -> None:
    with pytest.raises(ValueError, match="no column day") as refused:
        read(text, columns=WANTED)
    assert cause in str(refused.value)


def test_the_command_for_semicolons_does_what_it_says(tmp_path) -> None:
    import subprocess

    told = lacking_words(["day;delay_min;origin"], WANTED)
    command = told.split("`")[1].replace("OLD", "old.csv").replace("NEW", "new.csv")
    (tmp_path / "old.csv").write_text('day;delay_min;origin\n1;"2,5";x\n')
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    assert read((tmp_path / "new.csv").read_bytes(), columns=WANTED) == [("1", "2,5", "x", None)]


@pytest.mark.parametrize(("text", "found"), [("", "an empty file"), ("\n\n", "an empty file"), ("a,b,a\n", "twice")])
def test_a_file_without_a_usable_header_says_so(text, found) -> None:
    with pytest.raises(ValueError, match=found):
        read(text)


def test_bytes_that_are_no_text_and_a_byte_order_mark_cost_nothing() -> None:
    rows = read_lines(io.BytesIO(b"\xef\xbb\xbfday,origin\n1,\xff\n"))
    assert rows.columns == ["day", "origin", LINE]
    assert rows.schema == pl.Schema(dict.fromkeys(rows.columns, pl.String))
    assert rows.rows() == [("1", "\ufffd", None)]


def test_records_may_hold_line_breaks_within_quotes() -> None:
    text = '\ufefftext,label\n"It works,\r\nand ""well"".",good\n\nshort\n"\u05e9\u05dc\u05d5\u05dd \0",bad\n'.encode()
    assert read_records(io.BytesIO(text + b"caf\xe9,good\n")).rows() == [
        ('It works,\r\nand "well".', "good", None),
        (None, None, "short"),
        ("\u05e9\u05dc\u05d5\u05dd \0", "bad", None),
        ("caf\ufffd", "good", None),
    ]


@pytest.mark.parametrize(
    ("text", "told"), [(b"", "empty file"), (b"\n\n", "empty file"), (b"a,a\n1,2\n", "twice: a, a")]
)
def test_records_want_a_header(text: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_records(io.BytesIO(text))


def test_a_text_longer_than_the_standard_library_expects_is_read() -> None:
    assert len(read_records(io.BytesIO(b"text,label\n" + b"word " * 200_000 + b",good\n"))["text"][0]) == 1_000_000
