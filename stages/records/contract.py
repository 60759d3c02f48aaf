"""What a dataset must say of itself: a frozen value, not a class hierarchy.

All that is peculiar to a dataset lives in its own package, as data and as pure functions of **one partition**; no
other room branches on a dataset's name.  CONTRIBUTING.md walks through adding one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from stages.records.lines import PLAIN, Format

if TYPE_CHECKING:  # pandera takes most of a second to import and only `clean` validates
    import pandera.polars as pa

Kind = Literal["numeric", "categorical", "picture", "text"]
Part = Literal["train", "valid", "test"]
Calendar = Literal["run", "months"] | Callable[[date, date], Sequence[date]]
PARTS: tuple[Part, ...] = ("train", "valid", "test")
UNIT_SUFFIXES = frozenset({"min", "mi", "mph", "f", "pct", "deg", "in", "mbar", "years"})
"""Last words of a feature's name that are its unit, and have to be given as such."""


@dataclass(frozen=True)
class Table:
    """One published table: how its partitions are read, parsed and judged.

    ``read(raw_folder, partition)`` returns every row as published, text as text, so that a row that does not parse
    can still be kept; `stages.records.lines` does so for delimited text.  ``parse(raw)`` returns the tidy columns, same
    rows, same order; a value that cannot be parsed becomes null.  ``schema(partition)`` is the Pandera schema (Polars
    backend) that tidy rows must satisfy.
    ``parsed_from`` maps a tidy column to the published column (or columns) it was parsed from: `clean` quarantines a
    row whose text is present (not one of ``null_texts``) and whose parsed value is null.  The first column of ``key``
    is ordered and tells partitions apart: only partitions whose ranges of it overlap can share a key.
    """

    name: str
    columns: tuple[str, ...]
    """The published columns that must be there; others are read along and ignored."""
    partitions: Callable[[Path], list[str]]
    read: Callable[[Path, str], pl.DataFrame]
    parse: Callable[[pl.DataFrame], pl.DataFrame]
    schema: Callable[[str], pa.DataFrameSchema]
    key: tuple[str, ...]
    parsed_from: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    null_texts: tuple[str, ...] = ("", "NA")
    parses_as: Mapping[str, str] = field(default_factory=dict)
    """What a text should be, by tidy column, where the column's type does not tell it: "time of day (hhmm)"."""
    day: str | None = None
    """Tidy date column that must run without a gap."""
    calendar: Calendar = "run"
    """Where a gap counts: anywhere between the first and the last day, or within the calendar months that occur; or
    the days that are to be there, from a first to a last one."""
    files: Callable[[Path, str], Sequence[str]] | None = None
    """Names of the published files that a partition is read from; None stands for all of them."""
    form: Format = PLAIN
    """How the publisher sets fields in delimited text."""
    partition_of: pl.Expr | None = field(default=None, compare=False)
    """The partition that a published row names, null where it names none; None: no row does."""
    known: Callable[[pl.DataFrame], pl.Series] | None = None
    """Of a joined table: the moment from which each tidy row is known; None where it does not matter."""
    derived: Mapping[str, pl.Expr] = field(default_factory=dict, compare=False)
    """Published columns that follow from others: who asks about a row may leave them out."""


@dataclass(frozen=True)
class Feature:
    """One model input: its kind, what it means and its unit (empty for a count, share or category).

    A picture is an array of bytes, ``shape`` (rows, columns, channels) laid flat; a text is a string.  Neither is ever
    null, and no selection leaves one out.
    """

    name: str
    kind: Kind
    about: str
    unit: str = ""
    needs_complete: bool = False
    """Whether it is only right where a partition holds every record: counts do, shares of a random sample do not."""
    always: bool = False
    """Whether selection has to leave it in: the family of models for its task needs it whatever it tells by itself."""
    shape: tuple[int, ...] = ()
    """Of a picture: rows, columns, channels."""
    joined: str = ""
    """The joined table that it is read from: a row in which all features of a table are missing found nothing there."""


@dataclass(frozen=True)
class Outcome:
    """Columns that become known together after the moment of prediction: departed, landed."""

    name: str
    columns: tuple[str, ...]
    known: Callable[[pl.DataFrame], pl.Series]
    """From when on they are known, of each tidy row; null where they are not."""


