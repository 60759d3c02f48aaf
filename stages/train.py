"""Fit one booster on the training rows of one dataset, and the one-rule baseline it must beat.

Reads   data/features/<dataset>         rows in canonical order; manifest: task, kinds of columns
        data/selection/<dataset>.json   which features, and the most relevant of them
Writes  models/<dataset>/               model.ubj, training.json, baseline.json
        plots/<dataset>/learning_curve.csv
Params  datasets.<dataset>.model, seed
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import cast

import polars as pl
from pydantic import Field

from stages.edges import layout
from stages.edges.errors import UserError, run_stage
from stages.edges.features import FeatureTable, open_features, read_selection, read_sketches
from stages.edges.files import read_json, write_csv, write_json
from stages.edges.log import Progress, log, progress, start_log
from stages.edges.models import write_booster
from stages.edges.settings import Settings, read_cluster, read_seed, read_settings
from stages.methods.baseline import OneRule, Task, fit_one_rule, most_relevant, rule_to_json
from stages.methods.binning import bin_column
from stages.methods.boosting import Fit, fit_booster
from stages.methods.seeds import child_seed

BASELINE_BINS = 32


class ModelSettings(Settings):
    """``datasets.<dataset>.model``: XGBoost's own names."""

    max_depth: int = Field(ge=1, le=20)
    learning_rate: float = Field(gt=0, le=1)
    min_child_weight: float = Field(ge=0)
    subsample: float = Field(gt=0, le=1)
    colsample_bytree: float = Field(gt=0, le=1)
    reg_lambda: float = Field(ge=0)
    max_bin: int = Field(ge=2, le=65_536)
    max_rounds: int = Field(ge=1)
    early_stopping_rounds: int = Field(ge=1)


def main(name: str) -> None:
    """Train on the dataset ``name``."""
    settings = read_settings(ModelSettings, name, "model")
    features = open_features(name, columns=read_selection(name))
    check_parts(features)

    rule = fit_baseline(features)
    started = time.monotonic()
    with progress(f"{name}: train", settings.max_rounds, "rounds") as counter:
        fit = fit_booster(
            _opener(features, "train"),
            _opener(features, "valid"),
            features=features.names,
            target=features.target,
            task=features.task,
            classes=len(features.classes),
            **settings.model_dump(),
            threads=read_cluster().training_threads,
            seed=child_seed(read_seed(), "train", name),
            each_round=_ticker(counter),
        )
    seconds = time.monotonic() - started

    write_booster(layout.models(name), fit.booster)
    write_json(layout.models(name) / "baseline.json", rule_to_json(rule))
    write_json(layout.models(name) / "training.json", describe(fit, features))
    write_csv(layout.plots(name) / "learning_curve.csv", learning_curve(fit))
    log.info("%s: best %s %.4f at round %d, %.1f s", name, fit.metric, fit.best, fit.best_round, seconds)


def check_parts(features: FeatureTable) -> None:
    """Refuse to train without features, rows to fit and rows to stop on, with classes to tell apart in both."""
    if not features.names:
        raise UserError(
            f"at least one selected feature of {features.dataset}",
            "none",
            f"loosen the thresholds of datasets.{features.dataset}.select_features",
        )
    for part in ("train", "valid"):
        if features.rows(part) == 0:
            raise UserError(
                f"labelled rows in the {part} part of {features.dataset}",
                "none",
                f"look at datasets.{features.dataset}.featurize.split and at metrics/{features.dataset}/clean.json",
            )
        if features.task != "regression":
            check_classes(features, part)


def check_classes(features: FeatureTable, part: str) -> None:
    """Refuse a part in which fewer than two classes occur, or a label that is none of them."""
    seen = {value for frame in features.with_columns([]).frames(part) for value in frame[features.target].unique()}
    known = seen & set(range(len(features.classes)))
    if len(known) < 2 or known != seen:
        found = ", ".join(repr(features.classes[value] if value in known else value) for value in sorted(seen))
        raise UserError(
            f"at least two classes in the {part} part of {features.dataset}, and no label without a class",
            f"only {found}" if known == seen else f"labels {found}",
            f"look at datasets.{features.dataset}.featurize.split",
        )


def fit_baseline(features: FeatureTable) -> OneRule:
    """The one-rule baseline on the most relevant selected feature."""
    best = most_relevant(read_json(layout.selection(features.dataset))["features"])
    sketch = read_sketches(features.dataset)[best]
    column = features.with_columns([best])
    bins = bin_column(best, sketch, column.columns[0].categories, BASELINE_BINS)
    task = cast("Task", features.task)  # the dataset contract knows no other
    return fit_one_rule(column.frames("train"), bins=bins, target=features.target, task=task, classes=features.classes)


def describe(fit: Fit, features: FeatureTable) -> dict[str, object]:
    """What is worth knowing of the fit, without a clock reading."""
    return {
        "task": features.task,
        "features": len(features.names),
        "rows": {part: features.rows(part) for part in ("train", "valid")},
        "metric": fit.metric,
        "rounds": len(fit.valid_losses),
        "best_round": fit.best_round,
        "train_loss": round(fit.train_losses[fit.best_round], 6),
        "valid_loss": round(fit.best, 6),
    }


def learning_curve(fit: Fit) -> pl.DataFrame:
    """Loss by round, long form: round, part, loss."""
    rounds = range(len(fit.valid_losses))
    curve = [
        pl.DataFrame({"round": rounds, "part": [part] * len(losses), "loss": [round(loss, 6) for loss in losses]})
        for part, losses in (("train", fit.train_losses), ("valid", fit.valid_losses))
    ]
    return pl.concat(curve)


def _opener(features: FeatureTable, part: str) -> Callable[[], Iterator[pl.DataFrame]]:
    return lambda: features.frames(part)


def _ticker(counter: Progress) -> Callable[[int, float, float], None]:
    def tick(_round: int, train_loss: float, valid_loss: float) -> None:
        counter.advance(1, f"train {train_loss:.4f} valid {valid_loss:.4f}")

    return tick


if __name__ == "__main__":
    start_log()
    run_stage(main)
