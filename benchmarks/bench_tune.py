"""What does tuning cost beyond training?  A study's trials beside the same trials as plain XGBoost on rows in memory.

Interleaved: in every round `stages.tune` from a cold start with a fresh study in SQLite, then one script that trains
the very same settings, its rows read and binned before its clock starts.  The first trial of a study reads the rows
and is left out of both; a study's time runs from the beginning of its second trial to the end of its last.

XGBoost's threads wait for one another, so a busy machine moves that ratio by more than its bar.  What a study does
beside training is therefore measured by itself too: trials with as many steps that train nothing.

    python -m benchmarks.bench_tune [--runs 3] [--trials 5]
"""

import argparse
import csv
import json
import sqlite3
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import yaml

from benchmarks.bench_line import run_line
from benchmarks.measure import Cost, measure, quiet_rounds
from benchmarks.report import Figure, conditions, table, write_block
from benchmarks.workspace import cloned, environment
from stages.experiments.tuning.space import Range
from stages.experiments.tuning.storage import open_storage
from stages.experiments.tuning.study import Pruned, begin_trial, end_trial, open_study, report_step
from stages.workspace.seeds import child_seed

DATASET = "nycflights"
TRIALS = 5  # no trial is given up before five are complete: both sides do the same work
AT_MOST = 1.05
# written down before the first run on a quiet machine: seconds a trial, the ratio, MiB, seconds before the first round
PREDICTED = {"plain_s": 11.0, "tune_s": 11.3, "ratio": 1.025, "tune_mib": 620.0, "plain_mib": 700.0, "start_s": 5.5,
             "own_s": 0.15, "own_share": 0.014}  # fmt: skip
TUNE, PLAIN = "a trial of `stages.tune`", "the same as plain XGBoost"


@dataclass
class Rounds:
    """What every round cost: both processes, and the seconds of a trial in each."""

    tune: list[Cost] = field(default_factory=list)
    plain: list[Cost] = field(default_factory=list)
    tune_s: list[float] = field(default_factory=list)
    plain_s: list[float] = field(default_factory=list)
    own_s: list[float] = field(default_factory=list)
    start_s: list[float] = field(default_factory=list)
    """Of a study, beside its trials: imports, checks, the study, its tables, the winner."""


def measure_rounds(clone: Path, runs: int, trials: int, patience_s: float = 0.0) -> Rounds:
    """A study and its peer, once a round."""
    env, rounds = environment(clone), Rounds()
    folder = clone / "tuning" / DATASET
    for _ in quiet_rounds(runs, patience_s):
        words = [sys.executable, "-m", "stages.tune", DATASET, "--no-run", "--fresh", "--trials", str(trials)]
        rounds.tune.append(measure(words, cwd=clone, env=env))
        (folder / "asked.json").write_text(json.dumps(ask_the_same(clone)))
        features, selection = clone / "data/features" / DATASET, clone / "data/selection" / f"{DATASET}.json"
        script = [sys.executable, "benchmarks/peer_trials.py", *map(str, (features, selection, folder / "asked.json"))]
        rounds.plain.append(measure(script, cwd=clone, env=env))
        said = json.loads(rounds.plain[-1].output)
        refuse_other_work(folder, said["losses"])
        within, between = study_seconds(folder / "study.db")
        rounds.tune_s.append(between / (trials - 1))
        rounds.plain_s.append(sum(said["seconds"]) / (trials - 1))
        rounds.start_s.append(rounds.tune[-1].wall_s - within)
        rounds.own_s.append(own_seconds(folder / f"own-{len(rounds.own_s)}.db"))
    return rounds


def ask_the_same(clone: Path) -> dict[str, object]:
    """The settings of every trial but the first, as XGBoost takes them."""
    params = yaml.safe_load((clone / "params.yaml").read_text(encoding="utf-8"))
    model = params["datasets"][DATASET]["model"]
    seed = child_seed(params["seed"], "train", DATASET) % 2**31
    with (clone / "tuning" / DATASET / "trials.csv").open(encoding="utf-8") as file:
        found = list(csv.DictReader(file))[1:]
    searched = [name for name in found[0] if name in model]
    settings = [{**{name: yaml.safe_load(trial[name]) for name in searched}, "seed": seed} for trial in found]
    return {
        **{name: model[name] for name in ("max_bin", "max_rounds", "early_stopping_rounds")},
        "trials": settings,
    }


