"""Does the candidate take the champion's place?  One interval, one margin, three answers.

The *gain* is how much better the candidate is, in units of the metric; its sign is turned so that more is better.  On
a line of gains stands the declared margin |, and on the line lies the interval of the gain:

    promote          |  [-----]       all of it above the margin: the gain is shown, and worth a change
    keep     [-----] |                all of it at or below the margin: whatever the gain is, it is not worth a change
    inconclusive [---|---]            the margin lies inside: these rows cannot tell, and the champion stays

A gain that is larger than anybody expects of a new training is *suspicious* before it is welcome: an input that knows
the answer looks just like it.  Above ``max_gain``, a share of the champion's own value, a person has to look first.

With a margin of 0, promote means "shown to be better".  A negative margin asks less, "shown to be no worse than by so
much", for a candidate that is preferred on other grounds (smaller, faster, simpler).

How is a decision about the champion told to a person?  One decision in full, and the log as a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from stages.metrics.contract import Metric
from stages.metrics.paired import Difference
from stages.pages.numbers import estimate_text, figure, fixed, level_text, p_text, value_text
from stages.pages.tables import Column, Table, as_text, table

Decision = Literal["promote", "keep", "inconclusive", "suspicious", "first", "replace", "rollback"]
MAKES_A_CHAMPION: tuple[Decision, ...] = ("promote", "first", "replace", "rollback")


@dataclass(frozen=True)
class Ruling:
    """A decision, the gain and its interval (None without a comparison), and the reason in words."""

    decision: Decision
    reason: str
    gain: float | None = None
    low: float | None = None
    high: float | None = None


def rule(difference: Difference, margin: float, max_gain: float | None = None) -> Ruling:
    """The decision on the candidate B against the champion A, from one metric.

    A gain above ``max_gain`` times A's value is suspicious; None trusts any.

    Raises
    ------
    ValueError
        When the rows leave the metric undefined.
    """
    if difference.difference is None or difference.p_value is None:
        raise ValueError(
            f"a difference in {difference.metric} between candidate and champion",
            difference.reason or "none could be computed",
            "judge by another metric (datasets.<dataset>.promote.metric) or on more rows",
        )
    if difference.low is None or difference.high is None:
        return _rule_without_interval(difference, margin)
    gain, low, high = difference.difference, difference.low, difference.high
    if difference.direction == "lower":
        gain, low, high = -gain, -high, -low
    decision: Decision = "promote" if low > margin else "keep" if high <= margin else "inconclusive"
    if decision == "promote" and max_gain is not None and gain > max_gain * abs(difference.a or 0.0):
        decision = "suspicious"
    measured = f"gain in {difference.metric} {estimate_text(gain, low, high)} at {level_text(difference.level)}"
    values = f"({figure(difference.a)} → {figure(difference.b)}, {difference.direction} is better)"
    words = f"{measured} {values}: {_why(decision, low, high, margin, max_gain)}"
    return Ruling(decision, words, *(value + 0.0 for value in (gain, low, high)))  # + 0.0: no minus before a zero


def _rule_without_interval(difference: Difference, margin: float) -> Ruling:
    """Where all resamples agree, other rows may not: nothing is shown of a gain that has no interval."""
    gain = (difference.difference or 0.0) * (1 if difference.direction == "higher" else -1) + 0.0
    decision: Decision = "keep" if gain == 0 and margin >= 0 else "inconclusive"
    tail = "no resample shows one" if gain == 0 else "it has no interval, and these rows cannot tell"
    return Ruling(decision, f"gain in {difference.metric} {value_text(gain)}, {difference.reason}: {tail}", gain)


def _why(decision: Decision, low: float, high: float, margin: float, max_gain: float | None) -> str:
    if decision == "suspicious":
        share = level_text(max_gain or 0.0)
        return f"more than {share} of the champion's value, as an input that knows the answer would give"
    if decision == "promote":
        return f"all of the interval lies above the margin of {value_text(margin)}"
    if decision == "inconclusive":
        return f"the margin of {value_text(margin)} lies inside the interval: these rows cannot tell"
    if low == high == 0:
        return "no resample shows a difference"
    worse = ": the candidate is worse" if high < 0 else ""
    return f"all of the interval lies at or below the margin of {value_text(margin)}{worse}"


def refuse_metric(name: str, metrics: Mapping[str, Metric], dataset: str) -> None:
    """Stop when no decision can rest on the metric ``name``."""
    path = f"datasets.{dataset}.promote.metric"
    deciding = [known for known, metric in metrics.items() if not metric.descriptive]
    if name in metrics and name not in deciding:
        found = f"{name}, so biased that its interval carries no verdict"
    elif name not in metrics:
        found = f"{name!r}"
    else:
        return
    raise ValueError(f"{path}: one of {', '.join(deciding)}", found, "correct it under params/ and run `make params`")


def succession(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The champions whom a rollback can return to, the reigning one last: a rollback takes off those after its own.

    ``entries`` are those of the decision log; each champion is a version and its commit.
    """
    reigning: list[dict[str, str]] = []
    for entry in entries:
        if entry["decision"] not in MAKES_A_CHAMPION:
            continue
        made = {"version": entry["candidate"]["version"], "commit": entry["candidate"]["commit"]}
        if entry["decision"] == "rollback" and made in reigning:
            last = len(reigning) - reigning[::-1].index(made)
            reigning = reigning[:last]
        else:
            reigning.append(made)
    return reigning


