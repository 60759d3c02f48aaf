"""The publisher's monthly files: which months there are, and the needed columns of one of them, every line a row.

A month is the zip as published, or a parquet file of the same stem and column names.  The CSV inside a zip holds 109
named columns and an empty one in about 225 MB; it is inflated, counted and parsed in small blocks, so that only the
needed columns are ever held.  Names of columns count, not their places.
"""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl

STEM = "On_Time_Reporting_Carrier_On_Time_Performance_1987_present"
PUBLISHED = re.compile(rf"{STEM}_(\d{{4}})_(\d{{1,2}})\.(?:zip|parquet)")
BLOCK_BYTES = 4 << 20  # measured: from 4 MiB on the parser costs no less, and a block's memory is reused by the next
COUNTED_BYTES = 1 << 18  # counts run over pieces that stay in the processor's cache
NO_LINE_ENDS_SO_FAR = 64 << 20
LINE = "line"
"""The column for the text of a line that does not have the header's number of fields; null for any other."""


def months(raw: Path) -> list[str]:
    """Months present in the folder, as YYYY-MM, in order."""
    return sorted(_by_month(raw))


def month_files(raw: Path, month: str) -> list[str]:
    """The name of the one file that holds the month."""
    names = _by_month(raw).get(month, [])
    if len(names) > 1:
        raise ValueError(f"wanted one file for {month}; found {' and '.join(names)}; remove all but one")
    if not names:
        raise FileNotFoundError(f"{STEM}_{int(month[:4])}_{int(month[5:])}.zip")
    return names


def _by_month(raw: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in sorted(path.name for path in raw.iterdir()):
        if matched := PUBLISHED.fullmatch(name):
            year, month = int(matched[1]), int(matched[2])
            if not (1 <= month <= 12 and year >= 1987):
                raise ValueError(f"wanted the files of months since 1987; found {name}; remove or rename it")
            found.setdefault(f"{year}-{month:02d}", []).append(name)
    return found


def read_month(raw: Path, month: str, columns: Sequence[str]) -> pl.DataFrame:
    """``columns`` and `LINE` of every published row, as text, in order."""
    (name,) = month_files(raw, month)
    rows = _read_parquet(raw / name, columns) if name.endswith(".parquet") else _read_zip(raw / name, columns)
    if rows.is_empty():
        raise ValueError(f"wanted the flights of {month}; found a header and no row in {name}; download it again later")
    return rows


def _read_parquet(path: Path, columns: Sequence[str]) -> pl.DataFrame:
    stored = list(pl.read_parquet_schema(path))
    _refuse_lacking(columns, stored)
    return pl.read_parquet(path, columns=list(columns)).select(
        *(pl.col(name).cast(pl.String) for name in columns), pl.lit(None, pl.String).alias(LINE)
    )


def _read_zip(path: Path, columns: Sequence[str]) -> pl.DataFrame:
    with path.open("rb") as file:
        start = file.read(512).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ValueError(
            f"wanted a zip in {path.name}; found a web page, as the server sends when busy; download it again"
        )
    with zipfile.ZipFile(path) as archive:
        members = [name for name in archive.namelist() if name.lower().endswith(".csv")]
        if len(members) != 1:
            raise ValueError(f"wanted one CSV in {path.name}; found {', '.join(archive.namelist()) or 'nothing'}")
        with archive.open(members[0]) as lines:  # reading to the end compares its CRC with the archive's
            return _read_csv(lines, columns)


def _read_csv(file: IO[bytes], columns: Sequence[str]) -> pl.DataFrame:
    head = file.readline(1 << 16).decode("utf-8-sig", errors="replace").rstrip("\r\n")
    names = [name.strip() for name in _fields(head)]
    _refuse_lacking(columns, names)
    places = [names.index(name) for name in columns]
    blocks = [_parse_block(block, len(names), places, columns) for block in _blocks(file)]
    empty = pl.DataFrame(schema=dict.fromkeys((*columns, LINE), pl.String))
    return pl.concat(blocks or [empty], rechunk=False)


def _refuse_lacking(columns: Sequence[str], found: Sequence[str]) -> None:
    if lacking := [name for name in columns if name not in found]:
        raise ValueError(f"no column {', '.join(lacking)} among {', '.join(found[:30])}")


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Pieces of about `BLOCK_BYTES` that end where a line ends."""
    rest = b""
    while piece := file.read(BLOCK_BYTES):
        cut = piece.rfind(b"\n") + 1
        if cut:
            yield rest + piece[:cut]
            rest = piece[cut:]
        else:
            rest += piece
        if len(rest) > NO_LINE_ENDS_SO_FAR:
            raise ValueError("wanted lines of text; found none that ends")
    if rest:
        yield rest


def _parse_block(block: bytes, n_fields: int, places: Sequence[int], columns: Sequence[str]) -> pl.DataFrame:
    """One row per line.  Where the parser and a plain count disagree, each line is read on its own."""
    lines, commas = _count(block)
    if commas == lines * (n_fields - 1):
        try:
            rows = pl.read_csv(
                block,
                has_header=False,
                schema={f"column_{place + 1}": pl.String for place in range(n_fields)},
                columns=sorted(places),
                empty_string_is_null=False,
                encoding="utf8-lossy",
            )
        except pl.exceptions.PolarsError:  # a stray quote
            return _parse_lines(block, n_fields, places, columns)
        if len(rows) == lines:
            rows.columns = [columns[places.index(place)] for place in sorted(places)]
            return rows.select(*columns, pl.lit(None, pl.String).alias(LINE))
    return _parse_lines(block, n_fields, places, columns)


def _count(block: bytes) -> tuple[int, int]:
    """Lines, and commas that part fields: the publisher's only others follow a city ("Chicago, IL"), before a space.

    The parser fills short lines up and cuts long ones off without a word; this tells, for a tenth of its cost.
    """
    text = np.frombuffer(block, np.uint8)
    lines = commas = 0
    for start in range(0, len(text), COUNTED_BYTES):
        piece = text[start : start + COUNTED_BYTES + 1]  # one byte further, to see what follows the last comma
        lines += int(np.count_nonzero(piece[:COUNTED_BYTES] == ord("\n")))
        parts = piece[:-1] == ord(",")
        parts &= piece[1:] != ord(" ")
        commas += int(np.count_nonzero(parts))
    commas += len(text) > 0 and text[-1] == ord(",")  # at the end of a file that lacks its last line end
    return lines + (len(text) > 0 and text[-1] != ord("\n")), commas


def _parse_lines(block: bytes, n_fields: int, places: Sequence[int], columns: Sequence[str]) -> pl.DataFrame:
    """One row per line that holds anything; one with another number of fields keeps only its text, in `LINE`."""
    rows: list[tuple[str | None, ...]] = []
    for line in block.split(b"\n"):
        text = line.decode(errors="replace").rstrip("\r")
        if not text.strip():
            continue
        fields = _fields(text)
        if len(fields) == n_fields:
            rows.append((*(fields[place] for place in places), None))
        else:
            rows.append((*(None for _ in places), text))
    return pl.DataFrame(rows, schema=dict.fromkeys((*columns, LINE), pl.String), orient="row")


def _fields(line: str) -> list[str]:
    """The fields of one line; none where its quotes do not match."""
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error:
        return []
