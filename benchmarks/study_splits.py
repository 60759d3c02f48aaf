"""How should boosting split categories and grow trees?  ``python -m benchmarks.study_splits``.

Each variant is trained by the stage itself, in a folder of its own, on the features and the selection that `dvc repro`
has left, and judged on the valid part, whose days are drawn together; then it is compared with the settings of
``params/`` by the paired test.  Every seed asks anew: what holds for one of them only is that seed's luck.
"""

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import polars as pl

from benchmarks.study_families import train
from stages.features.table import FeatureTable, open_features, read_selection
from stages.metrics.bootstrap import draw_weights
from stages.metrics.contract import System, Terms
from stages.metrics.paired import compare
from stages.metrics.resampling import merge_cells, number_units, unit_names
from stages.metrics.settings import EvaluateSettings
from stages.metrics.stored import task_named
from stages.models.families import FAMILIES, read_model
from stages.pages.numbers import estimate_text, p_text
from stages.pages.tables import as_markdown, table
from stages.workspace import layout
from stages.workspace.settings import read_settings

PRESENT = "as it is"
VARIANTS: Mapping[str, tuple[str, ...]] = {
    PRESENT: (),
    "one against the rest": ("max_cat_to_onehot=400",),
    "4 to one side": ("max_cat_threshold=4",),
    "16 to one side": ("max_cat_threshold=16",),
    "by level, 16 leaves": ("max_leaves=16",),
    "by gain, 16 leaves": ("grow_policy=lossguide", "max_leaves=16"),
    "by gain, 16 leaves, 10 levels": ("grow_policy=lossguide", "max_leaves=16", "max_depth=10"),
}
SHOWN = ("roc_auc", "log_loss")


class Judged(NamedTuple):
    """A variant on the valid part, and how many clusters of rows there are."""

    system: System
    units: int


def main() -> None:
    """Print a table for the dataset."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study_splits", description=__doc__)
    parser.add_argument("dataset", nargs="?", default="nycflights")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    rows = [row for seed in options.seeds for row in study(options.dataset, seed)]
    heads = ("seed", "variant", *(head for name in SHOWN for head in (name, "less as it is", "p")), "train s")
    print(as_markdown(table("Variants", heads, rows)))


def study(dataset: str, seed: int) -> list[list[str]]:
    """A row for each variant."""
    features = open_features(dataset, columns=read_selection(dataset))
    judged: dict[str, Judged] = {}
    times = {}
    with tempfile.TemporaryDirectory(prefix="plumbline-splits-") as folder:
        for number, (variant, changes) in enumerate(VARIANTS.items()):
            own = Path(folder) / str(number)
            changes = tuple(f"datasets.{dataset}.model.{change}" for change in changes)
            times[variant], _ = train(dataset, "boosting", own, (f"seed={seed}", *changes))
            judged[variant] = judge(features, own / layout.models(dataset))
    settings, metrics = read_settings(EvaluateSettings, dataset, "evaluate"), task_named(features.task).metrics
    shown = {name: metrics[name] for name in SHOWN}
    weights = draw_weights(judged[PRESENT].units, settings.replicates, seed, settings.block)
    rows = []
    for variant, (system, _) in judged.items():
        cells = [str(seed), variant]
        found = compare(judged[PRESENT].system, system, shown, weights, level=settings.level, block=settings.block)
        for name in SHOWN:
            gap = found[name]
            apart = variant != PRESENT
            told = f"{estimate_text(gap.difference, gap.low, gap.high, sign=True)} {gap.verdict}" if apart else ""
            cells += [f"{system.exact[name]:.4f}", told, p_text(gap.p_value) if apart else ""]
        rows.append([*cells, f"{times[variant]:.1f}"])
    return rows


def judge(features: FeatureTable, folder: Path) -> Judged:
    """The model in ``folder`` on the valid part, its clusters drawn together."""
    settings, task = read_settings(EvaluateSettings, features.dataset, "evaluate"), task_named(features.task)
    assert features.cluster is not None, "rows of a dataset in clusters, such as days"
    frame = pl.concat(features.frames("valid", extra=[features.cluster]))
    labels = frame[features.target].to_numpy().astype(task.label_type)
    scores = read_model(folder, FAMILIES["boosting"]).predict(frame)
    costs = {name: getattr(settings, name) for name in ("cost_of_miss", "cost_of_false_alarm")}
    terms = Terms(len(features.classes), **costs)
    decision = task.decide_by(labels, scores, terms)
    names, units = number_units(frame[features.cluster])
    cells = merge_cells([decision.tabulate(units, names, labels, scores)])
    return Judged(System(decision.table(cells, unit_names(cells)), decision.exact(labels, scores)), len(names))


if __name__ == "__main__":
    main()
