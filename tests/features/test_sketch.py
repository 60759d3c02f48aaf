"""Sketches add up to the sketch of the whole, and their quantiles stay within a bucket of numpy's."""

import json
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.features.binning import bin_numbers
from stages.features.profile import cut_column
from stages.features.sketch import (
    CategorySketch,
    NumberSketch,
    bucket_floor,
    bucket_key,
    bucket_value,
    merge_sketches,
    sketch_column,
    sketch_frame,
    sketch_from_json,
    sketch_to_json,
    sum_up,
)

quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)
numbers = st.lists(
    st.one_of(
        st.none(), st.floats(-1e30, 1e30, allow_nan=False), st.integers(-300, 300).map(float), st.just(float("nan"))
    ),
    max_size=60,
)
SHAPES = {
    "normal": lambda rng, n: rng.normal(5, 2, n),
    "heavy tail": lambda rng, n: rng.standard_cauchy(n) * 100,
    "small counts": lambda rng, n: rng.poisson(3, n).astype(float),
    "both signs around zero": lambda rng, n: rng.normal(0, 1e-3, n),
    "mostly one value": lambda rng, n: np.where(rng.random(n) < 0.9, 0.0, rng.exponential(10, n)),
}


def of_numbers(values) -> NumberSketch:
    sketch = sketch_column(pl.Series("x", values, dtype=pl.Float64))
    assert isinstance(sketch, NumberSketch)
    return sketch


def assert_same(one: NumberSketch, other: NumberSketch) -> None:
    assert (one.rows, one.nulls, one.n) == (other.rows, other.nulls, other.n)
    np.testing.assert_array_equal([one.low, one.high], [other.low, other.high])
    np.testing.assert_array_equal(one.buckets, other.buckets)
    np.testing.assert_array_equal(one.counts, other.counts)
    assert one.total == pytest.approx(other.total, rel=1e-9, abs=1e15)  # sums of ±1e30 cancel


@quick
@given(numbers, st.lists(st.integers(0, 60), max_size=3))
def test_parts_add_up_to_the_whole(values, cuts):
    bounds = [0, *sorted(min(cut, len(values)) for cut in cuts), len(values)]
    parts = [{"x": of_numbers(values[low:high])} for low, high in pairwise(bounds)]
    assert_same(merge_sketches(parts)["x"], of_numbers(values))
    assert_same(merge_sketches(parts[::-1])["x"], of_numbers(values))


@quick
@given(numbers)
def test_every_value_is_counted_once_and_nan_is_missing(values):
    sketch = of_numbers(values)
    present = [value for value in values if value is not None and not np.isnan(value)]
    assert sketch.counts.sum() == sketch.n == len(present)
    assert sketch.rows == len(values)
    assert (np.diff(sketch.buckets) > 0).all()


@quick
@given(st.lists(st.floats(-1e30, 1e30, allow_nan=False), min_size=2, max_size=40))
def test_buckets_sort_as_their_values_do_and_are_at_most_a_128th_wide(values):
    ordered = np.sort(np.asarray(values))
    keys = bucket_key(ordered)
    assert (np.diff(keys) >= 0).all()
    apart = np.abs(bucket_value(keys) - ordered)
    assert (apart <= np.abs(ordered) / 128 + 1e-38).all()
    assert (bucket_floor(keys) <= ordered.astype(np.float32)).all()


def test_small_whole_numbers_have_a_bucket_of_their_own():
    whole = np.arange(-256.0, 257.0)
    assert len(np.unique(bucket_key(whole))) == len(whole)
    np.testing.assert_array_equal(bucket_value(bucket_key(whole)), whole)
    assert bucket_key(np.array([-0.0])) == bucket_key(np.array([0.0]))


@pytest.mark.parametrize("shape", SHAPES)
def test_quantiles_are_within_a_bucket_of_numpys(shape):
    values = SHAPES[shape](np.random.default_rng(4), 20_001)
    levels = np.array([0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0])
    exact = np.quantile(values, levels, method="inverted_cdf")
    np.testing.assert_allclose(of_numbers(values).quantiles(levels), exact, rtol=1 / 128, atol=1e-9)


