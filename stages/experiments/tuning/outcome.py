"""What comes of a study: its tables, the conclusion, and the winner as a file under ``params/`` and an experiment.

What did a search find, in words that claim no more than it shows?
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal

import polars as pl

from stages.experiments.tuning.confirmation import Confirmed
from stages.experiments.tuning.overrides import (
    MODELS,
    experiment_command,
    experiment_of,
    run_experiment,
    write_override,
)
from stages.experiments.tuning.picture import draw_study
from stages.experiments.tuning.search import Search
from stages.experiments.tuning.space import Value
from stages.experiments.tuning.study import Trial
from stages.experiments.tuning.trials import LOSS
from stages.pages.numbers import with_minus
from stages.pages.tables import Column, as_text, table
from stages.runtime.log import log
from stages.workspace import layout
from stages.workspace.errors import UserError
from stages.workspace.files import read_json, whole_file, write_csv

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
    confirmed: Confirmed | None = None
    """The best trial from fresh seeds, where the best few were trained again."""

    @property
    def is_better(self) -> bool:
        """Whether any trial beat the present parameters, by however little; from fresh seeds where there are any."""
        if self.present is None:
            return True
        if self.confirmed and isfinite(self.confirmed.gap):
            return self.confirmed.gap < 0 if self.direction == "minimize" else self.confirmed.gap > 0
        return self.best < self.present if self.direction == "minimize" else self.best > self.present

    @property
    def change(self) -> str:
        """Before and after."""
        before = "unknown" if self.present is None else figure(self.present)
        return f"{before} → {figure(self.best)}"


def figure(value: float) -> str:
    """A value of a metric."""
    return with_minus(f"{value:.{FIGURES}g}")


def say_settings(settings: Mapping[str, Value]) -> str:
    """Parameters and their values."""
    return ", ".join(f"{name} {_said(value)}" for name, value in settings.items())


def _said(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def head_of_override(found: Found, place: int) -> list[str]:
    """The first lines of the file that holds the winner: where it comes from."""
    better = "lower" if found.direction == "minimize" else "higher"
    return [
        f"Found for {found.dataset} by `make tune`: trial {place} of {found.trials} of the study {found.study}.",
        f"{found.metric} {found.change} on {found.where} ({better} is better); the best of several flatters itself.",
        *([f"{found.metric} {found.confirmed.shrinkage}."] if found.confirmed else []),
    ]


def conclude(found: Found, place: int) -> str:
    """What may be said of the best trial."""
    if found.present is None:
        return f"Trial {place} is the best of {found.trials}; the present parameters could not be judged."
    if found.trials == 1:
        return "Nothing but the present parameters has been tried."
    fresh = f"\n{found.metric} {found.confirmed.told}." if found.confirmed else ""
    if not found.is_better and fresh:
        return (
            f"From fresh seeds, the best of {found.trials} trials do not beat the present parameters: they stay.{fresh}"
        )
    if not found.is_better:
        return f"None of {found.trials} trials beat the present parameters ({figure(found.present)}): they stay."
    share = abs(found.best - found.present) / abs(found.present) if found.present else float("nan")
    return (
        f"Trial {place} improves {found.metric} on {found.where}: {found.change} ({share:.2%}).{fresh}\n"
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


SHOWN = 5
ROUNDED = 6  # digits of a loss in training.json


def pick_best(trials: Sequence[Trial], direction: Literal["minimize", "maximize"]) -> Trial | None:
    """The completed trial with the best value, the first of equals."""
    return next(iter(ranked(trials, direction)), None)


def write_tables(search: Search, trials: Sequence[Trial], importances: Mapping[str, float]) -> None:
    """``trials.csv`` and ``study.svg`` beside the study."""
    metric = search.settings.metric
    rows = [
        {
            "trial": trial.place, "number": trial.number, "state": trial.state, metric: trial.value,
            "rounds": trial.rounds, "seconds": trial.seconds, **trial.settings, "reason": trial.reason,
        }
        for trial in trials
    ]  # fmt: skip
    write_csv(search.folder / "trials.csv", pl.DataFrame(rows, infer_schema_length=None))
    present = present_trial(search, trials)
    drawn = draw_study(
        [trial.value if trial.state == "complete" else None for trial in trials], metric=metric,
        direction=search.direction, present=present.value if present else None, importances=importances,
    )  # fmt: skip
    with whole_file(search.folder / "study.svg") as aside:
        aside.write_text(drawn.svg + "\n", encoding="utf-8")


def tell_outcome(search: Search, trials: Sequence[Trial], confirmed: Sequence[Confirmed]) -> tuple[Found, Trial | None]:
    """Print the better trials and what may be concluded; the winner, when it beats the present settings."""
    best, present = pick_best(trials, search.direction), present_trial(search, trials)
    first = next((each for each in confirmed if each.trial != present), None)
    best = first.trial if first else best
    if best is None:
        raise UserError(
            f"a completed trial of {search.dataset}",
            f"none of {len(trials)}" + (f"; the last one: {trials[-1].reason}" if trials else ""),
            f"raise datasets.{search.dataset}.tune.minutes or .trials, and run the same command again",
        )
    found = Found(
        search.dataset, search.study, search.settings.metric, search.direction, search.where, len(trials),
        best.value, present.value if present else None, first,
    )  # fmt: skip
    counts = {state: sum(trial.state == state for trial in trials) for state in ("complete", "pruned", "failed")}
    print(
        f"{search.dataset}: trials of the study {search.study}: {', '.join(f'{n} {s}' for s, n in counts.items() if n)}"
    )
    print(_table(search, trials, present))
    print(conclude(found, best.place))
    print(f"all trials: {search.folder / 'trials.csv'}, {search.folder / 'study.svg'}")
    return found, best if found.is_better else None


def run_winner(search: Search, found: Found, winner: Trial, run: bool) -> None:
    """Write the winner's file and run its experiment, or print the command for it."""
    dataset, suffix = search.dataset, f"_{search.name}" if search.name else ""
    option, wish = f"tuned_{dataset}{suffix}", f"tuned_{dataset}{suffix}".replace("_", "-")
    wanted = {**search.model.model_dump(exclude_unset=True), **winner.settings}
    overrides = write_override(dataset, search.model.family, option, wanted, head_of_override(found, winner.place))
    overruled = [override.partition("=")[0].rpartition(".")[2] for override in overrides[1:]]
    print(f"the winner: {MODELS / option}.yaml")
    name, is_run = experiment_of(dataset, wanted, wish)
    command = experiment_command(dataset, name, overrides)
    if is_run:
        print(f"already run as the experiment {name}")
    elif run:
        log.info("%s: %s", dataset, shlex.join(command))
        run_experiment(option, command)
        check_loss(search, winner)
        print(f"run as the experiment {name}")
    else:
        print(f"to run it:  git add {MODELS / option}.yaml && {shlex.join(command)}")
    print(f"is it really better?  {compare_command(name, dataset)}")
    print("\n".join(keep_words(dataset, option, overruled)))


