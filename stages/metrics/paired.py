"""Is B better than A, or did the test rows favour it?  Two systems on the same rows, under the same resamples.

Both are measured under the same weights, so the luck that they share (a stormy week is hard for both) falls out of the
difference.  Around the difference of the exact values lies

    difference ± t · SE,    SE² = variance over replicates · runs/(runs - 1) · inflation

with Student's t at runs - 1 degrees of freedom, and runs = units/block: as many independent pieces of evidence as the
bootstrap draws.  Interval, p-value and verdict come from that one t, so they cannot disagree.

Percentile and BCa intervals of a dozen runs are too narrow: with no difference at all, 61 days correlated by 0.4 and
runs of five, they raise the alarm in 10 to 13 % of the cases where they claim 5 %.  Three things are amiss, and each
has its remedy.  Resamples of few runs vary too little: runs/(runs - 1).  The variance of few runs is itself uncertain:
Student's t, not the normal.  Runs of five show 4/5 of the correlation between neighbours, 3/5 of that at two days'
distance, …: *inflation* puts back what they do not show (`unseen_correlation`).  docs/comparison.md has the measured
rates, and those of the methods that lost.

That is the question about two models as they are.  Whether a *change* helps is another one: the same change, trained
again from another seed, gives another model, and chance in the training moves a figure as days do.  Days and trainings
are crossed (every model is judged on every day), and the trainings of A and B are independent.  So each side counts by
the mean over its trainings, and

    SE² = days' part, as above, of the difference of the means + s²/k of A + s²/k of B

with s² the variance of a metric over the k trainings of a side, on all test rows, and Satterthwaite's degrees of
freedom ("An approximate distribution of estimates of variance components", 1946).  A side with
fewer than three trainings borrows the s² of the other; where both have fewer, chance is not known, and there is no
verdict.

Among several looks, *Holm* keeps the chance of one or more false alarms at the stated rate, whatever their dependence
(Holm, "A simple sequentially rejective multiple test procedure", 1979).  *bh* keeps the share of false alarms among the
findings there, for looks that are independent or positively related (Benjamini & Hochberg, "Controlling the false
discovery rate", 1995): of twenty experiments it lets more through, and one in twenty of those is allowed to be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, sqrt
from typing import Any, Literal, get_args

import numpy as np

from stages.metrics.bootstrap import MIN_DEFINED_SHARE, Float, Scores, replicate
from stages.metrics.contract import Direction, Metric, System, Tabulated
from stages.metrics.evidence import ROUNDING, Share, why_too_few
from stages.metrics.variance import Variance, leave_one_out, satterthwaite, t_quantile, two_sided_p, variance_of_runs

Correction = Literal["holm", "bh", "none"]
Verdict = Literal["better", "worse", "no evidence", "not known", "descriptive", "too few", "undefined"]

LEAST_TRAININGS = 3
"""Fewer tell nothing of their spread: with two, 8 to 12 % false alarms where 5 % are stated, simulated."""
NOT_KNOWN = f"neither has {LEAST_TRAININGS} trainings, and chance in the training may move this as much"


@dataclass(frozen=True)
class Difference:
    """One metric of B minus that of A.

    ``share_better`` is the share of resamples in which B is better, ties counting half: a description, where
    ``p_value`` is the test.  Numbers that do not exist are None, and ``reason`` says why; it also holds a remark where
    all resamples agree.  Then there is a p-value and no interval: what never varied may vary in other rows.
    """

    metric: str
    direction: Direction
    a: float | None
    b: float | None
    difference: float | None
    low: float | None
    high: float | None
    level: float
    p_value: float | None
    share_better: float | None
    verdict: Verdict
    replicates: int
    reason: str = ""
    p_adjusted: float | None = None


def compare(
    a: System, b: System, metrics: Mapping[str, Metric], weights: Float, *, level: float, block: int,
    drawn: tuple[Scores, Scores] | None = None, chance: Mapping[str, Sequence[Variance] | None] | None = None,
    strata: int = 1, left_out: tuple[Scores, Scores] | None = None,
) -> dict[str, Difference]:  # fmt: skip
    """Every metric of the candidate ``b`` against the reference ``a``, both under ``weights`` (R, units).

    ``block`` is that of the weights; ``drawn`` are the replicates of both, where they are known, ``left_out`` what
    `leave_one_out` finds.  ``chance`` is what
    trainings add to the variance of a difference, None where that is not known; without it the question is about the
    two models as they are.  Units drawn within so many ``strata``, as those of folds are, vary around as many means:
    that many degrees of freedom are gone.  A metric that a system lacks, or that most resamples leave undefined, comes
    back with the verdict "undefined", one of too few rows (`evidence`) as "too few"; the others do not suffer.
    """
    gaps = _Gaps.of(a, b, weights, block, drawn, strata, left_out)
    added = chance or {}
    return {name: gaps.test(name, metric, level, added.get(name, ())) for name, metric in metrics.items()}


def compare_trained(
    a: Sequence[System], b: Sequence[System], metrics: Mapping[str, Metric], weights: Float, *, level: float,
    block: int, by_chance: tuple[bool, bool] = (True, True),
) -> dict[str, Difference]:  # fmt: skip
    """Whether a change helps: every metric of the trainings ``b`` against the trainings ``a``; see `compare`.

    ``by_chance`` says of either side whether another training would give another model at all.
    """
    chance = {name: variances_of_trainings(a, b, name, by_chance) for name in metrics}
    return compare(mean_of(a), mean_of(b), metrics, weights, level=level, block=block, chance=chance)


def variances_of_trainings(
    a: Sequence[System], b: Sequence[System], name: str, by_chance: tuple[bool, bool] = (True, True)
) -> list[Variance] | None:
    """What the trainings add to the variance of a difference of means; None where nothing is known of it."""
    moved = [side for side, chance in zip((a, b), by_chance, strict=True) if chance]
    known = [side for side in moved if len(side) >= LEAST_TRAININGS]
    if moved and not known:
        return None
    if len(known) == len(moved):
        return [Variance(_spread(side, name) / len(side), len(side) - 1) for side in moved]
    lender = known[0]  # one estimate serves both sides, so it is one term
    return [Variance(_spread(lender, name) * sum(1 / len(side) for side in moved), len(lender) - 1)]


def _spread(side: Sequence[System], name: str) -> float:
    values = np.array([system.exact.get(name, np.nan) for system in side], np.float64)
    return float(values.var(ddof=1))


@dataclass(frozen=True)
class _Mean:
    """The table of several trainings: the mean of each metric."""

    tables: Sequence[Tabulated]

    @property
    def counts(self) -> Float:
        """Rows by unit and class, the same for all of them."""
        return self.tables[0].counts

    @property
    def shares(self) -> Mapping[str, Share]:
        """A mean of shares is none."""
        return {}

    def measure(self, weights: Float) -> Scores:
        """The mean over the trainings of every metric that all of them have."""
        found = [table.measure(weights) for table in self.tables]
        return {name: np.mean([each[name] for each in found], axis=0) for name in found[0]}


def mean_of(side: Sequence[System]) -> System:
    """Several trainings as one system, whose metrics are the means of theirs."""
    if len(side) == 1:
        return side[0]
    exact = {name: float(np.mean([system.exact[name] for system in side])) for name in side[0].exact}
    return System(_Mean([system.table for system in side]), exact)


def correct(differences: Sequence[Difference], method: Correction) -> list[Difference]:
    """The same differences with ``p_adjusted`` for having looked at all of them, and the verdicts that follow.

    The intervals stay those of a single look.
    """
    tested = [found for found in differences if found.p_value is not None]
    adjusted = iter(adjust([found.p_value for found in tested if found.p_value is not None], method))
    return [found if found.p_value is None else _corrected(found, next(adjusted)) for found in differences]


def _corrected(found: Difference, p: float) -> Difference:
    return replace(found, p_adjusted=p, verdict=_verdict(found.difference or 0.0, found.direction, p, found.level))


def _verdict(difference: float, direction: Direction, p: float, level: float) -> Verdict:
    if p >= 1 - level or difference == 0:
        return "no evidence"
    return "better" if (difference > 0) == (direction == "higher") else "worse"


@dataclass(frozen=True)
class _Gaps:
    """What two systems score on all rows, and B minus A: in each replicate, and with each unit left out."""

    counts: tuple[Float, Float]
    exact: tuple[Mapping[str, float], Mapping[str, float]]
    coded: tuple[Scores, Scores]
    replicates: Scores
    left_out: Scores
    runs: float
    block: int
    strata: int

    @classmethod
    def of(
        cls, a: System, b: System, weights: Float, block: int, drawn: tuple[Scores, Scores] | None, strata: int,
        left_out: tuple[Scores, Scores] | None,
    ) -> _Gaps:  # fmt: skip
        n_units = len(a.table.counts)
        ones = np.ones((1, n_units))
        of_a, of_b = drawn or (replicate(a.table.measure, weights), replicate(b.table.measure, weights))
        # independent units have no neighbours whose likeness could have been missed
        left: tuple[Scores, Scores] = ({}, {})
        if block > 1:
            left = left_out or (leave_one_out(a.table.measure, n_units), leave_one_out(b.table.measure, n_units))
        return cls(
            (a.table.counts, b.table.counts), (a.exact, b.exact), (a.table.measure(ones), b.table.measure(ones)),
            _minus(of_a, of_b), _minus(*left), n_units / block, block, strata,
        )  # fmt: skip

    def test(self, name: str, metric: Metric, level: float, chance: Sequence[Variance] | None) -> Difference:
        """One metric; ``chance`` is what else moves it, None where that is not known."""
        value_a, value_b = self._values(name)
        drawn = self.replicates.get(name, np.empty(0))
        defined = drawn[np.isfinite(drawn)]
        defined = np.where(np.abs(defined) <= self._rounding(name), 0.0, defined)
        difference = None if value_a is None or value_b is None else value_b - value_a
        few = [why for counts in self.counts if (why := why_too_few(counts, self.block, metric.every_class))]
        if difference is not None and few:
            return self._untested(name, metric, value_a, value_b, difference, level, "too few", few[0])
        reason = self._why_undefined(name, value_a, value_b, defined, drawn)
        if difference is None or reason:
            return self._untested(name, metric, value_a, value_b, None, level, "undefined", reason, len(defined))
        if chance is None:
            verdict: Verdict = "descriptive" if metric.descriptive else "not known"
            return self._untested(name, metric, value_a, value_b, difference, level, verdict, NOT_KNOWN, len(defined))
        low, high, p, remark = self._around(name, difference, defined, level, chance)
        won = defined > 0 if metric.direction == "higher" else defined < 0
        return Difference(
            name, metric.direction, value_a, value_b, difference, low, high, level,
            None if metric.descriptive else p,
            float(won.mean() + (defined == 0).mean() / 2),
            "descriptive" if metric.descriptive else _verdict(difference, metric.direction, p, level),
            len(defined), remark,
        )  # fmt: skip

    @staticmethod
    def _untested(
        name: str, metric: Metric, a: float | None, b: float | None, difference: float | None, level: float,
        verdict: Verdict, reason: str, replicates: int = 0,
    ) -> Difference:  # fmt: skip
        return Difference(
            name, metric.direction, a, b, difference, None, None, level, None, None, verdict, replicates, reason
        )

    def _values(self, name: str) -> tuple[float | None, float | None]:
        """Both exact; from the coded tables, both, where a revision is from before the metric existed."""
        pair = self.exact if all(name in values for values in self.exact) else self.coded
        value_a, value_b = (_number(values.get(name)) for values in pair)
        return value_a, value_b

    def _rounding(self, name: str) -> float:
        """Differences up to this are none."""
        return ROUNDING * max(float(np.nan_to_num(abs(values.get(name, np.zeros(1))[0]))) for values in self.coded)

    def _why_undefined(self, name: str, a: float | None, b: float | None, defined: Float, drawn: Float) -> str:
        if not len(drawn):
            lacking = " and ".join(which for which, values in zip("AB", self.coded, strict=True) if name not in values)
            return f"{name} cannot be computed from the resampling table of {lacking}"
        if a is None or b is None:
            return f"{name} is not defined on the test rows: they lack a class"
        if len(defined) < max(2, MIN_DEFINED_SHARE * len(drawn)):
            return f"{name} is defined in {len(defined)} of {len(drawn)} resamples: too few rows of the rarest class"
        return ""

    def _around(
        self, name: str, difference: float, defined: Float, level: float, chance: Sequence[Variance]
    ) -> tuple[float | None, float | None, float, str]:
        """Interval, p-value, and a remark where nothing varies.

        Systems that are equal by every metric in every resample score alike: their difference is nought, whatever the
        rows.  A difference that is the same everywhere is met by chance as often as all runs favour one of two equals.
        """
        varying = [each for each in chance if each.value > self._rounding(name) ** 2]
        if not varying and not defined.any():
            equal = all(np.abs(values).max() <= self._rounding(other) for other, values in self.replicates.items())
            ends = (min(difference, 0.0), max(difference, 0.0)) if equal else (None, None)
            return *ends, 1.0, "A and B are equal in every resample"
        if not varying and float(defined.std(ddof=1)) <= self._rounding(name):
            return None, None, 2.0 ** (1 - self.runs), "the difference is the same in every resample"
        left_out = self.left_out[name] if self.block > 1 else None
        parts = [variance_of_runs(defined, left_out, self.runs, self.block, self.strata), *varying]
        error, df = sqrt(sum(part.value for part in parts)), satterthwaite(parts)
        reach = t_quantile(level, df) * error
        return difference - reach, difference + reach, two_sided_p(difference / error, df), ""


def _number(value: Any) -> float | None:
    """A float, or the only element of an array; None for what is missing, NaN or null."""
    number = float("nan") if value is None else float(np.ravel(value)[0])
    return number if isfinite(number) else None


def _minus(own: Scores, other: Scores) -> Scores:
    """The second minus the first, where both have the metric."""
    return {name: other[name] - values for name, values in own.items() if name in other}


def adjust(p_values: Sequence[float], method: Correction) -> list[float]:
    """P-values, in their order, that may be read one by one as if there had been one look."""
    if method not in get_args(Correction):
        raise ValueError(f"a correction: {', '.join(get_args(Correction))}", repr(method), "choose one of them")
    p, n = np.asarray(p_values, np.float64), len(p_values)
    if method == "none" or n == 0:
        return [float(value) for value in p]
    order = np.argsort(p, kind="stable")
    rank = np.arange(n)
    if method == "holm":  # the smallest p of n, the next one of n - 1 …; never below the one before
        adjusted = np.maximum.accumulate(p[order] * (n - rank))
    else:
        adjusted = np.minimum.accumulate((p[order] * n / (rank + 1))[::-1])[::-1]
    result = np.empty(n)
    result[order] = np.minimum(adjusted, 1.0)
    return [float(value) for value in result]


@dataclass(frozen=True)
class _Same:
    """One thing in which two evaluations must agree."""

    key: str
    wanted: str
    next_step: str


_SAME = (
    _Same("dataset", "evaluations of one dataset", "name a dataset that both have with --dataset"),
    _Same("task", "evaluations of one kind of task", "compare revisions in which the dataset asks the same question"),
    _Same("question", "the same question asked of the test rows", "compare revisions that ask the same question"),
    _Same("target", "the same target column", "compare revisions that predict the same column"),
    _Same("classes", "the same classes in the same order", "compare revisions with the same label definition"),
    _Same("resampled", "the same unit of resampling", "set evaluate.resample alike in both and evaluate again"),
    _Same("rows", "the same test rows", "evaluate both with the same scale, split and cleaning rules"),
    _Same("units", "the same test rows", "evaluate both with the same scale, split and cleaning rules"),
    _Same("same_rows", "the same test rows with the same labels",
          "evaluate both with the same scale, split, cleaning rules and label definition"),
)  # fmt: skip


def refuse_other_rows(header_a: Mapping[str, Any], header_b: Mapping[str, Any], names: tuple[str, str]) -> None:
    """Stop when two evaluations are not about the same rows and the same question.

    Seed, number of replicates, length of runs and level may differ: the comparison draws anew, alike for both.
    """
    for same in _SAME:
        found_a, found_b = header_a.get(same.key), header_b.get(same.key)
        if found_a != found_b:
            raise ValueError(same.wanted, _told(same.key, found_a, found_b, header_a, names), same.next_step)


def _told(key: str, a: Any, b: Any, header: Mapping[str, Any], names: tuple[str, str]) -> str:
    name_a, name_b = names
    if key == "same_rows":
        return (
            f"{name_a} and {name_b} have {header['rows']:,} test rows each, "
            "but not the same ones, or not the same labels"
        )
    words = {"rows": "test rows", "units": f"units of {header['resampled']}"}.get(key, key)
    told_a, told_b = (f"{value:,}" if isinstance(value, int) else repr(value) for value in (a, b))
    return f"{words} of {name_a}: {told_a}; of {name_b}: {told_b}"
