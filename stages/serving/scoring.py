"""A file of rows becomes a table of scores, as `predict` makes it, within the limits of the server."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from stages.metrics.stored import task_named
from stages.models.bundle import Bundle, open_bundle
from stages.models.row_files import read_pieces
from stages.models.score_files import whole_table
from stages.models.signature import REFUSED, Misfit, Tally
from stages.records.lines import likely_cause
from stages.serving.answers import Tallied, counted, wanted
from stages.serving.limits import Limits
from stages.serving.problems import SHOWN, Fault, Problem, found_text
from stages.serving.raw import known_for, refuse_several_questions
from stages.state.files import columns_of, is_published, prepare_file
from stages.state.requests import Known

BLOCK = 1 << 20


@dataclass(frozen=True)
class Work:
    """A file to score: by which bundle, from where, to where, over which state."""

    bundle: Path
    rows: Path
    output: Path
    limits: Limits
    state: str | None = None


@dataclass(frozen=True)
class Scored:
    """What came of a file: what is counted, and of rows as published those that failed a check."""

    tallied: Tallied
    refused: int = 0
    faults: tuple[Fault, ...] = ()
    """The first of them."""


def score_file(work: Work) -> Scored:
    """Write the scores of a file as CSV, or nothing: what does not fit is a `Problem`."""
    check_file(work.rows, work.limits)
    bundle = opened(work.bundle)
    known = known_of(work, bundle)
    return _score_inputs(bundle, work) if known is None else _score_published(bundle, work, known)


@lru_cache(maxsize=8)
def opened(folder: Path) -> Bundle:
    """The bundle in this folder, which never changes: served ones lie under the hash of what is in them."""
    return open_bundle(folder, threads=1)


def known_of(work: Work, bundle: Bundle) -> Known | None:
    """What makes features of the rows of a file, where they are as published; no other file comes to know them."""
    if not (columns := columns_of(work.rows)):
        raise Problem(422, "wanted at least one row, found none")
    if not is_published(columns, bundle):
        return None
    known = _kept_known(work.bundle, work.state).apart()
    refuse_several_questions(known)
    return known


@lru_cache(maxsize=4)  # a bundle that answers no more holds some 20 MB until others take its place
def _kept_known(folder: Path, state: str | None) -> Known:
    return known_for(folder, state)


class _Writer:
    """Scores piece by piece, and adds up what is counted."""

    def __init__(self, bundle: Bundle, write: Callable[[pl.DataFrame], object]) -> None:
        self.bundle, self.write = bundle, write
        self.task, self.tally = task_named(bundle.signature["task"]), Tally(bundle.signature["inputs"])
        self.decided, self.missing, self.columns = Counter[str](), Counter[str](), list[str]()

    def add(self, features: pl.DataFrame, others: pl.DataFrame, *beside: pl.Series) -> None:
        """Score some rows, and write them after their other columns; nothing is written once any does not fit."""
        self.columns = features.columns
        inputs = self.tally.fit(features)
        if any(kind in REFUSED for kind, _ in self.tally.found):
            return  # the other rows are read to tell of all that is wrong
        self.missing.update({column.name: nulls for column in inputs if (nulls := column.null_count())})
        scores = self.task.name_scores(self.bundle.model.predict(inputs), self.bundle.signature)
        self.decided.update(counted(self.task, scores))
        named = scores.with_columns(*beside)
        self.write(pl.concat([others.drop(*named.columns, strict=False), named], how="horizontal"))

    def tallied(self) -> Tallied:
        """What was counted; raises `Problem` where anything does not fit."""
        misfits = self.tally.misfits()
        if wrong := [misfit for misfit in misfits if misfit.kind in REFUSED]:
            cause = likely_cause(self.columns, [misfit.column for misfit in wrong])
            detail = f"wanted rows that fit the model's inputs{f'; {cause}' if cause else ''}"
            raise Problem(422, detail, [_fault(misfit) for misfit in wrong])
        return Tallied(self.tally.rows, dict(self.decided), dict(self.missing), misfits)


def _score_inputs(bundle: Bundle, work: Work) -> Scored:
    kinds = {str(entry["name"]): str(entry["kind"]) for entry in bundle.signature["inputs"]}
    with whole_table(work.output) as write:
        writer = _Writer(bundle, write)
        for piece in read_pieces(work.rows, kinds):
            if len(piece.rows):
                writer.add(piece.rows, piece.rows.drop(*kinds, strict=False))
        return Scored(writer.tallied())


def _score_published(bundle: Bundle, work: Work, known: Known) -> Scored:
    refused, faults = 0, list[Fault]()
    with whole_table(work.output) as write:
        writer = _Writer(bundle, write)
        for before, rows, prepared in prepare_file(known, work.rows):
            refused += prepared.refused["row"].n_unique()
            faults += [_failure(each, before) for each in prepared.refused.head(SHOWN).iter_rows(named=True)]
            if prepared.rows:
                notes = pl.Series("note", prepared.notes, pl.String)
                writer.add(prepared.features, rows[prepared.rows], notes)
        if not writer.tally.rows:
            raise Problem(422, "wanted at least one row that passes the checks, found none", faults)
        return Scored(writer.tallied(), refused, tuple(faults[:SHOWN]))


def _failure(refused: dict[str, Any], before: int) -> Fault:
    field = ", ".join(filter(None, (f"row {before + refused['row'] + 1}", refused["column"])))
    return Fault(field, str(refused["check"]), found_text(refused["value"]))


def _fault(misfit: Misfit) -> Fault:
    found = "none" if misfit.kind == "missing column" else f"{misfit.told}, in {misfit.rows:,} rows"
    return Fault(misfit.column, wanted(misfit), found)


def check_file(path: Path, limits: Limits) -> None:
    """Refuse lines and headers beyond the limits before anything reads them."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        try:
            columns = len(pq.ParquetFile(path).schema_arrow)
        except (OSError, ValueError) as error:  # pyarrow's own are ones of these
            raise Problem(422, f"wanted a parquet file, found: {str(error).splitlines()[0]}") from None
    else:
        columns = _check_lines(path, limits)
    if columns > limits.columns:
        raise Problem(422, f"wanted at most {limits.columns:,} columns, found {columns:,}")


def _check_lines(path: Path, limits: Limits) -> int:
    """The columns of the first line, or the keys of some lines of JSON; a line that is too long is refused."""
    columns, pending, keys = 0, 0, set[str]()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            first, *others = block.split(b"\n")
            longest = max(pending + len(first), *map(len, others), 0)
            if longest > limits.line_bytes:
                raise Problem(422, f"wanted lines of at most {limits.line_bytes:,} bytes, found a longer one")
            pending = len(others[-1]) if others else pending + len(first)
            columns = columns or first.count(b",") + 1
            if path.suffix != ".csv" and len(others) > 1:  # what hides between, the limit of memory finds
                with suppress(ValueError, RecursionError):
                    keys.update(json.loads(others[0]))
                columns = len(keys)
                if columns > limits.columns:
                    break
    return columns
