"""Search for better settings of one dataset's model, and run the best as one experiment.

Reads   data/features/<dataset>         rows of the train and the valid part, never of the test part
        data/selection/<dataset>.json
Writes  tuning/<dataset>/               study.db, trials.csv, study.svg; not in git
        params/model/tuned_<dataset>.yaml, and a DVC experiment, when a trial beats the present settings
Params  datasets.<dataset>.tune, .model, .evaluate (costs of mistakes), seed

The best few trials and the present settings are trained again from fresh seeds before one of them is called the winner.
A command, not a stage.  Killed at any moment it goes on where it was when it is started again.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Sequence
from math import isfinite
from statistics import fmean

import optuna
from optuna.storages import RDBStorage

from stages.experiments.tuning.confirmation import FRESH, Confirmed, keep_value, kept_values, seed_of, summarise
from stages.experiments.tuning.outcome import (
    figure,
    pick_best,
    present_trial,
    ranked,
    run_winner,
    say_settings,
    tell_outcome,
    write_tables,
)
from stages.experiments.tuning.overrides import MODELS, check_composed
from stages.experiments.tuning.search import Search, read_search
from stages.experiments.tuning.space import Value
from stages.experiments.tuning.storage import move_damaged, open_storage, storage_url
from stages.experiments.tuning.study import (
    Pruned,
    begin_trial,
    begun,
    decided,
    end_early,
    end_trial,
    measure_importances,
    open_study,
    queue_present,
    read_trials,
    reclaim_lost,
    report_step,
    set_aside,
)
from stages.experiments.tuning.trials import LOSS, TrialFailed, TrialRows, score_trial
from stages.features.table import read_sketches
from stages.models.contract import FamilySettings
from stages.models.families import family_of
from stages.models.rows import Ticker
from stages.runtime.commands import run_command
from stages.runtime.log import Progress, log, progress, start_log
from stages.workspace.errors import UserError
from stages.workspace.files import require_writable
from stages.workspace.settings import read_scale, read_workers

HOPELESS = 3
"""So many trials, all of them failed: something other than the settings is wrong."""
STEP = 2.0
"""The sum of learning rates after which a loss is kept: ten times or so until a trial ends."""
STOPPED = 130  # the exit status of a program that was interrupted


def main(*arguments: str) -> None:
    """Search, and run the winner; see ``--help``."""
    options = parse(arguments)
    search = read_search(
        options.dataset, options.name, trials=options.trials, minutes=options.minutes, metric=options.metric
    )
    check_composed(search.dataset)
    require_writable(search.folder, MODELS)
    url = storage_url(search.settings.storage, search.folder)
    if options.fresh:
        move_damaged(url)
    with open_storage(url) as storage:
        if options.fresh:
            set_aside(storage, search.study)
        study = open_study(
            storage, search.study, question=search.question(), direction=search.direction, pruner=search.pruner
        )
        resume(study, storage, search, options.take_over)
        try:
            with trial_rows(search) as rows:
                run_trials(study, search, rows)
                confirmed = confirm(study, search, rows)
        except KeyboardInterrupt:
            log.info("%s: stopped; run the same command again to go on", search.dataset)
            sys.exit(STOPPED)
        trials, importances = read_trials(study), measure_importances(study)
        n_running = len(begun(study)) - len(trials)
    write_tables(search, trials, importances)
    found, winner = tell_outcome(search, trials, confirmed)
    if n_running:
        told = "%s: other processes are at %d trials; run this again when they have ended, for the winner's file"
        log.info(told, search.dataset, n_running)
    elif winner:
        run_winner(search, found, winner, run=not options.no_run)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m stages.tune", description=(main.__doc__ or "").partition(";")[0])
    parser.add_argument("dataset", help="the dataset whose model is tuned, such as nycflights")
    parser.add_argument("--trials", type=int, help="trials in all, instead of datasets.<dataset>.tune.trials")
    parser.add_argument("--minutes", type=float, help="begin no trial after so many minutes")
    parser.add_argument("--metric", help="improve this one, instead of datasets.<dataset>.tune.metric")
    parser.add_argument("--name", default="", help="a study of its own, beside the usual one")
    parser.add_argument(
        "--fresh", action="store_true", help="begin a new study; the old one is kept under another name"
    )
    parser.add_argument(
        "--take-over", action="store_true", help="end trials of other machines, which are gone for good"
    )
    parser.add_argument(
        "--no-run", action="store_true", help="write the winner's file, and leave the experiment to you"
    )
    options = parser.parse_args(arguments)
    if options.name and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", options.name):
        raise UserError("--name: letters, digits, - and _", options.name, "choose another name")
    return options


def resume(study: optuna.Study, storage: RDBStorage, search: Search, take_over: bool) -> None:
    """Queue what was cut short, and the present settings; tell where the study stands."""
    lost = reclaim_lost(study, storage, take_over)
    queue_present(study, search.present)
    if search.settings.pruner == "median" and search.pruner == "none":
        log.info("%s: only the loss can be judged on its way, so no trial is given up early", search.dataset)
    if done := decided(study):
        again = f"; cut short and tried again: {len(lost)}" if lost else ""
        log.info("%s: %d of %d trials are done%s", search.dataset, len(done), search.settings.trials, again)


def trial_rows(search: Search) -> TrialRows:
    """The rows that are learned from and judged."""
    return TrialRows(
        search.table, read_sketches(search.dataset), folds=search.settings.folds,
        threads=read_workers().training_threads, limit_bytes=read_scale().memory_limit_bytes,
    )  # fmt: skip


def run_trials(study: optuna.Study, search: Search, rows: TrialRows) -> None:
    """Try settings until the trials or the minutes are used up; a trial that has begun is finished."""
    settings = search.settings
    deadline = time.monotonic() + 60 * settings.minutes if settings.minutes else float("inf")
    with progress(f"{search.dataset}: tune", settings.trials, "trials") as counter:
        counter.advance(len(decided(study)))
        while len(begun(study)) < settings.trials:
            if time.monotonic() >= deadline:
                told = "%s: time is up after %d of %d trials"
                log.info(told, search.dataset, len(decided(study)), settings.trials)
                break
            run_trial(study, search, rows, counter)
            refuse_hopeless(study, search)


def run_trial(study: optuna.Study, search: Search, rows: TrialRows, counter: Progress) -> None:
    """One trial from its draw to its result."""
    trial, settings = begin_trial(study, search.space, search.drawing_seed)
    watch = Watch(search, trial, settings, counter, best_so_far(study, search))
    try:
        value, rounds = judge(search, rows, watch.model, search.training_seed, watch, watch.report)
    except Pruned:
        end_early(study, trial, "behind the others", pruned=True)
    except TrialFailed as error:
        end_early(study, trial, str(error), pruned=False)
        log.warning("%s: a trial failed (%s): %s", search.dataset, say_settings(settings), error)
    else:
        end_trial(study, trial, value, rounds)
    counter.advance(1, "".join(best_so_far(study, search)))


class Watch:
    """Follows a trial round by round: tells of it, and gives it up when it is behind.

    Trials are compared after equal sums of learning rates, not after equal rounds: a step of 0.03 is behind one of 0.3
    for most of the way, and often ahead at its end.  The present settings are never given up.
    """

    def __init__(
        self, search: Search, trial: optuna.Trial, settings: dict[str, Value], counter: Progress, best: list[str]
    ) -> None:
        self.trial, self.counter, self.best, self.step = trial, counter, best, 0
        self.model = search.model.model_copy(update=settings)
        self.rate = float(getattr(self.model, "learning_rate", 1.0))
        self.may_prune = settings != search.present
        self.each = search.pruner == "median"

    def __call__(self, number: int, _train_loss: float, valid_loss: float) -> None:
        """After every round."""
        self.counter.advance(0, "; ".join([f"round {number + 1}: {figure(valid_loss)}", *self.best]))
        step = int((number + 1) * self.rate / STEP + 1e-9)
        if self.each and step > self.step:
            self.step = step
            self.report(valid_loss, step)

    def report(self, value: float, step: int) -> None:
        """Keep a value on the way; `Pruned` when the trial is behind."""
        try:
            report_step(self.trial, value, step)
        except Pruned:
            if self.may_prune:
                raise


def confirm(study: optuna.Study, search: Search, rows: TrialRows) -> list[Confirmed]:
    """The best few trials and the present settings, trained again from fresh seeds; those kept are not done twice."""
    trials, few = read_trials(study), search.settings.confirm
    if not few or len(begun(study)) > len(trials):  # others are still at work
        return []
    if not family_of(search.dataset).by_chance:
        log.info("%s: nothing to confirm: a %s model is the same from any seed", search.dataset, search.model.family)
        return []
    present, best = present_trial(search, trials), ranked(trials, search.direction)
    ahead = best[: best.index(present)] if present else best
    chosen = [*ahead[:few], *([present] if present and ahead else [])]
    with progress(f"{search.dataset}: confirm", len(chosen) * FRESH, "trainings") as counter:
        for trial in chosen:
            model, done = search.model.model_copy(update=trial.settings), len(kept_values(study).get(trial.number, []))
            counter.advance(done)
            for number in range(done, FRESH):
                keep_value(study, trial, number, train_afresh(search, rows, model, number))
                counter.advance(1)
    return summarise(kept_values(study), chosen, present, search.direction)


def train_afresh(search: Search, rows: TrialRows, model: FamilySettings, number: int) -> float | None:
    """The metric from one fresh seed; None where the training fails."""
    try:
        return judge(search, rows, model, seed_of(number, search.seed, search.dataset), lambda *_: None)[0]
    except TrialFailed as error:
        log.warning("%s: trained again from another seed, settings failed: %s", search.dataset, error)
        return None


def judge(
    search: Search, rows: TrialRows, model: FamilySettings, seed: int, each_round: Ticker,
    each_fold: Callable[[float, int], None] = lambda *_: None,
) -> tuple[float, int]:  # fmt: skip
    """The metric of settings, the mean over the folds, and the rounds that were kept."""
    values, rounds, settings, table = [], [], search.settings, search.table
    for number in range(len(rows.shares)):
        fit, kept = rows.fit(number, model, seed, each_round)
        if settings.metric == LOSS and not settings.folds:
            value = fit.best
        else:
            stopped, judged = rows.scores(number, fit, kept)
            value = score_trial(settings.metric, table.task, len(table.classes), stopped, judged, search.costs)
        if not isfinite(value):
            raise TrialFailed(f"{settings.metric} is undefined on the rows that judge")
        values.append(value)
        rounds.append(fit.best_round + 1)
        if settings.folds:
            each_fold(fmean(values), number + 1)
    return fmean(values), round(fmean(rounds))


def best_so_far(study: optuna.Study, search: Search) -> list[str]:
    """The best completed trial, for those who wait; nothing before there is one."""
    best = pick_best(read_trials(study), search.direction)
    return [] if best is None else [f"best {search.settings.metric} {figure(best.value)} (trial {best.place})"]


def refuse_hopeless(study: optuna.Study, search: Search) -> None:
    """Stop when every trial so far has failed."""
    trials = read_trials(study)
    if len(trials) >= min(HOPELESS, search.settings.trials) and all(trial.state == "failed" for trial in trials):
        raise UserError(
            f"a trial of {search.dataset} that ends well",
            f"{len(trials)} of {len(trials)} failed; the last one: {trials[-1].reason}",
            f"look at datasets.{search.dataset}.tune and .model, then run again with --fresh",
        )


if __name__ == "__main__":
    start_log()
    run_command(main)
