"""What is said and drawn of a search: as much as it found, and the same to the byte each time."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from stages.experiments.tuning.confirmation import summarise
from stages.experiments.tuning.outcome import Found, conclude, head_of_override, keep_words
from stages.experiments.tuning.picture import draw_study
from stages.experiments.tuning.study import Trial

FOUND = Found("nycflights", "nycflights", "loss", "minimize", "the valid part", 30, best=0.365, present=0.368)


def test_a_gain_is_told_with_its_size_and_its_luck() -> None:
    said = conclude(FOUND, place=17)
    assert "Trial 17" in said and "0.368 → 0.365 (0.82%)" in said and "best of 30" in said and "luck" in said
    first, second = head_of_override(FOUND, place=17)
    assert "trial 17 of 30 of the study nycflights" in first
    assert "0.368 → 0.365 on the valid part (lower is better)" in second


@pytest.mark.parametrize(
    ("direction", "present", "best", "is_better"),
    [
        ("minimize", 0.3, 0.3, False), ("minimize", 0.3, 0.29, True),
        ("maximize", 0.7, 0.69, False), ("maximize", 0.7, 0.71, True),
    ],
)  # fmt: skip
def test_only_what_beats_the_present_settings_is_better(direction, present, best, is_better) -> None:
    found = replace(FOUND, direction=direction, present=present, best=best)
    assert found.is_better is is_better
    assert ("None of 30 trials" in conclude(found, 3)) is not is_better


def test_a_search_without_a_comparison_claims_none() -> None:
    assert "present parameters could not be judged" in conclude(replace(FOUND, present=None), 4)
    assert "Nothing but the present parameters" in conclude(replace(FOUND, trials=1, best=0.368), 1)
    assert any("max_depth" in line for line in keep_words("digits", "tuned_digits", ["max_depth"]))


def of_search(number: int, value: float) -> Trial:
    return Trial(number, number, "complete", value, {"max_depth": number}, 10, 1.0, "")


def test_what_is_left_of_a_gain_has_an_interval_from_the_spread_of_all_seeds_together() -> None:
    trials = [of_search(4, 0.365), of_search(9, 0.366), of_search(1, 0.368)]
    values = {4: [0.3690, 0.3672, 0.3682], 9: [0.3651, 0.3668, 0.3659], 1: [0.3681, 0.3677, 0.3690]}
    first, second, last = summarise(values, trials, trials[2], "minimize")
    assert [each.trial.number for each in (first, second, last)] == [9, 4, 1]
    pooled = np.mean([np.var(own, ddof=1) for own in values.values()])
    reach = stats.t.ppf(0.975, 6) * np.sqrt(pooled / 3)
    assert (first.low, first.high) == pytest.approx((0.3659333 - reach, 0.3659333 + reach), abs=1e-6)
    gap = np.mean(values[9]) - np.mean(values[1])
    assert (first.gap_low, first.gap_high) == pytest.approx((gap - 2**0.5 * reach, gap + 2**0.5 * reach), abs=1e-9)
    assert "0.366 searched → 0.3659 [" in first.told and "seeds alone" not in first.told
    assert "seeds alone may move it as far" in second.told
    lucky = replace(FOUND, best=0.365, confirmed=second)
    assert not replace(lucky, confirmed=replace(second, gap=0.0002)).is_better
    assert "do not beat the present parameters: they stay" in conclude(
        replace(lucky, confirmed=replace(second, gap=0.0002)), 4
    )


def test_settings_that_failed_from_a_fresh_seed_are_not_confirmed() -> None:
    trials = [of_search(2, 0.3), of_search(1, 0.4)]
    assert [
        each.trial.number for each in summarise({2: [0.3, None, 0.3], 1: [0.4] * 3}, trials, trials[1], "minimize")
    ] == [1]
    assert summarise({}, trials, trials[1], "minimize") == []
    (alone,) = summarise({2: [0.3, 0.31, 0.29]}, trials[:1], None, "maximize")
    assert "against" not in alone.told


def marks(values: list[float | None], **changes) -> dict[str, int]:
    """How many points of each kind the picture holds, and the words of its legend."""
    about = {"metric": "loss", "direction": "minimize", "present": 0.36, "importances": {}} | changes
    svg = draw_study(values, **about).svg
    assert svg == draw_study(values, **about).svg
    return {word: len(re.findall(f">{word}<", svg)) for word in ("completed", "far behind", "pruned or failed")}


def test_every_trial_has_a_place_in_the_picture() -> None:
    assert marks([0.36, 0.35, 0.34]) == {"completed": 1, "far behind": 0, "pruned or failed": 0}
    assert marks([0.36, None, 0.35, 0.34, 0.9, math.nan]) == {"completed": 1, "far behind": 1, "pruned or failed": 1}
    assert marks([0.7, 0.8, 0.1, 0.75, 0.76], direction="maximize", present=None)["far behind"] == 1
    assert marks([0.36])["completed"] == 1
    with_shares = draw_study(
        [0.36, 0.35], metric="loss", direction="minimize", present=None, importances={"depth": 1.0}
    )
    assert ">depth<" in with_shares.svg and "how much each parameter decides" in with_shares.about
