"""What do the results look like in rows?  Figures as text, beside strips that show them on the column's scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stages.pages.card import metric_name, verdict
from stages.pages.curves import Axis
from stages.pages.forest import Mark, length, ruler, scale, strip
from stages.pages.numbers import count_text, share_text
from stages.results.facts import Facts
from stages.results.segments import Figure, SegmentResult
from stages.results.words import figure, signed, spanned

UP, DOWN = "↑", "↓"  # better is higher, lower
SHORT = 24  # letters of a name that need not be broken
FIRST = 15  # features shown before the reader unfolds the others


@dataclass(frozen=True)
class Cell:
    """A figure: ``text`` in words or digits, ``svg`` drawn, ``kind`` a class of the style sheet."""

    text: str = ""
    svg: str = ""
    kind: str = "number"


@dataclass(frozen=True)
class Column:
    """The head of a column, with the scale of its strips where it has any."""

    label: str
    kind: str = "number"
    scale: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under their columns; the first cell of each row is its heading, the rows after ``first`` are folded away."""

    name: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    first: int = 10_000

    @property
    def is_wide(self) -> bool:
        """Too wide for a phone: its rows are then set as blocks."""
        spanned = any("[" in cell.text for row in self.rows for cell in row)
        return spanned or any(column.kind in ("drawn", "words") for column in self.columns)

    @property
    def head(self) -> Sequence[Sequence[Cell]]:
        """The rows in sight."""
        return self.rows[: self.first]

    @property
    def rest(self) -> Sequence[Sequence[Cell]]:
        """The rows folded away."""
        return self.rows[self.first :]


def metrics(facts: Facts) -> Table:
    """Every metric of the model beside the baseline's, and their difference; each row has a scale of its own."""
    rows = []
    for name, r in facts.results.items():
        own = Mark(r["value"], r["low"], r["high"], "model")
        other = Mark(r["baseline"], r["baseline_low"], r["baseline_high"], "baseline")
        told = verdict(r)
        rows.append([
            Cell(f"{metric_name(name)} {UP if r['direction'] == 'higher' else DOWN}", kind="name short"),
            Cell(svg=strip(scale([own, other]), [own, other]), kind="drawn"),
            Cell(f"{figure(r['value'])} {spanned(r['low'], r['high'])}"),
            Cell(f"{figure(r['baseline'])} {spanned(r['baseline_low'], r['baseline_high'])}"),
            Cell(f"{signed(r['difference'])} [{signed(r['difference_low'])}, {signed(r['difference_high'])}]"),
            Cell(told, kind=f"verdict {told.split()[0]}"),
        ])  # fmt: skip
    columns = (
        Column("metric", "name"), Column("model and baseline", "drawn"), Column("model"), Column("baseline"),
        Column("difference"), Column("verdict", "verdict"),
    )  # fmt: skip
    return Table("Every metric, with intervals, beside the one-rule baseline", columns, rows)


def segments(facts: Facts) -> list[Table]:
    """A table for every column by which rows are told apart."""
    shown = facts.kind.shown
    along = {metric: _segment_scale(facts, metric) for metric in shown}
    return [_segment_table(facts, column, found, along) for column, found in facts.segments.items()]


def _segment_scale(facts: Facts, metric: str) -> Axis:
    """One scale for all columns, so that segments of different columns can be compared."""
    every = [found.figures[metric] for column in facts.segments.values() for found in column]
    whole = facts.results[metric]
    marks = [Mark(f.value, f.low, f.high) for f in every if f.low is not None]
    return scale([*marks, Mark(whole["value"], whole["low"], whole["high"])])


