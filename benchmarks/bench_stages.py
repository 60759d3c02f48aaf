"""What does every stage cost, what does starting one cost, and what does DVC add around them?

Each stage runs as `dvc.yaml` runs it, one process from a cold start, in a clone of its own.  Then `make repro` from an
empty cache on the built environment, and `dvc repro` with nothing to do beside `dvc version`, taking turns.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.measure import Cost, measure, quiet_rounds
from benchmarks.report import Figure, conditions, number, table, text_table
from benchmarks.workspace import cloned, empty_outputs, environment, stage_command

STAGES = ("download", "clean", "featurize", "explore", "select_features", "train", "evaluate", "package")
DATASETS = ("nycflights", "digits")
STAGE_AT_MOST_MIB = 1024.0
REPRO_AT_MOST_S, IDLE_AT_MOST = 150.0, 2.5
# written down before the first run on a quiet machine
PREDICTED = {"repro_s": 75.0, "version_s": 1.2, "idle_s": 2.5, "idle_ratio": 2.1}
PREDICTED_STAGES = {  # nycflights: seconds, MiB
    "download": (1.5, 120.0),
    "clean": (4.0, 450.0),
    "explore": (9.0, 400.0),
    "featurize": (7.0, 550.0),
    "select_features": (4.0, 400.0),
    "train": (15.0, 500.0),
    "evaluate": (3.0, 350.0),
    "package": (2.0, 250.0),
}
Costs = Mapping[tuple[str, str], Sequence[Cost]]
HEADER = (
    "stage",
    "dataset",
    "predicted",
    "wall (min – max)",
    "start-up",
    "CPU",
    "predicted",
    "peak memory",
    "bar",
)


def measure_stages(
    clone: Path, runs: int, datasets: Sequence[str] = DATASETS, stages: Sequence[str] = STAGES, patience_s: float = 0.0
) -> dict[tuple[str, str], list[Cost]]:
    """Every stage of every dataset, the whole line once a round."""
    env = environment(clone)
    costs: dict[tuple[str, str], list[Cost]] = {}
    for _ in quiet_rounds(runs, patience_s):
        empty_outputs(clone)
        for dataset in datasets:
            for stage in stages:
                cost = measure(stage_command(stage, dataset), cwd=clone, env=env)
                costs.setdefault((stage, dataset), []).append(cost)
    return costs


def measure_imports(clone: Path, runs: int, patience_s: float = 0.0) -> dict[str, list[Cost]]:
    """Importing a stage's module and nothing else; ``""`` is Python itself."""
    modules = {"": "pass", **{stage: f"import stages.{stage}" for stage in STAGES}}
    found: dict[str, list[Cost]] = {stage: [] for stage in modules}
    for _ in quiet_rounds(runs, patience_s):
        for stage, code in modules.items():
            found[stage].append(measure([sys.executable, "-c", code], cwd=clone, env=environment(clone)))
    return found


def measure_whole(clone: Path, runs: int, patience_s: float = 0.0, as_committed: bool = True) -> list[Cost]:
    """`make repro` on a built environment with nothing in the cache, all datasets.

    ``-o setup`` tells make that the environment is up to date: it is the one that runs this.  Parameters that are not
    ``as_committed`` are none that `make repro` would run, only `dvc repro`.
    """
    costs, command = [], ["make", "repro", "-o", "setup"] if as_committed else ["dvc", "repro"]
    for _ in quiet_rounds(runs, patience_s):
        empty_outputs(clone)
        costs.append(measure(command, cwd=clone, env=environment(clone)))
    return costs


def measure_idle(clone: Path, runs: int, patience_s: float = 0.0) -> tuple[list[Cost], list[Cost]]:
    """`dvc repro` with nothing to do and `dvc version`, taking turns, in a clone that is up to date."""
    idle, version = [], []
    for _ in quiet_rounds(runs, patience_s):
        version.append(measure(["dvc", "version"], cwd=clone, env=environment(clone)))
        idle.append(measure(["dvc", "repro"], cwd=clone, env=environment(clone)))
    return idle, version


def stage_rows(costs: Costs, imports: Mapping[str, Sequence[Cost]]) -> list[tuple[str, ...]]:
    """The table of stages, in the order in which they run."""
    rows: list[tuple[str, ...]] = []
    for (stage, dataset), found in costs.items():
        walls, peak = [cost.wall_s for cost in found], max(cost.tree_mib for cost in found)
        wall, memory = PREDICTED_STAGES[stage] if dataset == DATASETS[0] else (None, None)
        rows.append((
            stage, dataset,
            f"{number(wall)} s" if wall else "–",
            f"{number(median(walls))} s ({number(min(walls))} – {number(max(walls))})",
            f"{number(median(cost.wall_s for cost in imports[stage]))} s",
            f"{number(median(cost.cpu_s for cost in found))} s",
            f"{number(memory)} MiB" if memory else "–",
            f"{number(peak)} MiB",
            "met" if peak < STAGE_AT_MOST_MIB else "**missed**",
        ))  # fmt: skip
    return rows


def main(
    runs: int = 5, overrides: Sequence[str] = (), datasets: Sequence[str] = DATASETS, patience_s: float = 0.0
) -> str:
    """Measure and return the block for RESULTS.md."""
    with cloned(overrides) as clone:
        costs = measure_stages(clone, max(1, runs // 2), datasets, patience_s=patience_s)
        imports = measure_imports(clone, runs, patience_s=patience_s)
        whole = measure_whole(clone, max(1, runs // 2), patience_s, as_committed=not overrides)
        idle, version = measure_idle(clone, runs, patience_s=patience_s)
    figures = [
        Figure("`make repro`, built environment, empty cache, both datasets", [c.wall_s for c in whole], "s",
               PREDICTED["repro_s"], at_most=REPRO_AT_MOST_S),
        Figure("`dvc version`", [c.wall_s for c in version], "s", PREDICTED["version_s"]),
        Figure("`dvc repro` with nothing to do", [c.wall_s for c in idle], "s", PREDICTED["idle_s"]),
        Figure("`dvc repro` ÷ `dvc version`", [a.wall_s / b.wall_s for a, b in zip(idle, version, strict=True)], "×",
               PREDICTED["idle_ratio"], at_most=IDLE_AT_MOST),
        Figure("start-up of the eight stages together", [sum(c[k].wall_s for s, c in imports.items() if s)
               for k in range(runs)], "s"),
        Figure("start-up of Python alone", [c.wall_s for c in imports[""]], "s"),
    ]  # fmt: skip
    everything = [c for group in (*costs.values(), *imports.values(), whole, idle, version) for c in group]
    return "\n\n".join([
        f"nycflights (336,776 flights) and digits (1,797 images), parameters as committed; stages and `make repro` "
        f"{max(1, runs // 2)} times, start-up and idle runs {runs} times, warm disk cache, each process from a cold "
        "start.",
        conditions([c.others_cores for c in everything]),
        table(figures),
        f"Peak memory is that of the stage's whole process tree, worst run; the bar is "
        f"{number(STAGE_AT_MOST_MIB)} MiB. Start-up is part of the wall time. `explore` hangs off "
        "`featurize` beside the line and starts a Jupyter kernel.",
        text_table(HEADER, stage_rows(costs, imports), left=(0, 1)),
    ])  # fmt: skip
