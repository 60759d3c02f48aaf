"""What do the results look like in rows?  Figures as text, beside strips that show them on the column's scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stages.pages.curves import Axis, Mark, length, ruler, scale, strip
from stages.pages.numbers import count_text, decimals_of, estimate_text, figure, share_text, share_texts
from stages.pages.tables import Cell, Column, Table, table
from stages.pages.verdicts import estimate_of, metric_label, metric_name, verdict
from stages.results.facts import Facts
from stages.results.segments import Figure, SegmentResult

SHORT = 24  # letters of a name that need not be broken
FIRST = 15  # features shown before the reader unfolds the others
FEATURE = (Column("feature", "name code"), Column("what it is", "words"))
MOST_TRAININGS = 5  # shown one by one
MOST_CLASSES = 30  # of a confusion matrix that fits a page


def metrics(facts: Facts) -> Table:
    """Every metric of the model beside the baseline's, and their difference; each row has a scale of its own."""
    rows: list[list[Cell | str]] = []
    for name, r in facts.results.items():
        own = Mark(r["value"], r["low"], r["high"], "model")
        other = Mark(r["baseline"], r["baseline_low"], r["baseline_high"], "baseline")
        told = verdict(r)
        rows.append([
            Cell(metric_label(name, r), kind="name short"),
            strip(scale([own, other]), [own, other]), estimate_of(r), estimate_of(r, "baseline"),
            estimate_of(r, "difference"), Cell(told, kind=f"verdict {told.split()[0]}"),
        ])  # fmt: skip
    columns = (
        Column("metric", "name"), Column("model and baseline", "drawn"), "model", "baseline", "difference",
        Column("verdict", "verdict"),
    )  # fmt: skip
    return table("Every metric, with intervals, beside the baseline", columns, rows)


def trainings(facts: Facts) -> Table:
    """Every metric of each training, and how far another seed moves it; no row where that is not known."""
    rows = []
    for name in facts.results if facts.spread(facts.lead_name) is not None else ():
        values = [found.get(name) for found in facts.trainings]
        decimals = decimals_of(*values)
        told = [figure(value, decimals=decimals) for value in values[:MOST_TRAININGS]]
        rows.append([metric_label(name, facts.results[name]), *told,
                     f"± {figure(facts.spread(name), decimals=decimals)}"])  # fmt: skip
    others = [f"training {n}" for n in range(2, min(len(facts.trainings), MOST_TRAININGS) + 1)]
    columns: list[Column | str] = [Column("metric", "name"), "this model", *others, "standard deviation"]
    drawn = f", training {facts.redrawn} drawn again" if facts.redrawn else ""
    return table(f"The same training from other seeds{drawn}", columns, rows)


def segments(facts: Facts) -> list[Table]:
    """A table for every column by which rows are told apart."""
    along = {metric: _segment_scale(facts, metric) for metric in facts.kind.shown}
    return [_segment_table(facts, column, found, along) for column, found in facts.segments.items()]


def _segment_scale(facts: Facts, metric: str) -> Axis:
    """One scale for all columns, so that segments of different columns can be compared."""
    every = [found.figures[metric] for column in facts.segments.values() for found in column]
    whole = facts.results[metric]
    marks = [Mark(f.value, f.low, f.high) for f in every if f.low is not None]
    return scale([*marks, Mark(whole["value"], whole["low"], whole["high"])])


def _segment_table(facts: Facts, column: str, found: Sequence[SegmentResult], along: Mapping[str, Axis]) -> Table:
    columns: list[Column | str] = [Column(column, "name"), "rows"]
    if facts.positive is not None:
        columns.append(f"“{facts.positive}”")
    for metric, axis in along.items():
        columns += [Column(metric_name(metric), "drawn", ruler(axis)), f"{metric_name(metric)} [interval]"]
    columns.append(Column("beside the baseline", "verdict"))
    lead = facts.kind.shown[0]
    rows = []
    for segment in found:
        cells: list[Cell | str] = [_named(segment.name), count_text(segment.rows)]
        if segment.positives is not None:
            cells.append(share_text(segment.positives / segment.rows if segment.rows else None))
        for metric, axis in along.items():
            cells += _figure_cells(facts, segment, metric, axis)
        cells.append(_against_baseline(segment.figures[lead]))
        rows.append(cells)
    return table(f"By {column}", columns, rows)


def _named(text: str) -> Cell:
    return Cell(text, kind="name short" if len(text) <= SHORT else "name")


def _figure_cells(facts: Facts, segment: SegmentResult, metric: str, along: Axis) -> list[str]:
    found = segment.figures[metric]
    if found.low is None:
        return ["", why_none(facts, segment, found)]
    kind = {"better": "better", "worse": "worse"}.get(found.apart, "model")
    sign = {"better": " ▲", "worse": " ▼"}.get(found.apart, "")
    drawn = strip(along, [Mark(found.value, found.low, found.high, kind)], rule=facts.results[metric]["value"])
    return [drawn, f"{estimate_text(found.value, found.low, found.high)}{sign}"]


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
        [feature["name"], facts.about(feature["name"]), strip(along, [mark]),
         _share_estimate(feature), share_text(feature.get("stability"))]
        for feature, mark in zip(kept, marks, strict=True)
    ]  # fmt: skip
    columns = (*FEATURE, Column("relevance", "drawn", ruler(along)), "of the target's entropy", "stability")
    return table("Features that the model may use", columns, rows, FIRST)


def _share_estimate(feature: Mapping[str, Any]) -> str:
    if feature.get("relevance_low") is None:
        return share_text(feature["relevance"])
    value, low, high = share_texts([feature[key] for key in ("relevance", "relevance_low", "relevance_high")])
    return f"{value} [{low}, {high}]"


