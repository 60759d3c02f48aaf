"""How many and how much in the minutes before?  Sums over sliding windows, by packed integers, sorts and searches.

A moment of a group is one integer, ``group << MINUTE_BITS | minute``, so that one sort puts the events of every group
in order, and one search finds where a window begins.  Nothing is hashed and nothing is joined.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Number = TypeVar("Number", bound=np.generic)
MINUTE_BITS = 17
MAX_MINUTE = 1 << (MINUTE_BITS - 1)
"""Minutes lie below it, so that a window that begins before minute zero finds nothing of the group before."""


def moments(groups: Ints, minutes: Ints) -> Ints:
    """One sortable integer for each pair of a group (0, 1, …) and a minute (0 … `MAX_MINUTE`)."""
    if len(minutes) and not 0 <= minutes.min() <= minutes.max() < MAX_MINUTE:
        raise ValueError(f"wanted minutes from 0 to {MAX_MINUTE}; found {minutes.min()} to {minutes.max()}")
    return groups.astype(np.int64) << MINUTE_BITS | minutes


def sort_with(keys: Ints, values: Ints, bits: int) -> tuple[Ints, Ints]:
    """``keys`` in ascending order, and the ``values`` that go with them; of equal keys, the smallest value first.

    Both travel in one integer, which sorts several times faster than an order is found.  Keys are not negative; values
    lie in 0 … 2 ** bits - 1.
    """
    if len(keys) and int(keys.max()) >> (63 - bits):
        raise ValueError(f"wanted keys and values that fit in 63 bits; found {int(keys.max())} and {bits} bits")
    packed = keys << bits
    packed |= values
    packed.sort()
    return packed >> bits, packed & ((1 << bits) - 1)


class Questions:
    """Moments at which something is asked, sorted once, for several windows over the same groups."""

    def __init__(self, asked: Ints) -> None:
        """``asked`` as made by `moments`; answers come in its order."""
        self.sorted, self._rows = sort_with(asked, np.arange(len(asked)), max(len(asked), 1).bit_length())

    def in_order(self, answers: NDArray[Number]) -> NDArray[Number]:
        """Answers to the sorted questions, in the order in which they were asked."""
        placed = np.empty_like(answers)
        placed[self._rows] = answers
        return placed

    def ranges(self, events: Ints, window: int) -> tuple[Ints, Ints]:
        """Where the window of each sorted question begins and ends among the sorted ``events``: before the question."""
        return np.searchsorted(events, self.sorted - window), np.searchsorted(events, self.sorted)

    def count_own(self, window: int) -> Ints:
        """For each question, how many questions lie at most ``window`` minutes before it or at it, itself included."""
        is_last = np.append(self.sorted[1:] != self.sorted[:-1], True)[: len(self.sorted)]
        ends = np.flatnonzero(is_last) + 1  # of runs of equal moments
        high = np.repeat(ends, np.diff(ends, prepend=0))
        return self.in_order(high - np.searchsorted(self.sorted, self.sorted - window))


def running(values: Ints | NDArray[np.bool_]) -> Ints:
    """Sums of all values before each place, and of all of them at the end: ``running[high] - running[low]``."""
    sums = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, out=sums[1:])
    return sums


def code_pairs(first: Ints, second: Ints, size: int) -> tuple[Ints, Ints]:
    """Dense numbers 0, 1, … for the pairs that occur, and the pair ``first * size + second`` behind each number."""
    pairs = first * size + second
    occurs = np.bincount(pairs, minlength=1) > 0
    numbers = np.cumsum(occurs) - 1
    return numbers[pairs], np.flatnonzero(occurs)
