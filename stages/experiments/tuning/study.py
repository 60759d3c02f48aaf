"""A study: the trials of one search, kept in a database, so that a search that was cut short goes on where it was.

Who reads a study must know what it answers: its *question* (which rows, metric, folds, space, fixed settings, seed)
is kept with it, and trials of another question are refused.  The draw of the next trial depends on the trials before
it and on their number alone, so a search that was killed and resumed draws what an undisturbed one would have drawn.

Which process is at work on something, told so that another process can see later whether it still is.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from stages.experiments.tuning.space import Parameter, Range, Value
from stages.pages.numbers import elided
from stages.runtime.log import log
from stages.workspace.errors import UserError
from stages.workspace.seeds import child_seed
from stages.workspace.settings import INDENT


def own_process() -> dict[str, str]:
    """The mark of this process."""
    return {"host": socket.gethostname(), "process": str(os.getpid()), "started": _started(os.getpid())}


def may_run_elsewhere(mark: Mapping[str, str] | None) -> bool:
    """Whether the process of a mark may be alive, and is another one than this; one of another machine may be."""
    own = own_process()
    if mark is None or dict(mark) == own:
        return False
    if mark["host"] != own["host"]:
        return True
    try:
        os.kill(int(mark["process"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is there, and another user's
    return _started(int(mark["process"])) == mark["started"]


def _started(process: int) -> str:
    """When the process began, in the system's clock ticks, since numbers of processes come again; "" if unknown."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:
        return ""


QUESTION, SETTINGS, PROCESS, REASON = "question", "settings", "process", "reason"
LOST, ATTEMPT, ROUNDS = "lost", "attempt", "rounds"
ATTEMPTS = 2
"""A trial that ends the whole process twice (for want of memory, say) is not tried a third time."""
RANDOM_TRIALS = 10  # before the sampler models anything
WARMUP_STEPS, JUDGED_AGAINST = 2, 3
SHORT = 60  # characters of a value in a message


class Pruned(Exception):
    """A trial is behind the others."""


@dataclass(frozen=True)
class Trial:
    """One decided trial as a person reads it; the ``value`` of one that was given up is the last on its way, else NaN.

    ``place`` counts from 1; ``number`` is that of the database, where trials that were lost have numbers as well.
    """

    place: int
    number: int
    state: Literal["complete", "pruned", "failed"]
    value: float
    settings: dict[str, Value]
    rounds: int | None
    seconds: float | None
    reason: str


def open_study(
    storage: optuna.storages.RDBStorage,
    name: str,
    *,
    question: Mapping[str, str],
    direction: Literal["minimize", "maximize"],
    pruner: Literal["median", "none", "folds"],
) -> optuna.Study:
    """The study ``name``, new or as it was left.

    Raises
    ------
    UserError
        When its trials answer another question.
    """
    pruners: dict[str, optuna.pruners.BasePruner] = {
        "median": optuna.pruners.MedianPruner(n_warmup_steps=WARMUP_STEPS, n_min_trials=JUDGED_AGAINST),
        "folds": optuna.pruners.MedianPruner(n_min_trials=JUDGED_AGAINST),
        "none": optuna.pruners.NopPruner(),
    }
    study = optuna.create_study(
        storage=storage, study_name=name, direction=direction, load_if_exists=True, pruner=pruners[pruner]
    )
    kept = study.user_attrs.get(QUESTION)
    if kept is None and not study.get_trials(deepcopy=False):  # new, or killed before it had begun
        study.set_user_attr(QUESTION, dict(question))
    else:
        refuse_other_question(name, kept or {}, question)
    return study


def refuse_other_question(name: str, kept: Mapping[str, str], asked: Mapping[str, str]) -> None:
    """Stop when trials of the study cannot be told apart from those of this question."""
    if dict(kept) == dict(asked):
        return
    differing = [key for key in asked if kept.get(key) != asked[key]]
    told = [f"{key}: {', now '.join(_short(kept.get(key, 'unknown'), asked[key]))}" for key in differing]
    raise UserError(
        f"a study {name} of the same rows, space and metric",
        INDENT.join(["one of others", *(told or ["a question with more to it"])]),
        "begin a new study with --fresh (the old one is kept under another name) or with --name <name>",
    )


def set_aside(storage: optuna.storages.RDBStorage, name: str) -> None:
    """Keep the study ``name``, where there is one, under the first free name beside it."""
    names = set(optuna.get_all_study_names(storage))
    if name not in names:
        return
    kept = next(new for n in range(1, len(names) + 2) if (new := f"{name} (set aside {n})") not in names)
    optuna.copy_study(from_study_name=name, from_storage=storage, to_storage=storage, to_study_name=kept)
    optuna.delete_study(study_name=name, storage=storage)
    log.info("the study %s is kept as %r", name, kept)


def reclaim_lost(study: optuna.Study, storage: optuna.storages.RDBStorage, take_over: bool = False) -> list[int]:
    """End trials whose process has ended and queue their settings again; their numbers.

    Whether a trial of another machine still runs cannot be seen from here: it is left alone unless ``take_over``.
    """
    lost, elsewhere = [], []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if not take_over and may_run_elsewhere(trial.user_attrs.get(PROCESS)):
            elsewhere.append(trial.number)
        else:
            give_back(study, storage, trial.number, "its process ended")
            lost.append(trial.number)
    if elsewhere:
        told = "trials %s run in other processes; if those are gone for good, --take-over tries their settings again"
        log.info(told, ", ".join(map(str, elsewhere)))
    return lost