def left_out(facts: Facts) -> Table:
    """Features that were left out, and why."""
    dropped = [feature for feature in facts.selection["features"] if not feature["kept"]]
    rows = [[feature["name"], facts.about(feature["name"]), feature["reason"]] for feature in dropped]
    return table("Features that were left out", (*FEATURE, Column("why", "words")), rows, FIRST)


def effects(facts: Facts) -> Table:
    """Features by their effect."""
    found = facts.effects.every
    marks = [Mark(effect.value, effect.low, effect.high) for effect in found]
    along = scale(marks, zero=True)
    rows = [
        [effect.name, facts.about(effect.name), strip(along, [mark]),
         estimate_text(effect.value, effect.low, effect.high), share_text(effect.share)]
        for effect, mark in zip(found, marks, strict=True)
    ]  # fmt: skip
    columns = (*FEATURE, Column("mean size", "drawn", ruler(along)), "mean size [interval]", "share")
    return table("Effects of the features", columns, rows, FIRST)


def classes(facts: Facts) -> Table:
    """Precision, recall and F1 of every class."""
    scores = ("precision", "recall", "f1")
    rows: list[list[Cell | str]] = []
    for row in facts.plots["per_class"].iter_rows(named=True):
        absent = "–" if row["rows"] else "no rows"
        told = [absent if row[score] is None else estimate_text(row[score], row[f"{score}_low"], row[f"{score}_high"])
                for score in scores]  # fmt: skip
        rows.append([_named(row["class"]), count_text(row["rows"]), *told])
    return table("Every class", (Column("class", "name"), "rows", *scores), rows)


def confusion(facts: Facts) -> dict[str, Any] | None:
    """Rows by actual and predicted class, as a table; None where there are no classes, or too many to look at."""
    found, names = facts.plots["confusion"], list(facts.classes)
    if not len(found) or len(names) > MOST_CLASSES:
        return None
    cells = {(row["actual"], row["predicted"]): row for row in found.iter_rows(named=True)}
    rows = [[_confusion_cell(cells[actual, predicted]) for predicted in names] for actual in names]
    return {"names": names, "rows": list(zip(names, rows, strict=True))}


def _confusion_cell(row: Mapping[str, Any]) -> dict[str, Any]:
    share = row["share_of_actual"]  # drawn by its root, so that a mistake in a hundred is seen
    between = "" if row["low"] is None else f"[{', '.join(share_texts([row['low'], row['high']]))}]"
    told = "" if share is None else f"{share_text(share)} {between} of the rows that are “{row['actual']}”"
    kind = "right" if row["actual"] == row["predicted"] else "wrong" if row["rows"] else "nothing"
    return {"n": count_text(row["rows"]), "share": round((share or 0.0) ** 0.5, 3), "told": told, "kind": kind}


def costs(facts: Facts) -> Table:
    """What acting costs at the thresholds that matter, and how much dearer the chosen one is."""
    curve, threshold = facts.costs, facts.threshold
    if curve is None or threshold is None:
        return table("Cost of acting", (), ())
    named = {
        f"the model from {figure(threshold)} on": curve.chosen, "never act": curve.never, "always act": curve.always,
        f"cheapest in hindsight, from {figure(curve.hindsight_threshold)} on": curve.hindsight,
    }  # fmt: skip
    rows = [
        [name, estimate_text(cost.value, cost.low, cost.high),
         "–" if cost is curve.chosen
         else estimate_text(cost.difference, cost.difference_low, cost.difference_high, True, decimals_of(cost.value))]
        for name, cost in named.items()
    ]  # fmt: skip
    return table("Cost of acting", (Column("act", "name"), "cost a row", "the model less that"), rows)


def flow(facts: Facts) -> Table:
    """Tables with their rows read, clean and in quarantine."""
    tables = {facts.dataset: facts.clean["records"], **facts.clean.get("references", {})}
    counts = ("rows_in", "rows_clean", "rows_quarantined")
    rows = [[name, *(count_text(t[count]) for count in counts)] for name, t in tables.items()]
    columns = (Column("table", "name"), "rows read", "clean", "in quarantine")
    return table("Rows of the records and of the tables beside them", columns, rows)


def failures(facts: Facts) -> Table:
    """Checks that rows failed."""
    rows = [[check, count_text(n)] for check, n in _most_first(facts.clean.get("failures", {}))]
    return table("Why rows are in quarantine", (Column("check", "name"), "rows"), rows, FIRST)


def parts(facts: Facts) -> Table:
    """Labelled rows of each part, and rows without a label by reason."""
    chosen = [*(["rounds"] if facts.stops_early else []), *(["threshold"] if facts.threshold is not None else [])]
    valid = f"{' and '.join(chosen)} chosen on" if chosen else "kept apart"
    used = {"train": "fitted to", "valid": valid, "test": "judged on"}
    total = max(sum(facts.parts.values()), 1)
    shares = share_texts([n / total for n in facts.parts.values()])
    rows = [
        [part, used[part], length(n / total), count_text(n), share]
        for (part, n), share in zip(facts.parts.items(), shares, strict=True)
    ]
    columns = (Column("part", "name"), Column("use", "words"), Column("", "drawn"), "labelled rows", "share")
    return table("Labelled rows by part", columns, rows)


def unlabelled(facts: Facts) -> Table:
    """Why rows have no label."""
    clean = max(facts.clean["records"]["rows_clean"], 1)
    ranked = _most_first(facts.clean.get("unlabelled", {}))
    shares = share_texts([n / clean for _, n in ranked])
    rows = [[reason, count_text(n), share] for (reason, n), share in zip(ranked, shares, strict=True)]
    return table("Rows without a label", (Column("because", "name"), "rows", "of the clean rows"), rows)


def _most_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
