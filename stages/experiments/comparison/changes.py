"""What was changed between two sets of composed parameters, as far as one dataset's results can depend on it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

WITHOUT_EFFECT = ("cluster", "tracking", "scale")  # the first two change no result; scale acts through other sections
SECTIONS_WITHOUT_EFFECT = ("tune", "promote")


@dataclass(frozen=True)
class Change:
    """One parameter by its full path, and its two values as they are written; None where there is none."""

    path: str
    a: str | None
    b: str | None

    def __str__(self) -> str:
        """``datasets.nycflights.model.max_depth 5 → 8``"""
        return f"{self.path} {self.a or '(none)'} → {self.b or '(none)'}"

    def within(self, dataset: str) -> str:
        """``model.max_depth 5 → 8``, where the dataset is known."""
        return str(self).removeprefix(f"datasets.{dataset}.")


def changed_parameters(a: Mapping[str, Any], b: Mapping[str, Any], dataset: str) -> list[Change]:
    """Every difference that may matter to the dataset, in the order of the parameters."""
    return differing(_relevant(a, dataset), _relevant(b, dataset))


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Change]:
    """Every leaf in which two nested mappings differ."""
    values_a, values_b = dict(_leaves(a)), dict(_leaves(b))
    paths = [*values_a, *(path for path in values_b if path not in values_a)]
    changes = [Change(path, values_a.get(path), values_b.get(path)) for path in paths]
    return [change for change in changes if change.a != change.b]


def _relevant(params: Mapping[str, Any], dataset: str) -> dict[str, Any]:
    general = {key: value for key, value in params.items() if key not in (*WITHOUT_EFFECT, "datasets")}
    datasets = params.get("datasets")
    sections = datasets.get(dataset) if isinstance(datasets, Mapping) else None
    own = sections if isinstance(sections, Mapping) else {}
    kept = {key: value for key, value in own.items() if key not in SECTIONS_WITHOUT_EFFECT}
    return general | {"datasets": {dataset: kept}}


def _leaves(params: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in params.items():
        path = f"{above}{key}"
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{path}.")
        else:
            yield path, _written(value)


def _written(value: Any) -> str:
    """As YAML has it, near enough for a person."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    return str(value)
