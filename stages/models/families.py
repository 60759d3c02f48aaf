"""Which families of models there are, and how training, tuning and cross-validation fit by them.

All fit by `fit_model`, so equal rows and settings give equal models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from stages.features.binning import bin_column
from stages.features.sketch import Sketch
from stages.features.table import FeatureTable
from stages.models import bagging, blend, boosting, cnn, direct, forecasts, forest, lightgbm, linear, network, words
from stages.models.baseline import fit_one_rule, most_relevant, rule_from_json
from stages.models.contract import Baseline, DamagedModel, Family, FamilySettings, Fit, Model
from stages.models.rows import Share, Ticker, Training
from stages.models.trees import has_device
from stages.workspace import layout
from stages.workspace.errors import UserError, plain_words
from stages.workspace.files import read_json, whole_file
from stages.workspace.seeds import child_seed
from stages.workspace.settings import Settings, read_scale, read_seed, read_settings, read_workers

_SINGLE = {
    family.name: family
    for family in (
        boosting.FAMILY,
        lightgbm.FAMILY,
        forest.FAMILY,
        bagging.FAMILY,
        linear.FAMILY,
        network.FAMILY,
        cnn.FAMILY,
        words.FAMILY,
    )
}
FAMILIES: Mapping[str, Family] = {**_SINGLE, "blend": blend.family_of(_SINGLE), "direct": direct.FAMILY}
BASELINE_BINS = 32
FIRST = "boosting"  # of models that were written before there was another


class _AnyFamily(Settings, extra="ignore"):
    family: str = FIRST


def family_of(dataset: str) -> Family:
    """The family that ``datasets.<dataset>.model.family`` names."""
    name = read_settings(_AnyFamily, dataset, "model").family
    return family_named(name, f"datasets.{dataset}.model.family", f"-S model@datasets.{dataset}.model=boosting")


def family_named(name: str, where: str, example: str = "") -> Family:
    """The family of that name; an unknown one is an error that lists the known."""
    if name not in FAMILIES:
        choose = f"choose one: `{example}`" if example else "open it with the version of the code that wrote it"
        raise UserError(f"{where}: {', '.join(FAMILIES)}", repr(name), choose)
    return FAMILIES[name]


def refuse_impossible(family: Family, settings: FamilySettings, table: FeatureTable) -> None:
    """Refuse what a family cannot do, and a GPU that is not there."""
    path = f"datasets.{table.dataset}.model"
    if table.task not in family.tasks:
        raise UserError(
            f"a family that can do the task of {table.dataset} ({table.task})",
            f"{path}.family: {family.name}, which does {', '.join(family.tasks)}",
            f"choose another one of {', '.join(FAMILIES)}: `-S model@{path}=boosting`",
        )
    refuse_settings(family, settings, path)


def refuse_settings(family: Family, settings: FamilySettings, path: str) -> None:
    """Refuse who shall do the work where the family cannot let them."""
    if settings.distributed and not family.distributes:
        able = ", ".join(name for name, each in FAMILIES.items() if each.distributes)
        raise UserError(
            f"{path}.distributed: true with a family that trains on several machines ({able})",
            f"family: {family.name}",
            f"set {path}.distributed=false, or choose `-S model@{path}=boosting`",
        )
    if settings.device not in family.devices:
        able = ", ".join(name for name, each in FAMILIES.items() if settings.device in each.devices)
        raise UserError(
            f"{path}.device: {settings.device} with a family that trains there ({able})",
            f"family: {family.name}",
            f"train on the processor: `-S {path}.device=cpu`",
        )
    if settings.device != "cpu" and not has_device(settings.device):
        raise UserError(
            f"an NVIDIA GPU that XGBoost can use, for {path}.device: {settings.device}",
            "none on this machine",
            f"train on the processor: `-S {path}.device=cpu`; or look at what `nvidia-smi` says",
        )
    with plain_words():
        family.ready(settings, path)


def readable(family: Family, table: FeatureTable) -> FeatureTable:
    """The table with those of its features that the family reads."""
    names = [column.name for column in family.reads(table.columns)]
    if table.names and not names:
        kinds = ", ".join(sorted({column.kind for column in table.columns}))
        raise UserError(
            f"a family that can read the features of {table.dataset} ({kinds})",
            f"datasets.{table.dataset}.model.family: {family.name}",
            f"choose another one of {', '.join(FAMILIES)}: `-S model@datasets.{table.dataset}.model=…`",
        )
    return table.with_columns(names)


def _read_by(settings: FamilySettings, share: Share) -> Share:
    """The share as the family of these settings sees it."""
    family = FAMILIES[settings.family]
    return replace(share, train=readable(family, share.train), valid=readable(family, share.valid))


def fit_model(
    share: Share, sketches: Mapping[str, Sketch], settings: FamilySettings, each_round: Ticker, label: str
) -> Fit:
    """The model of one share of the rows, fitted by this process."""
    dataset = share.train.dataset
    training = Training(
        _read_by(settings, share), sketches, child_seed(read_seed(), "train", dataset), read_workers().training_threads,
        read_scale().memory_limit_bytes, label, each_round,
    )  # fmt: skip
    with plain_words():
        return FAMILIES[settings.family].fit(training, settings)


@contextmanager
def open_trainings(
    share: Share, sketches: Mapping[str, Sketch], settings: FamilySettings
) -> Iterator[Callable[[int], Fit]]:
    """A function from a seed to the model that `fit_model` would fit with it; boosting bins its rows once for all."""
    share = _read_by(settings, share)
    threads, limit, dataset = read_workers().training_threads, read_scale().memory_limit_bytes, share.train.dataset

    def training(seed: int) -> Training:
        return Training(share, sketches, seed, threads, limit, dataset, _untold)

    if type(settings) is boosting.BoostingSettings:
        with training(0).pages(settings.max_bin, may_use_disk=settings.device == "cpu") as pages:
            yield boosting.on_the_same_bins(training, settings, pages)
    else:
        yield lambda seed: FAMILIES[settings.family].fit(training(seed), settings)


def _untold(_round: int, _train_loss: float, _valid_loss: float) -> None:
    """Nobody waits for single rounds."""


def fit_baseline(features: FeatureTable, sketches: Mapping[str, Sketch]) -> Baseline:
    """What the model must beat: the best naive forecast, or one rule on the most relevant selected feature."""
    if features.task == forecasts.TASK:
        return forecasts.fit_naive(features)
    best = most_relevant(read_json(layout.selection(features.dataset))["features"])
    column = features.with_columns([best])
    bins = bin_column(best, sketches[best], column.columns[0].categories, BASELINE_BINS)
    return fit_one_rule(column.frames("train"), bins=bins, target=features.target, classes=features.classes)


def read_baseline(dataset: str) -> Baseline:
    """The baseline of a trained dataset."""
    content = read_json(layout.models(dataset) / "baseline.json")
    return forecasts.naive_from_json(content) if content.get("kind") == forecasts.KIND else rule_from_json(content)


def write_model(folder: Path, model: Model) -> None:
    """Write the files of a model; those of another one that stood there go."""
    files = model.files()
    for name, content in files.items():
        with whole_file(folder / name) as aside:
            aside.write_bytes(content)
    for path in model_files(folder):
        if path.name not in files:
            path.unlink()


def model_files(folder: Path) -> list[Path]:
    """The files of the model in ``folder``."""
    return sorted(folder.glob("model*"))


def read_model(folder: Path, family: Family, threads: int = 0) -> Model:
    """The model in ``folder``; ``threads`` 0 takes every core."""
    files = {path.name: path.read_bytes() for path in model_files(folder)}
    if not files:
        raise UserError(
            f"a model of the family {family.name} in {folder}", "no file model*", "run `dvc repro`, or `dvc pull`"
        )
    try:
        model = family.load(files)
    except DamagedModel as error:
        raise UserError(
            f"a model of the family {family.name} in {folder}",
            f"a damaged file: {error}",
            f"remove {folder} and run `dvc repro`",
        ) from None
    model.use_threads(threads)
    return model


def open_model(table: FeatureTable, threads: int = 0) -> Model:
    """The trained model of a dataset, which must be one of these features, as far as its family reads them."""
    folder = layout.models(table.dataset)
    family = family_named(read_json(folder / "training.json").get("family", FIRST), f"the family in {folder}")
    model = read_model(folder, family, threads)
    if model.features != (names := readable(family, table).names):
        raise UserError(f"the features {', '.join(model.features)}", ", ".join(names), "run `dvc repro`")
    return model


def say_fitted(training: Mapping[str, Any]) -> str:
    """What kind of model, on how many features, and which rows it was fitted to."""
    family = family_named(training.get("family", FIRST), "the family of training.json")
    held = f"{training['rows']['valid']:,} later or held-out ones"
    last = f"the number of rounds was chosen on {held}" if family.stops_early else f"{held} were not fitted to"
    return (
        f"{family.words(training, family.library())} on {training['features']} features, fitted to "
        f"{training['rows']['train']:,} rows; {last}."
    )
