"""What is a task?  A kind of question, said once: its metrics, what is decided, how rows are counted, named and drawn.

Whoever needs to know asks the `Task`; nobody compares its name.  A new one is a module with such a value, and a line in
`stored.TASKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.metrics.bootstrap import Float, Method
from stages.metrics.evidence import Share

Int = NDArray[np.int64]
Direction = Literal["higher", "lower"]
SIGNIFICANT_DIGITS = 6


@dataclass(frozen=True)
class Metric:
    """Which way is better, the range of possible values, and an interval method where the asked one does not fit.

    A *descriptive* metric is so biased, or says so little by itself, that its interval tells how it varies and carries
    no verdict; the interval is stretched to hold the value, which a reflected interval need not.  A metric that ranks
    rows, or sets them against their own mean, is the *mean* over folds; the others are sums over rows, and *pooled*.
    An error may be *in the unit of the target*.  Where *every class* counts alike, what is known depends on the rarest.
    Of a metric that may be too high as well as too low, *nominal* is the value that is promised.
    """

    direction: Direction
    floor: float = 0.0
    ceiling: float = float("inf")
    method: Method | None = None
    descriptive: bool = False
    over_folds: Literal["pooled", "mean"] = "pooled"
    in_target_unit: bool = False
    every_class: bool = True
    nominal: float | None = None


class Tabulated(Protocol):
    """One system's resampling table: metrics of any weighting of its units."""

    @property
    def counts(self) -> Float:
        """Rows by unit and class, (units, classes); (units, 1) where labels are numbers."""

    @property
    def shares(self) -> Mapping[str, Share]:
        """The metrics that are shares of rows."""

    def measure(self, weights: Float) -> dict[str, Float]:
        """Every metric (R,) under weights (R, units)."""


@dataclass(frozen=True)
class System:
    """The model or the baseline on the test part: its table, and its metrics on the scores themselves."""

    table: Tabulated
    exact: Mapping[str, float]


@dataclass(frozen=True)
class Terms:
    """On what terms rows are judged: classes, mean and spread of the target where it is a number, cost of mistakes."""

    n_classes: int
    target_mean: float = 0.0
    target_spread: float = 1.0
    cost_of_miss: float = 1.0
    cost_of_false_alarm: float = 1.0


