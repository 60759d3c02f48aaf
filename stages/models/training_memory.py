"""How much memory does fitting a booster take, by rows, columns and what is in them?

XGBoost keeps the bin of every feature value twice, by row and by column, and a bit that says whether it is there.  A
bin takes one byte up to 256 bins, two up to 65,536; where any value is missing, the copy by row takes four, whatever
the number of bins.  A category is a bin of its own.  Measured with XGBoost 3.2 on 1 to 5 million rows of 8 and of 22
columns: the pages are as large as computed here; while trees grow, a row takes 35 to 50 bytes more with everything in
memory, and 65 to 79 in all when its bins stay on disk.
"""

from __future__ import annotations

from dataclasses import dataclass

ROW_POINTER = 8
BIT_PER_VALUE = 1 / 8
BESIDE_BINS = 50  # a row's label, prediction, gradient, place in the tree, and the scratch of moving it
FROM_DISK = 80  # the same, and what XGBoost keeps for every page
ANOTHER_OUTPUT = 12  # prediction and gradient of every class beyond the first
IMPORTED = 350 << 20  # Python, Polars and XGBoost before the first row
DECODED_VALUE = 24  # of a partition while it is read: text, floats and what the allocator keeps


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
