"""Score new rows with a saved bundle, without training.

Reads   bundles/<dataset>/, and a file of rows: .csv, .parquet or .jsonl, or standard input (-)
        state/<dataset>.sqlite, or the one of --state, for rows as published
Writes  a table with the rows' other columns and their scores, to standard output (CSV) or to --output

Rows are read, checked, scored and written a piece at a time; what was written appears once all rows have passed.  Of
rows as published, those that fail a check are told of with their reasons, and the others are scored.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import polars as pl

from stages.metrics.stored import task_named
from stages.models.bundle import EXAMPLE, Bundle, open_bundle
from stages.models.forecasts import LEVEL_NOW
from stages.models.reasons import tell_reasons
from stages.models.row_files import SUFFIXES, read_pieces
from stages.models.score_files import WRITERS, whole_table
from stages.models.signature import REFUSED, Misfit, Tally
from stages.records.contract import Dataset
from stages.records.lines import likely_cause
from stages.runtime.log import log, start_log
from stages.state.files import Refusals, columns_of, is_published, plain_file, prepare_file
from stages.state.requests import open_known
from stages.workspace.errors import UserError, plain_words, run_stage

SHOWN = 20  # misfits in a message
SILENT = "no value of the series now"  # so it asks nothing, and gets no forecast
PARTLY = 3  # the exit status where some rows were refused and the others scored
DECIMAL_COMMA = re.compile(r"\d,\d")
REFUSED_STRICTLY = ("unknown category", "missing more often")
HELP = """\
The rows must hold every input of the bundle's signature.json; `--example` prints rows to start from.  Their order and
that of the columns is free.  Empty cells, NA and null mean: missing.  Columns that are no input are passed through in
front of the scores; one that is named like a score is replaced by it.  Blank lines are skipped; a row that lacks a
field, or in which no input is filled, is refused.

A category that training never saw counts as missing, as in the evaluation; of that, and of inputs that are missing more
often than in training, you are warned, or with --strict the rows are refused.

Rows as published by the source (--raw, or by themselves where more of the publisher's columns are there than of the
inputs, and not every input is) become features by the line's own code, over what the bundle and the state know.  Rows
of a file know each other, a month at a time, so a large file wants its months in order.  Outcomes may be left out.  A
row that fails a check is refused with its reason and the others are scored; the exit status is then 3.

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
    with plain_file(options.rows) as path:
        raw = options.raw or is_published(columns_of(path), bundle)
        score = score_published if raw else score_file
        rows, refused = score(bundle, path, options)
    log.info("%s rows scored by %s", f"{rows:,}", bundle.folder)
    if refused:
        sys.exit(PARTLY)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.predict",
        description="Score new rows with a saved bundle, without training.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", type=Path, help="a bundle, such as bundles/nycflights")
    parser.add_argument("rows", type=Path, nargs="?", help=f"the rows to score: {SUFFIXES}; - for standard input")
    parser.add_argument("-o", "--output", type=Path, help="write there instead of to standard output (same formats)")
    parser.add_argument("--strict", action="store_true", help="refuse unknown categories and inputs missing more often")
    parser.add_argument("--example", action="store_true", help="print example rows as CSV and stop")
    parser.add_argument("--explain", action="store_true", help="add what speaks for and against each answer")
    parser.add_argument("--raw", action="store_true", help="the rows are as published, not features")
    parser.add_argument(
        "--at", type=datetime.fromisoformat, help="of raw rows: what was known then, such as 2013-12-31T17:00"
    )
    parser.add_argument(
        "--state", help="of raw rows: what has been heard, a file or redis://… (state/<dataset>.sqlite)"
    )
    parser.add_argument("--refused", type=Path, help="of raw rows: write those that fail there, as JSON lines")
    return parser.parse_args(arguments)


def check_suffix(output: Path | None) -> None:
    """Refuse an output that could not be written before anything is scored."""
    if output is not None and output.suffix.lower() not in WRITERS:
        raise UserError(f"an output in one of {', '.join(WRITERS)}", str(output), "choose another suffix")


