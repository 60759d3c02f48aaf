"""Which way do edges run in each part of a picture?  Histograms of oriented gradients, and a coarse picture.

N. Dalal & B. Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005: each pixel votes for the
orientation of its gradient, weighted by the gradient's length; the votes of a cell are measured against those of its
neighbours, so that light and contrast matter less.  Votes are whole numbers, so a picture alone has the same features
as among others, to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

CELLS, ORIENTATIONS, TILES = 4, 9, 7  # along each side; over half a turn; along each side of the coarse picture
FINE = 64  # parts of a vote
AT_ONCE = 256  # pictures: 7 MB of votes where they have 28 × 28 pixels
WIDEST = 255  # between two pixels

HOG = tuple(f"edge_{i}_{j}_{o}" for i in range(CELLS) for j in range(CELLS) for o in range(ORIENTATIONS))
"""Row and column of the cell, and orientation in ninths of half a turn."""


def tile_names(channels: int) -> list[str]:
    """Row and column of the tile, and its channel where there are several."""
    places = [f"tile_{i}_{j}" for i in range(TILES) for j in range(TILES)]
    return places if channels == 1 else [f"{place}_{channel}" for place in places for channel in range(channels)]


def describe_pictures(pixels: NDArray[np.uint8], shape: Sequence[int]) -> tuple[NDArray[np.float32], ...]:
    """Edges (pictures, 144) and tiles (pictures, 49 × channels) of pictures (pictures, rows × columns × channels)."""
    rows, columns, channels = shape
    edges = np.zeros((len(pixels), len(HOG)), np.float32)
    tiles = np.zeros((len(pixels), TILES * TILES * channels), np.float32)
    for start in range(0, len(pixels), AT_ONCE):
        some = pixels[start : start + AT_ONCE].reshape(-1, rows, columns, channels).astype(np.int32)
        edges[start : start + AT_ONCE] = _edges(some.sum(axis=3) // channels)
        sums = _add_up(some, TILES) / _add_up(np.ones_like(some[:1]), TILES)
        tiles[start : start + AT_ONCE] = sums.reshape(len(some), -1)
    return edges, tiles


def _edges(grey: NDArray[np.int32]) -> NDArray[np.float64]:
    """Votes of (pictures, rows, columns) by cell and orientation, each over the length of all votes around the cell."""
    padded = np.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="edge")
    across = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    votes = _add_up(_votes()[across + WIDEST, down + WIDEST], CELLS)  # (pictures, cells, cells, orientations)
    energy = np.pad((votes**2).sum(axis=3), ((0, 0), (1, 1), (1, 1)))
    around = sum(energy[:, i : i + CELLS, j : j + CELLS] for i in range(3) for j in range(3))
    return (votes / np.sqrt(around + FINE**2)[..., None]).reshape(len(grey), -1)


def _add_up(values: NDArray[np.int32], parts: int) -> NDArray[np.int64]:
    """The sums of (pictures, rows, columns, …) over ``parts`` equal parts of the rows and of the columns."""
    summed = values.astype(np.int64)
    for axis in (1, 2):
        starts = np.arange(parts) * values.shape[axis] // parts
        summed = np.add.reduceat(summed, starts, axis=axis)
    return summed


@lru_cache(maxsize=1)
def _votes() -> NDArray[np.int32]:
    """For every difference across and down, the votes for each orientation, shared by the two nearest."""
    steps = np.arange(-WIDEST, WIDEST + 1, dtype=np.float64)
    across, down = np.meshgrid(steps, steps, indexing="ij")
    length = np.hypot(across, down) * FINE
    place = np.mod(np.arctan2(down, across), np.pi) / np.pi * ORIENTATIONS
    nearer = np.floor(place).astype(np.int64) % ORIENTATIONS
    share = place - np.floor(place)
    votes = np.zeros((*length.shape, ORIENTATIONS), np.int32)
    i, j = np.indices(length.shape)
    votes[i, j, nearer] = np.rint(length * (1 - share))
    votes[i, j, (nearer + 1) % ORIENTATIONS] += np.rint(length * share).astype(np.int32)
    return votes
