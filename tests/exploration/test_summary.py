"""The summaries add up, and what is derived from them agrees with the whole table and with second implementations."""

import json
from datetime import date, timedelta
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import polars as pl
import pytest
from scipy import stats

from stages.exploration import column_charts as distribution_charts
from stages.exploration import table_charts as charts
from stages.exploration import tables as report_tables
from stages.exploration import target_charts
from stages.exploration import words as narrative
from stages.exploration.columns import (
    association,
    group_means,
    histogram,
    is_discrete,
    outlying,
    share_interval,
    student_width,
    top_values,
)
from stages.exploration.findings import Topic, describe, find_grid, fold, judge, names_of, unit_of
from stages.exploration.outcomes import (
    BY_NAME,
    Outcomes,
    count_outcomes,
    group_columns,
    merge_outcomes,
    outcome_columns,
)
from stages.exploration.summary import (
    Summary,
    measure_moments,
    merge_moments,
    merge_summaries,
    summarize_rows,
)
from stages.features.sketch import CategorySketch, NumberSketch, sketch_column
from stages.pages.numbers import share_text, value_text

ROWS = 3_000
EVERY_PICTURE = [
    charts.rows_by_partition,
    charts.missing_values,
    charts.spread_of_columns,
    charts.correlations,
    distribution_charts.number_distributions,
    distribution_charts.category_distributions,
    distribution_charts.rows_by_day,
    target_charts.balance,
    target_charts.course,
    target_charts.association_ranking,
    target_charts.profiles,
    target_charts.class_means,
    target_charts.class_pictures,
]
EVERY_TEXT = [
    narrative.opening,
    narrative.in_short,
    report_tables.tables,
    report_tables.structure,
    report_tables.quarantine,
    report_tables.unlabelled,
    report_tables.outlying,
    report_tables.strongest_pairs,
]
NO_QUALITY = {
    "tables": [{"table": "trips", "rows_in": 5, "clean": 4, "quarantined": 1}],
    "rows_in": 5,
    "clean": 4,
    "quarantined": 1,
    "failures": [{"table": "trips", "column": "a", "check": "in_range", "failures": 1}],
}


