"""The page: choose a model, fill in a form or drop a file, read the answer.  Works without a script."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.datastructures import UploadFile

from stages.pages.tables import as_html
from stages.serving.champion import Champions
from stages.serving.files import answer_upload
from stages.serving.form import Form, as_json, values_of
from stages.serving.shown import Shown, open_shown, reply
from stages.workspace.errors import UserError

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


def build_router(champions: Champions) -> APIRouter:
    """Every page, and the files that pages need."""
    router, shown, templates = APIRouter(include_in_schema=False), dict[str, Shown](), open_templates()

    def look(name: str) -> Shown:
        served = champions.served.get(name)
        if served is None:
            raise HTTPException(404, f"no model {name}")
        if name not in shown or shown[name].served is not served:
            shown[name] = open_shown(served, None)
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
        return write("model.html.j2", **await run_in_threadpool(sections, look(name), request, None, example))

    @router.post("/models/{name}")
    async def answer(name: str, request: Request) -> HTMLResponse:
        model = look(name)
        typed = {key: text for key, text in (await request.form()).items() if isinstance(text, str)}
        told = await run_in_threadpool(sections, model, request, typed)
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
        page = await run_in_threadpool(sections, model, request) | {"looked": told}
        return write("model.html.j2", 422 if told["refused"] else 200, **page)

    @router.get("/models/{name}/example.csv")
    async def example(name: str) -> Response:
        return Response(look(name).inputs.example.write_csv(), media_type="text/csv")

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


def sections(
    model: Shown, request: Request, typed: Mapping[str, str] | None = None, example: int = 1
) -> dict[str, Any]:
    """All that the page of one model shows, with the answer to what was typed, or to an example."""
    by_inputs = request.query_params.get("as") == "inputs"
    way = model.way(by_inputs=by_inputs)
    place = min(max(example, 1), len(way.example)) - 1
    replied = reply(model, way, values_of(way.example, place) if typed is None else typed)
    return {
        "model": model, "signature": model.served.bundle.signature, "way": way, "by_inputs": by_inputs,
        "form": replied.form, "answer": replied.answer, "wrong": replied.wrong,
        "example": place + 1 if typed is None else 0, "looked": None,
        "program": programs(replied.form, f"{request.base_url}models/{model.served.name}/predict"),
    }  # fmt: skip


def programs(form: Form, url: str) -> dict[str, str]:
    """The same request for a program: its body, and a command that sends it."""
    body = json.dumps(as_json(form), ensure_ascii=False, allow_nan=False)
    command = f"curl -s {shlex.quote(url)} \\\n  -H 'content-type: application/json' \\\n  -d {shlex.quote(body)}"
    return {"json": json.dumps(as_json(form), ensure_ascii=False, indent=1), "curl": command}
