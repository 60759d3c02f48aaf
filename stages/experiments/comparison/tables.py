"""How is a comparison shown?  As a table in the terminal, as Markdown, as JSON and as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import polars as pl
from tabulate import tabulate

from stages.experiments.comparison.comparison import Compared
from stages.experiments.comparison.words import (
    Comparison,
    cautions,
    conclusion,
    decimals,
    footnote,
    level_text,
    p_text,
    plain,
    reading,
    signed,
    wrapped,
)
from stages.metrics.contract import round_figures
from stages.metrics.paired import Correction, Difference
from stages.pages.numbers import count_text, share_text

ARROWS = {"higher": "↑", "lower": "↓"}
LONGEST = 18  # of a label at the head of a column
FOREST = ("metric", "direction", "difference", "low", "high", "verdict")
MOST_CHANGES = 12
Rows = list[list[str]]


def terminal_text(comparison: Comparison) -> str:
    """What a person reads after the command."""
    drawn = comparison.drawn
    lines = [f"{drawn.dataset}: {drawn.question}", f"A  {comparison.a}", f"B  {comparison.b}"]
    if comparison.identical:
        return f"{lines[0]}\n{conclusion(comparison)}"
    head = wrapped(*lines, changed(comparison), str(drawn))
    told = wrapped(conclusion(comparison), footnote(comparison), *cautions(drawn), *comparison.notes)
    pieces = [head, whole_table(comparison, "simple"), told]
    if comparison.segments:
        pieces += [segment_table(comparison, "simple"), wrapped(*segment_footnotes(comparison))]
    return "\n\n".join(pieces)


def markdown(comparison: Comparison) -> str:
    """The same for a page: a section of its own."""
    drawn = comparison.drawn
    head = f"### {drawn.dataset}: {comparison.b} against {comparison.a}"
    if comparison.identical:
        return f"{head}\n\n{conclusion(comparison)}\n"
    pieces = [head, f"**{conclusion(comparison)}**", changed(comparison), whole_table(comparison, "pipe")]
    if comparison.segments:
        pieces += [segment_table(comparison, "pipe"), " ".join(segment_footnotes(comparison))]
    small = [f"{drawn.question}", f"{drawn}.", footnote(comparison), *cautions(drawn), *comparison.notes]
    return "\n\n".join([*pieces, f"<sub>{' '.join(small)}</sub>"]) + "\n"


def changed(comparison: Comparison) -> str:
    """What was changed, in one line."""
    if not comparison.changes:
        return "Changed parameters: none; code or data may differ."
    told = [change.within(comparison.drawn.dataset) for change in comparison.changes]
    more = f"; and {len(told) - MOST_CHANGES} more" if len(told) > MOST_CHANGES else ""
    return f"Changed parameters: {'; '.join(told[:MOST_CHANGES])}{more}"


def whole_table(comparison: Comparison, style: str) -> str:
    """One row a metric."""
    rows = [
        [_name(each.found), *figures(each.found), *judged(each.found, comparison.correction)]
        for each in comparison.whole
    ]
    return _table(rows, ["metric", *_heads(comparison)], style, left=1)


def segment_table(comparison: Comparison, style: str) -> str:
    """One row a segment and metric."""
    several = len({each.found.metric for each in comparison.segments}) > 1
    rows = [
        [each.segment, count_text(each.rows), *([_name(each.found)] if several else []), *figures(each.found),
         *judged(each.found, comparison.correction)]
        for each in comparison.segments
    ]  # fmt: skip
    first = comparison.segments[0].found
    heads = ["segment", "rows", "metric"] if several else [f"{_name(first)}, by segment", "rows"]
    return _table(rows, [*heads, *_heads(comparison)], style, left=1)


def segment_footnotes(comparison: Comparison) -> list[str]:
    """How the table of segments is to be read; why some have no figures."""
    tested = sum(each.found.p_value is not None for each in comparison.segments)
    several = len({each.found.metric for each in comparison.segments}) > 1
    looks = "segments and metrics" if several else "segments"
    reasons = sorted({each.found.reason for each in comparison.segments if each.found.verdict == "undefined"})
    told = reading(comparison.correction, tested, looks, comparison.drawn.level)
    return [told, *(f"Undefined: {reason}." for reason in reasons)]


def figures(found: Difference) -> list[str]:
    """A, B, their difference and its interval."""
    digits = decimals(found)
    between = "–" if found.low is None else f"[{signed(found.low, digits)}, {signed(found.high, digits)}]"
    return [plain(found.a, digits), plain(found.b, digits), signed(found.difference, digits), between]


def judged(found: Difference, correction: Correction) -> list[str]:
    """Its p-values, how many resamples favour B, and the verdict."""
    adjusted = [p_text(found.p_adjusted)] if correction != "none" else []
    return [p_text(found.p_value), *adjusted, share_text(found.share_better), found.verdict]


def _heads(comparison: Comparison) -> list[str]:
    sides = [f"{letter} {short(side.label)}" for letter, side in (("A", comparison.a), ("B", comparison.b))]
    adjusted = [f"p ({comparison.correction})"] if comparison.correction != "none" else []
    interval = f"{level_text(comparison.drawn.level)} interval"
    return [*sides, "difference", interval, "p", *adjusted, "in favour", "verdict"]


def _table(rows: Rows, heads: Sequence[str], style: str, left: int) -> str:
    aligned = ["left"] * left + ["right"] * (len(heads) - left - 1) + ["left"]
    return tabulate(rows, heads, tablefmt=style, colalign=aligned, disable_numparse=True)


def _name(found: Difference) -> str:
    return f"{found.metric} {ARROWS[found.direction]}"


def short(label: str) -> str:
    """A label that leaves room for others."""
    return label if len(label) <= LONGEST else f"{label[: LONGEST - 1]}…"


def to_json(comparison: Comparison) -> dict[str, Any]:
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


def to_frame(comparison: Comparison) -> pl.DataFrame:
    """One row a metric, segments below the whole."""
    names = {"dataset": comparison.drawn.dataset, "a_label": comparison.a.label, "b_label": comparison.b.label}
    records = [names | _record(each) for each in (*comparison.whole, *comparison.segments)]
    return pl.DataFrame(records, infer_schema_length=None)


def to_forest(differences: Sequence[Difference]) -> pl.DataFrame:
    """What a forest plot of differences needs; metrics without an interval have no place in it."""
    drawn = [found for found in differences if found.low is not None]
    records = [round_figures({column: getattr(found, column) for column in FOREST}) for found in drawn]
    return pl.DataFrame(records, schema=dict.fromkeys(FOREST, pl.String) | dict.fromkeys(FOREST[2:5], pl.Float64))


def _record(each: Compared) -> dict[str, Any]:
    figures: dict[str, Any] = round_figures(asdict(each.found))
    return {"segment": each.segment, "rows": each.rows} | figures
