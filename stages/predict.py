"""Score new rows with a saved bundle, without training.

Reads   bundles/<dataset>/, and a file of rows: .csv, .parquet or .jsonl
Writes  a table with the rows' other columns and their scores, to standard output (CSV) or to --output

Rows are read, checked, scored and written a piece at a time; what was written appears once all rows have passed.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from stages.metrics.stored import task_named
from stages.models.bundle import EXAMPLE, Bundle, open_bundle
from stages.models.row_files import SUFFIXES, WRITERS, read_pieces, whole_table
from stages.models.signature import REFUSED, Misfit, Tally
from stages.records.lines import likely_cause
from stages.runtime.log import log, start_log
from stages.workspace.errors import UserError, plain_words, run_stage

SHOWN = 20  # misfits in a message
DECIMAL_COMMA = re.compile(r"\d,\d")
REFUSED_STRICTLY = ("unknown category", "missing more often")
HELP = """\
The rows must hold every input of the bundle's signature.json; `--example` prints rows to start from.  Their order and
that of the columns is free.  Empty cells, NA and null mean: missing.  Columns that are no input are passed through in
front of the scores; one that is named like a score is replaced by it.  Blank lines are skipped; a row that lacks a
field, or in which no input is filled, is refused.

A category that training never saw counts as missing, as in the evaluation; of that, and of inputs that are missing more
often than in training, you are warned, or with --strict the rows are refused.

  binary       probability of the second class, and the decision at the bundle's threshold
  multiclass   the most probable class, and the probability of every class
  regression   the prediction
"""


def main(*arguments: str) -> None:
    """Score a file of rows; see ``--help``."""
    options = parse(arguments)
    bundle = open_bundle(options.bundle)
    if options.example:
        sys.stdout.write((bundle.folder / EXAMPLE).read_text(encoding="utf-8"))
        return
    if options.rows is None:
        raise UserError("a file of rows", "none", f"python -m stages.predict {options.bundle} rows.csv")
    check_suffix(options.output)
    rows = score_file(bundle, options.rows, options.output, strict=options.strict)
    log.info("%s rows scored by %s", f"{rows:,}", bundle.folder)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.predict",
        description="Score new rows with a saved bundle, without training.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", type=Path, help="a bundle, such as bundles/nycflights")
    parser.add_argument("rows", type=Path, nargs="?", help=f"the rows to score: {SUFFIXES}")
    parser.add_argument("-o", "--output", type=Path, help="write there instead of to standard output (same formats)")
    parser.add_argument("--strict", action="store_true", help="refuse unknown categories and inputs missing more often")
    parser.add_argument("--example", action="store_true", help="print example rows as CSV and stop")
    return parser.parse_args(arguments)


def check_suffix(output: Path | None) -> None:
    """Refuse an output that could not be written before anything is scored."""
    if output is not None and output.suffix.lower() not in WRITERS:
        raise UserError(f"an output in one of {', '.join(WRITERS)}", str(output), "choose another suffix")


def score_file(bundle: Bundle, rows: Path, output: Path | None, *, strict: bool) -> int:
    """Write the scores of a file of rows, in its order; returns how many there are."""
    with plain_words():
        task = task_named(bundle.signature["task"])
    tally, blank, columns = Tally(bundle.signature["inputs"]), 0, list[str]()
    kinds = {str(entry["name"]): str(entry["kind"]) for entry in tally.inputs}
    with whole_table(output) as write:
        for piece in read_pieces(rows, kinds):
            blank += piece.blank_lines
            if not len(piece.rows):
                continue
            columns = piece.rows.columns
            inputs = tally.fit(piece.rows)
            if any(kind in REFUSED for kind, _ in tally.found):
                continue  # nothing will be written: the other rows are read to tell of all that is wrong
            scores = task.name_scores(bundle.model.predict(inputs), bundle.signature)
            write(pl.concat([piece.rows.drop(*kinds, *scores.columns, strict=False), scores], how="horizontal"))
        if not tally.rows:
            raise UserError(f"at least one row in {rows}", "none", "`--example` prints rows to start from")
        judge(tally.misfits(), columns, strict=strict)
    if blank:
        log.warning("warning: blank lines skipped: %s", f"{blank:,}")
    return tally.rows


def judge(misfits: Sequence[Misfit], columns: Sequence[str], *, strict: bool) -> None:
    """Refuse rows that do not fit, naming everything that does not; warn where scoring is still meaningful."""
    refused = (*REFUSED, *REFUSED_STRICTLY) if strict else REFUSED
    wrong = [misfit for misfit in misfits if misfit.kind in refused]
    if wrong:
        told = "\n        ".join(_said(misfit, columns) for misfit in wrong[:SHOWN])
        told += f"\n        {cause}" if (cause := likely_cause(columns, [misfit.column for misfit in wrong])) else ""
        more = f"\n        … and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        strictly = any(misfit.kind in REFUSED_STRICTLY for misfit in wrong)
        advice = "; without `--strict`, unknown categories and missing values are scored" if strictly else ""
        raise UserError("rows that fit the bundle's signature", told + more, "`--example` prints rows that do" + advice)
    for misfit in misfits:
        log.warning("warning: %s", _said(misfit, columns))


def _said(misfit: Misfit, columns: Sequence[str]) -> str:
    if misfit.kind != "missing column":
        is_comma = misfit.kind == "not a number" and DECIMAL_COMMA.search(misfit.told)
        point = "; numbers want a decimal point" if is_comma else ""
        return f"{misfit.kind} in {misfit.rows:,} rows: {misfit.told}{point}"
    close = difflib.get_close_matches(misfit.column, columns, n=1)
    return f"missing column: {misfit.column}" + (f" (there is {close[0]!r})" if close else "")


if __name__ == "__main__":
    start_log()
    run_stage(main)
