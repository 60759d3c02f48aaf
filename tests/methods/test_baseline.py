"""The one-rule baseline beside a group-by, whatever the partitions."""

import json

import numpy as np
import polars as pl
import pytest

from stages.methods.baseline import (
    Cut,
    fit_one_rule,
    most_relevant,
    predict_one_rule,
    rule_from_json,
    rule_to_json,
)

ROWS = pl.DataFrame(
    {
        "speed": [1.0, 2.0, None, 5.0, 6.0, float("nan"), 9.0, 2.5],
        "carrier": ["AA", "UA", "AA", None, "UA", "AA", "UA", "AA"],
        "late": [0, 1, 1, 0, 1, 0, 1, 0],
        "delay": [1.0, 8.0, 9.0, 2.0, 7.0, 0.0, 6.0, 3.0],
    }
)
SPEED = Cut("speed", "numeric", edges=(2.0, 5.0))
CARRIER = Cut("carrier", "categorical", categories=("AA", "UA"))


def test_a_share_is_that_of_the_bin_drawn_a_little_towards_all_rows() -> None:
    rule = fit_one_rule([ROWS], cut=CARRIER, target="late", task="binary", classes=("no", "yes"))
    # null: 0 of 1 late; AA: 1 of 4; UA: 3 of 3; two more rows at the overall share of one half
    assert [value[0] for value in rule.values] == pytest.approx([1 / 3, 2 / 6, 4 / 5])
    assert rule.rows == (1, 4, 3)


def test_nulls_and_nans_have_their_own_bin_and_edges_belong_to_the_bin_above() -> None:
    assert SPEED.bins(ROWS["speed"]).tolist() == [1, 2, 0, 3, 3, 0, 3, 2]


def test_a_category_never_seen_is_predicted_like_a_null() -> None:
    rule = fit_one_rule([ROWS], cut=CARRIER, target="late", task="binary", classes=("no", "yes"))
    assert predict_one_rule(rule, pl.DataFrame({"carrier": ["ZZ"]}))[0] == pytest.approx(1 / 3)


def test_a_bin_without_rows_predicts_the_overall_share() -> None:
    cut = Cut("speed", "numeric", edges=(100.0,))
    rule = fit_one_rule([ROWS], cut=cut, target="late", task="binary", classes=("no", "yes"))
    assert rule.values[2][0] == 0.5


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("cut", [SPEED, CARRIER])
def test_the_cut_into_partitions_leaves_the_rule_as_it_was_and_json_keeps_it(task: str, cut: Cut) -> None:
    how = {"cut": cut, "target": "delay" if task == "regression" else "late", "task": task}
    how |= {"classes": () if task == "regression" else ("no", "yes")}
    rule = fit_one_rule([ROWS], **how)
    assert rule == fit_one_rule([ROWS[:3], ROWS[3:3], ROWS[3:]], **how)
    assert rule_from_json(json.loads(json.dumps(rule_to_json(rule)))) == rule


def test_shares_of_classes_add_up_to_one_and_means_are_means() -> None:
    shares = predict_one_rule(
        fit_one_rule([ROWS], cut=SPEED, target="late", task="multiclass", classes=("a", "b", "c")), ROWS
    )
    assert shares.shape == (8, 3)
    assert shares.sum(axis=1) == pytest.approx(1.0)
    rule = fit_one_rule([ROWS], cut=CARRIER, target="delay", task="regression")
    mean = ROWS["delay"].mean()
    by_carrier = ROWS.filter(pl.col("carrier") == "UA")["delay"]
    assert predict_one_rule(rule, ROWS)[1] == pytest.approx((by_carrier.sum() + 2 * mean) / (len(by_carrier) + 2))
    assert (rule.target_mean, rule.target_spread) == pytest.approx((mean, np.std(ROWS["delay"].to_numpy())))


def test_an_enum_column_is_cut_as_its_text() -> None:
    as_enum = ROWS.with_columns(pl.col("carrier").cast(pl.Enum(["UA", "AA"])))
    assert CARRIER.bins(as_enum["carrier"]).tolist() == CARRIER.bins(ROWS["carrier"]).tolist()


def test_no_training_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="training rows for a rule on carrier"):
        fit_one_rule([], cut=CARRIER, target="late", task="binary", classes=("no", "yes"))


def test_the_most_relevant_feature_is_a_kept_one() -> None:
    features = [
        {"name": "id", "kept": False, "relevance": 0.9},
        {"name": "hour", "kept": True, "relevance": 0.3},
        {"name": "month", "kept": True, "relevance": 0.3},
    ]
    assert most_relevant(features) == "hour"
