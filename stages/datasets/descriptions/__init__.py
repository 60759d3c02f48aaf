"""descriptions: which topic is a piece of software about, by what it says of itself?

The descriptions of Debian's packages, written by their maintainers, who also file each package under a section; sixteen
sections are topics.  A document stands for all packages of its source in that section, which mostly say the same.
Packages whose sources are new in the next release are later documents: they belong to no part.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import polars as pl

from stages.datasets.descriptions import published
from stages.records.contract import Dataset, Feature, Table, split_values

if TYPE_CHECKING:
    import pandera.polars as pa

MOST_CHARACTERS = 100_000
MOST_UNREADABLE = 0.01  # of the characters: a font shows what it looks like, a file of another encoding is full of them
LATER = published.RELEASES[-1]


# ── the published descriptions ───────────────────────────────────────────────────────────────────────────────────────
def clean_text(column: str) -> pl.Expr:
    """A description without its markup: one paragraph, without bullets, addresses and signs that stand for blanks."""
    text = pl.col(column).str.replace_all(r"(?m)^[ \t]*\.[ \t]*$", "")
    text = text.str.replace_all(r"(?m)^[ \t]*[-*+o\x{2022}][ \t]+", "").str.replace(
        r"^([^\n]*[^\s.!?:])[ \t]*\n", "$1.\n"
    )  # a title
    text = text.str.replace_all(r"(?i)\b(?:https?|ftp)://[^\s>)\]]+", " ").str.normalize("NFC")
    return text.str.replace_all(r"\s+", " ").str.strip_chars()


def parse(raw: pl.DataFrame) -> pl.DataFrame:
    """Clean texts, the topic, and the project: sources that differ by a number alone: python3.11, python3.13."""
    blank = [pl.col(name).str.strip_chars() for name in ("release", "package", "source", "section")]
    present = [pl.when(value != "").then(value) for value in (*blank, clean_text("description").alias("text"))]
    codes = {topic: code for code, topic in enumerate(published.TOPICS)}
    return raw.select(present).with_columns(
        (pl.col("release") + " " + pl.col("source").str.replace_all(published.NUMBERS, "")).alias("project"),
        pl.col("section").replace_strict(codes, default=None, return_dtype=pl.UInt8).alias("topic"),
    )


def schema(_partition: str) -> pa.DataFrameSchema:
    """What a tidy description must satisfy."""
    import pandera.polars as pa  # most of a second to import; only `clean` validates

    def readable(data: pa.PolarsData) -> pl.LazyFrame:
        """No control characters, and hardly any bytes that are no UTF-8."""
        text = pl.col(data.key)
        strange = text.str.count_matches("\ufffd") > MOST_UNREADABLE * text.str.len_chars()
        return data.lazyframe.select(~(strange | text.str.contains(r"[\x00-\x08\x0e-\x1f]")))

    name, length = pa.Check.str_length(1, 200), pa.Check.str_length(1, MOST_CHARACTERS)
    return pa.DataFrameSchema(
        {
            "release": pa.Column(pl.String, pa.Check.isin(published.RELEASES)),
            "package": pa.Column(pl.String, name),
            "source": pa.Column(pl.String, name),
            "section": pa.Column(pl.String, pa.Check.isin(published.TOPICS)),
            "text": pa.Column(pl.String, [length, pa.Check(readable, name="readable")]),
            "project": pa.Column(pl.String),
            "topic": pa.Column(pl.UInt8, nullable=True),
        },
        unique=["release", "package"],
        strict=True,
    )


DOCUMENTS = Table(
    name="documents",
    columns=published.COLUMNS,
    partitions=published.shelves,
    read=published.read,
    parse=parse,
    schema=schema,
    key=("release", "package"),
    parsed_from={"release": "release", "package": "package", "source": "source", "section": "section",
                 "text": "description"},
    parses_as={"text": "more than markup"},
    files=published.files_of,
    partition_of=published.PARTITION_OF,
    derived={
        "release": pl.lit(LATER),
        "package": pl.format("document-{}", pl.int_range(pl.len())),
        "source": pl.format("document-{}", pl.int_range(pl.len())),
    },
)  # fmt: skip


# ── features ─────────────────────────────────────────────────────────────────────────────────────────────────────────
FEATURES = (
    Feature("text", "text", "what the package says of itself"),
    Feature("characters", "numeric", "length of the text"),
    Feature("sentences", "numeric", "ends of sentences in the text"),
    Feature("capitals", "numeric", "share of its letters that are capitals"),
)


def featurize(rows: pl.DataFrame, _context: None) -> pl.DataFrame:
    """The text, and what can be told of it without reading a word."""
    text = pl.col("text")
    return rows.select(
        "release",
        "package",
        "project",
        "topic",
        text,
        text.str.len_chars().cast(pl.Float32).alias("characters"),
        text.str.count_matches(r"[.!?](?:\s|$)").cast(pl.Float32).alias("sentences"),
        (text.str.count_matches(r"\p{Lu}") / text.str.count_matches(r"\p{L}")).cast(pl.Float32).alias("capitals"),
    )


def split(frame: pl.DataFrame, settings: Mapping[str, Any], _seed: int) -> pl.Series:
    """A project stays together; a later release has no part."""
    train, valid = split_values(settings, "train", "valid")
    if not (all(isinstance(share, float) and share > 0 for share in (train, valid)) and train + valid < 1):
        raise ValueError(f"wanted shares that leave something for the test; found train {train!r}, valid {valid!r}")
    draws = {project: _draw(project) for project in frame["project"].unique().drop_nulls()}
    draw = pl.col("project").replace_strict(draws, default=None, return_dtype=pl.Float64)
    part = pl.when(draw < train).then(pl.lit("train")).when(draw < train + valid).then(pl.lit("valid"))
    later = pl.col("project").str.starts_with(LATER)
    return frame.select(pl.when(~later).then(part.otherwise(pl.lit("test"))).alias("part"))["part"]


def _draw(project: str) -> float:
    """A number from 0 to 1 that hangs on the name alone, so that no document changes its part when others come."""
    return int(sha256(project.encode()).hexdigest()[:8], 16) / 0x1_0000_0000


DATASET = Dataset(
    name="descriptions",
    question="Which topic is the software about, by what it says of itself?",
    task="multiclass",
    target="topic",
    classes=published.TOPICS,
    records=DOCUMENTS,
    references=(),
    identity=("release", "package"),
    features=FEATURES,
    forbidden=frozenset({"section", "topic"}),
    cluster="project",
    summarize=lambda rows: pl.DataFrame({"rows": [len(rows)]}),
    context=lambda _summaries, _references: None,
    featurize=featurize,
    split=split,
    unlabelled=lambda rows: pl.Series("why", [None] * len(rows), pl.String),  # a document is filed under a topic
)
