"""What comes of a study: its tables, the conclusion, and the winner as a file under ``params/`` and an experiment."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Literal

import polars as pl

from stages.experiments.tuning.overrides import (
    MODELS,
    experiment_command,
    experiment_of,
    run_experiment,
    write_override,
)
from stages.experiments.tuning.search import Search
from stages.experiments.tuning.study import Trial
from stages.experiments.tuning.study_charts import draw_study
from stages.experiments.tuning.study_words import (
    Found,
    compare_command,
    conclude,
    figure,
    head_of_override,
    keep_words,
)
from stages.experiments.tuning.trial_scores import LOSS
from stages.pages.tables import Column, as_text, table
from stages.runtime.log import log
from stages.workspace import layout
from stages.workspace.errors import UserError
from stages.workspace.files import read_json, whole_file, write_csv

SHOWN = 5
ROUNDED = 6  # digits of a loss in training.json


def pick_best(trials: Sequence[Trial], direction: Literal["minimize", "maximize"]) -> Trial | None:
    """The completed trial with the best value, the first of equals."""
    return next(iter(_ranked(trials, direction)), None)


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
    present = _present(search, trials)
    drawn = draw_study(
        [trial.value if trial.state == "complete" else None for trial in trials], metric=metric,
        direction=search.direction, present=present.value if present else None, importances=importances,
    )  # fmt: skip
    with whole_file(search.folder / "study.svg") as aside:
        aside.write_text(drawn.svg + "\n", encoding="utf-8")


def tell_outcome(search: Search, trials: Sequence[Trial]) -> tuple[Found, Trial | None]:
    """Print the better trials and what may be concluded; the winner, when it beats the present settings."""
    best, present = pick_best(trials, search.direction), _present(search, trials)
    if best is None:
        raise UserError(
            f"a completed trial of {search.dataset}",
            f"none of {len(trials)}" + (f"; the last one: {trials[-1].reason}" if trials else ""),
            f"raise datasets.{search.dataset}.tune.minutes or .trials, and run the same command again",
        )
    found = Found(
        search.dataset, search.study, search.settings.metric, search.direction, search.where, len(trials),
        best.value, present.value if present else None,
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


def _present(search: Search, trials: Sequence[Trial]) -> Trial | None:
    """The trial of the present settings, if it was completed."""
    of_present = (trial for trial in trials if trial.settings == search.present and trial.state == "complete")
    return next(of_present, None)


def _ranked(trials: Sequence[Trial], direction: Literal["minimize", "maximize"]) -> list[Trial]:
    """The completed trials, best first."""
    complete = [trial for trial in trials if trial.state == "complete"]
    return sorted(complete, key=lambda trial: trial.value if direction == "minimize" else -trial.value)


def _table(search: Search, trials: Sequence[Trial], present: Trial | None) -> str:
    shown = _ranked(trials, search.direction)[:SHOWN]
    shown += [present] if present and present not in shown else []
    columns: tuple[Column | str, ...] = (Column("trial", "name"), search.settings.metric, "rounds", *search.space)
    rows = [
        [f"{trial.place}{' (present)' if trial is present else ''}", figure(trial.value), str(trial.rounds),
         *(f"{trial.settings[name]:g}" for name in search.space)]
        for trial in shown
    ]  # fmt: skip
    return as_text(table("Trials", columns, rows))
