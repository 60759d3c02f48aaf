"""The line's bootstrap on synthetic scores: tabulate, add up, draw, measure, take intervals; run by bench_bootstrap.

python -m benchmarks.resample_scores ROWS REPLICATES
"""

import json
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.synthetic import synthetic_scores
from stages.metrics.binary import METRICS, BinaryDecision
from stages.metrics.bootstrap import Scores, draw_weights, interval, replicate
from stages.metrics.codes import calibrated_threshold, code_probabilities, count_codes
from stages.metrics.resampling import merge_cells, number_units, unit_names
from stages.runtime.partitions import map_partitions
from stages.workspace.settings import WorkerSettings

PARTITIONS = 12
PAIRED = 20  # replicates that are handed out for a comparison
TASK = BinaryDecision(threshold_code=0, cost_of_miss=3.0, cost_of_false_alarm=1.0)


def choose_task(late: NDArray[Any], scores: NDArray[Any]) -> BinaryDecision:
    """The threshold comes from other rows in the line; here from a sample of these, outside the clock."""
    some = slice(None, None, max(1, len(late) // 100_000))
    counts = count_codes(late[some], code_probabilities(scores[some]))
    return replace(TASK, threshold_code=calibrated_threshold(counts, cost_of_miss=3.0, cost_of_false_alarm=1.0))


def tabulate(
    day: NDArray[Any], late: NDArray[Any], scores: NDArray[Any], task: BinaryDecision, workers: int
) -> pl.DataFrame:
    """The resampling table, partition by partition as `evaluate` makes it."""

    def cells(part: slice) -> pl.DataFrame:
        names, units = number_units(pl.Series("day", day[part]))
        return task.tabulate(units, [name.zfill(3) for name in names], late[part].astype(np.int64), scores[part])

    ends = np.linspace(0, len(day), PARTITIONS + 1).astype(int).tolist()
    parts = [slice(start, stop) for start, stop in pairwise(ends)]
    return merge_cells(map_partitions(cells, parts, workers=_cluster(workers), label=None))


def _cluster(workers: int) -> WorkerSettings:
    return WorkerSettings(workers=workers, training_threads=0)


def resample(
    day: NDArray[Any], late: NDArray[Any], scores: NDArray[Any], task: BinaryDecision, *, replicates: int, workers: int
) -> dict[str, Any]:
    """Every metric of a binary task with its interval; seconds of each step; replicates for a comparison."""
    seconds: dict[str, float] = {}
    with clock(seconds, "tabulate"):
        cells = tabulate(day, late, scores, task, workers)
    with clock(seconds, "exact values"):
        exact = task.exact(late, scores)
    with clock(seconds, "draw and measure"):
        units = unit_names(cells)
        table = task.table(cells, units)
        coded = table.measure(np.ones((1, len(units))))
        drawn = replicate(table.measure, draw_weights(len(units), replicates, seed=1))
    with clock(seconds, "intervals"):
        found = {
            name: interval(
                drawn[name], float(coded[name][0]), method=metric.method or "percentile", level=0.95, name=name
            )
            for name, metric in METRICS.items()
        }
    return {
        "seconds": seconds,
        "cells": len(cells),
        "intervals": {name: (exact[name], one.low, one.high) for name, one in found.items()},
        "replicates": [shifted(drawn, exact, coded, k) for k in range(min(replicates, PAIRED))],
    }


def shifted(drawn: Scores, exact: Mapping[str, float], coded: Scores, k: int) -> dict[str, float]:
    """One replicate, moved by exact - coded as the line moves its intervals."""
    return {name: float(values[k] + exact[name] - coded[name][0]) for name, values in drawn.items()}


@contextmanager
def clock(seconds: dict[str, float], step: str) -> Iterator[None]:
    """Seconds of one step."""
    started = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - started


def peak_mib() -> float:
    """Peak resident memory since `forget_peak`, or since the start where the system cannot forget."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def forget_peak() -> None:
    """Start the peak again from what is resident now (Linux; see proc(5), clear_refs)."""
    refs = Path("/proc/self/clear_refs")
    if refs.exists():
        refs.write_text("5")


def main(rows: int, replicates: int, workers: int = 2) -> None:
    """Print one JSON object."""
    day, late, scores = synthetic_scores(rows)
    task = choose_task(late, scores)
    forget_peak()
    before = peak_mib()
    started = time.perf_counter()
    found = resample(day, late, scores, task, replicates=replicates, workers=workers)
    wall = time.perf_counter() - started
    memory = {"before_mib": before, "added_mib": peak_mib() - before}
    print(json.dumps({"wall_s": wall, "threshold": task.threshold, **memory, **found}))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
