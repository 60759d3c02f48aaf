"""Take new records into the state, so that rows asked about from now on may know them.

Reads   files of new records, as published (.csv, .zip of one), as JSON lines or as parquet of text
Writes  state/<dataset>.sqlite, or the Redis that --state names; rows that fail the line's checks are kept there, too
        forecasts/<dataset>.sqlite: what came true of forecasts that were kept, where there are any

A file is taken in whole or not at all, however the command ends.  Taking it in again changes nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from stages.forecasts.log import ForecastLog
from stages.records.contract import Dataset, load_dataset
from stages.runtime.commands import run_command
from stages.runtime.log import log, start_log
from stages.state.facts import from_facts, tidy_schema
from stages.state.intake import QUARANTINE, SUFFIXES, Intake, read_intake
from stages.state.locations import open_store
from stages.state.seed import has_memory
from stages.state.store import Store
from stages.workspace import layout
from stages.workspace.errors import UserError

HELP = """\
Which table a file holds is told by its columns.  A record may be scheduled (its outcome's columns empty or left out),
partly known, or complete.  Of two records with the same key the one that knows more stands; of two that know the same,
the last one told: so late schedules take nothing back, and corrections count.

Records of months that the model's bundle has closed are kept, and change no answer: the line has counted them.
"""
SHOWN = 3  # reasons in a message


def main(*arguments: str) -> None:
    """Take in files; see ``--help``."""
    options = parse(arguments)
    dataset = known_dataset(options.dataset)
    store = open_store(options.state, dataset.name)
    if options.quarantined:
        for fact in store.changes().facts.get(QUARANTINE, ()):
            sys.stdout.write(fact.row + "\n")
        return
    if not options.files:
        raise UserError("at least one file of records", "none", f"python -m stages.ingest {dataset.name} FILE")
    for path in options.files:
        intake = read_intake(path, dataset, options.table)
        tell(path, dataset, intake, take(store, intake))
        hear(dataset, intake)
    store.close()


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.ingest",
        description="Take new records into the state.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dataset", help="such as nycflights")
    parser.add_argument("files", type=Path, nargs="*", help=f"new records: {', '.join(SUFFIXES)}")
    parser.add_argument("--table", help="the table that the files hold, where their columns leave it open")
    parser.add_argument("--state", help="a file, or redis://…; by default state/<dataset>.sqlite")
    parser.add_argument("--quarantined", action="store_true", help="print the rows that failed (JSON lines) and stop")
    return parser.parse_args(arguments)


def known_dataset(name: str) -> Dataset:
    """The dataset of that name, whose rows know of others."""
    if not name.isidentifier() or find_spec(f"stages.datasets.{name}") is None:
        raise UserError("the name of a dataset", name, "those of params.yaml are known, such as nycflights")
    dataset = load_dataset(name)
    if not has_memory(dataset):
        raise UserError(
            f"a dataset whose rows know of others, to keep a state of {name}",
            "rows that stand alone: each is answered from itself",
            f"ask about them with `python -m stages.predict bundles/{name} FILE`",
        )
    return dataset


def take(store: Store, intake: Intake) -> dict[str, int]:
    """Write what a file tells, all at once; returns how many facts of each table are new or changed."""
    return store.update({intake.table.name: intake.facts, QUARANTINE: intake.quarantined})


def hear(dataset: Dataset, intake: Intake) -> None:
    """Join what has come true to the forecasts that were kept, where any were."""
    kept_in = ForecastLog(layout.forecasts(dataset.name), dataset.name)
    if dataset.observed is None or intake.table is not dataset.records or kept_in.newest() is None:
        return
    observed = dataset.observed(from_facts(intake.facts, tidy_schema(intake.table)))
    heard = kept_in.hear(observed, heard_at=datetime.now(UTC).replace(tzinfo=None))
    log.info("%s: %d outcomes heard, %d revised", kept_in.path, heard.new, heard.revised)


def tell(path: Path, dataset: Dataset, intake: Intake, changed: dict[str, int]) -> None:
    """One line for a file: how much its rows tell, and that each is taken in, known already, or quarantined."""
    new, bad = changed[intake.table.name], len({*intake.failures["row"]})
    names = ["without outcome", *(outcome.name for outcome in dataset.outcomes)]
    has_levels = intake.table is dataset.records and dataset.outcomes
    levels = Counter(fact.level for fact in intake.facts) if has_levels else {}
    told = "".join(f", {levels[level]} {name}" for level, name in enumerate(names) if levels.get(level))
    log.info(
        "%s: %d rows of %s%s; %d new or changed, %d quarantined", path, intake.rows, intake.table.name, told, new, bad
    )
    if bad:
        reasons = intake.failures.group_by("column", "check").len().sort("len", descending=True).head(SHOWN)
        told = "; ".join(f"{column or 'row'} {check} ({count})" for column, check, count in reasons.iter_rows())
        log.warning("warning: %s: quarantined by %s; `--quarantined` prints the rows", path, told)


if __name__ == "__main__":
    start_log()
    run_command(main)
