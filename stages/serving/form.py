"""What must be asked so that a model can answer?  A form, from what its signature says of each input.

Inputs that move the answer most come first and the rest is folded away; inputs that are cells of an image, named after
their row and column, stand as they lie in it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import floor, log10
from typing import Any

import polars as pl

from stages.models.signature import UNREADABLE, Misfit
from stages.pages.numbers import share_text, value_text

FIRST = 12  # fields that are open
OFTEN = 0.05  # share of training rows that lack a value, from which on it is told
CELL = re.compile(r"(?P<stem>.+)_(?P<row>\d{1,3})_(?P<column>\d{1,3})")
LEAST_CELLS, FILLED = 16, 0.7  # of what is an image, and the share of its cells that must be there
LEVELS = 8  # shades of a cell
WHOLE = ("picture", "text")  # inputs that are one thing as a whole
UNITS = {"f": "°F", "pct": "%", "deg": "°"}
"""Units as people write them, where a column's name needs letters."""


@dataclass(frozen=True)
class Field:
    """One input: how it is asked for, what was typed, and what is wrong with that."""

    name: str
    label: str
    about: str = ""
    unit: str = ""
    hint: str = ""
    options: tuple[str, ...] = ()
    """The known categories; () where any text or number may stand."""
    is_number: bool = False
    step: float | None = None
    high: float = 0.0
    value: str = ""
    error: str = ""
    whole: str = ""
    """"picture" or "text" where it is one."""
    is_cell: bool = False
    """Whether it is a cell of an image."""
    key: str = ""
    """What the elements of the field are called on the page; a name may hold anything."""

    @property
    def described_by(self) -> str:
        """The ids of the elements that explain the field, for those who have the page read to them."""
        told = {"about": self.about, "hint": self.hint, "error": self.error}
        return " ".join(f"{self.key}-{part}" for part in told if told[part])

    @property
    def level(self) -> int:
        """How dark a cell of an image is, 0 … `LEVELS`."""
        number = number_in(self.value) or 0.0
        return round(LEVELS * min(max(number / self.high, 0.0), 1.0)) if self.high else 0


@dataclass(frozen=True)
class Grid:
    """Inputs that are cells of an image, row by row; None where the model does not look."""

    stem: str
    rows: tuple[tuple[Field | None, ...], ...]
    high: float
    about: str

    @property
    def fields(self) -> list[Field]:
        """Its cells, row by row."""
        return [cell for row in self.rows for cell in row if cell is not None]


@dataclass(frozen=True)
class Form:
    """All fields of a form: an image, those that are open, and those that are folded away."""

    grid: Grid | None
    first: tuple[Field, ...]
    rest: tuple[Field, ...]

    @property
    def fields(self) -> list[Field]:
        """Every field, in the order in which they are asked for."""
        return [*(self.grid.fields if self.grid else ()), *self.first, *self.rest]

    @property
    def wrong(self) -> list[Field]:
        """The fields with something wrong in them."""
        return [field for field in self.fields if field.error]


def field_of(entry: Mapping[str, Any], example: pl.Series | None = None) -> Field:
    """The field of one input of a signature; values of an example tell whether numbers are whole."""
    name, unit = str(entry["name"]), str(entry.get("unit", ""))
    is_often = entry.get("null_share", 0) > OFTEN
    missing = f"missing in {share_text(entry['null_share'])} of the training rows" if is_often else ""
    field = Field(name, label_of(name, unit), about=str(entry.get("about", "")), hint=missing)
    if entry["kind"] == "categorical":
        return replace(field, options=tuple(map(str, entry["categories"])))
    if entry["kind"] in WHOLE:
        shape = entry.get("shape", ())
        wanted = f"PNG or JPEG, {shape[1]} pixels wide and {shape[0]} high" if shape else ""
        return replace(field, whole=str(entry["kind"]), hint=wanted)
    low, high = entry.get("low"), entry.get("high")
    if low is None or high is None:
        return replace(field, unit=UNITS.get(unit, unit), hint="never filled in training", is_number=True)
    ends = f"in training {value_text(low)} to {value_text(high)}"
    return replace(
        field, unit=UNITS.get(unit, unit), hint="; ".join(filter(None, [ends, missing])), is_number=True,
        step=step_of(low, high, example), high=high,
    )  # fmt: skip


def label_of(name: str, unit: str = "") -> str:
    """A column's name in words, without the unit at its end."""
    words = name.split("_")
    last = unit.lower().replace("²", "2").replace("/", " ").split()
    if last and len(last) < len(words) and words[-len(last) :] == last:
        words = words[: -len(last)]
    text = " ".join(words).strip() or name
    return text[0].upper() + text[1:]


def step_of(low: float, high: float, example: pl.Series | None) -> float:
    """By how much an arrow key moves a number: 1 where all known values are whole, else about a hundredth of them."""
    texts = [] if example is None else example.drop_nulls().to_list()
    if all(float(value).is_integer() for value in (low, high, *filter(None, map(number_in, texts)))):
        return 1.0
    return float(10.0 ** (floor(log10(high - low)) - 2)) if high > low else 1.0


