"""How much of a search's gain was luck of the seed?  The best few trials and the present settings, from fresh seeds.

The best of many trials is partly the luckiest training.  Trained again from seeds that no trial used, on the rows that
judged the search, it falls back to what its settings are worth there: its *shrinkage*.  Each of the few has as many
fresh trainings; their spread is taken to be alike, so that one estimate of it, over all of them, serves every interval
(Student's t).  What the choice by these very rows gave away stays hidden: other rows have to tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan, sqrt
from statistics import fmean, variance
from typing import Literal

import optuna

from stages.experiments.tuning.study import Trial
from stages.metrics.variance import t_quantile
from stages.pages.numbers import estimate_text
from stages.workspace.seeds import child_seed

FRESH = 3
"""Trainings of each of the few: with three others as many, eight degrees of freedom for their spread."""
LEVEL = 0.95
CONFIRMED = "confirmed"


@dataclass(frozen=True)
class Confirmed:
    """The mean of fresh trainings of one trial's settings, its interval, and how far it lies from that of the present.

    Ends are NaN where no spread is known, differences where the present settings were not confirmed.
    """

    trial: Trial
    mean: float
    low: float
    high: float
    gap: float
    gap_low: float
    gap_high: float

    @property
    def shrinkage(self) -> str:
        """Searched value → confirmed value [low, high]."""
        after = estimate_text(self.mean, self.low, self.high)
        return f"{self.trial.value:.6g} searched → {after} confirmed (mean of {FRESH} fresh seeds)"

    @property
    def told(self) -> str:
        """The shrinkage, and what is left of the gain over the present settings from the same fresh seeds."""
        if not isfinite(self.gap):
            return self.shrinkage
        certain = self.gap_low > 0 or self.gap_high < 0
        luck = "" if certain else ": seeds alone may move it as far"
        beside = estimate_text(self.gap, self.gap_low, self.gap_high, sign=True)
        return f"{self.shrinkage}; against the present parameters, from the same seeds, {beside}{luck}"


def seed_of(number: int, seed: int, dataset: str) -> int:
    """The seed of one fresh training, the same for all settings."""
    return child_seed(seed, f"confirm {number}", dataset)


def kept_values(study: optuna.Study) -> dict[int, list[float | None]]:
    """What fresh trainings gave so far, by number of the trial; None for one that failed."""
    found: dict[int, list[float | None]] = {}
    for key, value in sorted(study.user_attrs.items()):
        if key.startswith(CONFIRMED):
            found.setdefault(int(key.split()[1]), []).append(value)
    return found


def keep_value(study: optuna.Study, trial: Trial, number: int, value: float | None) -> None:
    """Remember one fresh training."""
    study.set_user_attr(f"{CONFIRMED} {trial.number} {number}", value)


def summarise(
    values: Mapping[int, Sequence[float | None]], trials: Sequence[Trial], present: Trial | None,
    direction: Literal["minimize", "maximize"],
) -> list[Confirmed]:  # fmt: skip
    """Those whose fresh trainings are complete, best mean first."""
    whole = {
        trial.number: [value for value in values.get(trial.number, ()) if value is not None]
        for trial in trials
    }  # fmt: skip
    whole = {number: own for number, own in whole.items() if len(own) == FRESH}
    spread = fmean(variance(own) for own in whole.values()) if whole else nan
    df = len(whole) * (FRESH - 1)
    reach = t_quantile(LEVEL, df) * sqrt(spread / FRESH) if df else nan
    base = fmean(whole[present.number]) if present and present.number in whole else nan
    found = []
    for trial in trials:
        if trial.number in whole:
            mean = fmean(whole[trial.number])
            gap, beside = mean - base, reach * sqrt(2)
            found.append(Confirmed(trial, mean, mean - reach, mean + reach, gap, gap - beside, gap + beside))
    return sorted(found, key=lambda each: each.mean if direction == "minimize" else -each.mean)
