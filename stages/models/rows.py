"""Feed the rows of a feature table to the booster: bins in memory, beyond ``scale.memory_limit_gib`` on disk.

Pages of bins lie in ``.dvc/tmp/pages`` for as long as the training runs; the model does not depend on where they are.
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
from stages.models.boosting import Fit, fit_booster
from stages.models.training_memory import TrainingRows, bytes_of_bins, estimate_from_disk, estimate_in_memory
from stages.runtime.leftovers import own_name, remove_leftovers
from stages.runtime.log import log
from stages.workspace.errors import UserError

PAGES = Path(".dvc/tmp/pages")
GIB = 2**30


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


def fit_share(
    share: Share,
    *,
    settings: Mapping[str, Any],
    threads: int,
    seed: int,
    from_disk: bool,
    each_round: Callable[[int, float, float], None],
) -> Fit:
    """Fit the booster to one share; ``settings`` are the arguments of `fit_booster` that users choose."""
    table = share.train
    with page_names() if from_disk else nullcontext() as pages:
        return fit_booster(
            share.train_frames,
            share.valid_frames,
            features=table.names,
            target=table.target,
            task=table.task,
            classes=len(table.classes),
            **settings,
            threads=threads,
            seed=seed,
            each_round=each_round,
            pages=pages,
        )


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


def describe_rows(share: Share, sketches: Mapping[str, Sketch], max_bin: int) -> TrainingRows:
    """What the memory of training depends on, from the manifest and the sketches alone."""
    table = share.train
    return TrainingRows(
        rows=share.rows(),
        largest_partition=max((partition["rows"] for partition in table.partitions), default=0),
        columns=len(table.columns),
        bins=max(max_bin, *(len(column.categories) for column in table.columns)),
        any_missing=any(sketches[name].nulls > 0 for name in table.names),
        outputs=len(table.classes) if table.task == "multiclass" else 1,
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
    folder = PAGES / own_name()
    folder.mkdir(mode=0o700)
    try:
        yield f"{folder.as_posix()}/"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
