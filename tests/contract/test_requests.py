"""A request is answered as the line would: published rows, recent rows and kept summaries give the same features.

What a row looks at is what its dataset declares: all further back and all that follows may be taken away.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from stages.records.contract import Dataset
from stages.records.prepare import build_context, compute_features, judge_rows, recent_rows
from tests.contract.conftest import as_asked, moments_by_hand, of_lines

AT_MOST = 40  # moments of a partition that are looked at


@pytest.fixture(scope="session")
def context_of(walked) -> Any:
    """What the rows of a partition may know, rebuilt from the summaries that `featurize` kept."""
    partitions = list(walked.tidy)

    def build(partition: str) -> Any:
        reached = [walked.summaries[name] for name in walked.dataset.reach(partition, partitions)]
        return build_context(walked.dataset, reached, walked.references)

    return {partition: build(partition) for partition in partitions}


def moments_of(dataset: Dataset, tidy: pl.DataFrame) -> list[datetime]:
    """Some moments at which a row is asked about, in order; the first and the last are among them."""
    if dataset.moment is None:
        pytest.skip("rows have no order in time")
    found = dataset.moment(tidy).unique().sort().to_list()
    return sorted({*found[:: max(1, len(found) // AT_MOST)], *found[-1:]})


def within(dataset: Dataset, tidy: pl.DataFrame, until: datetime, back: timedelta) -> pl.DataFrame:
    return tidy.filter(dataset.moment(tidy).is_between(until - back, until))


def asked_at(dataset: Dataset, features: pl.DataFrame, tidy: pl.DataFrame, at: datetime) -> pl.DataFrame:
    return as_asked(dataset, features).filter(of_lines(dataset, dataset.moment(tidy)) == at)


def each_moment(walked, context_of, back: timedelta) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """The features of the rows of each moment: as the line made them, and where only ``back`` is to be seen."""
    dataset = walked.dataset
    for partition, tidy in walked.tidy.items():
        for at in moments_of(dataset, tidy):
            seen = within(dataset, tidy, at, back)
            found = asked_at(dataset, compute_features(dataset, seen, context_of[partition]), seen, at)
            yield asked_at(dataset, walked.features[partition], tidy, at).select(found.columns), found


# ── how far back a row looks ─────────────────────────────────────────────────────────────────────────────────────────
def test_the_moment_is_the_one_that_the_sample_names(walked):
    expected, moment = walked.expected.get("moment"), walked.dataset.moment
    assert (expected is None) == (moment is None)
    for tidy in walked.tidy.values() if moment else ():
        assert moment(tidy).to_list() == moments_by_hand(expected, tidy).to_list()


def test_rows_further_back_than_declared_and_all_that_follow_change_no_feature(walked, context_of):
    if walked.dataset.looks_back is None:
        pytest.skip("a row looks at no other")
    for made, found in each_moment(walked, context_of, walked.dataset.looks_back):
        assert_frame_equal(found, made, check_exact=True)


def test_less_than_declared_is_too_little_for_some_row(walked, context_of):
    if walked.dataset.looks_back is None:
        pytest.skip("a row looks at no other")
    pairs = each_moment(walked, context_of, walked.dataset.looks_back / 100)
    assert not all(made.equals(found) for made, found in pairs)


def test_where_a_row_looks_at_no_other_each_stands_alone(walked, context_of):
    if walked.dataset.looks_back is not None:
        pytest.skip("a row looks at others")
    for partition, tidy in ((name, rows) for name, rows in walked.tidy.items() if len(rows)):
        alone = [compute_features(walked.dataset, row, context_of[partition]) for row in tidy.iter_slices(1)]
        found = pl.concat(alone)
        assert_frame_equal(found, walked.features[partition].select(found.columns), check_exact=True)


# ── from published rows ──────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("every", ["1d", "1h"])
def test_rows_as_published_get_the_features_that_the_line_gave_them(walked, context_of, every):
    dataset, answered = walked.dataset, 0
    for partition, tidy in walked.tidy.items():
        published = dataset.records.read(walked.raw, partition)
        if dataset.moment is None:
            requests = [(published, tidy.clear(), walked.features[partition])]
        else:
            requests = each_request(walked, partition, published, every)
        for rows, before, made in requests:
            passed = judge_rows(dataset.records, rows, partition).passed
            recent = recent_rows(dataset, before, passed)
            found = as_asked(dataset, compute_features(dataset, passed, context_of[partition], recent=recent))
            assert_frame_equal(found, made.select(found.columns), check_exact=True)
            answered += len(found)
    assert answered


def each_request(
    walked, partition: str, published: pl.DataFrame, every: str
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]]:
    """Of some days or hours: the published rows, the tidy rows before them, the features that the line made."""
    dataset, tidy = walked.dataset, walked.tidy[partition]
    asked = dataset.moment(dataset.records.parse(published)).dt.truncate(every)  # null where it does not parse
    made = dataset.moment(tidy).dt.truncate(every)
    for start in pl.Series(moments_of(dataset, tidy)[::2]).dt.truncate(every).unique().sort():
        yield (
            published.filter(asked == start),
            tidy.filter(made < start),
            walked.features[partition].filter(of_lines(dataset, made) == start),
        )


def test_rows_whose_outcome_is_not_known_yet_get_the_same_features(walked, context_of):
    dataset, table = walked.dataset, walked.dataset.records
    if not dataset.forbidden:
        pytest.skip("no row tells of its outcome")
    names = [feature.name for feature in dataset.features]
    for partition, tidy in walked.tidy.items():
        published = table.read(walked.raw, partition)
        failed = judge_rows(table, published, partition).quarantined["row"]
        published = published.with_row_index().filter(~pl.col("index").is_in(failed.implode())).drop("index")
        if dataset.moment is None:
            requests = [(published, tidy.clear(), walked.features[partition])]
        else:
            requests = each_request(walked, partition, published, "1m")
        for rows, before, made in requests:
            rows = rows.drop(outcomes_alone(dataset))
            passed = judge_rows(table, rows, partition, unknown=dataset.forbidden).passed
            assert passed.select(sorted(dataset.forbidden)).null_count().row(0) == (len(rows),) * len(dataset.forbidden)
            recent = recent_rows(dataset, before, passed)
            found = compute_features(dataset, passed, context_of[partition], recent=recent)
            assert_frame_equal(found.select(names), made.select(names), check_exact=True)
            assert found[dataset.target].null_count() == len(found)


def outcomes_alone(dataset: Dataset) -> list[str]:
    """Published columns that tell of nothing but the outcome."""
    sources = {True: set(), False: set()}
    for tidy, source in dataset.records.parsed_from.items():
        sources[tidy in dataset.forbidden].update([source] if isinstance(source, str) else source)
    return sorted(sources[True] - sources[False])


def test_what_is_known_is_checked_all_the_same_where_outcomes_are_not(walked):
    dataset, table, partition = walked.dataset, walked.dataset.records, next(iter(walked.tidy))
    known = next(
        source
        for tidy, source in table.parsed_from.items()
        if tidy not in dataset.forbidden and isinstance(source, str)
    )
    rows = table.read(walked.raw, partition).head(5).drop(outcomes_alone(dataset))
    broken = rows.with_columns(pl.lit("no number").alias(known))
    assert judge_rows(table, broken, partition, unknown=dataset.forbidden).passed.is_empty()
    with pytest.raises(ValueError, match=f"no column {known} among"):
        judge_rows(table, rows.drop(known), partition, unknown=dataset.forbidden)


def test_rows_that_are_seen_already_do_not_count_twice(walked, context_of):
    dataset = walked.dataset
    for partition, tidy in walked.tidy.items():
        rows = tidy.tail(3)
        found = compute_features(dataset, rows, context_of[partition], recent=recent_rows(dataset, tidy, rows))
        made = walked.features[partition].tail(3 * dataset.lines_per_row)
        assert_frame_equal(found, made.select(found.columns), check_exact=True)


def test_a_dataset_that_changes_the_order_of_rows_is_refused(walked, context_of):
    turned = replace(walked.dataset, featurize=lambda rows, context: walked.dataset.featurize(rows, context).reverse())
    lost = replace(walked.dataset, featurize=lambda rows, context: walked.dataset.featurize(rows, context).head(1))
    partition, tidy = next(iter(walked.tidy.items()))
    for guilty in (turned, lost):
        with pytest.raises(AssertionError, match="in their order"):
            compute_features(guilty, tidy, context_of[partition])


# ── bad input ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_no_rows_are_no_features_of_the_same_columns(walked, context_of):
    dataset = walked.dataset
    for partition, tidy in walked.tidy.items():
        published = dataset.records.read(walked.raw, partition)
        judgement = judge_rows(dataset.records, published.clear(), partition)
        assert judgement.passed.schema == tidy.schema
        assert (len(judgement.passed), len(judgement.quarantined), judgement.failures) == (0, 0, {})
        for recent in (None, tidy.clear(), tidy):
            found = compute_features(dataset, judgement.passed, context_of[partition], recent=recent)
            assert found.is_empty()
            assert found.schema == compute_features(dataset, tidy, context_of[partition]).schema
        assert recent_rows(dataset, tidy, judgement.passed).is_empty()


def test_where_all_rows_are_quarantined_nothing_is_left_and_nothing_lost(walked, context_of):
    table, partition = walked.dataset.records, next(iter(walked.tidy))
    published = table.read(walked.raw, partition).head(5)
    broken = published.with_columns(pl.lit("no number").alias(name) for name in table.columns if name in parsed(table))
    judgement = judge_rows(table, broken, partition)
    assert judgement.passed.is_empty()
    assert judgement.quarantined[:, 2:].rows() == broken.rows()
    assert sum(judgement.failures.values()) == judgement.quarantined["failures"].list.len().sum()
    assert compute_features(walked.dataset, judgement.passed, context_of[partition]).is_empty()


def parsed(table: Any) -> set[str]:
    """The published columns that are parsed to something else than text."""
    named = [[source] if isinstance(source, str) else source for source in table.parsed_from.values()]
    return {name for names in named for name in names}


def test_published_rows_without_a_column_are_refused_with_its_name(walked):
    table, partition = walked.dataset.records, next(iter(walked.tidy))
    column = table.columns[-1]
    with pytest.raises(ValueError, match=f"no column {column} among"):
        judge_rows(table, table.read(walked.raw, partition).drop(column), partition)


def test_published_rows_that_are_no_text_are_refused_with_column_and_type(walked):
    table, partition = walked.dataset.records, next(iter(walked.tidy))
    column = table.columns[1]
    typed = table.read(walked.raw, partition).with_columns(pl.lit(1.5).alias(column))
    with pytest.raises(ValueError, match=f"{column} is Float64, not String"):
        judge_rows(table, typed, partition)


def test_further_published_columns_are_carried_into_quarantine_and_change_nothing(walked):
    table = walked.dataset.records
    for partition, tidy in walked.tidy.items():
        more = table.read(walked.raw, partition).with_columns(pl.lit(7).alias("further"))
        judgement = judge_rows(table, more, partition)
        assert_frame_equal(judgement.passed, tidy)
        assert "further" in judgement.quarantined.columns


def test_tidy_rows_of_another_form_are_refused_with_the_column(walked, context_of):
    partition, tidy = next(iter(walked.tidy.items()))
    column = next(name for name, kind in tidy.schema.items() if kind.is_numeric())
    with pytest.raises(ValueError, match=f"no column {column} among"):
        compute_features(walked.dataset, tidy.drop(column), context_of[partition])
    with pytest.raises(ValueError, match=f"{column} is String, not {tidy.schema[column]}"):
        compute_features(walked.dataset, tidy.cast({column: pl.String}), context_of[partition])


def test_a_missing_joined_table_is_named(walked):
    for name in walked.references:
        others = {other: rows for other, rows in walked.references.items() if other != name}
        with pytest.raises(ValueError, match=f"no joined table {name}"):
            build_context(walked.dataset, list(walked.summaries.values()), others)
