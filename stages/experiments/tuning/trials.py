"""The rows of a search: read and binned for the first trial, kept for the others as far as memory allows.

Reading and binning depend on ``max_bin`` and on nothing else that is searched.  Where the rows of all folds and of all
values of ``max_bin`` do not fit into ``scale.memory_limit_gib`` together, those that waited longest are read again.
Only rows of the train and the valid part are ever asked for.

How good is one trial of a search, by the metric that the search was asked to improve?

The metrics are those of the evaluation, on other rows.  A decision's threshold is chosen on the rows on which boosting
was stopped; without folds they are the rows that are judged as well, as the present parameters are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.experiments.folds.table import time_folds
from stages.features.sketch import Sketch
from stages.features.table import FeatureTable
from stages.metrics.contract import Terms
from stages.metrics.stored import task_named
from stages.models.binned import BinnedRows, bin_like, bin_rows
from stages.models.boosting import BoostingSettings
from stages.models.contract import FamilySettings, Fit
from stages.models.families import FAMILIES
from stages.models.lean_xgboost import xgb
from stages.models.rows import (
    Share,
    Ticker,
    Training,
    TrainingRows,
    bytes_of_bins,
    describe_rows,
    estimate_in_memory,
    goes_to_disk,
    page_names,
    refuse_without_room,
)
from stages.models.trees import Trees, boost
from stages.workspace.errors import UserError

LOSS = "loss"
"""What boosting stops on, under the name that the evaluation has for it."""


@dataclass(frozen=True)
class ScoredRows:
    """Labels and scores of the same rows."""

    labels: NDArray[Any]
    scores: NDArray[np.float32]


def metrics_to_search(task: str) -> list[str]:
    """What a search can improve; descriptive metrics are too biased for that."""
    return [LOSS, *(name for name, metric in task_named(task).metrics.items() if not metric.descriptive)]


def direction_of(metric: str, task: str) -> Literal["minimize", "maximize"]:
    """Which way is better."""
    return "maximize" if metric != LOSS and task_named(task).metrics[metric].direction == "higher" else "minimize"


def score_trial(
    metric: str, task: str, n_classes: int, stopped: ScoredRows, judged: ScoredRows, costs: Mapping[str, float]
) -> float:
    """The metric on the rows ``judged``; NaN where they leave it undefined."""
    asked = task_named(task)
    decision = asked.decide_by(stopped.labels, stopped.scores, Terms(n_classes, **costs))
    name = asked.loss if metric == LOSS else metric
    return decision.exact(judged.labels.astype(asked.label_type), judged.scores)[name]


SEARCHED_PARTS = ("train", "valid")
Frames = Callable[[], Iterator[pl.DataFrame]]


class TrialFailed(Exception):
    """A model could not be fitted or judged with these settings; the search goes on."""


@dataclass(frozen=True)
class Kept:
    """The bins of one fold; ``judged`` are rows that were neither learned from nor stopped on, where there are any."""

    rows: BinnedRows
    judged: xgb.DMatrix | None
    size: int
    pages: ExitStack


class TrialRows:
    """Bins of every fold by ``max_bin``; one that is not kept is read."""

    def __init__(
        self, table: FeatureTable, sketches: Mapping[str, Sketch], *, folds: int, threads: int, limit_bytes: int
    ) -> None:
        self.table, self.sketches, self.threads, self.limit_bytes = table, sketches, threads, limit_bytes
        self.shares, self.tests = open_folds(table, folds) if folds else ([Share(table, table)], [None])
        self.kept: dict[tuple[int, int], Kept] = {}

    def fit(self, number: int, model: FamilySettings, seed: int, each_round: Ticker) -> tuple[Fit, Kept | None]:
        """A model fitted to fold ``number``, and the bins it was fitted to; only boosting keeps bins between trials."""
        try:
            if type(model) is BoostingSettings:
                fit, kept = self._boost(number, model, seed, each_round)
            else:
                share, label = self.shares[number], self.table.dataset
                training = Training(share, self.sketches, seed, self.threads, self.limit_bytes, label, each_round)
                fit, kept = FAMILIES[model.family].fit(training, model), None
        except (xgb.core.XGBoostError, MemoryError) as error:
            raise TrialFailed(own_words(error)) from error
        if not np.isfinite(fit.best):
            raise TrialFailed(f"a loss of {fit.best} on the valid part")
        return fit, kept

    def scores(self, number: int, fit: Fit, kept: Kept | None) -> tuple[ScoredRows, ScoredRows]:
        """Labels and scores of the rows that boosting stopped on, and of those that judge it."""
        if kept is None:
            tests = self.tests[number]
            stopped = score_frames(fit, self.shares[number].valid_frames(), self.table.target)
            return stopped, score_frames(fit, tests(), self.table.target) if tests else stopped
        stopped = score_rows(fit, kept.rows.valid)
        return stopped, stopped if kept.judged is None else score_rows(fit, kept.judged)

    def _boost(self, number: int, model: BoostingSettings, seed: int, each_round: Ticker) -> tuple[Fit, Kept]:
        kept = self._bins(number, model.max_bin, model.device == "cpu")
        settings: dict[str, Any] = {name: value for name, value in model.for_booster().items() if name != "max_bin"}
        fit = boost(
            kept.rows, task=self.table.task, classes=len(self.table.classes), threads=self.threads, seed=seed,
            each_round=each_round, **settings,
        )  # fmt: skip
        return fit, kept

    def __enter__(self) -> TrialRows:
        return self

    def __exit__(self, *_: object) -> None:
        for key in list(self.kept):
            self._drop(key)

    def _bins(self, number: int, max_bin: int, may_use_disk: bool) -> Kept:
        key = (number, max_bin)
        if key not in self.kept:
            needed = describe_rows(self.shares[number], self.sketches, max_bin)
            self._make_room(needed)
            try:
                self.kept[key] = self._read(number, needed, max_bin, may_use_disk)
            except xgb.core.XGBoostError as error:
                found, dataset = own_words(error), self.table.dataset
                next_step = f"look at the target and the features in data/features/{dataset}, then run `dvc repro`"
                raise UserError(f"rows of {dataset} that XGBoost can read", found, next_step) from error
        self.kept[key] = self.kept.pop(key)  # the last one to go
        return self.kept[key]

    def _make_room(self, needed: TrainingRows) -> None:
        while (
            self.kept and sum(kept.size for kept in self.kept.values()) + estimate_in_memory(needed) > self.limit_bytes
        ):
            self._drop(next(iter(self.kept)))

    def _drop(self, key: tuple[int, int]) -> None:
        kept = self.kept.pop(key)
        pages = kept.pages
        del kept  # the files of the pages can go once nothing reads them
        pages.close()

    def _read(self, number: int, needed: TrainingRows, max_bin: int, may_use_disk: bool) -> Kept:
        share, tests, pages = self.shares[number], self.tests[number], None
        named: dict[str, Any] = {
            "features": self.table.names, "target": self.table.target, "threads": self.threads,
        }  # fmt: skip
        opened = ExitStack()
        with opened:
            if may_use_disk and goes_to_disk(needed, self.limit_bytes, self.table.dataset):
                refuse_without_room(needed)
                pages = opened.enter_context(page_names())
            rows = bin_rows(share.train_frames, share.valid_frames, **named, max_bin=max_bin, pages=pages)
            judged = bin_like(rows, tests, **named, pages=pages) if tests else None
            opened = opened.pop_all()
        return Kept(rows, judged, 0 if pages else round(needed.rows * bytes_of_bins(needed)), opened)


def open_folds(table: FeatureTable, folds: int) -> tuple[Sequence[Share], Sequence[Frames | None]]:
    """Folds in order of time over the rows that a search may see, and of each the rows that judge it."""
    opened = time_folds(table, SEARCHED_PARTS, folds)
    return opened, [fold.test_frames for fold in opened]


def own_words(error: BaseException) -> str:
    """What XGBoost says of an error, without the time, the place in its source and the stack."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return re.sub(r"^\[[\d:]+\] \S+: ", "", first)


def score_rows(fit: Fit, rows: xgb.DMatrix) -> ScoredRows:
    """Scores of rows that are binned already, by the rounds up to the best one."""
    assert isinstance(fit.model, Trees)
    return _finite(np.asarray(rows.get_label()), fit.model.predict_binned(rows))


def score_frames(fit: Fit, frames: Iterator[pl.DataFrame], target: str) -> ScoredRows:
    """The same of rows as the features hold them."""
    pairs = [(frame[target].to_numpy(), fit.model.predict(frame)) for frame in frames]
    return _finite(np.concatenate([labels for labels, _ in pairs]), np.concatenate([scores for _, scores in pairs]))


def _finite(labels: NDArray[Any], scores: NDArray[np.float32]) -> ScoredRows:
    if not np.isfinite(scores).all():
        raise TrialFailed("scores that are not finite")
    return ScoredRows(labels, scores)
