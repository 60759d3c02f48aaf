"""How is a decision about the champion told to a person?  One decision in full, and the log as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from stages.experiments.comparison.words import p_text
from stages.experiments.promotion.promotion import MAKES_A_CHAMPION

Entry = Mapping[str, Any]
SHORT = 8


def tell_decision(entry: Entry, log: str, *, dry_run: bool) -> str:
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
        tabulate(_rows_of(evidence), headers="keys", disable_numparse=True, colalign=_align(evidence)),
        "",
    ]


def _unseen(unseen: Mapping[str, Mapping[str, int]]) -> list[str]:
    told = {who: ", ".join(f"{name} in {n:,}" for name, n in counts.items()) for who, counts in unseen.items()}
    return [f"({who} never saw some categories of {counts} rows: scored as missing)" for who, counts in told.items()]


def _align(evidence: Mapping[str, Any]) -> tuple[str, ...]:
    return ("left", "right") if "gain" not in evidence else ("left", "right", "right", "right", "left", "right", "left")


def _rows_of(evidence: Mapping[str, Any]) -> list[dict[str, str]]:
    rows = []
    for name, found in evidence["metrics"].items():
        marked = f"{name} *" if name == evidence["metric"] else name
        if "champion" not in found:
            rows.append({"metric": marked, "candidate": _figure(found["candidate"])})
            continue
        interval = "" if found["low"] is None else f"[{found['low']:+.4f}, {found['high']:+.4f}]"
        rows.append(
            {
                "metric (* decides)": marked,
                "champion": _figure(found["champion"]),
                "candidate": _figure(found["candidate"]),
                "difference": "" if found["difference"] is None else f"{found['difference']:+.4f}",
                f"at {evidence['level']:g}": interval,
                "p": "" if found["p_value"] is None else p_text(found["p_value"]),
                "verdict": found["verdict"],
            }
        )
    return rows


def _figure(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def tell_history(dataset: str, entries: Sequence[Entry]) -> str:
    """The decision log as a table, first to last."""
    if not entries:
        return f"{dataset}: nothing has been decided yet"
    rows = []
    for entry in entries:
        made, gain = entry["decision"] in MAKES_A_CHAMPION, entry["evidence"].get("gain")
        after = entry["candidate"] if made else entry["champion"]
        rows.append(
            {
                "": entry["number"],
                "when": entry["when"].replace("T", " ").removesuffix("Z"),
                "who": entry["who"],
                "candidate": _candidate(entry["candidate"]),
                "decision": entry["decision"],
                "gain": f"{gain['value']:.4f} [{gain['low']:.4f}, {gain['high']:.4f}]" if gain else "",
                "by": entry["evidence"].get("metric", "") if gain else "",
                "champion then": _version(after) if after else "none",
            }
        )
    return tabulate(rows, headers="keys", disable_numparse=True)


def _candidate(candidate: Mapping[str, Any]) -> str:
    name, commit = candidate["revision"], candidate["commit"]
    return commit[:SHORT] if commit.startswith(name) else f"{name} ({commit[:SHORT]})"


def _version(registered: Mapping[str, Any]) -> str:
    return f"{registered['version']} ({registered['commit'][:SHORT]})"
