"""Ridge and logistic regression on one-hot and scaled columns: what a straight line makes of the features.

Numbers are centred and scaled by the training rows, a missing one counts as their mean and as a column of its own;
every category is a column.  scikit-learn fits in one thread, so that bytes repeat; scoring takes the coefficients
alone, which are kept as JSON.  Fitting holds all rows as float32.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from stages.models.contract import LOSSES, DamagedModel, Family, FamilySettings, Fit, Float32, mean_loss

if TYPE_CHECKING:
    from stages.features.table import Column, FeatureTable
    from stages.models.rows import Training

Float = NDArray[np.float64]
MODEL = "model.json"
FORMAT = 1
NEVER = -50.0  # log-odds of a class that no training row has
COPIES = 3  # of the matrix while it is fitted: itself, and room for what the solver makes of it; an estimate


class LinearSettings(FamilySettings):
    """How strongly coefficients are drawn to zero, and how long the solver may take."""

    penalty: float = Field(gt=0, description="of the squared coefficients of the scaled columns; scikit-learn's 1 / C")
    max_iterations: int = Field(ge=1)


@dataclass(frozen=True)
class Term:
    """One feature: ``levels`` (categories, outputs) of a category, or ``slope`` (outputs,) of a scaled number."""

    name: str
    categories: tuple[str, ...] | None
    mean: float
    scale: float
    slope: Float
    levels: Float
    missing: Float

    def values(self, column: pl.Series) -> Float:
        """What it adds to the raw score of each row, (rows, outputs)."""
        if self.categories is not None:
            table = np.concatenate([self.levels, self.missing[None]])
            places = column.to_physical().cast(pl.Int64).fill_null(len(self.levels)).to_numpy()
            return np.asarray(table[places])
        number = column.cast(pl.Float64).to_numpy()
        known = ~np.isnan(number)
        scaled = np.where(known, (number - self.mean) / self.scale, 0.0)
        return np.asarray(scaled[:, None] * self.slope + np.where(known, 0.0, 1.0)[:, None] * self.missing)


@dataclass(frozen=True)
class Line:
    """A linear model: terms that add up to log-odds of a class, or to a number."""

    task: str
    terms: tuple[Term, ...]
    intercept: Float

    @property
    def features(self) -> list[str]:
        """The names of its inputs."""
        return [term.name for term in self.terms]

    def raw(self, rows: pl.DataFrame) -> Float:
        """Raw scores (rows, outputs), always added up in the order of the terms."""
        total = np.tile(self.intercept, (len(rows), 1))
        for term in self.terms:
            total += term.values(rows[term.name])
        return total

    def predict(self, rows: pl.DataFrame) -> Float32:
        """Scores (rows,), or (rows, classes)."""
        raw = self.raw(rows)
        if self.task == "regression":
            return raw[:, 0].astype(np.float32)
        if self.task == "binary":
            return np.asarray(0.5 * (1 + np.tanh(raw[:, 0] / 2)), dtype=np.float32)
        powers = np.exp(raw - raw.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)

    def contributions(self, rows: pl.DataFrame) -> Float32:
        """Each term by itself (rows, outputs, features + 1); the last is the intercept."""
        terms = [term.values(rows[term.name]) for term in self.terms]
        return np.stack([*terms, np.tile(self.intercept, (len(rows), 1))], axis=2).astype(np.float32)

    def use_threads(self, threads: int) -> None:
        """One thread is always enough."""

    def files(self) -> dict[str, bytes]:
        """The coefficients, as text that a person can read."""
        terms = [
            {
                "name": term.name,
                **(
                    {"categories": list(term.categories), "levels": term.levels.tolist()}
                    if term.categories is not None
                    else {"mean": term.mean, "scale": term.scale, "slope": term.slope.tolist()}
                ),
                "missing": term.missing.tolist(),
            }
            for term in self.terms
        ]
        content = {"format": FORMAT, "task": self.task, "intercept": self.intercept.tolist(), "terms": terms}
        return {MODEL: (json.dumps(content, indent=1) + "\n").encode()}


def load(files: Mapping[str, bytes]) -> Line:
    """The inverse of `Line.files`."""
    try:
        content = json.loads(files[MODEL])
        intercept = np.asarray(content["intercept"], dtype=np.float64)
        terms = tuple(_term(entry, len(intercept)) for entry in content["terms"])
        return Line(str(content["task"]), terms, intercept)
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedModel(f"{MODEL}: {error}") from error


def _term(entry: Mapping[str, Any], outputs: int) -> Term:
    categories = entry.get("categories")
    return Term(
        name=str(entry["name"]),
        categories=None if categories is None else tuple(categories),
        mean=float(entry.get("mean", 0.0)),
        scale=float(entry.get("scale", 1.0)),
        slope=np.asarray(entry.get("slope", [0.0] * outputs), dtype=np.float64),
        levels=np.asarray(entry.get("levels", []), dtype=np.float64).reshape(-1, outputs),
        missing=np.asarray(entry["missing"], dtype=np.float64),
    )


@dataclass(frozen=True)
class Coding:
    """Where each feature stands among the columns of the matrix, and how its numbers are scaled."""

    columns: tuple[Column, ...]
    means: Float
    scales: Float

    @property
    def widths(self) -> list[int]:
        """Columns of each feature: its categories or one number, and one for a missing value."""
        return [(len(column.categories) if column.kind == "categorical" else 1) + 1 for column in self.columns]

    def fill(self, matrix: Float32, rows: pl.DataFrame) -> None:
        """Write rows into ``matrix`` (rows, columns), which is all zeros."""
        start, every = 0, np.arange(len(rows))
        for place, (column, width) in enumerate(zip(self.columns, self.widths, strict=True)):
            values = rows[column.name]
            if column.kind == "categorical":
                matrix[every, start + values.to_physical().cast(pl.Int64).fill_null(width - 1).to_numpy()] = 1.0
            else:
                number = values.cast(pl.Float64).to_numpy()
                known = ~np.isnan(number)
                matrix[known, start] = (number[known] - self.means[place]) / self.scales[place]
                matrix[~known, start + 1] = 1.0
            start += width

    def terms(self, weights: Float) -> tuple[Term, ...]:
        """The terms of the coefficients ``weights`` (outputs, columns)."""
        found, start, outputs = [], 0, len(weights)
        for place, (column, width) in enumerate(zip(self.columns, self.widths, strict=True)):
            own = weights[:, start : start + width].T  # (width, outputs)
            is_category = column.kind == "categorical"
            found.append(
                Term(
                    column.name,
                    tuple(column.categories) if is_category else None,
                    float(self.means[place]),
                    float(self.scales[place]),
                    np.zeros(outputs) if is_category else own[0],
                    own[:-1] if is_category else np.zeros((0, outputs)),
                    own[-1],
                )
            )
            start += width
        return tuple(found)


def measure(table: FeatureTable, frames: Iterable[pl.DataFrame]) -> Coding:
    """The mean and the spread of every number over the rows, by sums that partitions add up."""
    names = [column.name for column in table.columns if column.kind != "categorical"]
    sums = np.zeros((3, len(names)))  # rows, Σ x, Σ x²
    for frame in frames:
        numbers = frame.select(names).cast(pl.Float64)
        for row, part in zip(sums, (numbers.count(), numbers.sum(), numbers.select(pl.all() ** 2).sum()), strict=True):
            row += part.row(0) if names else ()
    counts = np.maximum(sums[0], 1)
    mean = sums[1] / counts
    spread = np.sqrt(np.maximum(sums[2] / counts - mean**2, 0.0))
    known = dict(zip(names, zip(mean, np.where(spread > 0, spread, 1.0), strict=True), strict=True))
    pairs = [known.get(column.name, (0.0, 1.0)) for column in table.columns]
    return Coding(table.columns, np.array([m for m, _ in pairs]), np.array([s for _, s in pairs]))


def fit(training: Training, settings: LinearSettings) -> Fit:
    """The regression of the train part; the valid part is only looked at."""
    table, share = training.table, training.share
    coding = measure(table, share.train_frames())
    n, width = table.rows("train"), sum(coding.widths)
    training.refuse_beyond_memory(COPIES * 4 * n * width, f"a linear model needs {width} numbers a row, all at once")
    matrix, labels, at = np.zeros((n, width), np.float32), np.empty(n), 0
    for frame in share.train_frames():
        coding.fill(matrix[at : at + len(frame)], frame)
        labels[at : at + len(frame)] = frame[table.target].cast(pl.Float64).to_numpy()
        at += len(frame)
    weights, intercept = solve(matrix, labels, table.task, len(table.classes), settings)
    del matrix
    model = Line(table.task, coding.terms(weights), intercept)
    losses = [_loss(model, frames(), table.target) for frames in (share.train_frames, share.valid_frames)]
    training.each_round(0, *losses)
    return Fit(model, LOSSES[table.task], 0, (losses[0],), (losses[1],))


def solve(matrix: Float32, labels: Float, task: str, classes: int, settings: LinearSettings) -> tuple[Float, Float]:
    """Coefficients (outputs, columns) and intercepts (outputs,) by scikit-learn, in one thread."""
    from sklearn.linear_model import LogisticRegression, Ridge  # seconds to import, and only needed to fit
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        if task == "regression":
            ridge = Ridge(alpha=settings.penalty, solver="cholesky").fit(matrix, labels)
            return np.atleast_2d(ridge.coef_).astype(np.float64), np.atleast_1d(ridge.intercept_).astype(np.float64)
        chosen = LogisticRegression(C=1 / settings.penalty, solver="lbfgs", max_iter=settings.max_iterations, tol=1e-4)
        found = chosen.fit(matrix, labels.astype(np.int64))
    weights, intercept = found.coef_.astype(np.float64), found.intercept_.astype(np.float64)
    if task == "binary":
        return weights, intercept
    if len(weights) == 1:  # two classes alone occur: one line between them
        weights, intercept = np.concatenate([0 * weights, weights]), np.concatenate([0 * intercept, intercept])
    every, bias = np.zeros((classes, weights.shape[1])), np.full(classes, NEVER)
    every[found.classes_], bias[found.classes_] = weights, intercept
    return every, bias


def _loss(model: Line, frames: Iterable[pl.DataFrame], target: str) -> float:
    pairs = [(frame[target].cast(pl.Float64).to_numpy(), model.predict(frame)) for frame in frames]
    return mean_loss(model.task, np.concatenate([y for y, _ in pairs]), np.concatenate([p for _, p in pairs]))


def library() -> str:
    """The library that fits, with its version."""
    return f"scikit-learn {version('scikit-learn')}"


def words(training: Mapping[str, Any], library: str) -> str:
    """What kind of model it is."""
    return f"{'Ridge' if training['task'] == 'regression' else 'Logistic'} regression ({library})"


FAMILY = Family(
    name="linear", settings=LinearSettings, fit=fit, load=load, library=library, words=words, by_chance=False
)
