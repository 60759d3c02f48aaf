"""Is it really better?  Two revisions of the repository, or every experiment of one, on the same resampled test rows.

Reads   data/evaluation/<dataset>.parquet, data/trainings/<dataset>.parquet and params.yaml of each revision: workspace,
        git, DVC's cache or its remote
Writes  the comparison to standard output; with --write also comparison.json, .csv, .md and differences.csv

A command, not a stage of the line.  It ends with status 1 when something that should have been compared could not be.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from stages.experiments.comparison import ranking as ranked_forms
from stages.experiments.comparison import tables as forms
from stages.experiments.comparison.comparison import (
    Evaluation,
    Question,
    Resampling,
    compare_segments,
    compare_whole,
    equal_everywhere,
    interval_of,
    metrics_of,
)
from stages.experiments.comparison.files import (
    CSV,
    DIFFERENCES,
    JSON,
    MARKDOWN,
    Result,
    changes_between,
    default_folder,
    evaluated_datasets,
    experiment_tables,
    open_table,
    read_table,
    refuse_outdated,
    write_result,
)
from stages.experiments.comparison.ranking import Ranked, Ranking, compare_experiments
from stages.experiments.comparison.words import Comparison, Drawn, Side
from stages.experiments.revisions.revisions import Revision, default_reference, experiments_of, resolve
from stages.experiments.revisions.waiting import started_elsewhere, waiting_experiments
from stages.runtime.commands import run_command
from stages.runtime.log import log, start_log
from stages.workspace import layout
from stages.workspace.errors import UserError, plain_words

EXAMPLES = """\
A revision is a commit, a branch, a tag, a DVC experiment, or `workspace`.

  python -m stages.compare main my-experiment
  python -m stages.compare main --dataset nycflights --metric roc_auc --segment carrier
  python -m stages.compare --all --baseline main --metric expected_cost
"""
Told = TypeVar("Told")


def main(*arguments: str) -> None:
    """Compare two revisions, or rank experiments; see ``--help``."""
    options = parse(arguments)
    results, failures = rank_experiments(options) if options.all else compare_revisions(options)
    if options.write is not None:
        for result in results:
            folder = folder_of(result, options)
            write_result(result, folder)
            log.info("%s: written to %s", result.dataset, folder)
    print("\n\n".join(result.markdown if options.markdown else result.text for result in results))
    if failures:
        raise UserError(
            "every comparison that was asked for",
            "\n        ".join(failures),
            "the rest stands above; mend these and run the same command again",
        )


def folder_of(result: Result, options: argparse.Namespace) -> Path:
    """Where `--write` puts a result: the folder named, with one more for each dataset unless one was asked for."""
    if options.write == Path():
        return default_folder(result)
    folder: Path = options.write
    return folder if len(options.dataset) == 1 else folder / result.dataset


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.compare",
        description="Compare two revisions on the same resampled test rows, with an interval for every difference.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("a", metavar="REV_A", nargs="?", help="the reference (default: main, or on main HEAD)")
    parser.add_argument("b", metavar="REV_B", nargs="?", help="the candidate (default: workspace)")
    parser.add_argument("--all", action="store_true", help="rank every experiment of a baseline against it")
    parser.add_argument("--baseline", metavar="REV", help="the baseline of --all (default: HEAD)")
    parser.add_argument("--dataset", action="append", default=[], help="only this one (repeat for several)")
    parser.add_argument("--metric", action="append", default=[], help="only this one (repeat for several)")
    parser.add_argument("--segment", metavar="COLUMN", help="also by month, or by a column of evaluate.segments")
    parser.add_argument("--question", choices=("change", "model"), default="change",
                        help="does the change help, trained again (default), or is this model better?")  # fmt: skip
    parser.add_argument("--replicates", type=_count, metavar="N", help="resamples (default: as evaluated)")
    parser.add_argument("--level", type=_share, help="of the intervals, such as 0.95 (default: as evaluated)")
    parser.add_argument("--correction", choices=("holm", "bh", "none"), default="holm",
                        help="for looking at several metrics or experiments (default: %(default)s)")  # fmt: skip
    parser.add_argument("--write", metavar="FOLDER", nargs="?", const=Path(), type=Path,
                        help=f"write {JSON}, {CSV}, {MARKDOWN} and {DIFFERENCES} (default: comparisons/<dataset>/A..B; "
                        "of several datasets each has a folder in FOLDER)")  # fmt: skip
    parser.add_argument("--markdown", action="store_true", help="print Markdown, for the summary of a CI job")
    options = parser.parse_args(arguments)
    if options.all and (options.a or options.segment or len(options.metric) > 1):
        parser.error("--all goes with --baseline REV and one --metric, not with other revisions or --segment")
    if options.baseline and not options.all:
        parser.error("--baseline belongs to --all")
    return options


def _count(text: str) -> int:
    if not text.isdecimal() or not 20 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"a whole number from 20 to 100000, not {text!r}")
    return int(text)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"a number between 0 and 1, such as 0.95, not {text!r}")
    return value


def compare_revisions(options: argparse.Namespace) -> tuple[list[Result], list[str]]:
    """Candidate against reference on every dataset; what could not be compared is told, not raised."""
    a, b = resolve(options.a or default_reference()), resolve(options.b or "workspace")
    datasets, left_out = choose_datasets((a, b), options.dataset)
    return each_dataset(datasets, lambda dataset: compare_dataset(a, b, dataset, left_out, options))


def each_dataset(datasets: Sequence[str], compute: Callable[[str], Told]) -> tuple[list[Told], list[str]]:
    """The results, and why others have none; the refusal of an only dataset is the command's own."""
    results, failures = [], []
    for dataset in datasets:
        try:
            with plain_words():
                results.append(compute(dataset))
        except UserError as error:
            if len(datasets) == 1:
                raise
            failures.append(f"{dataset}: wanted {error.wanted}; found {error.found}; next: {error.next_step}")
    return results, failures