class Decision(Protocol):
    """What one system does with its scores, and how rows are counted for it; a dataclass that JSON can hold."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def threshold(self) -> float | None:
        """The smallest score that is a yes; None where no threshold decides."""

    def tabulate(self, units: Int, names: list[str], labels: NDArray[Any], scores: NDArray[np.float32]) -> pl.DataFrame:
        """The cells of one partition; ``names[units[i]]`` is the unit of row i."""

    def coarsened(self, cells: pl.DataFrame) -> pl.DataFrame:
        """The cells of a segment, small enough for there to be many of them."""

    def table(self, cells: pl.DataFrame, units: list[str]) -> Tabulated:
        """Merged cells as arrays."""

    def exact(self, labels: NDArray[Any], scores: NDArray[np.float32]) -> dict[str, float]:
        """Every metric on the rows themselves."""

    def outcomes(self, table: Tabulated, weights: Float) -> Float | None:
        """Rows by actual and decided class (R, classes, classes) under weights; None where no threshold decides."""

    def outcome_metrics(self, outcomes: Float) -> dict[str, Float]:
        """The metrics (R,) that follow from such counts alone, (R, classes, classes); they can be pooled."""


def redecides_nothing(table: Tabulated, _cells: pl.DataFrame, _units: list[str], _coarse: bool) -> Tabulated:
    """The table of a task that decides nothing on the valid part."""
    return table


def draws_nothing(
    _model: Any, _baseline: Any, _classes: Sequence[str], _weights: Float, _level: float, _block: int
) -> dict[str, pl.DataFrame]:
    """The plots of a task that has none of its own."""
    return {}


@dataclass(frozen=True)
class Task:
    """A kind of question, as a frozen value; the dataset names it, and everything else asks it.

    ``tally(units, names, labels, scores)`` are the cells of valid rows, ``decide(cells, terms)`` is what a system does
    from then on, and ``redecide(table, cells, units, coarse)`` a table of its test rows that decides anew in every
    resample in which valid units are drawn too.  ``unpack(decides)`` is the decision that a stored table has on record,
    ``of_signature(signature, terms)`` that of a bundle.  ``name_scores(scores, signature)`` are the columns that
    `predict` writes.  ``draw(model, baseline, classes, weights, level, block)`` are the plots beside that of the
    intervals, by name.
    """

    name: str
    metrics: Mapping[str, Metric]
    """By name; the first one leads."""
    loss: str
    """The metric that training lowers, and a search unless told otherwise."""
    shown: tuple[str, ...]
    """Metrics that are told of a segment; the first one leads."""
    classes: tuple[int, int | None]
    """Fewest and most classes that its datasets name; (0, 0) where the label is a number."""
    known_by: tuple[str, str]
    """View and column of the table that, unit by unit, say which rows were scored."""
    decide: Callable[[pl.DataFrame, Terms], Decision]
    unpack: Callable[[Mapping[str, Any]], Decision]
    of_signature: Callable[[Mapping[str, Any], Terms], Decision]
    name_scores: Callable[[NDArray[np.float32], Mapping[str, Any]], pl.DataFrame]
    name_row: Callable[[NDArray[np.float32], Mapping[str, Any]], dict[str, Any]] | None = None
    """The same of one row, without a frame: making one takes longer than the answer.  None asks ``name_scores``."""
    tally: Callable[[Int, list[str], NDArray[Any], NDArray[np.float32]], pl.DataFrame] | None = None
    redecide: Callable[[Tabulated, pl.DataFrame, list[str], bool], Tabulated] = redecides_nothing
    expect: Callable[[Tabulated, Tabulated], Tabulated] | None = None
    """``expect(rows, reference)``: the table to expect of rows without labels (counted as the first class), if scores
    mean what they meant in the reference; None where scores alone tell nothing of errors."""
    draw: Callable[[Any, Any, Sequence[str], Float, float, int], dict[str, pl.DataFrame]] = draws_nothing
    at_threshold: tuple[str, ...] = ()
    """Metrics of decisions at a threshold that costs have chosen; () where none is."""
    positive: int | None = None
    """The class whose probability is the score; None where there are several scores, or no class."""
    scored: Literal["probability", "number", "forecast"] = "probability"
    """What a score is; several numbers of one row for a forecast."""
    along: tuple[str, ...] = ()
    """Columns that are no inputs but have to be read with them where rows are judged."""

    @property
    def has_classes(self) -> bool:
        """Whether a label is one of named classes, and not a number."""
        return self.classes != (0, 0)

    @property
    def label_type(self) -> type[np.int64] | type[np.float64]:
        """In what numbers labels are counted."""
        return np.int64 if self.has_classes else np.float64

    def outputs(self, n_classes: int) -> int:
        """Scores of a row."""
        return n_classes if self.has_classes and self.positive is None else 1

    def decide_by(self, labels: NDArray[Any], scores: NDArray[np.float32], terms: Terms) -> Decision:
        """The decision by rows that have no units."""
        if self.tally is None:
            return self.decide(pl.DataFrame(), terms)
        units = np.zeros(len(labels), np.int64)
        return self.decide(self.tally(units, [""], labels.astype(self.label_type), scores), terms)

    def check_classes(self, dataset: str, classes: Sequence[str]) -> None:
        """Refuse a dataset whose classes do not fit its task."""
        fewest, most = self.classes
        if not fewest <= len(classes) <= (len(classes) if most is None else most):
            wanted = f"{fewest} or more" if most is None else str(fewest) if fewest == most else f"{fewest} to {most}"
            raise ValueError(
                f"{wanted} classes of {dataset}, whose task is {self.name}",
                f"{len(classes)}: {', '.join(classes)}" if classes else "none",
                f"correct task or classes in stages/datasets/{dataset}",
            )

    def tell_rows(self, labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Label and code of unscored rows, by which rows are known as by those of a table: see ``known_by``."""
        nothing = np.zeros(len(labels), np.int64)
        return (labels, nothing) if self.has_classes else (nothing, labels.astype(np.float32).view(np.int32))


def round_figures(content: Any) -> Any:
    """Floats to six significant digits, all through a result: more is noise that differs between processors."""
    if isinstance(content, float):
        return float(f"{content:.{SIGNIFICANT_DIGITS}g}")
    if isinstance(content, Mapping):
        return {key: round_figures(value) for key, value in content.items()}
    return [round_figures(value) for value in content] if isinstance(content, list) else content
