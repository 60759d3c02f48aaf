"""How do the facts become a page, and a card?  Sections in the order of a reader, filled into the template.

Whatever comes from the data (names of classes, features, reasons) is escaped by the template; only pictures drawn here
are taken as they are, and those escape their own texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from stages.pages.card import decides, metrics_table
from stages.pages.numbers import count_text, figure, interval_text
from stages.pages.tables import Table, as_html, as_markdown, marked
from stages.pages.verdicts import conclusion, decimals_in, metric_name, verdict
from stages.results import forecasts, pictures, tables, words
from stages.results.facts import Facts


def write_page(facts: Facts) -> str:
    """The page, from ``page.html.j2`` and what it includes; the same facts give the same bytes."""
    environment = Environment(
        loader=PackageLoader("stages.results", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["drawn"] = Markup
    environment.filters["shown"] = lambda table: Markup(as_html(table))
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
            "tables": [shown for shown in origins(facts) if shown.rows],
            "parts": tables.parts(facts),
        },
        "selection": {
            "words": words.selection(facts), "kept": tables.features(facts), "left_out": tables.left_out(facts),
        },
        "metrics": {
            "table": tables.metrics(facts), "words": words.trainings(facts), "trainings": tables.trainings(facts),
        },
        "curves": {"words": words.learning(facts), "pictures": pictures.curves(facts)},
        "calibration": {"words": words.calibration(facts), "picture": pictures.calibration(facts)},
        "residuals": {"words": words.residuals(facts), "picture": pictures.residuals(facts)},
        "confusion": tables.confusion(facts),
        "classes": tables.classes(facts),
        "segments": segments(facts),
        "effects": {
            "words": words.effects(facts), "table": tables.effects(facts) if facts.effects.every else None,
            "pictures": [pictures.dependence(found, facts) for found in facts.effects.closely],
        },
        "costs": costs(facts),
        "limits": words.limits(facts),
    }  # fmt: skip


def segments(facts: Facts) -> dict[str, Any]:
    """Where the model does better or worse; a forecast is told by horizon, beside the best naive one."""
    if facts.kind.scored == "forecast":
        return {"words": forecasts.words(facts), "tables": forecasts.segment_tables(facts)}
    return {"words": words.segments(facts), "tables": tables.segments(facts)}


def origins(facts: Facts) -> tuple[Table, ...]:
    """Where the rows went."""
    return tables.flow(facts), tables.failures(facts), tables.unlabelled(facts)


def tiles(facts: Facts) -> list[tuple[str, str, str]]:
    """The figures that a reader takes away: value, what it is, its interval."""
    lead, name = facts.lead, metric_name(facts.lead_name)
    decimals = decimals_in(lead)
    shown = [
        (figure(lead["value"], decimals=decimals), name, interval_text(lead["low"], lead["high"], decimals=decimals)),
        (figure(lead["difference"], True, decimals), f"{name} beside the baseline",
         interval_text(lead["difference_low"], lead["difference_high"], True, decimals)),
    ]  # fmt: skip
    if "expected_cost" in facts.results:
        cost = facts.results["expected_cost"]
        decimals = decimals_in(cost)
        shown.append((figure(cost["value"], decimals=decimals), "cost a row",
                      interval_text(cost["low"], cost["high"], decimals=decimals)))  # fmt: skip
    over = "" if facts.unit == "row" else f"{count_text(len(facts.units))} units of “{facts.unit}”"
    return [*shown, (count_text(facts.parts["test"]), "test rows", over)]


def costs(facts: Facts) -> dict[str, Any] | None:
    """The cost curve, and a table of the points on it."""
    if facts.costs is None or facts.threshold is None:
        return None
    return {"words": words.decision(facts), "picture": pictures.costs(facts.costs, facts.threshold),
            "table": tables.costs(facts)}  # fmt: skip


def write_results_card(facts: Facts) -> str:
    """The report in short, as Markdown without pictures: for a reader of a repository, and readable as plain text."""
    apart = segments(facts)
    told = [
        f"# Results: {marked(facts.dataset)}",
        f"**{marked(words.headline(facts))}.**",
        conclusion(marked(facts.question), facts.results, marked(facts.baseline)),
        *_sentences(words.units(facts)),
        "## The model",
        facts.fitted,
        _decides(facts),
        "## The data",
        *_sentences(words.data(facts)),
        *_tables(tables.parts(facts), *origins(facts)),
        "## Features",
        *_sentences(words.selection(facts)),
        *_tables(tables.features(facts), tables.left_out(facts)),
        "## Test results",
        metrics_table(facts.results).rstrip(),
        *_sentences(words.trainings(facts)),
        *_section("## Calibration", words.calibration(facts)),
        *_section("## Residuals", words.residuals(facts)),
        *_section("## Cost of acting", words.decision(facts)),
        "## Segments",
        *(_sentences(apart["words"]) or ["The resampling table tells no kinds of rows apart."]),
        *_tables(*apart["tables"]),
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
    return [as_markdown(shown) for shown in found if shown.rows]
