"""What one training is made of: rows, a seed, threads, and room for them in memory or on disk.

XGBoost keeps the bin of every feature value twice, by row and by column, and a bit that says whether it is there.  A
bin takes one byte up to 256 bins, two up to 65,536; where any value is missing, the copy by row takes four, whatever
the number of bins.  A category is a bin of its own.  Measured with XGBoost 3.2 on 1 to 5 million rows of 8 and of 22
columns: the pages are as large as computed here; while trees grow, a row takes 35 to 50 bytes more with everything in
memory, and 65 to 79 in all when its bins stay on disk.  Beyond ``scale.memory_limit_gib`` the bins lie in pages in
``.dvc/tmp/pages`` for as long as the training runs; the model does not depend on where they are.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stages.features.sketch import Sketch
from stages.features.table import FeatureTable
from stages.models.contract import Fit
from stages.models.trees import fit_booster
from stages.runtime.leftovers import own_name, remove_leftovers
from stages.runtime.log import log
from stages.workspace.errors import UserError

PAGES = Path(".dvc/tmp/pages")
GIB = 2**30
ROW_POINTER = 8
BIT_PER_VALUE = 1 / 8
BESIDE_BINS = 50  # a row's label, prediction, gradient, place in the tree, and the scratch of moving it
FROM_DISK = 80  # the same, and what XGBoost keeps for every page
ANOTHER_OUTPUT = 12  # prediction and gradient of every class beyond the first
IMPORTED = 350 << 20  # Python, Polars and XGBoost before the first row
DECODED_VALUE = 24  # of a partition while it is read: text, floats and what the allocator keeps

Ticker = Callable[[int, float, float], None]
"""Told after each round: its number from 0, the loss of the train part, the loss of the valid part."""


@dataclass(frozen=True)
class Share:
    """What one process trains on: partitions of each part, all of them or a worker's own.

    Where workers outnumber the partitions of the valid part, all open them, and take one of every ``takers`` rows.
    """

    train: FeatureTable
    valid: FeatureTable
    takers: int = 1
    turn: int = 0

    def rows(self) -> int:
        """Labelled rows of both parts."""
        return self.train.rows("train") + self.valid.rows("valid") // self.takers

    def train_frames(self) -> Iterator[pl.DataFrame]:
        """A pass over the rows to fit."""
        return self.train.frames("train")

    def valid_frames(self) -> Iterator[pl.DataFrame]:
        """A pass over the rows to stop on."""
        for rows in self.valid.frames("valid"):
            if len(own := rows if self.takers == 1 else rows.gather_every(self.takers, self.turn)):
                yield own


@dataclass(frozen=True)
class Training:
    """One training as a family sees it."""

    share: Share
    sketches: Mapping[str, Sketch]
    seed: int
    threads: int
    """0 takes every core."""
    limit_bytes: int
    label: str
    each_round: Ticker

    @property
    def table(self) -> FeatureTable:
        """The features, their kinds and the task."""
        return self.share.train

    def named(self) -> dict[str, Any]:
        """The arguments of `fit_booster` that no user chooses."""
        return named_arguments(self.share, self.threads, self.seed, self.each_round)

    @contextmanager
    def pages(self, max_bin: int, *, may_use_disk: bool) -> Iterator[str | None]:
        """The beginning of the names of page files where the bins have to go to disk, else None."""
        rows = describe_rows(self.share, self.sketches, max_bin)
        if not (may_use_disk and goes_to_disk(rows, self.limit_bytes, self.label)):
            yield None
            return
        refuse_without_room(rows)
        with page_names() as pages:
            yield pages

    @contextmanager
    def files_beyond_memory(self, needed: int) -> Iterator[str | None]:
        """The beginning of the names of files, for who can map them, where memory has no room for so many bytes."""
        with page_names() if needed > self.limit_bytes // 2 else nullcontext() as names:
            yield names

    def refuse_nothing(self, what: str, loosen: str) -> None:
        """Refuse a fit for which the settings of the family leave nothing of the training rows."""
        dataset, rows = self.table.dataset, self.table.rows("train")
        raise UserError(
            f"{what} to learn from by the settings in datasets.{dataset}.model",
            f"none in {rows:,} training rows",
            f"{loosen}, or look at data/features/{dataset}",
        )

    def refuse_beyond_memory(self, needed: int, why: str) -> None:
        """Refuse a fit that keeps every row as numbers where memory has no room for them."""
        if needed > self.limit_bytes:
            dataset = self.table.dataset
            raise UserError(
                f"rows of {dataset} that fit into scale.memory_limit_gib ({self.limit_bytes / GIB:.3g}): {why}",
                f"about {needed / GIB:.1f} GiB",
                f"take fewer rows, raise the limit, or choose `-S model@datasets.{dataset}.model=boosting`, "
                "whose bins can stay on disk",
            )


def named_arguments(share: Share, threads: int, seed: int, each_round: Ticker) -> dict[str, Any]:
    """How `fit_booster` is told of rows, task and round."""
    table = share.train
    return {
        "train": share.train_frames, "valid": share.valid_frames, "features": table.names, "target": table.target,
        "task": table.task, "classes": len(table.classes), "threads": threads, "seed": seed, "each_round": each_round,
    }  # fmt: skip


def fit_share(
    share: Share,
    *,
    settings: Mapping[str, Any],
    threads: int,
    seed: int,
    from_disk: bool,
    each_round: Ticker,
) -> Fit:
    """Fit the booster to one share; ``settings`` are the arguments of `fit_booster` that users choose."""
    with page_names() if from_disk else nullcontext() as pages:
        return fit_booster(**named_arguments(share, threads, seed, each_round), **settings, pages=pages)


def goes_to_disk(rows: TrainingRows, limit_bytes: int, label: str) -> bool:
    """Whether the bins have to stay on disk for training to keep within ``limit_bytes``; says so if they have."""
    needed = estimate_in_memory(rows)
    if needed <= limit_bytes:
        return False
    log.info(
        "%s: in memory, %s rows would take about %.1f GiB and scale.memory_limit_gib is %.3g: the bins go to disk "
        "(%.1f GiB in %s), the model stays the same",
        label, f"{rows.rows:,}", needed / GIB, limit_bytes / GIB, rows.rows * bytes_of_bins(rows) / GIB, PAGES,
    )  # fmt: skip
    if (least := estimate_from_disk(rows)) > limit_bytes:
        log.warning("%s: even so it takes about %.1f GiB, more than the limit", label, least / GIB)
    return True


@dataclass(frozen=True)
class TrainingRows:
    """What the estimate needs to know: rows of both parts, the largest partition, columns and their bins."""

    rows: int
    largest_partition: int
    columns: int
    bins: int
    """Of the column with most: ``max_bin``, or its number of categories."""
    any_missing: bool
    outputs: int = 1
    """Classes of a multiclass task, else one."""


def estimate_in_memory(rows: TrainingRows) -> int:
    """Bytes at the peak when the bins are kept in memory."""
    return _apart_from_rows(rows) + int(rows.rows * (bytes_of_bins(rows) + BESIDE_BINS + _of_outputs(rows)))


def estimate_from_disk(rows: TrainingRows) -> int:
    """Bytes at the peak when the bins are kept in pages on disk."""
    return _apart_from_rows(rows) + rows.rows * (FROM_DISK + _of_outputs(rows))


def bytes_of_bins(rows: TrainingRows) -> float:
    """Bytes per row of the bins alone, which is what the pages on disk take."""
    width = 1 if rows.bins <= 1 << 8 else 2 if rows.bins <= 1 << 16 else 4
    by_row = 4 if rows.any_missing else width
    return ROW_POINTER + rows.columns * (by_row + width + BIT_PER_VALUE)


def _apart_from_rows(rows: TrainingRows) -> int:
    return IMPORTED + rows.largest_partition * rows.columns * DECODED_VALUE


def _of_outputs(rows: TrainingRows) -> int:
    return ANOTHER_OUTPUT * (rows.outputs - 1)


def describe_rows(share: Share, sketches: Mapping[str, Sketch], max_bin: int) -> TrainingRows:
    """What the memory of training depends on, from the manifest and the sketches alone."""
    table = share.train
    return TrainingRows(
        rows=share.rows(),
        largest_partition=max((partition["rows"] for partition in table.partitions), default=0),
        columns=len(table.columns),
        bins=max(max_bin, *(len(column.categories) for column in table.columns)),
        any_missing=any(sketches[name].nulls > 0 for name in table.names),
        outputs=len(table.classes) if len(table.classes) > 2 else 1,
    )


def refuse_without_room(rows: TrainingRows) -> None:
    """Refuse to begin when the disk has no room for the pages: XGBoost would find out hours later."""
    PAGES.mkdir(parents=True, exist_ok=True)
    needed, free = rows.rows * bytes_of_bins(rows), shutil.disk_usage(PAGES).free
    if needed > free:
        raise UserError(
            f"{needed / GIB:.1f} GiB of room in {PAGES}",
            f"{free / GIB:.1f} GiB",
            "free some space, or raise scale.memory_limit_gib where there is memory for it",
        )


@contextmanager
def page_names() -> Iterator[str]:
    """The beginning of the names of page files, in a folder of its own that goes when the block ends."""
    PAGES.mkdir(parents=True, exist_ok=True)
    remove_leftovers(PAGES)
    folder = PAGES.absolute() / own_name()
    folder.mkdir(mode=0o700)
    try:
        yield f"{folder.as_posix()}/"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
