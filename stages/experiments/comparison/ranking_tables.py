"""How is a ranking of experiments shown?  As a table in the terminal, as Markdown, as JSON and as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from textwrap import fill
from typing import Any

import polars as pl
from tabulate import tabulate

from stages.experiments.comparison.changes import Change
from stages.experiments.comparison.ranking import Ranked, Ranking
from stages.experiments.comparison.tables import ARROWS, FOREST, MOST_CHANGES, figures, judged, short, to_forest
from stages.experiments.comparison.words import (
    CORRECTIONS,
    cautions,
    decimals,
    level_text,
    plain,
    signed,
    wrapped,
)
from stages.metrics.contract import round_figures
from stages.metrics.paired import Difference

NAMES_WIDTH = 44
MOST_SHOWN = 3  # changed parameters in a row of the table


def terminal_text(ranking: Ranking) -> str:
    """What a person reads after the command."""
    title = f"{ranking.drawn.dataset}: {ranking.drawn.question}"
    pieces = [title]
    if ranking.ranked:
        head = wrapped(title, f"Baseline  {ranking.baseline}", str(ranking.drawn))
        pieces = [head, _table(ranking, "simple"), wrapped(conclusion(ranking), footnote(ranking))]
    if ranking.unranked:
        pieces.append(_left_out(ranking, "simple"))
    return "\n\n".join(pieces)


def markdown(ranking: Ranking) -> str:
    """The same for a page: a section of its own."""
    pieces = [f"### {ranking.drawn.dataset}: experiments against {ranking.baseline}"]
    if ranking.ranked:
        pieces += [f"**{conclusion(ranking)}**", _table(ranking, "pipe")]
    if ranking.unranked:
        pieces.append(_left_out(ranking, "pipe"))
    return "\n\n".join([*pieces, f"<sub>{ranking.drawn.question} {ranking.drawn}. {footnote(ranking)}</sub>"]) + "\n"


def conclusion(ranking: Ranking) -> str:
    """How many are better, which leads, and what a lead among several is worth."""
    found = [each.found for each in ranking.ranked if each.found.p_value is not None]
    if not found:
        return "None of the experiments can be judged."
    counts = [sum(each.verdict == verdict for each in found) for verdict in ("better", "worse", "no evidence")]
    told = f"{counts[0]} better than {ranking.baseline.label}, {counts[1]} worse, {counts[2]} without evidence"
    corrected = "" if ranking.correction == "none" else f", {CORRECTIONS[ranking.correction]} correction made"
    first = ranking.ranked[0]
    if first.found.verdict != "better":
        return f"Of {_number(found)} compared{corrected}: {told}."
    digits = decimals(first.found)
    gain = f"{signed(first.found.difference, digits)} on {first.found.metric}, {level_text(first.found.level)} interval"
    ends = f"{signed(first.found.low, digits)} to {signed(first.found.high, digits)}"
    lead = f"{first.side.label} leads ({gain} {ends})"
    lucky = "; the best of several looks better than it is: confirm it on newer rows" if len(found) > 1 else ""
    return f"Of {_number(found)} compared{corrected}: {told}. {lead}{lucky}."


def _number(found: Sequence[Difference]) -> str:
    return f"{len(found)} experiment{'s' if len(found) != 1 else ''}"


def footnote(ranking: Ranking) -> str:
    """How the columns are to be read."""
    text = "Difference: experiment − baseline; intervals are those of a single look"
    if ranking.correction != "none":
        text += f", verdicts follow p ({ranking.correction})"
    return " ".join([f"{text}.", *cautions(ranking.drawn)])


def _table(ranking: Ranking, style: str) -> str:
    first = ranking.ranked[0].found
    adjusted = [f"p ({ranking.correction})"] if ranking.correction != "none" else []
    heads = ["", "experiment", "changed", f"{first.metric} {ARROWS[first.direction]}", "difference",
             f"{level_text(first.level)} interval", "p", *adjusted, "in favour", "verdict"]  # fmt: skip
    rows = [[str(n), *_row(each, ranking)] for n, each in enumerate(ranking.ranked, 1)]
    aligned = ["right", "left", "left", *["right"] * (len(heads) - 4), "left"]
    value = plain(first.a, decimals(first))
    rows.append(["", short(ranking.baseline.label), "(baseline)", value, *[""] * (len(heads) - 4)])
    return tabulate(rows, heads, tablefmt=style, colalign=aligned, disable_numparse=True)


def _row(each: Ranked, ranking: Ranking) -> list[str]:
    _, *beside = figures(each.found)  # the baseline's figure has a row of its own
    changes = shown_changes(each.changes, ranking.drawn.dataset)
    return [each.side.label, changes, *beside, *judged(each.found, ranking.correction)]


def shown_changes(changes: Sequence[Change], dataset: str) -> str:
    """model.max_depth 5 → 8, and how many more."""
    told = [change.within(dataset) for change in changes]
    more = f" and {len(told) - MOST_SHOWN} more" if len(told) > MOST_SHOWN else ""
    return (", ".join(told[:MOST_SHOWN]) + more) or "(no parameter)"


def _left_out(ranking: Ranking, style: str) -> str:
    """A row a reason, with the experiments to which it applies."""
    labels: dict[str, list[str]] = {}
    for label, reason in ranking.unranked.items():
        labels.setdefault(reason, []).append(label)
    rows = [[fill(", ".join(found), NAMES_WIDTH) if style == "simple" else ", ".join(found), reason]
            for reason, found in labels.items()]  # fmt: skip
    return tabulate(rows, ["not ranked", "because"], tablefmt=style, disable_numparse=True)


def to_json(ranking: Ranking) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        **asdict(ranking.drawn),
        "baseline": asdict(ranking.baseline),
        "correction": ranking.correction,
        "conclusion": conclusion(ranking),
        "experiments": [
            asdict(each.side) | {"changed_parameters": [asdict(change) for change in each.changes]}
            | round_figures(asdict(each.found))
            for each in ranking.ranked
        ],
        "not_ranked": ranking.unranked,
    }  # fmt: skip


def to_frame(ranking: Ranking) -> pl.DataFrame:
    """One row an experiment, best first."""
    records = [
        {"rank": n, "experiment": each.side.label, "commit": each.side.commit,
         "changed": "; ".join(change.within(ranking.drawn.dataset) for change in each.changes[:MOST_CHANGES])}
        | round_figures(asdict(each.found))
        for n, each in enumerate(ranking.ranked, 1)
    ]  # fmt: skip
    return pl.DataFrame(records, infer_schema_length=None)


def forest(ranking: Ranking) -> pl.DataFrame:
    """Differences of the one metric, a row an experiment: its name stands where a metric's would."""
    named = {each.side.label: each.found for each in ranking.ranked if each.found.low is not None}
    return (
        to_forest(list(named.values())).with_columns(pl.Series("metric", list(named), dtype=pl.String)).select(FOREST)
    )
