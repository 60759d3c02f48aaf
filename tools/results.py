"""Show what the line has found: one row per dataset and metric, never a bare number.

Reads   metrics/<dataset>/results.json and clean.json; params.yaml for the order of the datasets
Writes  with --readme, the block between the two markers in README.md; with --check it only says whether that is stale

The first metrics of each file are shown, in the order in which `evaluate` wrote them.
"""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stages.pages.numbers import ARROWS, count_text, figure, interval_text, level_text
from stages.pages.tables import Column, as_markdown, as_text, table
from stages.pages.verdicts import decimals_in
from stages.runtime.commands import run_command
from stages.workspace import layout
from stages.workspace.contents import blob_id, commits_with, experiments_with
from stages.workspace.errors import UserError
from stages.workspace.files import read_json, whole_file
from stages.workspace.origin import ids_of
from stages.workspace.settings import read_params

SHOWN = 5  # metrics of a dataset in the table; its file holds them all
README = Path("README.md")
LOCK = "dvc.lock"
BEGIN, END = "<!-- results: written by `make results` -->", "<!-- end of results -->"
HEADER = (Column("dataset", "name"), Column("metric", "words"), "value", Column("interval", "words"), "baseline", "n")


def read_results() -> dict[str, dict[str, Any]]:
    """The evaluated datasets in the order of ``params.yaml``, each with its metrics by name."""
    files = {name: layout.results(name) for name in read_params().get("datasets", {})}
    found = {name: read_json(file) for name, file in files.items() if file.exists()}
    if not found:
        raise UserError("metrics/<dataset>/results.json of at least one dataset", "none", "run `make repro`")
    return found


def simulated(results: Mapping[str, Any]) -> list[str]:
    """The datasets whose rows were, at least in part, simulated."""
    files = {name: layout.metrics(name) / "clean.json" for name in results}
    return [name for name, file in files.items() if file.exists() and read_json(file).get("simulated")]


def rows(results: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """One row of words per shown metric; the arrow says which way is better."""
    for dataset, metrics in results.items():
        for name, metric in list(metrics.items())[:SHOWN]:
            yield (
                dataset,
                f"{name} {ARROWS.get(metric['direction'], '')}".strip(),
                figure(metric["value"], decimals=decimals_in(metric)),
                interval_text(metric["low"], metric["high"], decimals=decimals_in(metric)),
                figure(metric["baseline"], decimals=decimals_in(metric)),
                count_text(metric["n"]),
            )


def levels(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The confidence level of the intervals, for the sentence under the table: ``95 %``."""
    found = sorted({metric["level"] for metrics in results.values() for metric in metrics.values()})
    return " and ".join(map(level_text, found))


def terminal_text(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The table and where to look next."""
    shown = as_text(table("Results", HEADER, rows(results)))
    names = next(iter(results)) if len(results) == 1 else f"{{{','.join(results)}}}"
    where = {
        f"metrics/{names}/results.json": "every metric",
        f"reports/{names}/results.html": "question, answer, evidence and limits",
        f"reports/{names}/explore.html": "the data in pictures",
        "dvc plots show": "curves, calibration and relevance as one page",
    }
    width = max(map(len, where))
    places = "\n".join(f"  {place:{width}}  {what}" for place, what in where.items())
    scale = (
        f"Intervals at {levels(results)}; ↑ higher is better, ↓ lower is better; baseline: one rule on one feature, "
        "or the best naive forecast."
    )
    return f"\n{shown}\n\n{scale}\nWhere to look next:\n{places}"


def whose_figures(root: Path) -> str:
    """A line about figures that are an experiment's and not the last commit's; else nothing."""
    pair, lock = ids_of(root), {LOCK: blob_id(root / LOCK)}
    here = pair | lock if commits_with(root, ["HEAD"], pair) else pair  # an experiment of the code has no override
    names = experiments_with(root, here)
    if not names or commits_with(root, ["HEAD"], here):
        return ""
    whose = " and ".join(sorted(names))
    return (
        f"\nThese figures are those of the experiment {whose}, not of the last commit: `make main` brings those back."
    )


def readme_block(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The same table for README.md, markers included."""
    shown = as_markdown(table("Results", HEADER, rows(results)))
    return f"{BEGIN}\n{shown}\n\nIntervals at {levels(results)}; ↑ higher is better, ↓ lower is better.\n{END}"


def with_block(readme: str, block: str) -> str:
    """``readme`` with the results between their markers replaced."""
    return between(readme, BEGIN, block, END)


def between(readme: str, begin: str, block: str, end: str) -> str:
    """``readme`` with what stands from one marker to the other replaced by ``block``."""
    before, found_begin, rest = readme.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise UserError(
            f"the markers {begin} and {end} in {README}", "no such pair", "put them where the block belongs"
        )
    return before + block + after


def main(*arguments: str) -> None:
    """Print the results of the last run, or keep README.md up to date with them."""
    parser = argparse.ArgumentParser(prog="python -m tools.results", description=main.__doc__)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--readme", action="store_true", help="write the table into README.md")
    choice.add_argument("--check", action="store_true", help="fail when README.md shows other results")
    options = parser.parse_args(arguments)
    results = read_results()
    made_up = ", ".join(simulated(results))
    if not options.check:
        print(
            terminal_text(results)
            + whose_figures(Path.cwd())
            + (f"\nSIMULATED rows, which tell nothing about the world: {made_up}" if made_up else "")
        )
    if made_up and (options.readme or options.check):
        raise UserError("results of real rows", f"simulated ones: {made_up}", "run the line on published files")
    if options.readme or options.check:
        found = README.read_text(encoding="utf-8")
        wanted = with_block(found, readme_block(results))
        if options.check and found != wanted:
            raise UserError("the results of metrics/ in README.md", "an older table", "run `make results` and commit")
        if options.readme and found != wanted:
            with whole_file(README) as aside:
                aside.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    run_command(main)
