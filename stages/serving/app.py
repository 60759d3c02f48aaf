"""The application: every route on the bundles that are served."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from stages.serving import api, docs, health, inference, uploads
from stages.serving.guard import Guard
from stages.serving.problems import Problem, problem_response
from stages.serving.service import Service, asked_of

ROUTERS = (api.build_router, uploads.build_router, inference.build_router, health.build_router, docs.build_router)


def create_app(service: Service) -> FastAPI:
    """An ASGI application that answers for the models of a service."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with service.watching():
            yield

    app = FastAPI(title="Plumbline", openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.service = service
    for build_router in ROUTERS:
        app.include_router(build_router(service))
    app.add_middleware(Guard, limits=service.limits, metrics=service.metrics)
    app.add_exception_handler(Problem, _told)
    app.add_exception_handler(HTTPException, _refused)
    service.metrics.champions(service.champions)
    return app


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem_response(error, asked_of(request).told())


async def _refused(request: Request, error: Exception) -> Response:
    """What the router refuses: no such path, no such method."""
    assert isinstance(error, HTTPException)
    wanted = {404: "wanted a path that is served; /docs lists them", 405: "wanted another method for this path"}
    problem = Problem(error.status_code, wanted.get(error.status_code, str(error.detail)), headers=error.headers)
    return problem_response(problem, asked_of(request).told())
