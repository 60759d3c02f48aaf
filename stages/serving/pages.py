"""The page: choose a model, fill in a form or drop a file, read the answer.  Works without a script."""

from __future__ import annotations

import json
import shlex
from base64 import b64encode
from collections.abc import Callable, Coroutine, Mapping
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from stages.pages.tables import as_html
from stages.records.pictures import MOST_BYTES
from stages.serving.answers import Tallied
from stages.serving.forecasts import forecasts_of, tell_page
from stages.serving.form import Form, as_json, values_of
from stages.serving.glance import tell_file
from stages.serving.problems import Problem
from stages.serving.published import MOMENT
from stages.serving.scored import look_at, write_scored
from stages.serving.service import Service
from stages.serving.shown import Shown, open_shown, reply
from stages.serving.uploads import SCORES, download, score_upload
from stages.serving.words import capital

ASSETS = {
    "style.css": ("stages.results", "style.css", "text/css"),  # one look for all pages
    "page.css": ("stages.serving", "assets/page.css", "text/css"),
    "page.js": ("stages.serving", "assets/page.js", "text/javascript"),
    "mark.svg": ("stages.serving", "assets/mark.svg", "image/svg+xml"),
}
MOST_FIELDS, MOST_FILES = 10_000, 10


def build_router(service: Service) -> APIRouter:
    """Every page, and the files that pages need."""
    shown, templates, served = dict[str, Shown](), open_templates(), service.champions

    def look(request: Request, name: str) -> Shown:
        found = service.find(request, name)
        if name not in shown or shown[name].served is not found:
            shown[name] = open_shown(found, service.knowledge)
        return shown[name]

    def write(template: str, code: int = 200, **told: Any) -> HTMLResponse:
        return HTMLResponse(templates.get_template(template).render(models=sorted(served.served), **told), code)

    class Page(APIRoute):
        """A route whose problems are a page too."""

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            answer = super().get_route_handler()

            async def answered(request: Request) -> Response:
                try:
                    return await answer(request)
                except Problem as problem:
                    status, detail = problem.status, problem.detail
                except HTTPException as error:  # a form that cannot be read
                    status, detail = error.status_code, f"wanted a form, found: {error.detail}"
                return write("problem.html.j2", status, status=status, detail=detail)

            return answered

    router = APIRouter(include_in_schema=False, route_class=Page)

    @router.get("/")
    async def choose(request: Request) -> HTMLResponse:
        models = [await run_in_threadpool(look, request, name) for name in sorted(served.served)]
        return write("models.html.j2", shown=models)

    @router.get("/models/{name}")
    async def ask(name: str, request: Request) -> HTMLResponse:
        model = await run_in_threadpool(look, request, name)
        told, _ = await run_in_threadpool(sections, model, request)
        return write("model.html.j2", **told)

    @router.get("/forecasts/{name}")
    async def forecasts(name: str, request: Request) -> HTMLResponse:
        found, chosen = service.find(request, name), request.query_params
        told = await run_in_threadpool(
            tell_page, found, service.forecasts, chosen.get("series", ""), chosen.get("horizon", "")
        )
        return write("forecasts.html.j2", **told)

    @router.post("/models/{name}")
    async def answer(name: str, request: Request) -> HTMLResponse:
        model = await run_in_threadpool(look, request, name)
        typed = await read_form(request)
        told, tallied = await run_in_threadpool(sections, model, request, typed)
        if tallied:
            service.count(request, model.served, tallied)
        else:
            service.metrics.refused(name, "unfit", 1)
        return write("model.html.j2", 200 if tallied else 422, **told)

    @router.post("/models/{name}/file")
    async def answer_file(name: str, request: Request) -> Response:
        model = await run_in_threadpool(look, request, name)
        as_table = request.query_params.get("as") == "csv"
        status, found = 200, dict[str, Any]()
        try:
            with TemporaryDirectory(prefix="plumbline-") as folder:
                job = write_scored if as_table else look_at
                seen = await score_upload(service, request, model.served, Path(folder), job)
                if as_table:
                    return download(Path(folder, SCORES), model.served.name)
            found = tell_file(model.served.task, model.served.bundle.signature, seen)
        except Problem as problem:
            status, found = problem.status, {"refused": problem}
        page, _ = await run_in_threadpool(sections, model, request)
        return write("model.html.j2", status, **(page | {"looked": found}))

    @router.get("/models/{name}/example.csv")
    async def example(name: str, request: Request) -> Response:
        model = await run_in_threadpool(look, request, name)
        way = model.way(by_inputs=request.query_params.get("as") != "published")
        return Response(way.example.write_csv(), media_type="text/csv")

    @router.get("/assets/{name}")
    async def asset(name: str) -> Response:
        if name not in ASSETS:
            raise Problem(404, "wanted one of the files of the pages, found another name")
        package, path, kind = ASSETS[name]
        headers = {"Cache-Control": "max-age=300"}
        return Response(files(package).joinpath(path).read_bytes(), media_type=kind, headers=headers)

    return router


async def read_form(request: Request) -> dict[str, str]:
    """What was typed, by field; a file that was chosen is base64, and counts instead of the text of its field."""
    async with request.form(max_files=MOST_FILES, max_fields=MOST_FIELDS, max_part_size=MOST_BYTES) as form:
        typed = {key: text for key, text in form.multi_items() if isinstance(text, str)}
        for key, part in form.multi_items():
            if isinstance(part, UploadFile) and (content := await part.read()):
                typed[key] = b64encode(content).decode("ascii")
        return typed


def open_templates() -> Environment:
    """The templates; whatever comes from a request or a bundle is escaped."""
    environment = Environment(
        loader=PackageLoader("stages.serving"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["drawn"] = Markup
    environment.filters["capitalize_first"] = capital
    environment.filters["forecasts"] = forecasts_of
    environment.filters["shown"] = lambda table: Markup(as_html(table))
    return environment


def sections(
    model: Shown, request: Request, typed: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], Tallied | None]:
    """All that the page of one model shows, with the answer to what was typed, or to an example; and what it counts."""
    by_inputs = request.query_params.get("as") == "inputs"
    way = model.way(by_inputs=by_inputs)
    chosen = request.query_params.get("example", "")
    place = min(max(int(chosen) if chosen.isdecimal() and len(chosen) < 6 else 1, 1), len(way.example)) - 1
    replied = reply(model, way, values_of(way.example, place) if typed is None else typed)
    told = {
        "model": model, "signature": model.served.bundle.signature, "way": way, "by_inputs": by_inputs,
        "form": replied.form, "answer": replied.answer, "wrong": replied.wrong,
        "example": place + 1 if typed is None else 0, "looked": None,
        "program": programs(replied.form, f"{request.base_url}models/{model.served.name}/predict"),
    }  # fmt: skip
    return told, replied.tallied


def programs(form: Form, url: str) -> dict[str, str]:
    """The same request for a program: its body, and a command that sends it."""
    content = as_json(form)
    if at := content.pop(MOMENT.name, None):
        content = {"at": at, "rows": [content]}
    body = json.dumps(content, ensure_ascii=False, allow_nan=False)
    command = f"curl -s {shlex.quote(url)} \\\n  -H 'content-type: application/json' \\\n  -d {shlex.quote(body)}"
    return {"json": json.dumps(content, ensure_ascii=False, indent=1), "curl": command}
