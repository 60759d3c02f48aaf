"""How is a replay of strategies told?  Tables, and sentences that follow from the verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.measure import others_cores
from benchmarks.report import conditions
from stages.pages.numbers import estimate_text, fixed, level_text, share_text
from stages.pages.tables import Column, Table, as_markdown, table

NEVER, ALWAYS = "never", "every month"
PREDICTED_BY = "log_loss"
SHOWN = (PREDICTED_BY, "average_precision", "roc_auc", "expected_cost")
# written down before the first strategy was judged: log-loss less that of never, without the weather
PREDICTED = {
    "once, at the beginning": -0.006,
    "every 3 months": -0.007,
    ALWAYS: -0.008,
    "champion, expected_cost of the last month": -0.005,
    "champion, expected_cost of the last 3 months": -0.006,
    "champion, log_loss of the last month": -0.007,
    "more trees every month": -0.006,
    "every month, on all rows": -0.009,
}
SAID = {"better": "better than", "worse": "worse than", "no evidence": "not shown to differ from"}
MARKS = {"better": " ▲", "worse": " ▼"}
TRAINED = (Column("trained", "name"),)
TITLES = {
    "without-weather": "**Without the weather**, which is published for 2013 alone: no model has learnt from it.",
    "with-weather": "**With the weather of 2013**: the model of 2013 has learnt from it, and it is missing ever since.",
}


def tell(record: Mapping[str, Any]) -> str:
    """The block of all replays of the record."""
    busy = "Figures of quality do not depend on how busy the machine was; seconds do."
    told = [
        f"{conditions([others_cores()])}  {busy}",
        *(part for kind, found in record.items() for part in tell_one(kind, found)),
    ]
    return "\n\n".join(told)


def tell_one(kind: str, found: Mapping[str, Any]) -> list[str]:
    """One replay: the strategies, their other metrics, the months, and what follows."""
    strategies, months = found["strategies"], found["months"]
    drawn = f"{months[0]} to {months[-1]}, {found['features']} features, days in runs of {found['block']}"
    corrected = (
        f"intervals at {level_text(found['level'])} for a single look, verdicts corrected for all strategies (Holm)"
    )
    return [
        f"{TITLES[kind]}  {drawn}; {corrected}.",
        as_markdown(overall(strategies, predicted=kind == "without-weather")),
        as_markdown(others(strategies)),
        as_markdown(by_month(strategies, months)),
        "\n".join(f"- {line}" for line in conclude(strategies)),
    ]


def overall(strategies: Mapping[str, Any], *, predicted: bool) -> Table:
    """What each strategy took, and the log-loss that it had."""
    expected = ("predicted",) if predicted else ()
    heads = (*TRAINED, "trainings", "train s", "switches", PREDICTED_BY, "less never's", *expected, f"less {ALWAYS}'s")
    rows = []
    for name, own in strategies.items():
        beside = own["beside"][NEVER][PREDICTED_BY]
        rows.append([
            name, str(own["trainings"]), f"{own['seconds']:.0f}", str(own["switches"]),
            estimate_text(beside["value"], beside["low"], beside["high"], decimals=4),
            gap(own, name, NEVER, PREDICTED_BY),
            *(fixed(PREDICTED.get(name), 3, sign=True) if name != NEVER else "" for _ in expected),
            gap(own, name, ALWAYS, PREDICTED_BY),
        ])  # fmt: skip
    return table("Strategies", heads, rows)


def others(strategies: Mapping[str, Any]) -> Table:
    """The other metrics, beside never."""
    heads = [head for metric in SHOWN[1:] for head in (metric, "less never's")]
    rows = []
    for name, own in strategies.items():
        found = own["beside"][NEVER]
        cells = [(fixed(found[metric]["value"]), gap(own, name, NEVER, metric)) for metric in SHOWN[1:]]
        rows.append([name, *(cell for pair in cells for cell in pair)])
    return table("Other metrics", (*TRAINED, *heads), rows)


def by_month(strategies: Mapping[str, Any], months: Sequence[str]) -> Table:
    """Log-loss of never, and what the others differ by; where a champion gave way, an arrow stands before it."""
    names = [name for name in strategies if name != NEVER]
    rows = []
    for at, month in enumerate(months):
        cells = [month, fixed(strategies[NEVER]["months"][month][PREDICTED_BY]["value"])]
        for name in names:
            own = strategies[name]
            serving = [NEVER, *own["serving"].values()]
            gave_way = "→ " if own["decisions"] and serving[at] != serving[at + 1] else ""
            found = own["months"][month][PREDICTED_BY]
            cells.append(f"{gave_way}{fixed(found['difference'], sign=True)}{MARKS.get(found['verdict'], '')}")
        rows.append(cells)
    return table(f"{PREDICTED_BY} less never's", (Column("month", "name"), NEVER, *names), rows)


def gap(own: Mapping[str, Any], name: str, other: str, metric: str) -> str:
    """The difference to another strategy with its interval and verdict; nothing beside itself."""
    found = own["beside"][other][metric]
    return "" if name == other else f"{difference_text(found)} {found['verdict']}"


def difference_text(found: Mapping[str, Any]) -> str:
    """A difference with its interval."""
    ends = found["difference_low"], found["difference_high"]
    return estimate_text(found["difference"], *ends, sign=True, decimals=4)


def conclude(strategies: Mapping[str, Any]) -> list[str]:
    """Is it worth it, and how often?  By the verdicts on log-loss, and on what decisions cost."""
    most = strategies[ALWAYS]["trainings"]
    rarer = [name for name, own in strategies.items() if 0 < own["trainings"] < most and not own["decisions"]]
    enough = [name for name in rarer if strategies[name]["beside"][ALWAYS][PREDICTED_BY]["verdict"] != "worse"]
    apart = [name for name, own in strategies.items() if own["trainings"] >= most and not own["decisions"]]
    told = [f"Is it worth it?  {sentence(strategies, ALWAYS, NEVER)}"]
    told += [f"How often?  {sentence(strategies, name, ALWAYS)}{kept(strategies, name)}" for name in rarer]
    if enough:
        fewest = min(enough, key=lambda name: strategies[name]["trainings"])
        told.append(f"The rarest that is not shown to be worse than {ALWAYS}: {fewest}.")
    else:
        told.append(f"Whatever is rarer than {ALWAYS} is shown to be worse by {PREDICTED_BY}.")
    for name, own in strategies.items():
        if own["decisions"]:
            made = [each["decision"] for each in own["decisions"].values()]
            counts = ", ".join(f"{made.count(kind)} {kind}" for kind in dict.fromkeys(made))
            told.append(f"{sentence(strategies, name, NEVER)}{kept(strategies, name)}  Its decisions: {counts}.")
    return told + [sentence(strategies, name, ALWAYS) for name in apart if name != ALWAYS]


def kept(strategies: Mapping[str, Any], name: str) -> str:
    """How much of what `ALWAYS` gains a strategy has."""
    own, most = (strategies[each]["beside"][NEVER][PREDICTED_BY]["difference"] for each in (name, ALWAYS))
    return f"  Of what {ALWAYS} gains on {NEVER} it has {share_text(max(0.0, own / most))}." if most else ""


def sentence(strategies: Mapping[str, Any], name: str, other: str) -> str:
    """One strategy against another in words."""
    parts = []
    for metric in (PREDICTED_BY, "expected_cost"):
        found = strategies[name]["beside"][other][metric]
        parts.append(f"by {metric} {SAID[found['verdict']]} *{other}* ({difference_text(found)})")
    return f"*{name[0].upper()}{name[1:]}* is {', '.join(parts)}."
