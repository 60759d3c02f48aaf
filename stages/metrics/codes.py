"""Which of a fixed set of codes does a score get, so that counts of scores from different partitions add up?

A probability is coded by its logit in steps of 1/64, clipped at ±16: the grid is the same for every model and every
dataset, finest where probabilities are small or large, and coarse enough that a year of days is a small table.  Each
boundary between two codes is a float32 number, so ``probability >= boundary`` and ``code >= k`` are the same question:
a decision threshold on a boundary makes everything counted at that threshold exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]

STEPS_PER_LOGIT = 64
LOGIT_LIMIT = 16
CENTRE = STEPS_PER_LOGIT * LOGIT_LIMIT
N_CODES = 2 * CENTRE + 1
COARSE = 16


def code_probabilities(probabilities: NDArray[Any]) -> NDArray[np.int16]:
    """Codes 0 … 2048 of probabilities, in the order of the probabilities; 1024 is one half."""
    scores = np.asarray(probabilities, dtype=np.float32)
    return np.searchsorted(_boundaries(), scores, side="right").astype(np.int16)


def probability_of_code(codes: NDArray[Any]) -> Float:
    """The probability in the middle (in logits) of each code's interval."""
    return _sigmoid((np.asarray(codes, dtype=np.float64) - CENTRE) / STEPS_PER_LOGIT)


def coarsen(codes: NDArray[Any], start: int) -> Int:
    """Codes in groups of `COARSE` neighbours, each replaced by one in its middle; a group begins at ``start``.

    Codes from ``start`` on stay from ``start`` on, so a decision there is the same one.
    """
    steps = (np.asarray(codes, dtype=np.int64) - start) // COARSE
    return np.clip(start + steps * COARSE + COARSE // 2, 0, N_CODES - 1)


def threshold_of_code(code: int) -> float:
    """The smallest probability that gets ``code`` or a higher one; 0 for the lowest code."""
    return 0.0 if code == 0 else float(_boundaries()[code - 1])


def clip_probabilities(probabilities: NDArray[Any]) -> Float:
    """Probabilities as float64 within the range of the codes: one sure mistake costs at most 16 nats of log-loss."""
    limit = _sigmoid(np.asarray([-LOGIT_LIMIT, LOGIT_LIMIT], dtype=np.float64))
    return np.clip(np.asarray(probabilities, dtype=np.float64), limit[0], limit[1])


@cache
def _boundaries() -> NDArray[np.float32]:
    logits = (np.arange(1, N_CODES) - 0.5 - CENTRE) / STEPS_PER_LOGIT
    boundaries = _sigmoid(logits).astype(np.float32)
    boundaries.flags.writeable = False
    return boundaries


def _sigmoid(logits: Float) -> Float:
    result: Float = 1.0 / (1.0 + np.exp(-logits))
    return result


@dataclass(frozen=True)
class Grid:
    """Equal steps for a number, declared from the training target: code 0 is ``origin``."""

    origin: float
    step: float

    STEPS_PER_SPREAD = 64
    CODE_LIMIT = 1 << 20

    @classmethod
    def around(cls, mean: float, spread: float) -> Grid:
        """The grid of a target with this training mean and standard deviation."""
        return cls(origin=mean, step=(spread if spread > 0 else 1.0) / cls.STEPS_PER_SPREAD)

    def codes(self, values: NDArray[Any]) -> Int:
        """The nearest step of each value, counted from the origin."""
        steps = np.rint((np.asarray(values, dtype=np.float64) - self.origin) / self.step)
        return np.clip(steps, -self.CODE_LIMIT, self.CODE_LIMIT).astype(np.int64)

    def values(self, codes: NDArray[Any]) -> Float:
        """The value of each code."""
        result: Float = self.origin + self.step * np.asarray(codes, dtype=np.float64)
        return result
