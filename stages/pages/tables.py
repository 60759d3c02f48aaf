"""How is a table written for people?  As HTML, as Markdown and for the terminal, from the same rows.

Whatever comes from the data is escaped here; only ``markup`` is taken as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from tabulate import tabulate

TALL = 24  # rows that a page shows without a frame to scroll in, where its style sheet has one


@dataclass(frozen=True)
class Cell:
    """What stands in one place: ``text``, ``markup`` after it in HTML, ``kind`` as classes of the style sheet.

    A ``kind`` with the word ``code`` sets the text as code, that of a column its cells.
    """

    text: str = ""
    markup: str = ""
    kind: str = "number"


@dataclass(frozen=True)
class Column:
    """The head of a column: ``number`` (to the right), ``name``, ``words`` or ``verdict`` (to the left), or ``drawn``.

    A drawn column exists in HTML only; ``scale`` is the markup of its scale.
    """

    label: str
    kind: str = "number"
    scale: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under their columns; the first cell of each row is its heading, the rows after ``first`` are folded away."""

    name: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    first: int

    @property
    def is_wide(self) -> bool:
        """Too wide for a phone: its rows are then set as blocks."""
        intervals = any("[" in cell.text for row in self.rows for cell in row)
        return intervals or any(column.kind in ("drawn", "words") for column in self.columns)


def table(
    name: str, columns: Iterable[Column | str], rows: Iterable[Sequence[Cell | str]], first: int = 10_000
) -> Table:
    """A table; a bare label heads a column of numbers, a bare text is a cell of its column's kind, drawn or written."""
    heads = [column if isinstance(column, Column) else Column(column) for column in columns]
    cells = [[_cell(content, head.kind) for content, head in zip(row, heads, strict=True)] for row in rows]
    return Table(name, heads, cells, first)


def _cell(content: Cell | str, kind: str) -> Cell:
    if isinstance(content, Cell):
        return content
    return Cell(markup=content, kind=kind) if kind == "drawn" else Cell(content, kind=kind)


def as_html(shown: Table) -> str:
    """The table, and what lies beyond its first rows folded away."""
    head, rest = shown.rows[: shown.first], shown.rows[shown.first :]
    more = f"<details><summary>{len(rest)} more</summary>\n{_html_rows(shown, rest)}</details>\n" if rest else ""
    return _html_rows(shown, head) + more


def _html_rows(shown: Table, rows: Sequence[Sequence[Cell]]) -> str:
    heads = "".join(
        f'<th role="columnheader" scope="col" class="{_classes(column.kind)}">{escape(column.label)}{column.scale}</th>'
        for column in shown.columns
    )
    body = "".join(f'<tr role="row">{_html_cells(shown, row)}</tr>\n' for row in rows)
    stack, tall = (' class="stack"' if shown.is_wide else ""), (" tall" if len(rows) > TALL else "")
    name = escape(shown.name)
    # the roles keep it a table for screen readers where a style sheet sets its rows as blocks
    return (
        f'<div class="scroll{tall}" role="region" aria-label="{name}" tabindex="0">\n<table role="table"{stack}>\n'
        f'<caption>{name}</caption>\n<thead role="rowgroup"><tr role="row">{heads}</tr></thead>\n'
        f'<tbody role="rowgroup">\n{body}</tbody>\n</table>\n</div>\n'
    )


def _html_cells(shown: Table, row: Sequence[Cell]) -> str:
    pieces = []
    for k, (cell, column) in enumerate(zip(row, shown.columns, strict=True)):
        classes = _classes(cell.kind if cell.text or cell.markup else f"{cell.kind} empty")
        text = f"<code>{escape(cell.text)}</code>" if "code" in cell.kind else escape(cell.text)
        if k == 0:
            pieces.append(f'<th role="rowheader" scope="row" class="{classes}">{text}{cell.markup}</th>')
        else:
            label = f' data-label="{escape(column.label)}"' if shown.is_wide else ""
            pieces.append(f'<td role="cell" class="{classes}"{label}>{text}{cell.markup}</td>')
    return "".join(pieces)


def _classes(kind: str) -> str:
    return kind.replace(" code", "")


def as_markdown(shown: Table) -> str:
    """The texts of the table, its first rows, and how many more there are."""
    kept = _written_columns(shown)
    rows = [[code(row[k].text) if "code" in row[k].kind else marked(row[k].text) for k in kept] for row in shown.rows]
    heads = [marked(shown.columns[k].label) for k in kept]
    sides = ["---:" if shown.columns[k].kind == "number" else "---" for k in kept]
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, sides, *rows[: shown.first])]
    more = len(rows) - shown.first
    return "\n".join(lines) + (f"\n\n… and {more} more." if more > 0 else "")


def as_text(shown: Table) -> str:
    """The texts of the table for the terminal, all its rows."""
    kept = _written_columns(shown)
    aligned = ["right" if shown.columns[k].kind == "number" else "left" for k in kept]
    rows = [[row[k].text for k in kept] for row in shown.rows]
    return tabulate(rows, [shown.columns[k].label for k in kept], colalign=aligned, disable_numparse=True)


def _written_columns(shown: Table) -> list[int]:
    return [k for k, column in enumerate(shown.columns) if column.kind != "drawn"]


def marked(text: str) -> str:
    """A text of the data as Markdown that shows it and does nothing else, in a table cell too."""
    special = r"([\\`*<>|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|\](?=[(\[:]))"  # what would set, link or end a cell
    return re.sub(special, r"\\\1", text.replace("&", "&amp;")).replace("\n", " ")


def code(name: str) -> str:
    """A name of the data set as code; a bar is escaped for tables, and what would end the code is replaced."""
    return f"`{name.replace('`', '′').replace('|', chr(92) + '|')}`"