@dataclass(frozen=True)
class Dataset:
    """A dataset from published bytes to model inputs.

    ``summarize(tidy)`` reduces one partition to a small table; ``context(summaries, references)`` adds them up, in
    canonical order, into whatever `featurize` may know beyond its own partition (past days, joined tables).
    ``reach(partition, partitions)`` names, in canonical order, the partitions whose summaries that may be: what a
    change of one partition can touch, and no other.
    ``featurize(tidy, context)`` returns, same rows, same order, the columns of ``identity``, the ``cluster`` column,
    the target (null where there is no label) and every feature; where a row asks several questions, one for each series
    and horizon, its ``lines_per_row`` lines stand together.  ``split(frame, settings, seed)`` names each row's part;
    null keeps it out of all of them.  Columns in ``forbidden`` are known only after the moment of prediction: no
    feature may depend on them for its own row.
    """

    name: str
    question: str
    task: str
    """One of those that `metrics.stored.TASKS` knows."""
    target: str
    classes: tuple[str, ...]
    """Names of the target's values 0, 1, …; empty for regression."""
    records: Table
    references: tuple[Table, ...]
    identity: tuple[str, ...]
    features: tuple[Feature, ...]
    forbidden: frozenset[str]
    summarize: Callable[[pl.DataFrame], pl.DataFrame]
    context: Callable[..., Any]
    """``context(summaries, references)``; where a feature needs complete partitions, with ``complete=`` besides."""
    featurize: Callable[..., pl.DataFrame]
    """``featurize(tidy, context)``; for a request, with ``last=`` besides: only so many rows at the end get a line; and
    with ``at=`` where it comes before their moment: what is asked of the present is that of this one."""
    split: Callable[[pl.DataFrame, Mapping[str, Any], int], pl.Series]
    unlabelled: Callable[[pl.DataFrame], pl.Series]
    """Why a tidy row has no label ("cancelled", …); null where it has one."""
    sign_of_extract: Callable[[pl.DataFrame], str] = lambda _tidy: ""
    """What shows that a partition lacks records, in words; empty where nothing does.  Where features need them all."""
    cluster: str | None = None
    """Column of rows that share their luck (a day); None when rows are independent."""
    lines_per_row: int = 1
    """Lines of features that each tidy row gets."""
    observed: Callable[[pl.DataFrame], pl.DataFrame] | None = None
    """Of tidy rows of a forecast dataset, what came true: columns series, at (datetime), value; nulls left out."""
    target_unit: str = ""
    """Of a target that is a number, in words that follow one: "minutes"."""
    reach: Callable[[str, Sequence[str]], Sequence[str]] = field(default=lambda _partition, partitions: partitions)
    moment: Callable[[pl.DataFrame], pl.Series] | None = None
    """When each tidy row is asked about (datetime); None where rows have no order in time."""
    looks_back: timedelta | None = None
    """A row looks at other rows of its partition from so long before its moment on (inclusive); None: at no others."""
    outcomes: tuple[Outcome, ...] = ()
    """Of the forbidden columns, those that show what has happened, in the order in which it becomes known."""
    recall: Callable[[Any, datetime], Any] = lambda context, _at: context
    """Of a context, what was known at a moment before the rows' own: for who asks ahead."""
    asked_from: Callable[[pl.DataFrame], pl.Series] | None = None
    """Of each line of a summary, the first moment of a row that may ask for it; None: any row may."""


def split_values(settings: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    """The settings of a split, which must be exactly ``names``.

    Raises
    ------
    ValueError
        Naming every missing and every unknown key.
    """
    missing = [f"{name} is missing" for name in names if name not in settings]
    unknown = [f"{name} is unknown" for name in settings if name not in names]
    if missing or unknown:
        raise ValueError(f"wanted the keys {', '.join(names)}; found that {', '.join(missing + unknown)}")
    return tuple(settings[name] for name in names)


def split_days(settings: Mapping[str, Any]) -> tuple[date, date]:
    """The last day of the train part and that of the valid part, ``train_until`` and ``valid_until``.

    Raises
    ------
    ValueError
        Where they are no days, or the wrong way round.
    """
    texts = split_values(settings, "train_until", "valid_until")
    try:
        train_until, valid_until = (datetime.strptime(text, "%Y-%m-%d").date() for text in texts)
    except (ValueError, TypeError):
        raise ValueError(
            f"wanted days such as 2013-08-31; found train_until {texts[0]!r}, valid_until {texts[1]!r}"
        ) from None
    if not train_until < valid_until:
        raise ValueError(f"wanted train_until before valid_until; found {train_until} and {valid_until}")
    return train_until, valid_until


def load_dataset(name: str) -> Dataset:
    """The dataset of that name, from its own module alone."""
    module = importlib.import_module(f"stages.datasets.{name}")
    dataset: Dataset = module.DATASET
    return dataset
