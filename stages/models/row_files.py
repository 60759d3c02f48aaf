"""Rows in files, a piece at a time: every field counted, no blank line taken for a row, the order kept.

Memory does not grow with a file, for a piece is 16 MiB of text or 65,536 rows of parquet.  In CSV, Polars fills a short
row with nulls and reads a blank line as a row of them, so commas and line ends are counted first; a line that is wrong
is then looked for by Python's `csv`.  In JSON lines a missing key reads as null: rows with a null are looked at again.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl

from stages.records.lines import likely_cause
from stages.workspace.errors import UserError

BLOCK = 1 << 24  # bytes of text parsed at once
ROWS_AT_ONCE = 1 << 16
SHOWN = 5
LONGEST_ROW = 1 << 27  # bytes; beyond, a quote was never closed
STRAY = "look for a quote without its partner"
Kinds = Mapping[str, str]
"""The kind of every input by name: numeric or categorical."""


@dataclass(frozen=True)
class Piece:
    """Some rows of a file, with the columns of all its rows, and the blank lines skipped among them."""

    rows: pl.DataFrame
    blank_lines: int = 0


def read_pieces(path: Path, kinds: Kinds) -> Iterator[Piece]:
    """The rows of a file in its order; a row that lacks a field or has one too many is a `UserError` with its line.

    Fields of a CSV file are texts, but for the inputs that are numbers where all of a piece can be read as such.
    """
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise UserError(f"a file of rows in one of {SUFFIXES}", str(path), "convert it, or rename it")
    try:
        with path.open("rb") as file:
            yield from read(file, path, kinds)
    except FileNotFoundError:
        raise UserError(f"the rows {path}", "no such file", "check the path") from None
    except (IsADirectoryError, PermissionError) as error:
        raise UserError(f"the rows {path}", str(error.strerror), "name a file that can be read") from None
    except (pl.exceptions.PolarsError, ValueError, csv.Error, OSError) as error:  # pyarrow raises the built-in ones
        with path.open("rb") as file:
            cause = likely_cause([file.readline(1 << 16).decode(errors="replace")], [])
        found = cause or f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise UserError(f"rows in {path}", found, "open it and check its header and encoding (UTF-8)") from None


def _records(file: IO[bytes], path: Path, *, quoted: bool) -> Iterator[bytes]:
    """Whole records, some `BLOCK` bytes of them at a time; where ``quoted``, a line end between quotes ends none."""
    rest = b""
    while more := file.read(BLOCK):
        text = rest + more
        end = text.rfind(b"\n") + 1
        odd = quoted and text.count(b'"', 0, end) % 2
        while odd and end:
            before = text.rfind(b"\n", 0, end - 1) + 1
            odd ^= text.count(b'"', before, end) % 2
            end = before
        if end:
            yield text[:end]
        rest = text[end:]
        if len(rest) > LONGEST_ROW:
            raise UserError(f"rows of at most {LONGEST_ROW >> 20} MiB in {path}", "a longer one", STRAY)
    if rest:
        yield rest if rest.endswith(b"\n") else rest + b"\n"


# ── CSV ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _read_csv(file: IO[bytes], path: Path, kinds: Kinds) -> Iterator[Piece]:
    header, columns, line = b"", list[str](), 1
    for block in _records(file, path, quoted=True):
        text, blank = block, 0
        if not header:
            text = block.lstrip(b"\r\n")
            blank = block[: len(block) - len(text)].count(b"\n")
            header = text[: _first_end(text)]
            if cause := likely_cause([header.decode(errors="replace")], []):
                raise UserError(f"rows in {path}", cause, "run that command, then score the file that it writes")
            columns, text = _names(header, path), text[len(header) :]
            line += blank + header.count(b"\n")
        rows, skipped = _parse_rows(header, text, columns, line, path, kinds)
        yield Piece(rows, blank + skipped)
        line += text.count(b"\n")


def _parse_rows(
    header: bytes, text: bytes, columns: list[str], line: int, path: Path, kinds: Kinds
) -> tuple[pl.DataFrame, int]:
    """The rows of a text that begins in this line of the file, and how many lines of it were blank."""
    blank, (commas, rows) = 0, _outside_quotes(text)
    if commas != rows * (len(columns) - 1) or len(columns) == 1 or text.count(b'"') % 2:
        text, rows, blank = _whole_rows(text, len(columns), line, path)
    if not rows:
        return pl.DataFrame(), blank
    wanted = f"quotes in pairs, around whole fields, in {path}"
    try:
        found = _parse_csv(header + text, columns, kinds)
    except pl.exceptions.ComputeError as error:
        _whole_rows(text, len(columns), line, path)  # a row too long, which one too short may have made up for
        if b'"' not in text:
            raise
        raise UserError(wanted, f"{str(error).splitlines()[0]}, from line {line} on", STRAY) from None
    if len(found) != rows:
        raise UserError(wanted, f"{rows:,} rows that read as {len(found):,}, from line {line} on", STRAY)
    return found, blank


def _first_end(text: bytes) -> int:
    end = text.find(b"\n") + 1
    while end and text.count(b'"', 0, end) % 2:
        end = text.find(b"\n", end) + 1
    return end or len(text)


def _names(header: bytes, path: Path) -> list[str]:
    columns = pl.read_csv(header, infer_schema=False).columns if header else []
    if twice := [name for name in columns if f"{name}_duplicated_0" in columns]:  # so Polars calls the second
        raise UserError(f"every column of {path} once", f"twice: {', '.join(twice)}", "remove one of the two")
    return columns


def _outside_quotes(text: bytes) -> tuple[int, int]:
    """Commas and line ends that are not between quotes."""
    letters = np.frombuffer(text, np.uint8)  # counts what is frequent twice as fast as bytes do
    commas, ends = letters == ord(","), letters == ord("\n")
    if b'"' in text:
        outside = np.cumsum(letters == ord('"'), dtype=np.uint8) % 2 == 0
        commas, ends = commas & outside, ends & outside
    return int(np.count_nonzero(commas)), int(np.count_nonzero(ends))


def _whole_rows(text: bytes, width: int, line: int, path: Path) -> tuple[bytes, int, int]:
    """The text without its blank lines, its rows and how many lines were blank; refuses a row of another width."""
    lines = io.BytesIO(text).readlines()
    reader = csv.reader(each.decode("latin-1") for each in lines)  # which only counts, and takes any byte
    kept, rows, start = list[bytes](), 0, 0
    for fields in reader:
        record = lines[start : reader.line_num]
        if b"".join(record).strip():
            if len(fields) != width:
                raise UserError(
                    f"{width} fields in every line of {path}, as in its header",
                    f"{len(fields)} in line {line + start}",
                    "correct the line: an empty field is a missing value, and a blank line is skipped",
                )
            kept += record
            rows += 1
        start = reader.line_num
    return b"".join(kept), rows, len(lines) - len(kept)


def _parse_csv(text: bytes, columns: list[str], kinds: Kinds) -> pl.DataFrame:
    """Numbers as such where all are finite ones, else every field as text: an NA is for the signature to judge."""
    texts: dict[str, Any] = dict.fromkeys(columns, pl.String)
    numbers = {name: pl.Float32 for name in columns if kinds.get(name) == "numeric"}
    try:
        found = pl.read_csv(text, schema=texts | numbers)
        if not numbers or not found.select(pl.any_horizontal(pl.col(list(numbers)).is_infinite().any())).item():
            return found
    except pl.exceptions.ComputeError:
        pass
    return pl.read_csv(text, schema=texts)


# ── JSON lines ───────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class _Lines:
    """Lines with something on them: their numbers in the file, their bytes, the rows that they read as."""

    numbers: list[int]
    texts: list[bytes]
    rows: pl.DataFrame
    blank: int


def _read_json(file: IO[bytes], path: Path, kinds: Kinds) -> Iterator[Piece]:
    known = pl.DataFrame()  # every key of the file, with a type that holds the values of all lines; no row
    for lines in _json_lines(file, path):
        known = pl.concat([known, lines.rows.clear()], how="diagonal_relaxed")
    inputs = [name for name in kinds if name in known.columns]
    file.seek(0)
    for lines in _json_lines(file, path):
        rows = pl.concat([known, lines.rows], how="diagonal_relaxed")
        for place in rows.select(pl.any_horizontal(pl.col(inputs).is_null()).arg_true()).to_series() if inputs else ():
            given = json.loads(lines.texts[place])
            if lacking := [name for name in inputs if name not in given]:
                raise _lacking(path, lines.numbers[place], lacking)
        yield Piece(rows, lines.blank)


def _json_lines(file: IO[bytes], path: Path) -> Iterator[_Lines]:
    first = 1
    for block in _records(file, path, quoted=False):
        texts = block.split(b"\n")[:-1]
        places = [place for place, text in enumerate(texts) if text.strip()]
        filled, numbers = [texts[place] for place in places], [first + place for place in places]
        first += len(texts)
        if not filled:
            yield _Lines([], [], pl.DataFrame(), len(texts))
            continue
        try:
            rows = pl.read_ndjson(b"\n".join(filled), infer_schema_length=None)
        except pl.exceptions.PolarsError:
            _refuse_no_object(path, numbers, filled)
            raise
        if not rows.width:
            raise _lacking(path, numbers[0], ["key"])
        if len(rows) != len(filled):
            _refuse_no_object(path, numbers, filled)
        yield _Lines(numbers, filled, rows, len(texts) - len(filled))


def _refuse_no_object(path: Path, numbers: list[int], texts: list[bytes]) -> None:
    for number, text in zip(numbers, texts, strict=True):
        try:
            found = "" if isinstance(json.loads(text), dict) else "something else"
        except ValueError as error:
            found = str(error)
        if found:
            raise UserError(f"a JSON object in every line of {path}", f"line {number}: {found}", "correct the line")


def _lacking(path: Path, line: int, names: list[str]) -> UserError:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return UserError(
        f"every input in every line of {path}",
        f"line {line} has no {', '.join(names[:SHOWN])}{more}",
        "write null where a value is missing",
    )


# ── parquet ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def _read_parquet(file: IO[bytes], _path: Path, _kinds: Kinds) -> Iterator[Piece]:
    """Page by page: Polars decodes whole row groups, a gigabyte where a file of five million rows is one of them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(file, pre_buffer=False).iter_batches(ROWS_AT_ONCE, use_threads=False):
        rows = pl.from_arrow(pa.Table.from_batches([batch]))
        assert isinstance(rows, pl.DataFrame)
        yield Piece(rows)


READERS: Mapping[str, Callable[[IO[bytes], Path, Kinds], Iterator[Piece]]] = {
    ".csv": _read_csv,
    ".parquet": _read_parquet,
    ".jsonl": _read_json,
    ".ndjson": _read_json,
}
SUFFIXES = ", ".join(READERS)
