"""How often is a change found that is none?  ``python -m benchmarks.study_seeds``.

Trains the model of a dataset many times, with nothing but the seed changed, and compares the trainings with each other:
one with one, as a test of two given models does, and in groups, as the test of a change does.  Whatever is called
better or worse here is a false alarm.  Groups are drawn again and again from the same trainings, so the last digit of a
share says little.  Prints a Markdown table.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.measure import measure
from stages.metrics.bootstrap import Float, Scores, draw_both
from stages.metrics.contract import Metric, System, Tabulated
from stages.metrics.evidence import Share
from stages.metrics.files import read_evaluation
from stages.metrics.paired import Difference, compare, compare_trained, correct
from stages.metrics.stored import system_of, task_named, units_of, valid_units_of
from stages.pages.numbers import share_text
from stages.pages.tables import as_markdown, table
from stages.workspace import layout
from stages.workspace.composition import compose_params

ROOT = Path(__file__).parents[1]
PAIRS = 400


def main() -> None:
    """Print the table of the named datasets."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study_seeds", description=__doc__)
    parser.add_argument("datasets", nargs="*", default=["nycflights", "digits", "diabetes"])
    parser.add_argument("--trainings", type=int, default=40)
    options = parser.parse_args()
    rows = [row for dataset in options.datasets for row in study(dataset, options.trainings)]
    heads = ("dataset", "trainings", "pairs", "any verdict", "most alarms at a single look", "their share")
    print(as_markdown(table("False alarms", heads, rows)))


def study(dataset: str, trainings: int) -> list[list[str]]:
    """A row for each size of the groups."""
    with tempfile.TemporaryDirectory(prefix="plumbline-seeds-") as folder:
        cells, header = read_evaluation(train(dataset, trainings, Path(folder)))
    systems, metrics, rules = remembered(cells, header), judging_metrics(header), rules_of(header)
    weights = weights_of(cells, header)
    held = weights[:, : len(units_of(cells))]  # a given model keeps its threshold
    generator = np.random.default_rng(1)
    rows = []
    for label, (k_a, k_b) in {
        "1, as models": (1, 1),
        "5 and 1": (5, 1),
        "3": (3, 3),
        "5": (5, 5),
        "10": (10, 10),
    }.items():
        if k_a + k_b > len(systems):
            continue
        found = []
        for _ in range(PAIRS):
            drawn = [systems[place] for place in generator.permutation(len(systems))[: k_a + k_b]]
            a, b = drawn[:k_a], drawn[k_a:]
            if k_a == 1:
                found.append(compare(a[0], b[0], metrics, held, **rules))
            else:
                found.append(compare_trained(a, b, metrics, weights, **rules))
        rows.append([dataset, label, str(PAIRS), *alarms(found)])
    return rows


def remembered(cells: pl.DataFrame, header: Mapping[str, Any]) -> list[System]:
    """Every training of a table."""
    return [Remembered.of(system_of(cells, header, name)) for name in header["systems"]]


def judging_metrics(header: Mapping[str, Any]) -> dict[str, Metric]:
    """Those that carry a verdict."""
    return {name: each for name, each in task_named(header["task"]).metrics.items() if not each.descriptive}


def rules_of(header: Mapping[str, Any]) -> dict[str, Any]:
    """By what level and length of runs trainings are compared."""
    return {"level": header["level"], "block": header["block"]}


def weights_of(cells: pl.DataFrame, header: Mapping[str, Any]) -> Float:
    """Draws of the test units, and beside them of the valid ones where thresholds are chosen on them."""
    n_valid = len(valid_units_of(cells, list(header["systems"])))
    return draw_both(len(units_of(cells)), n_valid, header["replicates"], header["seed"], header["block"])


def alarms(found: list[dict[str, Difference]]) -> list[str]:
    """Shares of pairs with any verdict after Holm's correction; the metric with most verdicts before it."""
    verdicts = ("better", "worse")
    anywhere = np.mean(
        [any(each.verdict in verdicts for each in correct(list(pair.values()), "holm")) for pair in found]
    )
    single = {name: np.mean([pair[name].verdict in verdicts for pair in found]) for name in found[0]}
    worst = max(single, key=lambda name: single[name])
    return [share_text(float(anywhere)), worst, share_text(float(single[worst]))]


@dataclass
class Remembered:
    """A table that measures the same weights once."""

    table: Tabulated
    known: dict[bytes, Scores] = field(default_factory=dict)

    @classmethod
    def of(cls, system: System) -> System:
        """The system, with such a table."""
        return System(cls(system.table), system.exact)

    @property
    def counts(self) -> Float:
        """As the table."""
        return self.table.counts

    @property
    def shares(self) -> Mapping[str, Share]:
        """As the table."""
        return self.table.shares

    def measure(self, weights: Float) -> Scores:
        """As the table."""
        key = weights.tobytes()
        if key not in self.known:
            self.known[key] = self.table.measure(weights)
        return self.known[key]


def train(
    dataset: str,
    trainings: int,
    folder: Path,
    settings: Sequence[str] = (),
    change: Callable[[Path], None] | None = None,
) -> Path:
    """The tables of so many further trainings, made in ``folder``, after a ``change`` of its files."""
    for name in ("data/features", "data/selection", "models"):  # links to the files, which `dvc repro` may remove
        shutil.copytree(ROOT / name, folder / name, copy_function=os.link)
    overrides = [
        f"datasets.{dataset}.evaluate.trainings={trainings + 1}",
        f"datasets.{dataset}.evaluate.segments=[]",
        *settings,
    ]
    (folder / "params.yaml").write_text(compose_params(ROOT, overrides), encoding="utf-8")
    if change is not None:
        change(folder)
    env = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
    measure([sys.executable, "-m", "stages.retrain", dataset], cwd=folder, env=env)
    return folder / layout.trainings(dataset)


if __name__ == "__main__":
    main()