def make_trips(rows: int = ROWS, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    delay = np.round(rng.exponential(20, rows) - 10)
    speed = rng.normal(50, 9, rows)
    late = np.where(rng.random(rows) < 0.05, None, (delay + speed - 50 > 8).astype(int))
    return pl.DataFrame(
        {
            "day": [date(2020, 1, 1) + timedelta(days=int(d)) for d in np.sort(rng.integers(0, 60, rows))],
            "delay_min": pl.Series(delay).cast(pl.Int32),
            "speed_mph": pl.Series(np.where(rng.random(rows) < 0.1, np.nan, speed)).fill_nan(None),
            "route": rng.choice(["north", "south", "a$b$", "<i>east</i>"], rows, p=[0.5, 0.3, 0.15, 0.05]),
            "is_night": rng.random(rows) < 0.3,
            "empty": pl.Series([None] * rows, dtype=pl.Float64),
            "late": pl.Series(late.tolist(), dtype=pl.Int8),
        }
    )


def cut(frame: pl.DataFrame, *ends: int) -> list[pl.DataFrame]:
    places = [0, *ends, len(frame)]
    return [frame[a:b] for a, b in pairwise(places)]


def summarize(frame: pl.DataFrame, target: str = "late", n_classes: int = 2) -> Summary:
    return summarize_rows(frame, target=target, n_classes=n_classes)


def explore(frames: list[pl.DataFrame], **topic: object) -> dict:
    asked = {
        "dataset": "trips",
        "question": "Late?",
        "task": "binary",
        "target": "late",
        "classes": ("no", "yes"),
    } | topic
    trains, names = asked.pop("trains", None), asked.pop("names", ())
    about = Topic(**asked)  # type: ignore[arg-type]
    known = {"target": about.target, "n_classes": len(about.classes)}
    masks = [frame.select(pl.lit(True) if trains is None else trains).to_series() for frame in frames]
    parts = [
        summarize_rows(frame, trains=mask, names=names, **known) for frame, mask in zip(frames, masks, strict=True)
    ]
    whole, lines = fold((f"part-{k}", part) for k, part in enumerate(parts))
    groups = group_columns(whole, about.target)
    kept = [f.filter(mask & f[about.target].is_not_null()) for f, mask in zip(frames, masks, strict=True)]
    counted = (
        count_outcomes(
            f, groups=groups, kinds=whole.kinds, clusters=f[about.cluster] if about.cluster else None, **known
        )
        for f in kept
    )
    judged = judge(about, groups, ((f"part-{k}", outcomes) for k, outcomes in enumerate(counted)))
    return describe(about, whole, lines, judged) | {"table": "trips", "references": [], "quality": NO_QUALITY}


def count(frame: pl.DataFrame, whole: Summary, cluster: str | None = None) -> Outcomes:
    """Outcomes of the labelled rows of trips."""
    known = frame.filter(pl.col("late").is_not_null())
    groups = group_columns(whole, "late")
    clusters = known[cluster] if cluster else None
    return count_outcomes(known, target="late", n_classes=2, groups=groups, kinds=whole.kinds, clusters=clusters)


@pytest.mark.parametrize("ends", [(1500,), (10, 11, 2000), (0, 700, 700)])
def test_summaries_of_any_partitions_add_up_to_that_of_all_rows(ends):
    trips = make_trips()
    whole, merged = summarize(trips), merge_summaries([summarize(part) for part in cut(trips, *ends)])
    assert (merged.rows, merged.unlabelled) == (whole.rows, whole.unlabelled)
    assert (merged.labelled, merged.trained) == (whole.labelled, whole.trained)
    for name, sums in whole.class_sums.items():
        np.testing.assert_allclose(merged.class_sums[name], sums, rtol=1e-12)
    together, added = count(trips, whole, "day"), merge_outcomes([count(p, whole, "day") for p in cut(trips, *ends)])
    np.testing.assert_array_equal(added.clusters, together.clusters)
    np.testing.assert_array_equal(added.whole, together.whole)
    for name, table in together.tables.items():
        np.testing.assert_array_equal(added.tables[name], table)
    np.testing.assert_allclose(merged.moments.correlations(), whole.moments.correlations(), atol=2e-6)
    np.testing.assert_allclose(merged.moments.deviations(), whole.moments.deviations(), rtol=1e-12)


def test_correlations_are_those_of_the_rows_where_both_values_are_present():
    rng = np.random.default_rng(2)
    values = rng.multivariate_normal([0, 0, 0], [[1, 0.8, 0], [0.8, 1, -0.3], [0, -0.3, 1]], 900)
    values[rng.random(values.shape) < 0.3] = np.nan
    frame = pl.DataFrame(values, schema=["a", "b", "c"]).fill_nan(None)
    r = merge_moments([measure_moments(part, frame.columns) for part in cut(frame, 5, 400)]).correlations()
    for i in range(3):
        for j in range(3):
            both = np.isfinite(values[:, i]) & np.isfinite(values[:, j])
            assert r[i, j] == pytest.approx(np.corrcoef(values[both, i], values[both, j])[0, 1], abs=1e-6)


def test_correlation_survives_large_values_with_a_small_spread():
    rng = np.random.default_rng(3)
    a = rng.normal(size=2_000)
    b = a + rng.normal(size=2_000)
    frame = pl.DataFrame({"a": 1e9 + a, "b": -1e8 + b})
    r = merge_moments([measure_moments(part, ["a", "b"]) for part in cut(frame, 3, 900)]).correlations()
    assert r[0, 1] == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-5)


def test_a_constant_or_empty_column_correlates_with_nothing():
    frame = pl.DataFrame({"x": [1.0, 2.0] * 50, "same": [0.1] * 100, "none": pl.Series([None] * 100, dtype=pl.Float64)})
    r = measure_moments(frame, frame.columns).correlations()
    assert r[0, 0] == 1
    assert np.isnan(r[1:, :]).all()
    assert np.isnan(r[:, 1:]).all()


