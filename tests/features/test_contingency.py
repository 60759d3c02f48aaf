"""Tables by partition add up to the tables of the whole, and the whole is what a plain group-by says."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.features.binning import Coding, bin_categories, bin_column, bin_numbers, group_clusters
from stages.features.contingency import (
    SLICE,
    Tally,
    empty_tally,
    merge_tallies,
    pair_order,
    tally_frame,
    tally_pairs,
    tally_rows,
)
from stages.features.sketch import CategorySketch, NumberSketch, bucket_floor, bucket_key, sketch_column

LEVELS, CLASSES, WIDTH = (3, 5, 2), 2, 5


def tally(rows: np.ndarray) -> Tally:
    """Columns: three features, target, group."""
    codes = [rows[:, f] for f in range(3)]
    return tally_rows(codes, codes, rows[:, 3], rows[:, 4], levels=LEVELS, classes=CLASSES, width=WIDTH)


def assert_same(one: Tally, other: Tally) -> None:
    assert one.groups.tolist() == other.groups.tolist()
    assert all((a == b).all() for a, b in zip(one.tables, other.tables, strict=True))
    assert (one.pairs == other.pairs).all()


row = st.tuples(*(st.integers(0, n - 1) for n in (*LEVELS, CLASSES, 7)))


@given(st.lists(row, max_size=60), st.lists(st.integers(0, 60), max_size=5), st.randoms())
def test_partitions_in_any_order_add_up_to_the_whole(rows, cuts, random):
    whole = np.array(rows, dtype=np.int64).reshape(-1, 5)
    parts = [tally(part) for part in np.split(whole, sorted(cut for cut in cuts if cut <= len(rows)))]
    random.shuffle(parts)
    assert_same(merge_tallies(parts), tally(whole))


def test_tables_equal_a_plain_group_by():
    rng = np.random.default_rng(1)
    rows = np.column_stack([rng.integers(0, n, 5000) for n in (*LEVELS, CLASSES, 7)])
    counted = tally(rows)
    frame = pl.DataFrame(rows, schema=["a", "b", "c", "y", "g"], orient="row")
    for f, name in enumerate("abc"):
        for g, bin_, y, n in frame.group_by("g", name, "y").len().iter_rows():
            assert counted.tables[f][np.searchsorted(counted.groups, g), bin_, y] == n
        assert counted.tables[f].sum() == len(rows)
    for table, (i, j) in zip(counted.pairs, pair_order(3), strict=True):
        for a, b, n in frame.group_by(frame.columns[i], frame.columns[j]).len().iter_rows():
            assert table[a, b] == n
        assert table.sum() == len(rows)


def test_pairs_equal_the_product_of_one_hot_codes():
    rng = np.random.default_rng(2)
    codes = [rng.integers(0, 4, 300) for _ in range(6)]
    one_hot = [np.eye(4, dtype=np.int64)[code] for code in codes]
    expected = [one_hot[i].T @ one_hot[j] for i, j in pair_order(6)]
    assert (tally_pairs(codes, 4) == np.array(expected)).all()


def test_nothing_adds_nothing():
    rows = np.array([[0, 4, 1, 1, 3]])
    assert_same(merge_tallies([empty_tally(LEVELS, CLASSES, WIDTH), tally(rows)]), tally(rows))
    assert tally(rows[:0]).rows == 0 and tally(rows).rows == 1


@given(st.lists(st.none() | st.floats(width=32, allow_nan=True), max_size=80), st.integers(2, 20))
def test_every_number_falls_in_a_bin_and_nulls_in_their_own(values, bins):
    column = pl.Series("x", values, dtype=pl.Float32)
    sketch = sketch_column(column)
    assert isinstance(sketch, NumberSketch)
    cut = bin_numbers("x", sketch, bins)
    codes = cut.codes(column)
    missing = np.array([value is None or value != value for value in values], dtype=bool)
    assert ((codes == cut.null) == missing).all()
    assert ((codes >= 0) & (codes < cut.levels)).all() and cut.levels <= bins + 1
    filled = np.array([value for value, gone in zip(values, missing, strict=True) if not gone])
    order = np.argsort(filled)
    assert (np.diff(codes[~missing][order]) >= 0).all()


def test_few_distinct_values_get_a_bin_each():
    column = pl.Series("x", [-5.0, -0.1, 0.0, 0.3, 7.0] * 4 + [None])
    cut = bin_column("x", sketch_column(column), (), bins=16)
    assert cut.codes(column).tolist() == [0, 1, 2, 3, 4] * 4 + [5]


@given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=50))
def test_an_edge_cuts_below_every_value_of_its_bucket(values):
    numbers = np.array(values)
    keys = bucket_key(numbers)
    assert (bucket_floor(keys) <= numbers).all() and (numbers < bucket_floor(keys + 1)).all()
    assert (bucket_key(bucket_floor(keys)) == keys).all()


def test_a_rare_value_is_not_swallowed_by_a_common_one():
    column = pl.Series("x", [0] * 990 + [1] * 10)
    cut = bin_column("x", sketch_column(column), (), bins=4)
    assert np.bincount(cut.codes(column)).tolist() == [990, 10]


def test_booleans_are_numbers():
    column = pl.Series("x", [True, False, None])
    assert bin_column("x", sketch_column(column), (), bins=4).codes(column).tolist() == [1, 0, 2]


def test_rare_categories_share_a_level_in_pairs_only():
    sketch = CategorySketch(rows=111, nulls=5, counts={"a": 1, "b": 70, "c": 5, "d": 30})
    cut = bin_categories("x", sketch, ("a", "b", "c", "d"), bins=3)
    column = pl.Series("x", ["a", "b", "c", "d", None], dtype=pl.Enum(["a", "b", "c", "d"]))
    codes = cut.codes(column)
    assert codes.tolist() == [0, 1, 2, 3, 4]
    assert cut.coarse[codes].tolist() == [2, 0, 2, 1, 3]


def test_a_category_alone_keeps_its_null_apart():
    cut = bin_categories("x", CategorySketch(rows=3, nulls=1, counts={"a": 2}), ("a",), bins=16)
    assert cut.coarse.tolist() == [0, 1]


def test_neighbouring_clusters_share_a_group_when_there_are_too_many():
    clusters = pl.Series("day", np.random.default_rng(0).permutation(1000))
    groups = group_clusters(clusters, most=300)
    assert groups["day"].to_list() == list(range(1000))
    assert groups["group"].is_sorted() and groups["group"].n_unique() == 300
    assert set(groups.group_by("group").len()["len"]) == {3, 4}
    assert group_clusters(clusters, most=1000)["group"].n_unique() == 1000


def coding(frame: pl.DataFrame, groups: pl.DataFrame | None) -> Coding:
    bins = tuple(bin_column(name, sketch_column(frame[name]), (), bins=8) for name in ("x", "z"))
    return Coding(bins, "y", None, 2, "day", groups, blocks=5)


def test_a_long_partition_is_counted_slice_by_slice_and_thinned_for_pairs():
    rng = np.random.default_rng(3)
    n = SLICE + 1000
    frame = pl.DataFrame({"x": rng.normal(size=n), "z": rng.normal(size=n), "y": rng.integers(0, 2, n), "day": [1] * n})
    plan = coding(frame, group_clusters(pl.Series("day", [1]), 10))
    counted = tally_frame(frame, plan, pair_rows=10_000, rng=rng)
    x = plan.bins[0].codes(frame["x"])
    expected = np.zeros((1, plan.levels[0], 2), np.int64)
    np.add.at(expected, (0, x, frame["y"].to_numpy()), 1)
    assert (counted.tables[0] == expected).all()
    assert counted.pairs.sum() == pytest.approx(10_000, rel=0.05)
    assert tally_frame(frame, plan, pair_rows=n, rng=rng).pairs.sum() == n


def test_an_empty_partition_counts_nothing():
    frame = pl.DataFrame({"x": [1.0, 2.0], "z": [0.0, 1.0], "y": [0, 1], "day": ["a", "b"]})
    for groups in (None, group_clusters(frame["day"], 10)):
        counted = tally_frame(frame.clear(), coding(frame, groups), pair_rows=1000, rng=np.random.default_rng(0))
        assert counted.rows == 0 and not counted.pairs.any()


def test_a_row_without_a_cluster_has_a_group_of_its_own():
    frame = pl.DataFrame({"x": [1.0, 2.0, 3.0], "z": [0.0, 1.0, 1.0], "y": [0, 1, 1], "day": ["a", None, "a"]})
    plan = coding(frame, group_clusters(frame["day"].unique(), 10))
    assert plan.group_codes(frame, np.random.default_rng(0)).tolist() == [1, 0, 1]


def test_a_regression_target_is_cut_at_its_edges():
    plan = Coding((), "y", np.array([1.0, 2.0]), 3, None, None, blocks=5)
    assert plan.target_codes(pl.DataFrame({"y": [0.5, 1.0, 1.9, 2.0, 9.0]})).tolist() == [0, 1, 1, 2, 2]
