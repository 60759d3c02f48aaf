"""How is a comparison of two revisions shown, or a ranking of many?  For the terminal, as Markdown, JSON and CSV.

Which of many experiments is better than the baseline?  All by one metric, corrected for their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from textwrap import fill
from typing import Any

import polars as pl

from stages.experiments.comparison.changes import Change
from stages.experiments.comparison.comparison import Compared, Evaluation, Resampling, compare_whole
from stages.experiments.comparison.words import (
    CORRECTIONS,
    Comparison,
    Drawn,
    Side,
    asked,
    cautions,
    conclusion,
    decimals,
    ends,
    footnote,
    interval_words,
    reading,
    train_again,
    wrapped,
)
from stages.metrics.contract import Metric, round_figures
from stages.metrics.paired import Correction, Difference, correct
from stages.metrics.systems import Around
from stages.pages.numbers import ARROWS, count_text, fixed, level_text, p_text, share_text
from stages.pages.tables import Column, Table, as_markdown, as_text, table


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


LONGEST = 18  # of a label at the head of a column
DRAWN = ("metric", "direction", "difference", "low", "high", "verdict")
MOST_CHANGES = 12
VERDICT = Column("verdict", "verdict")
NAMES_WIDTH = 44
MOST_SHOWN = 3  # changed parameters in a row of the table


def comparison_text(comparison: Comparison) -> str:
    """What a person reads after the command."""
    drawn = comparison.drawn
    lines = [f"{drawn.dataset}: {drawn.question}", f"A  {comparison.a}", f"B  {comparison.b}"]
    if comparison.identical:
        return f"{lines[0]}\n{conclusion(comparison)}"
    head = wrapped(*lines, changed(comparison), str(drawn), asked(drawn, comparison.a, comparison.b))
    told = wrapped(
        conclusion(comparison), footnote(comparison), *reasons(comparison.whole), *cautions(drawn), *comparison.notes
    )
    pieces = [head, as_text(whole_table(comparison)), told]
    if comparison.segments:
        pieces += [as_text(segment_table(comparison)), wrapped(*segment_footnotes(comparison))]
    return "\n\n".join(pieces)


def comparison_markdown(comparison: Comparison) -> str:
    """The same for a page: a section of its own."""
    drawn = comparison.drawn
    head = f"### {drawn.dataset}: {comparison.b} against {comparison.a}"
    if comparison.identical:
        return f"{head}\n\n{conclusion(comparison)}\n"
    pieces = [head, f"**{conclusion(comparison)}**", changed(comparison), as_markdown(whole_table(comparison))]
    if comparison.segments:
        pieces += [as_markdown(segment_table(comparison)), " ".join(segment_footnotes(comparison))]
    about = asked(drawn, comparison.a, comparison.b)
    small = [drawn.question, f"{drawn}.", about, footnote(comparison), *reasons(comparison.whole), *cautions(drawn),
             *comparison.notes]  # fmt: skip
    return "\n\n".join([*pieces, f"<sub>{' '.join(small)}</sub>"]) + "\n"


def changed(comparison: Comparison) -> str:
    """What was changed, in one line."""
    if not comparison.changes:
        return "Changed parameters: none; code or data may differ."
    told = [change.within(comparison.drawn.dataset) for change in comparison.changes]
    more = f"; and {len(told) - MOST_CHANGES} more" if len(told) > MOST_CHANGES else ""
    return f"Changed parameters: {'; '.join(told[:MOST_CHANGES])}{more}"


def whole_table(comparison: Comparison) -> Table:
    """One row a metric."""
    rows = [
        [_name(each.found), *figures(each.found), *judged(each.found, comparison.correction)]
        for each in comparison.whole
    ]
    return table("Metrics", [Column("metric", "name"), *_heads(comparison)], rows)


def segment_table(comparison: Comparison) -> Table:
    """One row a segment and metric."""
    several = len({each.found.metric for each in comparison.segments}) > 1
    rows = [
        [each.segment, count_text(each.rows), *([_name(each.found)] if several else []), *figures(each.found),
         *judged(each.found, comparison.correction)]
        for each in comparison.segments
    ]  # fmt: skip
    first = comparison.segments[0].found
    head = Column("segment" if several else f"{_name(first)}, by segment", "name")
    metric = [Column("metric", "words")] if several else []
    return table("Segments", [head, "rows", *metric, *_heads(comparison)], rows)


def segment_footnotes(comparison: Comparison) -> list[str]:
    """How the table of segments is to be read; why some have no figures."""
    tested = sum(each.found.p_value is not None for each in comparison.segments)
    several = len({each.found.metric for each in comparison.segments}) > 1
    looks = "segments and metrics" if several else "segments"
    told = reading(comparison.correction, tested, looks, comparison.drawn.level)
    return [told, *reasons(comparison.segments)]


def reasons(compared: Sequence[Compared]) -> list[str]:
    """Why some could not be judged, or have no interval: a sentence each."""
    told = []
    for verdict, word in (("too few", "Too few to judge"), ("undefined", "Undefined")):
        why = sorted({each.found.reason for each in compared if each.found.verdict == verdict})
        told += [f"{word}: {'; '.join(why)}."] if why else []
    alike = {each.found.reason for each in compared if each.found.low is None and each.found.p_value is not None}
    return [*told, *(f"Without an interval: {why}, which other rows may change." for why in sorted(alike))]


def figures(found: Difference) -> list[str]:
    """A, B, their difference and its interval."""
    digits = decimals(found)
    between = "–" if found.low is None else f"[{ends(found, digits, ', ')}]"
    return [fixed(found.a, digits), fixed(found.b, digits), fixed(found.difference, digits, sign=True), between]


def judged(found: Difference, correction: Correction) -> list[str]:
    """Its p-values, how many resamples favour B, and the verdict."""
    adjusted = [p_text(found.p_adjusted)] if correction != "none" else []
    return [p_text(found.p_value), *adjusted, share_text(found.share_better), found.verdict]


def _heads(comparison: Comparison) -> list[Column | str]:
    sides = [f"{letter} {short(side.label)}" for letter, side in (("A", comparison.a), ("B", comparison.b))]
    adjusted = [f"p ({comparison.correction})"] if comparison.correction != "none" else []
    interval = f"{level_text(comparison.drawn.level)} interval"
    return [*sides, "difference", interval, "p", *adjusted, "in favour", VERDICT]


def _name(found: Difference) -> str:
    return f"{found.metric} {ARROWS[found.direction]}"


def short(label: str) -> str:
    """A label that leaves room for others."""
    return label if len(label) <= LONGEST else f"{label[: LONGEST - 1]}…"


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        **asdict(comparison.drawn),
        "a": asdict(comparison.a),
        "b": asdict(comparison.b),
        "correction": comparison.correction,
        "identical": comparison.identical,
        "changed_parameters": [asdict(change) for change in comparison.changes],
        "conclusion": conclusion(comparison),
        "notes": [*cautions(comparison.drawn), *comparison.notes],
        "metrics": [_record(each) for each in comparison.whole],
        "segments": [_record(each) for each in comparison.segments],
    }


def comparison_frame(comparison: Comparison) -> pl.DataFrame:
    """One row a metric, segments below the whole."""
    names = {"dataset": comparison.drawn.dataset, "a_label": comparison.a.label, "b_label": comparison.b.label}
    records = [names | _record(each) for each in (*comparison.whole, *comparison.segments)]
    return pl.DataFrame(records, infer_schema_length=None)


def differences_frame(differences: Sequence[Difference]) -> pl.DataFrame:
    """What the plot of differences needs; metrics without an interval have no place in it."""
    drawn = [found for found in differences if found.low is not None]
    records = [round_figures({column: getattr(found, column) for column in DRAWN}) for found in drawn]
    return pl.DataFrame(records, schema=dict.fromkeys(DRAWN, pl.String) | dict.fromkeys(DRAWN[2:5], pl.Float64))


def _record(each: Compared) -> dict[str, Any]:
    figures: dict[str, Any] = round_figures(asdict(each.found))
    return {"segment": each.segment, "rows": each.rows} | figures


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
        once = [each.side.label for each in ranking.ranked if each.side.has_few]
        text += f", means of trainings (baseline: {ranking.baseline.trained}"
        text += f"; fewer than three, with the baseline's spread: {', '.join(once)})" if once else ")"
    text += "; intervals are those of a single look"
    if ranking.correction != "none":
        text += f", verdicts follow p ({ranking.correction})"
    return " ".join([f"{text}.", *cautions(ranking.drawn)])


def _ranked_table(ranking: Ranking) -> Table:
    first = ranking.ranked[0].found
    adjusted = [f"p ({ranking.correction})"] if ranking.correction != "none" else []
    columns: list[Column | str] = [
        "", Column("experiment", "name"), Column("changed", "words"), _name(first), "difference",
        f"{level_text(first.level)} interval", "p", *adjusted, "in favour", VERDICT,
    ]  # fmt: skip
    rows = [[str(n), *_row(each, ranking)] for n, each in enumerate(ranking.ranked, 1)]
    value = fixed(first.a, decimals(first))
    rows.append(["", short(ranking.baseline.label), "(baseline)", value, *[""] * (len(columns) - 4)])
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
