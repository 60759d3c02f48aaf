"""What does a dataset need that is one plain table?  Its columns, its target and a question; the rest is the same.

One file of delimited text with a header, one row per line, no order in time: rows are independent, parts are drawn at
random within the classes or within neighbours of a target that is a number.  `make new-dataset` writes such a dataset
from a CSV; what is peculiar to one (further features, checks across columns, two files) is given by name.
"""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl

from stages.records.contract import Dataset, Feature, Kind, Table, split_values
from stages.records.lines import PLAIN, Format, read_lines, read_records

if TYPE_CHECKING:
    from pathlib import Path

    import pandera.polars as pa

STRATUM_ROWS = 10  # with neighbouring targets, from which each part takes its share
NO_LABEL = "no label"
MOST_LETTERS = 100_000  # of a text


@dataclass(frozen=True)
class Column:
    """A column of the file and what may stand in it.

    A text may hold anything, quoted line breaks too, and no model but those of texts reads it.  Numbers lie between
    ``low`` and ``high``, ends included, None for no limit; categories are ``among`` those listed, any text where none
    is.  An empty field, or NA, is a fault unless the column is ``nullable``.
    """

    name: str
    """Snake case, the unit last."""
    kind: Kind
    about: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    among: tuple[str, ...] = ()
    nullable: bool = False
    published: str = ""
    """The name in the file, where it is another."""
    type: type[pl.DataType] = pl.Float64
    """Of a number: a type of whole numbers takes no others."""

    @property
    def source(self) -> str:
        """The name in the file."""
        return self.published or self.name

    def parse(self) -> pl.Expr:
        """The tidy value; null where the text is none or does not parse."""
        text = pl.col(self.source).str.strip_chars()
        if self.kind != "numeric":
            return pl.when(~text.is_in(["", "NA"])).then(text).alias(self.name)
        number = text.cast(pl.Float64, strict=False)
        number = pl.when(number.is_finite() & (True if self.type.is_float() else number == number.round())).then(number)
        return number.cast(self.type, strict=False).alias(self.name)

    def judge(self) -> pa.Column:
        """What a tidy value must satisfy."""
        import pandera.polars as pa  # most of a second to import; only `clean` validates

        ends = {"ge": self.low, "le": self.high}
        if None not in ends.values():
            checks = [pa.Check.in_range(self.low, self.high)]
        else:
            checks = [getattr(pa.Check, name)(end) for name, end in ends.items() if end is not None]
        checks += [pa.Check.isin(list(self.among))] if self.among else []
        checks += [pa.Check.str_length(1, MOST_LETTERS)] if self.kind == "text" else []
        return pa.Column(self.type if self.kind == "numeric" else pl.String, checks, nullable=self.nullable)

    def featurize(self) -> pl.Expr:
        """The model input: numbers with a fraction in single precision, all else as it is."""
        is_float = self.kind == "numeric" and self.type.is_float()
        return pl.col(self.name).cast(pl.Float32) if is_float else pl.col(self.name)


