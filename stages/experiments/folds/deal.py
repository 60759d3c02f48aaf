"""How are rows dealt out, so that a model is judged several times on rows that it could not have seen?

Where rows come in *units* that follow one another (days), by *rolling origin*, also called forward chaining (Tashman,
"Out-of-sample tests of forecasting accuracy", International Journal of Forecasting 2000): the units are cut into
n_folds + 2 stretches of about equal rows; fold k learns from the first k stretches, stops boosting on the next one and
is tested on the one after it.  No unit lies in two parts of a fold, and nothing is learnt from what comes after a test.

Where rows are independent, by k-fold, stratified by class (Kohavi, "A study of cross-validation and bootstrap", IJCAI
1995): a hash of its place puts every row into one of 2 · n_folds pieces; a fold is tested on two of them, stops on the
next one and learns from the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stages.metrics.resampling import MAX_BLOCKS, deal_rows

Int = NDArray[np.int64]

PARTS = ("train", "valid", "test")
BESIDE_FOLDS = 2  # stretches that no fold is tested on: one to learn from, one to stop on
PIECES_OF_FOLD = 2


@dataclass(frozen=True)
class Places:
    """The parts of one fold: places of units in their order, or numbers of pieces."""

    train: Sequence[int]
    valid: Sequence[int]
    test: Sequence[int]

    def part(self, name: str) -> Sequence[int]:
        """The places of the part called ``name``."""
        return {"train": self.train, "valid": self.valid, "test": self.test}[name]


def roll_origin(rows: Int, n_folds: int, gap: int = 0) -> list[Places]:
    """Folds over units with so many ``rows`` each, in order; ``gap`` units are left out before a valid and a test part.

    Raises
    ------
    ValueError
        Fewer than two folds, more than the units allow, or a gap as long as a stretch.
    """
    refuse_few_folds(n_folds)
    n_stretches = n_folds + BESIDE_FOLDS
    if len(rows) < n_stretches:
        raise ValueError(
            f"{n_stretches} units or more for {n_folds} folds: each is tested on one, the first learns from one and "
            "stops on another",
            f"{len(rows)}",
            f"ask for {len(rows) - BESIDE_FOLDS} folds or fewer"
            if len(rows) >= 2 + BESIDE_FOLDS
            else "take more records into the parts",
        )
    cuts = cut_evenly(rows, n_stretches)
    shortest = min(stop - start for start, stop in pairwise(cuts[:-1]))
    if not 0 <= gap < shortest:
        raise ValueError(
            f"a gap of 0 … {shortest - 1} units: less than the shortest stretch of {n_folds} folds",
            f"{gap}",
            "ask for a shorter gap or for fewer folds",
        )
    return [
        Places(range(cuts[k] - gap), range(cuts[k], cuts[k + 1] - gap), range(cuts[k + 1], cuts[k + 2]))
        for k in range(1, n_folds + 1)
    ]


def cut_evenly(rows: Int, n_stretches: int) -> list[int]:
    """Where units with so many ``rows`` are cut into stretches of about equal rows and at least one unit: both ends."""
    seen = np.concatenate([[0], np.cumsum(rows)])
    cuts = [0]
    for k in range(1, n_stretches):
        nearest = int(np.abs(seen - seen[-1] * k / n_stretches).argmin())
        cuts.append(min(max(nearest, cuts[-1] + 1), len(rows) - (n_stretches - k)))
    return [*cuts, len(rows)]


def hash_blocks(first: int, count: int) -> Int:
    """The block, 0 … `MAX_BLOCKS` - 1, of ``count`` rows from position ``first``, however few the rows are."""
    return deal_rows(first, count, total=MAX_BLOCKS + 1)


def deal_pieces(counts: Int, n_folds: int) -> Int:
    """The piece of each class and block, shape (classes, blocks), from ``counts`` of rows of that shape.

    The blocks of a class are cut into 2 · n_folds pieces of equal rows, give or take a block (1/1024 of the class).
    """
    refuse_few_folds(n_folds)
    pieces = PIECES_OF_FOLD * n_folds
    middle = np.cumsum(counts, axis=1) - counts / 2  # of each block, among the rows of its class
    share = middle / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    dealt: Int = np.minimum((share * pieces).astype(np.int64), pieces - 1)
    return dealt


def deal_folds(n_folds: int) -> list[Places]:
    """Folds over pieces: two to be tested on, the next one to stop on, the rest to learn from."""
    refuse_few_folds(n_folds)
    pieces, folds = range(PIECES_OF_FOLD * n_folds), []
    for fold in range(n_folds):
        test = pieces[PIECES_OF_FOLD * fold : PIECES_OF_FOLD * (fold + 1)]
        valid = (test.stop % len(pieces),)
        folds.append(Places([piece for piece in pieces if piece not in (*test, *valid)], valid, test))
    return folds


def refuse_few_folds(n_folds: int) -> None:
    """Stop at fewer than two folds."""
    if n_folds < 2:
        raise ValueError("2 folds or more", f"{n_folds}", "one split is what `train` and `evaluate` do already")


def refuse_one_class(classes: Sequence[str], counts: Int, fold: int, part: str) -> None:
    """Stop when a part of a fold cannot tell a good model from a bad one; ``counts`` are its rows by class."""
    if np.count_nonzero(counts) < 2:
        found = [f"{name}: {n:,} rows" for name, n in zip(classes, counts, strict=True) if n]
        raise ValueError(
            f"two or more of the classes {', '.join(classes)} in the {part} part of fold {fold}",
            ", ".join(found) or "no rows",
            "ask for fewer folds, or take more records into the parts",
        )
