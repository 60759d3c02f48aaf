"""The API for programs and for people: ``/openapi.json``, and a page of it that needs no other host."""

from __future__ import annotations

import json
import shlex
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool

from stages.serving.openapi import describe_api
from stages.serving.service import Service, as_json

STYLE = files("stages.serving").joinpath("docs.css").read_text(encoding="utf-8")


def build_router(service: Service) -> APIRouter:
    """Routes that describe the others."""
    router = APIRouter()
    page = Environment(
        loader=PackageLoader("stages.serving", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    ).get_template("docs.html.j2")  # fmt: skip

    def describe() -> dict[str, Any]:
        published = {each.name: service.knowledge.columns(each) for each in service.champions}
        return describe_api(service.champions, service.limits, published)

    @router.get("/openapi.json")
    async def openapi() -> Response:
        return as_json(await run_in_threadpool(describe))

    @router.get("/docs")
    async def docs(request: Request) -> Response:
        home = str(request.base_url).rstrip("/")
        examples = {
            f"/models/{served.name}/predict": f"curl {home}/models/{served.name}/predict "
            f"-H 'content-type: application/json' -d {shlex.quote(json.dumps(served.examples[0], ensure_ascii=False))}"
            for served in service.champions
        } | {
            f"/models/{served.name}/predict-file": f"curl {home}/models/{served.name}/predict-file -F file=@rows.csv"
            for served in service.champions
        }
        shown = page.render(api=await run_in_threadpool(describe), examples=examples)
        return Response(shown, media_type="text/html")

    @router.get("/docs.css")
    async def style() -> Response:
        return Response(STYLE, media_type="text/css")

    return router
