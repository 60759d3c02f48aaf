"""What did a search find, in words that claim no more than it shows?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from stages.experiments.tuning.space import Number

FIGURES = 6


@dataclass(frozen=True)
class Found:
    """The outcome of a study: how many trials, the best one, and the present parameters, where they were judged."""

    dataset: str
    study: str
    metric: str
    direction: Literal["minimize", "maximize"]
    where: str
    """The rows that judged."""
    trials: int
    best: float
    present: float | None

    @property
    def is_better(self) -> bool:
        """Whether any trial beat the present parameters, by however little."""
        if self.present is None:
            return True
        return self.best < self.present if self.direction == "minimize" else self.best > self.present

    @property
    def change(self) -> str:
        """Before and after."""
        before = "unknown" if self.present is None else figure(self.present)
        return f"{before} → {figure(self.best)}"


def figure(value: float) -> str:
    """A value of a metric."""
    return f"{value:.{FIGURES}g}"


def say_settings(settings: Mapping[str, Number]) -> str:
    """Parameters and their values."""
    return ", ".join(f"{name} {value:g}" for name, value in settings.items())


def head_of_override(found: Found, place: int) -> list[str]:
    """The first lines of the file that holds the winner: where it comes from."""
    better = "lower" if found.direction == "minimize" else "higher"
    return [
        f"Found for {found.dataset} by `make tune`: trial {place} of {found.trials} of the study {found.study}.",
        f"{found.metric} {found.change} on {found.where} ({better} is better); the best of several flatters itself.",
    ]


def conclude(found: Found, place: int) -> str:
    """What may be said of the best trial."""
    if found.present is None:
        return f"Trial {place} is the best of {found.trials}; the present parameters could not be judged."
    if found.trials == 1:
        return "Nothing but the present parameters has been tried."
    if not found.is_better:
        return f"None of {found.trials} trials beat the present parameters ({figure(found.present)}): they stay."
    share = abs(found.best - found.present) / abs(found.present) if found.present else float("nan")
    return (
        f"Trial {place} improves {found.metric} on {found.where}: {found.change} ({share:.2%}).\n"
        f"It is the best of {found.trials} on the rows it was chosen on, so part of that is luck; other rows have to "
        "decide."
    )


def compare_command(experiment: str, dataset: str) -> str:
    """How a person finds out whether the gain is real."""
    return f"python -m stages.compare HEAD {experiment} --dataset {dataset}"


def keep_words(dataset: str, option: str, overridden: Sequence[str]) -> list[str]:
    """How the winner becomes the default; ``overridden`` are settings that the dataset's own file overrules."""
    lines = [f"to keep it: in params/dataset/{dataset}.yaml write `/model@model: {option}`"]
    if overridden:
        lines.append(f"and take {', '.join(overridden)} out of its section `model`")
    return [*lines, "then `make params`, `dvc repro`, and commit"]
