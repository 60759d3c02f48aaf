"""Is it worth training again, and how often?  A year replayed month by month.

Reads   flights of further years (--years: parquet as `tools.arrive` takes them), which become features by the line's
        own stages in --folder; the selected features of the workspace
Writes  the block in RESULTS.md, retraining.json (every figure); --folder keeps features and models for another time

The model of 2013, trained as the line does, meets the flights of the last year.  Each strategy says which model answers
in which month; all of them see the same flights and the same features, and are judged by the paired test over days in
runs.  Trained anew is on the twelve months before the last one, on which boosting stops and the threshold is chosen;
the thresholds stay those that went into service.  The joined weather ends with 2013, so it is left out of all models;
``--weather`` leaves it in: then the model of 2013 has learnt from what nobody tells it later.

    python -m benchmarks.study_retraining --years flights_2014.parquet flights_2017.parquet --folder FOLDER
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.replay_months import Recipe, Replay
from benchmarks.report import write_block
from benchmarks.retraining_words import ALWAYS, NEVER, PREDICTED_BY, SHOWN, tell
from benchmarks.workspace import ROOT
from stages.datasets.nycflights import DATASET
from stages.experiments.folds.deal import PARTS
from stages.experiments.folds.pooled import pool
from stages.experiments.folds.rows import UnitRows
from stages.experiments.promotion.challenge import PromoteSettings
from stages.experiments.promotion.ruling import rule
from stages.features.table import open_features, read_sketches
from stages.metrics.bootstrap import draw_weights
from stages.metrics.contract import System, round_figures
from stages.metrics.paired import adjust, compare
from stages.metrics.settings import EvaluateSettings
from stages.metrics.stored import task_named
from stages.metrics.systems import compare_systems
from stages.models.boosting import BoostingSettings
from stages.runtime.commands import run_command
from stages.runtime.log import log, start_log
from stages.workspace import layout
from stages.workspace.errors import UserError
from stages.workspace.files import read_json, write_json
from stages.workspace.seeds import child_seed
from stages.workspace.settings import read_seed, read_settings
from tools.arrive import Workspace, flights_by_month

NAME = DATASET.name
KEPT = ROOT / "benchmarks" / "retraining.json"
THEREAFTER = "2014-01"  # what the model of 2013 has not seen
FIELDS = ("value", "low", "high", "difference", "difference_low", "difference_high", "p_holm", "verdict")
A_YEAR = 12
NO_WORSE = -0.005  # a hundredth of the log-loss; chosen when the first replay had been seen
NOT_KNOWN_DAYS = 1  # of the last month: its late flights are still in the air when the next one begins


@dataclass(frozen=True)
class Strategy:
    """Which model answers in which month; how many were trained for that, and what was decided on the way."""

    name: str
    serving: Mapping[str, Recipe]
    trained: Sequence[Recipe]
    decisions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def switches(self) -> int:
        """How often another model takes over, the first month's included where it is not the one of 2013."""
        models = [NEVER, *(recipe.name for recipe in self.serving.values())]
        return sum(before != after for before, after in pairwise(models))


@dataclass(frozen=True)
class Calendar:
    """The months that have flights, in order; the last ``tested`` of them are replayed."""

    days: Mapping[str, range]
    tested: int

    @property
    def months(self) -> list[str]:
        """The months that are replayed."""
        return list(self.days)[-self.tested :]

    def before(self, month: str, n: int = 1) -> str:
        """The month ``n`` months before, or the first one; where a year is missing, that of the year before it."""
        names = list(self.days)
        return names[max(names.index(month) - n, 0)]

    def known(self, first: str, last: str) -> range:
        """The days of some months whose outcomes are known as the next one begins."""
        return range(self.days[first].start, self.days[last].stop - NOT_KNOWN_DAYS)

    def trained_for(self, month: str, window: int | None = None) -> Recipe:
        """Train on what was known two months before ``month`` (of so many months, or all), stop on the month before."""
        last = self.before(month, 2)
        first = self.before(last, window - 1) if window else next(iter(self.days))
        learns = range(self.days[first].start, self.days[last].stop)
        told = f"last-{window}" if window else "all"
        return Recipe(f"{told}-for-{month}", learns, self.known(self.before(month), self.before(month)))


