"""How do the families of models do on the features of the workspace?  ``python -m benchmarks.study_families``.

Each family of `params/model/` is trained and judged by the stages themselves, in a folder of its own, on the features
and the selection that `dvc repro` has left; then it is compared with boosting by the paired test on the same rows.
Prints a Markdown table; the figures are those of a single look, one training each.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import measure
from stages.metrics.bootstrap import draw_weights
from stages.metrics.files import read_evaluation
from stages.metrics.paired import compare
from stages.metrics.stored import system_of, task_named, units_of
from stages.models.contract import TASKS
from stages.models.families import FAMILIES
from stages.pages.numbers import estimate_text, p_text
from stages.pages.tables import as_markdown, table
from stages.workspace import layout
from stages.workspace.composition import compose_params
from stages.workspace.files import read_json

ROOT = Path(__file__).parents[1]
SMALL = {  # settings for few rows, where a dataset has them
    ("digits", "boosting"): "boosting_small", ("diabetes", "boosting"): "boosting_few",
    ("digits", "network"): "network_small", ("diabetes", "network"): "network_small",
}  # fmt: skip


def main() -> None:
    """Print the table of the named datasets."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study_families", description=__doc__)
    parser.add_argument("datasets", nargs="*", default=["nycflights", "digits", "diabetes"])
    rows = [row for dataset in parser.parse_args().datasets for row in study(dataset)]
    heads = ("dataset", "family", "metric", "value [interval]", "less boosting's", "p", "train s", "train MiB")
    print(as_markdown(table("Families", heads, rows)))


def study(dataset: str) -> list[list[str]]:
    """A row for each family."""
    with tempfile.TemporaryDirectory(prefix="plumbline-families-") as folder:
        families = [name for name, family in FAMILIES.items() if {*TASKS} <= {*family.tasks}]
        costs = {family: train(dataset, family, Path(folder) / family) for family in families}
        tables = {family: read_evaluation(Path(folder) / family / layout.evaluation(dataset)) for family in families}
        results = {family: read_json(Path(folder) / family / layout.results(dataset)) for family in families}
    cells, header = tables["boosting"]
    metrics = task_named(header["task"]).metrics
    lead = next(iter(metrics))
    weights = draw_weights(len(units_of(cells)), header["replicates"], header["seed"], header["block"])
    rows = []
    for family, (wall_s, mib) in costs.items():
        found = compare(
            system_of(cells, header), system_of(*tables[family]), {lead: metrics[lead]}, weights,
            level=header["level"], block=header["block"],
        )[lead]  # fmt: skip
        own = results[family][lead]
        apart = family != "boosting"
        rows.append([
            dataset, family, lead, estimate_text(own["value"], own["low"], own["high"]),
            f"{estimate_text(found.difference, found.low, found.high, sign=True)} {found.verdict}" if apart else "",
            p_text(found.p_value) if apart else "", f"{wall_s:.1f}", f"{mib:.0f}",
        ])  # fmt: skip
    return rows


def train(dataset: str, family: str, folder: Path, overrides: Sequence[str] = ()) -> tuple[float, float]:
    """Train and judge in ``folder``; the wall time and the peak memory of training, the whole process."""
    (folder / "data").mkdir(parents=True)
    for name in ("features", "selection"):
        (folder / "data" / name).symlink_to(ROOT / "data" / name)
    (folder / "data/evaluation").mkdir()
    chosen = SMALL.get((dataset, family), family)
    text = compose_params(ROOT, [f"model@datasets.{dataset}.model={chosen}", *overrides])
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    env = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    cost = measure([sys.executable, "-m", "stages.train", dataset], cwd=folder, env=env)
    measure([sys.executable, "-m", "stages.evaluate", dataset], cwd=folder, env=env)
    return cost.wall_s, cost.process_mib


if __name__ == "__main__":
    main()
