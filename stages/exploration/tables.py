"""What stands in the report as a table?  Columns, quarantine, rows without label, outlying values, strong pairs.

Input is what `findings.describe` returns, with ``quality`` and ``references`` added by the stage; output is HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Protocol

from stages.pages.numbers import count_text, fixed, share_texts, value_text
from stages.pages.tables import Cell, Column, as_html, table

Explored = Mapping[str, Any]
STRONG_PAIR = 0.5
MOST_PAIRS = 12
NAME, UNIT = Column("column", "name code"), Column("unit", "words")


class Displayed(Protocol):
    """What a notebook can display."""

    def _repr_html_(self) -> str: ...


@dataclass(frozen=True)
class Fragment:
    """A piece of the page."""

    html: str

    def _repr_html_(self) -> str:
        return self.html


def section(heading: str, *pieces: Displayed) -> Fragment:
    """Pieces under a heading; nothing at all when none of them applies to this dataset."""
    html = "".join(piece._repr_html_() for piece in pieces)
    return Fragment(f"<h3>{escape(heading)}</h3>{html}" if html else "")


def structure(explored: Explored) -> Fragment:
    """Every column: type, unit, what is missing, range or number of values, association."""
    rows = []
    missing = share_texts([c["nulls"] / max(explored["rows"], 1) for c in explored["columns"]])
    for c, share in zip(explored["columns"], missing, strict=True):
        median = c["quartiles"][1] if c.get("quartiles") else None
        low, high = (c.get("low"), c.get("high")) if c["kind"] != "date" else (c["first"], c["last"])
        distinct = count_text(c["distinct"]) if "distinct" in c else "–"
        name = Cell(c["name"], _badge(c["role"]), "name code")
        cells = (_any_text(low), _any_text(median), _any_text(high), distinct, fixed(c.get("association"), 2))
        rows.append([name, c["dtype"], c["unit"], share, *cells])
    columns = (NAME, Column("type", "words"), UNIT, "missing", "lowest", "median", "highest",
               "distinct values", "association")  # fmt: skip
    return _fragment("Columns", columns, rows)


def tables(explored: Explored) -> Fragment:
    """The records and the reference tables beside them."""
    rows = [[explored["table"], "records", count_text(explored["rows"]), count_text(len(explored["columns"]))]]
    rows += [[r["table"], "reference", count_text(r["rows"]), count_text(r["columns"])] for r in explored["references"]]
    return _fragment("Tables", (Column("table", "name code"), Column("role", "words"), "rows", "columns"), rows)


def quarantine(explored: Explored) -> Fragment:
    """Rows in, clean and quarantined by table, and the checks that rows failed."""
    quality = explored["quality"]
    shares = share_texts([t["quarantined"] / max(t["rows_in"], 1) for t in quality["tables"]])
    counts = [
        [t["table"], *(count_text(t[key]) for key in ("rows_in", "clean", "quarantined")), share]
        for t, share in zip(quality["tables"], shares, strict=True)
    ]
    columns = (Column("table", "name code"), "rows in", "clean", "quarantined", "share")
    html = _fragment("Rows by table", columns, counts).html
    if not quality["failures"]:
        return Fragment(html + '<p class="none">No row failed a check.</p>')
    failures = [[f["table"], f["column"], f["check"], count_text(f["failures"])] for f in quality["failures"]]
    checks = (Column("table", "name code"), NAME, Column("check", "words"), "failures")
    return Fragment(html + _fragment("Checks that rows failed", checks, failures).html)


def unlabelled(explored: Explored) -> Fragment:
    """Why rows have no label."""
    reasons = explored["target"]["unlabelled"]
    if not reasons:
        return Fragment('<p class="none">Every row has a label.</p>')
    total = max(explored["rows"], 1)
    ranked = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    shares = share_texts([n / total for _, n in ranked])
    rows = [[reason, count_text(n), share] for (reason, n), share in zip(ranked, shares, strict=True)]
    columns = (Column("rows without a label because", "name"), "rows", "share of all")
    return _fragment("Rows without a label", columns, rows)


def outlying(explored: Explored) -> Fragment:
    """Columns with values beyond their outer fences, most such rows first."""
    rows = []
    shown = outlying_columns(explored)
    for c, beyond in zip(shown, share_texts([share_beyond(c, explored["rows"]) for c in shown]), strict=True):
        o = c["outlying"]
        fences = f"{value_text(o['low'])} … {value_text(o['high'])}"
        counts = (count_text(o["below"]), count_text(o["above"]), beyond)
        rows.append([c["name"], c["unit"], fences, *counts, value_text(c["low"]), value_text(c["high"])])
    if not rows:
        return Fragment('<p class="none">No value lies beyond an outer fence.</p>')
    columns = (NAME, UNIT, "outer fences", "below", "above", "share", "lowest", "highest")
    return _fragment("Columns with outlying values", columns, rows)


def strongest_pairs(explored: Explored) -> Fragment:
    """The pairs of numeric columns that vary most nearly together."""
    pairs = correlated_pairs(explored)[:MOST_PAIRS]
    if not pairs:
        return Fragment(f'<p class="none">No pair of numeric columns reaches |r| = {STRONG_PAIR}.</p>')
    rows = [[a, b, fixed(r, 2)] for r, a, b in pairs]
    columns = (NAME, Column("with", "name code"), "Pearson's r")
    return _fragment("Strongest pairs", columns, rows)


def correlated_pairs(explored: Explored) -> list[tuple[float, str, str]]:
    """Pairs of numeric columns at or above `STRONG_PAIR`, strongest first."""
    names, r = explored["correlations"]["names"], explored["correlations"]["r"]
    found = [
        (r[i][j], names[i], names[j])
        for i in range(len(names))
        for j in range(i + 1, len(names))
        if r[i][j] is not None and abs(r[i][j]) >= STRONG_PAIR
    ]
    return sorted(found, key=lambda pair: (-abs(pair[0]), pair[1], pair[2]))


def outlying_columns(explored: Explored) -> list[Mapping[str, Any]]:
    """Columns with values beyond their outer fences, the largest share first."""
    rows = explored["rows"]
    beyond = [c for c in explored["columns"] if c.get("outlying") and c["outlying"]["below"] + c["outlying"]["above"]]
    return sorted(beyond, key=lambda c: (-share_beyond(c, rows), c["name"]))


def share_beyond(column: Explored, rows: int) -> float:
    """Share of the values present that lie beyond the outer fences."""
    return float((column["outlying"]["below"] + column["outlying"]["above"]) / max(rows - column["nulls"], 1))


def plural(noun: str, n: float) -> str:
    """The noun with an s unless there is one of it."""
    return noun if n == 1 else noun + "s"


def code_html(text: str) -> str:
    """A name of the data, set as code."""
    return f"<code>{escape(text)}</code>"


def _badge(role: str) -> str:
    label = {"target": "target", "afterwards": "known afterwards"}.get(role)
    return f' <span class="badge {role}">{label}</span>' if label else ""


def _any_text(value: Any) -> str:
    return value if isinstance(value, str) else value_text(value)


def _fragment(name: str, columns: Iterable[Column | str], rows: Iterable[Sequence[Cell | str]]) -> Fragment:
    return Fragment(as_html(table(name, columns, rows)))
