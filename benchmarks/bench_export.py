"""What does a graph cost beside the bundle that it came from: time, memory, room on disk?

nycflights and digits, exported; both score the same test rows with one thread in this process, one row and ten thousand
at a time.  In every round each is asked in turn.  Then each scores its example as a process of its own from a cold
start: the script of docs/export.md, and `stages.predict`.

    python -m benchmarks.bench_export [--runs 5]
"""

import argparse
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl

from benchmarks.measure import measure, others_cores, quiet_rounds
from benchmarks.report import Figure, conditions, table, write_block
from benchmarks.workspace import ROOT
from stages import export
from stages.exports.parity import Runner, code_rows
from stages.features.table import as_enums, open_features
from stages.models.bundle import EXAMPLE, open_bundle
from stages.models.contract import ByCodes, Float32

DATASETS = ("nycflights", "digits")
ROWS = 10_000
CALLS = {1: 1_000, ROWS: 3}
NEEDED = ("onnxruntime", "numpy")
OF_A_BUNDLE = ("xgboost", "lightgbm", "polars", "polars-runtime-32", "pyarrow", "scipy", "numpy")
# written down before the first run
PREDICTED = {
    ("nycflights", 1): 25.0, ("nycflights", ROWS): 30_000.0, ("digits", 1): 150.0, ("digits", ROWS): 600_000.0,
    "cold": 0.3, "memory": 90.0,
}  # fmt: skip
Scorers = dict[str, Callable[[Float32], Float32]]


def scorers_of(dataset: str, folder: Path) -> tuple[Scorers, Float32]:
    """Graph and bundle by name, and rows for both."""
    bundle = open_bundle(ROOT / "bundles" / dataset, threads=1)
    assert isinstance(bundle.model, ByCodes)
    graph = Runner((folder / export.MODEL).read_bytes())
    features = open_features(dataset, columns=bundle.model.features)
    some = as_enums(pl.concat(features.frames("test")).select(features.names), features.columns)
    coded = code_rows(some)
    rows = np.ascontiguousarray(np.resize(coded, (ROWS, coded.shape[1])))
    apart = float(np.abs(graph.predict(rows) - bundle.model.predict_coded(rows)).max())
    if apart > 1e-6:
        raise AssertionError(f"{dataset}: the two score up to {apart} apart")
    return {"graph": graph.predict, "bundle": bundle.model.predict_coded}, rows


def microseconds(score: Callable[[Float32], Float32], rows: Float32, calls: int) -> float:
    """The median time of a call."""
    score(rows)
    found = []
    for _ in range(calls):
        start = time.perf_counter()
        score(rows)
        found.append(time.perf_counter() - start)
    return 1e6 * median(found)


def time_calls(dataset: str, folder: Path, runs: int, patience_s: float) -> list[Figure]:
    """One row and many, by graph and bundle in turn."""
    scorers, rows = scorers_of(dataset, folder)
    found: dict[tuple[str, int], list[float]] = defaultdict(list)
    for _ in quiet_rounds(runs, patience_s):
        for size, calls in CALLS.items():
            for who, score in scorers.items():
                found[who, size].append(microseconds(score, np.ascontiguousarray(rows[:size]), calls))
    told = []
    for size in CALLS:
        graph, bundle = found["graph", size], found["bundle", size]
        unit, scale, what = ("µs", 1.0, "one row") if size == 1 else ("ms", 1e-3, f"{size:,} rows")
        expected = PREDICTED[dataset, size] * scale
        told += [
            Figure(f"{dataset}, {what}: graph", [scale * each for each in graph], unit, expected),
            Figure(f"{dataset}, {what}: bundle", [scale * each for each in bundle], unit),
            Figure(f"{dataset}, {what}: graph ÷ bundle", [a / b for a, b in zip(graph, bundle, strict=True)], "×"),
        ]
    return told


def cold_starts(dataset: str, folder: Path, runs: int, patience_s: float) -> list[Figure]:
    """The example, scored by a process from its start to its end."""
    (script,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/export.md").read_text(encoding="utf-8"), re.S)
    example = ROOT / "bundles" / dataset / EXAMPLE
    (folder / "rows.csv").write_bytes(example.read_bytes())
    commands = {
        "script": ([sys.executable, "-c", script], folder),
        "`stages.predict`": ([sys.executable, "-m", "stages.predict", f"bundles/{dataset}", str(example)], ROOT),
    }
    costs = defaultdict(list)
    for _ in quiet_rounds(runs, patience_s):
        for who, (command, cwd) in commands.items():
            costs[who].append(measure(command, cwd=cwd))
    told = []
    for who, each in costs.items():
        cpu, memory = (PREDICTED["cold"], PREDICTED["memory"]) if who == "script" else (None, None)
        told.append(Figure(f"{dataset}, ten rows from a cold start: {who}, CPU", [one.cpu_s for one in each], "s", cpu))
        peaks = [one.process_mib for one in each]
        told.append(Figure(f"{dataset}, ten rows from a cold start: {who}, memory", peaks, "MiB", memory))
    return told


def room(dataset: str, folder: Path) -> list[Figure]:
    """Of the model's own files on disk."""
    kept = sum(path.stat().st_size for path in (ROOT / "bundles" / dataset).glob("model*"))
    return [
        Figure(f"{dataset}, on disk: graph", [(folder / export.MODEL).stat().st_size / 1024], "KiB"),
        Figure(f"{dataset}, on disk: the bundle's model", [kept / 1024], "KiB"),
    ]


def installed(names: tuple[str, ...]) -> float:
    """MiB of packages on disk."""
    files = [Path(str(file.locate())) for name in names for file in distribution(name).files or []]
    return sum(path.stat().st_size for path in files if path.is_file()) / 2**20


def main(runs: int = 5, patience_s: float = 0.0) -> str:
    """Measure and return the block for RESULTS.md."""
    told, busy = [], [others_cores()]
    with tempfile.TemporaryDirectory(prefix="plumbline-benchmark-") as scratch:
        for dataset in DATASETS:
            folder = Path(scratch) / dataset
            export.main(str(ROOT / "bundles" / dataset), "-o", str(folder))
            told += time_calls(dataset, folder, runs, patience_s)
            told += cold_starts(dataset, folder, runs, patience_s) + room(dataset, folder)
            busy.append(others_cores())
    told.append(Figure("to install: ONNX Runtime and NumPy", [installed(NEEDED)], "MiB"))
    told.append(Figure("to install: the libraries of models and rows of a bundle", [installed(OF_A_BUNDLE)], "MiB"))
    return "\n\n".join([
        f"Packaged models and their graphs, one thread; {CALLS[1]:,} calls a figure of one row and {CALLS[ROWS]} of "
        f"{ROWS:,} rows; rounds: {runs}, interleaved. Both score the same.",
        conditions(busy),
        table(told),
    ])  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    text = main(parser.parse_args().runs)
    print(text)
    write_block("export", text)
