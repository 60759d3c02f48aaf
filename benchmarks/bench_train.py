"""How much dearer is the stage `train` than plain XGBoost on arrays that are already in memory, and than LightGBM?

The setting of GBM-perf's airline benchmark (100 trees, depth 10, learning rate 0.1) on synthetic rows of its shape.
Interleaved: in every round the stage as one process from a cold start, reading its partitions, then each peer.  A
peer's clock starts when its arrays are there; its memory is that of its whole process.

    python -m benchmarks.bench_train [--rows 1000000,10000000] [--runs 3] [--device cuda]
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from sklearn import metrics

from benchmarks.contenders import find_python
from benchmarks.measure import Cost, measure, quiet_rounds
from benchmarks.report import Figure, conditions, table, text_table, write_block
from benchmarks.synthetic_airline import DATASET, LEVELS, TARGET, names_of, write_airline, write_params
from benchmarks.workspace import ROOT, stage_command
from stages.models.boosting import FAMILY
from stages.models.families import read_model

SIZES = (1_000_000, 10_000_000)
BARRED = 10_000_000  # the size of which the bars speak
WALL_AT_MOST, MEMORY_AT_MOST = 1.05, 0.5
TREES = 100
MODEL = {
    "max_depth": 10, "learning_rate": 0.1, "min_child_weight": 1.0, "subsample": 1.0, "colsample_bytree": 1.0,
    "reg_lambda": 1.0, "max_bin": 256, "max_rounds": TREES, "early_stopping_rounds": TREES,
}  # fmt: skip
LINE, FROM_DISK = "the stage `train`", "the same, bins on disk"
PLAIN, QUANTILE, LIGHTGBM = "plain XGBoost", "XGBoost, quantised at once", "LightGBM"
MEMORY_LIMIT_GIB = {LINE: 4.0, FROM_DISK: 0.25}
NEEDS = {LIGHTGBM: "lightgbm"}
# written down before the first run on a quiet machine: seconds and MiB for a million rows and for ten
PREDICTED = {
    LINE: {1_000_000: (55.0, 480.0), 10_000_000: (520.0, 1150.0)},
    FROM_DISK: {1_000_000: (57.0, 430.0), 10_000_000: (540.0, 900.0)},
    PLAIN: {1_000_000: (50.0, 450.0), 10_000_000: (505.0, 2150.0)},
    QUANTILE: {1_000_000: (50.0, 400.0), 10_000_000: (505.0, 1450.0)},
    LIGHTGBM: {1_000_000: (20.0, 400.0), 10_000_000: (150.0, 1300.0)},
}
# stage ÷ plain XGBoost: wall and memory
PREDICTED_RATIOS = {
    LINE: {1_000_000: (1.08, 1.07), 10_000_000: (1.03, 0.54)},
    FROM_DISK: {1_000_000: (1.12, 0.95), 10_000_000: (1.07, 0.42)},
}
PUBLISHED = (  # seconds and AUC on 1 and on 10 million rows, 2 cores, categories one-hot for XGBoost
    ("XGBoost", "5.5 s, 0.749", "79.5 s, 0.757"),
    ("LightGBM", "5.3 s, 0.765", "50.4 s, 0.792"),
)


@dataclass
class Contest:
    """What every round cost at one size: the process, the seconds that count, and the scores on the test rows."""

    rows: int
    costs: dict[str, list[Cost]] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)

    def note(self, name: str, cost: Cost, seconds: float, scores: dict[str, float]) -> None:
        """Keep one run."""
        self.costs.setdefault(name, []).append(cost)
        self.seconds.setdefault(name, []).append(seconds)
        self.scores[name] = scores

    def ratios(self, ours: str, peer: str) -> list[float]:
        """Seconds relative to the peer's, round by round."""
        return [one / other for one, other in zip(self.seconds[ours], self.seconds[peer], strict=True)]

    def memory_ratios(self, ours: str, peer: str) -> list[float]:
        """Peak memory relative to the peer's, round by round."""
        pairs = zip(self.costs[ours], self.costs[peer], strict=True)
        return [one.tree_mib / other.tree_mib for one, other in pairs]


def peers(device: str, trees: int) -> dict[str, list[str]]:
    """The commands of the peers that are installed here, without the folder of arrays."""
    plain = ["peer_xgboost.py", "--device", device, "--rounds", str(trees)]
    found = {PLAIN: plain, QUANTILE: [*plain, "--quantile"]}
    if device == "cpu" and find_python(NEEDS[LIGHTGBM]):
        found[LIGHTGBM] = ["peer_lightgbm.py", "--rounds", str(trees)]
    return found


