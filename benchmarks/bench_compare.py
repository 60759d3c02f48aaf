"""How long does it take to compare two revisions whose test part has ten million rows, and how much memory?

Beside it, the same question asked of the rows: a paired bootstrap with scikit-learn on arrays in memory, a few
replicates on a tenth of the rows, extrapolated to all replicates and all rows.
"""

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Cost, measure, quiet_rounds
from benchmarks.report import Figure, conditions, number, table, text_table
from benchmarks.revision_pair import DATASET, REVISIONS
from benchmarks.workspace import ROOT

ROWS, PEER_ROWS, PEER_REPLICATES = 10_000_000, 1_000_000, 3
AT_MOST_S, AT_MOST_MIB, TABLE_MIB, AT_LEAST_TIMES = 3.0, 500.0, 2.0, 100.0
SEGMENTS = ("carrier", "month")
# written down before the first run on ten million rows
PREDICTED = {"wall_s": 2.5, "process_mib": 400.0, "table_mib": 2.5, "replicate_s": 3.7, "times": 15_000.0}
PREDICTED_SEGMENTS_S = 6.0
THRESHOLD = 0.25


def compare(repository: Path, *options: str) -> Cost:
    """One run of the whole command: tables in the cache, every metric, 1000 resamples."""
    command = [sys.executable, "-P", "-m", "stages.compare", *REVISIONS, "--question", "model", *options]
    return measure(command, cwd=repository, env={"PYTHONPATH": str(ROOT)})


def measure_peer(rows: int, replicates: int) -> tuple[Cost, float]:
    """Seconds of one replicate for both models."""
    thresholds = [repr(THRESHOLD)] * len(REVISIONS)
    command = [sys.executable, "-m", "benchmarks.peer_paired_bootstrap", str(rows), str(replicates), *thresholds]
    cost = measure(command, cwd=ROOT)
    return cost, json.loads(cost.output)["seconds"] / replicates


def main(
    runs: int = 5,
    rows: int = ROWS,
    peer_rows: int = PEER_ROWS,
    peer_replicates: int = PEER_REPLICATES,
    patience_s: float = 0.0,
) -> str:
    """Measure and return the block for RESULTS.md."""
    with tempfile.TemporaryDirectory() as place:
        repository = Path(place) / "repository"
        measure([sys.executable, "-m", "benchmarks.revision_pair", str(repository), str(rows)], cwd=ROOT)
        sizes = [(repository / f"{name}.parquet").stat().st_size / 2**20 for name in REVISIONS]
        ours = [compare(repository) for _ in quiet_rounds(runs, patience_s)]
        by_segment = {column: compare(repository, "--segment", column) for column in SEGMENTS}
        said = ours[0].output
    peer, one_s = measure_peer(peer_rows, peer_replicates)
    all_s = one_s * rows / peer_rows * 1000
    figures = [
        Figure("compare: every metric, 1,000 resamples, whole process", [cost.wall_s for cost in ours], "s",
               PREDICTED["wall_s"], at_most=AT_MOST_S),
        Figure("its peak memory", [cost.process_mib for cost in ours], "MiB", PREDICTED["process_mib"],
               at_most=AT_MOST_MIB),
        Figure("a resampling table of 365 days", sizes, "MiB", PREDICTED["table_mib"], at_most=TABLE_MIB),
        Figure(f"one paired replicate of {peer_rows:,} rows with scikit-learn (mean of {peer_replicates})", [one_s],
               "s", PREDICTED["replicate_s"]),
        Figure(f"times faster than 1,000 of those on {rows:,} rows (extrapolated)",
               [all_s / cost.wall_s for cost in ours], "×", PREDICTED["times"], at_least=AT_LEAST_TIMES),
    ]  # fmt: skip
    told = [(f"compare --segment {column}", number(PREDICTED_SEGMENTS_S), number(cost.wall_s), number(cost.process_mib))
            for column, cost in by_segment.items()]  # fmt: skip
    return "\n\n".join([
        f"Two revisions of a git repository with DVC, tables in the cache; {rows:,} test rows, **synthetic** "
        f"(`benchmarks/revision_pair.py`), 365 days drawn in runs of five, 20 carriers and 20 airports told apart "
        f"in the tables, {runs} runs of a process each. scikit-learn computes 8 of the 10 metrics and peaked at "
        f"{number(peer.tree_mib)} MiB with {peer_rows:,} rows; extrapolated in proportion to rows and replicates.",
        conditions([cost.others_cores for cost in ours] + [peer.others_cores]),
        table(figures),
        "One metric in every segment, once each:",
        text_table(("", "predicted, s", "wall, s", "peak, MiB"), told),
        f"What it said of `{DATASET}`:",
        f"```\n{said.strip()}\n```",
    ])  # fmt: skip