def test_outcomes_by_category_and_day_agree_with_a_group_by():
    trips = make_trips()
    whole = summarize(trips)
    found = count(trips, whole, "day")
    names = sorted(trips["route"].unique(), key=lambda route: (-whole.sketches["route"].counts[route], route))
    counted = trips.group_by("day", "route").agg(*((pl.col("late") == k).sum().alias(str(k)) for k in (0, 1)))
    for day, route, *hits in counted.iter_rows():
        place = found.clusters.tolist().index(str(day))
        assert found.tables["route"][place, names.index(route)].tolist() == hits
    assert found.tables["route"].sum() == trips["late"].is_not_null().sum()


def test_outcomes_of_a_number_are_its_count_sum_and_square():
    np.testing.assert_array_equal(outcome_columns(pl.Series([1.5, -2.0]), 0), [[1, 1.5, 2.25], [1, -2, 4]])


def test_rare_categories_are_counted_together():
    routes = [f"r{k:03d}" for k in range(BY_NAME + 20) for _ in range(200 - k)]
    trips = pl.DataFrame({"route": routes, "late": np.arange(len(routes)) % 2})
    table = count(trips, summarize(trips)).tables["route"].sum(axis=(0, 2))
    assert table[:2].tolist() == [200, 199]
    assert table[BY_NAME - 1] == sum(200 - k for k in range(BY_NAME - 1, BY_NAME + 20))
    assert table[-1] == 0


def test_wilson_interval_agrees_with_scipy():
    for hits, rows in ((0, 7), (3, 10), (500, 1_000), (9, 9)):
        low, high = share_interval(np.array([hits]), np.array([rows]), 0.9)
        expected = stats.binomtest(hits, rows).proportion_ci(0.9, method="wilson")
        assert (low[0], high[0]) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_mean_interval_agrees_with_scipy():
    y = np.random.default_rng(4).normal(3, 2, 400)
    table = outcome_columns(pl.Series(y), 0).sum(axis=0)[None, None, :]
    _, mean, low, high = group_means(table, is_regression=True, class_code=0, level=0.95)
    expected = stats.norm.interval(0.95, loc=y.mean(), scale=stats.sem(y))
    assert (mean[0], low[0], high[0]) == pytest.approx((y.mean(), *expected))


def test_widths_are_those_of_students_t():
    for freedom in (3, 5, 11, 47, 1000):
        assert student_width(0.95, np.array(float(freedom))) == pytest.approx(stats.t.ppf(0.975, freedom), rel=0.01)


def late_days(rng: np.random.Generator, n_days: int = 60, mean: float = 0.25) -> np.ndarray:
    """Counts (days, 1, classes) of 50 rows a day whose share of late ones follows neighbouring days (0.4)."""
    normal = rng.normal(size=n_days)
    for k in range(1, n_days):
        normal[k] = 0.4 * normal[k - 1] + np.sqrt(1 - 0.4**2) * normal[k]
    late = rng.binomial(50, stats.beta.ppf(stats.norm.cdf(normal), 8 * mean, 8 * (1 - mean)))
    return np.stack([50 - late, late], axis=1)[:, None, :].astype(float)


@pytest.mark.parametrize("mean", [0.25, 0.03])
def test_an_interval_by_day_covers_where_days_share_their_luck_and_one_by_row_does_not(mean: float):
    rng = np.random.default_rng(5)
    runs: list[int | None] = [5, None]
    covered = dict.fromkeys(runs, 0)
    for _ in range(500):
        table = late_days(rng, mean=mean)
        for run in runs:
            _, _, low, high = group_means(table, is_regression=False, class_code=1, level=0.95, run=run)
            covered[run] += bool(low[0] <= mean <= high[0])
    assert 0.90 <= covered[5] / 500 <= 0.98
    assert covered[None] / 500 < 0.6


def test_where_all_rows_came_out_alike_the_days_count_and_not_the_rows():
    table = np.zeros((20, 1, 2))
    table[:, 0, 0] = 100.0
    _, share, low, high = group_means(table, is_regression=False, class_code=1, level=0.95, run=1)
    assert (share[0], low[0]) == (0, 0)
    assert 0.1 < high[0] < 0.25  # 20 days; 2,000 rows would say 0.002


