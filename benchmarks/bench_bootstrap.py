"""How long do 1000 bootstrap replicates of every binary metric take on ten million scored rows, and how much memory?

Beside it, the same draws by resampling rows with scikit-learn: a few replicates measured, a thousand extrapolated.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.measure import Cost, measure, quiet_rounds
from benchmarks.report import Figure, conditions, number, table, text_table
from benchmarks.workspace import ROOT

ROWS, REPLICATES, PEER_REPLICATES = 10_000_000, 1000, 3
AT_MOST_S, AT_MOST_MIB = 10.0, 1024.0
# written down before the first run on ten million rows
PREDICTED = {"wall_s": 5.0, "added_mib": 500.0, "replicate_s": 25.0, "times": 5000.0}


def measure_line(rows: int, replicates: int, workers: int = 2) -> tuple[Cost, dict[str, Any]]:
    """One run of the line's bootstrap in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.resample_scores", str(rows), str(replicates), str(workers)]
    cost = measure(command, cwd=ROOT)
    return cost, json.loads(cost.output)


def measure_peer(rows: int, replicates: int, threshold: float) -> tuple[Cost, dict[str, Any]]:
    """A few replicates by scikit-learn, at the same threshold and with the same draws."""
    command = [sys.executable, "-m", "benchmarks.peer_bootstrap", str(rows), str(replicates), repr(threshold)]
    cost = measure(command, cwd=ROOT)
    return cost, json.loads(cost.output)


def largest_gaps(ours: Sequence[Mapping[str, float]], theirs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """By metric, the largest difference between paired replicates."""
    return {name: max(abs(a[name] - b[name]) for a, b in zip(ours, theirs, strict=False)) for name in theirs[0]}


def main(
    runs: int = 5,
    rows: int = ROWS,
    replicates: int = REPLICATES,
    peer_replicates: int = PEER_REPLICATES,
    patience_s: float = 0.0,
) -> str:
    """Measure and return the block for RESULTS.md."""
    ours = [measure_line(rows, replicates) for _ in quiet_rounds(runs, patience_s)]
    found = [result for _, result in ours]
    peer_cost, peer = measure_peer(rows, peer_replicates, found[0]["threshold"])
    one_s = peer["seconds"] / peer_replicates
    times = [one_s * replicates / result["wall_s"] for result in found]
    figures = [
        Figure(f"{replicates:,} replicates of 10 metrics, with intervals", [r["wall_s"] for r in found], "s",
               PREDICTED["wall_s"], at_most=AT_MOST_S),
        Figure("peak memory on top of the scores", [r["added_mib"] for r in found], "MiB", PREDICTED["added_mib"],
               at_most=AT_MOST_MIB),
        Figure(f"one replicate of 8 metrics with scikit-learn (mean of {peer_replicates})", [one_s], "s",
               PREDICTED["replicate_s"]),
        Figure(f"times faster than {replicates:,} of those (extrapolated)", times, "×", PREDICTED["times"]),
    ]  # fmt: skip
    steps = [(step, *(number(r["seconds"][step]) for r in found)) for step in found[0]["seconds"]]
    gaps = largest_gaps(found[0]["replicates"], peer["replicates"])
    return "\n\n".join([
        f"{rows:,} scored rows, **synthetic** (`benchmarks/synthetic.py`), 365 days drawn as clusters, {replicates:,} "
        f"replicates, {runs} runs of a process each, 2 worker threads; {found[0]['cells']:,} cells in the resampling "
        f"table. The clock runs from scores in memory to intervals; scikit-learn's process peaked at "
        f"{number(peer_cost.tree_mib)} MiB.",
        conditions([cost.others_cores for cost, _ in ours] + [peer_cost.others_cores]),
        table(figures),
        "Seconds by step, run by run:",
        text_table(("step", *(f"run {k + 1}" for k in range(runs))), steps),
        "The draws are the same, so replicates pair up; largest difference between a replicate here (scores coded in "
        "steps of 1/64 logit, moved by exact - coded as the intervals are) and scikit-learn's on the rows themselves:",
        text_table(("metric", "largest difference"), [(name, f"{gap:.1e}") for name, gap in gaps.items()]),
    ])  # fmt: skip
