"""What terms does a text hold, and which of them are worth a weight?  Counts that partitions add up, then TF-IDF.

A term is a word, or so many words in a row; a word is a run of two or more letters, digits and underscores in lower
case, as scikit-learn has it.  A vocabulary comes of training documents alone.  Terms are counted by Polars, whose
threads cannot change a count, and put in order by name, so that a document is the same row alone as among others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy import sparse

Float = NDArray[np.float64]
WORD = r"\b\w\w+\b"


def count_terms(texts: pl.Series, longest: int) -> pl.DataFrame:
    """How often each term stands in each text: row, term, n; rows in order, terms by name.  A null is an empty text."""
    words = texts.fill_null("").str.to_lowercase().str.extract_all(WORD)
    flat = pl.DataFrame({"row": pl.int_range(len(texts), dtype=pl.UInt32, eager=True), "term": words})
    flat = flat.explode("term", empty_as_null=False)
    runs, joined = [flat], pl.col("term")
    for length in range(1, longest):
        joined = joined + " " + pl.col("term").shift(-length)
        runs.append(flat.select("row", joined).filter(flat["row"] == flat["row"].shift(-length)))
    return pl.concat(runs).group_by("row", "term").agg(pl.len().alias("n")).sort("row", "term")


def document_counts(counted: pl.DataFrame) -> pl.DataFrame:
    """In how many of the texts each term stands: term, documents."""
    return counted.group_by("term").agg(pl.len().cast(pl.UInt32).alias("documents"))


def add_documents(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The document counts of partitions, added up, in any order."""
    return pl.concat(parts).group_by("term").agg(pl.col("documents").sum()).sort("term")


@dataclass(frozen=True)
class Vocabulary:
    """The terms that have a weight, by name, and how rare each is among ``rows`` training documents."""

    terms: tuple[str, ...]
    documents: NDArray[np.uint32]
    rows: int
    longest: int

    @cached_property
    def rarity(self) -> Float:
        """Inverse document frequencies, smoothed as scikit-learn does: as if one more document held every term."""
        return np.asarray(np.log((1 + self.rows) / (1.0 + self.documents)) + 1)

    @cached_property
    def _places(self) -> pl.DataFrame:
        return pl.DataFrame({"term": self.terms}, {"term": pl.String}).with_row_index("place")

    def weigh(self, texts: pl.Series) -> sparse.csr_array:
        """TF-IDF of each text (rows, terms): 1 + ln n times the rarity, scaled to length 1."""
        return self.weigh_counted(count_terms(texts, self.longest), len(texts))

    def weigh_counted(self, counted: pl.DataFrame, rows: int) -> sparse.csr_array:
        """The same of counted terms."""
        from scipy import sparse

        known = counted.join(self._places, on="term", how="inner", maintain_order="left")
        row, place = known["row"].to_numpy(), known["place"].to_numpy()
        values = (1 + np.log(known["n"].to_numpy().astype(np.float64))) * self.rarity[place]
        squares = np.bincount(row, values**2, minlength=rows)
        values /= np.sqrt(squares)[row]
        starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=rows))])
        return sparse.csr_array((values, place.astype(np.int32), starts.astype(np.int32)), (rows, len(self.terms)))


def choose_terms(counts: pl.DataFrame, rows: int, *, longest: int, min_documents: int, max_share: float) -> Vocabulary:
    """The terms of enough documents, and not of too many."""
    kept = counts.filter(pl.col("documents").is_between(min_documents, max_share * rows)).sort("term")
    return Vocabulary(tuple(kept["term"]), kept["documents"].to_numpy(), rows, longest)