def test_a_column_that_changes_with_the_day_is_not_associated_by_the_luck_of_days():
    rng = np.random.default_rng(3)
    found = {True: [], False: []}
    for _ in range(40):
        days = late_days(rng)[:, 0]
        table = np.zeros((60, 5, 2))
        table[np.arange(60), rng.integers(0, 5, 60)] = days  # a weather of its own each day, which tells nothing
        for clustered, strengths in found.items():
            strengths.append(association(table, is_regression=False, clustered=clustered))
    assert np.mean(found[True]) < 0.5 * np.mean(found[False])
    assert np.median(found[True]) < 0.04 < np.median(found[False])


def test_association_of_classes_is_cramers_v_less_what_chance_explains():
    table = np.array([[30, 10, 5], [20, 40, 15], [5, 10, 40], [3, 3, 4]], dtype=float)
    n, (g, c) = table.sum(), table.shape
    phi2 = max(0, stats.chi2_contingency(table, correction=False).statistic / n - (g - 1) * (c - 1) / (n - 1))
    smaller = min(g - (g - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1))
    assert association(table[None], is_regression=False) == pytest.approx(np.sqrt(phi2 / (smaller - 1)))


def test_association_is_one_when_the_column_decides_and_about_zero_when_it_does_not():
    assert association(np.diag([50.0, 70.0, 80.0])[None], is_regression=False) == pytest.approx(1, abs=0.01)
    rng = np.random.default_rng(6)
    chance = rng.multinomial(1, [1 / 3] * 3, (200, 20)).sum(axis=1).astype(float)  # 200 groups of 20 rows
    assert association(chance[None], is_regression=False) < 0.1


def test_association_of_a_number_agrees_with_the_analysis_of_variance():
    rng = np.random.default_rng(7)
    groups = [rng.normal(mean, 1, size) for mean, size in ((0, 30), (0.5, 50), (2, 20))]
    table = np.vstack([outcome_columns(pl.Series(group), 0).sum(axis=0) for group in groups])
    f, n, k = stats.f_oneway(*groups).statistic, 100, 3
    eta2 = f * (k - 1) / (f * (k - 1) + n - k)
    assert association(table[None], is_regression=True) == pytest.approx(np.sqrt(1 - (1 - eta2) * (n - 1) / (n - k)))


@pytest.mark.parametrize("table", [np.zeros((3, 2)), np.array([[5.0, 0.0], [7.0, 0.0]]), np.array([[5.0, 6.0]])])
def test_association_is_unknown_with_one_class_or_one_group(table):
    assert np.isnan(association(table[None], is_regression=False))


@pytest.mark.parametrize("scale", [0.01, 1.0, 1_000.0])
def test_a_histogram_loses_no_row_and_stays_within_a_bucket_of_the_exact_one(scale):
    x = np.random.default_rng(8).normal(2, 1, 20_000) * scale
    sketch = sketch_column(pl.Series(x))
    assert isinstance(sketch, NumberSketch)
    drawn = histogram(sketch, whole=False)
    assert drawn["rows"].sum() + drawn["below"] + drawn["above"] == pytest.approx(20_000)
    exact, _ = np.histogram(x, drawn["edges"])
    assert np.abs(drawn["rows"] - exact).max() < 0.15 * exact.max()
    assert np.abs(np.cumsum(drawn["rows"]) - np.cumsum(exact)).max() < 0.03 * 20_000


def test_small_whole_numbers_are_binned_exactly():
    x = np.random.default_rng(9).poisson(60, 5_000)
    sketch = sketch_column(pl.Series(x))
    assert isinstance(sketch, NumberSketch)
    drawn = histogram(sketch, whole=True)
    np.testing.assert_allclose(drawn["rows"], np.histogram(x, drawn["edges"])[0], atol=1e-6)