def give_back(study: optuna.Study, storage: optuna.storages.RDBStorage, number: int, reason: str) -> None:
    """End a trial that came to no result, and queue what it was to try; once, a second loss is a failure.

    One that was killed in the midst of its draw is not queued: the rest of its settings would be drawn on from another
    place in the sequence.  Its place is free again, and whoever takes it draws all of them.
    """
    key = storage.get_trial_id_from_study_id_trial_number(storage.get_study_id_from_name(study.study_name), number)
    trial = storage.get_trial(key)
    attempt = int(trial.user_attrs.get(ATTEMPT, 1))
    storage.set_trial_user_attr(key, REASON, reason)
    storage.set_trial_user_attr(key, LOST, attempt < ATTEMPTS)
    study.tell(number, state=TrialState.FAIL)
    if attempt < ATTEMPTS and SETTINGS in trial.user_attrs:
        parameters = {**trial.params, **trial.system_attrs.get("fixed_params", {})}
        kept = {SETTINGS: trial.user_attrs[SETTINGS], ATTEMPT: attempt + 1}
        study.enqueue_trial(parameters, user_attrs=kept)


def begin_trial(
    study: optuna.Study, space: Mapping[str, Parameter], seed: int
) -> tuple[optuna.Trial, dict[str, Value]]:
    """The next trial, queued or newly drawn, and its settings as they are to be used."""
    drawn = child_seed(seed, f"trial {len(begun(study))}") % 2**32
    study.sampler = optuna.samplers.TPESampler(seed=drawn, n_startup_trials=RANDOM_TRIALS)
    trial = study.ask({name: _distribution(parameter) for name, parameter in space.items()})
    trial.set_user_attr(PROCESS, own_process())
    settings = trial.user_attrs.get(SETTINGS) or {name: space[name].tidy(trial.params[name]) for name in space}
    trial.set_user_attr(SETTINGS, settings)
    return trial, settings


def report_step(trial: optuna.Trial, value: float, step: int) -> None:
    """Keep a value on the way, and give the trial up when it is behind the others at this step.

    Raises
    ------
    Pruned
        When it is.
    """
    trial.report(value, step)
    if trial.should_prune():
        raise Pruned


def end_trial(study: optuna.Study, trial: optuna.Trial, value: float, rounds: int) -> None:
    """The trial came to a result."""
    trial.set_user_attr(ROUNDS, rounds)
    study.tell(trial, value)


def end_early(study: optuna.Study, trial: optuna.Trial, reason: str, pruned: bool) -> None:
    """The trial was given up, or failed."""
    trial.set_user_attr(REASON, reason)
    study.tell(trial, state=TrialState.PRUNED if pruned else TrialState.FAIL)


def queue_present(study: optuna.Study, present: Mapping[str, Value]) -> None:
    """Queue the present settings unless they have been tried or queued: they are what has to be beaten."""
    trials = study.get_trials(deepcopy=False)
    if not any(trial.user_attrs.get(SETTINGS) == dict(present) and not trial.user_attrs.get(LOST) for trial in trials):
        study.enqueue_trial(dict(present), user_attrs={SETTINGS: dict(present)})


def begun(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that are decided or at work, here or in another process, in order."""
    trials = study.get_trials(deepcopy=False)
    return [trial for trial in trials if trial.state != TrialState.WAITING and not trial.user_attrs.get(LOST)]


def decided(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that need not be tried again, in order."""
    return [trial for trial in begun(study) if trial.state != TrialState.RUNNING]


def read_trials(study: optuna.Study) -> list[Trial]:
    """Every decided trial, in order."""
    return [_read(trial, place) for place, trial in enumerate(decided(study), start=1)]


def measure_importances(study: optuna.Study) -> dict[str, float]:
    """How much each parameter decides between the better trials and the others, shares of 1; none from few trials."""
    if len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) < RANDOM_TRIALS:
        return {}
    try:
        return optuna.importance.get_param_importances(study)
    except (RuntimeError, ValueError):  # all alike
        return {}


def _read(trial: FrozenTrial, place: int) -> Trial:
    states = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    begun, ended = trial.datetime_start, trial.datetime_complete
    last = float("nan") if trial.last_step is None else trial.intermediate_values[trial.last_step]
    return Trial(
        place=place,
        number=trial.number,
        state=states[trial.state],  # type: ignore[arg-type]
        value=last if trial.value is None else trial.value,
        settings=dict(trial.user_attrs.get(SETTINGS, trial.params)),
        rounds=trial.user_attrs.get(ROUNDS),
        seconds=(ended - begun).total_seconds() if begun and ended else None,
        reason=str(trial.user_attrs.get(REASON, "")),
    )


def _distribution(parameter: Parameter) -> BaseDistribution:
    if not isinstance(parameter, Range):
        return CategoricalDistribution(parameter.values)
    if parameter.whole:
        step = 1 if parameter.step is None else int(parameter.step)
        return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log, step=step)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)


def _short(one: str, other: str) -> list[str]:
    """Long texts from shortly before the place where they part, so that each shows what the other has not."""
    same = next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
    start = max(0, same - SHORT // 2) if max(len(one), len(other)) > SHORT else 0
    return [("…" if start else "") + elided(text[start:], SHORT) for text in (one, other)]
