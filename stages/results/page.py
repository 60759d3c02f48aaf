"""How do the facts become a page?  Sections in the order of a reader, filled into the templates.

Whatever comes from the data (names of classes, features, reasons) is escaped by the template; only pictures drawn here
are taken as they are, and those escape their own texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from stages.pages.card import metric_name, verdict
from stages.pages.numbers import count_text, share_text
from stages.results import pictures, tables, words
from stages.results.facts import Facts
from stages.results.tables import Cell

MOST_CLASSES = 30  # of a confusion matrix that fits a page


def write_page(facts: Facts) -> str:
    """The page, from ``page.html.j2`` and what it includes; the same facts give the same bytes."""
    environment = Environment(
        loader=PackageLoader("stages.results", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["drawn"] = Markup
    return environment.get_template("page.html.j2").render(sections(facts))


def sections(facts: Facts) -> dict[str, Any]:
    """Everything that the template shows, by section."""
    return {
        "facts": facts,
        "verdict": verdict(facts.lead).split()[0],
        "headline": words.headline(facts),
        "answer": words.answer(facts),
        "tiles": tiles(facts),
        "data": {
            "words": words.data(facts),
            "tables": _filled(tables.flow(facts), tables.failures(facts), tables.unlabelled(facts)),
            "parts": tables.parts(facts),
        },
        "selection": {
            "words": words.selection(facts), "kept": tables.features(facts), "left_out": tables.left_out(facts),
        },
        "metrics": tables.metrics(facts),
        "curves": pictures.curves(facts),
        "calibration": {"words": words.calibration(facts), "picture": pictures.calibration(facts)},
        "residuals": {"words": words.residuals(facts), "picture": pictures.residuals(facts)},
        "confusion": confusion(facts),
        "classes": tables.classes(facts),
        "segments": {"words": words.segments(facts), "tables": tables.segments(facts)},
        "effects": {
            "words": words.effects(facts), "table": tables.effects(facts) if facts.effects.every else None,
            "pictures": [pictures.dependence(found, facts) for found in facts.effects.closely],
        },
        "costs": costs(facts),
        "limits": words.limits(facts),
    }  # fmt: skip


def _filled(*found: tables.Table) -> list[tables.Table]:
    return [table for table in found if table.rows]


def tiles(facts: Facts) -> list[tuple[str, str, str]]:
    """The figures that a reader takes away: value, what it is, its interval."""
    lead, name = facts.lead, metric_name(facts.lead_name)
    shown = [
        (words.figure(lead["value"]), name, words.spanned(lead["low"], lead["high"])),
        (
            words.signed(lead["difference"]), f"{name} beside the baseline",
            f"[{words.signed(lead['difference_low'])}, {words.signed(lead['difference_high'])}]",
        ),
    ]  # fmt: skip
    if "expected_cost" in facts.results:
        cost = facts.results["expected_cost"]
        shown.append((words.figure(cost["value"]), "cost a row", words.spanned(cost["low"], cost["high"])))
    over = "" if facts.unit == "row" else f"{count_text(len(facts.units))} units of “{facts.unit}”"
    return [*shown, (count_text(facts.parts["test"]), "test rows", over)]


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
    told = "" if share is None else f"{share_text(share)} {_span(row)} of the rows that are “{row['actual']}”"
    kind = "right" if row["actual"] == row["predicted"] else "wrong" if row["rows"] else "nothing"
    return {"n": count_text(row["rows"]), "share": round((share or 0.0) ** 0.5, 3), "told": told, "kind": kind}


def _span(row: Mapping[str, Any]) -> str:
    return "" if row["low"] is None else f"[{share_text(row['low'])}, {share_text(row['high'])}]"


def costs(facts: Facts) -> dict[str, Any] | None:
    """The cost curve, and a table of the points on it."""
    curve, threshold = facts.costs, facts.threshold
    if curve is None or threshold is None:
        return None
    named = {
        f"the model from {words.figure(threshold)} on": curve.chosen, "never act": curve.never,
        "always act": curve.always,
        f"cheapest in hindsight, from {words.figure(curve.hindsight_threshold)} on": curve.hindsight,
    }  # fmt: skip
    rows = [
        [
            Cell(name, kind="name"),
            Cell(f"{words.figure(cost.value)} {words.spanned(cost.low, cost.high)}"),
            Cell("–" if cost is curve.chosen else f"{words.signed(cost.difference)} "
                 f"[{words.signed(cost.difference_low)}, {words.signed(cost.difference_high)}]"),
        ]
        for name, cost in named.items()
    ]  # fmt: skip
    columns = (tables.Column("act", "name"), tables.Column("cost a row"), tables.Column("the model less that"))
    return {"words": words.decision(facts), "picture": pictures.costs(curve, threshold),
            "table": tables.Table("Cost of acting", columns, rows)}  # fmt: skip
