"""Score new rows with a saved bundle, without training.

Reads   bundles/<dataset>/, and a file of rows: .csv, .parquet or .jsonl
Writes  a table with the rows' other columns and their scores, to standard output (CSV) or to --output
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import polars as pl

from stages.metrics.stored import task_named
from stages.models.bundle import EXAMPLE, open_bundle
from stages.models.signature import Misfit, fit_rows
from stages.runtime.log import log, start_log
from stages.workspace.errors import UserError, plain_words, run_stage
from stages.workspace.files import whole_file

READERS: Mapping[str, Callable[[IO[bytes]], pl.DataFrame]] = {
    ".csv": lambda file: pl.read_csv(file, infer_schema=False),  # as text: the signature decides what is a number
    ".parquet": pl.read_parquet,
    ".jsonl": lambda file: pl.read_ndjson(file, infer_schema_length=None),
    ".ndjson": lambda file: pl.read_ndjson(file, infer_schema_length=None),
}
WRITERS: Mapping[str, Callable[[pl.DataFrame, Path], object]] = {
    ".csv": pl.DataFrame.write_csv,
    ".parquet": pl.DataFrame.write_parquet,
    ".jsonl": pl.DataFrame.write_ndjson,
    ".ndjson": pl.DataFrame.write_ndjson,
}
SHOWN = 20  # misfits in a message
SUFFIXES = ", ".join(READERS)
HELP = """\
The rows must hold every input of the bundle's signature.json; `--example` prints rows to start from.  Their order and
that of the columns is free.  Empty cells, NA and null mean: missing.  Columns that are no input are passed through in
front of the scores; one that is named like a score is replaced by it.

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
    rows = read_rows(options.rows)
    inputs, misfits = fit_rows(rows, bundle.signature["inputs"])
    judge(misfits, rows.columns, options.unknown)
    names = [entry["name"] for entry in bundle.signature["inputs"]]
    with plain_words():
        task = task_named(bundle.signature["task"])
    scores = task.name_scores(bundle.model.predict(inputs), bundle.signature)
    others = rows.select([column for column in rows.columns if column not in names and column not in scores.columns])
    write_scores(pl.concat([others, scores], how="horizontal") if others.width else scores, options.output)
    log.info("%s rows scored by %s", f"{len(rows):,}", bundle.folder)


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
    parser.add_argument(
        "--unknown",
        choices=("error", "missing"),
        default="error",
        help="what to do with a category that training never saw (default: %(default)s)",
    )
    parser.add_argument("--example", action="store_true", help="print example rows as CSV and stop")
    return parser.parse_args(arguments)


def check_suffix(output: Path | None) -> None:
    """Refuse an output that could not be written before anything is scored."""
    if output is not None and output.suffix.lower() not in WRITERS:
        raise UserError(f"an output in one of {', '.join(WRITERS)}", str(output), "choose another suffix")


def read_rows(path: Path) -> pl.DataFrame:
    """The rows of a file, at least one; CSV as text."""
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise UserError(f"a file of rows in one of {SUFFIXES}", str(path), "convert it, or rename it")
    try:
        with path.open("rb") as file:
            rows = read(file)
    except FileNotFoundError:
        raise UserError(f"the rows {path}", "no such file", "check the path") from None
    except (IsADirectoryError, PermissionError) as error:
        raise UserError(f"the rows {path}", str(error.strerror), "name a file that can be read") from None
    except pl.exceptions.NoDataError:
        rows = pl.DataFrame()
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        found = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise UserError(f"rows in {path}", found, "open it and check its header and encoding (UTF-8)") from None
    twice = [name for name in rows.columns if f"{name}_duplicated_0" in rows.columns]  # so Polars calls the second
    if twice:
        raise UserError(f"every column of {path} once", f"twice: {', '.join(twice)}", "remove one of the two")
    if not len(rows):
        raise UserError(f"at least one row in {path}", "none", "`--example` prints rows to start from")
    return rows


def judge(misfits: Sequence[Misfit], columns: Sequence[str], unknown: str) -> None:
    """Refuse rows that do not fit, naming everything that does not; warn where scoring is still meaningful."""
    refused = ["missing column", "not a number", *(["unknown category"] if unknown == "error" else [])]
    wrong = [misfit for misfit in misfits if misfit.kind in refused]
    if wrong:
        told = "\n        ".join(_said(misfit, columns) for misfit in wrong[:SHOWN])
        more = f"\n        … and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        unseen = any(misfit.kind == "unknown category" for misfit in wrong)
        advice = "; `--unknown missing` scores unknown categories as missing" if unseen else ""
        raise UserError("rows that fit the bundle's signature", told + more, "`--example` prints rows that do" + advice)
    for misfit in misfits:
        log.warning("warning: %s in %s rows: %s", misfit.kind, f"{misfit.rows:,}", misfit.told)


def _said(misfit: Misfit, columns: Sequence[str]) -> str:
    if misfit.kind != "missing column":
        return f"{misfit.kind} in {misfit.rows:,} rows: {misfit.told}"
    close = difflib.get_close_matches(misfit.column, columns, n=1)
    return f"missing column: {misfit.column}" + (f" (there is {close[0]!r})" if close else "")


def write_scores(table: pl.DataFrame, output: Path | None) -> None:
    """CSV to standard output, or a whole file in the format of its suffix."""
    try:
        if output is None:
            sys.stdout.write(table.write_csv())
            return
        with whole_file(output) as aside:
            WRITERS[output.suffix.lower()](table, aside)
    except pl.exceptions.ComputeError as error:  # a column of lists that is passed through has no place in a CSV
        raise UserError("columns that fit the output's format", str(error), "choose .parquet or .jsonl") from None


if __name__ == "__main__":
    start_log()
    run_stage(main)
