"""Child seeds: fixed for good, apart from each other, fit for numpy."""

import hashlib

import numpy as np

from stages.workspace.seeds import child_seed


def test_a_seed_is_the_head_of_a_sha256_without_its_sign_bit():
    digest = hashlib.sha256(b"20130101/train/nycflights").hexdigest()
    assert child_seed(20130101, "train", "nycflights") == int(digest[:16], 16) // 2


def test_every_use_has_a_seed_of_its_own():
    uses = [
        (seed, *names)
        for seed in range(20)
        for names in [(), ("split",), ("split", "a"), ("split", "b"), ("sample", "a")]
    ]
    assert len({child_seed(*use) for use in uses}) == len(uses)


def test_a_seed_fits_a_signed_64_bit_number_and_numpy():
    seeds = [child_seed(n, "x") for n in range(200)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    draws = [np.random.default_rng(seed).random() for seed in seeds]
    assert 0.4 < np.mean(draws) < 0.6
