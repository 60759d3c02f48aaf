"""The dictionary as a page: the words of each class, the later documents, the words that are new.  No script."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from stages.pages.numbers import count_text, elided, estimate_text, level_text, share_text
from stages.pages.tables import Cell, Column, Table, as_html, as_text, table

Told = Mapping[str, Any]
STABLE = 0.8  # of the resamples, from which on a word is set in bold
NEW_WORDS, DOCUMENTS, LETTERS = 40, 60, 160


def write_page(told: Told, words: pl.DataFrame, later: pl.DataFrame, fresh: pl.DataFrame) -> str:
    """The page; the same content gives the same bytes."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("stages.texts", ""), PackageLoader("stages.results", "")]),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["shown"] = lambda shown: Markup(as_html(shown))
    kept = words.group_by("class").agg(pl.col("stability").mean())["stability"].mean()
    return environment.get_template("page.html.j2").render(
        told=told, fared=fared(told), classes=[class_words(words, name) for name in told["classes"]],
        stable=share_text(float(str(kept))), level=level_text(told["level"]), later=later_table(later),
        new=new_table(fresh), rows=count_text(told["rows"]), vocabulary=count_text(told["vocabulary"]),
    )  # fmt: skip


def class_words(words: pl.DataFrame, name: str) -> dict[str, Any]:
    """The words of one class, each with how often and how surely it is one of its words."""
    told = [
        {"word": word, "stable": stability >= STABLE,
         "about": f"{share_text(share)} of {documents} documents with it; in {share_text(stability)} of the resamples"}
        for word, documents, share, stability in words.filter(pl.col("class") == name)
        .select("word", "documents", "share", "stability").iter_rows()
    ]  # fmt: skip
    return {"name": name, "words": told}


def fared(told: Told) -> Table:
    """How the later documents fared beside the test."""
    groups = told["groups"]
    names = [name for name in ("test", "later", "difference") if any(name in groups[m] for m in MEASURED)]
    rows = [[measure, *(estimate_text(**groups[measure].get(name, NONE)) for name in names)] for measure in MEASURED]
    rows.append(["documents", *(count_text(groups["documents"].get(name, 0)) if name in groups["documents"] else ""
                                for name in names)])  # fmt: skip
    return table("Later documents beside the test", [Column("of the documents", "name"), *names], rows)


MEASURED = ("accuracy", "unknown words")
NONE = {"value": None, "low": None, "high": None}


def later_table(later: pl.DataFrame) -> Table:
    """Later documents with what was answered and which words said so, the surest mistakes first."""
    wrong = pl.col("filed") != pl.col("answer")
    rows = later.sort([wrong, pl.col("probability")], descending=True).head(DOCUMENTS)
    cells = [
        [Cell(source, kind="name"), Cell(answer, kind="verdict" if answer == filed else "verdict worse"), filed,
         share_text(probability), elided(speaking, LETTERS), elided(text, LETTERS)]
        for source, answer, filed, probability, speaking, text
        in rows.select("source", "answer", "filed", "probability", "speaking", "text").iter_rows()
    ]  # fmt: skip
    heads: list[Column | str] = [
        Column("source", "name"), Column("answer", "name"), Column("filed under", "name"), "probability",
        Column("words that speak for it", "name"), Column("text", "words"),
    ]  # fmt: skip
    return table(f"{count_text(len(later))} later documents, the surest mistakes first", heads, cells, 15)


def new_table(fresh: pl.DataFrame) -> Table:
    """The new words that most sources use."""
    rows = [[word, *map(count_text, (sources, documents)), most]
            for word, sources, documents, most in fresh.head(NEW_WORDS).iter_rows()]  # fmt: skip
    heads: list[Column | str] = [Column("word", "name"), "sources", "documents", Column("most of them in", "name")]
    return table(f"{count_text(len(fresh))} words that no training document holds", heads, rows, 20)


def tell(told: Told) -> str:
    """The figures, for the terminal."""
    return as_text(fared(told))
