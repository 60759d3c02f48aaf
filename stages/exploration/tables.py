"""What stands in the report as a table?  Columns, quarantine, rows without label, outlying values, strong pairs.

Input is what `findings.describe` returns, with ``quality`` and ``references`` added by the stage; output is HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Protocol

from stages.pages.numbers import MINUS, count_text, share_text, value_text

Explored = Mapping[str, Any]
STRONG_PAIR = 0.5
MOST_PAIRS = 12


class Shown(Protocol):
    """What a notebook can display."""

    def _repr_html_(self) -> str: ...


@dataclass(frozen=True)
class Fragment:
    """A piece of the page."""

    html: str

    def _repr_html_(self) -> str:
        return self.html


def section(heading: str, *pieces: Shown) -> Fragment:
    """Pieces under a heading; nothing at all when none of them applies to this dataset."""
    html = "".join(piece._repr_html_() for piece in pieces)
    return Fragment(f"<h3>{escape(heading)}</h3>{html}" if html else "")


def structure(explored: Explored) -> Fragment:
    """Every column: type, unit, what is missing, range or number of values, association."""
    head = ("column", "type", "unit", "missing", "lowest", "median", "highest", "distinct values", "association")
    lines = []
    for c in explored["columns"]:
        median = c["quartiles"][1] if c.get("quartiles") else None
        low, high = (c.get("low"), c.get("high")) if c["kind"] != "date" else (c["first"], c["last"])
        name = f"{code(c['name'])}{_badge(c['role'])}"
        missing = share_text(c["nulls"] / max(explored["rows"], 1)) if c["nulls"] else "0"
        distinct = count_text(c["distinct"]) if "distinct" in c else "–"
        strength = f"{c['association']:.2f}" if c.get("association") is not None else "–"
        cells = (_any_text(low), _any_text(median), _any_text(high), distinct, strength)
        lines.append((name, escape(c["dtype"]), escape(c["unit"]), missing, *cells))
    return _table(head, lines, left=3, tall=len(lines) > 24)


def tables(explored: Explored) -> Fragment:
    """The records and the reference tables beside them."""
    lines = [(code(explored["table"]), "records", count_text(explored["rows"]), count_text(len(explored["columns"])))]
    lines += [
        (code(r["table"]), "reference", count_text(r["rows"]), count_text(r["columns"])) for r in explored["references"]
    ]
    return _table(("table", "role", "rows", "columns"), lines, left=2)


def quarantine(explored: Explored) -> Fragment:
    """Rows in, clean and quarantined by table, and the checks that rows failed."""
    quality = explored["quality"]
    counts = [
        (
            code(t["table"]),
            *(count_text(t[key]) for key in ("rows_in", "clean", "quarantined")),
            share_text(t["quarantined"] / max(t["rows_in"], 1)),
        )
        for t in quality["tables"]
    ]
    html = _table(("table", "rows in", "clean", "quarantined", "share"), counts, left=1).html
    if not quality["failures"]:
        return Fragment(html + '<p class="none">No row failed a check.</p>')
    lines = [
        (code(f["table"]), code(f["column"]), escape(f["check"]), count_text(f["failures"]))
        for f in quality["failures"]
    ]
    return Fragment(html + _table(("table", "column", "check", "failures"), lines, left=3).html)


def unlabelled(explored: Explored) -> Fragment:
    """Why rows have no label."""
    reasons = explored["target"]["unlabelled"]
    if not reasons:
        return Fragment('<p class="none">Every row has a label.</p>')
    rows = max(explored["rows"], 1)
    lines = [
        (escape(reason), count_text(n), share_text(n / rows))
        for reason, n in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    ]
    return _table(("rows without a label because", "rows", "share of all"), lines, left=1)


def outlying(explored: Explored) -> Fragment:
    """Columns with values beyond their outer fences, most such rows first."""
    lines = []
    for c in outlying_columns(explored):
        o = c["outlying"]
        present = max(explored["rows"] - c["nulls"], 1)
        beyond = o["below"] + o["above"]
        fences = f"{value_text(o['low'])} … {value_text(o['high'])}"
        values = (fences, count_text(o["below"]), count_text(o["above"]), share_text(beyond / present))
        lines.append((code(c["name"]), escape(c["unit"]), *values, value_text(c["low"]), value_text(c["high"])))
    if not lines:
        return Fragment('<p class="none">No value lies beyond an outer fence.</p>')
    head = ("column", "unit", "outer fences", "below", "above", "share", "lowest", "highest")
    return _table(head, lines, left=2, tall=len(lines) > 24)


def strongest_pairs(explored: Explored) -> Fragment:
    """The pairs of numeric columns that vary most nearly together."""
    pairs = correlated_pairs(explored)[:MOST_PAIRS]
    if not pairs:
        return Fragment(f'<p class="none">No pair of numeric columns reaches |r| = {STRONG_PAIR}.</p>')
    lines = [(code(a), code(b), f"{r:.3f}".replace("-", MINUS)) for r, a, b in pairs]
    return _table(("column", "with", "Pearson's r"), lines, left=2)


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
    return sorted(
        beyond,
        key=lambda c: (-(c["outlying"]["below"] + c["outlying"]["above"]) / max(rows - c["nulls"], 1), c["name"]),
    )


def plural(noun: str, n: float) -> str:
    """The noun with an s unless there is one of it."""
    return noun if n == 1 else noun + "s"


def code(text: str) -> str:
    """A name of the data, set as code."""
    return f"<code>{escape(text)}</code>"


def _badge(role: str) -> str:
    label = {"target": "target", "afterwards": "known afterwards"}.get(role)
    return f' <span class="badge {role}">{label}</span>' if label else ""


def _any_text(value: Any) -> str:
    return escape(value) if isinstance(value, str) else value_text(value)


def _table(head: Sequence[str], lines: Iterable[Sequence[str]], *, left: int, tall: bool = False) -> Fragment:
    """An HTML table; the first ``left`` columns hold text, the others numbers; cells are HTML already."""
    side = ["" if k < left else ' class="number"' for k in range(len(head))]
    top = "".join(f"<th{s}>{escape(h)}</th>" for h, s in zip(head, side, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{s}>{cell}</td>" for cell, s in zip(line, side, strict=True)) + "</tr>" for line in lines
    )
    frame = "scroll tall" if tall else "scroll"
    return Fragment(f'<div class="{frame}"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>')
