"""How is a decision about the champion told to a person?  One decision in full, and the log as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stages.experiments.promotion.promotion import MAKES_A_CHAMPION
from stages.pages.numbers import fixed, p_text
from stages.pages.tables import Column, Table, as_text, table

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
    ]


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