def number_in(text: str) -> float | None:
    """The finite number that is written there, if there is one."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


def make_form(fields: Sequence[Field], effects: Mapping[str, float] | None = None) -> Form:
    """A form of these fields, those with the largest effects first, and an image where some are its cells."""
    fields = [replace(field, key=f"f{k}") for k, field in enumerate(fields)]
    grid = find_grid(fields)
    inside = {field.name for field in grid.fields} if grid else set()
    others = [field for field in fields if field.name not in inside]
    if effects:
        others.sort(key=lambda field: -effects.get(field.name, 0.0))
    first = 0 if grid else FIRST if len(others) > FIRST + 2 else len(others)
    return Form(grid, tuple(others[:first]), tuple(others[first:]))


def form_of(signature: Mapping[str, Any], example: pl.DataFrame) -> Form:
    """The form of a model's own inputs."""
    inputs = signature["inputs"]
    fields = [field_of(entry, example[entry["name"]]) for entry in inputs]
    return make_form(fields, {entry["name"]: entry["effect"] for entry in inputs if "effect" in entry})


def find_grid(fields: Sequence[Field]) -> Grid | None:
    """The largest image whose cells are among the numbers, if there is one."""
    places: dict[str, dict[tuple[int, int], Field]] = defaultdict(dict)
    for field in fields:
        if field.is_number and (found := CELL.fullmatch(field.name)):
            places[found["stem"]][int(found["row"]), int(found["column"])] = field
    if not places:
        return None
    stem, cells = max(places.items(), key=lambda item: len(item[1]))
    firsts, lasts = ([end(place[k] for place in cells) for k in (0, 1)] for end in (min, max))
    size = (lasts[0] - firsts[0] + 1) * (lasts[1] - firsts[1] + 1)
    if len(cells) < max(LEAST_CELLS, FILLED * size):
        return None
    high = max(cell.high for cell in cells.values())
    rows = tuple(
        tuple(_cell(cells.get((row, column)), row - firsts[0] + 1, column - firsts[1] + 1, high)
              for column in range(firsts[1], lasts[1] + 1))
        for row in range(firsts[0], lasts[0] + 1)
    )  # fmt: skip
    return Grid(stem, rows, high, next(iter(cells.values())).about)


def _cell(field: Field | None, row: int, column: int, high: float) -> Field | None:
    return field and replace(field, label=f"row {row}, column {column}", high=high, is_cell=True)


def filled(form: Form, values: Mapping[str, str], errors: Mapping[str, str] | None = None) -> Form:
    """The form with what was typed, and what is wrong with it."""
    wrong = errors or {}

    def fill(field: Field | None) -> Field | None:
        if field is None:
            return None
        value, error = values.get(field.name, ""), wrong.get(field.name, "")
        if field.whole == "picture" and error:
            value = ""  # nothing that could be shown, and perhaps megabytes
        return replace(field, value=value, error=error)

    rows = tuple(tuple(fill(cell) for cell in row) for row in form.grid.rows) if form.grid else ()
    return Form(
        replace(form.grid, rows=rows) if form.grid else None,
        tuple(filter(None, map(fill, form.first))), tuple(filter(None, map(fill, form.rest))),
    )  # fmt: skip


def row_of(names: Collection[str], values: Mapping[str, str]) -> pl.DataFrame:
    """What was typed as a frame of one row, all texts; an empty field is missing."""
    texts = {name: values.get(name, "").strip() or None for name in names}
    return pl.DataFrame({name: [text] for name, text in texts.items()}, schema=dict.fromkeys(texts, pl.String))


def values_of(rows: pl.DataFrame, place: int) -> dict[str, str]:
    """One row as what could have been typed."""
    return {name: "" if value is None else str(value) for name, value in rows.row(place, named=True).items()}


def errors_of(misfits: Sequence[Misfit], values: Mapping[str, str]) -> dict[str, str]:
    """What to say at each field that cannot be scored."""
    wrong = [misfit for misfit in misfits if misfit.kind in UNREADABLE]
    return {misfit.column: _advice(misfit, values.get(misfit.column, "")) for misfit in wrong}


def _advice(misfit: Misfit, text: str) -> str:
    if misfit.kind == "no text":
        return "Write a text."
    if misfit.kind == "not a picture":
        return f"Choose another picture: {misfit.told.partition(': ')[2]}."
    if re.fullmatch(r"\s*[+-]?\d+,\d+\s*", text):
        return f"Write a decimal point: {text.strip().replace(',', '.')}"
    if number_in(text.replace(",", "")) is not None and "," in text:
        return f"Leave the commas out: {text.replace(',', '').strip()}"
    return "This is no number that the model can take: write digits, or leave the field empty where it is unknown."


def as_json(form: Form) -> dict[str, Any]:
    """The same request for a program: numbers as such, missing values as null."""
    return {field.name: _plain(field) for field in form.fields}


def _plain(field: Field) -> Any:
    text = field.value.strip()
    number = number_in(text) if field.is_number else None
    if number is None:
        return text or None
    return int(number) if number.is_integer() and re.fullmatch(r"[+-]?\d{1,15}", text) else number
