"""What does a report of results know?  All that its words, pictures and tables are made from, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from statistics import stdev
from typing import Any

import polars as pl

from stages.metrics.contract import Task
from stages.metrics.paired import LEAST_TRAININGS
from stages.metrics.stored import task_named
from stages.pages.numbers import level_text
from stages.results.costs import CostCurve
from stages.results.effects import Dependence, Effect
from stages.results.mistakes import Mistakes
from stages.results.segments import SegmentResult


@dataclass(frozen=True)
class Effects:
    """The effects of all features over a sample of ``rows`` test rows, and a few of them looked at closely."""

    every: Sequence[Effect]
    closely: Sequence[Dependence]
    rows: int
    units: int


@dataclass(frozen=True)
class Facts:
    """One dataset's results, from the outputs of its stages."""

    dataset: str
    question: str
    task: str
    target: str
    classes: Sequence[str]
    target_unit: str
    """Of a target that is a number; empty where it has none."""
    columns: Mapping[str, Mapping[str, str]]
    """By feature: what it is about, its unit."""
    parts: Mapping[str, int]
    """Labelled rows of train, valid and test."""
    clean: Mapping[str, Any]
    selection: Mapping[str, Any]
    training: Mapping[str, Any]
    guessed: Mapping[str, float]
    """By part, train and valid: the loss of answering every row with the part's own shares of classes, or mean."""
    baseline: str
    """What the model is set beside, in words."""
    results: Mapping[str, Mapping[str, Any]]
    plots: Mapping[str, pl.DataFrame]
    units: Sequence[str]
    segments: Mapping[str, Sequence[SegmentResult]]
    costs: CostCurve | None
    effects: Effects
    unseen: int
    """Test rows with a category that training never saw."""
    fitted: str
    """What kind of model, fitted to which rows: a sentence."""
    stops_early: bool
    """Whether the valid part decided on the number of rounds."""
    mistakes: Mistakes | None = None
    """Where rows are pictures."""
    trainings: Sequence[Mapping[str, float]] = ()
    """Every metric of each training, the model's own first; none where there are no others."""
    redrawn: str | None = None
    """What the further trainings drew again to learn from, such as day; the model's own then is none of their kind."""

    @property
    def kind(self) -> Task:
        """The task itself."""
        return task_named(self.task)

    @property
    def positive(self) -> str | None:
        """The class whose probability is the score, where there is one."""
        return None if self.kind.positive is None else self.classes[self.kind.positive]

    @property
    def by_class(self) -> bool:
        """Whether a row has a score for each class."""
        return self.kind.outputs(len(self.classes)) > 1

    @property
    def lead_name(self) -> str:
        """The metric that leads."""
        return next(iter(self.results))

    @property
    def lead(self) -> Mapping[str, Any]:
        """Its result."""
        return self.results[self.lead_name]

    @property
    def level(self) -> str:
        """The level of the intervals, as text."""
        return level_text(self.lead["level"])

    @property
    def unit(self) -> str:
        """What the intervals resample: row, or the name of the cluster column."""
        resampled = str(self.lead.get("resampled", "rows"))
        return "row" if resampled == "rows" else resampled

    @property
    def days(self) -> tuple[str, str] | None:
        """First and last day of the test part, where the units are days."""
        if self.unit == "row":
            return None
        try:
            found = sorted(date.fromisoformat(unit) for unit in self.units)
        except ValueError:
            return None
        return (found[0].isoformat(), found[-1].isoformat()) if found else None

    @property
    def threshold(self) -> float | None:
        """From which probability on the answer is yes; None where nothing is decided."""
        found = (result["threshold"] for result in self.results.values() if "threshold" in result)
        return next(found, None)

    def spread(self, metric: str) -> float | None:
        """The standard deviation of a metric over trainings from other seeds; None where they are too few."""
        values = [found[metric] for found in self.trainings[1 if self.redrawn else 0 :] if metric in found]
        return stdev(values) if len(values) >= LEAST_TRAININGS else None

    def about(self, feature: str) -> str:
        """What a feature is, in words."""
        return self.columns.get(feature, {}).get("about", "")
