"""Weights of a blend: those of an independent search, and what members and their files owe to it."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.metrics import log_loss

from stages.models.blend import choose_weights

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 2, 800)


def noisy(strength: float) -> np.ndarray:
    """Probabilities that know something of the labels."""
    return 1 / (1 + np.exp(-(strength * (2 * LABELS - 1) + RNG.normal(size=len(LABELS)))))


SCORES = [noisy(0.6), noisy(0.5), noisy(0.05)]


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def test_weights_are_those_of_another_search() -> None:
    def loss(values: np.ndarray) -> float:
        return log_loss(LABELS, np.tensordot(softmax(values), SCORES, 1))

    theirs = softmax(minimize(loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-12}).x)
    ours = choose_weights(SCORES, LABELS, "binary")
    assert ours == pytest.approx(theirs, abs=2e-3)
    assert sum(ours) == pytest.approx(1, abs=1e-9)
    assert min(ours) >= 0


def test_a_member_that_only_harms_gets_nothing_and_a_single_one_all() -> None:
    wrong = 1 - SCORES[0]
    assert choose_weights([SCORES[0], wrong], LABELS, "binary") == [1.0, 0.0]
    assert choose_weights(SCORES[:1], LABELS, "binary") == [1.0]


def test_weights_of_numbers_are_the_least_squares_between_two() -> None:
    truth = RNG.normal(size=500)
    one, other = truth + RNG.normal(size=500), truth + 2 * RNG.normal(size=500)
    gap = one - other
    wanted = float(np.clip(np.dot(truth - other, gap) / np.dot(gap, gap), 0, 1))  # closed form
    assert choose_weights([one, other], truth, "regression")[0] == pytest.approx(wanted, abs=1e-4)


def test_weights_of_classes_are_found_too() -> None:
    labels = RNG.integers(0, 3, 400)
    sharp = np.full((400, 3), 0.2)
    sharp[np.arange(400), labels] = 0.6
    flat = np.full((400, 3), 1 / 3)
    assert choose_weights([flat, sharp], labels, "multiclass") == [0.0, 1.0]
