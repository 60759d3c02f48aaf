"""What do later texts bring?  Words that training never saw, and answers that fare as those of the test, or do not.

Documents of one source share their luck, so means are resampled by source, those of the test and those of the later
ones each by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.models.terms import count_terms

Float = NDArray[np.float64]
MEASURES = {"accuracy": pl.col("filed") == pl.col("answer"), "unknown words": pl.col("unknown_share")}


def resampled_means(values: Float, clusters: pl.Series, replicates: int, rng: np.random.Generator) -> Float:
    """The mean (first) and those of resamples of the clusters."""
    frame = pl.DataFrame({"value": values, "cluster": clusters}).group_by("cluster", maintain_order=True)
    sums = frame.agg(pl.col("value").sum(), pl.len().alias("n"))
    total, n = sums["value"].to_numpy(), sums["n"].to_numpy().astype(np.float64)
    means = [total.sum() / n.sum()]
    for _ in range(replicates):
        drawn = rng.integers(len(n), size=len(n))
        means.append(total[drawn].sum() / n[drawn].sum())
    return np.array(means)


def compare(judged: Mapping[str, pl.DataFrame], *, level: float, replicates: int, seed: int) -> dict[str, Any]:
    """Accuracy and share of unknown words of each group of documents, and how far the last is from the first."""
    rng, ends = np.random.default_rng(seed), ((1 - level) / 2, (1 + level) / 2)
    told: dict[str, Any] = {}
    for name, value in MEASURES.items():
        drawn = {
            group: resampled_means(
                rows.select(value)[:, 0].cast(pl.Float64).to_numpy(), rows["source"], replicates, rng
            )
            for group, rows in judged.items()
            if len(rows)
        }
        if len(drawn) > 1:
            first, *_, last = drawn.values()
            drawn["difference"] = last - first
        told[name] = {
            group: dict(zip(("value", "low", "high"), (means[0], *np.quantile(means[1:], ends)), strict=True))
            for group, means in drawn.items()
        }
    return {"documents": {group: len(rows) for group, rows in judged.items()}, **told}


def unknown_shares(texts: pl.Series, known: Collection[str]) -> Float:
    """Of the words of each text, the share that is not among the ``known``; of a text without a word, none."""
    counted = count_terms(texts, 1)
    is_new = ~counted["term"].is_in(pl.Series(sorted(known), dtype=pl.String).implode())
    n, row = counted["n"].to_numpy().astype(np.float64), counted["row"].to_numpy()
    words = np.bincount(row, n, len(texts))
    return np.asarray(np.bincount(row, n * is_new.to_numpy(), len(texts)) / np.maximum(words, 1.0))


def new_words(documents: pl.DataFrame, known: Collection[str]) -> pl.DataFrame:
    """Words that training never saw, by the sources that use them: word, sources, documents, most (the class)."""
    counted = count_terms(documents["text"], 1)
    fresh = counted.filter(~pl.col("term").is_in(pl.Series(sorted(known), dtype=pl.String).implode()))
    told = fresh.select(pl.col("term").alias("word")).hstack(documents.select("source", "filed")[fresh["row"]])
    found = told.group_by("word").agg(
        pl.col("source").n_unique().alias("sources"),
        pl.len().alias("documents"),
        pl.col("filed").mode().min().alias("most"),
    )
    return found.sort(["sources", "documents", "word"], descending=[True, True, False])