def check_loss(search: Search, winner: Trial) -> None:
    """The experiment's model has to be the trial's: on the same rows and with the same seed its loss is the same."""
    if search.settings.metric != LOSS or search.settings.folds:
        return
    written = layout.models(search.dataset) / "training.json"
    loss = read_json(written)["valid_loss"]
    if round(winner.value, ROUNDED) != loss:
        log.warning("%s: the loss is %s, that of the trial was %s: was something else changed meanwhile?",
                    written, figure(loss), figure(winner.value))  # fmt: skip


def present_trial(search: Search, trials: Sequence[Trial]) -> Trial | None:
    """The trial of the present settings, if it was completed."""
    of_present = (trial for trial in trials if trial.settings == search.present and trial.state == "complete")
    return next(of_present, None)


def ranked(trials: Sequence[Trial], direction: Literal["minimize", "maximize"]) -> list[Trial]:
    """The completed trials, best first."""
    complete = [trial for trial in trials if trial.state == "complete"]
    return sorted(complete, key=lambda trial: trial.value if direction == "minimize" else -trial.value)


def _table(search: Search, trials: Sequence[Trial], present: Trial | None) -> str:
    shown = ranked(trials, search.direction)[:SHOWN]
    shown += [present] if present and present not in shown else []
    columns: tuple[Column | str, ...] = (Column("trial", "name"), search.settings.metric, "rounds", *search.space)
    rows = [
        [f"{trial.place}{' (present)' if trial is present else ''}", figure(trial.value), str(trial.rounds),
         *(_said(trial.settings[name]) for name in search.space)]
        for trial in shown
    ]  # fmt: skip
    return as_text(table("Trials", columns, rows))
