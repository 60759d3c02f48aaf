"""Which of many experiments is better than the baseline?  By one metric, corrected for their number, in every form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from textwrap import fill
from typing import Any

import polars as pl

from stages.experiments.comparison.changes import Change
from stages.experiments.comparison.comparison import Evaluation, Resampling, compare_whole
from stages.experiments.comparison.tables import (
    DRAWN,
    LONGEST,
    MOST_CHANGES,
    VERDICT,
    differences_frame,
    figures,
    judged,
    named,
)
from stages.experiments.comparison.words import (
    CORRECTIONS,
    Drawn,
    Side,
    cautions,
    decimals,
    interval_words,
    train_again,
    wrapped,
)
from stages.metrics.contract import Metric, round_figures
from stages.metrics.paired import Correction, Difference, correct
from stages.metrics.systems import Around
from stages.pages.numbers import elided, fixed, level_text
from stages.pages.tables import Column, Table, as_markdown, as_text, table

NAMES_WIDTH = 44
MOST_SHOWN = 3  # changed parameters in a row of the table


@dataclass(frozen=True)
class Ranked:
    """One experiment beside the baseline; ``own`` is the interval of its metric by itself."""

    side: Side
    changes: list[Change]
    found: Difference
    own: Around


@dataclass(frozen=True)
class Ranking:
    """All experiments of one baseline on one dataset; ``unranked`` are reasons by label."""

    baseline: Side
    drawn: Drawn
    correction: Correction
    ranked: list[Ranked]
    unranked: dict[str, str]


def compare_experiments(
    baseline: Evaluation, experiments: Sequence[Evaluation], name: str, metric: Metric, resampling: Resampling,
    correction: Correction,
) -> tuple[dict[str, Difference], dict[str, str]]:  # fmt: skip
    """Differences from the baseline by label, best first; and why the others cannot be compared."""
    found, refused = {}, {}
    for experiment in experiments:
        try:
            compared = compare_whole(baseline, experiment, {name: metric}, resampling, "none")
        except ValueError as error:
            if len(error.args) != 3:
                raise
            refused[experiment.label] = str(error.args[1])
        else:
            found[experiment.label] = compared[0].found
    corrected = dict(zip(found, correct(list(found.values()), correction), strict=True))
    return dict(sorted(corrected.items(), key=lambda item: (_badness(item[1]), item[0]))), refused


def _badness(found: Difference) -> tuple[bool, float]:
    """Ascending: the best value first, those without one last."""
    if found.b is None:
        return True, 0.0
    return False, -found.b if found.direction == "higher" else found.b


def ranking_text(ranking: Ranking) -> str:
    """What a person reads after the command."""
    title = f"{ranking.drawn.dataset}: {ranking.drawn.question}"
    pieces = [title]
    if ranking.ranked:
        head = wrapped(title, f"Baseline  {ranking.baseline}", str(ranking.drawn))
        told = wrapped(ranking_conclusion(ranking), ranking_footnote(ranking))
        pieces = [head, as_text(_ranked_table(ranking)), told]
    if ranking.unranked:
        pieces.append(as_text(_left_out(ranking, NAMES_WIDTH)))
    return "\n\n".join(pieces)


def ranking_markdown(ranking: Ranking) -> str:
    """The same for a page: a section of its own."""
    pieces = [f"### {ranking.drawn.dataset}: experiments against {ranking.baseline}"]
    if ranking.ranked:
        pieces += [f"**{ranking_conclusion(ranking)}**", as_markdown(_ranked_table(ranking))]
    if ranking.unranked:
        pieces.append(as_markdown(_left_out(ranking)))
    small = f"{ranking.drawn.question} {ranking.drawn}. {ranking_footnote(ranking)}"
    return "\n\n".join([*pieces, f"<sub>{small}</sub>"]) + "\n"


def ranking_conclusion(ranking: Ranking) -> str:
    """How many are better, which leads, and what a lead among several is worth."""
    found = [each.found for each in ranking.ranked if each.found.p_value is not None]
    if not found and any(each.found.verdict == "not known" for each in ranking.ranked):
        return f"Whether any of these changes helps is not known: {train_again(ranking.drawn.dataset)}"
    if not found:
        return "None of the experiments can be judged."
    counts = [sum(each.verdict == verdict for each in found) for verdict in ("better", "worse", "no evidence")]
    told = f"{counts[0]} better than {ranking.baseline.label}, {counts[1]} worse, {counts[2]} without evidence"
    corrected = "" if ranking.correction == "none" else f", {CORRECTIONS[ranking.correction]} correction made"
    first = ranking.ranked[0]
    if first.found.verdict != "better":
        return f"Of {_number(found)} compared{corrected}: {told}."
    best, digits = first.found, decimals(first.found)
    gain = f"{fixed(best.difference, digits, sign=True)} on {best.metric}"
    lead = f"{first.side.label} leads ({gain}, {interval_words(best, digits)})"
    lucky = "; the best of several looks better than it is: confirm it on newer rows" if len(found) > 1 else ""
    return f"Of {_number(found)} compared{corrected}: {told}. {lead}{lucky}."


def _number(found: Sequence[Difference]) -> str:
    return f"{len(found)} experiment{'s' if len(found) != 1 else ''}"


def ranking_footnote(ranking: Ranking) -> str:
    """How the columns are to be read."""
    text = "Difference: experiment − baseline"
    if ranking.drawn.asked == "change":
        few = [each.side.label for each in ranking.ranked if each.side.has_few]
        borrowed = f"; with its spread, having too few of their own: {', '.join(few)}" if few else ""
        if ranking.baseline.has_few:
            borrowed = "; too few to tell their spread, so that of the experiments is taken"
        text += f", means of trainings (baseline: {ranking.baseline.trained}{borrowed})"
    text += "; intervals are those of a single look"
    if ranking.correction != "none":
        text += f", verdicts follow p ({ranking.correction})"
    return " ".join([f"{text}.", *cautions(ranking.drawn)])


def _ranked_table(ranking: Ranking) -> Table:
    first = ranking.ranked[0].found
    adjusted = [f"p ({ranking.correction})"] if ranking.correction != "none" else []
    columns: list[Column | str] = [
        "", Column("experiment", "name"), Column("changed", "words"), named(first), "difference",
        f"{level_text(first.level)} interval", "p", *adjusted, "in favour", VERDICT,
    ]  # fmt: skip
    rows = [[str(n), *_row(each, ranking)] for n, each in enumerate(ranking.ranked, 1)]
    value = fixed(first.a, decimals(first))
    rows.append(["", elided(ranking.baseline.label, LONGEST), "(baseline)", value, *[""] * (len(columns) - 4)])
    return table("Experiments", columns, rows)


def _row(each: Ranked, ranking: Ranking) -> list[str]:
    _, *beside = figures(each.found)  # the baseline's figure has a row of its own
    changes = shown_changes(each.changes, ranking.drawn.dataset)
    return [each.side.label, changes, *beside, *judged(each.found, ranking.correction)]


def shown_changes(changes: Sequence[Change], dataset: str) -> str:
    """model.max_depth 5 → 8, and how many more."""
    told = [change.within(dataset) for change in changes]
    more = f" and {len(told) - MOST_SHOWN} more" if len(told) > MOST_SHOWN else ""
    return (", ".join(told[:MOST_SHOWN]) + more) or "(no parameter)"


def _left_out(ranking: Ranking, width: int = 10_000) -> Table:
    """A row a reason, with the experiments to which it applies, in lines of ``width``."""
    labels: dict[str, list[str]] = {}
    for label, reason in ranking.unranked.items():
        labels.setdefault(reason, []).append(label)
    rows = [[fill(", ".join(found), width), reason] for reason, found in labels.items()]
    return table("Experiments that are not ranked", (Column("not ranked", "name"), Column("because", "words")), rows)


def ranking_json(ranking: Ranking) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        **asdict(ranking.drawn),
        "baseline": asdict(ranking.baseline),
        "correction": ranking.correction,
        "conclusion": ranking_conclusion(ranking),
        "experiments": [
            asdict(each.side) | {"changed_parameters": [asdict(change) for change in each.changes]}
            | round_figures(asdict(each.found))
            for each in ranking.ranked
        ],
        "not_ranked": ranking.unranked,
    }  # fmt: skip


def ranking_frame(ranking: Ranking) -> pl.DataFrame:
    """One row an experiment, best first."""
    records = [
        {"rank": n, "experiment": each.side.label, "commit": each.side.commit,
         "changed": "; ".join(change.within(ranking.drawn.dataset) for change in each.changes[:MOST_CHANGES])}
        | round_figures(asdict(each.found))
        for n, each in enumerate(ranking.ranked, 1)
    ]  # fmt: skip
    return pl.DataFrame(records, infer_schema_length=None)


def ranked_differences(ranking: Ranking) -> pl.DataFrame:
    """Differences of the one metric, a row an experiment: its name stands where a metric's would."""
    named = {each.side.label: each.found for each in ranking.ranked if each.found.low is not None}
    return (
        differences_frame(list(named.values()))
        .with_columns(pl.Series("metric", list(named), dtype=pl.String))
        .select(DRAWN)
    )
