"""A month of flights in the publisher's format: the zip as it is published, or parquet of the same columns as texts.

What is written here is simulated, and says so: in the zip beside the CSV, in the metadata of the parquet file.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import polars as pl

from stages.clean import SIMULATED_MEMBER, SIMULATED_METADATA
from stages.workspace.files import whole_file

STEM = "On_Time_Reporting_Carrier_On_Time_Performance_1987_present"
STEM_OF_CSV = "On_Time_Reporting_Carrier_On_Time_Performance_(1987_present)"
PUBLISHED = re.compile(rf"{STEM}_(\d{{4}})_(1[0-2]|[1-9])\.(zip|parquet)")
LINES_AT_ONCE = 100_000
DEFLATE_LEVEL = 1  # measured: 4.5 times as fast as level 6, a third larger
WORDS = """\
Simulated, not observed. These flights were made by `python -m benchmarks.simulate` from real ones: repeated, their
times, numbers and aircraft changed. They are for measuring what large data costs; nothing about flights follows from
them.
"""


def file_name(month: str, suffix: str) -> str:
    """The publisher's name of a month's file."""
    return f"{STEM}_{numbers(month)}.{suffix}"


def numbers(month: str) -> str:
    """``2008-03`` as the publisher writes it: ``2008_3``."""
    return f"{month[:4]}_{int(month[-2:])}"


def read_month(file: Path) -> pl.DataFrame:
    """One published month, every value as text.

    Raises
    ------
    ValueError
        Wanted, found and next step, where the file is no such month.
    """
    if file.suffix == ".parquet":
        return pl.read_parquet(file).cast(pl.String)
    try:
        with zipfile.ZipFile(file) as archive:
            member = next(name for name in archive.namelist() if name.lower().endswith(".csv"))
            flights = pl.read_csv(archive.read(member), infer_schema=False, encoding="utf8-lossy")
    except (zipfile.BadZipFile, StopIteration, pl.exceptions.PolarsError) as error:
        found = f"{file.name}: {error or 'no CSV in it'}"
        raise ValueError("a month as the publisher has it, a zip with a CSV", found, "fetch it again") from error
    return flights.drop("", strict=False)  # the publisher ends every line with a comma


def write_zip(path: Path, flights: pl.DataFrame, month: str) -> None:
    """The month as the publisher would, and the mark."""
    with (
        whole_file(path) as aside,
        zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED, compresslevel=DEFLATE_LEVEL) as archive,
    ):  # `open` dates its members 1980-01-01, `writestr` would ask the clock
        with archive.open(f"{STEM_OF_CSV}_{numbers(month)}.csv", "w") as member:
            member.write(csv_header(flights.columns))
            for some in flights.iter_slices(LINES_AT_ONCE):
                member.write(csv_lines(some))
        with archive.open("readme.html", "w") as member:
            member.write(f"<html><body><h1>Simulated</h1><p>{WORDS}</p></body></html>\n".encode())
        with archive.open(SIMULATED_MEMBER, "w") as member:
            member.write(WORDS.encode())


def write_parquet(path: Path, flights: pl.DataFrame, _month: str) -> None:
    """The month for those who converted theirs: the publisher's columns as texts, and the mark."""
    with whole_file(path) as aside:
        flights.write_parquet(aside, compression="zstd", row_group_size=262_144, metadata=SIMULATED_METADATA)


# ── the publisher's CSV ──────────────────────────────────────────────────────────────────────────────────────────────
NUMBERED = ("Airport", "WheelsOn", "WheelsOff", "TailNum")
QUOTED = frozenset({
    "Reporting_Airline", "IATA_CODE_Reporting_Airline", "Tail_Number", "Flight_Number_Reporting_Airline",
    *(f"{end}{what}" for end in ("Origin", "Dest") for what in ("", "CityName", "State", "StateFips", "StateName")),
    *("CRSDepTime", "DepTime", "WheelsOff", "WheelsOn", "CRSArrTime", "ArrTime", "DepTimeBlk", "ArrTimeBlk"),
    "CancellationCode",
    *(f"Div{stop}{what}" for stop in range(1, 6) for what in NUMBERED),
})  # fmt: skip


def csv_header(columns: Sequence[str]) -> bytes:
    """The first line as published: every name quoted, and a comma behind the last."""
    return ("".join(f'"{name}",' for name in columns) + "\n").encode()


def csv_lines(flights: pl.DataFrame) -> bytes:
    """Lines as published: texts quoted, numbers bare, nothing for what is unknown, a comma behind the last value."""
    empty = set(empty_columns(flights))
    values: list[pl.Expr] = []
    for is_empty, names in groupby([*flights.columns, ""], key=lambda name: not name or name in empty):
        run = list(names)
        if is_empty:  # written as one value, the commas between them: most of a month is such columns
            values.append(pl.lit("," * (len(run) - 1)).alias(run[0]))
        else:
            values += [pl.format('"{}"', name).alias(name) if name in QUOTED else pl.col(name) for name in run]
    return flights.select(values).write_csv(include_header=False, quote_style="never").encode()


def empty_columns(flights: pl.DataFrame) -> list[str]:
    """Columns without a single value: most of a month."""
    return [name for name in flights.columns if flights[name].null_count() == len(flights)]
