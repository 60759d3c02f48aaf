"""Fit and test the model of every fold, one after another, and the one-rule baseline of the same rows beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from stages.experiments.folds.pooled import FoldScores
from stages.experiments.folds.table import Fold
from stages.features.table import FeatureTable, read_sketches
from stages.metrics.contract import Tabulated
from stages.metrics.resampling import unit_names
from stages.metrics.scoring import Scorer, choose_workers, cluster_of, decide, score_test, terms_of
from stages.metrics.settings import EvaluateSettings
from stages.metrics.stored import Segments, task_named
from stages.models.contract import Baseline, FamilySettings, Fit
from stages.models.families import fit_baseline, fit_model
from stages.runtime.log import log, progress
from stages.workspace.settings import read_scale, read_workers


@dataclass(frozen=True)
class Judged:
    """One fold after its test: the model's fit, and both systems on the test rows."""

    fold: Fold
    fit: Fit
    tested: Mapping[str, FoldScores]


def judge_folds(folds: Sequence[Fold], model: FamilySettings, judging: EvaluateSettings) -> list[Judged]:
    """Every fold fitted and tested; a number to be predicted is coded on the grid of the first."""
    dataset = folds[0].table.dataset
    sketches, judged = read_sketches(dataset), []
    rules = [fit_baseline(fold.table, sketches) for fold in folds]
    for fold, rule in zip(folds, rules, strict=True):
        label, started = f"{dataset}: fold {fold.number} of {len(folds)}", time.monotonic()
        log.info("%s: %s", label, fold.told)
        with progress(f"{label}: train", model.rounds, "rounds") as counter:

            def tick(_round: int, _train: float, valid: float, advance: Callable[..., None] = counter.advance) -> None:
                advance(1, f"valid {valid:.4f}")

            fit = fit_model(fold, sketches, model, tick, label)
        judged.append(Judged(fold, fit, score_fold(fold, fit, rule, rules[0], judging)))
        seconds = time.monotonic() - started
        log.info("%s: best %s %.4f at round %d, %.1f s", label, fit.metric, fit.best, fit.best_round, seconds)
    return judged


def score_fold(
    fold: Fold, fit: Fit, rule: Baseline, grid_rule: Baseline, judging: EvaluateSettings
) -> dict[str, FoldScores]:
    """Both systems on the fold's test rows; thresholds are chosen on its own valid rows."""
    table = fold.table
    workers = choose_workers(table, read_workers(), read_scale().memory_limit_bytes)
    # partitions side by side get a thread each: teams of threads would wait for one another's cores
    fit.model.use_threads(1 if workers.count > 1 else workers.training_threads)
    scorers: dict[str, Scorer] = {
        "model": fit.model.predict,
        "baseline": rule.predict,
    }
    decisions, chosen_on = decide(table, scorers, terms_of(table, grid_rule, judging), judging, workers)
    scored = score_test(table, scorers, decisions, judging, workers, Segments({}))
    # days tell themselves apart; rows, and blocks of rows, have the same numbers in every fold
    prefix = "" if cluster_of(table, judging) else f"{fold.number}:"
    tested = {}
    for system, cells in scored.cells.items():
        units = [f"{prefix}{unit}" for unit in unit_names(cells)]
        named = cells.with_columns((pl.lit(prefix) + pl.col("unit").cast(pl.String)).alias("unit"))
        valid = valid_part(table, chosen_on[system]) if chosen_on else (0, lambda tested: tested)
        tested[system] = FoldScores.of(decisions[system], named, units, scored.labels, scored.scores[system], *valid)
    return tested


def valid_part(table: FeatureTable, cells: pl.DataFrame) -> tuple[int, Callable[[Tabulated], Tabulated]]:
    """From how many valid units a threshold is chosen again, and what chooses it; one unit is nothing to draw from."""
    units, redecide = unit_names(cells), task_named(table.task).redecide
    return (len(units), lambda tested: redecide(tested, cells, units, False)) if len(units) > 1 else (0, lambda t: t)
