"""Rolling origin and k-fold: what lies where, beside scikit-learn's own splitters."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import GroupKFold, StratifiedKFold, TimeSeriesSplit

from stages.experiments.folds.deal import (
    PARTS,
    cut_evenly,
    deal_folds,
    deal_pieces,
    hash_blocks,
    refuse_one_class,
    roll_origin,
)

ROWS = st.lists(st.integers(1, 500), min_size=4, max_size=80).map(lambda rows: np.array(rows, np.int64))


def refused(call, *arguments) -> tuple[str, str, str]:
    with pytest.raises(ValueError) as caught:
        call(*arguments)
    assert len(caught.value.args) == 3
    return caught.value.args


@pytest.mark.parametrize("n_folds", [2, 3, 6])
def test_units_of_equal_rows_are_split_as_scikit_learn_does(n_folds: int) -> None:
    n_units = 5 * (n_folds + 2)
    theirs = list(TimeSeriesSplit(n_splits=n_folds + 1).split(np.zeros(n_units)))[
        1:
    ]  # the first leaves none to stop on
    ours = roll_origin(np.full(n_units, 7), n_folds)
    for fold, (before, test) in zip(ours, theirs, strict=True):
        assert [*fold.train, *fold.valid] == before.tolist()
        assert list(fold.test) == test.tolist()
        assert len(fold.valid) == len(fold.test)


@given(rows=ROWS, data=st.data())
def test_no_unit_lies_in_two_parts_and_nothing_learnt_comes_after_a_test(rows: np.ndarray, data: st.DataObject) -> None:
    folds = roll_origin(rows, data.draw(st.integers(2, len(rows) - 2)))
    for fold in folds:
        train, valid, test = (list(fold.part(part)) for part in PARTS)
        assert train and valid and test
        assert train + valid + test == list(range(test[-1] + 1))  # in order, each once, none left out
    tested = [unit for fold in folds for unit in fold.test]
    assert tested == list(range(folds[0].test[0], len(rows)))  # tests follow one another up to the end


@given(rows=ROWS, data=st.data())
def test_stretches_are_as_even_as_whole_units_allow(rows: np.ndarray, data: st.DataObject) -> None:
    n_stretches = data.draw(st.integers(2, len(rows)))
    cuts = cut_evenly(rows, n_stretches)
    assert all(start < stop for start, stop in pairwise(cuts))
    if rows.max() <= rows.sum() / n_stretches / 2:  # no unit is so large that it has to upset its neighbours
        ideal = rows.sum() * np.arange(n_stretches + 1) / n_stretches
        found = np.concatenate([[0], np.cumsum(rows)])[cuts]
        assert np.abs(found - ideal).max() <= rows.max() / 2


@given(rows=ROWS, gap=st.integers(0, 3))
def test_a_gap_is_left_out_before_what_stops_and_what_tests(rows: np.ndarray, gap: int) -> None:
    plain = roll_origin(rows, 2)
    if gap >= min(len(plain[0].train), len(plain[0].valid), len(plain[1].valid)):
        assert "gap" in refused(roll_origin, rows, 2, gap)[0]
        return
    for fold, without in zip(roll_origin(rows, 2, gap), plain, strict=True):
        assert fold.test == without.test and fold.valid.start == without.valid.start
        assert fold.valid.start - fold.train.stop == gap == fold.test.start - fold.valid.stop


def test_more_folds_than_units_fewer_than_two_and_a_negative_gap_are_refused() -> None:
    wanted, found, following = refused(roll_origin, np.full(6, 10), 5)
    assert ("7 units" in wanted, found, "4 folds" in following) == (True, "6", True)
    assert "more records" in refused(roll_origin, np.full(3, 10), 2)[2]
    for few in (1, 0, -3):
        assert refused(roll_origin, np.full(6, 10), few)[1] == refused(deal_folds, few)[1] == str(few)
    assert refused(roll_origin, np.full(12, 10), 2, -1)[1] == "-1"


def deal(labels: np.ndarray, n_folds: int) -> np.ndarray:
    """The piece of every row."""
    blocks = hash_blocks(0, len(labels))
    counts = np.zeros((labels.max() + 1, 1024), np.int64)
    np.add.at(counts, (labels, blocks), 1)
    return deal_pieces(counts, n_folds)[labels, blocks]


@pytest.mark.parametrize("n_folds", [2, 5, 10])
def test_every_row_is_tested_once_and_no_block_of_rows_lies_in_two_parts(n_folds: int) -> None:
    labels = np.random.default_rng(3).choice(4, size=5000, p=[0.6, 0.2, 0.15, 0.05])
    pieces, blocks = deal(labels, n_folds), hash_blocks(0, len(labels))
    tests = [np.flatnonzero(np.isin(pieces, list(fold.test))) for fold in deal_folds(n_folds)]
    assert np.array_equal(np.sort(np.concatenate(tests)), np.arange(len(labels)))
    for fold in deal_folds(n_folds):
        parts = [set(fold.part(part)) for part in PARTS]
        assert set.union(*parts) == set(range(2 * n_folds)) and sum(map(len, parts)) == 2 * n_folds
    groups = blocks * 4 + labels  # as GroupKFold promises of groups
    for train, test in GroupKFold(n_folds).split(labels, groups=groups):
        assert not set(groups[train]) & set(groups[test])
    assert all(len(set(pieces[groups == group])) == 1 for group in np.unique(groups)[:200])


@pytest.mark.parametrize("n_rows", [300, 1797, 20_000])
def test_folds_hold_classes_as_evenly_as_a_stratified_k_fold(n_rows: int) -> None:
    labels = np.random.default_rng(5).choice(3, size=n_rows, p=[0.7, 0.2, 0.1])
    pieces = deal(labels, 5)
    theirs = [np.bincount(labels[test], minlength=3) for _, test in StratifiedKFold(5).split(labels, labels)]
    ours = [np.bincount(labels[np.isin(pieces, list(fold.test))], minlength=3) for fold in deal_folds(5)]
    block = np.ceil(np.bincount(labels) / 1024).astype(int)
    assert (np.abs(np.array(ours) - np.array(theirs)) <= 3 * block + 2 * np.sqrt(block)).all()


def test_rows_are_dealt_alike_wherever_they_are_cut_and_not_in_turn() -> None:
    whole = hash_blocks(0, 3000)
    assert np.array_equal(whole, np.concatenate([hash_blocks(0, 700), hash_blocks(700, 2300)]))
    assert np.array_equal(whole[:40], hash_blocks(0, 40))  # few rows are dealt by the same hash
    pieces = deal(np.zeros(3000, np.int64), 5)
    runs = np.count_nonzero(np.diff(pieces)) + 1
    assert abs(runs - 3000 * 0.9) < 4 * np.sqrt(3000 * 0.09)  # as chance has it: 9 of 10 neighbours differ


def test_a_part_of_one_class_is_refused_by_name() -> None:
    wanted, found, _ = refused(refuse_one_class, ("on time", "late"), np.array([12_345, 0]), 3, "valid")
    assert "valid part of fold 3" in wanted and found == "on time: 12,345 rows"
    assert refused(refuse_one_class, ("a", "b"), np.zeros(2, np.int64), 1, "test")[1] == "no rows"