@pytest.mark.parametrize("shape", ["normal", "heavy tail", "both signs around zero"])
@pytest.mark.parametrize("bins", [2, 16, 64])
def test_edges_cut_in_groups_of_about_equal_size(shape, bins):
    values = SHAPES[shape](np.random.default_rng(5), 50_000)
    edges = of_numbers(values).edges(bins)
    assert (np.diff(edges) > 0).all()
    groups = np.bincount(np.searchsorted(edges, values.astype(np.float32), side="right"), minlength=len(edges) + 1)
    assert len(edges) == bins - 1
    widest = of_numbers(values).counts.max()
    assert groups.max() <= len(values) / bins + widest
    assert groups.min() >= len(values) / bins - widest


def test_a_value_that_fills_most_of_the_column_takes_one_group_and_leaves_the_others_to_the_rest():
    values = SHAPES["mostly one value"](np.random.default_rng(6), 20_000)
    edges = of_numbers(values).edges(8)
    groups = np.bincount(np.searchsorted(edges, values.astype(np.float32), side="right"))
    assert groups.argmax() == 0
    assert len(groups) == 8
    assert groups[1:].max() < 2 * groups[1:].min()


def test_few_distinct_values_get_a_group_each():
    edges = of_numbers([1.0, 2.0, 2.0, 5.0]).edges(16)
    assert np.searchsorted(edges, [1, 2, 5], side="right").tolist() == [0, 1, 2]


def test_mean_is_exact_and_unknown_without_values():
    assert of_numbers([1.0, 2.0, None, 6.0]).mean == 3.0
    empty = of_numbers([None, None])
    assert np.isnan(empty.mean)
    assert np.isnan(empty.quantiles([0.5])).all()
    assert len(empty.edges(8)) == 0


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, pl.Enum(["AA", "B6", "UA"])])
def test_categories_are_counted_by_name_and_add_up(dtype):
    column = pl.Series(["UA", "AA", None, "UA", "B6"]).cast(dtype)
    whole = sketch_column(column)
    assert whole == CategorySketch(5, 1, {"AA": 1, "B6": 1, "UA": 2})
    merged = merge_sketches([{"x": sketch_column(column[:2])}, {"x": sketch_column(column[2:])}])["x"]
    assert merged == whole
    assert list(merged.counts) == ["AA", "B6", "UA"]


@pytest.mark.parametrize("values", [[1.5, None, -3.0], [None], ["UA", None, "ü|"]])
def test_json_gives_back_the_same_sketch(values):
    frame = pl.DataFrame({"x": values}, schema={"x": pl.String if isinstance(values[0], str) else pl.Float64})
    sketch = sketch_frame(frame, ["x"])["x"]
    text = json.dumps(sketch_to_json(sketch), allow_nan=False)
    again = sketch_from_json(json.loads(text))
    if isinstance(sketch, CategorySketch):
        assert again == sketch
    else:
        assert_same(again, sketch)
    assert json.dumps(sketch_to_json(again)) == text


@pytest.mark.parametrize("dtype", [pl.UInt8, pl.Int16, pl.Int64, pl.Float32, pl.Boolean])
def test_any_number_is_counted(dtype):
    sketch = sketch_column(pl.Series([0, 1, 1, None]).cast(dtype))
    assert sketch.counts.tolist() == [1, 2]
    assert (sketch.low, sketch.high, sketch.nulls) == (0.0, 1.0, 1)


def test_a_picture_is_summed_up_by_its_brightness_and_a_text_by_its_length() -> None:
    pictures = pl.Series("p", np.array([[0, 10], [255, 255]], np.uint8), pl.Array(pl.UInt8, 2))
    assert sum_up(pictures).to_list() == [5.0, 255.0]
    assert sum_up(pl.Series(["né", "", None])).to_list() == [2, 0, None]
    sketch = sketch_column(pictures)
    assert isinstance(sketch, NumberSketch)
    assert (sketch.low, sketch.high) == (5.0, 255.0)
    assert bin_numbers("p", sketch, 2).codes(pictures).tolist() == [0, 1]
    assert cut_column("p", sketch, 2).codes(pictures).tolist() == [0, 1]
