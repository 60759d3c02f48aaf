"""What would a colleague say after reading the charts?  Sentences, every number from the tables.

Input is what `findings.describe` returns, with ``quality`` (rows in, clean, quarantined, failures by check) and
``references`` added by the stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from stages.exploration.tables import (
    STRONG_PAIR,
    Fragment,
    code_html,
    correlated_pairs,
    outlying_columns,
    plural,
    share_beyond,
)
from stages.exploration.target_charts import rank_columns
from stages.pages.numbers import count_text, fixed, level_text, share_text, value_text

Explored = Mapping[str, Any]
MUCH_MISSING = 0.05
FEWEST_ROWS = 30  # a smaller group says nothing worth a sentence
KINDS = {
    "number": "of numbers",
    "flag": "of flags",
    "category": "of categories",
    "date": "of days",
    "time": "of times",
    "other": "of other kinds",
}


def opening(explored: Explored) -> Fragment:
    """Title, question and the figures to know before anything else."""
    target, quality = explored["target"], explored["quality"]
    tiles = [
        (count_text(explored["rows"]), "clean rows"),
        (count_text(len(explored["columns"])), "columns"),
        (count_text(len(explored["partitions"])), plural("partition", len(explored["partitions"]))),
        (share_text(quality["quarantined"] / max(quality["rows_in"], 1)), "quarantined"),
        (share_text(1 - target["labelled"] / max(explored["rows"], 1)), "without label"),
    ]
    if target["followed"]:
        tiles.append((share_text(target["balance"][-1]["value"]), f"{target['followed']} (training rows)"))
    elif target["classes"]:
        tiles.append((count_text(len(target["classes"])), "classes"))
    else:
        tiles.append((value_text(target["balance"][0]["value"]), f"mean {target['name']} (training rows)"))
    boxes = "".join(f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for value, name in tiles)
    return Fragment(
        f'<h1>{escape(explored["dataset"])}</h1><p class="question">{escape(explored["question"])}</p>'
        f'<div class="tiles">{boxes}</div>'
    )


def in_short(explored: Explored) -> Fragment:
    """The main facts, one sentence each."""
    facts = [
        _rows_fact(explored),
        *_target_facts(explored),
        _missing_fact(explored),
        _outlying_fact(explored),
        *_association_facts(explored),
        _pairs_fact(explored),
    ]
    return Fragment("<ul class='facts'>" + "".join(f"<li>{fact}</li>" for fact in facts if fact) + "</ul>")


def _rows_fact(explored: Explored) -> str:
    quality, n = explored["quality"], len(explored["partitions"])
    kinds = [c["kind"] for c in explored["columns"]]
    held = ", ".join(f"{kinds.count(kind)} {words}" for kind, words in KINDS.items() if kind in kinds)
    bad = quality["quarantined"]
    return (
        f"<b>{count_text(explored['rows'])} clean rows</b> in {count_text(n)} {plural('partition', n)}, "
        f"{count_text(len(kinds))} {plural('column', len(kinds))}: {held}. "
        f"{count_text(bad) if bad else 'None'} of the {count_text(quality['rows_in'])} rows that came in "
        f"{'is' if bad == 1 else 'are'} in quarantine."
    )


def _target_facts(explored: Explored) -> list[str]:
    target = explored["target"]
    balance = target["balance"]
    labelled = f"{count_text(target['trained'])} labelled training rows"
    if target["followed"]:
        share = share_text(balance[-1]["value"])
        fact = f"<b>{share}</b> of {labelled} are “{escape(str(target['followed']))}”."
    elif target["classes"]:
        ranked = sorted(zip(balance, target["classes"], strict=True), key=lambda x: x[0]["value"] or 0.0)
        (rare, rare_name), (common, common_name) = ranked[0], ranked[-1]
        fact = (
            f"{len(target['classes'])} classes, from {share_text(rare['value'])} (“{escape(str(rare_name))}”) to "
            f"<b>{share_text(common['value'])}</b> (“{escape(str(common_name))}”) of {labelled}."
        )
    else:
        mean, low, high = (value_text(balance[0][key]) for key in ("value", "low", "high"))
        fact = f"The mean of {code_html(target['name'])} is <b>{mean}</b> ({low} to {high}) over {labelled}."
    return [fact, _unlabelled_fact(explored), _course_fact(explored)]


def _unlabelled_fact(explored: Explored) -> str:
    reasons = explored["target"]["unlabelled"]
    n = sum(reasons.values())
    if not n:
        return ""
    ranked = sorted(reasons.items(), key=lambda reason: (-reason[1], reason[0]))
    listed = ", ".join(f"{escape(name)} {count_text(rows)}" for name, rows in ranked)
    return f"{count_text(n)} rows ({share_text(n / explored['rows'])}) have no label: {listed}."


def _course_fact(explored: Explored) -> str:
    target = explored["target"]
    if len(target["classes"]) > 2:
        return ""
    text = share_text if target["classes"] else value_text
    points = list(zip(target["course"][-1], target["partitions"], strict=True))
    if len(points) < 2:
        return ""
    ends = [pick(points, key=lambda point: point[0]["value"]) for pick in (min, max)]
    least, most = (
        f"<b>{text(p['value'])}</b> ({escape(name)}: {text(p['low'])} to {text(p['high'])})" for p, name in ends
    )
    return f"Over the partitions with training rows it moves between {least} and {most}."


def _missing_fact(explored: Explored) -> str:
    holed = sorted((c for c in explored["columns"] if c["nulls"]), key=lambda c: (-c["nulls"], c["name"]))
    if not holed:
        return "No value is missing in any column."
    rows, most = explored["rows"], holed[0]
    much = sum(c["nulls"] / rows > MUCH_MISSING for c in holed)
    return (
        f"{len(holed)} of {len(explored['columns'])} columns have missing values, {much or 'none'} of them more "
        f"than {level_text(MUCH_MISSING)}; the most is {code_html(most['name'])} with "
        f"<b>{share_text(most['nulls'] / rows)}</b>."
    )


def _outlying_fact(explored: Explored) -> str:
    ranked = outlying_columns(explored)
    if not ranked:
        return "No numeric column has values beyond its outer fences (three interquartile ranges from the quartiles)."
    c = ranked[0]
    share = share_beyond(c, explored["rows"])
    return (
        f"{len(ranked)} numeric {plural('column', len(ranked))} "
        f"{'reaches' if len(ranked) == 1 else 'reach'} beyond three interquartile ranges from the quartiles, "
        f"most often {code_html(c['name'])} (<b>{share_text(share)}</b> of its values; {value_text(c['low'])} to "
        f"{value_text(c['high'])}{_with_unit(c)})."
    )


def _association_facts(explored: Explored) -> list[str]:
    ranked = rank_columns(explored)
    late = [c for c in ranked if c["role"] == "afterwards"]
    known = [c for c in ranked if c["role"] == "column"]
    measure = "Cramér's V" if explored["target"]["classes"] else "correlation ratio"
    facts = []
    if known:
        names = ", ".join(f"{code_html(c['name'])} ({fixed(c['association'], 2)})" for c in known[:3])
        which = "columns known in time" if late else "columns"
        more = _profile_clause(explored, known[0])
        facts.append(f"Most associated with the target among {which} ({measure}): {names}.{more}")
    if late:
        names = ", ".join(code_html(c["name"]) for c in late[:5])
        others = f" and {len(late) - 5} more" if len(late) > 5 else ""
        facts.append(f"Known only afterwards, and therefore kept from every model: {names}{others}.")
    return facts


def _profile_clause(explored: Explored, column: Mapping[str, Any]) -> str:
    groups = [g for g in column.get("profile", ()) if g["value"] is not None and g["rows"] >= FEWEST_ROWS]
    if len(groups) < 2:
        return ""
    text = share_text if explored["target"]["classes"] else value_text
    low, high = (text(pick(group["value"] for group in groups)) for pick in (min, max))
    followed = explored["target"]["followed"]
    what = f"The share “{escape(str(followed))}”" if followed else "The mean"
    return f" {what} lies between {low} and <b>{high}</b> in groups of {code_html(column['name'])}."


def _pairs_fact(explored: Explored) -> str:
    pairs = correlated_pairs(explored)
    if not pairs:
        return f"No two numeric columns reach a correlation of {STRONG_PAIR}."
    r, a, b = pairs[0]
    n = len(pairs)
    return (
        f"{count_text(n)} {plural('pair', n)} of numeric columns {'correlates' if n == 1 else 'correlate'} at "
        f"|r| ≥ {STRONG_PAIR}, most {code_html(a)} with {code_html(b)} (<b>{fixed(r, 2)}</b>)."
    )


def _with_unit(column: Mapping[str, Any]) -> str:
    return f" {escape(column['unit'])}" if column["unit"] else ""
