"""Compare two revisions of `dvc.lock`: the first stage that differs, in the order of the line, and what moved.

Reads   texts of dvc.lock, dvc.yaml for the order of the stages, metrics/ of a clone
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stages.pages.numbers import with_minus

MOVES_SHOWN = 20


@dataclass(frozen=True)
class Difference:
    """One stage whose record differs; ``is_stale`` when it was locked with other code, parameters or command."""

    stage: str
    lines: tuple[str, ...]
    is_stale: bool


def first_difference(wanted: str, found: str, pipeline: Path) -> Difference | None:
    """The first stage, in the order of ``pipeline``, whose locked record differs; None when all are equal."""
    old, new = (yaml.safe_load(text).get("stages") or {} for text in (wanted, found))
    made = {path for stage in new.values() for path in _hashes(stage, "outs")}
    for stage in in_order([*old, *(name for name in new if name not in old)], pipeline):
        before, after = old.get(stage, {}), new.get(stage, {})
        causes = list(_changed_inputs(before, after, made))
        outputs = list(_changed("output", _hashes(before, "outs"), _hashes(after, "outs")))
        if causes or outputs:
            return Difference(stage, (*causes, *outputs), is_stale=bool(causes))
    return None


def in_order(stages: list[str], pipeline: Path) -> list[str]:
    """Locked stage names (``train@digits``) in the order in which the pipeline file defines their stages."""
    defined = list(yaml.safe_load(pipeline.read_text(encoding="utf-8"))["stages"])
    places = {name: place for place, name in enumerate(defined)}
    return sorted(stages, key=lambda name: places.get(name.partition("@")[0], len(places)))


def _changed_inputs(old: dict[str, Any], new: dict[str, Any], made: set[str]) -> Iterator[str]:
    """Words for each change of command, code or parameters; inputs that another stage made are that stage's matter."""
    if old.get("cmd") != new.get("cmd"):
        yield f"command: {old.get('cmd', 'nothing')} → {new.get('cmd', 'nothing')}"
    code = [{path: md5 for path, md5 in _hashes(stage, "deps").items() if path not in made} for stage in (old, new)]
    yield from _changed("input", *code)
    for file in sorted({*old.get("params", {}), *new.get("params", {})}):
        yield from _changed("parameter", old.get("params", {}).get(file, {}), new.get("params", {}).get(file, {}))


def _hashes(stage: dict[str, Any], kind: str) -> dict[str, Any]:
    return {entry["path"]: entry.get("md5") or entry.get("hash") for entry in stage.get(kind, [])}


def _changed(kind: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield f"{kind} {name}: {_shown(old.get(name))} → {_shown(new.get(name))}"


def _shown(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 40 else text[:37] + "…"


def moved_metrics(clone: Path, earlier: Callable[[str], str]) -> list[str]:
    """Every figure in ``metrics/`` that is not what ``earlier(path)`` held: old, new and the change."""
    moves = []
    for file in sorted((clone / "metrics").rglob("*.json")):
        name = file.relative_to(clone).as_posix()
        old, new = dict(figures(json.loads(earlier(name)))), dict(figures(json.loads(file.read_text(encoding="utf-8"))))
        for key in new:
            if old.get(key) != new[key]:
                change = f" ({with_minus(f'{new[key] - old[key]:+.3g}')})" if key in old else ""
                moves.append(f"{name} {key}: {old.get(key, 'nothing')} → {new[key]}{change}")
    rest = [f"… and {len(moves) - MOVES_SHOWN} more"] if len(moves) > MOVES_SHOWN else []
    return [*moves[:MOVES_SHOWN], *rest]


def figures(content: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Every number in nested JSON with its dotted path."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from figures(value, f"{path}.{key}" if path else str(key))
    elif isinstance(content, int | float) and not isinstance(content, bool):
        yield path, content
