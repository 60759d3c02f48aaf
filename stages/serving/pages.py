"""The page: choose a model, fill in a form or drop a file, read the answer.  Works without a script."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import polars as pl
from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from starlette.datastructures import UploadFile

from stages.metrics.contract import Task
from stages.models.bundle import CALIBRATION, CARD, EXAMPLE
from stages.pages.numbers import value_text
from stages.pages.tables import as_html
from stages.serving import pictures, words
from stages.serving.answers import Answers, Refused, answer_rows
from stages.serving.champion import Champions, Served
from stages.serving.files import answer_upload
from stages.serving.form import Field, Form, as_json, errors_of, filled, form_of, label_of, number_in, row_of, values_of
from stages.workspace.errors import UserError
from stages.workspace.files import read_json

ASSETS = {
    "style.css": ("stages.results", "style.css", "text/css"),  # one look for all pages
    "page.css": ("stages.serving", "assets/page.css", "text/css"),
    "page.js": ("stages.serving", "assets/page.js", "text/javascript"),
    "mark.svg": ("stages.serving", "assets/mark.svg", "image/svg+xml"),
}
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
NOTHING = "Fill in at least one input: with none, there is nothing to answer."


@dataclass(frozen=True)
class Shown:
    """A model as its page shows it; read once for each bundle."""

    served: Served
    conclusion: str
    form: Form
    example: pl.DataFrame
    calibration: words.Calibration


def open_shown(served: Served) -> Shown:
    """What the page needs of a bundle."""
    folder, signature = served.bundle.folder, served.bundle.signature
    example = pl.read_csv(folder / EXAMPLE, infer_schema=False)
    calibration = read_json(folder / CALIBRATION) if (folder / CALIBRATION).exists() else None
    card = (folder / CARD).read_text(encoding="utf-8")
    return Shown(served, words.conclusion_of(card), form_of(signature, example), example, calibration)


def build_router(champions: Champions) -> APIRouter:
    """Every page, and the files that pages need."""
    router, shown, templates = APIRouter(include_in_schema=False), dict[str, Shown](), open_templates()

    def look(name: str) -> Shown:
        served = champions.served.get(name)
        if served is None:
            raise HTTPException(404, f"no model {name}")
        if name not in shown or shown[name].served is not served:
            shown[name] = open_shown(served)
        return shown[name]

    def write(template: str, status: int = 200, **told: Any) -> HTMLResponse:
        names = sorted(champions.served)
        page = templates.get_template(template).render(models=names, **told)
        return HTMLResponse(page, status, headers={"Content-Security-Policy": POLICY})

    @router.get("/")
    async def choose() -> HTMLResponse:
        return write("models.html.j2", shown=[look(name) for name in sorted(champions.served)])

    @router.get("/models/{name}")
    async def ask(name: str, request: Request, example: int = 1) -> HTMLResponse:
        model = look(name)
        place = min(max(example, 1), len(model.example)) - 1
        return write("model.html.j2", **sections(model, values_of(model.example, place), request, place + 1))

    @router.post("/models/{name}")
    async def answer(name: str, request: Request) -> HTMLResponse:
        model = look(name)
        typed = {key: text for key, text in (await request.form()).items() if isinstance(text, str)}
        told = sections(model, typed, request)
        return write("model.html.j2", 200 if told["answer"] else 422, **told)

    @router.post("/models/{name}/file")
    async def answer_file(name: str, request: Request) -> Response:
        model = look(name)
        form = await request.form(max_files=1)
        upload = form.get("rows")
        told: Response | dict[str, Any]
        if not isinstance(upload, UploadFile) or not upload.filename:
            told = {"name": "Nothing", "refused": UserError("a file of rows", "none", "choose one, then send it")}
        else:
            told = await run_in_threadpool(answer_upload, model.served, upload, as_table=form.get("as") == "csv")
        if isinstance(told, Response):
            return told
        page = sections(model, values_of(model.example, 0), request, 1) | {"looked": told}
        return write("model.html.j2", 422 if told["refused"] else 200, **page)

    @router.get("/models/{name}/example.csv")
    async def example(name: str) -> Response:
        return Response(look(name).example.write_csv(), media_type="text/csv")

    @router.get("/assets/{name}")
    async def asset(name: str) -> Response:
        if name not in ASSETS:
            raise HTTPException(404, f"no file {name}")
        package, path, kind = ASSETS[name]
        headers = {"Cache-Control": "max-age=300"}
        return Response(files(package).joinpath(path).read_bytes(), media_type=kind, headers=headers)

    return router


def open_templates() -> Environment:
    """The templates; whatever comes from a request or a bundle is escaped."""
    environment = Environment(
        loader=PackageLoader("stages.serving"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["drawn"] = Markup
    environment.filters["shown"] = lambda table: Markup(as_html(table))
    return environment


def sections(model: Shown, typed: Mapping[str, str], request: Request, example: int = 0) -> dict[str, Any]:
    """All that the page of one model shows, with the answer to what was typed."""
    served, names = model.served, [entry["name"] for entry in model.served.bundle.signature["inputs"]]
    row = row_of(names, typed)
    wrong, nothing, told = dict[str, str](), "", None
    try:
        told = tell(model, row, answer_rows(served, row))
    except Refused as refused:
        wrong = errors_of(refused.misfits, typed)
        nothing = "" if wrong else NOTHING
    form = filled(model.form, typed, wrong)
    return {
        "model": model, "signature": served.bundle.signature, "form": form, "answer": told, "nothing": nothing,
        "example": example, "looked": None,
        "program": programs(form, f"{request.base_url}models/{served.name}/predict"),
    }  # fmt: skip


def tell(model: Shown, row: pl.DataFrame, answers: Answers) -> dict[str, Any]:
    """The answer to one row, in words and pictures."""
    signature, task = model.served.bundle.signature, model.served.task
    scores = answers.scores[0]
    by_class = task.has_classes and task.positive is None
    score = float(scores.max() if by_class else scores)
    given = row.row(0, named=True)
    return {
        "headline": words.headline(task, signature, scores),
        "decision": words.decision(task, signature, scores),
        "fared": words.fared(task, signature, score, model.calibration),
        "doubts": words.doubts(signature, answers.misfits, given),
        "scale": pictures.on_a_scale(task, signature, score, model.calibration),
        "has_group": words.group_for(task, score, model.calibration) is not None,
        "seen": words.SEEN[task.scored],
        "classes": pictures.classes(signature, scores) if by_class else [],
        "speaking": speaking(model, answers, given),
        **words.speaking_titles(task, signature, scores),
    }


def speaking(model: Shown, answers: Answers, given: Mapping[str, Any]) -> list[pictures.Line]:
    """What speaks for the answer and what against it; nothing where the family has no exact contributions."""
    fitted, task = model.served.bundle.model, model.served.task
    found = fitted.contributions(answers.inputs)
    if found is None:
        return []
    fields = {field.name: field for field in model.form.fields}
    asked = [(name_of(fields[name]), fields[name].about, seen_as(given[name])) for name in fitted.features]
    return pictures.speaking(asked, found[0, told_output(task, answers.scores[0])], by_odds=task.has_classes)


def told_output(task: Task, scores: NDArray[np.float32]) -> int:
    """Which of the model's outputs the answer tells of: the only one, or that of the most probable class."""
    return int(scores.argmax()) if task.has_classes and task.positive is None else 0


def name_of(field: Field) -> str:
    """A field's label; a cell of an image is called by its column's name."""
    return field.label if not field.label.startswith("row ") else label_of(field.name)


def seen_as(text: str | None) -> str:
    """What was given, as people read it."""
    number = None if text is None else number_in(text)
    return text or "missing" if number is None else value_text(number)


def programs(form: Form, url: str) -> dict[str, str]:
    """The same request for a program: its body, and a command that sends it."""
    body = json.dumps(as_json(form), ensure_ascii=False, allow_nan=False)
    command = f"curl -s {shlex.quote(url)} \\\n  -H 'content-type: application/json' \\\n  -d {shlex.quote(body)}"
    return {"json": json.dumps(as_json(form), ensure_ascii=False, indent=1), "curl": command}
