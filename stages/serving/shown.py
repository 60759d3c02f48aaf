"""A model as its page shows it: its form, an example, how its answers fared; and what it replies to what was typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.metrics.contract import Task
from stages.models.bundle import CALIBRATION, EXAMPLE, PUBLISHED
from stages.models.contract import ByTerms
from stages.models.forecasts import HIGH, LOW
from stages.pages.numbers import value_text
from stages.serving import pictures, words
from stages.serving.answers import Answers, Refused, Tallied, answer_rows
from stages.serving.champion import Served
from stages.serving.form import Field, Form, errors_of, filled, form_of, label_of, number_in, row_of
from stages.serving.problems import Problem
from stages.serving.published import MOMENT, errors_at, published_form
from stages.serving.raw import MOMENT_EXAMPLE, Knowledge, moment_in, prepare
from stages.state.requests import Known
from stages.workspace.files import read_json

OWN_MOMENT = "How such answers fared was tested at the rows' own moments, not ahead of them."
NOTHING = "Fill in at least one input: with none, there is nothing to answer."


@dataclass(frozen=True)
class Way:
    """One way to ask: with which fields, from which examples on."""

    form: Form
    example: pl.DataFrame
    known: Known | None = None
    """What makes features of rows as published; None where they are given."""


@dataclass(frozen=True)
class Shown:
    """A model as its page shows it; read once for each bundle."""

    served: Served
    conclusion: str
    inputs: Way
    published: Way | None
    why: str
    """Why rows as published are not taken, where they might be."""
    calibration: words.Calibration

    def way(self, *, by_inputs: bool) -> Way:
        """The way that was chosen: as published, where that can be."""
        return self.inputs if by_inputs or self.published is None else self.published


@dataclass(frozen=True)
class Reply:
    """What became of what was typed: the form with it, and an answer, or what has to be put right first."""

    form: Form
    answer: Mapping[str, Any] | None
    wrong: str = ""
    """What is wrong with the row as a whole."""
    tallied: Tallied | None = None
    """What the answer counts."""


def open_shown(served: Served, knowledge: Knowledge) -> Shown:
    """What the page needs of a bundle, and of what is known for it."""
    folder, signature = served.bundle.folder, served.bundle.signature
    example = pl.read_csv(folder / EXAMPLE, infer_schema=False)
    calibration = read_json(folder / CALIBRATION) if (folder / CALIBRATION).exists() else None
    inputs, published, why = Way(form_of(signature, example), example), None, ""
    try:
        published = open_published(served, knowledge)
    except Problem as problem:
        why = f"{words.capital(problem.detail)}."
    return Shown(served, words.conclusion_of(served.card), inputs, published, why, calibration)


def open_published(served: Served, knowledge: Knowledge) -> Way | None:
    """How rows as published are asked for; None where the bundle takes none, or they are the inputs themselves."""
    folder, signature = served.bundle.folder, served.bundle.signature
    if not knowledge.takes_raw(served) or not (folder / PUBLISHED).exists():
        return None
    known = knowledge.of(served)
    if {entry["name"] for entry in signature["inputs"]} <= set(known.columns):
        return None
    example = pl.read_csv(folder / PUBLISHED, infer_schema=False)
    return Way(published_form(known.dataset, known.columns, signature, example), example, known)


def reply(model: Shown, way: Way, typed: Mapping[str, str]) -> Reply:
    """Answer what was typed."""
    if way.known is None:
        row = row_of([field.name for field in way.form.fields], typed)
        try:
            answers = answer_rows(model.served, row)
        except Refused as refused:
            wrong = errors_of(refused.misfits, typed)
            return Reply(filled(way.form, typed, wrong), None, "" if wrong else NOTHING)
        return _answered(model, way, typed, row, answers)
    row = row_of(way.known.columns, typed)
    try:
        at = moment_in(asked) if (asked := typed.get(MOMENT.name, "").strip()) else None
    except ValueError:
        return Reply(filled(way.form, typed, {MOMENT.name: f"Wanted a moment such as {MOMENT_EXAMPLE}."}), None)
    try:
        prepared = prepare(way.known, row, at)
    except Problem as problem:
        return Reply(filled(way.form, typed), None, f"{words.capital(problem.detail)}.")
    if not prepared.rows:
        wrong, whole = errors_at(way.known.dataset, prepared.refused, row.columns)
        return Reply(filled(way.form, typed, wrong), None, whole)
    features = prepared.features.select(entry["name"] for entry in model.served.bundle.signature["inputs"])
    notes = [f"{words.capital(note)}." for note in prepared.notes if note] + ([OWN_MOMENT] if at else [])
    return _answered(model, way, typed, features, answer_rows(model.served, features), notes)


def _answered(
    model: Shown, way: Way, typed: Mapping[str, str], row: pl.DataFrame, answers: Answers, notes: Sequence[str] = ()
) -> Reply:
    told = tell(model, row, answers, notes)
    return Reply(filled(way.form, typed), told, tallied=answers.tallied(model.served.task))


def tell(model: Shown, row: pl.DataFrame, answers: Answers, notes: Sequence[str] = ()) -> dict[str, Any]:
    """The answer to one row, in words and pictures."""
    signature, task = model.served.bundle.signature, model.served.task
    scores, given = answers.scores[0], row.row(0, named=True)
    by_class = task.has_classes and task.positive is None
    score = float(scores.max() if by_class else scores.flat[0])
    band = (float(scores[LOW]), float(scores[HIGH])) if task.scored == "forecast" else None
    titles = words.speaking_titles(task, signature, scores)
    return {
        "headline": words.headline(task, signature, scores),
        "decision": words.decision(task, signature, scores),
        "fared": words.fared(task, signature, score, model.calibration),
        "doubts": [*notes, *words.doubts(signature, answers.misfits, given), *unread(model, given)],
        "scale": pictures.on_a_scale(task, signature, score, model.calibration, band),
        "has_group": band is not None or words.group_for(task, score, model.calibration) is not None,
        "seen": words.SEEN[task.scored],
        "classes": pictures.classes(signature, scores) if by_class else [],
        **titles,
        **speaking(model, answers, given, titles["towards"]),
    }


def speaking(model: Shown, answers: Answers, given: Mapping[str, Any], towards: str) -> dict[str, Any]:
    """What speaks for the answer and what against it; nothing where the family has no exact contributions."""
    fitted, task = model.served.bundle.model, model.served.task
    found = fitted.contributions(answers.inputs)
    if found is None:
        return {"speaking": [], "speaking_of": "input", "image": ""}
    output = told_output(task, answers.scores[0])
    own = found[0, output]
    if isinstance(fitted, ByTerms):
        asked, own = terms_of(fitted, given, output, float(own[-1]))
        told = pictures.speaking(asked, own, by_odds=task.has_classes, of="word")
        return {"speaking": told, "speaking_of": "word", "image": ""}
    fields = {field.name: field for field in model.inputs.form.fields}
    asked = [(name_of(fields[name]), fields[name].about, seen_as(given[name])) for name in fitted.features]
    image, added = "", dict(zip(fitted.features, own.tolist(), strict=False))
    if grid := model.inputs.form.grid:
        cells = [[None if cell is None else added[cell.name] for cell in row] for row in grid.rows]
        image = pictures.on_the_image(cells, towards)
    told = pictures.speaking(asked, own, by_odds=task.has_classes)
    return {"speaking": told, "speaking_of": "input", "image": image}


def unread(model: Shown, given: Mapping[str, Any]) -> list[str]:
    """What to say where the model knows not one word of a text."""
    fitted = model.served.bundle.model
    silent = isinstance(fitted, ByTerms) and not terms_of(fitted, given, 0, 0.0)[0]
    return ["The model knows not one of these words: the answer is that to an empty text."] if silent else []


def terms_of(
    fitted: ByTerms, given: Mapping[str, Any], output: int, rest: float
) -> tuple[list[tuple[str, str, str]], NDArray[np.float32]]:
    """The words of the texts that the model knows, in the place of its inputs, and what each adds."""
    asked, added = [], []
    for name in fitted.features:
        for term, weights in fitted.speaking(str(given[name]), name):
            asked.append((term, "", ""))
            added.append(weights[output])
    return asked, np.array([*added, rest], np.float32)


def told_output(task: Task, scores: NDArray[np.float32]) -> int:
    """Which of the model's outputs the answer tells of: the only one, or that of the most probable class."""
    return int(scores.argmax()) if task.has_classes and task.positive is None else 0


def name_of(field: Field) -> str:
    """A field's label; a cell of an image is called by its column's name."""
    return label_of(field.name) if field.is_cell else field.label


def seen_as(given: Any) -> str:
    """A value that was given, as people read it."""
    text = "" if given is None else str(given)
    number = number_in(text)
    return text or "missing" if number is None else value_text(number)
