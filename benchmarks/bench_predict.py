"""How much dearer is `stages.predict` than plain Polars and XGBoost that check nothing, and does its memory grow?

The test rows of nycflights, repeated and numbered, scored by its bundle, from parquet and from CSV.  In every round the
command as one process from a cold start, then the plain script; both write what they read, in its format.

    python -m benchmarks.bench_predict [--rows 1000000,10000000] [--runs 3]
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from benchmarks.measure import Cost, measure, quiet_rounds
from benchmarks.report import Figure, conditions, table, write_block
from benchmarks.workspace import ROOT
from stages.models.score_files import whole_table
from stages.workspace.files import read_json

DATASET = "nycflights"
BUNDLE, FEATURES = ROOT / "bundles" / DATASET, ROOT / "data" / "features" / DATASET
SIZES = (1_000_000, 10_000_000)
BARRED = 10_000_000  # the size of which the bars speak
CPU_AT_MOST, MEMORY_AT_MOST_MIB = 1.2, 1024.0
READERS = {"parquet": pl.read_parquet, "csv": pl.read_csv}
OURS, PLAIN = "`stages.predict`", "plain Polars and XGBoost"
# CPU seconds and MiB of both, written down before the first run at ten million rows
PREDICTED = {
    ("parquet", 10_000_000): ((50.0, 450.0), (45.0, 6000.0)),
    ("csv", 10_000_000): ((70.0, 450.0), (62.0, 7000.0)),
}
PREDICTED_RATIO = 1.12


def write_rows(path: Path, rows: int, bundle: Path, features: Path) -> None:
    """So many rows with every input of the bundle and a number of their own, a tile at a time."""
    inputs = [entry["name"] for entry in read_json(bundle / "signature.json")["inputs"]]
    tile = pl.scan_parquet(features / "*.parquet").filter(pl.col("part") == "test").select(inputs).collect()
    with whole_table(path) as write:
        for start in range(0, rows, len(tile)):
            some = tile.head(rows - start)
            write(some.with_columns(number=pl.int_range(start, start + len(some), dtype=pl.Int64)))


def contest(
    rows: int, kind: str, runs: int, patience_s: float = 0.0, bundle: Path = BUNDLE, features: Path = FEATURES
) -> dict[str, list[Cost]]:
    """Both once a round on the same file; both must write the same table."""
    costs: dict[str, list[Cost]] = {OURS: [], PLAIN: []}
    with tempfile.TemporaryDirectory(prefix="plumbline-benchmark-") as name:
        file = Path(name) / f"rows.{kind}"
        write_rows(file, rows, bundle, features)
        outputs = {who: Path(name) / f"{number}.{kind}" for number, who in enumerate(costs)}
        commands = {
            OURS: [sys.executable, "-m", "stages.predict", str(bundle), str(file), "-o", str(outputs[OURS])],
            PLAIN: [sys.executable, "benchmarks/peer_predict.py", str(bundle), str(file), str(outputs[PLAIN])],
        }
        for _ in quiet_rounds(runs, patience_s):
            for who, command in commands.items():
                costs[who].append(measure(command, cwd=ROOT))
        ours, plain = (READERS[kind](output) for output in outputs.values())
        if not ours.equals(plain):
            raise AssertionError("the two wrote other scores")
    return costs


def figures(rows: int, kind: str, costs: dict[str, list[Cost]]) -> list[Figure]:
    """The table of one size and format; the bars are those of ten million rows."""
    told, size = [], f"{rows / 1e6:g} M rows, {kind}"
    predicted = PREDICTED.get((kind, rows), ((None, None), (None, None)))
    bars = (MEMORY_AT_MOST_MIB if rows == BARRED else None, None)
    for (who, found), (cpu, memory), bar in zip(costs.items(), predicted, bars, strict=True):
        told.append(Figure(f"{size}: {who}, CPU", [cost.cpu_s for cost in found], "s", cpu))
        peaks = [cost.tree_mib for cost in found]
        told.append(Figure(f"{size}: {who}, peak memory", peaks, "MiB", memory, at_most=bar))
    pairs = zip(costs[OURS], costs[PLAIN], strict=True)
    ratios = [one.cpu_s / other.cpu_s for one, other in pairs]
    wanted = {"predicted": PREDICTED_RATIO, "at_most": CPU_AT_MOST} if rows == BARRED else {}
    told.append(Figure(f"{size}: CPU ÷ plain", ratios, "×", **wanted))
    return told


def main(runs: int = 5, sizes: Sequence[int] = SIZES, patience_s: float = 0.0) -> str:
    """Measure and return the block for RESULTS.md."""
    told, every = [], []
    for rows in sizes:
        for kind in READERS:
            costs = contest(rows, kind, runs, patience_s)
            told += figures(rows, kind, costs)
            every += [cost for both in costs.values() for cost in both]
            print(table(told), flush=True)  # hours may lie between two sizes
    return "\n\n".join([
        f"The test rows of `{DATASET}`, 52 inputs, repeated and numbered; rounds: {runs}, interleaved, every process "
        "from a cold start, written in the format that was read. Both write the same table. CPU, because nothing else "
        "compares on a machine with neighbours.",
        conditions([cost.others_cores for cost in every]),
        table(told),
    ])  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default=",".join(map(str, SIZES)))
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    text = main(options.runs, [int(size) for size in options.rows.split(",")])
    print(text)
    write_block("predict", text)
