"""Rows of files in pieces: the same as Python's own readers find, whatever the size of a piece."""

import csv
import io
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.models import row_files
from stages.models.row_files import read_pieces
from stages.workspace.errors import UserError

TEXTS = st.text(alphabet='ab,"\n é', max_size=6)


def read(path: Path, content: bytes, block: int, **kinds: str) -> tuple[pl.DataFrame, int]:
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_files, "BLOCK", block)
        pieces = list(read_pieces(path, kinds))
    return pl.concat(piece.rows for piece in pieces if len(piece.rows)), sum(piece.blank_lines for piece in pieces)


@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=12), st.integers(1, 60), st.sampled_from("\n\r"))
def test_quoted_texts_are_those_that_pythons_csv_reads(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]], block: int, end: str
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n" if end == "\n" else "\r\n").writerows([("x", "y", "z"), *rows])
    found, blank = read(tmp_path_factory.mktemp("rows") / "rows.csv", text.getvalue().encode(), block)
    assert found.fill_null("").rows() == rows
    assert blank == 0


@pytest.mark.parametrize("text", ['x,y\n5" pipe,1\nb,2\n', 'x,y\n5" pipe,1\n6" pipe,2\nb,3\n', 'x,y\na,1"\nb,"2"\n'])
def test_a_stray_quote_swallows_no_line_or_is_refused(tmp_path: Path, text: str) -> None:
    rows = list(csv.reader(io.StringIO(text)))[1:]
    for block in (1, 9, 1 << 24):
        try:
            found, _ = read(tmp_path / "rows.csv", text.encode(), block)
        except UserError:
            continue
        assert [list(row) for row in found.fill_null("").rows()] == rows


def test_a_quote_that_is_never_closed_is_refused_before_memory_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_files, "LONGEST_ROW", 1000)
    with pytest.raises(UserError, match="a quote without its partner"):
        read(tmp_path / "rows.csv", b'x,y\n1,"2\n' + b"3,4\n" * 1000, 100)


def test_in_one_column_a_blank_line_is_none_of_its_rows(tmp_path: Path) -> None:
    assert read(tmp_path / "rows.csv", b'x\n1\n\n""\n2', 1 << 24)[0]["x"].fill_null("").to_list() == ["1", "", "2"]


@pytest.mark.parametrize("values", [["1", "2.5", ""], [" 1", "1e3", "NaN"], ["1e39", "2", "3"], ["NA", "1", "true"]])
def test_numbers_are_the_same_whether_read_as_such_or_as_text(tmp_path: Path, values: list[str]) -> None:
    content = "".join(f"{value},a\n" for value in ["x", *values]).replace("x,a", "x,y").encode()
    as_numbers, as_text = (
        read(tmp_path / "rows.csv", content, 1 << 24, **kinds)[0] for kinds in ({"x": "numeric"}, {})
    )
    assert as_text["x"].dtype == pl.String
    if as_numbers["x"].dtype == pl.Float32:
        assert as_numbers["x"].equals(as_text["x"].str.strip_chars().cast(pl.Float32))
    else:
        assert as_numbers.equals(as_text)


@pytest.mark.parametrize("block", [1, 30, 1 << 24])
def test_lines_of_json_have_one_type_for_each_key_wherever_it_turns_up(tmp_path: Path, block: int) -> None:
    objects = [{"a": 1, "b": None}, {"a": 2, "b": "x", "c": [1]}, {"a": 2.5, "b": 3, "c": None}]
    found, blank = read(tmp_path / "rows.jsonl", "\n\n".join(map(json.dumps, objects)).encode(), block)
    assert found.to_dicts() == [
        {"a": 1.0, "b": None, "c": None}, {"a": 2.0, "b": "x", "c": [1]}, {"a": 2.5, "b": "3", "c": None}
    ]  # fmt: skip
    assert blank == 2