def score_file(bundle: Bundle, path: Path, options: argparse.Namespace) -> tuple[int, int]:
    """Write the scores of a file of features, in its order; returns how many there are, and how many were refused."""
    tally, blank, columns = Tally(bundle.signature["inputs"]), 0, list[str]()
    kinds = {str(entry["name"]): str(entry["kind"]) for entry in tally.inputs}
    with whole_table(options.output) as write:
        for piece in read_pieces(path, kinds):
            blank += piece.blank_lines
            if not len(piece.rows):
                continue
            columns = piece.rows.columns
            inputs = tally.fit(piece.rows)
            if any(kind in REFUSED for kind, _ in tally.found):
                continue  # nothing will be written: the other rows are read to tell of all that is wrong
            scores = score_rows(bundle, inputs, explain=options.explain)
            write(pl.concat([piece.rows.drop(*kinds, *scores.columns, strict=False), scores], how="horizontal"))
        if not tally.rows:
            raise UserError(f"at least one row in {path}", "none", "`--example` prints rows to start from")
        judge(tally.misfits(), columns, strict=options.strict)
    if blank:
        log.warning("warning: blank lines skipped: %s", f"{blank:,}")
    return tally.rows, 0


def score_rows(bundle: Bundle, inputs: pl.DataFrame, *, explain: bool) -> pl.DataFrame:
    """Scores by name, and what speaks for and against them."""
    with plain_words():
        scores = bundle.model.predict(inputs)
        named = task_named(bundle.signature["task"]).name_scores(scores, bundle.signature)
        reasons = [tell_reasons(bundle.model, inputs, bundle.signature["inputs"], scores)] if explain else []
    return pl.concat([named, *reasons], how="horizontal")


def score_published(bundle: Bundle, path: Path, options: argparse.Namespace) -> tuple[int, int]:
    """Write the scores of a file of rows as published, in its order; returns how many, and how many were refused."""
    known, tally = open_known(bundle.folder, options.state), Tally(bundle.signature["inputs"])
    if known.silence:
        log.warning("warning: %s", known.silence)
    refusals = Refusals(options.refused or (options.output and options.output.with_suffix(".refused.jsonl")))
    with whole_table(options.output) as write:
        for before, rows, prepared in prepare_file(known, path, options.at):
            refusals.add(rows, prepared.refused, before)
            if prepared.rows:
                asks = asking(prepared.features)
                scores = score_rows(bundle, tally.fit(prepared.features.filter(asks)), explain=options.explain)
                scores = scores.select(pl.all().gather(pl.select(pl.when(asks).then(asks.cum_sum() - 1)).to_series()))
                notes = pl.Series("note", prepared.notes, pl.String)
                notes = pl.select(pl.when(asks).then(notes).otherwise(pl.lit(SILENT)).alias("note")).to_series()
                lines = line_identity(known.dataset, prepared.features)
                others = rows[prepared.rows].drop("note", *lines.columns, *scores.columns, strict=False)
                write(pl.concat([others, lines, scores.with_columns(notes)], how="horizontal"))
        if not tally.rows:
            raise UserError(f"at least one row in {path} that passes", refusals.told() or "none", "correct the file")
        judge(tally.misfits(), [], strict=options.strict)
    refusals.write()
    return tally.rows, len(refusals.rows)


def asking(features: pl.DataFrame) -> pl.Series:
    """Which lines ask anything: a series that has no value now has no change to forecast."""
    if LEVEL_NOW in features.columns:
        return features[LEVEL_NOW].is_not_null()
    return pl.repeat(True, len(features), eager=True)


def line_identity(dataset: Dataset, features: pl.DataFrame) -> pl.DataFrame:
    """Of a row that asks several questions, what tells its lines apart: series, horizon, moments."""
    several = dataset.lines_per_row > 1
    return features.select(n for n in dataset.identity if several and n not in dataset.records.key)


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