def contest(rows: int, runs: int, *, device: str = "cpu", trees: int = TREES, patience_s: float = 0.0) -> Contest:
    """Every competitor once a round on the same rows."""
    found = Contest(rows)
    model = {**MODEL, "max_rounds": trees, "early_stopping_rounds": trees, "device": device}
    with tempfile.TemporaryDirectory(prefix="plumbline-benchmark-") as name:
        folder = Path(name)
        write_airline(folder, rows)
        for _ in quiet_rounds(runs, patience_s):
            for stage, limit in MEMORY_LIMIT_GIB.items():
                if device == "cpu" or stage == LINE:
                    write_params(folder, model, limit)
                    cost = measure(stage_command("train", DATASET), cwd=folder, env={"PYTHONPATH": str(ROOT)})
                    found.note(stage, cost, cost.wall_s, score_stage(folder))
            for peer, (script, *options) in peers(device, trees).items():
                python = find_python(NEEDS[peer]) if peer in NEEDS else None
                command = [
                    python[0] if python else sys.executable,
                    str(ROOT / "benchmarks" / script),
                    str(folder / "arrays"),
                    *options,
                ]
                cost = measure(command, cwd=folder)
                said = json.loads(cost.output)
                found.note(peer, cost, said.pop("seconds"), said)
    return found


def score_stage(folder: Path) -> dict[str, float]:
    """The scores of the model that the stage wrote, on the test rows."""
    features = folder / "data" / "features" / DATASET
    rows = pl.scan_parquet(features / "*.parquet").filter(pl.col("part") == "test").collect()
    rows = rows.with_columns(pl.col(name).cast(pl.Enum(names_of(name))) for name in LEVELS)
    scores = read_model(folder / "models" / DATASET, FAMILY).predict(rows)
    late = rows[TARGET].to_numpy()
    return {"auc": metrics.roc_auc_score(late, scores), "ap": metrics.average_precision_score(late, scores)}


def figures(found: Contest) -> list[Figure]:
    """The table of one size; the bars are those of ten million rows."""
    size, is_barred, told = f"{found.rows / 1e6:g} M rows", found.rows == BARRED, []
    nothing: tuple[float | None, float | None] = (None, None)
    for name, seconds in found.seconds.items():
        wall, memory = PREDICTED[name].get(found.rows, nothing)
        told += [
            Figure(f"{size}: {name}", seconds, "s", wall),
            Figure(f"{size}: {name}, peak memory", [cost.tree_mib for cost in found.costs[name]], "MiB", memory),
        ]
    for ours in (name for name in MEMORY_LIMIT_GIB if name in found.seconds):
        wall, memory = PREDICTED_RATIOS[ours].get(found.rows, nothing)
        told += [
            Figure(f"{size}: {ours} ÷ plain XGBoost, wall", found.ratios(ours, PLAIN), "×", wall,
                   at_most=WALL_AT_MOST if is_barred else None),
            Figure(f"{size}: {ours} ÷ plain XGBoost, memory", found.memory_ratios(ours, PLAIN), "×", memory,
                   at_most=MEMORY_AT_MOST if is_barred else None),
        ]  # fmt: skip
    return told


def block(contests: Sequence[Contest], runs: int, trees: int, device: str) -> str:
    """The text for RESULTS.md."""
    seen = [cost.others_cores for found in contests for costs in found.costs.values() for cost in costs]
    scored = [
        (f"{found.rows:,}", name, *(f"{scores[metric]:.6f}" for metric in ("auc", "ap")))
        for found in contests
        for name, scores in found.scores.items()
    ]
    missing = [name for name, module in NEEDS.items() if not find_python(module)]
    absent = f" Not installed, so not measured: {', '.join(missing)}." if missing else ""
    return "\n\n".join([
        "**Synthetic** rows of the shape of the airline benchmark (`benchmarks/synthetic_airline.py`): 8 features, 6 "
        f"of them categories; {trees} trees of depth 10, learning rate 0.1 (LightGBM: 512 leaves), device {device}, "
        f"{runs} interleaved rounds. The stage is timed as a process from its cold start, reading parquet; the peers "
        f"from the moment their arrays are in memory. All tell the losses of both parts after every tree.{absent}",
        conditions(seen),
        table([figure for found in contests for figure in figures(found)]),
        "Scores on 100,000 test rows (the stage keeps its trees up to the best round on the valid part, the peers keep "
        "all); average precision has to be no lower than plain XGBoost's:",
        text_table(("rows", "", "AUC", "average precision"), scored, left=(1,)),
        "Published for the real airline rows by GBM-perf (github.com/szilard/GBM-perf), 2 cores, other hardware:",
        text_table(("", "1 M rows: time, AUC", "10 M rows: time, AUC"), PUBLISHED),
    ])  # fmt: skip


def main(
    runs: int = 3, sizes: Sequence[int] = SIZES, *, device: str = "cpu", trees: int = TREES, patience_s: float = 0.0
) -> str:
    """Measure and return the block for RESULTS.md."""
    contests = [contest(rows, runs, device=device, trees=trees, patience_s=patience_s) for rows in sizes]
    return block(contests, runs, trees, device)


def command_line(words: Sequence[str] | None = None) -> None:
    """Other sizes, another device: printed, and written to RESULTS.md unless --dry."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_train")
    parser.add_argument("--rows", default=",".join(map(str, SIZES)), help="sizes, separated by commas")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--trees", type=int, default=TREES)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--patience", type=float, default=600.0, help="seconds to wait for a quiet machine (600)")
    parser.add_argument("--dry", action="store_true", help="print only")
    options = parser.parse_args(words)
    sizes = [int(rows) for rows in options.rows.split(",")]
    text = main(options.runs, sizes, device=options.device, trees=options.trees, patience_s=options.patience)
    if not options.dry:
        write_block("train", text)
    print(text)


if __name__ == "__main__":
    command_line()
