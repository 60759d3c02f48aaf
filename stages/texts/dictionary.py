"""Which words are characteristic of a class, and would other documents have named the same?

A word is weighed by its log-odds in the documents of the class against those in all others, each with a prior of what
all documents together say, over their standard error (Monroe, Colaresi & Quinn, "Fightin' Words", Political Analysis
2008): so neither a word that is everywhere nor one that was seen twice stands in front.  Stability is the share of
resamples of the sources in which a word would be in its class's list as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.models.terms import Vocabulary, add_documents, choose_terms, count_terms, document_counts

if TYPE_CHECKING:
    from scipy import sparse

Float = NDArray[np.float64]
Int = NDArray[np.int64]
PRIOR = 500.0  # documents that the prior is worth
LEAST_DOCUMENTS = 5
MOST_SHARE = 0.3


@dataclass(frozen=True)
class Read:
    """Documents as the words that stand in them: ``holds`` (documents, words) is 1 where one does."""

    vocabulary: Vocabulary
    known: frozenset[str]
    """Every word of these documents, however rare."""
    holds: sparse.csr_array
    labels: Int
    clusters: Int
    """The source of each document, numbered."""


def read_words(parts: Sequence[tuple[pl.Series, pl.Series, pl.Series]]) -> Read:
    """The words of (texts, labels, clusters) of partitions."""
    from scipy import sparse

    counted = [count_terms(texts, 1) for texts, _, _ in parts]
    documents, rows = add_documents([document_counts(part) for part in counted]), sum(len(part[0]) for part in parts)
    vocabulary = choose_terms(documents, rows, longest=1, min_documents=LEAST_DOCUMENTS, max_share=MOST_SHARE)
    weighed = [vocabulary.weigh_counted(part, len(own[0])) for part, own in zip(counted, parts, strict=True)]
    holds = sparse.vstack(weighed, format="csr")
    holds.data[:] = 1.0
    labels = pl.concat([part[1] for part in parts]).cast(pl.Int64).to_numpy()
    clusters = pl.concat([part[2] for part in parts]).rank("dense").cast(pl.Int64).to_numpy() - 1
    return Read(vocabulary, frozenset(documents["term"]), holds, labels, clusters)


def rank_words(counts: Float, totals: Float) -> Float:
    """How characteristic each word is of each class: z of the log-odds.

    Parameters
    ----------
    counts
        (classes, words): documents of the class that hold the word.
    totals
        (classes,): documents of the class.
    """
    every = counts.sum(axis=0)
    prior = PRIOR * every / max(every.sum(), 1.0)
    others, rest = every - counts, totals.sum() - totals[:, None]

    def log_odds(held: Float, of: Float) -> Float:
        return np.asarray(np.log(held + prior + 1e-9) - np.log(of + PRIOR - held - prior))

    spread = np.sqrt(1 / (counts + prior + 1e-9) + 1 / (others + prior + 1e-9))
    return np.asarray((log_odds(counts, totals[:, None]) - log_odds(others, rest)) / spread)


def make_dictionary(read: Read, classes: Sequence[str], *, size: int, resamples: int, seed: int) -> pl.DataFrame:
    """The first words of each class: class, place, word, z, documents, share (of them in the class), stability."""
    member = np.eye(len(classes))[read.labels]  # (documents, classes)

    def ranked(weights: Float) -> Float:
        weighed = member * weights[:, None]
        return rank_words(np.asarray((read.holds.T @ weighed).T), weighed.sum(axis=0))

    z = ranked(np.ones(len(read.labels)))
    first = np.argsort(-z, axis=1, kind="stable")[:, :size]
    rng, again = np.random.default_rng(seed), np.zeros(first.shape)
    n = int(read.clusters.max()) + 1
    for _ in range(resamples):
        drawn = np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)
        other = np.argsort(-ranked(drawn[read.clusters]), axis=1, kind="stable")[:, :size]
        again += [np.isin(own, found) for own, found in zip(first, other, strict=True)]
    held = np.asarray((read.holds.T @ member).T)
    rows = [
        {"class": name, "place": place + 1, "word": read.vocabulary.terms[word], "z": float(z[k, word]),
         "documents": int(held[:, word].sum()), "share": float(held[k, word] / held[:, word].sum()),
         "stability": float(again[k, place] / resamples)}
        for k, name in enumerate(classes) for place, word in enumerate(first[k]) if z[k, word] > 0
    ]  # fmt: skip
    return pl.DataFrame(rows)