def test_fences_count_what_tukey_would_count():
    x = np.concatenate([np.random.default_rng(10).integers(40, 61, 1_000), [0, 1, 200, 230, 250]])
    sketch = sketch_column(pl.Series(x))
    assert isinstance(sketch, NumberSketch)
    found = outlying(sketch)
    first, third = np.quantile(x, [0.25, 0.75], method="inverted_cdf")
    assert found is not None
    assert (found["low"], found["high"]) == (first - 3 * (third - first), third + 3 * (third - first))
    assert (found["below"], found["above"]) == (2, 3)


def test_a_column_whose_middle_half_is_one_value_has_no_fence():
    sketch = sketch_column(pl.Series([0] * 90 + [5] * 10))
    assert isinstance(sketch, NumberSketch)
    assert outlying(sketch) is None
    assert is_discrete(sketch, whole=True)


def test_top_values_break_ties_by_name_and_count_the_rest():
    found = top_values(CategorySketch(9, 0, {"c": 2, "b": 2, "a": 1, "z": 4}), limit=2)
    assert found == {"values": ["z", "b"], "rows": [4, 2], "other_values": 2, "other_rows": 3}


def test_findings_agree_with_the_whole_table():
    trips = make_trips()
    found = explore(cut(trips, 1_000, 2_200), cluster="day")
    assert found["rows"] == ROWS
    late = trips["late"].drop_nulls()
    balance = found["target"]["balance"][1]
    assert (balance["rows"], balance["n"], balance["value"]) == (
        late.sum(),
        len(late),
        pytest.approx(late.mean(), abs=1e-9),
    )
    by_name = {column["name"]: column for column in found["columns"]}
    assert by_name["speed_mph"]["nulls"] == trips["speed_mph"].null_count()
    assert by_name["delay_min"]["deviation"] == pytest.approx(trips["delay_min"].std(ddof=0), rel=1e-8)
    south = next(group for group in by_name["route"]["profile"] if group["label"] == "south")
    assert south["value"] == pytest.approx(trips.filter(pl.col("route") == "south")["late"].mean(), abs=1e-9)
    daily = trips.group_by("day").agg(pl.col("late").mean()).sort("day")
    np.testing.assert_allclose(found["days"]["value"], daily["late"], atol=1e-9)


def test_test_rows_say_nothing_about_the_target():
    """The same page whatever the outcomes of the rows that are no training rows, but for how many have a label."""
    trips = make_trips()
    trains = pl.col("day") < date(2020, 2, 1)
    spoiled = trips.with_columns(late=pl.when(trains).then("late").otherwise(pl.lit(1, pl.Int8)).alias("late"))
    spoiled = spoiled.with_columns(late=pl.when(trips["late"].is_not_null()).then("late"))
    asked = {"cluster": "day", "run": 5, "trains": trains}
    found = explore(cut(trips, 1_000, 2_200), **asked)
    assert explore(cut(spoiled, 1_000, 2_200), **asked) == found
    assert explore(cut(spoiled, 1_000, 2_200), cluster="day") != explore(cut(trips, 1_000, 2_200), cluster="day")
    known = trips.filter(trains)["late"].drop_nulls()
    assert found["target"]["trained"] == len(known) < found["target"]["labelled"] == trips["late"].drop_nulls().len()
    assert found["target"]["balance"][1]["value"] == pytest.approx(known.mean(), abs=1e-9)
    assert found["target"]["partitions"] == ["part-0", "part-1"]
    assert found["days"]["days"][-1] < "2020-02-01" <= found["columns"][0]["last"]


def test_a_number_that_identifies_a_row_is_a_name_unless_it_has_a_unit():
    assert names_of(["flight", "sched_dep_min", "carrier"]) == {"flight", "carrier"}
    trips = make_trips(600).with_columns(flight=pl.Series(np.arange(600) % 150 + 1000), is_night="is_night")
    by_name = {c["name"]: c for c in explore([trips], names={"flight"})["columns"]}
    assert (by_name["flight"]["kind"], by_name["flight"]["distinct"]) == ("category", 150)
    assert by_name["flight"]["distribution"]["form"] == "top"
    assert "quartiles" not in by_name["flight"]
    assert by_name["delay_min"]["kind"] == "number"
    assert "flight" not in explore([trips], names={"flight"})["correlations"]["names"]


