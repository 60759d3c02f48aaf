"""Train in this process: the device, the room that the bins need, the booster, and the baseline that it has to beat.

Training, cross-validation and tuning fit by these same functions, so equal rows and settings give equal models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from stages.features.binning import bin_column
from stages.features.sketch import Sketch
from stages.features.table import FeatureTable
from stages.models.baseline import OneRule, Task, fit_one_rule, most_relevant
from stages.models.boosting import Fit, has_device
from stages.models.rows import Share, describe_rows, fit_share, goes_to_disk, refuse_without_room
from stages.models.settings import ModelSettings
from stages.workspace import layout
from stages.workspace.errors import UserError
from stages.workspace.files import read_json
from stages.workspace.seeds import child_seed
from stages.workspace.settings import read_cluster, read_scale, read_seed

BASELINE_BINS = 32


def refuse_absent_device(settings: ModelSettings, name: str) -> None:
    """Refuse a GPU that is not there."""
    path = f"datasets.{name}.model"
    if settings.device != "cpu" and not has_device(settings.device):
        raise UserError(
            f"an NVIDIA GPU that XGBoost can use, for {path}.device: {settings.device}",
            "none on this machine",
            f"train on the processor: `-S {path}.device=cpu`; or look at what `nvidia-smi` says",
        )


def fit_here(
    share: Share,
    sketches: Mapping[str, Sketch],
    settings: ModelSettings,
    each_round: Callable[[int, float, float], None],
    label: str,
) -> Fit:
    """The booster of one share of the rows, its bins on disk where memory has no room for them."""
    dataset = share.train.dataset
    rows = describe_rows(share, sketches, settings.max_bin)
    from_disk = settings.device == "cpu" and goes_to_disk(rows, read_scale().memory_limit_bytes, label)
    if from_disk:
        refuse_without_room(rows)
    return fit_share(
        share, settings=settings.for_booster(), threads=read_cluster().training_threads,
        seed=child_seed(read_seed(), "train", dataset), from_disk=from_disk, each_round=each_round,
    )  # fmt: skip


def fit_baseline(features: FeatureTable, sketches: Mapping[str, Sketch]) -> OneRule:
    """The one-rule baseline of the training rows, on the most relevant selected feature."""
    best = most_relevant(read_json(layout.selection(features.dataset))["features"])
    column = features.with_columns([best])
    bins = bin_column(best, sketches[best], column.columns[0].categories, BASELINE_BINS)
    task = cast("Task", features.task)  # the dataset contract knows no other
    return fit_one_rule(column.frames("train"), bins=bins, target=features.target, task=task, classes=features.classes)
