"""The one-rule baseline beside a group-by, whatever the partitions."""

import json

import numpy as np
import polars as pl
import pytest

from stages.features.binning import Bins, bins_from_json
from stages.models.baseline import (
    fit_one_rule,
    most_relevant,
    rule_from_json,
)

ROWS = pl.DataFrame(
    {
        "speed": [1.0, 2.0, None, 5.0, 6.0, float("nan"), 9.0, 2.5],
        "carrier": ["AA", "UA", "AA", None, "UA", "AA", "UA", "AA"],
        "late": [0, 1, 1, 0, 1, 0, 1, 0],
        "delay": [1.0, 8.0, 9.0, 2.0, 7.0, 0.0, 6.0, 3.0],
    }
)
SPEED = bins_from_json({"name": "speed", "edges": [2.0, 5.0], "categories": []})
CARRIER = bins_from_json({"name": "carrier", "edges": None, "categories": ["AA", "UA"]})


def test_a_share_is_that_of_the_bin_drawn_a_little_towards_all_rows() -> None:
    rule = fit_one_rule([ROWS], bins=CARRIER, target="late", classes=("no", "yes"))
    # AA: 1 of 4 late; UA: 3 of 3; null: 0 of 1; two more rows at the overall share of one half
    assert [value[0] for value in rule.values] == pytest.approx([2 / 6, 4 / 5, 1 / 3])
    assert rule.rows == (4, 3, 1)


def test_nulls_and_nans_have_their_own_bin_and_edges_belong_to_the_bin_above() -> None:
    assert SPEED.codes(ROWS["speed"]).tolist() == [0, 1, 3, 2, 2, 3, 2, 1]


def test_a_category_never_seen_is_predicted_like_a_null() -> None:
    rule = fit_one_rule([ROWS], bins=CARRIER, target="late", classes=("no", "yes"))
    assert rule.predict(pl.DataFrame({"carrier": ["ZZ"]}))[0] == pytest.approx(1 / 3)


def test_a_bin_without_rows_predicts_the_overall_share() -> None:
    bins = bins_from_json({"name": "speed", "edges": [100.0], "categories": []})
    rule = fit_one_rule([ROWS], bins=bins, target="late", classes=("no", "yes"))
    assert rule.values[1][0] == 0.5


@pytest.mark.parametrize("classes", [("no", "yes"), ("a", "b", "c"), ()], ids=["two", "three", "a number"])
@pytest.mark.parametrize("bins", [SPEED, CARRIER], ids=["numeric", "categorical"])
def test_the_cut_into_partitions_leaves_the_rule_as_it_was_and_json_keeps_it(
    classes: tuple[str, ...], bins: Bins
) -> None:
    how = {"bins": bins, "target": "late" if classes else "delay", "classes": classes}
    rule = fit_one_rule([ROWS], **how)
    written = rule.to_json()
    assert fit_one_rule([ROWS[:3], ROWS[3:3], ROWS[3:]], **how).to_json() == written
    read = rule_from_json(json.loads(json.dumps(written)))
    assert read.to_json() == written
    assert np.array_equal(read.predict(ROWS), rule.predict(ROWS))


def test_shares_of_classes_add_up_to_one_and_means_are_means() -> None:
    shares = fit_one_rule([ROWS], bins=SPEED, target="late", classes=("a", "b", "c")).predict(ROWS)
    assert shares.shape == (8, 3)
    assert shares.sum(axis=1) == pytest.approx(1.0)
    rule = fit_one_rule([ROWS], bins=CARRIER, target="delay")
    mean = ROWS["delay"].mean()
    by_carrier = ROWS.filter(pl.col("carrier") == "UA")["delay"]
    assert rule.predict(ROWS)[1] == pytest.approx((by_carrier.sum() + 2 * mean) / (len(by_carrier) + 2))
    assert (rule.target_mean, rule.target_spread) == pytest.approx((mean, np.std(ROWS["delay"].to_numpy())))


def test_an_enum_column_is_cut_as_its_text() -> None:
    as_enum = ROWS.with_columns(pl.col("carrier").cast(pl.Enum(["UA", "AA"])))
    assert CARRIER.codes(as_enum["carrier"]).tolist() == CARRIER.codes(ROWS["carrier"]).tolist()


def test_no_training_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="training rows for a rule on carrier"):
        fit_one_rule([], bins=CARRIER, target="late", classes=("no", "yes"))


def test_the_most_relevant_feature_is_a_kept_one() -> None:
    features = [
        {"name": "id", "kept": False, "relevance": 0.9},
        {"name": "hour", "kept": True, "relevance": 0.3},
        {"name": "month", "kept": True, "relevance": 0.3},
    ]
    assert most_relevant(features) == "hour"


@pytest.mark.parametrize("lost", ["bins", "values", "rows", "target_mean", "target_spread"])
def test_a_lost_key_is_named_with_the_way_out(lost: str) -> None:
    content = fit_one_rule([ROWS], bins=SPEED, target="late", classes=("no", "yes")).to_json()
    with pytest.raises(ValueError, match=rf"a one-rule baseline.*no '{lost}'.*dvc repro"):
        rule_from_json({key: value for key, value in content.items() if key != lost})
    with pytest.raises(ValueError, match=r"a one-rule baseline.*dvc repro"):
        rule_from_json({**content, "bins": None})
    with pytest.raises(ValueError, match=r"a one-rule baseline.*3 values for 4 bins"):
        rule_from_json({**content, "values": content["values"][:3]})
