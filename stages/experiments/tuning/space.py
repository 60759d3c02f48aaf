"""Which settings of a model are worth a try?  A range of numbers or a list of choices for each parameter.

max_depth: {low: 3, high: 9}                           whole numbers, because the parameter is one
learning_rate: {low: 0.03, high: 0.3, log: true}       drawn evenly on the scale of logarithms
subsample: {low: 0.5, high: 1.0, step: 0.1}            0.5, 0.6, … 1.0
grow_policy: {choices: [depthwise, lossguide]}         words and numbers, none preferred for being near another
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isclose, isfinite
from typing import Any

Number = int | float
Value = Number | str
Kind = type[int] | type[float] | type[str]
"""Of a model's parameter: one that counts, one that measures, or a name."""
KINDS: dict[Kind, str] = {int: "whole number", float: "number", str: "name"}
DIGITS = 4
"""Significant digits of a drawn number: more would look exact and mean nothing."""
KEYS = ("low", "high", "log", "step", "choices")


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; ``whole`` ones for a parameter that counts."""

    low: Number
    high: Number
    whole: bool = False
    log: bool = False
    step: Number | None = None

    def holds(self, value: Value) -> bool:
        """Whether ``value`` could be drawn."""
        if isinstance(value, str) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        return isclose(steps, round(steps), abs_tol=1e-6)

    def tidy(self, value: Number) -> Number:
        """A drawn number as a person would write it, still within the range."""
        if self.whole:
            return round(value)
        digits = DIGITS if self.step is None else 12  # on a grid, only the noise of its arithmetic goes
        return min(max(float(f"{value:.{digits}g}"), float(self.low)), float(self.high))

    def __str__(self) -> str:
        steps = f" in steps of {self.step}" if self.step else ""
        return f"{self.low} … {self.high}{steps}{' (log)' if self.log else ''}"


@dataclass(frozen=True)
class Choices:
    """A few values."""

    values: tuple[Value, ...]

    def holds(self, value: Value) -> bool:
        """Whether ``value`` could be drawn."""
        return value in self.values

    def tidy(self, value: Value) -> Value:
        """The value as declared."""
        return value

    def __str__(self) -> str:
        return " | ".join(map(str, self.values))


Parameter = Range | Choices


def read_space(declared: Mapping[str, Any], kinds: Mapping[str, Kind]) -> tuple[dict[str, Parameter], list[str]]:
    """The space, in order of the names, and what is wrong with its declaration, a line each.

    ``kinds`` names the model's parameters.
    """
    space: dict[str, Parameter] = {}
    problems = [] if declared else ["no parameter to search"]
    for name, entry in sorted(declared.items()):
        if name not in kinds:
            problems.append(f"{name}: no such parameter of the model; {_near(name, list(kinds))}")
        elif found := find_faults(entry, kinds[name]):
            problems += [f"{name}: {fault}" for fault in found]
        else:
            space[name] = _parameter(entry, kinds[name])
    return space, problems


def find_faults(entry: Any, kind: Kind) -> list[str]:
    """What is wrong with the declaration of one parameter."""
    if not isinstance(entry, Mapping):
        return [f"wanted {{low: …, high: …}} or {{choices: […]}}, got {entry!r}"]
    if unknown := [key for key in entry if key not in KEYS]:
        return [f"unknown key {key!r}; {_near(str(key), KEYS)}" for key in unknown]
    if "choices" in entry:
        return _faults_of_choices(entry, kind)
    if kind is str:
        return ["a name has no range: wanted {choices: […]}"]
    if missing := [key for key in ("low", "high") if key not in entry]:
        return [f"{' and '.join(missing)} missing"]
    return _faults_of_range(entry, kind)


def _faults_of_choices(entry: Mapping[str, Any], kind: Kind) -> list[str]:
    values = entry["choices"]
    if others := [key for key in entry if key != "choices"]:
        return [f"choices stand alone, without {', '.join(others)}"]
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        return [f"choices: wanted a list of {KINDS[kind]}s, got {values!r}"]
    if wrong := [value for value in values if not _is_of_kind(value, kind)]:
        return [f"choices: wanted {KINDS[kind]}s, got {value!r}" for value in wrong]
    return ["choices: a value stands twice"] if len(set(values)) < len(values) else []


def _faults_of_range(entry: Mapping[str, Any], kind: Kind) -> list[str]:
    low, high, log, step = (entry.get(key) for key in ("low", "high", "log", "step"))
    wrong = [key for key in ("low", "high") if not _is_of_kind(entry[key], kind)]
    wrong += ["step"] if step is not None and not _is_of_kind(step, kind) else []
    faults = [f"{key}: wanted a {KINDS[kind]}, got {entry[key]!r}" for key in wrong]
    if log is not None and not isinstance(log, bool):
        faults.append(f"log: wanted true or false, got {log!r}")
    if faults:
        return faults
    if low > high:  # type: ignore[operator]  # both are numbers by now
        faults.append(f"low {low} lies above high {high}")
    if log and low <= 0:  # type: ignore[operator]
        faults.append(f"log: true wants a low above 0, got {low}")
    if step is not None and (step <= 0 or log):
        faults.append("step goes without log" if log else f"step: wanted more than 0, got {step}")
    if not faults and step is not None and not Range(low, high, step=step).holds(high):  # type: ignore[arg-type]
        faults.append(f"steps of {step} from {low} miss {high}")
    return faults


def _parameter(entry: Mapping[str, Any], kind: Kind) -> Parameter:
    if "choices" in entry:
        return Choices(tuple(map(kind, entry["choices"])))
    low, high, step = (None if entry.get(key) is None else kind(entry[key]) for key in ("low", "high", "step"))
    return Range(low, high, kind is int, bool(entry.get("log")), step)  # type: ignore[arg-type]  # numbers by now


def _is_of_kind(value: Any, kind: Kind) -> bool:
    if kind is str or isinstance(value, bool) or not isinstance(value, int | float):
        return kind is str and isinstance(value, str)
    return isinstance(value, int) if kind is int else isfinite(value)


def _near(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