def main(*arguments: str) -> None:
    """Replay, write, tell."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study_retraining", description=__doc__.splitlines()[0])
    parser.add_argument("--years", type=Path, nargs="+", required=True, help="parquet of further years of flights")
    parser.add_argument("--folder", type=Path, required=True, help="for features and models; a second time goes on")
    parser.add_argument("--months", type=int, default=A_YEAR, help="the last so many are replayed (12)")
    parser.add_argument("--weather", action="store_true", help="leave the weather of 2013 in")
    parser.add_argument("--quick", action="store_true", help="leave out training on all rows: most of the time")
    parser.add_argument("--dry", action="store_true", help="print only")
    options = parser.parse_args(arguments)
    if missing := [str(path) for path in options.years if not path.exists()]:
        raise UserError("parquet of further years of flights", f"no {', '.join(missing)}", "name files that exist")
    selected = read_json(ROOT / layout.selection(NAME))["selected"]
    joined = {feature.name for feature in DATASET.features if feature.joined == "weather"}
    names = [name for name in selected if options.weather or name not in joined]
    workspace = lay_out([path.resolve() for path in options.years], options.folder.resolve())
    told = "with-weather" if options.weather else "without-weather"
    with chdir(workspace):
        found = study(names, workspace.parent / f"models-{told}", options.months, quick=options.quick)
    record = {**(read_json(KEPT) if KEPT.exists() else {}), told: found}
    text = tell(record)
    if not options.dry:
        write_json(KEPT, record)
        write_block("retraining", text, by="study_retraining")
    print(text)


def lay_out(years: Sequence[Path], folder: Path) -> Path:
    """The features of all years, made by the line's stages unless they were."""
    workspace, published = folder / "workspace", folder / "published"
    if not (workspace / layout.features(NAME) / "manifest.json").exists():
        for unfinished in (workspace, published):
            shutil.rmtree(unfinished, ignore_errors=True)
        *_, last = flights_by_month(published, years, A_YEAR)
        log.info("%s", Workspace(NAME, workspace).arrive(last))
    return workspace


def study(names: Sequence[str], models: Path, tested: int, *, quick: bool = False) -> dict[str, Any]:
    """Every strategy over the last months of the features in the working directory."""
    table = open_features(NAME, columns=names)
    judging = read_settings(EvaluateSettings, NAME, "evaluate")
    settings = read_settings(BoostingSettings, NAME, "model")
    replay = Replay(table, UnitRows.count(table, PARTS), read_sketches(NAME), settings, judging, models)
    calendar = Calendar(replay.months, tested)
    if tested < 1 or calendar.months[0] < THEREAFTER:
        last = list(calendar.days)[-1]
        raise UserError(f"--months: 1 or more, all of them from {THEREAFTER} to {last}", f"{tested}", "name as many")
    strategies = plan(replay, calendar, read_settings(PromoteSettings, NAME, "promote"))
    strategies += [] if quick else [longer(calendar)]
    return {
        "dataset": NAME, "features": len(names), "months": calendar.months, "block": judging.block,
        "replicates": judging.replicates, "level": judging.level, "strategies": judge(replay, calendar, strategies),
    }  # fmt: skip


def plan(replay: Replay, calendar: Calendar, promote: PromoteSettings) -> list[Strategy]:
    """The strategies; what a champion decides depends on how its candidates do."""
    never, months = as_the_line(calendar), calendar.months
    anew = {month: calendar.trained_for(month, A_YEAR) for month in months}
    strategies = [Strategy(NEVER, dict.fromkeys(months, never), [])]
    for name, every in (("once, at the beginning", len(months)), ("every 3 months", 3), (ALWAYS, 1)):
        serving = {month: anew[months[at - at % every]] for at, month in enumerate(months)}
        strategies.append(Strategy(name, serving, list(dict.fromkeys(serving.values()))))
    judged = ((promote.metric, promote.margin, 1), (promote.metric, promote.margin, 3), (PREDICTED_BY, 0.0, 1))
    strategies += [champion(replay, calendar, never, *each) for each in (*judged, (PREDICTED_BY, NO_WORSE, 1))]
    strategies.append(continued(calendar, never))
    return strategies


def as_the_line(calendar: Calendar) -> Recipe:
    """The model of 2013, by the line's own split."""
    days = calendar.days
    return Recipe(NEVER, range(0, days["2013-08"].stop), range(days["2013-09"].start, days["2013-10"].stop))


def longer(calendar: Calendar) -> Strategy:
    """Every month anew, on all that is known."""
    serving = {month: calendar.trained_for(month) for month in calendar.months}
    return Strategy("every month, on all rows", serving, list(serving.values()))


def continued(calendar: Calendar, first: Recipe) -> Strategy:
    """The trees of 2013 stay, and every month adds some, on the days since the last time."""
    serving, newest = {}, first
    for month in calendar.months:
        fresh = range(newest.train.stop, calendar.days[calendar.before(month, 2)].stop)
        before = calendar.before(month)
        newest = serving[month] = Recipe(f"continued-for-{month}", fresh, calendar.known(before, before), newest)
    return Strategy("more trees every month", serving, list(serving.values()))


