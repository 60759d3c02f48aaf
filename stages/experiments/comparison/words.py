"""What may be said of a comparison in one sentence?  Never more than its intervals and corrected p-values hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10
from textwrap import fill

from stages.experiments.comparison.changes import Change
from stages.experiments.comparison.comparison import Compared, Evaluation, Question, Resampling
from stages.metrics.paired import LEAST_TRAININGS, Correction, Difference
from stages.pages.numbers import count_text, fixed, level_text

FEW_UNITS = 20
SMALL = 10.0
WIDEST = 112  # characters of a line of prose in the terminal
CORRECTIONS = {"holm": "Holm's", "bh": "Benjamini and Hochberg's"}


@dataclass(frozen=True)
class Side:
    """One of the two revisions."""

    label: str
    commit: str | None
    trainings: int = 1
    by_chance: bool = True
    redrawn: str | None = None

    @property
    def has_few(self) -> bool:
        """Whether its trainings are too few to tell how far they spread."""
        return self.by_chance and self.trainings < LEAST_TRAININGS

    @property
    def trained(self) -> str:
        """mean of 3 trainings"""
        if not self.by_chance:
            return "the same model from any seed"
        drawn = f", training {self.redrawn} drawn again" if self.redrawn else ""
        return f"mean of {self.trainings} trainings{drawn}" if self.trainings > 1 else f"one training{drawn}"

    def __str__(self) -> str:
        """``deep (1f2e3d4c)``"""
        short = (self.commit or "")[:8]
        return f"{self.label} ({short})" if short and short != self.label else self.label


@dataclass(frozen=True)
class Drawn:
    """What was compared: which rows, and how they were resampled."""

    dataset: str
    question: str
    task: str
    rows: int
    resampled: str
    units: int
    block: int
    replicates: int
    level: float
    seed: int
    asked: Question = "change"

    @classmethod
    def of(cls, evaluation: Evaluation, resampling: Resampling) -> Drawn:
        """That of a table and the weights of its units."""
        header = evaluation.header
        return cls(
            header["dataset"], header["question"], header["task"], header["rows"], header["resampled"],
            len(resampling.units), resampling.block, resampling.replicates, resampling.level, resampling.seed,
            resampling.question,
        )  # fmt: skip

    def __str__(self) -> str:
        """52,713 test rows, 61 units of day in runs of 5, 1,000 resamples"""
        runs = f" in runs of {self.block}" if self.block > 1 else ""
        units = f"{count_text(self.units)} units of {self.resampled}{runs}"
        return f"{count_text(self.rows)} test rows, {units}, {count_text(self.replicates)} resamples"


@dataclass(frozen=True)
class Comparison:
    """Two revisions on one dataset."""

    a: Side
    b: Side
    drawn: Drawn
    correction: Correction
    identical: bool
    changes: list[Change]
    whole: list[Compared]
    segments: list[Compared]
    notes: list[str]


def conclusion(comparison: Comparison) -> str:
    """The one sentence."""
    a, b = comparison.a.label, comparison.b.label
    if comparison.identical:
        return f"{a} and {b} have the same resampling table: nothing differs."
    judged = [each.found for each in comparison.whole if each.found.p_value is not None]
    if not judged and any(each.found.verdict == "not known" for each in comparison.whole):
        return f"Whether the change from {a} to {b} helps is not known: {train_again(comparison.drawn.dataset)}"
    if not judged:
        return f"Nothing can be said of {b} and {a}: {_why_nothing(comparison.whole)}."
    better, worse, unsettled = (_with(judged, verdict) for verdict in ("better", "worse", "no evidence"))
    if better and worse:
        return (
            f"{b} is better than {a} on {_listed(better)} and worse on {_listed(worse)}: which of them counts is "
            "for you to say."
        )
    if not better and not worse:
        return f"No evidence that {b} differs from {a}{_corrected(comparison, judged)}: {_where(judged[0])}."
    word = "better" if better else "worse"
    rest = f"; on {_listed(unsettled, figures=False)} there is no evidence either way" if unsettled else ""
    none = f", and {'worse' if better else 'better'} on none" if len(judged) > 1 else ""
    return f"{b} is {word} than {a} on {_listed(better or worse)}{none}{rest}."


def asked(drawn: Drawn, a: Side, b: Side) -> str:
    """Which of the two questions a table answers."""
    if drawn.asked == "model":
        return "Asked: is this very model of B better than that of A?  Trained again, either could come out otherwise."
    return f"Asked: does the change help?  A: {a.trained}; B: {b.trained}.{_borrowed(a, b)}"


def _borrowed(a: Side, b: Side) -> str:
    """Whose spread had to be taken from the other side."""
    few = [name for name, side in (("A", a), ("B", b)) if side.has_few]
    return f"  {few[0]} has too few to tell their spread: it is taken to be the other's." if len(few) == 1 else ""


def train_again(dataset: str) -> str:
    """Why there is no verdict on a change, and what gives one."""
    return (
        f"another seed may move a figure as far, and neither side has {LEAST_TRAININGS} trainings. Train again with "
        f"`dvc repro retrain@{dataset}` (an experiment: `dvc exp run … retrain@{dataset}`, evaluate.trainings "
        f"{LEAST_TRAININGS} or more), or ask which of the two models is better with --question model."
    )


def _why_nothing(whole: Sequence[Compared]) -> str:
    few = next((each.found.reason for each in whole if each.found.verdict == "too few"), "")
    return f"the rows are too few to judge by ({few})" if few else "none of the metrics is defined on these rows"


def _with(judged: Sequence[Difference], verdict: str) -> list[Difference]:
    return [found for found in judged if found.verdict == verdict]


def _corrected(comparison: Comparison, judged: Sequence[Difference]) -> str:
    if comparison.correction == "none" or len(judged) < 2:
        return ""
    return f", {CORRECTIONS[comparison.correction]} correction for {len(judged)} metrics made"


def _listed(found: Sequence[Difference], figures: bool = True) -> str:
    """roc_auc (+0.012, 95 % interval +0.010 to +0.014), recall and f1: the first with its figures."""
    first = f"{found[0].metric} ({_figures(found[0])})" if figures else found[0].metric
    names = [first, *(each.metric for each in found[1:])]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _figures(found: Difference) -> str:
    digits = decimals(found)
    return f"{fixed(found.difference, digits, sign=True)}, {interval_words(found, digits)}"


def interval_words(found: Difference, digits: int) -> str:
    """95 % interval +0.0080 to +0.0326; or why there is none."""
    return f"{level_text(found.level)} interval {ends(found, digits)}" if found.low is not None else found.reason


def _where(found: Difference) -> str:
    digits = decimals(found)
    if found.low is None:
        return f"on {found.metric}, {found.reason}"
    return f"on {found.metric} the difference lies between {ends(found, digits, ' and ')} ({level_text(found.level)})"


def ends(found: Difference, digits: int, between: str = " to ") -> str:
    """+0.0080 to +0.0326"""
    return f"{fixed(found.low, digits, sign=True)}{between}{fixed(found.high, digits, sign=True)}"


def footnote(comparison: Comparison) -> str:
    """How the columns are to be read."""
    judged = [each for each in comparison.whole if each.found.p_value is not None]
    return reading(comparison.correction, len(judged), "metrics", comparison.drawn.level)


def reading(correction: Correction, looks: int, of: str, level: float) -> str:
    """How intervals, p-values and verdicts are to be read when there were several looks."""
    text = "Difference: B − A. In favour: share of resamples in which B is better."
    if correction == "none" or looks < 2:
        return f"{text} Intervals and verdicts at {level_text(level)}, each as if it were the only look."
    return (
        f"{text} Intervals are those of a single look at {level_text(level)}; verdicts follow p with "
        f"{CORRECTIONS[correction]} correction for {looks} {of}."
    )


def cautions(drawn: Drawn) -> list[str]:
    """What weakens the intervals."""
    if drawn.units >= FEW_UNITS:
        return []
    return [f"Intervals rest on {drawn.units} units of {drawn.resampled} only, and are rough."]


def decimals(found: Difference) -> int:
    """As many as show two digits of the interval's half-width; four at least of small figures."""
    small = max(abs(found.a or 0.0), abs(found.b or 0.0)) < SMALL
    if found.low is None or found.high is None or found.high <= found.low:
        return 4 if small else 1
    return min(max(1 - floor(log10((found.high - found.low) / 2)), 4 if small else 0), 8)


def wrapped(*sentences: str) -> str:
    """Sentences for the terminal, each from a line of its own."""
    return "\n".join(fill(sentence, WIDEST, break_on_hyphens=False) for sentence in sentences)