def _segment_table(
    facts: Facts, column: str, found: Sequence[SegmentResult], along: Mapping[str, Axis]
) -> Table:  # fmt: skip
    columns = [Column(column, "name"), Column("rows")]
    if facts.positive is not None:
        columns.append(Column(f"“{facts.positive}”"))
    for metric, axis in along.items():
        columns += [Column(metric_name(metric), "drawn", ruler(axis)), Column(f"{metric_name(metric)} [interval]")]
    columns.append(Column("beside the baseline", "verdict"))
    lead = facts.kind.shown[0]
    rows = []
    for segment in found:
        cells = [_named(segment.name), Cell(count_text(segment.rows))]
        if segment.positives is not None:
            cells.append(Cell(share_text(segment.positives / segment.rows if segment.rows else None)))
        for metric, axis in along.items():
            cells += _figure_cells(facts, segment, metric, axis)
        cells.append(_against_baseline(segment.figures[lead]))
        rows.append(cells)
    return Table(f"By {column}", columns, rows)


def _named(text: str) -> Cell:
    return Cell(text, kind="name short" if len(text) <= SHORT else "name")


def _figure_cells(facts: Facts, segment: SegmentResult, metric: str, along: Axis) -> list[Cell]:
    found = segment.figures[metric]
    if found.low is None:
        return [Cell(kind="drawn"), Cell(why_none(facts, segment, found))]
    kind = {"better": "better", "worse": "worse"}.get(found.apart, "model")
    mark = {"better": " ▲", "worse": " ▼"}.get(found.apart, "")
    drawn = strip(along, [Mark(found.value, found.low, found.high, kind)], rule=facts.results[metric]["value"])
    return [Cell(svg=drawn, kind="drawn"), Cell(f"{figure(found.value)} {spanned(found.low, found.high)}{mark}")]


def why_none(facts: Facts, segment: SegmentResult, found: Figure) -> str:
    """Why a segment has no figure, or none with an interval."""
    if segment.rows == 0:
        return "no rows"
    if found.value is not None:
        return f"{figure(found.value)} (too few rows for an interval)"
    if segment.positives == 0:
        return f"no row is “{facts.positive}”"
    if segment.positives == segment.rows:
        return f"every row is “{facts.classes[1]}”"
    return "not defined"


def _against_baseline(found: Figure) -> Cell:
    if found.low is None:
        return Cell("–", kind="verdict")
    return Cell(found.verdict or "not shown to differ", kind=f"verdict {found.verdict or 'not'}")


def features(facts: Facts) -> Table:
    """Kept features by relevance, with their stability."""
    kept = [f for f in facts.selection["features"] if f["kept"]]
    marks = [Mark(f["relevance"], f.get("relevance_low"), f.get("relevance_high")) for f in kept]
    along = scale(marks, zero=True)
    rows = [
        [
            Cell(feature["name"], kind="name code"),
            Cell(facts.about(feature["name"]), kind="words"),
            Cell(svg=strip(along, [mark]), kind="drawn"),
            Cell(f"{share_text(feature['relevance'])}{_share_span(feature)}"),
            Cell(share_text(feature.get("stability"))),
        ]
        for feature, mark in zip(kept, marks, strict=True)
    ]
    columns = (
        Column("feature", "name"), Column("what it is", "words"), Column("relevance", "drawn", ruler(along)),
        Column("of the target's entropy"), Column("stability"),
    )  # fmt: skip
    return Table("Features that the model may use", columns, rows, FIRST)


def _share_span(feature: Mapping[str, Any]) -> str:
    if feature.get("relevance_low") is None:
        return ""
    return f" [{share_text(feature['relevance_low'])}, {share_text(feature['relevance_high'])}]"


def left_out(facts: Facts) -> Table:
    """Features that were left out, and why."""
    rows = [
        [Cell(feature["name"], kind="name code"), Cell(facts.about(feature["name"]), kind="words"),
         Cell(feature["reason"], kind="words")]
        for feature in facts.selection["features"] if not feature["kept"]
    ]  # fmt: skip
    return Table(
        "Features that were left out",
        (Column("feature", "name"), Column("what it is", "words"), Column("why", "words")), rows, FIRST,
    )  # fmt: skip


