"""Rows as published, answered over what is known now: the bundle's own knowledge, and what the state has heard since.

A bundle's knowledge takes half a second and some memory to open, so it is opened when a row first asks for it, or
beforehand while nobody waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import polars as pl

from stages.runtime.log import log
from stages.serving.answers import Answers, answer_objects, answer_rows
from stages.serving.champion import Served
from stages.serving.problems import Fault, Problem, found_text, unfit
from stages.state.requests import Known, Prepared, open_known
from stages.state.seed import dataset_of
from stages.workspace.errors import UserError

FEW = 100
MOMENT_EXAMPLE = "2013-12-31T17:00"
YEARS = (1800, 2200)  # beyond, arithmetic with moments overflows


def moment_in(text: str) -> datetime:
    """The moment that is written there, in UTC; ValueError where none is, or none that can be reckoned with."""
    moment = datetime.fromisoformat(text)
    if not YEARS[0] <= moment.year < YEARS[1]:
        raise ValueError(f"the year {moment.year}")
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


@lru_cache
def asks_one(folder: Path) -> bool:
    """Whether a bundle has what its rows know beyond themselves, its dataset is here, and a row asks one question.

    A record of a series asks one for each horizon: those are answered as forecasts, from what was taken in.
    """
    dataset = dataset_of(folder)
    return dataset is not None and dataset.lines_per_row == 1


@dataclass(frozen=True)
class RawAnswers:
    """Answers of the rows that passed, and why the others did not."""

    answers: Answers | None
    """None where no row passed."""
    places: Sequence[int]
    """Where among the rows asked about each of the answers belongs."""
    notes: Sequence[str | None]
    faults: Sequence[Fault]
    reasons: Mapping[str, int]
    """Rows by the check that they failed."""
    refused: int
    features: pl.DataFrame
    """The features of the rows that passed."""


def known_for(bundle_folder: Path, state: str | None) -> Known:
    """What is known for a bundle; one that takes no rows as published is a `Problem` that says why."""
    try:
        return open_known(bundle_folder, state)
    except UserError as error:
        why = f"wanted {error.wanted}, found {error.found}"
        raise Problem(422, f"rows as published are not taken here, rows of the model's inputs are: {why}") from None


class Knowledge:
    """What is known for the bundles that answer; threads share it."""

    def __init__(self, state: str | None) -> None:
        self._state, self._turn = state, Lock()
        self._known: dict[Path, Known | Problem] = {}

    def takes_raw(self, served: Served) -> bool:
        """Whether a bundle was packaged with what its rows know beyond themselves, and the dataset is here."""
        return asks_one(served.bundle.folder)

    def of(self, served: Served) -> Known:
        """What is known for a bundle; one that takes no rows as published is a `Problem`."""
        folder = served.bundle.folder
        with self._turn:
            if folder not in self._known:
                try:
                    self._known[folder] = known_for(folder, self._state)
                except Problem as problem:
                    log.warning("%s: %s", served.name, problem.detail)
                    self._known[folder] = problem
            known = self._known[folder]
        if isinstance(known, Problem):
            raise known
        return known

    def columns(self, served: Served) -> tuple[str, ...]:
        """The columns as published that a row needs; none where rows of features alone are taken."""
        try:
            return self.of(served).columns if self.takes_raw(served) else ()
        except Problem:
            return ()

    def refresh(self, served: Sequence[Served]) -> None:
        """Hear what the state has heard, open what is not open yet, and let go of bundles that answer no more."""
        for each in served:
            if self.columns(each):
                self.of(each).refresh()
        with self._turn:
            folders = {each.bundle.folder for each in served}
            self._known = {folder: known for folder, known in self._known.items() if folder in folders}

    def answer(self, served: Served, rows: Sequence[Any], pointer: str, at: datetime | None) -> RawAnswers:
        """Answer rows as published, as of a moment; a row of another form is a `Problem`."""
        known = self.of(served)
        published = as_published(rows, known.columns, known.dataset.records.columns, pointer)
        return answer_published(served, known, published, pointer, at)


def answer_published(
    served: Served, known: Known, published: pl.DataFrame, pointer: str, at: datetime | None
) -> RawAnswers:
    """Answer a frame of texts as published."""
    refuse_several_questions(known)
    prepared = prepare(known, published, at)
    faults = [_fault(each, pointer) for each in prepared.refused.iter_rows(named=True)]
    reasons = {
        str(check): int(rows)
        for check, rows in prepared.refused.group_by("check").agg(pl.col("row").n_unique()).iter_rows()
    }
    refused = prepared.refused["row"].n_unique()
    answers = _scored(served, prepared) if prepared.rows else None
    return RawAnswers(answers, prepared.rows, prepared.notes, faults, reasons, refused, prepared.features)


def refuse_several_questions(known: Known) -> None:
    """Stop where a record asks one question for each series and horizon: an answer belongs to one row."""
    if known.dataset.lines_per_row > 1:
        raise Problem(422, "wanted rows of the model's inputs, found records that ask several questions each: "
                      "take them in, and ask for the forecast")  # fmt: skip


def prepare(known: Known, published: pl.DataFrame, at: datetime | None) -> Prepared:
    """The features of rows as published; what no check can judge is a `Problem` as well."""
    try:
        return known.prepare(published, at)
    except UserError as error:
        raise Problem(422, f"wanted {error.wanted}, found {error.found}") from None
    except ValueError:  # a day before the year 1, which a check cannot tell of
        raise Problem(422, "wanted values that the checks can read, found some beyond all reason") from None


def _scored(served: Served, prepared: Prepared) -> Answers:
    features = prepared.features.select(served.inputs.names)
    if len(features) > FEW or served.inputs.has_whole:
        return answer_rows(served, features)
    numbers = [name for name, codes in zip(served.inputs.names, served.inputs.codes, strict=True) if codes is None]
    plain = features.with_columns(pl.col(numbers).cast(pl.Float32).fill_nan(None))
    return answer_objects(served, plain.with_columns(pl.exclude(numbers).cast(pl.String)).to_dicts())


def as_published(rows: Sequence[Any], needed: Sequence[str], known: Sequence[str], pointer: str) -> pl.DataFrame:
    """JSON objects as the publisher's text; a value that is no text or number, or an unknown field, is a `Problem`."""
    faults: list[Fault] = []
    given = set().union(*(row for row in rows if type(row) is dict))  # a column that no row has is derived, not null
    texts: dict[str, list[str | None]] = {
        name: [] for name in dict.fromkeys((*needed, *known)) if name in needed or name in given
    }
    for place, row in enumerate(rows):
        at = pointer.format(place)
        if type(row) is not dict:
            faults.append(Fault(at, "an object with the columns as published", found_text(row)))
            continue
        faults += [Fault(f"{at}/{name}", "a value, or null", "no such field") for name in needed if name not in row]
        faults += [
            Fault(f"{at}/{name}", "only columns as published", "an unknown field") for name in row if name not in texts
        ]
        for name, column in texts.items():
            value = row.get(name)
            if not _is_text(value):
                faults.append(Fault(f"{at}/{name}", "a text, a number or null", found_text(value)))
            column.append(None if value is None else str(value))
    if faults:
        raise unfit(faults)
    return pl.DataFrame(texts, schema=dict.fromkeys(texts, pl.String))


def _is_text(value: object) -> bool:
    """Whether a value can stand in a publisher's file: not so half of a character."""
    if isinstance(value, str):
        return not any("\ud800" <= sign <= "\udfff" for sign in value) if not value.isascii() else True
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _fault(refused: Mapping[str, Any], pointer: str) -> Fault:
    column = f"/{refused['column']}" if refused["column"] else ""
    return Fault(f"{pointer.format(refused['row'])}{column}", str(refused["check"]), found_text(refused["value"]))