def champion(replay: Replay, calendar: Calendar, first: Recipe, metric: str, margin: float, looks: int) -> Strategy:
    """A candidate takes over where the last ``looks`` months, which it has not seen, show that it is better."""
    serving, decisions, candidates, reigning = {}, {}, [], first
    for month in calendar.months:
        candidate, last = calendar.trained_for(calendar.before(month, looks), A_YEAR), calendar.before(month)
        days = calendar.known(calendar.before(month, looks), last)
        a, b = (replay.score(recipe, days).system() for recipe in (reigning, candidate))
        weights = weights_of(replay, len(days), f"champion {month}")
        metrics = {metric: task_named(replay.table.task).metrics[metric]}
        found = compare(a, b, metrics, weights, level=replay.judging.level, block=replay.judging.block)
        ruling = rule(found[metric], margin)
        if ruling.decision == "promote":
            reigning = candidate
        serving[month] = reigning
        decisions[month] = {"decision": ruling.decision, "gain": ruling.gain, "low": ruling.low, "high": ruling.high}
        candidates.append(candidate)
    judged = "the last month" if looks == 1 else f"the last {looks} months"
    told = f"champion, {metric} of {judged}{f', margin {margin}' if margin else ''}"
    return Strategy(told, serving, candidates, decisions)


def weights_of(replay: Replay, days: int, what: str) -> Any:
    """Days in runs, drawn as an evaluation draws them."""
    seed = child_seed(read_seed(), "retraining", what)
    return draw_weights(days, replay.judging.replicates, seed, replay.judging.block)


def judge(replay: Replay, calendar: Calendar, strategies: Sequence[Strategy]) -> dict[str, Any]:
    """Every strategy over the whole time and in each month, beside never and always."""
    task = task_named(replay.table.task)
    whole, monthly = {}, {}
    for strategy in strategies:
        scored = {month: replay.score(recipe, calendar.days[month]) for month, recipe in strategy.serving.items()}
        whole[strategy.name] = pool(list(scored.values()), task.metrics)
        monthly[strategy.name] = {month: each.system() for month, each in scored.items()}
    weights = weights_of(replay, sum(len(calendar.days[month]) for month in calendar.months), "whole")
    beside = {other: against(replay, whole, other, weights) for other in (NEVER, ALWAYS)}
    by_month: dict[str, dict[str, Any]] = {strategy.name: {} for strategy in strategies}
    for month in calendar.months:
        own = {name: systems[month] for name, systems in monthly.items()}
        drawn = weights_of(replay, len(calendar.days[month]), month)
        for name, found in against(replay, own, NEVER, drawn).items():
            by_month[name][month] = found
    return {
        strategy.name: {
            "trainings": len(strategy.trained),
            "seconds": round(sum(replay.trained(recipe).seconds for recipe in strategy.trained), 1),
            "switches": strategy.switches,
            "serving": {month: recipe.name for month, recipe in strategy.serving.items()},
            "trees": [replay.trained(recipe).trees for recipe in strategy.serving.values()],
            "decisions": round_figures(strategy.decisions),
            "beside": {other: found[strategy.name] for other, found in beside.items()},
            "months": by_month[strategy.name],
        }
        for strategy in strategies
    }


def against(replay: Replay, systems: Mapping[str, System], other: str, weights: Any) -> dict[str, Any]:
    """Each strategy less another one; p-values are Holm's over the strategies, of each metric by itself."""
    judging, metrics = replay.judging, task_named(replay.table.task).metrics
    shown = {name: metrics[name] for name in SHOWN}
    n = int(next(iter(systems.values())).table.counts.sum())
    with np.errstate(invalid="ignore"):  # a resample of the year may lack a month
        found: dict[str, Any] = {
            name: compare_systems(
                system, systems[other], shown, weights, level=judging.level, method=judging.method, n=n,
                block=judging.block,
            )
            for name, system in systems.items()
        }  # fmt: skip
    others = [name for name in systems if name != other]
    for metric in SHOWN:
        adjusted = adjust([found[name][metric]["difference_p"] for name in others], "holm")
        for name, p in zip(others, adjusted, strict=True):
            own = found[name][metric]
            found[name][metric] = own | {"p_holm": p, "verdict": verdict(own, p, judging.level)}
    return {
        name: {metric: round_figures({key: own[key] for key in FIELDS if key in own}) for metric, own in each.items()}
        for name, each in found.items()
    }


def verdict(found: Mapping[str, Any], p: float, level: float) -> str:
    """In a word."""
    if p >= 1 - level:
        return "no evidence"
    return "better" if (found["difference"] > 0) == (found["direction"] == "higher") else "worse"


if __name__ == "__main__":
    start_log()
    run_command(main)
