"""The decision on a candidate: where its interval lies, and what a rollback can return to."""

import numpy as np
import pytest

from stages.experiments.promotion.ruling import decision_text, refuse_metric, rule, succession, tell_history
from stages.metrics.contract import Metric
from stages.metrics.paired import Difference


def difference(low: float | None, high: float | None, direction: str = "higher") -> Difference:
    middle = None if low is None or high is None else (low + high) / 2
    return Difference(
        "score", direction, 0.5, None if middle is None else 0.5 + middle, middle, low, high, 0.95, 0.5, 0.5,
        "no evidence" if middle is not None else "undefined", 1000, "" if middle is not None else "too few rows",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "margin", "decision"),
    [
        (0.01, 0.03, 0.0, "promote"),
        (0.0, 0.03, 0.0, "inconclusive"),  # an interval that touches the margin has not passed it
        (-0.01, 0.03, 0.0, "inconclusive"),
        (-0.01, 0.0, 0.0, "keep"),
        (-0.03, -0.01, 0.0, "keep"),
        (0.01, 0.03, 0.02, "inconclusive"),
        (0.01, 0.03, 0.03, "keep"),  # better, and still not worth a change
        (-0.01, 0.01, -0.02, "promote"),  # shown to be hardly worse
        (0.0, 0.0, 0.0, "keep"),
    ],
)
def test_the_interval_decides_by_where_it_lies_beside_the_margin(low, high, margin, decision) -> None:
    assert rule(difference(low, high), margin).decision == decision
    mirrored = rule(difference(-high, -low, "lower"), margin)  # less is better: the same gain
    assert mirrored.decision == decision
    assert (mirrored.gain, mirrored.low, mirrored.high) == ((low + high) / 2, low, high)


@pytest.mark.parametrize(("max_gain", "decision"), [(None, "promote"), (0.5, "promote"), (0.3, "suspicious")])
def test_a_gain_beyond_belief_is_not_promoted_whatever_its_interval(max_gain, decision) -> None:
    assert rule(difference(0.19, 0.21), 0.0, max_gain).decision == decision  # 0.20 of the champion's 0.50
    assert rule(difference(-0.21, -0.19, "lower"), 0.0, max_gain).decision == decision
    assert rule(difference(-0.21, -0.19), 0.0, max_gain).decision == "keep"  # a loss is never suspicious


def test_exactly_one_decision_for_any_interval_and_a_wider_one_is_never_surer() -> None:
    rng = np.random.default_rng(0)
    for centre, reach, more, margin in rng.normal(size=(500, 4)):
        narrow = rule(difference(centre - abs(reach), centre + abs(reach)), margin).decision
        wide = rule(difference(centre - abs(reach) - abs(more), centre + abs(reach) + abs(more)), margin).decision
        assert wide in (narrow, "inconclusive")


def test_the_reason_says_what_was_measured_and_never_more() -> None:
    assert rule(difference(0.01, 0.03), 0.0).reason == (
        "gain in score 0.02000 [0.01000, 0.03000] at 95\u202f% (0.5000 → 0.5200, higher is better): "
        "all of the interval lies above the margin of 0"
    )
    assert "these rows cannot tell" in rule(difference(-0.01, 0.02), 0.0).reason
    assert rule(difference(-0.03, -0.01), 0.0).reason.endswith("margin of 0: the candidate is worse")
    assert rule(difference(0.0, 0.0), 0.0).reason.endswith("no resample shows a difference")
    assert "−" not in rule(difference(0.0, 0.0, "lower"), 0.0).reason


def test_a_metric_that_the_rows_leave_undefined_decides_nothing() -> None:
    with pytest.raises(ValueError, match="a difference in score") as refused:
        rule(difference(None, None), 0.0)
    assert refused.value.args[1] == "too few rows"


def test_only_metrics_with_a_verdict_may_decide() -> None:
    metrics = {"auc": Metric("higher"), "shape": Metric("lower", descriptive=True)}
    refuse_metric("auc", metrics, "trial")
    for name, found in (("shape", "carries no verdict"), ("gini", "'gini'")):
        with pytest.raises(ValueError, match="one of auc") as refused:
            refuse_metric(name, metrics, "trial")
        assert found in refused.value.args[1]


def entry(number: int, decision: str, commit: str, champion: str | None = None, **more: object) -> dict:
    return {
        "number": number, "when": "2026-01-01T00:00:00Z", "who": "Ada", "dataset": "trial", "decision": decision,
        "reason": "because", "tags": [], "evidence": {},
        "candidate": {"revision": commit, "commit": commit * 40, "version": f"v{commit}"},
        "champion": {"commit": champion * 40, "version": f"v{champion}"} if champion else None, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("decisions", "reign"),
    [
        ("", ""),
        ("first a, keep b, inconclusive c", "a"),
        ("first a, promote b, promote c", "abc"),
        ("first a, promote b, rollback a", "a"),
        ("first a, promote b, promote c, rollback b, promote d", "abd"),
        ("first a, promote b, promote c, rollback b, rollback a", "a"),
        ("first a, promote b, promote a, rollback b", "ab"),
        ("first a, promote b, replace c", "abc"),
        ("first a, promote b, rollback x", "abx"),  # one whom the log did not make: marked by hand
        ("first a, promote b, promote c, promote b, promote d, rollback b", "abcb"),
    ],
)
def test_a_rollback_takes_off_what_came_after_its_champion(decisions: str, reign: str) -> None:
    made = [each.split() for each in decisions.split(", ") if each]
    entries = [entry(n, decision, commit) for n, (decision, commit) in enumerate(made, start=1)]
    assert "".join(champion["commit"][0] for champion in succession(entries)) == reign


def test_a_decision_is_told_with_what_to_do_next() -> None:
    told = decision_text(entry(3, "rollback", "a", "b"), "registry/trial.jsonl", dry_run=False)
    assert told.splitlines()[0] == "rollback: because"
    assert "champion: va (aaaaaaaa); this is decision 3 in registry/trial.jsonl" in told
    assert "git push --tags && dvc push --all-tags bundles/trial" in told
    kept = decision_text(entry(3, "keep", "a", "b"), "registry/trial.jsonl", dry_run=False)
    assert "champion: vb (bbbbbbbb)" in kept
    assert "push" not in kept
    dry = decision_text(entry(3, "keep", "a", "b"), "registry/trial.jsonl", dry_run=True)
    assert dry.endswith("dry run: nothing was recorded")


def test_the_history_shows_who_was_champion_after_each_decision() -> None:
    entries = [entry(1, "first", "a"), entry(2, "inconclusive", "b", "a"), entry(3, "promote", "c", "a")]
    lines = tell_history("trial", entries).splitlines()[2:]
    assert [line.split()[-2:] for line in lines] == [["va", "(aaaaaaaa)"], ["va", "(aaaaaaaa)"], ["vc", "(cccccccc)"]]
    assert tell_history("trial", []) == "trial: nothing has been decided yet"
