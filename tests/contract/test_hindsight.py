"""No feature knows what happened after the moment of its row: changing it, or taking it away, changes nothing.

What happens to a forecast is all that later rows tell.

The moment is the column that the sample's expected.yaml names, or a day and a minute of it; rows without one know
nothing of each other's outcome.  The summaries of all partitions are made anew each time, so that hindsight by way of
past days would show as well.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from stages.records.contract import Dataset
from tests.contract.conftest import moments_by_hand, of_lines

few = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # the first counterexample is good enough, and shrinking it takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
Rows = dict[str, pl.DataFrame]


def features_of(dataset: Dataset, tidy: Rows, references: Rows) -> pl.DataFrame:
    """All features, with the position of each row in ``tidy``."""
    context = dataset.context([dataset.summarize(plain(rows)) for rows in tidy.values()], references)
    names = [feature.name for feature in dataset.features]
    frames = [
        of_lines(dataset, rows.select(pl.lit(partition).alias("partition"), "_row")).hstack(
            dataset.featurize(plain(rows), context).select(names)
        )
        for partition, rows in tidy.items()
    ]
    return pl.concat(frames)


def plain(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.drop("_row", "_moment", strict=False)


def numbered(tidy: Rows) -> Rows:
    return {partition: rows.with_row_index("_row") for partition, rows in tidy.items()}


def known_by(features: pl.DataFrame, tidy: Rows, is_known: pl.Expr) -> pl.DataFrame:
    """The features of those rows alone."""
    keys = [
        rows.filter(is_known).select(pl.lit(partition).alias("partition"), "_row") for partition, rows in tidy.items()
    ]
    return features.join(pl.concat(keys), on=["partition", "_row"], how="semi", maintain_order="left")


def outcomes_of(dataset: Dataset, tidy: Rows) -> list[str]:
    """What a row tells of its outcome; of forecasts, all that it tells but whose report it is."""
    told = set(next(iter(tidy.values())).columns) - {"_row", "_moment"}
    return sorted(told - set(dataset.records.key) if dataset.observed else told & dataset.forbidden)


def with_other_outcomes(dataset: Dataset, tidy: Rows, changed: pl.Expr, seed: int) -> Rows:
    """Each changed row takes over the whole outcome of some row drawn at random."""
    outcomes = outcomes_of(dataset, tidy)
    pool = pl.concat(rows.select(outcomes) for rows in tidy.values())
    rng = np.random.default_rng(seed)
    mutated = {}
    for partition, rows in tidy.items():
        drawn = pool[rng.integers(0, len(pool), len(rows))]
        other = rows.hstack([drawn[name].alias(f"_{name}") for name in outcomes])
        mutated[partition] = other.with_columns(
            pl.when(changed).then(pl.col(f"_{name}")).otherwise(pl.col(name)).alias(name) for name in outcomes
        ).select(rows.columns)
    return mutated


def without(tidy: Rows, gone: pl.Expr) -> Rows:
    return {partition: rows.filter(~gone) for partition, rows in tidy.items()}


@pytest.fixture(scope="session")
def truth(walked) -> tuple[Dataset, Rows, Rows, str, pl.DataFrame]:
    """The dataset, its rows, its references, the column of the moment, the features."""
    tidy = numbered(walked.tidy)
    moment = walked.expected.get("moment", "")
    if isinstance(moment, list):
        tidy = {name: rows.with_columns(moments_by_hand(moment, rows).alias("_moment")) for name, rows in tidy.items()}
        moment = "_moment"
    return walked.dataset, tidy, walked.references, moment, features_of(walked.dataset, tidy, walked.references)


def refuse_hindsight(truth, at: object, change: Callable[[Rows, pl.Expr, pl.Expr], Rows]) -> None:
    """``change(rows, from the moment on, after the moment)``; rows up to the moment must not notice.

    A row may not know its own outcome; a forecast has come from what its own row tells.
    """
    dataset, tidy, references, moment, features = truth
    if moment:
        until, since, after = pl.col(moment) <= at, pl.col(moment) >= at, pl.col(moment) > at
        since = after if dataset.observed else since
    else:
        until, since, after = pl.lit(True), pl.lit(True), pl.lit(False)
    mutated = features_of(dataset, change(tidy, since, after), references)
    assert_frame_equal(known_by(mutated, tidy, until), known_by(features, tidy, until), check_exact=True)


def moment_of(truth, row: int) -> object:
    _, tidy, _, moment, _ = truth
    return pl.concat(rows[moment] for rows in tidy.values()).sort()[min(row, rows_of(truth) - 1)] if moment else None


def rows_of(truth) -> int:
    return sum(len(rows) for rows in truth[1].values())


@few
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_other_outcomes_of_a_row_and_of_all_later_rows_change_none_of_its_features(truth, data, seed):
    at = moment_of(truth, data.draw(st.integers(0, rows_of(truth) - 1)))
    refuse_hindsight(truth, at, lambda rows, since, _: with_other_outcomes(truth[0], rows, since, seed))


@few
@given(data=st.data())
def test_taking_away_all_later_rows_changes_no_feature(truth, data):
    at = moment_of(truth, data.draw(st.integers(0, rows_of(truth) - 1)))
    refuse_hindsight(truth, at, lambda rows, _, after: without(rows, after))


def test_the_first_rows_of_a_partition_know_nothing_of_what_follows(truth):
    dataset, tidy, _, moment, _ = truth
    if not moment:
        pytest.skip("rows have no order in time")
    for rows in tidy.values():
        at = rows[moment].min()
        refuse_hindsight(truth, at, lambda rows, since, _: with_other_outcomes(dataset, rows, since, 1))
        refuse_hindsight(truth, at, lambda rows, _, after: without(rows, after))


@pytest.mark.parametrize("row", [0, 400])
def test_outcomes_all_missing_from_a_moment_on_change_no_feature_before(truth, row):
    dataset, tidy, *_ = truth
    outcomes = outcomes_of(dataset, tidy)

    def erase(rows: Rows, since: pl.Expr, _: pl.Expr) -> Rows:
        erased = [pl.when(~since).then(pl.col(name)).alias(name) for name in outcomes]
        return {partition: frame.with_columns(erased) for partition, frame in rows.items()}

    refuse_hindsight(truth, moment_of(truth, row), erase)


def test_the_check_itself_sees_a_feature_that_knows_the_outcome(truth):
    dataset, tidy, references, moment, _ = truth
    leaking = dataset.features[next(i for i, feature in enumerate(dataset.features) if feature.kind == "numeric")].name

    def featurize_with_hindsight(rows: pl.DataFrame, context: object) -> pl.DataFrame:
        frame = dataset.featurize(rows, context)
        return frame.with_columns(pl.col(leaking).fill_null(0) + frame[dataset.target].cast(pl.Float64).mean())

    guilty = replace(dataset, featurize=featurize_with_hindsight)
    features = features_of(guilty, tidy, references)
    with pytest.raises(AssertionError, match=leaking):
        refuse_hindsight(
            (guilty, tidy, references, moment, features),
            moment_of(truth, 0),
            lambda rows, since, _: with_other_outcomes(guilty, rows, since, 3),
        )
