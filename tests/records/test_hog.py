"""Features of pictures: against a second reckoning, and the same for a picture alone as among others."""

import numpy as np
import pytest

from stages.records.hog import CELLS, HOG, ORIENTATIONS, describe_pictures, tile_names

SHAPE = (28, 28, 1)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (300, 28 * 28), dtype=np.uint8)


def test_a_picture_alone_has_the_features_that_it_has_among_others(pictures):
    together = describe_pictures(pictures, SHAPE)
    for place in (0, 255, 256, 299):
        alone = describe_pictures(pictures[place : place + 1], SHAPE)
        for one, all_of_them in zip(alone, together, strict=True):
            assert one[0].tobytes() == all_of_them[place].tobytes()


def test_tiles_are_the_means_of_their_pixels(pictures):
    _, tiles = describe_pictures(pictures, SHAPE)
    means = pictures.reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4)).reshape(len(pictures), -1)
    assert np.allclose(tiles, means, rtol=1e-6)
    assert tiles.shape[1] == len(tile_names(1))


def test_votes_are_those_of_a_loop_over_pixels(pictures):
    picture = pictures[0].reshape(28, 28).astype(float)
    padded = np.pad(picture, 1, mode="edge")
    votes = np.zeros((CELLS, CELLS, ORIENTATIONS))
    for i in range(28):
        for j in range(28):
            across, down = padded[i + 1, j + 2] - padded[i + 1, j], padded[i + 2, j + 1] - padded[i, j + 1]
            place = (np.arctan2(down, across) % np.pi) / np.pi * ORIENTATIONS
            low, share = int(place), place - int(place)
            votes[i // 7, j // 7, low % ORIENTATIONS] += np.hypot(across, down) * (1 - share)
            votes[i // 7, j // 7, (low + 1) % ORIENTATIONS] += np.hypot(across, down) * share
    expected = np.zeros_like(votes)
    for i in range(CELLS):
        for j in range(CELLS):
            around = votes[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
            expected[i, j] = votes[i, j] / np.sqrt((around**2).sum() + 1)
    found, _ = describe_pictures(pictures[:1], SHAPE)
    assert found.shape[1] == len(HOG)
    assert np.allclose(found[0].reshape(votes.shape), expected, atol=1e-4)


def test_edges_of_stripes_point_across_them_and_light_does_not_matter():
    upright = np.tile(np.repeat([0, 100], 2), 7)[None].repeat(28, axis=0).astype(np.uint8)
    found, _ = describe_pictures(np.stack([upright, upright.T, upright * 2]).reshape(3, -1), SHAPE)
    strongest = found.reshape(3, -1, ORIENTATIONS).argmax(axis=2)
    assert (strongest[0] == 0).all()
    assert set(strongest[1]) <= {4, 5}
    assert np.allclose(found[0], found[2], atol=0.01)


def test_any_size_and_colour_is_described():
    pictures = np.random.default_rng(1).integers(0, 256, (2, 31 * 9 * 3), dtype=np.uint8)
    edges, tiles = describe_pictures(pictures, (31, 9, 3))
    assert edges.shape == (2, 144) and tiles.shape == (2, 147) == (2, len(tile_names(3)))
    assert np.isfinite(edges).all()