def effects(facts: Facts) -> Table:
    """Features by their effect."""
    found = facts.effects.every
    marks = [Mark(effect.value, effect.low, effect.high) for effect in found]
    along = scale(marks, zero=True)
    rows = [
        [
            Cell(effect.name, kind="name code"),
            Cell(facts.about(effect.name), kind="words"),
            Cell(svg=strip(along, [mark]), kind="drawn"),
            Cell(f"{figure(effect.value)} {spanned(effect.low, effect.high)}"),
            Cell(share_text(effect.share)),
        ]
        for effect, mark in zip(found, marks, strict=True)
    ]
    columns = (
        Column("feature", "name"), Column("what it is", "words"), Column("mean size", "drawn", ruler(along)),
        Column("mean size [interval]"), Column("share"),
    )  # fmt: skip
    return Table("Effects of the features", columns, rows, FIRST)


def classes(facts: Facts) -> Table:
    """Precision, recall and F1 of every class."""
    found = facts.plots["per_class"]
    scores = ("precision", "recall", "f1")
    rows = []
    for row in found.iter_rows(named=True):
        cells = [_named(row["class"]), Cell(count_text(row["rows"]))]
        for score in scores:
            value, low, high = row[score], row[f"{score}_low"], row[f"{score}_high"]
            absent = "–" if row["rows"] else "no rows"
            cells.append(Cell(absent if value is None else f"{figure(value)} {spanned(low, high)}"))
        rows.append(cells)
    return Table(
        "Every class", (Column("class", "name"), Column("rows"), *(Column(score) for score in scores)), rows
    )  # fmt: skip


def flow(facts: Facts) -> Table:
    """Tables with their rows read, clean and in quarantine."""
    tables = {facts.dataset: facts.clean["records"], **facts.clean.get("references", {})}
    rows = [
        [
            Cell(name, kind="name"), Cell(count_text(t["rows_in"])), Cell(count_text(t["rows_clean"])),
            Cell(count_text(t["rows_quarantined"])),
        ]
        for name, t in tables.items()
    ]  # fmt: skip
    columns = (Column("table", "name"), Column("rows read"), Column("clean"), Column("in quarantine"))
    return Table("Rows of the records and of the tables beside them", columns, rows)


def failures(facts: Facts) -> Table:
    """Checks that rows failed."""
    found = sorted(facts.clean.get("failures", {}).items(), key=lambda item: (-item[1], item[0]))
    rows = [[Cell(check, kind="name"), Cell(count_text(n))] for check, n in found]
    return Table("Why rows are in quarantine", (Column("check", "name"), Column("rows")), rows, FIRST)


def parts(facts: Facts) -> Table:
    """Labelled rows of each part, and rows without a label by reason."""
    chosen = [*(["rounds"] if facts.stops_early else []), *(["threshold"] if facts.threshold is not None else [])]
    valid = f"{' and '.join(chosen)} chosen on" if chosen else "kept apart"
    used = {"train": "fitted to", "valid": valid, "test": "judged on"}
    total = max(sum(facts.parts.values()), 1)
    rows = [
        [Cell(part, kind="name"), Cell(used[part], kind="words"), Cell(svg=length(n / total), kind="drawn"),
         Cell(count_text(n)), Cell(share_text(n / total))]
        for part, n in facts.parts.items()
    ]  # fmt: skip
    columns = (
        Column("part", "name"), Column("use", "words"), Column("", "drawn"), Column("labelled rows"), Column("share"),
    )  # fmt: skip
    return Table("Labelled rows by part", columns, rows)


def unlabelled(facts: Facts) -> Table:
    """Why rows have no label."""
    found = sorted(facts.clean.get("unlabelled", {}).items(), key=lambda item: (-item[1], item[0]))
    clean = max(facts.clean["records"]["rows_clean"], 1)
    rows = [[Cell(reason, kind="name"), Cell(count_text(n)), Cell(share_text(n / clean))] for reason, n in found]
    return Table(
        "Rows without a label", (Column("because", "name"), Column("rows"), Column("of the clean rows")), rows
    )  # fmt: skip
