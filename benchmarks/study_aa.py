"""How often does a comparison raise the alarm when there is no difference, and how often when there is one?

`python -m benchmarks.study_aa [trials]` simulates pairs of systems on the same days (`benchmarks.alike_systems`) and
prints the two tables of docs/comparison.md: the line's test (`stages.metrics.paired.compare`) beside five others on the
same data.  1500 trials, about five minutes on one core; a rate of 5 % is then known within 1.1 %.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from tabulate import tabulate

from benchmarks.alike_systems import FLAGGED, PROBABILITIES, Float, World, correlated
from stages.metrics.binary import METRICS, ScoreTable, log_loss, roc_auc
from stages.metrics.bootstrap import Scores, draw_weights, interval, jackknife, replicate
from stages.metrics.contract import Metric, System
from stages.metrics.evidence import Share
from stages.metrics.paired import compare
from stages.metrics.variance import two_sided_p

REPLICATES, LEVEL, SEED = 299, 0.95, 4
METHODS = ("the line's", "no inflation", "percentile", "BCa", "bootstrap-t", "swapped runs")
MEAN = {"mean": Metric("higher")}
MANY_ROWS = 100.0  # behind the number of a unit
CHOSEN = {name: METRICS[name] for name in ("roc_auc", "log_loss", "accuracy")}


@dataclass(frozen=True)
class Scored:
    """Three metrics of cells (units, 2, codes): a ranking, a loss and a decision."""

    cells: Float

    @property
    def counts(self) -> Float:
        return np.asarray(self.cells.sum(axis=2))

    @property
    def shares(self) -> dict[str, Share]:
        return {}

    def measure(self, weights: Float) -> Scores:
        negatives, positives = ScoreTable(PROBABILITIES, self.cells).resample(weights)
        right = negatives[:, ~FLAGGED].sum(axis=1) + positives[:, FLAGGED].sum(axis=1)
        return {
            "roc_auc": roc_auc(negatives, positives),
            "log_loss": log_loss(negatives, positives, PROBABILITIES),
            "accuracy": right / (negatives.sum(axis=1) + positives.sum(axis=1)),
        }

    @property
    def units(self) -> int:
        return len(self.cells)

    def beside(self, other: Scored) -> Scored:
        """Twice the units: to take some days of one and the others of the other."""
        return Scored(np.concatenate([self.cells, other.cells]))


@dataclass(frozen=True)
class Valued:
    """The mean of one number a unit (units,): the plainest metric."""

    values: Float

    @property
    def counts(self) -> Float:
        return np.full((self.units, 1), MANY_ROWS)

    @property
    def shares(self) -> dict[str, Share]:
        return {}

    def measure(self, weights: Float) -> Scores:
        return {"mean": weights @ self.values / weights.sum(axis=1)}

    @property
    def units(self) -> int:
        return len(self.values)

    def beside(self, other: Valued) -> Valued:
        return Valued(np.concatenate([self.values, other.values]))


@dataclass(frozen=True)
class Setting:
    """A world, in words, and how its days are drawn; without ``world``, a mean over 61 days that differs by day."""

    told: str
    world: World | None
    block: int
    skewed: bool = False

    def pairs(self, trials: int) -> Iterator[tuple[Scored | Valued, Scored | Valued]]:
        rng = np.random.default_rng(SEED)
        for start in range(0, trials, 100):
            n = min(100, trials - start)
            if self.world is None:
                days = correlated(rng, n, 61, 0.4)
                if self.skewed:  # lognormal, mean zero: B is a little worse on most days and far better on a few
                    days = np.exp(0.7 * days) - np.exp(0.7**2 / 2)
                yield from ((Valued(np.zeros(61)), Valued(day)) for day in days)
            else:
                yield from ((Scored(a), Scored(b)) for a, b in zip(*self.world.counts(rng, n), strict=True))


SETTINGS = (
    Setting("300 independent rows", World(300, 1, luck=0.0), 1),
    Setting("61 independent days", World(61, 200, luck=0.6), 1),
    Setting("61 days, correlated, drawn one by one", World(61, 200, 0.4, 0.6), 1),
    Setting("61 days, correlated, runs of 5", World(61, 200, 0.4, 0.6), 5),
    Setting("the same, correlation 0.6", World(61, 200, 0.6, 0.6), 5),
    Setting("a month: 30 days, runs of 5", World(30, 200, 0.4, 0.6), 5),
    Setting("a year: 365 days, runs of 5", World(365, 30, 0.4, 0.6), 5),
    Setting("a mean over 61 days, runs of 5", None, 5),
    Setting("the same, skewed differences", None, 5, skewed=True),
)


def alarms(a: Scored | Valued, b: Scored | Valued, block: int, seed: int) -> dict[str, dict[str, bool]]:
    """By method and metric, whether A and B are said to differ."""
    weights = draw_weights(a.units, REPLICATES, seed, block)
    ones, runs = np.ones((1, a.units)), a.units / block
    whole, drawn, left_out, single = (
        minus(look(a), look(b))
        for look in (
            lambda table: table.measure(ones),
            lambda table: replicate(table.measure, weights),
            lambda table: jackknife(table.measure, table.units, block),
            lambda table: jackknife(table.measure, table.units),
        )
    )
    systems = [System(table, {k: float(v[0]) for k, v in table.measure(ones).items()}) for table in (a, b)]
    metrics = MEAN if isinstance(a, Valued) else CHOSEN
    found = compare(systems[0], systems[1], metrics, weights, level=LEVEL, block=block)
    swapped = swap_runs(a, b, block, seed)
    said: dict[str, dict[str, bool]] = {method: {} for method in METHODS}
    for name in metrics:
        value, values = float(whole[name][0]), drawn[name]
        error = values.std(ddof=1) * np.sqrt(runs / (runs - 1))
        said["the line's"][name] = (found[name].p_value or 0) < 1 - LEVEL
        said["no inflation"][name] = two_sided_p(value / error, runs - 1) < 1 - LEVEL
        for method, key in (("percentile", "percentile"), ("BCa", "bca")):
            around = interval(values, value, method=key, level=LEVEL, left_out=left_out[name])
            said[method][name] = not around.low <= 0 <= around.high
        said["bootstrap-t"][name] = studentised(single[name].mean() - single[name], value, block, seed)
        said["swapped runs"][name] = bool((np.abs(swapped[name]) >= abs(value) - 1e-12).mean() < 1 - LEVEL)
    return said


def minus(own: Scores, other: Scores) -> Scores:
    """The second minus the first."""
    return {name: other[name] - values for name, values in own.items()}


def swap_runs(a: Scored | Valued, b: Scored | Valued, block: int, seed: int) -> Scores:
    """The difference after A and B have changed places in a random half of the runs: what a sharp null allows."""
    n_runs = a.units // block
    run_of_unit = np.arange(a.units) * n_runs // a.units
    kept = np.random.default_rng(seed).integers(0, 2, size=(REPLICATES, n_runs))[:, run_of_unit].astype(np.float64)
    both = a.beside(b)
    return minus(both.measure(np.hstack([kept, 1 - kept])), both.measure(np.hstack([1 - kept, kept])))


def studentised(influence: Float, value: float, block: int, seed: int) -> bool:
    """Bootstrap-t of the linearised difference: each replicate is divided by the standard error of its own runs."""
    n, k = len(influence), -(-len(influence) // block)
    run_sums = influence[(np.arange(n)[:, None] + np.arange(block)) % n].sum(axis=1)
    drawn = run_sums[np.random.default_rng(seed).integers(n, size=(REPLICATES, k))]
    errors = drawn.std(axis=1, ddof=1) * np.sqrt(k)
    low, high = np.quantile(drawn.sum(axis=1) / np.where(errors > 0, errors, 1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    t = value / (run_sums.std() * np.sqrt(k))  # influence sums to the scale of the difference itself
    return not low <= t <= high


def rates(setting: Setting, trials: int) -> dict[str, dict[str, float]]:
    """By method and metric, the share of trials with an alarm."""
    said = [alarms(a, b, setting.block, seed) for seed, (a, b) in enumerate(setting.pairs(trials))]
    return {
        method: {name: float(np.mean([one[method][name] for one in said])) for name in said[0][method]}
        for method in METHODS
    }


def told(found: Mapping[str, float]) -> str:
    """Per cent, one figure a metric."""
    return " · ".join(f"{100 * rate:.1f}" for rate in found.values())


def main(trials: int = 1500) -> None:
    """Print both tables."""
    rows = []
    for setting in SETTINGS:
        found = rates(setting, trials)
        rows.append((setting.told, *(told(found[method]) for method in METHODS)))
        print(rows[-1], file=sys.stderr, flush=True)
    print(tabulate(rows, ("no difference; alarms, %", *METHODS), tablefmt="github"), end="\n\n")
    rows = []
    for days, rows_a_day in ((61, 200), (365, 30)):
        for gain in (0.1, 0.2, 0.4):
            world = World(days, rows_a_day, 0.4, 0.3, gain)
            found = rates(Setting("", world, 5), trials // 3)
            rows.append((days, true_gain(world), *(told(found[method]) for method in METHODS)))
            print(rows[-1], file=sys.stderr, flush=True)
    print(tabulate(rows, ("days", "true gain; found, %", *METHODS), tablefmt="github"))


def true_gain(world: World) -> str:
    """The difference in ROC-AUC and in log-loss over very many days."""
    counts = replace(world, days=5000, rows=200).counts(np.random.default_rng(SEED), 1)
    ones = np.ones((1, 5000))
    gained = minus(*(Scored(one[0]).measure(ones) for one in counts))
    return f"{gained['roc_auc'][0]:+.4f} ROC-AUC, {gained['log_loss'][0]:+.4f} log-loss"


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
