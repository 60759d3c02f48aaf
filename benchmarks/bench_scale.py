"""Does every stage cost the same per row at 100 million flights as at 10 million, and in the same memory?

Reads   a folder of real months of `ontime` (--real); `benchmarks.simulate` makes the months in a row that are measured
Writes  the block in RESULTS.md, scale.json (every run of every stage), scale.svg (cost and memory against rows)

Sizes take turns.  Each starts from the published files in a clone of its own, one process a stage, without the cache of
partitions; boosting runs a fixed number of rounds, so that its cost per row means the same at every size.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks.draw_scale import draw_scale
from benchmarks.measure import Cost, quiet_rounds
from benchmarks.report import conditions, number, text_table, write_block
from benchmarks.simulated_months import (
    DATASET,
    FIRST,
    REAL,
    ROWS_A_MONTH,
    line_overrides,
    months_from,
    run_stages,
    simulate,
)
from benchmarks.workspace import ROOT, cloned, environment
from stages.workspace.files import read_json, write_json

STAGES = ("download", "clean", "featurize", "explore", "select_features", "train", "evaluate", "package")
SIZES = (10_000_000, 30_000_000, 100_000_000)
ROUNDS = 3  # enough to see how boosting grows with the rows; predictions were written for 50
COST_AT_MOST, MEMORY_AT_MOST, TRAIN_AT_MOST_MIB = 1.15, 1.15, 12 * 1024.0
GROWS = "train"  # gradients and labels of every training row; its bins too, where they fit the memory limit
KEPT, PICTURE = ROOT / "benchmarks" / "scale.json", ROOT / "benchmarks" / "scale.svg"
# written down before the first run: CPU in microseconds per row and peak memory in MiB at the smallest size, and the
# CPU per row of the largest size relative to that
PREDICTED = {
    "download": (0.1, 80.0, 0.6),
    "clean": (7.0, 1400.0, 1.0),
    "explore": (3.0, 900.0, 0.9),
    "featurize": (9.0, 1800.0, 1.0),
    "select_features": (2.5, 900.0, 0.95),
    "train": (14.0, 1500.0, 1.05),
    "evaluate": (1.5, 1200.0, 0.95),
    "package": (0.5, 350.0, 0.3),
}


@dataclass(frozen=True)
class Cell:
    """One stage once at one size."""

    rows: int
    stage: str
    cost: Cost

    @property
    def cpu_us(self) -> float:
        """CPU time per row."""
        return self.cost.cpu_s / self.rows * 1e6

    @property
    def wall_us(self) -> float:
        """Wall time per row."""
        return self.cost.wall_s / self.rows * 1e6


@dataclass(frozen=True)
class Setting:
    """What is the same at every size."""

    real: Path
    kind: str = "zip"
    rows_a_month: int = ROWS_A_MONTH
    stages: tuple[str, ...] = STAGES
    overrides: tuple[str, ...] = (
        f"scale.max_rounds={ROUNDS}",
        f"datasets.{DATASET}.model.early_stopping_rounds={ROUNDS}",
        "scale.memory_limit_gib=12",
    )


def measure_sizes(folder: Path, sizes: Sequence[int], setting: Setting, runs: int, patience_s: float) -> list[Cell]:
    """Every stage at every size, the sizes once a round; months are simulated into ``folder`` before."""
    months = {rows: months_from(FIRST, months_for(rows, setting.rows_a_month)) for rows in sizes}
    simulate(setting.real, folder, months[max(sizes)], rows=setting.rows_a_month, kind=setting.kind)
    cells = []
    for _ in quiet_rounds(runs, patience_s):
        for rows in sizes:
            with cloned(line_overrides(folder, months[rows], *setting.overrides)) as clone:
                costs = run_stages(clone, setting.stages, environment(clone))
            whole = len(months[rows]) * setting.rows_a_month
            cells += [Cell(whole, s, replace(c, output="")) for s, c in zip(setting.stages, costs, strict=True)]
    return cells


def months_for(rows: int, rows_a_month: int) -> int:
    """As many months as the rows fill; a train, a valid and a test part need three."""
    return max(3, -(-rows // rows_a_month))


def by_stage(cells: Sequence[Cell]) -> dict[str, dict[int, list[Cell]]]:
    """The runs of every stage by size, in the order of the line and from the smallest size up."""
    stages = list(dict.fromkeys(cell.stage for cell in cells))
    sizes = sorted({cell.rows for cell in cells})
    return {s: {rows: [c for c in cells if (c.stage, c.rows) == (s, rows)] for rows in sizes} for s in stages}


def cost_rows(cells: Sequence[Cell]) -> list[tuple[str, ...]]:
    """CPU per row of every stage: predicted, at every size, and of the largest size relative to the smallest."""
    rows = []
    for stage, found in by_stage(cells).items():
        cpu = [median(cell.cpu_us for cell in runs) for runs in found.values()]
        wall = [median(cell.wall_us for cell in runs) for runs in found.values()]
        predicted, _, relative = PREDICTED[stage]
        rows.append((
            stage, f"{number(predicted)} µs", *(f"{number(value)} µs" for value in cpu), f"{number(wall[-1])} µs",
            f"{number(relative)} ×", f"{number(cpu[-1] / cpu[0])} ×", f"{number(wall[-1] / wall[0])} ×",
            verdict(cpu[-1] / cpu[0], COST_AT_MOST),
        ))  # fmt: skip
    return rows


def memory_rows(cells: Sequence[Cell]) -> list[tuple[str, ...]]:
    """Peak memory of every stage, worst run: predicted, at every size, and of the largest relative to the smallest."""
    rows = []
    for stage, found in by_stage(cells).items():
        peaks = [max(cell.cost.tree_mib for cell in runs) for runs in found.values()]
        judged = (peaks[-1], TRAIN_AT_MOST_MIB) if stage == GROWS else (peaks[-1] / peaks[0], MEMORY_AT_MOST)
        bar = f"≤ {number(judged[1])} " + ("MiB" if stage == GROWS else "×")
        rows.append((
            stage, f"{number(PREDICTED[stage][1])} MiB", *(f"{number(peak)} MiB" for peak in peaks),
            f"{number(peaks[-1] / peaks[0])} ×", bar, verdict(*judged),
        ))  # fmt: skip
    return rows


def verdict(value: float, at_most: float) -> str:
    """Whether a bar is met."""
    return "met" if value <= at_most else "**missed**"


def train_growth(cells: Sequence[Cell]) -> str:
    """The sentence about the one stage whose memory grows: bytes for each further row of the data set."""
    found = by_stage(cells).get(GROWS, {})
    sizes = list(found)
    if len(sizes) < 2:
        return ""
    low, high = (max(cell.cost.tree_mib for cell in found[rows]) for rows in (sizes[0], sizes[-1]))
    grown = (high - low) * 2**20 / (sizes[-1] - sizes[0])
    return (
        f"`{GROWS}` took {number(grown)} bytes more for each further row: label, prediction, gradients and place in "
        "the tree of the training rows (seven in ten), and 2 to 6 bytes per feature value where bins fit into memory."
    )


def block(cells: Sequence[Cell], setting: Setting, runs: int) -> str:
    """The block for RESULTS.md."""
    sizes = [f"{rows:,}" for rows in sorted({cell.rows for cell in cells})]
    costs = ("stage", "predicted", *(f"CPU per row, {rows}" for rows in sizes), "wall, last", "predicted",
             "CPU, last ÷ first", "wall, last ÷ first", f"bar ≤ {COST_AT_MOST} × (CPU)")  # fmt: skip
    memory = ("stage", "predicted", *(f"peak, {rows}" for rows in sizes), "last ÷ first", "bar", "verdict")
    return "\n\n".join([
        f"{DATASET}, **simulated** months of {setting.rows_a_month:,} flights (`benchmarks.simulate`, {setting.kind}), "
        f"{runs} round{'s' * (runs > 1)}, a process a stage from a cold start, no cache of partitions; "
        f"{ROUNDS} boosting rounds at every size, memory limit 12 GiB. A prediction of a cost or a peak is for "
        "the smallest size. Nothing about flights follows from these rows, so no score is shown.",
        conditions([cell.cost.others_cores for cell in cells]),
        text_table(costs, cost_rows(cells), left=(0, len(costs) - 1)),
        text_table(memory, memory_rows(cells), left=(0, len(memory) - 1)),
        train_growth(cells),
        f"![cost and memory against rows]({PICTURE.name})",
    ])  # fmt: skip


def keep(cells: Sequence[Cell], kept: Path = KEPT, picture: Path = PICTURE) -> None:
    """Every run as JSON, and the picture of it."""
    write_json(kept, [asdict(cell) for cell in cells])
    draw_scale(by_stage(read_cells(kept)), picture)


def read_cells(kept: Path = KEPT) -> list[Cell]:
    """What was measured last."""
    found: list[Mapping[str, object]] = read_json(kept)
    return [Cell(**{**cell, "cost": Cost(**cell["cost"])}) for cell in found]  # type: ignore[arg-type]


def main(
    runs: int = 1, patience_s: float = 0.0, *, real: Path = REAL, sizes: Sequence[int] = SIZES, kind: str = "zip",
    folder: Path | None = None,
) -> str:  # fmt: skip
    """Measure and return the block for RESULTS.md; ``folder`` keeps simulated months for another time."""
    setting = Setting(real=real, kind=kind)
    with tempfile.TemporaryDirectory(prefix="plumbline-months-") as aside:
        cells = measure_sizes(folder or Path(aside) / "months", sizes, setting, runs, patience_s)
    keep(cells)
    return block(cells, setting, runs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_scale", description=__doc__)
    parser.add_argument("--real", type=Path, default=REAL, help="folder of real months (data/raw/ontime)")
    parser.add_argument("--months", type=Path, help="folder for simulated months; a temporary one when left out")
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES, help="sizes in rows, smallest first")
    parser.add_argument("--format", choices=("zip", "parquet"), default="zip", help="of the published files")
    parser.add_argument("--runs", type=int, default=1, help="rounds (1)")
    parser.add_argument("--patience", type=float, default=600.0, help="seconds to wait for a quiet machine (600)")
    given = parser.parse_args()
    text = main(given.runs, given.patience, real=given.real, sizes=given.rows, kind=given.format, folder=given.months)
    write_block("scale", text)
    print(text)
