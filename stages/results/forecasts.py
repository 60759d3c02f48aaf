"""How do forecasts fare at each horizon, in each series and month, beside the best naive ones?  A table, and words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stages.pages.curves import Mark, ruler, scale, strip
from stages.pages.numbers import count_text, decimals_of, estimate_text, figure, level_text, p_text, share_texts
from stages.pages.tables import Cell, Column, Table, table
from stages.pages.verdicts import metric_name
from stages.results.facts import Facts
from stages.results.segments import Figure, SegmentResult

FIRST = 24  # segments shown before the reader unfolds the others
PLAIN = ("width", "mase", "smape")  # told without their intervals: a row has to fit a page
JUDGED = ("mae", "pinball")
SIGNS = {"better": " ▲", "worse": " ▼", "": ""}


def segment_tables(facts: Facts) -> list[Table]:
    """A table for every column by which lines are told apart."""
    return [_segment_table(column, found) for column, found in facts.segments.items()]


def _segment_table(column: str, found: Sequence[SegmentResult]) -> Table:
    along = scale([mark for segment in found for mark in _marks(segment.figures["mae"])], zero=True)
    columns: list[Column | str] = [
        Column(column, "name"), "rows", Column("model and naive", "drawn", ruler(along)), "MAE [interval]",
        "best naive", "p", "skill, % [interval]", "coverage, % [interval]", "pinball / naive",
        *(metric_name(name) for name in PLAIN),
    ]  # fmt: skip
    rows: list[list[Cell | str]] = []
    for segment in found:
        mae = segment.figures["mae"]
        decimals = decimals_of(mae.value, mae.low, mae.high)
        rows.append([
            Cell(segment.name, kind="name short"), count_text(segment.rows), strip(along, _marks(mae)),
            estimate_text(mae.value, mae.low, mae.high) + SIGNS[mae.verdict], figure(mae.baseline, decimals=decimals),
            p_text(mae.p), *(_in_percent(segment.figures[name]) for name in ("skill", "coverage")),
            _beside_naive(segment.figures["pinball"]), *(figure(segment.figures[name].value) for name in PLAIN),
        ])  # fmt: skip
    return table(f"By {column}", columns, rows, FIRST)


def _marks(mae: Figure) -> list[Mark]:
    if mae.value is None or mae.baseline is None:
        return []
    return [Mark(mae.value, mae.low, mae.high, "model"), Mark(mae.baseline, None, None, "baseline")]


def _in_percent(found: Figure) -> str:
    value, low, high = (None if end is None else 100 * end for end in (found.value, found.low, found.high))
    return figure(value, decimals=1) if low is None else estimate_text(value, low, high, decimals=1)


def _beside_naive(found: Figure) -> str:
    decimals = decimals_of(found.value)
    return (
        f"{figure(found.value, decimals=decimals)} / {figure(found.baseline, decimals=decimals)}{SIGNS[found.verdict]}"
    )


def words(facts: Facts) -> list[str]:
    """Where the model beats the best naive forecast, and where intervals hold what they promise."""
    told = [line for column in facts.segments for line in _said(facts, column)]
    looks = sum(len(found) for found in facts.segments.values())
    return told and [
        *told,
        f"These are {looks} looks at each metric, every one at {facts.level} and none corrected for the others.  p is "
        "that of the paired test of MAE over runs of days.  Coverage and width are told, not judged: pinball judges "
        "both.",
    ]


def _said(facts: Facts, column: str) -> Iterator[str]:
    found = facts.segments[column]
    told = []
    for metric in JUDGED:
        better, worse = ([s.name for s in found if s.figures[metric].verdict == side] for side in SIGNS if side)
        beaten = f" and worse in {', '.join(worse)}" if worse else ""
        told.append(f"{metric_name(metric)} is better in {len(better)} of {len(found)}{beaten}")
    yield f"By {column}, beside the best naive forecast, {'; '.join(told)}."
    nominal = facts.results["coverage"].get("nominal")
    shares = {s.name: s.figures["coverage"] for s in found if s.figures["coverage"].low is not None}
    if nominal is None or not shares:
        return
    values = [share.value for share in shares.values() if share.value is not None]
    promised, (low, high) = level_text(nominal), share_texts([min(values), max(values)])
    off = [name for name, share in shares.items() if not (share.low or 0.0) <= nominal <= (share.high or 1.0)]
    yield (
        f"The {promised} interval covers {low} to {high} of the outcomes; "
        + (f"{promised} lies outside the {facts.level} interval of that share in {', '.join(off)}." if off
           else f"{promised} lies within the {facts.level} interval of that share in every one.")
    )  # fmt: skip
