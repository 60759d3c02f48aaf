"""How is a comparison of two revisions shown?  For the terminal, as Markdown, JSON and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import polars as pl

from stages.experiments.comparison.comparison import Compared
from stages.experiments.comparison.words import (
    Comparison,
    asked,
    cautions,
    conclusion,
    decimals,
    ends,
    footnote,
    reading,
    wrapped,
)
from stages.metrics.contract import round_figures
from stages.metrics.paired import Correction, Difference
from stages.pages.numbers import ARROWS, count_text, elided, fixed, level_text, p_text, share_text
from stages.pages.tables import Column, Table, as_markdown, as_text, table

LONGEST = 18  # of a label at the head of a column
DRAWN = ("metric", "direction", "difference", "low", "high", "verdict")
MOST_CHANGES = 12
VERDICT = Column("verdict", "verdict")


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
        [named(each.found), *figures(each.found), *judged(each.found, comparison.correction)]
        for each in comparison.whole
    ]
    return table("Metrics", [Column("metric", "name"), *_heads(comparison)], rows)


def segment_table(comparison: Comparison) -> Table:
    """One row a segment and metric."""
    several = len({each.found.metric for each in comparison.segments}) > 1
    rows = [
        [each.segment, count_text(each.rows), *([named(each.found)] if several else []), *figures(each.found),
         *judged(each.found, comparison.correction)]
        for each in comparison.segments
    ]  # fmt: skip
    first = comparison.segments[0].found
    head = Column("segment" if several else f"{named(first)}, by segment", "name")
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
    sides = [f"{letter} {elided(side.label, LONGEST)}" for letter, side in (("A", comparison.a), ("B", comparison.b))]
    adjusted = [f"p ({comparison.correction})"] if comparison.correction != "none" else []
    interval = f"{level_text(comparison.drawn.level)} interval"
    return [*sides, "difference", interval, "p", *adjusted, "in favour", VERDICT]


def named(found: Difference) -> str:
    """A metric, and which way is better."""
    return f"{found.metric} {ARROWS[found.direction]}"


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
