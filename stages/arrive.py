"""Take in what a source has published since: the whole table again, longer than before.

Reads   a location: http(s), s3, a path; the last good file, or data/raw/<dataset> where nothing has arrived yet
Writes  arrivals/<dataset>/                  the last good file, as published; never one that fails a check
        sources/<dataset>.json               its size and checksum: to be committed
        sources/<dataset>.revisions.jsonl    values that were published twice: to be committed
Params  datasets.<dataset>.clean.max_quarantined_share

The same vintage again changes nothing, however often, and a server that fails leaves the last good file.
"""

from __future__ import annotations

import argparse
import zipfile
import zlib
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel, Field

from stages.records.cleaned import as_json_value
from stages.records.contract import Table, load_dataset
from stages.records.prepare import judge_rows
from stages.records.vintages import Difference, compare_vintages
from stages.runtime.commands import run_command
from stages.runtime.log import log, start_log
from stages.sources.arrivals import CANDIDATE, fetch_candidate, is_recorded, keep, last_good, settle
from stages.sources.fetch import gathering_folder, name_source
from stages.sources.transfer import Unwritable
from stages.workspace import layout
from stages.workspace.errors import UserError
from stages.workspace.settings import read_settings

UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, pl.exceptions.PolarsError)
KEPT = "the last good file stays"
SHOWN = 3


class ArriveSettings(BaseModel):
    """What of ``datasets.<dataset>.clean`` counts here already."""

    max_quarantined_share: float = Field(ge=0, le=1)


def main(*arguments: str) -> None:
    """Fetch a vintage, compare it with the last good one and keep it; see ``--help``."""
    options = parse(arguments)
    name = options.dataset
    share = read_settings(ArriveSettings, name, "clean").max_quarantined_share
    table = load_dataset(name).records
    with gathering_folder(f"arrive-{name}") as gathering:
        settle(name, gathering)
        note = fetch(options, gathering)
        if note is None:
            log.info("%s: nothing new", name)
            return
        if is_recorded(name, note):
            keep(name, gathering, note, [])
            log.warning("%s: the last good file was damaged or gone; fetched again", name)
            return
        new = read_vintage(table, gathering / CANDIDATE, share)
        old = read_vintage(table, base, 1.0) if (base := _base(name, note["name"])) else new.clear()
        try:
            difference = compare_vintages(old, new, table.key)
        except ValueError as error:
            raise UserError(f"a table of {table.name} that can be compared", str(error), KEPT) from error
        refuse(table, difference, new, options.revisions)
        keep(name, gathering, note, _records(difference, old, new, table.key[0]))
    tell(name, table, difference, old, new)


def fetch(options: argparse.Namespace, gathering: Path) -> dict[str, Any] | None:
    """Bring what is published here; None where it is not new."""
    source = name_source(options.location, mirror=None, name=options.name)
    limits = {"attempts": options.attempts, "timeout_s": options.timeout_s, "limit_s": options.limit_s}
    try:
        return fetch_candidate(source, options.dataset, gathering, **limits)
    except Unwritable:
        raise
    except UserError as error:
        raise UserError(error.wanted, error.found, f"ask again later, or correct --from; {KEPT}") from error


def parse(arguments: tuple[str, ...]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m stages.arrive", description="Take in what has been published.")
    parser.add_argument("dataset", help="such as rates")
    parser.add_argument("--from", dest="location", required=True, help="http(s)://, s3:// or a path")
    parser.add_argument("--name", help="file name, where the location does not end in the one that the dataset reads")
    parser.add_argument("--revisions", choices=("refuse", "record"), default="refuse", help="values published anew")
    parser.add_argument("--attempts", type=int, default=5, help="in a row without a new byte")
    parser.add_argument("--timeout-s", type=float, default=60.0, help="longest silence of the server")
    parser.add_argument("--limit-s", type=float, default=600.0, help="longest transfer")
    return parser.parse_args(arguments)


def read_vintage(table: Table, folder: Path, max_quarantined_share: float) -> pl.DataFrame:
    """The tidy rows of a published file; one that is unreadable, or has too many bad rows, is refused."""
    wanted = f"{table.name} as published, with the columns {', '.join(table.columns[:6])}, …"
    try:
        judged = [judge_rows(table, table.read(folder, part), part) for part in table.partitions(folder)]
    except UNREADABLE as error:
        found = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        raise UserError(wanted, found, f"look at the source; {KEPT}") from error
    rows, bad = sum(len(one.passed) for one in judged), sum(len(one.quarantined) for one in judged)
    if not rows or bad / (rows + bad) > max_quarantined_share:
        worst = "; ".join(sorted({check for one in judged for check in one.failures})[:SHOWN])
        raise UserError(wanted, f"{bad:,} of {rows + bad:,} rows fail the checks: {worst or 'no row'}", KEPT)
    return pl.concat([one.passed for one in judged])


def refuse(table: Table, difference: Difference, new: pl.DataFrame, policy: str) -> None:
    """Stop where rows are gone, and where values differ and the policy is to refuse."""
    gone, first = difference.vanished, table.key[0]
    if len(gone):
        older = max(gone[first]) > max(new[first])
        found = f"{len(gone):,} of them gone, such as {_key(gone)}" + (": an older vintage" if older else "")
        again = "ask again later; if the publisher has taken them back, remove the last good file"
        raise UserError(f"every row of {table.name} that was published before", found, f"{again}; {KEPT}")
    revised = difference.revised
    if len(revised) and policy == "refuse":
        one = revised.row(0, named=True)
        found = f"{len(revised):,} revised, such as {one['column']} of {_key(revised)}: {one['old']}, now {one['new']}"
        accept = "look at them; `--revisions record` takes the new ones and keeps the old beside them"
        raise UserError(f"the values of {table.name} that were published before", found, f"{accept}; {KEPT}")


def tell(name: str, table: Table, difference: Difference, old: pl.DataFrame, new: pl.DataFrame) -> None:
    """One line: what has arrived, how much of it late, and the next step."""
    added, first = difference.added, table.key[0]
    late = added.filter(pl.col(first) < old[first].max()) if len(old) else added.clear()
    counts = (f"{n:,}" for n in (len(added), len(late), len(difference.revised)))
    log.info("%s: %s rows added (%s late), %s values revised; up to %s", name, *counts, new[first].max())
    log.info("%s: next: dvc repro -f -s download@%s && dvc repro", name, name)


def _base(name: str, file: str) -> Path | None:
    """The folder of the vintage to compare with: the last that arrived, else what the line has."""
    folders = (last_good(name, file).parent, layout.raw(name))
    return next((folder for folder in folders if (folder / file).exists()), None)


def _records(difference: Difference, old: pl.DataFrame, new: pl.DataFrame, first: str) -> list[dict[str, Any]]:
    """A line for each revised value, and how far the two vintages reach by their own account: no clock is read."""
    reach = {"old_until": old[first].max(), "new_until": new[first].max()}
    lines = (row | reach for row in difference.revised.to_dicts())
    return [{name: as_json_value(value) for name, value in line.items()} for line in lines]


def _key(rows: pl.DataFrame) -> str:
    """The key of the first of these rows, in words."""
    return " ".join(
        str(value) for name, value in rows.row(0, named=True).items() if name not in ("column", "old", "new")
    )


if __name__ == "__main__":
    start_log()
    run_command(main)
