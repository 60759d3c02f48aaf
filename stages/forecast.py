"""Forecast from what is known now, keep what was said, and join what came true.

Reads   bundles/<dataset>/, and state/<dataset>.sqlite or the one of --state: what was heard since
        data/features/<dataset>, data/clean/<dataset> for --replay
Writes  forecasts/<dataset>.sqlite, or the file of --log: forecasts by series, horizon, moment and model, and outcomes
        a table to standard output

Nothing here changes a model.  The same command again keeps nothing twice.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from stages.features.table import open_features
from stages.forecasts.judged import judge_horizons
from stages.forecasts.log import ForecastLog, Kept, Way, as_said
from stages.forecasts.made import make_forecasts
from stages.forecasts.tables import forecast_table, horizon_table
from stages.models.bundle import Bundle, open_bundle
from stages.models.forecasts import DUE_AT, MADE_AT
from stages.pages.tables import as_text
from stages.records.contract import Dataset, load_dataset
from stages.runtime.commands import run_command
from stages.runtime.log import log, start_log
from stages.state.requests import open_known
from stages.workspace import layout
from stages.workspace.errors import UserError
from stages.workspace.files import MANIFEST, sha256_of

HELP = """\
Each series is forecast at each horizon from its last record: of those that the bundle remembers, and those that
`python -m stages.ingest` has taken in since.  Outcomes that have been heard are joined to earlier forecasts.

  --at 2013-12-30T12:00                 as of a past moment that is remembered (UTC)
  --replay 2013-09-01 2013-12-31        what would have been said from one day to another (inclusive), from the
                                        features of the line; of days that the model was not trained on
  --judge                               how those in the log did that have come true, horizon by horizon
"""
PARTLY = 3  # the exit status where a forecast was kept already with another value
SHOWN = 5
SHORT = 12  # digits of a model's name
TEST = "test"


def main(*arguments: str) -> None:
    """Make forecasts and keep them; see ``--help``."""
    options = parse(arguments)
    bundle = open_bundle(options.bundle or layout.bundles(options.dataset))
    dataset = forecasting(bundle)
    kept_in = ForecastLog(options.log or layout.forecasts(dataset.name), dataset.name)
    if options.judge:
        judged = judge_horizons(as_said(kept_in.read()))
        if not judged:
            raise UserError(f"forecasts in {kept_in.path} that have come true", "none yet", "make some, or `--replay`")
        sys.stdout.write(as_text(horizon_table(judged, dataset.target_unit)) + "\n")
        return
    model = sha256_of(bundle.folder / MANIFEST)[:SHORT]
    if options.replay:
        found = replay(bundle, dataset, *options.replay)
        way: Way = "replayed"
    else:
        found = iter([newest(bundle, options.state, options.at)])
        way = "replayed" if options.at else "scheduled"
    totals, made = Kept(0, 0, []), pl.DataFrame()
    for made, observed in found:
        now = datetime.now(UTC).replace(tzinfo=None)
        heard = kept_in.hear(observed, heard_at=now)
        kept = kept_in.keep(made, model=model, way=way, logged_at=now)
        totals = Kept(totals.new + kept.new, totals.known + kept.known, totals.differing + kept.differing)
        log.info("%s: %d forecasts kept, %d known; %d outcomes heard, %d revised", kept_in.path, kept.new, kept.known,
                 heard.new, heard.revised)  # fmt: skip
    if not options.replay:
        sys.stdout.write(as_text(forecast_table(made)) + "\n")
    if totals.differing:
        told = "; ".join(totals.differing[:SHOWN])
        log.warning("warning: %d forecasts were kept before with another value, which stands: %s",
                    len(totals.differing), told)  # fmt: skip
        sys.exit(PARTLY)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.forecast",
        description="Forecast from what is known now, and keep what was said.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dataset", help="such as weather")
    parser.add_argument("--bundle", type=Path, help="by default bundles/<dataset>")
    parser.add_argument("--state", help="what has been heard, a file or redis://… (state/<dataset>.sqlite)")
    parser.add_argument("--log", type=Path, help="the file of forecasts (forecasts/<dataset>.sqlite)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--at", type=datetime.fromisoformat, help="as of this moment")
    which.add_argument("--replay", nargs=2, type=day, metavar=("FROM", "UNTIL"), help="those of past days")
    which.add_argument("--judge", action="store_true", help="tell how those that have come true did, and stop")
    return parser.parse_args(arguments)


def day(text: str) -> datetime:
    """A day of the command line."""
    return datetime.strptime(text, "%Y-%m-%d")


def forecasting(bundle: Bundle) -> Dataset:
    """The dataset of a bundle, which has to forecast."""
    dataset = load_dataset(bundle.signature["dataset"])
    if dataset.observed is None:
        raise UserError(
            f"a dataset of forecasts, to forecast {dataset.name}",
            f"one whose task is {dataset.task}",
            f"ask about rows with `python -m stages.predict {bundle.folder} FILE`",
        )
    return dataset


def newest(bundle: Bundle, state: str | None, at: datetime | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The forecasts of every series from its last record, and all outcomes that are known."""
    known = open_known(bundle.folder, state)
    if known.silence:
        log.warning("warning: %s", known.silence)
    found = known.newest(at)
    return make_forecasts(bundle.model, bundle.signature, found.features, found.observed), found.observed


def replay(
    bundle: Bundle, dataset: Dataset, first: datetime, last: datetime
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Partition by partition, what would have been said from one day to another, and what came true."""
    assert dataset.observed is not None
    table, found, end = open_features(dataset.name), False, last
    asked = (pl.col("part") == TEST) & (pl.col(MADE_AT) >= first) & (pl.col(MADE_AT).dt.date() <= last.date())
    for partition in [each["name"] for each in table.partitions]:
        observed = dataset.observed(pl.read_parquet(layout.clean(dataset.name) / f"{partition}.parquet"))
        observed = observed.filter(pl.col("at") >= first)
        lines = pl.read_parquet(table.path_of(partition)).filter(asked)
        if lines.is_empty() and not (found and len(observed) and observed["at"].min() <= end):  # type: ignore[operator]
            continue
        found, end = True, max([end, *lines[DUE_AT].to_list()[-1:]])
        made = make_forecasts(bundle.model, bundle.signature, lines, observed)
        yield made, observed
    if not found:
        raise UserError(
            f"lines of the test part of {dataset.name} from {first:%Y-%m-%d} to {last:%Y-%m-%d}",
            "none: what a model was trained on, or chosen by, it cannot be said to forecast",
            f"name days of the test part, in {', '.join(table.partition_names(TEST)) or 'no partition'}",
        )


if __name__ == "__main__":
    start_log()
    run_command(main)
