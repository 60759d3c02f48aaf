"""Blow real months of the publisher's zips up to their true size: SIMULATED months, for measuring scale only.

Reads   a folder of real months, On_Time_Reporting_Carrier_On_Time_Performance_1987_present_YYYY_M.zip (or .parquet)
Writes  another folder: the same names, as zips or as parquet of the same columns as texts; simulated.json, SIMULATED.md
Owes    the same bytes for the same real months, seed, month, rows and format, in whatever order and by however many
        workers; a mark in every file (`stages.clean.is_simulated`), which the line carries into its metrics

A month that is not among the real ones is made from the same calendar month of the nearest year.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.published_month import PUBLISHED, STEM, WORDS, file_name, read_month, write_parquet, write_zip
from benchmarks.simulation import choose_source, simulate_month
from stages.clean import is_simulated
from stages.runtime.log import log, start_log
from stages.runtime.partitions import map_partitions
from stages.sources.months import expand_months
from stages.workspace.errors import UserError, plain_words, run_stage
from stages.workspace.files import read_json, whole_file, write_json
from stages.workspace.seeds import child_seed
from stages.workspace.settings import WorkerSettings

FACTS, NOTICE = "simulated.json", "SIMULATED.md"


@dataclass(frozen=True)
class Plan:
    """What every month of a folder has in common."""

    folder: Path
    seed: int
    rows: int
    format: str


def main(*arguments: str) -> None:
    """Simulate months of flights at their true size."""
    options = parse(arguments)
    real = find_months(options.real)
    months = parse_months(options.months) if options.months else sorted(real)
    plan = Plan(options.to, options.seed, options.rows, options.format)
    known = start_simulated(plan)
    with plain_words():
        sources = {month: real[choose_source(month, sorted(real))] for month in months}
    facts = {month: {"file": file_name(month, plan.format), **_origin(source)} for month, source in sources.items()}
    wanted = [m for m in months if known.get(m) != facts[m] or not (plan.folder / facts[m]["file"]).exists()]
    cluster = WorkerSettings.model_validate({"workers": options.workers, "training_threads": 0})
    map_partitions(lambda m: write_month(plan, m, sources[m]), wanted, workers=cluster, label="simulate", unit="months")
    write_json(plan.folder / FACTS, _facts(plan, {**known, **facts}))
    log.info("%s months of %s simulated flights in %s", len(months), f"{plan.rows:,}", plan.folder)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulate", description=main.__doc__)
    parser.add_argument("--from", dest="real", type=Path, required=True, help="folder of real months")
    parser.add_argument("--to", type=Path, required=True, help="folder for simulated ones")
    parser.add_argument("--months", help="such as 2000-01..2004-12,2008-03; those of the real months when left out")
    parser.add_argument("--rows", type=positive, default=500_000, help="flights of a month (500,000)")
    parser.add_argument(
        "--format", choices=("zip", "parquet"), default="zip", help="as published, or the same as parquet"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed, other flights (0)")
    parser.add_argument("--workers", type=positive, default=2, help="months at the same time (2); changes no byte")
    return parser.parse_args(arguments)


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.replace("_", "").isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"wanted a whole number, 1 or more; found {text!r}")
    return int(text)


def parse_months(text: str) -> list[str]:
    """``2000-11..2001-02,2008-03`` as months in order."""
    try:
        return expand_months([part.strip() for part in text.split(",")])
    except ValueError as error:
        raise UserError("months such as 2000-01..2004-12,2008-03", str(error), "correct --months") from None


def find_months(folder: Path) -> dict[str, Path]:
    """The real months of a folder; simulated ones are refused, so that none is ever made of another."""
    named = [(match, file) for file in sorted(folder.glob("*")) if (match := PUBLISHED.fullmatch(file.name))]
    if not named:
        raise UserError(f"files {STEM}_YYYY_M.zip in {folder}", "none", "give the folder of real months with --from")
    for _, file in named:
        if is_simulated(file):
            raise UserError("real months", f"{file}, which is simulated", "give the folder of real months with --from")
    return {f"{match[1]}-{int(match[2]):02d}": file for match, file in named}


def start_simulated(plan: Plan) -> dict[str, Any]:
    """Mark the folder before anything is in it; the months that it holds already, made by the same plan."""
    facts = plan.folder / FACTS
    if not facts.exists():
        if plan.folder.exists() and any(plan.folder.iterdir()):
            raise UserError("an empty folder, or one of simulated months", f"{plan.folder}", "choose another with --to")
        write_json(facts, _facts(plan, {}))
        with whole_file(plan.folder / NOTICE) as aside:
            aside.write_text(f"# Simulated flights\n\n{WORDS}", encoding="utf-8")
    found = read_json(facts)
    if {**found, "months": {}} != _facts(plan, {}):
        told = ", ".join(f"{name} {found.get(name)}" for name in ("seed", "rows", "format"))
        raise UserError(
            f"months of one seed, size and format in {plan.folder}", told, "choose another folder with --to"
        )
    months: dict[str, Any] = found["months"]
    return months


def write_month(plan: Plan, month: str, source: Path) -> None:
    """Simulate and write one month; its random numbers depend on the seed and the month alone."""
    draw = np.random.default_rng(child_seed(plan.seed, "simulate", month))
    with plain_words():
        flights = simulate_month(read_month(source), month=month, rows=plan.rows, draw=draw)
    write = write_zip if plan.format == "zip" else write_parquet
    write(plan.folder / file_name(month, plan.format), flights, month)


def _origin(source: Path) -> dict[str, str]:
    return {"made_from": source.name, "sha256": sha256(source.read_bytes()).hexdigest()}


def _facts(plan: Plan, months: dict[str, Any]) -> dict[str, Any]:
    common = {"simulated": True, "seed": plan.seed, "rows": plan.rows, "format": plan.format}
    return {**common, "months": dict(sorted(months.items()))}


if __name__ == "__main__":
    start_log()
    run_stage(main)
