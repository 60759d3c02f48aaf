"""Long arrays are worked through a block of rows at a time: what lies between then takes the memory of a block."""

from __future__ import annotations

from collections.abc import Iterator

ROWS_AT_ONCE = 1 << 20


def row_blocks(rows: int) -> Iterator[slice]:
    """Slices that cover ``rows`` rows in order."""
    for start in range(0, rows, ROWS_AT_ONCE):
        yield slice(start, min(start + ROWS_AT_ONCE, rows))