Entry = Mapping[str, Any]
SHORT = 8
HISTORY = ("", "when", "who", "candidate", "decision", "gain", "by", "champion then")


def decision_text(entry: Entry, log: str, *, dry_run: bool) -> str:
    """What was compared, what was found, what follows, and what to do next."""
    candidate, champion = entry["candidate"], entry["champion"]
    lines = [f"{entry['decision']}: {entry['reason']}"]
    if entry["evidence"]:
        against = f" against champion {_version(champion)}" if champion else ""
        lines = [f"{entry['dataset']}: {_candidate(candidate)}{against}", *_told(entry["evidence"]), *lines]
    made = entry["decision"] in MAKES_A_CHAMPION
    if dry_run:
        return "\n".join([*lines, "dry run: nothing was recorded"])
    reigns = _version(candidate) if made else _version(champion) if champion else "none"
    lines.append(f"champion: {reigns}; this is decision {entry['number']} in {log}")
    keep = f"git add {log} && git commit -m 'Decide on {candidate['revision']}: {entry['decision']}'"
    push = f" && git push && git push --tags && dvc push --all-tags bundles/{entry['dataset']}" if made else ""
    return "\n".join([*lines, f"next: {keep}{push}"])


def _told(evidence: Mapping[str, Any]) -> list[str]:
    span = f", {evidence['first']} to {evidence['last']}" if "first" in evidence else ""
    part = "the test part" if evidence["whole_test_part"] else "the latest of the test part"
    return [
        f"{evidence['rows']:,} rows of {part}, {evidence['units']} units of {evidence['resampled']}{span}",
        f"({evidence['path']})",
        *_unseen(evidence.get("unseen_categories", {})),
        "",
        as_text(_metrics_table(evidence)),
        "",
        *_changed(evidence),
    ]


def _changed(evidence: Mapping[str, Any]) -> list[str]:
    """The answer to the other question, which decides nothing; nothing in evidence from before it was asked."""
    change = evidence.get("change")
    if change is None:
        return []
    asked = f"does the change help on {evidence['metric']}, trained again (decides nothing)?"
    if "reason" in change:
        return [f"{asked} {change['verdict']}: {change['reason']}"]
    between = (
        "" if change["low"] is None else f" [{fixed(change['low'], sign=True)}, {fixed(change['high'], sign=True)}]"
    )
    means = " and ".join(str(k) for k in change["trainings"].values())
    figures = f"{fixed(change['difference'], sign=True)}{between}, p {p_text(change['p_value'])}"
    return [f"{asked} {change['verdict']}: {figures}, means of {means} trainings"]


def _unseen(unseen: Mapping[str, Mapping[str, int]]) -> list[str]:
    told = {who: ", ".join(f"{name} in {n:,}" for name, n in counts.items()) for who, counts in unseen.items()}
    return [f"({who} never saw some categories of {counts} rows: scored as missing)" for who, counts in told.items()]


def _metrics_table(evidence: Mapping[str, Any]) -> Table:
    lead = evidence["metric"]
    metrics = {f"{name} *" if name == lead else name: found for name, found in evidence["metrics"].items()}
    if "gain" not in evidence:
        rows = [[name, _figure(found["candidate"])] for name, found in metrics.items()]
        return table("Metrics", (Column("metric", "name"), "candidate"), rows)
    columns = (
        Column("metric (* decides)", "name"), "champion", "candidate", "difference",
        Column(f"at {evidence['level']:g}", "words"), "p", Column("verdict", "verdict"),
    )  # fmt: skip
    return table("Metrics", columns, [[name, *_beside(found)] for name, found in metrics.items()])


def _beside(found: Mapping[str, Any]) -> list[str]:
    low, high, gap, p = (found[key] for key in ("low", "high", "difference", "p_value"))
    return [
        _figure(found["champion"]), _figure(found["candidate"]), "" if gap is None else fixed(gap, sign=True),
        "" if low is None else f"[{fixed(low, sign=True)}, {fixed(high, sign=True)}]",
        "" if p is None else p_text(p), found["verdict"],
    ]  # fmt: skip


def _figure(value: float | None) -> str:
    return "undefined" if value is None else fixed(value)


def tell_history(dataset: str, entries: Sequence[Entry]) -> str:
    """The decision log as a table, first to last."""
    if not entries:
        return f"{dataset}: nothing has been decided yet"
    rows = []
    for entry in entries:
        made, gain = entry["decision"] in MAKES_A_CHAMPION, entry["evidence"].get("gain")
        after = entry["candidate"] if made else entry["champion"]
        told = f"{fixed(gain['value'])} [{fixed(gain['low'])}, {fixed(gain['high'])}]" if gain else ""
        rows.append([
            str(entry["number"]), entry["when"].replace("T", " ").removesuffix("Z"), entry["who"],
            _candidate(entry["candidate"]), entry["decision"], told,
            entry["evidence"].get("metric", "") if gain else "", _version(after) if after else "none",
        ])  # fmt: skip
    return as_text(table("Decisions", [Column(label, "words") for label in HISTORY], rows))


def _candidate(candidate: Mapping[str, Any]) -> str:
    name, commit = candidate["revision"], candidate["commit"]
    return commit[:SHORT] if commit.startswith(name) else f"{name} ({commit[:SHORT]})"


def _version(registered: Mapping[str, Any]) -> str:
    return f"{registered['version']} ({registered['commit'][:SHORT]})"