def test_names_that_no_two_rows_share_are_not_drawn():
    numbered = make_trips(300).select("late", row=pl.Series(np.arange(300)))
    assert not distribution_charts.category_distributions(explore([numbered], names={"row"})).svg
    twice = numbered.with_columns(row=pl.col("row") // 2)
    assert distribution_charts.category_distributions(explore([twice], names={"row"})).svg


def test_findings_hold_nothing_that_json_cannot():
    found = explore(cut(make_trips(200), 0, 50), cluster="day")
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_columns_named_by_row_and_column_are_a_picture_only_when_they_fill_a_rectangle():
    names = [f"pixel_{i}_{j}" for i in range(3) for j in range(4)]
    grid = find_grid(["id", *names])
    assert grid is not None
    assert grid["names"][2] == ["pixel_2_0", "pixel_2_1", "pixel_2_2", "pixel_2_3"]
    assert find_grid(names[:-1]) is None
    assert find_grid(["a", "b"]) is None


def test_the_unit_is_read_from_the_end_of_a_name():
    assert [unit_of(name) for name in ("dep_delay_min", "distance_mi", "min", "carrier")] == [
        "minutes",
        "miles",
        "",
        "",
    ]


def test_a_share_that_is_not_zero_is_never_written_as_zero():
    assert [share_text(x).replace("\u202f", " ") for x in (0, 1e-7, 0.0042, 0.2451, 1 - 1e-7, 1)] == [
        "0 %", "< 0.01 %", "0.42 %", "24.5 %", "> 99.99 %", "100 %",
    ]  # fmt: skip
    assert [value_text(x) for x in (None, 1234567, 0.01234, -3.5)] == ["–", "1,234,567", "0.0123", "\u22123.5"]


def test_every_picture_and_text_suits_every_task():
    trips = make_trips(600)
    coloured = trips.with_columns(colour=pl.Series(np.arange(600) % 4))
    pixels = coloured.with_columns(
        (pl.col("colour") * i + pl.lit(j)).alias(f"cell_{i}_{j}") for i in range(3) for j in range(3)
    )
    cases = [
        explore(cut(trips, 0, 300), cluster="day"),
        explore([trips]),
        explore(cut(pixels, 300), task="multiclass", target="colour", classes=("a", "b", "c", "d")),
        explore(cut(trips, 200), task="regression", target="delay_min", classes=(), cluster="day"),
    ]
    for found in cases:
        for show in [*EVERY_PICTURE, *EVERY_TEXT]:
            show(found)._repr_html_()
    assert target_charts.class_pictures(cases[2]).svg
    assert target_charts.profiles(cases[3]).svg


def test_nothing_breaks_on_one_row_one_class_or_no_numbers():
    one = make_trips(1).with_columns(late=pl.Series([0], dtype=pl.Int8))
    words = pl.DataFrame({"word": ["a", "b"] * 20, "late": pl.Series([1] * 40, dtype=pl.Int8)})
    for found in (explore([one], cluster="day"), explore([words, words]), explore([words.head(0), words])):
        for show in [*EVERY_PICTURE, *EVERY_TEXT]:
            show(found)._repr_html_()


def test_names_from_the_data_are_shown_as_they_are():
    found = explore([make_trips(500)])
    page = distribution_charts.category_distributions(found)._repr_html_()
    assert "<i>" not in page
    assert "a$b$" in page


def test_a_personal_matplotlib_set_up_changes_no_picture():
    found = explore(cut(make_trips(500), 250), cluster="day")
    before = [draw(found) for draw in EVERY_PICTURE]
    with mpl.rc_context({"font.size": 22, "axes.facecolor": "black", "svg.hashsalt": "x", "svg.fonttype": "path"}):
        assert [draw(found) for draw in EVERY_PICTURE] == before


def test_a_picture_has_colours_of_its_own_alone_and_the_readers_on_a_page():
    drawn = charts.rows_by_partition(explore(cut(make_trips(200), 100)))
    assert "#2a6f9e" in drawn.svg and "var(--" not in drawn.svg
    assert "#2a6f9e" not in drawn._repr_html_() and "var(--blue)" in drawn._repr_html_()