def refuse_other_work(folder: Path, losses: Sequence[float]) -> None:
    """The same settings, rows and seed give the same models: anything else would compare two kinds of work."""
    with (folder / "trials.csv").open(encoding="utf-8") as file:
        found = [float(trial["loss"]) for trial in list(csv.DictReader(file))[1:]]
    if found != list(losses):
        raise ValueError(f"wanted equal losses on both sides, found {found} and {list(losses)}: look for what differs")


def study_seconds(study: Path) -> tuple[float, float]:
    """From the first trial's beginning, and from the second one's, to the end of the last."""
    with sqlite3.connect(study) as connection:
        newest = "select max(study_id) from studies"
        times = "select datetime_start, datetime_complete from trials where study_id = ({}) order by number"
        rows = [tuple(map(datetime.fromisoformat, row)) for row in connection.execute(times.format(newest))]
    end = rows[-1][1]
    return (end - rows[0][0]).total_seconds(), (end - rows[1][0]).total_seconds()


def own_seconds(database: Path, trials: int = 30, steps: int = 10) -> float:
    """Seconds of a trial that draws, keeps ``steps`` losses, asks whether it is behind, and ends; none of training."""
    space = {name: Range(0.1, 1.0) for name in "abcdef"}
    with open_storage(f"sqlite:///{database}") as storage:
        study = open_study(storage, "own", question={}, direction="minimize", pruner="median")
        started = time.perf_counter()
        for number in range(trials):
            trial, settings = begin_trial(study, space, seed=1)
            with suppress(Pruned):
                for step in range(1, steps + 1):
                    report_step(trial, 1.0 - number / trials, step)  # better than all before: none is given up
            end_trial(study, trial, sum(settings.values()), rounds=steps)
        return (time.perf_counter() - started) / trials


def figures(rounds: Rounds) -> list[Figure]:
    """The table."""
    ratios = [ours / peer for ours, peer in zip(rounds.tune_s, rounds.plain_s, strict=True)]
    return [
        Figure(PLAIN, rounds.plain_s, "s", PREDICTED["plain_s"]),
        Figure(TUNE, rounds.tune_s, "s", PREDICTED["tune_s"]),
        Figure("tune ÷ plain", ratios, "×", PREDICTED["ratio"], at_most=AT_MOST),
        Figure("a trial that trains nothing", rounds.own_s, "s", PREDICTED["own_s"]),
        Figure(
            "that ÷ plain",
            [own / peer for own, peer in zip(rounds.own_s, rounds.plain_s, strict=True)],
            "×",
            PREDICTED["own_share"],
            at_most=AT_MOST - 1,
        ),
        Figure("a study beside its trials", rounds.start_s, "s", PREDICTED["start_s"]),
        Figure("peak memory of tune", [cost.tree_mib for cost in rounds.tune], "MiB", PREDICTED["tune_mib"]),
        Figure("peak memory of plain XGBoost", [cost.tree_mib for cost in rounds.plain], "MiB", PREDICTED["plain_mib"]),
    ]


def main(runs: int = 3, *, trials: int = TRIALS, patience_s: float = 0.0) -> str:
    """Measure and return the block for RESULTS.md."""
    with cloned() as clone:
        run_line(clone, environment(clone))
        rounds = measure_rounds(clone, runs, trials, patience_s)
    seen = [cost.others_cores for cost in (*rounds.tune, *rounds.plain)]
    return "\n\n".join([
        f"{DATASET}, studies of {trials} trials over the space of `params/tune/boosting.yaml`, the loss kept about ten "
        "times a trial, the database on disk; the first trial, which reads the rows, counts on "
        f"neither side. {runs} interleaved rounds; both sides found equal losses to the last digit.",
        conditions(seen),
        table(figures(rounds)),
    ])  # fmt: skip


def command_line(words: Sequence[str] | None = None) -> None:
    """Other numbers of trials: printed, and written to RESULTS.md unless --dry."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_tune")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--patience", type=float, default=600.0, help="seconds to wait for a quiet machine (600)")
    parser.add_argument("--dry", action="store_true", help="print only")
    options = parser.parse_args(words)
    text = main(options.runs, trials=options.trials, patience_s=options.patience)
    if not options.dry:
        write_block("tune", text)
    print(text)


if __name__ == "__main__":
    command_line()
