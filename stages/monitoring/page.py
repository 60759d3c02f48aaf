"""A look at a model as a page: what moved, since when, and does it matter?  One file, without scripts or network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from stages.monitoring import tables
from stages.monitoring.judged import REFERENCE, newest_judged
from stages.pages import curves
from stages.pages.numbers import count_text, estimate_text, figure, level_text, share_text
from stages.pages.tables import as_html
from stages.pages.verdicts import metric_name

Told = Mapping[str, Any]
MAPPED, NEWEST = 25, 12  # columns and batches in the picture of distances
MOST_TICKS = 6


def write_page(told: Told) -> str:
    """The page; the same look gives the same bytes."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("stages.monitoring", ""), PackageLoader("stages.results", "")]),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["drawn"] = Markup
    environment.filters["shown"] = lambda table: Markup(as_html(table))
    shown = {
        "told": told, "headline": tables.headline(told), "verdict": told["newest"]["quality"].split()[0],
        "tiles": tiles(told), "drifted": tables.drifted(told), "batches": tables.batches(told),
        "qualities": tables.qualities(told), "pictures": pictures(told), "map": distance_map(told),
        "level": level_text(told["level"]), "rate": level_text(told["rate"]), "answer": answer(told),
    }  # fmt: skip
    return environment.get_template("page.html.j2").render(shown)


def answer(told: Told) -> list[str]:
    """What the newest batch says, in sentences: did it move, does it matter, and what is not known."""
    newest, last = told["newest"], told["batches"][-1]
    moved = [entry for entry in last["columns"] if entry["drifted"]]
    weights = [entry["effect"] for entry in moved if entry["effect"] is not None]
    lines = []
    if moved:
        first = ", ".join(entry["name"] for entry in moved[:3])
        share = f" Together they carry {share_text(sum(weights))} of what moves the answer." if weights else ""
        lines.append(f"Farthest from the training rows: {first}.{share}")
    matters = {
        "worse": "It matters: the outcomes that are known show it.",
        "no evidence": "By the outcomes that are known it has not been shown to matter.",
        "better": "By the outcomes that are known it did no harm.",
        REFERENCE: "Outcomes are known of the model's own test only: whether it matters, later ones will tell.",
    }.get(
        newest["quality"], "Whether it matters, outcomes will tell; until then the estimate from scores stands alone."
    )
    return [*lines, matters] if moved or newest["prediction_drifted"] or newest["quality"] == "worse" else lines


def tiles(told: Told) -> list[tuple[str, str, str]]:
    """The figures to take away: value, what it is, beside what."""
    last, newest = told["batches"][-1], told["newest"]
    shown = [(str(len(newest["drifted"])), "columns moved", f"of {len(last['columns'])}, in {last['batch']}")]
    labelled = newest_judged(told["batches"])
    if labelled:
        lead = labelled["quality"][0]
        beside = f"{figure(lead['reference'])} in the test" if lead.get("reference") is not None else "the model's test"
        shown.append((figure(lead["value"]), f"{metric_name(lead['metric'])}, {labelled['batch']}", beside))
    shown.append((count_text(last["rows"]), "rows", f"{count_text(last['labelled'])} with outcome"))
    return shown


def distance_map(told: Told) -> dict[str, Any]:
    """PSI of the columns that went farthest, by batch: names of the newest batches, and a row for each column."""
    batches, farthest = told["batches"][-NEWEST:], dict[str, float]()
    for batch in batches:
        for entry in batch["columns"]:
            farthest[entry["name"]] = max(farthest.get(entry["name"], 0.0), entry["psi"] or 0.0)
    names = sorted(farthest, key=lambda name: (-farthest[name], name))[:MAPPED]
    found = [{entry["name"]: entry for entry in batch["columns"]} for batch in batches]
    rows = [(name, [_cell(batch[name]) for batch in found]) for name in names]
    return {
        "batches": [batch["batch"] for batch in batches],
        "rows": rows,
        "left_out": len(farthest) - len(names),
    }


def _cell(entry: Told) -> dict[str, Any]:
    psi = entry["psi"]
    kind = "" if entry["drifted"] else "right"
    return {"text": figure(psi, decimals=2), "share": f"{min((psi or 0.0) / 0.5, 1.0):.2f}", "kind": kind,
            "mark": "▲" if entry["drifted"] else ""}  # fmt: skip


def pictures(told: Told) -> list[dict[str, str]]:
    """Each metric by batch, with its interval, beside the test's and the estimate from scores."""
    names = [entry["metric"] for batch in told["batches"] for entry in batch["quality"]]
    return [_over_time(told, name) for name in dict.fromkeys(names)] if len(told["batches"]) > 1 else []


def _over_time(told: Told, name: str) -> dict[str, str]:
    own = [(k, _of(batch["quality"], name)) for k, batch in enumerate(told["batches"])]
    known = [(k, entry) for k, entry in own if entry and entry["value"] is not None]
    expected = [(k, entry["value"]) for k, batch in enumerate(told["batches"])
                if (entry := _of(batch["estimate"], name)) and entry["value"] is not None]  # fmt: skip
    rule = next((entry["reference"] for _, entry in known if entry.get("reference") is not None), None)
    values = [v for _, entry in known for v in (entry["value"], entry["low"], entry["high"])]
    n, step = len(told["batches"]), -(-len(told["batches"]) // MOST_TICKS)
    ticks = tuple((float(k), told["batches"][k]["batch"]) for k in range(0, n, step))
    across = curves.Axis("", -0.5, n - 0.5, ticks)
    panel = curves.Panel(across, curves.axis_around(metric_name(name), [*values, rule, *(v for _, v in expected)]))
    marks = [] if rule is None else [curves.rule_y(panel, rule)]
    if expected:
        marks.append(curves.line(panel, [k for k, _ in expected], [v for _, v in expected], "baseline"))
    for k, entry in known:
        kind = {"worse": "worse", "better": "better"}.get(entry["verdict"], "model")
        marks += [
            curves.whisker(panel, k, entry["low"], entry["high"], kind),
            curves.point(panel, k, entry["value"], kind),
        ]
    told_values = "; ".join(
        f"{told['batches'][k]['batch']} {estimate_text(e['value'], e['low'], e['high'])}" for k, e in known
    )
    return {
        "title": metric_name(name),
        "svg": curves.draw(panel, marks, f"{metric_name(name)} by batch: {told_values}"),
    }


def _of(entries: Any, name: str) -> Any:
    return next((entry for entry in entries if entry["metric"] == name), None)
