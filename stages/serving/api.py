"""The friendly routes: which models there are, and what one says of rows given as JSON."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
from fastapi import APIRouter, HTTPException, Request

from stages.serving.answers import Refused, answer_rows
from stages.serving.champion import Champions, Served


def build_router(champions: Champions) -> APIRouter:
    """Routes on the models that are served."""
    router = APIRouter()

    @router.get("/models")
    async def models() -> dict[str, Any]:
        return {"models": [describe(served) for served in champions]}

    @router.post("/models/{name}/predict")
    async def predict(name: str, request: Request) -> dict[str, Any]:
        served = champions.served.get(name)
        if served is None:
            raise HTTPException(404, f"no model {name}")
        body = json.loads(await request.body())
        rows = body.get("rows", [body])
        try:
            answers = answer_rows(served, pl.DataFrame(rows, infer_schema_length=None))
        except Refused as refused:
            raise HTTPException(422, str(refused)) from None
        return {"model": describe(served), "answers": answers.named.to_dicts()}

    return router


def describe(served: Served) -> dict[str, Any]:
    """Name, version and data of a model."""
    return {"name": served.name, "version": served.version, "data": served.data}
