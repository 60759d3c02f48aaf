"""Fit one model on the training rows of one dataset, and the one-rule baseline it must beat.

Reads   data/features/<dataset>         rows in canonical order; manifest: task, kinds of columns
        data/selection/<dataset>.json   which features, and the most relevant of them
Writes  models/<dataset>/               model.ubj (or what its family writes), training.json, baseline.json
        plots/<dataset>/learning_curve.csv
        dvclive/<dataset>/              only with tracking.live: curves to watch, no output of the stage
Params  datasets.<dataset>.model, seed

Beyond ``scale.memory_limit_gib`` the bins go to disk and the model stays the same.  With ``distributed: true`` the rows
are shared out among the workers of the cluster; the model then depends on their number, which training.json tells.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import polars as pl

from stages.features.sketch import Sketch
from stages.features.table import (
    FeatureTable,
    open_features,
    read_selection,
    read_sketches,
    refuse_no_features,
    refuse_no_rows,
)
from stages.models.boosting import BoostingSettings
from stages.models.contract import FamilySettings, Fit
from stages.models.families import (
    FAMILIES,
    family_of,
    fit_baseline,
    fit_model,
    readable,
    refuse_impossible,
    write_model,
)
from stages.models.rows import Share
from stages.runtime.log import Progress, log, progress, start_log
from stages.runtime.tracking import live_curves
from stages.workspace import layout
from stages.workspace.errors import UserError, run_stage
from stages.workspace.files import require_writable, write_csv, write_json
from stages.workspace.seeds import child_seed
from stages.workspace.settings import read_scale, read_seed, read_settings, read_workers


def main(name: str) -> None:
    """Train on the dataset ``name``."""
    family = family_of(name)
    settings = read_settings(family.settings, name, "model")
    refuse_many_devices(settings, name)
    features = open_features(name, columns=read_selection(name))
    refuse_impossible(family, settings, features)
    check_parts(features)
    require_writable(layout.models(name), layout.plots(name))
    sketches = read_sketches(name)

    started = time.monotonic()
    with (
        progress(f"{name}: train", settings.rounds, "rounds") as counter,
        live_curves(name, _ticker(counter)) as each_round,
    ):
        fit, workers = fit_anywhere(features, sketches, settings, each_round)
    seconds = time.monotonic() - started
    rule = fit_baseline(features, sketches)

    write_model(layout.models(name), fit.model)
    write_json(layout.models(name) / "baseline.json", rule.to_json())
    write_json(layout.models(name) / "training.json", describe(fit, family.name, features, workers))
    write_csv(layout.plots(name) / "learning_curve.csv", learning_curve(fit))
    log.info("%s: best %s %.4f at round %d, %.1f s", name, fit.metric, fit.best, fit.best_round, seconds)


def fit_anywhere(
    features: FeatureTable,
    sketches: Mapping[str, Sketch],
    settings: FamilySettings,
    each_round: Callable[[int, float, float], None],
) -> tuple[Fit, int]:
    """The fitted model, and how many workers it was fitted on: 0 for this process alone."""
    if settings.distributed and isinstance(settings, BoostingSettings):
        from stages.models.boosting_workers import fit_on_workers  # Dask takes a second to import

        read = readable(FAMILIES[settings.family], features)

        return fit_on_workers(
            Share(read, read), sketches, settings=settings.for_booster(), workers=read_workers(),
            seed=child_seed(read_seed(), "train", features.dataset), limit_bytes=read_scale().memory_limit_bytes,
            each_round=each_round,
        )  # fmt: skip
    return fit_model(Share(features, features), sketches, settings, each_round, features.dataset), 0


def refuse_many_devices(settings: FamilySettings, name: str) -> None:
    """Refuse GPUs on many machines, which nobody has tried."""
    path = f"datasets.{name}.model"
    if settings.device == "cuda" and settings.distributed:
        raise UserError(
            f"{path}.device: cpu with {path}.distributed: true",
            "device: cuda; distributed training on GPUs needs NCCL, which this environment leaves out",
            f"set one of the two: `-S {path}.device=cpu` or `-S {path}.distributed=false`",
        )


def check_parts(features: FeatureTable) -> None:
    """Refuse to train without features, rows to fit and rows to stop on, with classes to tell apart in both."""
    refuse_no_features(features)
    refuse_no_rows(features, "train", "valid")
    for part in ("train", "valid") if features.classes else ():
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


def describe(fit: Fit, family: str, features: FeatureTable, workers: int = 0) -> dict[str, object]:
    """What is worth knowing of the fit, without a clock reading; ``workers`` of distributed training, else 0."""
    return {
        "family": family,
        "task": features.task,
        "features": len(fit.model.features),
        "rows": {part: features.rows(part) for part in ("train", "valid")},
        "metric": fit.metric,
        "rounds": len(fit.valid_losses),
        "best_round": fit.best_round,
        "train_loss": round(fit.train_losses[fit.best_round], 6),
        "valid_loss": round(fit.best, 6),
        **({"workers": workers} if workers else {}),
        **fit.told,
    }


def learning_curve(fit: Fit) -> pl.DataFrame:
    """Loss by round, long form: round, part, loss."""
    rounds = range(len(fit.valid_losses))
    curve = [
        pl.DataFrame({"round": rounds, "part": [part] * len(losses), "loss": [round(loss, 6) for loss in losses]})
        for part, losses in (("train", fit.train_losses), ("valid", fit.valid_losses))
    ]
    return pl.concat(curve)


def _ticker(counter: Progress) -> Callable[[int, float, float], None]:
    def tick(_round: int, train_loss: float, valid_loss: float) -> None:
        counter.advance(1, f"train {train_loss:.4f} valid {valid_loss:.4f}")

    return tick


if __name__ == "__main__":
    start_log()
    run_stage(main)
