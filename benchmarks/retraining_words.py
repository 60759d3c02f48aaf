"""How is a replay of strategies told?  Tables, and sentences that follow from the verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.measure import others_cores
from benchmarks.report import conditions
from stages.pages.numbers import estimate_text, figure
from stages.pages.tables import as_markdown, table

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
TITLES = {
    "without-weather": "**Without the weather**, which is published for 2013 alone: no model has learnt from it.",
    "with-weather": "**With the weather of 2013**: the model of 2013 has learnt from it, and it is missing ever since.",
}


def tell(record: Mapping[str, Any]) -> str:
    """The block of all replays of the record."""
    told = [conditions([others_cores()]), *(part for kind, found in record.items() for part in tell_one(kind, found))]
    return "\n\n".join(told)


def tell_one(kind: str, found: Mapping[str, Any]) -> list[str]:
    """One replay: the strategies, their other metrics, the months, and what follows."""
    strategies, months = found["strategies"], found["months"]
    drawn = f"{months[0]} to {months[-1]}, {found['features']} features, days in runs of {found['block']}"
    corrected = f"intervals at {found['level']:.0%} for a single look, verdicts corrected for all strategies (Holm)"
    return [
        f"{TITLES[kind]}  {drawn}; {corrected}.",
        as_markdown(overall(strategies, predicted=kind == "without-weather")),
        as_markdown(others(strategies)),
        as_markdown(by_month(strategies, months)),
        " ".join(conclude(strategies)),
    ]


def overall(strategies: Mapping[str, Any], *, predicted: bool) -> Any:
    """What each strategy took, and the log-loss that it had."""
    heads = ("trained", "trainings", "train s", "switches", PREDICTED_BY, "less never's", *(["predicted"] * predicted))
    rows = []
    for name, own in strategies.items():
        beside = own["beside"][NEVER][PREDICTED_BY]
        expected = [f"{PREDICTED[name]:+.3f}" if name in PREDICTED else ""] * predicted
        rows.append([
            name, str(own["trainings"]), f"{own['seconds']:.0f}", str(own["switches"]),
            estimate_text(beside["value"], beside["low"], beside["high"]), gap(own, name, NEVER, PREDICTED_BY),
            *expected, gap(own, name, ALWAYS, PREDICTED_BY),
        ])  # fmt: skip
    return table("Strategies", (*heads, f"less {ALWAYS}'s"), rows)


def others(strategies: Mapping[str, Any]) -> Any:
    """The other metrics, beside never."""
    rows = [
        [name, *(cell for metric in SHOWN[1:] for cell in (
            figure(own["beside"][NEVER][metric]["value"]), gap(own, name, NEVER, metric)))]
        for name, own in strategies.items()
    ]  # fmt: skip
    heads = [head for metric in SHOWN[1:] for head in (metric, "less never's")]
    return table("Other metrics", ("trained", *heads), rows)


def by_month(strategies: Mapping[str, Any], months: Sequence[str]) -> Any:
    """Log-loss of never, and what the others differ by; a model that took over in that month is marked."""
    names = [name for name in strategies if name != NEVER]
    rows = []
    for at, month in enumerate(months):
        cells = [month, figure(strategies[NEVER]["months"][month][PREDICTED_BY]["value"])]
        for name in names:
            own = strategies[name]
            serving = [NEVER, *own["serving"].values()]
            switched = "→ " if serving[at] != serving[at + 1] and own["decisions"] else ""
            found = own["months"][month][PREDICTED_BY]
            cells.append(f"{switched}{figure(found['difference'], sign=True)}{mark(found['verdict'])}")
        rows.append(cells)
    return table("Months", ("", "never", *names), rows)


def gap(own: Mapping[str, Any], name: str, other: str, metric: str) -> str:
    """The difference to another strategy with its interval and verdict; nothing beside itself."""
    found = own["beside"][other][metric]
    if name == other:
        return ""
    told = estimate_text(found["difference"], found["difference_low"], found["difference_high"], sign=True)
    return f"{told} {found['verdict']}"


def mark(verdict: str) -> str:
    """A verdict as a sign behind a figure."""
    return {"better": " ▲", "worse": " ▼"}.get(verdict, "")


def conclude(strategies: Mapping[str, Any]) -> list[str]:
    """Is it worth it, and how often?  By the verdicts on log-loss, and on what decisions cost."""
    told = [f"**Is it worth it?** {beside(strategies, ALWAYS, NEVER)}."]
    scheduled = [name for name, own in strategies.items() if name not in (NEVER, ALWAYS) and not own["decisions"]]
    rarer = [name for name in scheduled if strategies[name]["trainings"] < strategies[ALWAYS]["trainings"]]
    told.append(f"**How often?** {'; '.join(beside(strategies, name, ALWAYS) for name in rarer)}.")
    enough = [name for name in rarer if verdict_of(strategies, name, ALWAYS) != "worse"]
    fewest = min(enough, key=lambda name: strategies[name]["trainings"], default=None)
    told.append(
        f"The rarest that is not shown to be worse than {ALWAYS}: {fewest}." if fewest
        else f"Whatever is rarer than {ALWAYS} is shown to be worse."
    )  # fmt: skip
    for name, own in strategies.items():
        if own["decisions"]:
            made = [each["decision"] for each in own["decisions"].values()]
            counts = ", ".join(f"{made.count(kind)} × {kind}" for kind in dict.fromkeys(made))
            told.append(f"{name[0].upper()}{name[1:]}: {counts}; {beside(strategies, name, NEVER)}.")
    apart = [name for name in scheduled if name not in rarer]
    told += [f"{beside(strategies, name, ALWAYS)[0].upper()}{beside(strategies, name, ALWAYS)[1:]}." for name in apart]
    return told


def verdict_of(strategies: Mapping[str, Any], name: str, other: str, metric: str = PREDICTED_BY) -> str:
    """The corrected verdict."""
    return str(strategies[name]["beside"][other][metric]["verdict"])


def beside(strategies: Mapping[str, Any], name: str, other: str) -> str:
    """One strategy against another in words."""
    said = {"better": "is better than", "worse": "is worse than", "no evidence": "is not shown to differ from"}
    parts = []
    for metric in (PREDICTED_BY, "expected_cost"):
        found = strategies[name]["beside"][other][metric]
        told = estimate_text(found["difference"], found["difference_low"], found["difference_high"], sign=True)
        parts.append(f"{said[found['verdict']]} {other!r} by {metric} ({told})")
    return f"{name!r} {' and '.join(parts)}"
