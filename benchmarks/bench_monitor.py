"""What does watching cost beyond reading?  A hundred million rows counted by bin and day, beside merely reading them.

SIMULATED rows: twelve numbers in hundredths, two of which lack values, four whole numbers and four columns of names; a
million rows a day, a partition a day, stored as the line stores features.  In every round a process reads all
partitions one after another, and another counts them as `stages.monitor` does.  Evidently cannot add up; it is handed
one partition against another, all that it is asked to hold.

    python -m benchmarks.bench_monitor [--rows 100000000] [--runs 5]
"""

from __future__ import annotations

import argparse
import shutil
import sys
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from benchmarks.contenders import find_python
from benchmarks.drift_rules import find_cuts
from benchmarks.drift_worlds import DAY, write_pair
from benchmarks.measure import MIB, Cost, measure, quiet_rounds
from benchmarks.report import Figure, conditions, table, write_block
from benchmarks.workspace import ROOT
from stages.features.profile import Profile, merge_profiles, profile_units
from stages.workspace.files import read_json, write_parquet

ROWS, PARTITION = 100_000_000, 1_000_000
BYTES_A_ROW = 40
CARRIERS = [f"carrier {k:02d}" for k in range(16)]
AIRPORTS = [f"airport {k:03d}" for k in range(105)]
FIRST = date(2020, 1, 1)
AT_MOST_RATIO, AT_MOST_MIB = 1.5, 500.0
# written down before the first run
PREDICTED_RATIO, PREDICTED_MIB, PREDICTED_READ_S = 3.0, 450.0, 40.0


def simulate(day: int, rows: int) -> pl.DataFrame:
    """One day: the same for the same number of day and rows."""
    rng = np.random.default_rng(day)
    columns = {DAY: pl.Series([FIRST + timedelta(days=day)]).new_from_index(0, rows)}
    for k in range(12):
        values = pl.Series(rng.standard_normal(rows, dtype=np.float32)).round(2)
        columns[f"number {k:02d}"] = values if k > 1 else values.set(values < -1.6, None)
    for k in range(4):
        columns[f"count {k}"] = pl.Series(rng.poisson(10.0**k, rows).astype(np.int16))
    for k, names in enumerate((CARRIERS, AIRPORTS) * 2):
        place = (len(names) * rng.random(rows) ** 2).astype(np.uint32)  # the first ones more often
        columns[f"name {k}"] = pl.Series(names).gather(place)
    return pl.DataFrame(columns)


def write_partitions(folder: Path, rows: int) -> None:
    """All days; refused where the disk has no room for them."""
    needed, free = rows * BYTES_A_ROW, shutil.disk_usage(folder).free
    if free < 1.5 * needed:
        raise SystemExit(
            f"wanted {1.5 * needed / MIB:,.0f} MiB free in {folder}, found {free / MIB:,.0f}: fewer --rows"
        )
    for day in range(-(-rows // PARTITION)):
        of_day = min(PARTITION, rows - day * PARTITION)
        write_parquet(folder / f"{day:04d}.parquet", simulate(day, of_day))


def read(folder: Path) -> int:
    """Rows of all partitions, read one after another."""
    return sum(len(pl.read_parquet(path)) for path in sorted(folder.glob("*.parquet")))


def profile(folder: Path) -> Profile:
    """All partitions counted, with the bins of the first."""
    paths = sorted(folder.glob("*.parquet"))
    cuts = find_cuts(pl.read_parquet(paths[0]))
    return merge_profiles([profile_units(pl.read_parquet(path), cuts, DAY) for path in paths])


def main(*, runs: int = 5, patience_s: float = 600.0, rows: int = ROWS) -> str:
    """Measure, and return the block for RESULTS.md."""
    found = find_python("evidently")
    costs: dict[str, list[Cost]] = {"read": [], "profile": []}
    with TemporaryDirectory(prefix="plumbline-monitor-") as temporary:
        partitions, pair = Path(temporary) / "partitions", Path(temporary) / "pair"
        partitions.mkdir()
        write_partitions(partitions, rows)
        for _ in quiet_rounds(runs, patience_s):
            for what, kept in costs.items():
                kept.append(
                    measure([sys.executable, "-m", "benchmarks.bench_monitor", what, str(partitions)], cwd=ROOT)
                )
        peer = []
        if found is not None:
            pair.mkdir()
            of_each = min(rows, PARTITION)
            write_pair(pair, "pair", simulate(0, of_each), simulate(1, of_each))
            out = Path(temporary) / "found.json"
            cost = measure([found[0], "benchmarks/peer_drift.py", "evidently", str(pair), str(out)], cwd=ROOT)
            seconds = read_json(out)["pair"]["seconds"]
            peer = [
                Figure(f"Evidently {found[1]}, {of_each:,} rows against as many", [seconds], "s"),
                Figure("Evidently, peak memory", [cost.tree_mib], "MiB"),
            ]
    ratios = [own.wall_s / read.wall_s for own, read in zip(costs["profile"], costs["read"], strict=True)]
    peaks = [cost.tree_mib for cost in costs["profile"]]
    figures = [
        Figure("reading alone", [cost.wall_s for cost in costs["read"]], "s", PREDICTED_READ_S * rows / ROWS),
        Figure("reading alone, peak memory", [cost.tree_mib for cost in costs["read"]], "MiB"),
        Figure("reading and counting", [cost.wall_s for cost in costs["profile"]], "s"),
        Figure("reading and counting ÷ reading", ratios, "×", PREDICTED_RATIO, at_most=AT_MOST_RATIO),
        Figure("reading and counting, peak memory", peaks, "MiB", PREDICTED_MIB, at_most=AT_MOST_MIB),
        *peer,
    ]
    others = [cost.others_cores for kept in costs.values() for cost in kept]
    said = f"{rows:,} **simulated** rows of 20 columns, {PARTITION:,} in a partition; {runs} rounds."
    return "\n\n".join((said, conditions(others), table(figures)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=("read", "profile"), help="what a measured process does")
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    if options.what is not None:
        {"read": read, "profile": profile}[options.what](options.folder)
    else:
        text = main(runs=options.runs, rows=options.rows)
        write_block("monitor", text)
        print(text)