def choose_datasets(revisions: Sequence[Revision], asked: Sequence[str]) -> tuple[list[str], list[str]]:
    """Datasets with a table in all of the revisions, in the order asked for; a line for each that lacks one."""
    tables = {revision.label: evaluated_datasets(revision) for revision in revisions}
    shared = [name for name in next(iter(tables.values())) if all(name in found for found in tables.values())]
    told = "; ".join(f"{label}: {', '.join(found) or 'none'}" for label, found in tables.items())
    absent = [name for name in asked if name not in shared]
    if absent or not shared:
        raise UserError(
            f"resampling tables {layout.evaluation(absent[0] if absent else '<dataset>')} at every revision",
            told,
            "name revisions whose dvc.lock holds the stage evaluate of the dataset, or run `dvc repro` and commit",
        )
    every = sorted({name for found in tables.values() for name in found})
    lacking = [f"{name} is not at every revision ({told}): not compared." for name in every if name not in shared]
    return list(asked) or shared, [] if asked else lacking


def compare_dataset(a: Revision, b: Revision, dataset: str, left_out: list[str], options: argparse.Namespace) -> Result:
    """One dataset: every metric, and segments when they are asked for."""
    for revision in (a, b):
        refuse_outdated(revision, dataset)
    raw = read_table(a, dataset), read_table(b, dataset)
    identical, segments = raw[0] == raw[1], []
    asked: Question = "model" if identical else options.question  # one table needs no spread of seeds
    tables = open_table(raw[0], a, dataset, asked), open_table(raw[1], b, dataset, asked)
    metrics = metrics_of(tables[0].header, options.metric)
    resampling = Resampling.of(*tables, options.replicates, options.level, options.question)
    if identical:
        whole = equal_everywhere(tables[0], metrics, resampling)
    else:
        whole = compare_whole(*tables, metrics, resampling, options.correction)
    if options.segment and not identical:
        chosen = metrics if options.metric else dict(list(metrics.items())[:1])
        segments = compare_segments(*tables, options.segment, chosen, resampling, options.correction)
    changes, notes = changes_between(a, b, dataset)
    comparison = Comparison(
        side_of(a, tables[0]), side_of(b, tables[1]), Drawn.of(tables[0], resampling), options.correction, identical,
        changes, whole, segments, [*notes, *resampling.held(*tables), *left_out],
    )  # fmt: skip
    return Result(
        dataset,
        f"{a.label}..{b.label}",
        forms.comparison_text(comparison),
        forms.comparison_markdown(comparison),
        forms.comparison_json(comparison),
        forms.comparison_frame(comparison),
        forms.differences_frame([each.found for each in comparison.whole]),
    )


