"""What grows with the data stays small: parts are folded as they come, long arrays are worked through in blocks."""

import weakref
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.exploration.findings import MERGED_AT_ONCE, Topic, describe, fold, judge
from stages.exploration.outcomes import Outcomes, count_outcomes, group_columns
from stages.exploration.summary import Summary, measure_moments, summarize_rows
from stages.exploration.table_charts import name_partitions, put_weeks_together
from stages.features.binning import FEW_EDGES, Bins, cut
from stages.metrics.binary import BinaryDecision
from stages.metrics.codes import Grid
from stages.metrics.multiclass import MulticlassDecision
from stages.metrics.regression import RegressionDecision
from stages.metrics.resampling import KEYS, count_cells, gather_cells, merge_cells, unit_counts

TOPIC = Topic(dataset="trips", question="Late?", task="binary", target="late", classes=("no", "yes"), cluster="day")


def month(k: int, rows: int = 300) -> pl.DataFrame:
    rng = np.random.default_rng(k)
    first = date(2000 + k // 12, k % 12 + 1, 1)
    return pl.DataFrame(
        {
            "day": [first + timedelta(days=int(d)) for d in np.sort(rng.integers(0, 28, rows))],
            "speed_mph": rng.normal(50, 9, rows),
            "route": rng.choice(["north", "south", f"only {k}"], rows),
            "late": rng.integers(0, 2, rows),
        }
    )


def summaries(months: int) -> Iterator[tuple[str, Summary]]:
    for k in range(months):
        yield f"{2000 + k // 12}-{k % 12 + 1:02d}", summarize_rows(month(k), target="late", n_classes=2)


def test_a_few_summaries_are_held_however_many_partitions_there_are() -> None:
    held: list[weakref.ref[Summary]] = []
    most = 0

    def watched() -> Iterator[tuple[str, Summary]]:
        nonlocal most
        for name, summary in summaries(3 * MERGED_AT_ONCE):
            held.append(weakref.ref(summary))
            most = max(most, sum(ref() is not None for ref in held))
            yield name, summary

    whole, parts = fold(watched())
    assert (whole.rows, len(parts)) == (300 * 3 * MERGED_AT_ONCE, 3 * MERGED_AT_ONCE)
    assert most <= MERGED_AT_ONCE + 2


def test_a_report_is_the_same_however_many_summaries_are_added_up_at_a_time(monkeypatch) -> None:
    def report() -> dict[str, Any]:
        whole, parts = fold(summaries(30))
        groups = group_columns(whole, "late")
        counted = ((part.name, count(month(k), groups, whole)) for k, part in enumerate(parts))
        return describe(TOPIC, whole, parts, judge(TOPIC, groups, counted))

    found = report()
    monkeypatch.setattr("stages.exploration.findings.MERGED_AT_ONCE", 100)
    assert report() == found


def count(rows: pl.DataFrame, groups: dict[str, Bins], whole: Summary) -> Outcomes:
    return count_outcomes(
        rows, target="late", n_classes=2, groups=groups, kinds=whole.kinds, clusters=rows["day"]
    )  # fmt: skip


def test_moments_do_not_depend_on_the_rows_multiplied_at_a_time(monkeypatch) -> None:
    rows = pl.concat([month(k) for k in range(4)]).with_columns(
        pl.when(pl.col("speed_mph") > 45).then("speed_mph"), pl.lit(float("inf")).alias("endless")
    )
    whole = measure_moments(rows, ["speed_mph", "late", "endless"])
    monkeypatch.setattr("stages.exploration.summary.SLICE", 7)
    sliced = measure_moments(rows, ["speed_mph", "late", "endless"])
    np.testing.assert_array_equal(sliced.counts, whole.counts)
    np.testing.assert_array_equal(sliced.correlations(), whole.correlations())
    np.testing.assert_allclose(sliced.squares, whole.squares, rtol=1e-12)


@pytest.mark.parametrize("few", [1, FEW_EDGES, FEW_EDGES + 1])
@settings(deadline=None)
@given(values=st.lists(st.floats(width=32), min_size=1, max_size=50))
def test_a_value_is_cut_as_a_search_would_cut_it(few: int, values: list[float]) -> None:
    edges = np.linspace(-3, 3, few)
    column = np.asarray([*values, *edges, np.nan, -0.0])
    assert np.array_equal(cut(column, edges), np.searchsorted(edges, column, side="right"))


def some_cells(seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    names = [f"{unit:02d}" for unit in range(seed % 3, 9)]
    units = rng.integers(0, len(names), 200)
    views = [
        count_cells(view, units, names, rng.integers(-1, 3, 200), rng.integers(-20, 40, 200)) for view in ("b", "a")
    ]
    return pl.concat(views)


def test_cells_add_up_as_a_group_by_adds_them_up() -> None:
    parts = [some_cells(seed) for seed in range(5)]
    expected = pl.concat(parts).group_by(*KEYS).agg(pl.col("n").sum()).sort("view", "unit", "label", "code")
    merged = merge_cells(parts)
    assert merged.with_columns(pl.col("unit", "view").cast(pl.String)).equals(expected)
    assert merge_cells([merge_cells(parts[:2]), *parts[2:]]).equals(merged)
    assert merge_cells([part.clear() for part in parts]).is_empty()


def test_gathered_cells_are_added_up_whenever_they_have_doubled(monkeypatch) -> None:
    monkeypatch.setattr("stages.metrics.resampling.MANY_CELLS", 1000)
    parts, gathered, most = [some_cells(seed) for seed in range(40)], list[pl.DataFrame](), 0
    for part in parts:
        gathered = gather_cells(gathered, part)
        most = max(most, sum(map(len, gathered)))
    assert merge_cells(gathered).equals(merge_cells(parts))
    assert most <= 2 * len(merge_cells(parts)) + 1000 + len(parts[0])


def test_counts_by_unit_are_those_of_the_cells() -> None:
    cells = merge_cells([some_cells(0)]).filter(pl.col("label") >= 0)
    units = cells["unit"].unique().sort().to_list()
    codes, counts = unit_counts(cells, "a", units, n_labels=3)
    for unit, _, label, code, n in cells.filter(pl.col("view") == "a").iter_rows():
        assert counts[units.index(unit), label, codes.tolist().index(code)] == n
    assert counts.sum() == cells.filter(pl.col("view") == "a")["n"].sum()


def test_exact_metrics_do_not_depend_on_the_rows_worked_on_at_a_time(monkeypatch) -> None:
    rng = np.random.default_rng(5)
    scores = np.round(rng.random(5000), 3).astype(np.float32)
    labels = (rng.random(5000) < scores).astype(np.uint8)
    shares = rng.dirichlet(np.ones(3), 5000).astype(np.float32)
    asked = [
        (BinaryDecision(900, 3.0, 1.0), labels, scores),
        (MulticlassDecision(3), rng.integers(0, 3, 5000).astype(np.uint8), shares),
        (RegressionDecision(Grid.around(0.5, 0.3)), scores + rng.normal(size=5000), scores),
    ]
    whole = [task.exact(truth, predicted) for task, truth, predicted in asked]  # type: ignore[attr-defined]
    monkeypatch.setattr("stages.metrics.codes.ROWS_AT_ONCE", 77)
    for (task, truth, predicted), expected in zip(asked, whole, strict=True):
        assert task.exact(truth, predicted) == pytest.approx(expected, rel=1e-12)  # type: ignore[attr-defined]


def test_weeks_of_days_are_the_means_of_their_days() -> None:
    days = np.arange("2000-01-01", "2009-01-01", dtype="datetime64[D]")[np.random.default_rng(1).random(3288) < 0.7]
    rows = np.arange(len(days), dtype=float)
    starts, (means,) = put_weeks_together(days, rows)
    frame = pl.DataFrame({"week": (days - days[0]).astype(int) // 7, "day": days, "rows": rows})
    expected = frame.group_by("week", maintain_order=True).agg(pl.col("day").first(), pl.col("rows").mean())
    assert np.array_equal(starts, expected["day"].to_numpy())
    np.testing.assert_allclose(means, expected["rows"].to_numpy())


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (
            [f"{year}-{m:02d}" for year in range(1987, 2022) for m in range(1, 13)],
            [str(y) for y in range(1987, 2022, 3)],
        ),
        ([f"2013-{m:02d}" for m in range(1, 13)], [f"2013-{m:02d}" for m in range(1, 13)]),
        ([f"rows-{k:04d}" for k in range(80)], [f"rows-{k:04d}" for k in range(0, 80, 10)]),
    ],
)
def test_partition_names_fit_below_an_axis(names: list[str], labels: list[str]) -> None:
    figure, axes = plt.subplots()
    name_partitions(axes, names)
    assert [label.get_text() for label in axes.get_xticklabels()] == labels
    assert [names[int(place)][: len(label)] for place, label in zip(axes.get_xticks(), labels, strict=True)] == labels
    plt.close(figure)
