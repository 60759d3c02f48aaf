"""Is it alive, is it ready, and what has it counted?"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.concurrency import run_in_threadpool

from stages.serving.service import Service, as_json, asked_of


def build_router(service: Service) -> APIRouter:
    """Routes for those who keep the server running."""
    router = APIRouter()

    @router.get("/v2/health/live")
    async def live(request: Request) -> Response:
        return as_json({"live": True, **asked_of(request).told()})

    @router.get("/v2/health/ready")
    async def ready(request: Request) -> Response:
        champions = service.champions
        trouble = champions.trouble
        models = {
            served.name: {"version": served.version, "data": served.data, "fallback": trouble.get(served.name)}
            for served in champions
        }
        told = {"ready": champions.is_ready, "models": models, **asked_of(request).told()}
        if absent := {name: why for name, why in trouble.items() if name not in models}:
            told["absent"] = absent
        return as_json(told, 200 if champions.is_ready else 503)

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(await run_in_threadpool(service.metrics.exposition), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return router
