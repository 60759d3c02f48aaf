"""How do JSON objects become rows?  One by one, without a frame: making one takes longer than scoring a row.

Types are those of JSON: a number for a number, a string for a category, null where a value is missing.  What
`predict` makes of the same rows in a file, this makes of them, to the bit (tests/serving/test_answers.py).  A string
such as "NA" counts as missing here, too, but a row that holds one is not empty.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.models.signature import NULL_TEXTS, Misfit, Tally
from stages.serving.problems import SHOWN, Fault, found_text, unfit

ABSENT = object()
LARGEST = float(np.finfo(np.float32).max)
SOME = 3  # categories in a message
WHOLE = {"picture": "a string: a PNG or JPEG file as base64", "text": "a string"}


@dataclass(frozen=True)
class Inputs:
    """The inputs of a signature, in the order of the model, made ready to read objects."""

    entries: tuple[Mapping[str, Any], ...]
    codes: tuple[Mapping[str, int] | None, ...]
    """Place of a category in its enum, by its name and by that with spaces around it gone; None for numbers."""
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    """The range of training, which was one of such numbers; infinite where there is none."""

    @cached_property
    def names(self) -> list[str]:
        """The names of the inputs."""
        return [str(entry["name"]) for entry in self.entries]

    @cached_property
    def known(self) -> frozenset[str]:
        """The same as a set."""
        return frozenset(self.names)

    @classmethod
    def of(cls, signature: Mapping[str, Any], features: Sequence[str]) -> Inputs:
        """Those of a signature, as the model orders its features."""
        known = {str(entry["name"]): entry for entry in signature["inputs"]}
        entries = tuple(known[name] for name in features)
        codes = tuple(
            {name: code for code, name in enumerate(entry["categories"])} if entry["kind"] == "categorical" else None
            for entry in entries
        )
        ends = [(entry.get("low"), entry.get("high")) for entry in entries]
        low = np.array([-np.inf if None in both else both[0] for both in ends], np.float32)
        high = np.array([np.inf if None in both else both[1] for both in ends], np.float32)
        return cls(entries, codes, low, high)

    def read(self, objects: Sequence[Any], pointer: str = "") -> tuple[NDArray[np.float32], list[Misfit]]:
        """Rows (rows, inputs), categories by their codes, and what training never saw.

        ``pointer`` is where in the request a row stands, with {} for its place.  Raises `Problem` with every field that
        is absent, unknown or of another type.
        """
        faults: list[Fault] = []
        unknown: dict[str, Misfit] = {}
        values: list[float] = []
        named = list(zip(self.names, self.codes, strict=True))
        for place, row in enumerate(objects):
            if type(row) is not dict:
                faults.append(Fault(pointer.format(place), "an object with the inputs of the model", found_text(row)))
                continue
            before = len(faults)
            for name, codes in named:
                value = row.get(name, ABSENT)
                if value is None:
                    values.append(np.nan)
                elif codes is None and (type(value) is float or type(value) is int) and -LARGEST <= value <= LARGEST:
                    values.append(value)
                elif codes is not None and type(value) is str:
                    code = codes.get(value)
                    if code is None and (code := codes.get(value.strip())) is None and value not in NULL_TEXTS:
                        _count_unknown(unknown, name, value, place)
                    values.append(np.nan if code is None else code)
                else:
                    faults.append(self._fault(f"{pointer.format(place)}/{_escaped(name)}", name, value, codes, row))
            if len(row) > len(named) or len(faults) > before:
                faults += [self._unknown(pointer.format(place), key, row) for key in row if key not in self.known]
            if len(faults) > SHOWN:
                break
        if faults:
            raise unfit(faults)
        matrix = np.array(values, dtype=np.float32).reshape(len(objects), len(named))
        return matrix, self._judged(matrix, list(unknown.values()), objects, pointer)

    @cached_property
    def has_whole(self) -> bool:
        """Whether a picture or a text is among them, which no matrix of numbers holds."""
        return any(entry["kind"] in WHOLE for entry in self.entries)

    def texts(self, objects: Sequence[Any], pointer: str = "") -> pl.DataFrame:
        """Rows as a file of text would hold them, for those; raises `Problem` as `read` does."""
        faults: list[Fault] = []
        rows: list[list[str | None]] = []
        for place, row in enumerate(objects):
            at = pointer.format(place)
            if type(row) is not dict:
                faults.append(Fault(at, "an object with the inputs of the model", found_text(row)))
                continue
            for entry, codes in zip(self.entries, self.codes, strict=True):
                name, value = str(entry["name"]), row.get(entry["name"], ABSENT)
                if entry["kind"] in WHOLE and type(value) is not str:
                    faults.append(Fault(f"{at}/{_escaped(name)}", WHOLE[entry["kind"]], _found(value)))
                elif value is not None and type(value) not in ((float, int) if entry["kind"] == "numeric" else (str,)):
                    faults.append(self._fault(f"{at}/{_escaped(name)}", name, value, codes, row))
            faults += [self._unknown(at, key, row) for key in row if key not in self.known]
            rows.append([None if (value := row.get(name)) is None else str(value) for name in self.names])
            if len(faults) > SHOWN:
                break
        if faults:
            raise unfit(faults)
        return pl.DataFrame(rows, dict.fromkeys(self.names, pl.String), orient="row")

    def frame(self, matrix: NDArray[np.float32]) -> pl.DataFrame:
        """The same rows as a frame, for models that want one."""
        return pl.DataFrame(
            [
                pl.Series(name, column, nan_to_null=True)
                if codes is None
                else pl.Series(name, column, nan_to_null=True).cast(pl.UInt32).cat.to(pl.Enum(list(codes)))
                for name, codes, column in zip(self.names, self.codes, matrix.T, strict=True)
            ]
        )

    def _judged(
        self, matrix: NDArray[np.float32], unknown: list[Misfit], objects: Sequence[Any], pointer: str
    ) -> list[Misfit]:
        """Every misfit, as `Tally` would tell it; a row in which nothing is given is refused."""
        missing = np.isnan(matrix)
        if (empty := missing.all(axis=1)).any():
            bare = [
                place for place in np.flatnonzero(empty).tolist() if not any(map(_is_given, objects[place].values()))
            ]
            if bare:
                raise unfit(
                    [Fault(pointer.format(place), "at least one input that is filled", "none") for place in bare]
                )
        outside = (matrix < self.low) | (matrix > self.high)
        found = [*unknown]
        for column in np.flatnonzero(outside.any(axis=0)).tolist() if outside.any() else ():
            name, rows = self.names[column], np.flatnonzero(outside[:, column])
            told = f"{name} = {matrix[rows[0], column]:.7g} in row {rows[0] + 1}"
            told += f" (training: {self.low[column]:g} to {self.high[column]:g})"
            found.append(Misfit("out of range", name, len(rows), told))
        counts = missing.sum(axis=0)
        if len(matrix) > 1 and counts.any():  # one row is never evidence
            given = Counter(dict(zip(self.names, counts.tolist(), strict=True)))
            given.subtract({each.column: each.rows for each in unknown})
            found = Tally(self.entries, len(matrix), {(m.kind, m.column): m for m in found}, given).misfits()
        return found

    def _fault(
        self, field: str, name: str, value: object, codes: Mapping[str, int] | None, row: Mapping[str, Any]
    ) -> Fault:
        if value is ABSENT:
            close = difflib.get_close_matches(name, [key for key in row if key not in self.names], n=1)
            return Fault(
                field,
                "a value, or null where it is missing",
                f"no such field; there is {close[0]}" if close else "no such field",
            )
        if codes is None:
            large = isinstance(value, int | float) and not isinstance(value, bool)
            wanted = f"a number within ±{LARGEST:.3g}" if large else "a number, or null where it is missing"
            return Fault(field, wanted, found_text(value))
        some = ", ".join(f'"{each}"' for each in list(codes)[:SOME])
        return Fault(field, f"a string such as {some}, or null where it is missing", found_text(value))

    def _unknown(self, at: str, key: str, row: Mapping[str, Any]) -> Fault:
        close = difflib.get_close_matches(key, [name for name in self.names if name not in row], n=1)
        return Fault(
            f"{at}/{_escaped(key)}", f"{close[0]}" if close else "only inputs of the model", "an unknown field"
        )


def _found(value: object) -> str:
    return "no such field" if value is ABSENT else found_text(value)


def _is_given(value: object) -> bool:
    return value is not None


def _count_unknown(unknown: dict[str, Misfit], name: str, value: str, place: int) -> None:
    if first := unknown.get(name):
        unknown[name] = Misfit(first.kind, name, first.rows + 1, first.told)
    else:
        unknown[name] = Misfit("unknown category", name, 1, f"{name} = {found_text(value)} in row {place + 1}")


def _escaped(key: str) -> str:
    """A key in a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
