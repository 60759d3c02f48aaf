"""What may be said of these results in a page of Markdown?  The report in short, for a reader of a repository.

No pictures: tables of figures that read well where Markdown is shown, and as plain text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stages.pages.card import code, conclusion, decides, marked, metrics_table
from stages.results import tables, words
from stages.results.facts import Facts
from stages.results.tables import Table


def write_results_card(facts: Facts) -> str:
    """The whole card."""
    told = [
        f"# Results: {marked(facts.dataset)}",
        f"**{marked(words.headline(facts))}.**",
        conclusion(marked(facts.question), facts.results, f"{code(facts.baseline)} alone"),
        *_sentences(words.units(facts)),
        "## The model",
        facts.fitted,
        _decides(facts),
        "## The data",
        *_sentences(words.data(facts)),
        *_tables(tables.parts(facts), tables.flow(facts), tables.failures(facts), tables.unlabelled(facts)),
        "## Features",
        *_sentences(words.selection(facts)),
        *_tables(tables.features(facts), tables.left_out(facts)),
        "## Test results",
        metrics_table(facts.results).rstrip(),
        *_section("## Calibration", words.calibration(facts)),
        *_section("## Residuals", words.residuals(facts)),
        *_section("## Cost of acting", words.decision(facts)),
        "## Segments",
        *(_sentences(words.segments(facts)) or ["The resampling table tells no kinds of rows apart."]),
        *_tables(*tables.segments(facts)),
        "## Effects of the features",
        *_sentences(words.effects(facts)),
        *(_tables(tables.effects(facts)) if facts.effects.every else ()),
        "## Limits",
        "\n".join(f"- {marked(line)}" for line in words.limits(facts)),
    ]
    return "\n\n".join(block for block in told if block) + "\n"


def _decides(facts: Facts) -> str:
    if facts.costs is None:
        return ""
    return decides({
        "threshold": facts.threshold, "classes": facts.classes, "cost_of_miss": facts.costs.cost_of_miss,
        "cost_of_false_alarm": facts.costs.cost_of_false_alarm,
    }).rstrip()  # fmt: skip


def _section(heading: str, lines: Sequence[str]) -> list[str]:
    return [heading, *_sentences(lines)] if lines else []


def _sentences(lines: Sequence[str]) -> list[str]:
    return [" ".join(marked(line) for line in lines)] if lines else []


def _tables(*found: Table) -> list[str]:
    return [markdown_table(table) for table in found if table.rows]


def markdown_table(table: Table) -> str:
    """The figures of a table without its pictures, its first rows, and how many more there are."""
    kept = [k for k, column in enumerate(table.columns) if column.kind != "drawn"]
    sides = ["---:" if table.columns[k].kind == "number" else "---" for k in kept]
    lines = [_line(marked(table.columns[k].label) for k in kept), _line(sides)]
    for row in table.head:
        lines.append(_line(code(row[k].text) if "code" in row[k].kind else marked(row[k].text) for k in kept))
    return "\n".join(lines) + (f"\n\n… and {len(table.rest)} more." if table.rest else "")


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
