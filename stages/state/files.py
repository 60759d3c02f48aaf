"""A file of rows as published, a few partitions at a time: rows of one know each other, so they come together."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from stages.models.bundle import Bundle
from stages.models.row_files import read_pieces
from stages.records.contract import Table
from stages.runtime.log import log
from stages.state.facts import wanted_columns
from stages.state.requests import Known, Prepared
from stages.state.seed import dataset_of
from stages.workspace.errors import UserError
from stages.workspace.files import whole_file

SHOWN = 20  # refused rows in a message


def is_published(columns: Collection[str], bundle: Bundle) -> bool:
    """Whether rows with these columns are as published, and not of the model's inputs.

    Where every input is there, they are of inputs, whatever else is.  Where neither way is complete, the one counts of
    which a larger share is there, so that it is told what that one lacks.
    """
    given, inputs = {*columns}, {str(entry["name"]) for entry in bundle.signature["inputs"]}
    if inputs <= given or (dataset := dataset_of(bundle.folder)) is None:
        return False
    published = {*wanted_columns(dataset, dataset.records)}
    return len(given & published) * len(inputs) > len(given & inputs) * len(published)


def columns_of(path: Path) -> list[str]:
    """The columns of a file; none where it has no row."""
    return next((piece.rows.columns for piece in read_pieces(path, {}) if len(piece.rows)), [])


def prepare_file(known: Known, path: Path, at: datetime | None = None) -> Iterator[tuple[int, pl.DataFrame, Prepared]]:
    """What becomes of the rows of a file as published: a few partitions at a time, where its rows look at each other.

    Each time how many rows came before, these rows as they were given, and what `Known.prepare` makes of them.
    """
    before, pieces = 0, read_text(path)
    if known.dataset.looks_back is not None:
        pieces = whole_partitions(pieces, known.dataset.records)
    for rows in pieces:
        yield before, rows, known.prepare(rows, at, keep=True)
        before += len(rows)


def read_text(path: Path) -> Iterator[pl.DataFrame]:
    """The rows of a file piece by piece, every value as text."""
    for piece in read_pieces(path, {}):
        if len(piece.rows):
            yield piece.rows.cast(pl.String)


@contextmanager
def plain_file(path: Path) -> Iterator[Path]:
    """``path``; for ``-`` a file of what comes by standard input: JSON lines where it begins with a brace, else CSV."""
    if str(path) != "-":
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        first = sys.stdin.buffer.read(1)
        aside = Path(folder) / ("stdin.jsonl" if first == b"{" else "stdin.csv")
        with aside.open("wb") as file:
            file.write(first)
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield aside


def whole_partitions(pieces: Iterable[pl.DataFrame], table: Table) -> Iterator[pl.DataFrame]:
    """The rows of all pieces in their order, cut only where a partition ends.

    Raises
    ------
    UserError
        Where a partition goes on after a cut: its rows would not know each other.
    """
    waiting, done = None, set[str]()
    for piece in pieces:
        if table.partition_of is None:
            yield piece
            continue
        waiting = piece if waiting is None else pl.concat([waiting, piece], how="diagonal")
        names = waiting.select(table.partition_of.fill_null(strategy="forward").alias("name"))["name"]
        if again := done & {*names.unique().drop_nulls()}:
            raise UserError(
                f"the rows of {min(again)} together, for rows of a {table.name} file know each other",
                "more of them after those of others, in a file that is read a piece at a time",
                "sort the file by day",
            )
        end = int((names == names[-1]).fill_null(True).arg_max() or 0)
        if end:
            yield waiting[:end]
            done |= {*names[:end].drop_nulls()}
            waiting = waiting[end:]
    if waiting is not None and len(waiting):
        yield waiting


class Refusals:
    """Rows that failed a check, with their number in the file, from 1 on, and their reasons; none is lost."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.rows: list[dict[str, Any]] = []

    def add(self, rows: pl.DataFrame, refused: pl.DataFrame, before: int) -> None:
        """Keep the rows that were refused of some, the first of which has ``before`` rows before it."""
        for (place,), reasons in refused.group_by("row", maintain_order=True):
            told = reasons.select("column", "check", "value").rows()
            given = {name: value for name, value in rows.row(int(str(place)), named=True).items() if value is not None}
            self.rows.append({"row": before + int(str(place)) + 1, "failures": told, "published": given})

    def told(self) -> str:
        """The first of them, a line each."""
        lines = [
            f"row {each['row']}: "
            + "; ".join(
                f"{column or 'row'} {check}" + (f" ({value})" if value else "")
                for column, check, value in each["failures"]
            )
            for each in self.rows[:SHOWN]
        ]
        more = [f"… and {len(self.rows) - SHOWN} more"] if len(self.rows) > SHOWN else []
        return "\n        ".join([*lines, *more])

    def write(self) -> None:
        """Tell of them, and write them where a place was named."""
        if not self.rows:
            return
        if self._path is not None:
            with whole_file(self._path) as aside:
                aside.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in self.rows), "utf-8")
        where = f", all of them in {self._path}" if self._path else ""
        log.warning("warning: rows refused: %s%s\n        %s", f"{len(self.rows):,}", where, self.told())
