"""Mutual information and Cramér's V against second implementations; their bias against simulation."""

import numpy as np
import pytest
from scipy.stats import entropy as scipy_entropy
from scipy.stats.contingency import association
from sklearn.metrics import mutual_info_score

from stages.features.contingency import clustered_bias, cramers_v, entropy, miller_madow_bias, mutual_information


def table_of(x: np.ndarray, y: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return np.bincount(x * shape[1] + y, minlength=shape[0] * shape[1]).reshape(shape)


@pytest.mark.parametrize("shape", [(2, 2), (17, 2), (17, 10), (100, 2)])
def test_mutual_information_agrees_with_scikit_learn(shape):
    rng = np.random.default_rng(4)
    x = rng.integers(0, shape[0], 3000)
    y = (x + rng.integers(0, shape[1], 3000) ** 2) % shape[1]
    assert mutual_information(table_of(x, y, shape)) == pytest.approx(mutual_info_score(x, y), abs=1e-12)


def test_many_tables_at_once_are_the_tables_one_by_one():
    tables = np.random.default_rng(5).integers(0, 9, (6, 4, 3))
    assert mutual_information(tables) == pytest.approx([float(mutual_information(table)) for table in tables])


def test_entropy_agrees_with_scipy_and_ignores_empty_cells():
    counts = np.array([3, 0, 5, 1])
    assert entropy(counts) == pytest.approx(scipy_entropy(counts))
    assert entropy(np.zeros(4, np.int64)) == 0


def test_closed_forms():
    assert mutual_information(np.diag([50, 50])) == pytest.approx(np.log(2))
    assert mutual_information(np.outer([10, 20], [3, 7])) == pytest.approx(0, abs=1e-12)
    assert miller_madow_bias(np.full((3, 4), 5)) == pytest.approx(2 * 3 / (2 * 60))


def test_correction_makes_independent_noise_zero_on_average():
    rng = np.random.default_rng(6)
    shape, n = (17, 2), 2000
    tables = np.array([table_of(rng.integers(0, 17, n), rng.integers(0, 2, n), shape) for _ in range(400)])
    plug_in = mutual_information(tables)
    corrected = plug_in - np.array([miller_madow_bias(table) for table in tables])
    error = corrected.std() / np.sqrt(len(tables))
    assert plug_in.mean() > 20 * error
    assert abs(corrected.mean()) < 3 * error


def test_correction_leaves_a_real_dependence_where_it_is():
    rng = np.random.default_rng(7)
    p = np.linspace(0.2, 0.8, 12)
    truth = float(np.log(2) - scipy_entropy(np.stack([p, 1 - p])).mean())
    estimates = []
    for _ in range(400):
        x = rng.integers(0, 12, 600)
        table = table_of(x, (rng.random(600) < p[x]).astype(np.int64), (12, 2))
        estimates.append(float(mutual_information(table)) - miller_madow_bias(table))
    assert np.mean(estimates) == pytest.approx(truth, abs=3 * np.std(estimates) / np.sqrt(400) + 1e-4)


def test_every_row_its_own_cluster_gives_miller_and_madow():
    rng = np.random.default_rng(8)
    x, y = rng.integers(0, 6, 500), rng.integers(0, 3, 500)
    tables = np.zeros((500, 6, 3), np.int64)
    tables[np.arange(500), x, y] = 1
    assert clustered_bias(tables) == pytest.approx(miller_madow_bias(tables.sum(axis=0)) * 500 / 499)


def test_noise_that_is_constant_over_a_day_is_zero_only_with_the_correction_for_clusters():
    """Days differ in their share of late flights; the feature is drawn once a day and means nothing."""
    rng = np.random.default_rng(9)
    days, flights = 200, 100
    naive, robust = [], []
    for _ in range(200):
        late = rng.binomial(flights, rng.beta(4, 8, days))
        tables = np.zeros((days, 8, 2), np.int64)
        tables[np.arange(days), rng.integers(0, 8, days)] = np.stack([flights - late, late], axis=1)
        total = tables.sum(axis=0)
        naive.append(float(mutual_information(total)) - miller_madow_bias(total))
        robust.append(float(mutual_information(total)) - clustered_bias(tables))
    error = np.std(robust) / np.sqrt(len(robust))
    assert np.mean(naive) > 20 * error
    assert abs(np.mean(robust)) < max(4 * error, 0.1 * np.mean(naive))


@pytest.mark.parametrize("shape", [(2, 2), (5, 3), (16, 16)])
def test_uncorrected_cramers_v_agrees_with_scipy(shape):
    rng = np.random.default_rng(10)
    table = rng.integers(1, 40, shape) + 100 * np.eye(*shape, dtype=np.int64)
    assert cramers_v(table, corrected=False) == pytest.approx(association(table, method="cramer"))


def test_cramers_v_is_symmetrical_and_blind_to_empty_levels():
    table = np.random.default_rng(11).integers(1, 40, (4, 6))
    padded = np.zeros((9, 9), np.int64)
    padded[:4, 1:7] = table
    assert cramers_v(table) == pytest.approx(cramers_v(table.T))
    assert cramers_v(padded) == pytest.approx(cramers_v(table))


def test_corrected_cramers_v_follows_bergsma():
    table = np.array([[30, 10, 5], [8, 25, 12]])
    n, phi2 = table.sum(), association(table, method="cramer") ** 2
    phi2 = max(0, phi2 - 2 * 1 / (n - 1))
    r, c = 2 - 1 / (n - 1), 3 - 4 / (n - 1)
    assert cramers_v(table) == pytest.approx(np.sqrt(phi2 / min(r - 1, c - 1)))


def test_corrected_cramers_v_of_independent_features_is_near_zero():
    rng = np.random.default_rng(12)
    tables = np.array([table_of(rng.integers(0, 16, 1000), rng.integers(0, 16, 1000), (16, 16)) for _ in range(100)])
    assert cramers_v(tables, corrected=False).mean() > 0.1
    assert cramers_v(tables).mean() < 0.02


def test_a_coarser_copy_is_fully_associated_and_a_constant_not_at_all():
    fine = np.repeat(np.arange(16), 5000)
    assert cramers_v(table_of(fine, fine // 4, (16, 4)), corrected=False) == pytest.approx(1)
    assert cramers_v(table_of(fine, fine // 4, (16, 4))) == pytest.approx(1, abs=1e-3)
    assert cramers_v(table_of(fine, fine, (16, 16))) == pytest.approx(1)
    assert cramers_v(table_of(fine, fine * 0, (16, 4))) == 0
    assert cramers_v(np.zeros((16, 4), np.int64)) == 0


@pytest.mark.parametrize(("correlation", "v"), [(0.99, 0.62), (0.999, 0.84), (0.9999, 0.95)])
def test_association_of_correlated_features_is_as_documented(correlation, v):
    rng = np.random.default_rng(13)
    x = rng.normal(size=100_000)
    z = correlation * x + np.sqrt(1 - correlation**2) * rng.normal(size=100_000)
    levels = np.arange(1, 16) / 16
    codes = [np.searchsorted(np.quantile(feature, levels), feature, side="right") for feature in (x, z)]
    assert cramers_v(table_of(*codes, (16, 16))) == pytest.approx(v, abs=0.01)
