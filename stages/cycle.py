"""One cycle: what has arrived is watched, and where it is time a model is trained on newer days, judged and promoted.

Reads   datasets.<dataset>.cycle.source         what has been published since
        data/features/<dataset>, monitoring/<dataset>/monitor.json
Writes  arrivals/, sources/, data/, state/, monitoring/     by the commands that it runs
        an experiment <dataset>-cycle-<n>       where it trains
        registry/<dataset>.jsonl, git tags      by `stages.promote`
        params/dataset/<dataset>.yaml, params.yaml, dvc.lock, metrics/, plots/     where the new model is promoted
        cycles/<dataset>.jsonl                  what was decided, and why
        a commit of all that
Params  datasets.<dataset>.cycle, featurize.split

    look → take → ingest → monitor → choose → train → judge → settle → log → commit → push

Every step is another command of this project; killed in any of them, the next run goes on with it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence

from stages.experiments.cycle import journal as journals
from stages.experiments.cycle import line
from stages.experiments.cycle.choice import CycleSettings, choose
from stages.experiments.cycle.journal import AtWork, Journal
from stages.experiments.cycle.steps import STEPS, Cycle, Found, look, read_monitor, training_command, written_paths
from stages.experiments.cycle.words import tell_choice, tell_cycle
from stages.experiments.promotion import log as decisions
from stages.features.table import open_features
from stages.runtime.commands import run_command
from stages.runtime.log import log, start_log
from stages.workspace import layout
from stages.workspace.git import commit_of
from stages.workspace.lock import alone
from stages.workspace.settings import read_settings

OTHER_AT_WORK = 3


def main(*arguments: str) -> None:
    """Run a cycle, or go on with one; see ``--help``."""
    options = parse(arguments)
    name = options.dataset
    if not Journal(name).noted:
        read_settings(CycleSettings, name, "cycle")  # what is wrong with them is said before anything is locked
    try:
        with journals.one_at_a_time(name) as lock:
            journal = Journal(name)
            if options.dry_run and journal.noted:
                print(f"{name}: would go on with {tell_begun(journal)}; done so far: {', '.join(journal.noted)}")
                return
            if is_broken_off(journal):
                with alone("make cycle"):
                    line.restore(journal.noted["choose"]["snapshot"], name, lock)
            settings = read_settings(CycleSettings, name, "cycle")
            if options.dry_run or settings.dry:
                tell_dry(name, settings)
            else:
                work(Cycle(name, settings, lock, journal, options.commit, options.push))
    except AtWork as other:
        sys.stderr.write(f"{other}\n")
        sys.exit(OTHER_AT_WORK)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.cycle", description="Take in, watch, and train and promote where it is time.",
        epilog="exit status: 0 done, or nothing new; 1 something has to be put right; 3 another cycle is at work",
    )  # fmt: skip
    parser.add_argument("dataset", help="such as rates")
    parser.add_argument("--dry-run", action="store_true", help="tell what would be done, and change nothing")
    parser.add_argument("--no-commit", dest="commit", action="store_false", help="leave the changes to be looked at")
    parser.add_argument("--push", action="store_true", help="dvc push and git push when all is done")
    return parser.parse_args(arguments)


def work(cycle: Cycle) -> None:
    """Every step that is not done yet, each with the time it took."""
    begin(cycle)
    spent: dict[str, float] = {}
    if do(cycle, "look", look, spent)["new"]:
        with alone("make cycle"):
            for name, step in STEPS.items():
                do(cycle, name, step, spent)
        tell(cycle)
    else:
        log.info("%s: nothing new since cycle %d", cycle.dataset, len(journals.read_log(cycle.dataset)))
    cycle.journal.end()
    log.info("%s: %s", cycle.dataset, ", ".join(f"{name} {seconds:.1f} s" for name, seconds in spent.items()))


def do(cycle: Cycle, name: str, step: Callable[[Cycle], Found], spent: dict[str, float]) -> Found:
    """A step, unless it is done already."""
    if name not in cycle.journal.noted:
        journals.sign(cycle.lock, name)
        started = time.perf_counter()
        found = step(cycle)
        cycle.journal.finish(name, found)
        spent[name] = time.perf_counter() - started
    return cycle.found(name)


def is_broken_off(journal: Journal) -> bool:
    """Whether a cycle was killed while it trained: the parameters in the workspace may then be the experiment's."""
    noted = journal.noted
    trained = "train" in noted or not noted.get("choose", {}).get("trains")
    return not trained and noted["begun"]["head"] == commit_of("HEAD")


def begin(cycle: Cycle) -> None:
    """Note a new cycle, or tell of the one that is gone on with."""
    head, begun = commit_of("HEAD"), cycle.journal.noted.get("begun")
    if begun and (begun["head"] == head or "log" in cycle.journal.noted):
        log.info("%s: going on with %s", cycle.dataset, tell_begun(cycle.journal))
        return
    line.refuse_edited(written_paths(cycle.dataset))
    number = len(journals.read_log(cycle.dataset)) + 1
    decided = len(decisions.read_log(cycle.dataset))
    cycle.journal.begin(number=number, when=journals.now(), head=head, decided=decided)


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def tell(cycle: Cycle) -> None:
    """What was decided, and what is left to do."""
    entry = journals.read_log(cycle.dataset)[cycle.found("begun")["number"] - 1]
    print(tell_cycle(entry))
    made = cycle.found("commit").get("commit")
    print(f"  {'kept':<9} {layout.cycles(cycle.dataset)}" + (f", commit {made[:8]}" if made else "; not committed"))


def tell_begun(journal: Journal) -> str:
    """The cycle that is under way."""
    return f"cycle {journal.noted['begun']['number']} of {journal.noted['begun']['when']}"


def tell_dry(name: str, settings: CycleSettings) -> None:
    """What a cycle would do, as far as that is known without asking the source or counting a row."""
    if settings.source:
        print(f"{name}: would ask {settings.source}; what it has is not known yet")
    if not line.is_new(name):
        print(f"{name}: nothing new since cycle {len(journals.read_log(name))}")
    elif (layout.monitoring(name) / "monitor.json").exists():
        monitored = read_monitor(name)
        choice = choose(settings, line.newest_day(open_features(name)), monitored, journals.tried_until(name))
        print(tell_choice(name, choice, monitored, training_command(name, "EXPERIMENT", choice.window)))
    else:
        print(f"{name}: would watch the champion, and decide by what that finds")
    print("dry run: nothing was changed" + (f" (datasets.{name}.cycle.dry)" if settings.dry else ""))


if __name__ == "__main__":
    start_log()
    run_command(main)