def plain_dataset(
    module: str,
    question: str,
    *,
    task: str,
    columns: Sequence[Column],
    target: Column,
    classes: tuple[str, ...] = (),
    file: str = "",
    form: Format = PLAIN,
    row: str = "record",
    checks: Callable[[], list[Any]] = list,
    table: Mapping[str, Any] | None = None,
    **peculiar: Any,
) -> Dataset:
    """The dataset of a plain table.

    Parameters
    ----------
    module
        ``__name__`` of the dataset's package, which is the dataset's name and what its cached partitions hang on.
    columns, target
        Inputs, and what is to be predicted.  A row without a target has no label where the target is nullable, and is
        at fault where it is not.
    classes
        Texts of a categorical target for 0, 1, …, names of one that is 0, 1, … itself; empty for regression.
    file, form
        The published file (.gz is read as well), and how its fields are set.
    row
        What the number of a line among the rows is called: the key.
    checks
        Makes Pandera checks across columns.
    table, peculiar
        Fields of `Table` and of `Dataset` that are not as in any plain table.
    """
    everything = (*columns, target)
    codes = {text: code for code, text in enumerate(classes)} if target.kind == "categorical" else {}

    def read(raw: Path, _partition: str) -> pl.DataFrame:
        with open_text(raw / file) as lines:
            read = read_records if any(column.kind == "text" for column in columns) else read_lines
            return numbered(read(lines, form=form), row)

    def parse(raw: pl.DataFrame) -> pl.DataFrame:
        label = pl.col(target.source).str.strip_chars().replace_strict(codes, default=None, return_dtype=pl.UInt8)
        last = label.alias(target.name) if codes else target.parse()
        return raw.select(pl.col(row).cast(pl.Int32), *(column.parse() for column in columns), last)

    def schema(_partition: str) -> pa.DataFrameSchema:
        import pandera.polars as pa

        judged = {column.name: column.judge() for column in everything}
        if codes:
            judged[target.name] = pa.Column(pl.UInt8, nullable=target.nullable)
        number = pa.Column(pl.Int32, pa.Check.ge(0))
        return pa.DataFrameSchema({row: number, **judged}, checks=checks(), unique=[row], strict=True)

    def no_label(rows: pl.DataFrame) -> pl.Series:
        return rows.select(pl.when(pl.col(target.name).is_null()).then(pl.lit(NO_LABEL)).alias("why"))["why"]

    numbers = {column.name: column.source for column in columns if column.kind == "numeric"}
    of_table: dict[str, Any] = {
        "name": "rows",
        "columns": (row, *(column.source for column in everything)),
        "partitions": lambda _raw: ["rows"],
        "read": read,
        "parse": parse,
        "schema": schema,
        "key": (row,),
        "parsed_from": {**numbers, target.name: target.source},
        "form": form,
        "derived": {row: pl.int_range(pl.len()).cast(pl.String)},
        "parses_as": {target.name: f"one of {', '.join(classes)}"} if codes else {},
    }
    of_dataset: dict[str, Any] = {
        "references": (),
        "features": tuple(Feature(column.name, column.kind, column.about, column.unit) for column in columns),
        "featurize": lambda rows, _context: rows.select(row, target.name, *(column.featurize() for column in columns)),
        "summarize": lambda rows: pl.DataFrame({"rows": [len(rows)]}),
        "context": lambda _summaries, _references: None,
        "split": split_within(pl.col(target.name) if classes else neighbours(target.name)),
        "unlabelled": no_label,
    }
    for function in filter(callable, [*of_table.values(), *of_dataset.values()]):
        function.__module__ = module  # whose columns they know: an edit of those is an edit of theirs
    return Dataset(
        name=module.rpartition(".")[2],
        question=question,
        task=task,
        target=target.name,
        target_unit="" if classes else target.unit,
        classes=classes,
        records=Table(**(of_table | dict(table or {}))),
        identity=(row,),
        forbidden=frozenset({target.name}),
        **(of_dataset | peculiar),
    )


def open_text(path: Path) -> IO[bytes]:
    """The bytes of a file, inflated where its name ends in .gz."""
    return cast("IO[bytes]", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


@contextmanager
def open_zipped(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of the only file in a zip."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if len(names) != 1:
            raise ValueError(f"wanted one file in {path.name}; found {', '.join(names) or 'none'}")
        with archive.open(names[0]) as file:
            yield file


def numbered(rows: pl.DataFrame, row: str) -> pl.DataFrame:
    """``rows`` with their number from 0 on, as text, in front."""
    return rows.select(pl.int_range(pl.len()).cast(pl.String).alias(row), pl.all())


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def neighbours(target: str) -> pl.Expr:
    """Strata of `STRATUM_ROWS` rows with neighbouring targets."""
    return (pl.col(target).rank("ordinal") - 1) // STRATUM_ROWS


def split_within(stratum: pl.Expr) -> Callable[[pl.DataFrame, Mapping[str, Any], int], pl.Series]:
    """A split that draws shares at random within each ``stratum``, so that every part holds some of each."""

    def split(frame: pl.DataFrame, settings: Mapping[str, Any], seed: int) -> pl.Series:
        train, valid = split_values(settings, "train", "valid")
        numbers = all(isinstance(share, (int, float)) for share in (train, valid))
        if not (numbers and 0 < train < 1 and 0 < valid < 1 and train + valid < 1):
            raise ValueError(f"wanted shares that leave something for the test; found train {train!r}, valid {valid!r}")
        draw = pl.Series("draw", np.random.default_rng(seed).random(len(frame)))
        place = ((pl.col("draw").rank("ordinal") - 0.5) / pl.len()).over("stratum")
        part = pl.when(place < train).then(pl.lit("train")).when(place < train + valid).then(pl.lit("valid"))
        return frame.select(stratum.alias("stratum"), draw).select(part.otherwise(pl.lit("test")).alias("part"))["part"]

    return split
