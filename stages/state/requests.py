"""Published rows that are asked about become features: the line's own path, over what is known now.

A row may tell of its outcome or not: no feature knows its own.  Rows of one request know each other as rows of a
partition do.  A row is answered as of its own moment; asked about earlier than that, as of the moment of the question,
with a note that says so.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

import numpy as np
import polars as pl

from stages.records.contract import Dataset
from stages.records.failures import FAILURES
from stages.records.prepare import compute_features, judge_rows
from stages.state.facts import derive, known_by, levels_of, take_in, wanted_columns
from stages.state.locations import open_store
from stages.state.memory import Memory, remember
from stages.state.notes import tell_notes
from stages.state.seed import has_memory, read_seed
from stages.state.store import NOTHING, Store
from stages.workspace.errors import UserError


@dataclass(frozen=True)
class Prepared:
    """What became of published rows: features, or reasons."""

    features: pl.DataFrame
    """`Dataset.lines_per_row` lines for each row that passed, in their order: identity columns and every feature."""
    rows: list[int]
    """Of each line, the index of its row among the published ones."""
    refused: pl.DataFrame
    """row (index among the published ones), column (null for a check across columns), check, value."""
    notes: list[str | None]
    """What was not known yet of the row of each line, in words; None where nothing lacks."""


@dataclass(frozen=True)
class Newest:
    """The last that is known of every series: the lines that ask from then on, and all that was observed."""

    features: pl.DataFrame
    """Identity columns and every feature; no line of a series of which nothing is known at its moment."""
    observed: pl.DataFrame
    """See `Dataset.observed`; of all rows that are known one by one, later ones than were asked for included."""


class Known:
    """What is known of a dataset: by a bundle, and by a store.  Threads may share it."""

    def __init__(self, memory: Memory, store: Store | None = None) -> None:
        self._memory, self._store, self._version = memory, store, NOTHING
        self._first, self._turn, self._silent = memory, Lock(), ""
        self.dataset: Dataset = memory.seed.dataset
        self.columns: tuple[str, ...] = wanted_columns(self.dataset, self.dataset.records)

    @property
    def version(self) -> str:
        """Of the store, as of the last `refresh`; empty where only the bundle knows anything."""
        return self._version

    @property
    def silence(self) -> str:
        """Why the store did not answer the last `refresh`, in words; empty where it did."""
        return self._silent

    def refresh(self) -> None:
        """Hear what has changed in the store: cheap where nothing has.  A store that is silent changes nothing."""
        if self._store is None:
            return
        with self._turn:
            try:
                if self._store.version() != self._version:
                    changes = self._store.changes(self._version)
                    self._memory = (self._first if changes.anew else self._memory).after(changes.facts)
                    self._version = changes.version
                self._silent = ""
            except UserError as error:
                self._silent = f"the state does not answer ({error.found}): known is what it told before"

    def apart(self) -> Known:
        """What is known now, for rows that only later questions to the one returned shall know."""
        self.refresh()
        return copy(self)

    def prepare(self, published: pl.DataFrame, at: datetime | None = None, *, keep: bool = False) -> Prepared:
        """The features of published rows, all text; see the module.

        Parameters
        ----------
        at
            The moment of the question, by the clock of `Dataset.moment` (UTC where it has a zone); None stands for
            each row's own.
        keep
            Whether later questions to this object know these rows as well; the store is not told.

        Raises
        ------
        UserError
            Where a column is missing.
        """
        memory, dataset = self._memory, self.dataset
        published = self._with_columns(published)
        passed, failures = take_in(dataset, dataset.records, published)
        rows = pl.concat(passed) if passed else pl.DataFrame()
        if len(rows):
            rows, others = _first_of_each(dataset, rows, memory.seed.open)
            failures = pl.concat([failures, *others]).sort("row", maintain_order=True)
        if keep and len(rows) and dataset.moment is not None:
            self._keep(rows)
        answers = [
            _answer(memory, str(partition), asked, _plain(at))
            for (partition,), asked in (rows.group_by("_partition", maintain_order=True) if len(rows) else ())
        ]
        if not answers:
            return Prepared(self._nothing(memory), [], failures, [])
        features = pl.concat(answers).sort("_row", maintain_order=True)
        places, notes = features["_row"].to_list(), features["_note"].to_list()
        told = ["; ".join(filter(None, (note, self._silent))) for note in notes] if self._silent else notes
        return Prepared(features.drop("_row", "_note", dataset.target), places, failures, told)

    def newest(self, at: datetime | None = None) -> Newest:
        """The lines of the last record of every series that was known ``at`` a moment, by default now.

        Raises
        ------
        UserError
            Where the dataset does not forecast, or nothing is known of that moment.
        """
        memory, dataset, asked_at = self._memory, self.dataset, _plain(at)
        if dataset.observed is None or dataset.moment is None:
            raise UserError(f"a dataset of forecasts, to ask {dataset.name} for its latest", "one that answers rows",
                            "ask about rows with `python -m stages.predict`")  # fmt: skip
        rows = {name: memory.rows_of(name) for name in sorted(memory.rows)}
        observed = pl.concat(
            [dataset.observed(memory.rows_of(memory.seed.open)[:0]), *map(dataset.observed, rows.values())]
        )
        known = observed if asked_at is None else observed.filter(pl.col("at") <= asked_at)
        last = known.group_by("series").agg(pl.col("at").max().alias("made_at"))
        answers = []
        for name, own in rows.items():
            asked = own.filter(dataset.moment(own).is_in(last["made_at"].implode()))
            places = pl.int_range(len(asked), eager=True).alias("_row")
            named = asked.with_columns(places, pl.lit(name).alias("_partition"), pl.lit(0).alias("_level"))
            answers += [_answer(memory, name, named, None)] if len(asked) else []
        if not answers:
            raise UserError(
                f"records of {dataset.name} that were known at {asked_at or 'any moment'}",
                f"none since {memory.seed.open}, where what the bundle remembers one by one begins",
                "name a later moment, or make the forecasts of past ones with `--replay`",
            )
        features = pl.concat(answers).join(last, on=["series", "made_at"], how="semi", maintain_order="left")
        return Newest(features.drop("_row", "_note", dataset.target), observed)

    def _keep(self, rows: pl.DataFrame) -> None:
        with self._turn:
            groups = rows.partition_by("_partition", maintain_order=True)
            heard = {group["_partition"][0]: group.drop("_row", "_partition", "_level") for group in groups}
            self._memory = self._memory.with_rows(heard, {})

    def _with_columns(self, published: pl.DataFrame) -> pl.DataFrame:
        if lacking := [name for name in self.columns if name not in published.columns]:
            raise UserError(
                f"rows of {self.dataset.name} with the columns {', '.join(self.columns)}",
                f"none called {', '.join(lacking)}",
                "name the columns as the publisher does; outcomes may be left out",
            )
        missing = [name for name in self.dataset.records.columns if name not in published.columns]
        derived = derive(self.dataset.records, published)
        return derived.with_columns(pl.lit(None, pl.String).alias(n) for n in missing if n not in derived.columns)

    def _nothing(self, memory: Memory) -> pl.DataFrame:
        tidy = memory.rows_of(memory.seed.open).clear()
        return compute_features(self.dataset, tidy, memory.context_of(memory.seed.open)).drop(self.dataset.target)


def open_known(bundle_folder: Path, location: str | None) -> Known:
    """What a bundle knows, and what the store at ``location`` has heard since: ``state/<dataset>.sqlite`` by default.

    Raises
    ------
    UserError
        Where the bundle takes no published rows, or comes from other feature code than this.
    """
    seed = read_seed(bundle_folder)
    memory, table = remember(seed), seed.dataset.records
    # what takes seconds the first time: the checks are imported, past days are added up
    judge_rows(table, pl.DataFrame(schema=dict.fromkeys(table.columns, pl.String)), seed.open)
    memory.context_of(seed.open)
    if not has_memory(seed.dataset):
        return Known(memory)
    known = Known(memory, open_store(location, seed.dataset.name))
    known.refresh()
    return known


# ── rows of one partition ────────────────────────────────────────────────────────────────────────────────────────────
def _answer(memory: Memory, partition: str, asked: pl.DataFrame, at: datetime | None) -> pl.DataFrame:
    """Features of rows of one partition with ``_row`` and ``_note``, the lines of a row in order, the rows in any."""
    dataset = memory.seed.dataset
    places, asked = asked["_row"], asked.drop("_row", "_partition", "_level")
    if dataset.moment is None:
        features = compute_features(dataset, asked, memory.context_of(partition))
        return features.with_columns(_of_lines(dataset, places), pl.lit(None, pl.String).alias("_note"))
    moments = dataset.moment(asked)
    first, last = moments.min(), moments.max()
    assert isinstance(first, datetime) and isinstance(last, datetime)
    context, known = memory.context_of(partition, last), memory.around(partition, min(first, at or first), last)
    asked = with_outcomes(dataset, asked, known)
    recent = known.join(asked, on=list(dataset.records.key), how="anti", nulls_equal=True, maintain_order="left")
    ahead = (moments > at) if at is not None else pl.repeat(False, len(asked), eager=True)
    answers = []
    for is_ahead in ahead.unique(maintain_order=True):
        mine, others = asked.filter(ahead == is_ahead), pl.concat([recent, asked.filter(ahead != is_ahead)])
        then = context
        if is_ahead and at is not None:
            mine, others = (known_by(dataset.outcomes, dataset.forbidden, rows, at) for rows in (mine, others))
            then = dataset.recall(context, at)
        features = compute_features(dataset, mine, then, recent=others, at=at if is_ahead else None)
        place, own = (_of_lines(dataset, each.filter(ahead == is_ahead)) for each in (places, moments))
        told = tell_notes(dataset, features, own, pl.concat([others, mine]), at)
        answers.append(features.with_columns(place, told.alias("_note")))
    return pl.concat(answers)


def _of_lines(dataset: Dataset, of_rows: pl.Series) -> pl.Series:
    """What is told of each row, told of each of its lines."""
    return of_rows.gather(np.repeat(np.arange(len(of_rows)), dataset.lines_per_row))


def with_outcomes(dataset: Dataset, asked: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Rows that are asked about, with the outcomes that are known of them: others of the request may know those."""
    if len(asked) == 1 or not dataset.outcomes:
        return asked  # no row knows its own
    key, told = list(dataset.records.key), [name for name in asked.columns if name in dataset.forbidden]
    heard = known.select(*key, pl.struct(told).alias("_told"), levels_of(dataset, known).alias("_heard"))
    both = asked.with_columns(levels_of(dataset, asked).alias("_own"))
    both = both.join(heard, on=key, how="left", nulls_equal=True, maintain_order="left")
    is_more = (pl.col("_heard") > pl.col("_own")).fill_null(False)
    return both.with_columns(
        pl.when(is_more).then(pl.col("_told").struct.field(name)).otherwise(pl.col(name)).alias(name) for name in told
    ).select(asked.columns)


def _plain(at: datetime | None) -> datetime | None:
    """Without a zone, as moments are: in UTC."""
    return at.astimezone(UTC).replace(tzinfo=None) if at is not None and at.tzinfo else at


def _first_of_each(dataset: Dataset, rows: pl.DataFrame, first: str) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Rows of partitions that are open, each key once, as the line would have it; and why the others are none."""
    rows = rows.sort("_row").with_columns(pl.struct(dataset.records.key).is_first_distinct().alias("_first"))
    early = pl.col("_partition") < first
    failures = []
    for others, check, value in (
        (rows.filter(early), f"in what is remembered: from {first} on", pl.col("_partition")),
        (rows.filter(~early & ~pl.col("_first")), "unique", pl.lit(None, pl.String)),
    ):
        told = (pl.col("_row"), pl.lit(None, pl.String), pl.lit(check), value)
        failures.append(others.select(each.alias(name) for name, each in zip(FAILURES, told, strict=True)))
    return rows.filter(~early & pl.col("_first")).drop("_first"), failures
