"""The publisher's monthly files: which months there are, and the needed columns of one of them, every line a row.

A month is the zip as published, or a parquet file of the same stem and column names.  The CSV inside a zip holds 109
named columns and an empty one in about 225 MB.  Files fetched before 2018 have other names, and so have three of their
columns; they are read as well.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from stages.records.lines import LINE, lacking_words, read_lines

STEM = "On_Time_Reporting_Carrier_On_Time_Performance_1987_present"
OLD_STEM = "On_Time_On_Time_Performance"
PUBLISHED = re.compile(rf"(?:{STEM}|{OLD_STEM})_(\d{{4}})_(\d{{1,2}})\.(?:zip|parquet)")
OLD_COLUMNS = {
    "UniqueCarrier": "Reporting_Airline",
    "TailNum": "Tail_Number",
    "FlightNum": "Flight_Number_Reporting_Airline",
}
COUNTED_BYTES = 1 << 18  # counts run over pieces that stay in the processor's cache


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
    stored = {OLD_COLUMNS.get(name, name): name for name in pl.read_parquet_schema(path)}
    if lacking := lacking_words(list(stored), columns):
        raise ValueError(lacking)
    return pl.read_parquet(path, columns=[stored[name] for name in columns]).select(
        *(pl.col(stored[name]).cast(pl.String).alias(name) for name in columns), pl.lit(None, pl.String).alias(LINE)
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
            return read_lines(lines, columns, called=OLD_COLUMNS, count=_count)


def _count(block: bytes) -> tuple[int, int]:
    """Lines, and commas that part fields: the publisher's only others follow a city ("Chicago, IL"), before a space.

    It tells what the parser does not (see `stages.records.lines`), for a tenth of the parser's cost.
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
