"""What would models of other months have said?  One feature table, trained on some days of it and judged on others.

A replay looks at days in their order, whatever part the split gave them.  At the beginning of a month the outcomes of
the month before are known but for its last day, whose late flights are still in the air.  Categories are those of the
rows that a model learns from, as `featurize` would find them there.  What was trained is kept in a folder under its
name, so that a replay that was cut short goes on with the model that it was at.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from stages.experiments.folds.deal import PARTS, Places
from stages.experiments.folds.pooled import FoldScores
from stages.experiments.folds.rows import FoldTable, UnitRows
from stages.experiments.folds.table import narrow
from stages.features.sketch import Sketch
from stages.features.table import Column, FeatureTable
from stages.metrics.contract import Decision, Terms
from stages.metrics.resampling import unit_names
from stages.metrics.scoring import decide, score_test
from stages.metrics.settings import EvaluateSettings
from stages.metrics.stored import Segments, months_of, task_named
from stages.models.binned import bin_rows
from stages.models.boosting import BoostingSettings
from stages.models.contract import Model
from stages.models.families import FAMILIES, fit_model, read_model, write_model
from stages.models.lean_xgboost import xgb
from stages.models.rows import Share
from stages.models.trees import Trees, parameters_of
from stages.runtime.log import log
from stages.workspace.files import read_json, write_json
from stages.workspace.seeds import child_seed
from stages.workspace.settings import read_seed, read_workers


@dataclass(frozen=True)
class Recipe:
    """Which days a model learns from and stops on; with ``after``, it adds trees to those of that model."""

    name: str
    train: range
    valid: range
    after: Recipe | None = None


@dataclass(frozen=True)
class Trained:
    """A model as it goes into service, and what it took."""

    model: Model
    columns: tuple[Column, ...]
    decision: Decision
    rows: int
    trees: int
    seconds: float


@dataclass(frozen=True)
class Replay:
    """The table, its days, and the settings that hold for every model."""

    table: FeatureTable
    days: UnitRows
    sketches: Mapping[str, Sketch]
    settings: BoostingSettings
    judging: EvaluateSettings
    folder: Path
    _trained: dict[Recipe, Trained] = field(default_factory=dict)
    _scored: dict[tuple[Recipe, range], FoldScores] = field(default_factory=dict)

    @property
    def months(self) -> dict[str, range]:
        """The days of every month, as places in the order of days; years that are not there leave no gap."""
        names = self.days.name_places(range(len(self.days.units)))
        return {
            month: range(names.index(days[0]), names.index(days[-1]) + 1) for month, days in months_of(names).items()
        }

    def trained(self, recipe: Recipe) -> Trained:
        """The model of a recipe, trained unless it was."""
        if recipe not in self._trained:
            folder = self.folder / recipe.name
            kept = folder / "training.json"
            if not kept.exists() or read_json(kept)["of"] != self._of(recipe):
                self._train(recipe, folder)
            self._trained[recipe] = self._read(folder)
        return self._trained[recipe]

    def score(self, recipe: Recipe, days: range) -> FoldScores:
        """What the model of a recipe, with the threshold that it went into service with, says about some days."""
        key = recipe, days
        if key not in self._scored:
            own = self.trained(recipe)
            view = self._view(own.columns, recipe, days)
            scored = score_test(
                view, {"model": own.model.predict}, {"model": own.decision}, self.judging, read_workers(), Segments({})
            )
            cells = scored.cells["model"]
            self._scored[key] = FoldScores.of(
                own.decision, cells, unit_names(cells), scored.labels, scored.scores["model"]
            )
        return self._scored[key]

    def _of(self, recipe: Recipe) -> dict[str, Any]:
        """All that a model depends on, but for the rows of its days."""
        days = {
            part: list(self.days.name_places((places[0], places[-1])))
            for part, places in (("train", recipe.train), ("valid", recipe.valid))
        }
        after = self._of(recipe.after) if recipe.after else None
        return days | {"after": after, "features": self.table.names, "settings": self.settings.model_dump()}

    def _view(self, columns: Sequence[Column], recipe: Recipe, test: range) -> FoldTable:
        table = replace(self.table, columns=tuple(columns))
        return narrow(table, PARTS, self.days, Places(recipe.train, recipe.valid, test))

    def _train(self, recipe: Recipe, folder: Path) -> None:
        columns = self.trained(recipe.after).columns if recipe.after else self._columns(recipe.train)
        view = self._view(columns, recipe, recipe.valid)
        started = time.monotonic()
        model = self._continue(recipe, view) if recipe.after else self._fit(recipe, view)
        seconds = time.monotonic() - started
        terms = Terms(
            len(view.classes), cost_of_miss=self.judging.cost_of_miss,
            cost_of_false_alarm=self.judging.cost_of_false_alarm,
        )  # fmt: skip
        decisions, _ = decide(view, {"model": model.predict}, terms, self.judging, read_workers())
        write_model(folder, model)
        categories = {column.name: list(column.categories) for column in columns if column.kind == "categorical"}
        about = {"rows": view.rows("train"), "trees": model.cut().booster.num_boosted_rounds(), "seconds": seconds}
        write_json(
            folder / "training.json",
            about | {"decides": asdict(decisions["model"]), "categories": categories, "of": self._of(recipe)},
        )
        log.info("%s: %s rows, %s trees, %.1f s", recipe.name, f"{about['rows']:,}", about["trees"], seconds)

    def _read(self, folder: Path) -> Trained:
        about: dict[str, Any] = read_json(folder / "training.json")
        columns = tuple(
            replace(column, categories=tuple(about["categories"].get(column.name, ()))) for column in self.table.columns
        )
        decision = task_named(self.table.task).unpack(about["decides"])
        model = read_model(folder, FAMILIES[self.settings.family], read_workers().training_threads)
        return Trained(model, columns, decision, about["rows"], about["trees"], about["seconds"])

    def _columns(self, train: range) -> tuple[Column, ...]:
        """The columns with the categories that occur among the days to learn from."""
        names = [column.name for column in self.table.columns if column.kind == "categorical"]
        paths = [self.table.path_of(name) for name, rows in self.days.in_partitions(train).items() if rows]
        first, last = self.days.units[train[0]], self.days.units[train[-1]]
        rows = pl.scan_parquet(paths).filter(pl.col(self.days.cluster).is_between(first, last))
        found = {name: rows.select(pl.col(name).drop_nulls().unique().sort()).collect()[name] for name in names}
        return tuple(
            replace(column, categories=tuple(found[column.name])) if column.name in found else column
            for column in self.table.columns
        )

    def _fit(self, recipe: Recipe, view: FoldTable) -> Trees:
        fit = fit_model(Share(view, view), self.sketches, self.settings, lambda *_: None, recipe.name)
        assert isinstance(fit.model, Trees)
        return fit.model

    def _continue(self, recipe: Recipe, view: FoldTable) -> Trees:
        """More trees after those of an earlier model, on other rows; early stopping chooses how many."""
        assert recipe.after is not None
        before, threads = self.trained(recipe.after).model, read_workers().training_threads
        assert isinstance(before, Trees)
        share, settings = Share(view, view), self.settings.for_booster()
        rounds, patience, max_bin = (settings.pop(name) for name in ("max_rounds", "early_stopping_rounds", "max_bin"))
        rows = bin_rows(
            share.train_frames, share.valid_frames, features=view.names, target=view.target, max_bin=max_bin,
            threads=threads,
        )  # fmt: skip
        seed = child_seed(read_seed(), "continue", recipe.name)
        parameters = parameters_of(
            view.task, classes=len(view.classes), max_bin=max_bin, threads=threads, seed=seed, **settings
        )
        booster = xgb.train(
            parameters, rows.train, num_boost_round=rounds, evals=[(rows.valid, "valid")],
            early_stopping_rounds=patience, verbose_eval=False, xgb_model=before.booster,
        )  # fmt: skip
        return Trees(booster)
