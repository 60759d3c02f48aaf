"""What a cycle has found, decided and done, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stages.experiments.cycle.choice import Choice, Window

WIDTH = 9


def tell_cycle(entry: Mapping[str, Any]) -> str:
    """A finished cycle, from its line in the log."""
    window = Window(**entry["window"])
    lines = [
        f"{entry['dataset']}, cycle {entry['number']}: outcomes are known up to {entry['newest_day']}",
        *_watched(entry["monitor"]),
        _line("train", f"{'yes' if entry['trained'] else 'no'}: {entry['reason']}"),
    ]
    if entry["trained"]:
        made, promotion = entry["experiment"], entry["promotion"]
        lines += [
            _line("window", _days(window)),
            _line("candidate", f"{made['experiment']} ({made['commit'][:8]})"),
            _line("decision", f"{promotion['decision']}: {promotion['reason']}"),
        ]
    return "\n".join(lines)


def tell_choice(dataset: str, choice: Choice, monitor: Mapping[str, Any], command: Sequence[str]) -> str:
    """What a cycle would decide as things stand; ``command`` is what would train."""
    lines = [
        f"{dataset}: outcomes are known up to {choice.window.newest}",
        *_watched(monitor),
        _line("train", f"{'would' if choice.trains else 'would not'}: {choice.reason}"),
        _line("window", _days(choice.window)),
    ]
    return "\n".join([*lines, _line("by", " ".join(command))] if choice.trains else lines)


def _watched(monitor: Mapping[str, Any]) -> list[str]:
    reference, newest = monitor["reference"], monitor["newest"]
    champion = (monitor["model"] or {}).get("version") or "the bundle of the workspace"
    lines = [_line("model", f"{champion}, trained on days up to {str(reference['to'])[:10]}")]
    if newest:
        drifted = [*newest["drifted"], *(["the prediction"] if newest["prediction_drifted"] else [])]
        told = f"drifted: {', '.join(drifted)}" if drifted else "no drift"
        lines.append(_line("newest", f"{newest['batch']}: {told}; quality: {newest['quality']}"))
    return lines


def _days(window: Window) -> str:
    return f"train until {window.train_until}, valid until {window.valid_until}, test until {window.newest}"


def _line(name: str, told: str) -> str:
    return f"  {name:<{WIDTH}} {told}"