def side_of(revision: Revision, table: Evaluation | None = None) -> Side:
    """How tables name a revision."""
    trained = (table.trainings, table.by_chance, table.redrawn) if table else ()
    return Side(revision.label, revision.commit, *trained)


def rank_experiments(options: argparse.Namespace) -> tuple[list[Result], list[str]]:
    """Every experiment of the baseline against it, on every dataset of the baseline."""
    baseline = resolve(options.baseline or "HEAD")
    experiments, waiting = experiments_of(baseline), waiting_experiments(baseline.commit)
    if not experiments:
        others = ", ".join(f"{n} of {start[:8]}" for start, n in started_elsewhere(baseline.commit).items())
        raise UserError(
            f"experiments that started from {side_of(baseline)}",
            "; ".join([f"{len(waiting)} that have not run" if waiting else "none", *([others] if others else [])]),
            "run one (`dvc exp run -n NAME -S …`, `dvc queue start`), or name another commit with --baseline",
        )
    datasets, _ = choose_datasets([baseline], options.dataset)
    unread: list[str] = []
    results, refused = each_dataset(
        datasets, lambda dataset: rank_dataset(baseline, experiments, waiting, dataset, options, unread)
    )
    return results, [*refused, *unread]


def rank_dataset(
    baseline: Revision, experiments: Sequence[Revision], waiting: dict[str, str], dataset: str,
    options: argparse.Namespace, unread: list[str],
) -> Result:  # fmt: skip
    """One dataset, in every form."""
    ranking = rank(baseline, experiments, waiting, dataset, options, unread)
    return Result(
        dataset,
        f"{baseline.label}..all",
        ranked_forms.ranking_text(ranking),
        ranked_forms.ranking_markdown(ranking),
        ranked_forms.ranking_json(ranking),
        ranked_forms.ranking_frame(ranking),
        ranked_forms.ranked_differences(ranking),
    )


def rank(
    baseline: Revision, experiments: Sequence[Revision], waiting: dict[str, str], dataset: str,
    options: argparse.Namespace, unread: list[str],
) -> Ranking:  # fmt: skip
    """Whatever can be ranked, and why the rest cannot; tables that could not be read go to ``unread``."""
    raw = read_table(baseline, dataset)
    reference = open_table(raw, baseline, dataset, options.question)
    name, metric = next(iter(metrics_of(reference.header, options.metric).items()))
    resampling = Resampling.of(reference, reference, options.replicates, options.level, options.question)
    tables, left_out = experiment_tables(experiments, dataset, raw, options.question, unread)
    differences, refused = compare_experiments(reference, tables, name, metric, resampling, options.correction)
    by_label = {experiment.label: experiment for experiment in experiments}
    by_table = {table.label: table for table in tables}
    own = {each.label: interval_of(each, name, metric, resampling) for each in tables}
    ranked = [
        Ranked(
            side_of(by_label[label], by_table[label]), changes_between(baseline, by_label[label], dataset)[0], found,
            own[label],
        )
        for label, found in differences.items()
    ]  # fmt: skip
    return Ranking(
        side_of(baseline, reference), Drawn.of(reference, resampling), options.correction, ranked,
        left_out | refused | waiting,
    )  # fmt: skip


if __name__ == "__main__":
    start_log()
    run_command(main)
