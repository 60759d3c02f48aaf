"""How often does each interval of the product hold the truth, at the size of the data it is shown for?

`python -m benchmarks.study_intervals [trials]` simulates test parts of the size of those of nycflights (61 days whose
luck is correlated by 0.4, drawn in runs of five, and 61 valid days that choose a threshold), digits (360 rows, ten
classes) and diabetes (88 rows), and asks the modules of the line for their intervals at 95 %.  The truth is that of 100
times as many rows; of a metric at a threshold, the mean over thresholds that the trials chose.  300 trials are about
three minutes on one quiet core; a coverage of 95 % is then known within 2.5 %.  Prints the coverage, by interval.
`benchmarks.study_other_intervals` has those of the other stages.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from tabulate import tabulate

from benchmarks.alike_systems import Float, correlated
from stages.metrics.binary import BINARY, BinaryDecision, BinaryTable
from stages.metrics.bootstrap import draw_both, draw_weights, replicate
from stages.metrics.contract import Metric, System, Task, Terms
from stages.metrics.curves import calibration_curve, precision_recall_curve, roc_curve
from stages.metrics.multiclass import MULTICLASS
from stages.metrics.paired import Difference, compare
from stages.metrics.regression import REGRESSION
from stages.metrics.resampling import merge_cells
from stages.metrics.systems import interval_around
from stages.results.costs import cost_curve

LEVEL, REPLICATES, SEED = 0.95, 299, 7
DAYS, ROWS, CORRELATION, BLOCK = 61, 80, 0.4, 5
TERMS = Terms(2, cost_of_miss=3.0, cost_of_false_alarm=1.0)
Ends = tuple[float | None, float | None]
Found = Iterator[tuple[str, Ends, float]]
"""What an interval is of, its ends, and the truth."""


@dataclass(frozen=True)
class Flights:
    """Labels and scores of two systems by day; a day has its luck, and each system good and bad days."""

    days: NDArray[np.int64]
    labels: NDArray[np.int64]
    scores: dict[str, NDArray[np.float32]]

    @classmethod
    def draw(cls, rng: np.random.Generator, days: int, rows: int = ROWS) -> Flights:
        """So many days, one after another."""
        luck, good, bad = correlated(rng, 3, days, CORRELATION)[:, :, None]
        signal = rng.normal(size=(days, rows))
        labels = (1.1 * signal - 1 + 0.7 * luck > rng.logistic(size=signal.shape)).astype(np.int64)
        seen = {
            "model": signal + 0.5 * rng.normal(size=signal.shape) + 0.4 * luck + 0.2 * good - 1.1,
            "baseline": 0.8 * signal + 0.7 * rng.normal(size=signal.shape) + 0.4 * luck + 0.2 * bad - 1.1,
        }
        scores = {name: (1 / (1 + np.exp(-value))).astype(np.float32).ravel() for name, value in seen.items()}
        return cls(np.repeat(np.arange(days), rows), labels.ravel(), scores)

    def cells(self, system: str, days: int) -> pl.DataFrame:
        """Counts by day, label and code."""
        assert BINARY.tally is not None
        return merge_cells([BINARY.tally(self.days, names(days), self.labels, self.scores[system])])


def names(units: int) -> list[str]:
    """Names of units, in order."""
    return [f"{unit:05d}" for unit in range(units)]


def exactly(decision: BinaryDecision, many: Flights, system: str) -> dict[str, float]:
    """Every metric of a system that decides so, over very many days."""
    return decision.exact(many.labels, many.scores[system])


def flights(trials: int) -> dict[str, list[bool]]:
    """Everything that is told of a binary test part of 61 days."""
    rng = np.random.default_rng(SEED)
    many = Flights.draw(rng, 100 * DAYS)
    drawn = [(Flights.draw(rng, DAYS), Flights.draw(rng, DAYS)) for _ in range(trials)]
    decided = [{system: decide(valid, system) for system in many.scores} for _, valid in drawn]
    truth = {
        system: dict(
            mean_of([exactly(decision[system], many, system) for decision in decided[:: max(1, trials // 60)]])
        )
        for system in many.scores
    }
    curves = draw_curves(table_of(decided[0]["model"], many, "model", 100 * DAYS), np.ones((2, 100 * DAYS)))
    held: dict[str, list[bool]] = defaultdict(list)
    for trial, ((test, valid), decisions) in enumerate(zip(drawn, decided, strict=True)):
        systems = {}
        for name, decision in decisions.items():
            table = BINARY.redecide(table_of(decision, test, name, DAYS), valid.cells(name, DAYS), names(DAYS), False)
            systems[name] = System(table, decision.exact(test.labels, test.scores[name]))
        weights = draw_both(DAYS, DAYS, REPLICATES, trial, BLOCK)
        for name, ends, true in [
            *metrics_of(BINARY, systems["model"], weights, truth["model"], BLOCK),
            *differences(BINARY.metrics, systems, weights, truth),
            *drawn_points(systems["model"].table, weights, curves, truth["model"]),
        ]:
            note(held, name, ends, true)
    return held


def decide(valid: Flights, system: str) -> BinaryDecision:
    """The threshold that valid days choose."""
    decision = BINARY.decide(valid.cells(system, DAYS), TERMS)
    assert isinstance(decision, BinaryDecision)
    return decision


def table_of(decision: BinaryDecision, rows: Flights, system: str, days: int) -> BinaryTable:
    """A table without valid rows."""
    return decision.table(rows.cells(system, days), names(days))


def mean_of(found: list[dict[str, float]]) -> dict[str, float]:
    """Of each metric."""
    return {name: float(np.mean([each[name] for each in found])) for name in found[0]}


def metrics_of(task: Task, system: System, weights: Float, truth: Mapping[str, float], block: int) -> Found:
    """The interval of each metric, as `evaluate` makes it."""
    drawn = replicate(system.table.measure, weights)
    coded = system.table.measure(np.ones((1, len(system.table.counts))))
    for name, metric in task.metrics.items():
        around = interval_around(
            system.table, name, metric, drawn[name], float(coded[name][0]), system.exact[name],
            method=metric.method or "percentile", level=LEVEL, block=block,
        )  # fmt: skip
        yield f"{task.name}: {name}, {metric.method or 'percentile'}", (around.low, around.high), truth[name]


def differences(
    metrics: Mapping[str, Metric],
    systems: Mapping[str, System],
    weights: Float,
    truth: Mapping[str, Mapping[str, float]],
) -> Found:
    """Those between model and baseline, thresholds drawn again and held."""
    for how, chosen in (("", weights), (", threshold held", weights[:, :DAYS])):
        found = compare(systems["baseline"], systems["model"], metrics, chosen, level=LEVEL, block=BLOCK)
        for name, gap in found.items():
            if not metrics[name].descriptive and (not how or name in BINARY.at_threshold):
                yield f"difference: {name}, paired t{how}", ends_of(gap), truth["model"][name] - truth["baseline"][name]


def ends_of(gap: Difference) -> Ends:
    """Of its interval."""
    return gap.low, gap.high


def draw_curves(table: BinaryTable, weights: Float) -> dict[str, dict[str, float | None]]:
    """A point of each curve: value, low and high."""
    curve = ([table.scores], [table.scores], weights, LEVEL, BLOCK)
    roc = roc_curve(*curve).row(20, named=True)
    precision = precision_recall_curve(*curve).row(49, named=True)
    groups = calibration_curve(table.scores, weights, LEVEL, BLOCK)
    group = groups.filter((pl.col("predicted") > 0.3) & (pl.col("predicted") < 0.4)).row(0, named=True)
    return {
        "curve: ROC at a false positive rate of 0.2, percentile": roc | {"value": roc["true_positive_rate"]},
        "curve: precision at a recall of 0.5, percentile": precision | {"value": precision["precision"]},
        "curve: calibration, scores of 0.3 to 0.4, percentile": group | {"value": group["observed"]},
    }


def drawn_points(
    table: object, weights: Float, truth: Mapping[str, Mapping[str, float | None]], costs: Mapping[str, float]
) -> Found:
    """Points of curves, and the cost at the threshold in use."""
    assert isinstance(table, BinaryTable)
    for name, point in draw_curves(table, weights).items():
        yield name, (point["low"], point["high"]), float(truth[name]["value"] or 0.0)
    chosen = cost_curve(table, weights, LEVEL, BLOCK).chosen
    yield "curve: cost at the threshold in use, percentile", (chosen.low, chosen.high), costs["expected_cost"]


def note(held: dict[str, list[bool]], name: str, ends: Ends, truth: float) -> None:
    """Whether an interval holds the truth; one that there is not is not counted."""
    if ends[0] is not None and ends[1] is not None:
        held[name].append(ends[0] - 1e-12 <= truth <= ends[1] + 1e-12)


def independent_rows(task: Task, n: int, draw: Callable[[np.random.Generator, int], tuple[Float, Float]],
                     terms: Terms, trials: int) -> dict[str, list[bool]]:  # fmt: skip
    """Every metric of a test part of ``n`` independent rows."""
    rng, held = np.random.default_rng(SEED), defaultdict[str, list[bool]](list)
    decision = task.decide(pl.DataFrame(), terms)
    labels, scores = draw(rng, 100 * n)
    truth = decision.exact(labels, scores.astype(np.float32))
    for trial in range(trials):
        labels, scores = draw(rng, n)
        cells = merge_cells([decision.tabulate(np.arange(n), names(n), labels, scores.astype(np.float32))])
        system = System(decision.table(cells, names(n)), decision.exact(labels, scores.astype(np.float32)))
        for name, ends, true in metrics_of(task, system, draw_weights(n, REPLICATES, trial), truth, 1):
            note(held, name, ends, true)
    return held


def digits(rng: np.random.Generator, n: int) -> tuple[Float, Float]:
    """Ten classes, of which 95 % are told right."""
    labels = rng.integers(0, 10, n)
    raw = np.exp(4.4 * np.eye(10)[labels] + 1.3 * rng.normal(size=(n, 10)))
    return labels, raw / raw.sum(axis=1, keepdims=True)


def diabetes(rng: np.random.Generator, n: int) -> tuple[Float, Float]:
    """Numbers of which a model explains three fifths."""
    targets = 150 + 77 * rng.normal(size=n)
    return targets, 150 + 0.6 * (targets - 150) + 38 * rng.normal(size=n)


def main(trials: int = 300) -> None:
    """Print the table."""
    studies = (
        lambda: flights(trials),
        lambda: independent_rows(MULTICLASS, 360, digits, Terms(10), trials),
        lambda: independent_rows(REGRESSION, 88, diabetes, Terms(0, 150.0, 77.0), trials),
    )
    tell(studies)


def tell(studies: Sequence[Callable[[], Mapping[str, list[bool]]]]) -> None:
    """Print how often each interval held the truth."""
    rows = []
    for study in studies:
        for name, held in study().items():
            rows.append((name, f"{100 * np.mean(held):.1f} %", len(held)))
            print(rows[-1], file=sys.stderr, flush=True)
    print(tabulate(rows, ("interval", "held", "of"), tablefmt="github"))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
