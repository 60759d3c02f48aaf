"""The Open Inference Protocol, version 2: the same answers for clients that speak it.

A column is a tensor [rows] or [rows, 1]: numbers of any type, categories as BYTES, null where a value is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
from fastapi import APIRouter, Request, Response

from stages.serving.answers import plain_answers, plain_warnings
from stages.serving.bodies import read_object
from stages.serving.champion import Served
from stages.serving.limits import require_token
from stages.serving.problems import Fault, Problem, found_text, unfit
from stages.serving.service import Service, as_json, asked_of

VERSION = "0.1.0"  # of the project, as pyproject.toml has it
NUMBERS = ("FP16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "BOOL")
TEXTS = ("BYTES",)


def build_router(service: Service) -> APIRouter:
    """Routes under /v2."""
    router = APIRouter(prefix="/v2")

    @router.get("")
    async def server(request: Request) -> Response:
        told = {"name": "plumbline", "version": VERSION, "extensions": ["model_repository"]}
        return as_json({**told, **asked_of(request).told()})

    @router.get("/models/{name}/versions/{version}")
    @router.get("/models/{name}")
    async def metadata(request: Request, name: str, version: str | None = None) -> Response:
        served = service.find(request, name, version)
        told = asked_of(request).told()
        return as_json({**signature_of(served), "parameters": {"data": served.data, "request_id": told["request_id"]}})

    @router.get("/models/{name}/versions/{version}/ready")
    @router.get("/models/{name}/ready")
    async def ready(request: Request, name: str, version: str | None = None) -> Response:
        service.find(request, name, version)
        return as_json({"name": name, "ready": True, **asked_of(request).told()})

    @router.post("/models/{name}/versions/{version}/infer")
    @router.post("/models/{name}/infer")
    async def infer(request: Request, name: str, version: str | None = None) -> Response:
        served = service.find(request, name, version)
        if "inference-header-content-length" in request.headers:
            raise Problem(415, "wanted tensors as JSON, found the binary extension")
        body = await read_object(request)
        wanted = wanted_outputs(body, served)
        answers = await service.answer(request, served, rows_of(body), "/inputs/*/data/{}")
        columns = plain_answers(answers)
        told = asked_of(request).told()
        return as_json(
            {
                "model_name": served.name,
                "model_version": served.version,
                "id": body.get("id", told["request_id"]),
                "parameters": {
                    "data": served.data,
                    "request_id": told["request_id"],
                    "warnings": [each["told"] for each in plain_warnings(answers.misfits)],
                },
                "outputs": [
                    {**output, "shape": [len(columns)], "data": [row[output["name"]] for row in columns]}
                    for output in outputs_of(served)
                    if output["name"] in wanted
                ],
            }
        )

    @router.post("/repository/index")
    async def index(request: Request) -> Response:
        trouble = service.champions.trouble
        return as_json(
            [
                {"name": each.name, "version": each.version, "state": "READY", "reason": trouble.get(each.name, "")}
                for each in service.champions
            ]
        )

    @router.post("/repository/models/{name}/load")
    def load(request: Request, name: str) -> Response:
        require_token(service.token, request.headers.get("authorization"))
        service.find(request, name)
        service.look(now=True)
        served = service.find(request, name)
        return as_json({"name": name, "version": served.version, **asked_of(request).told()})

    return router


def signature_of(served: Served) -> dict[str, Any]:
    """Name, versions, inputs and outputs of a model."""
    signature = served.bundle.signature
    inputs = [
        {"name": entry["name"], "datatype": "FP32" if entry["kind"] == "numeric" else "BYTES", "shape": [-1]}
        for entry in signature["inputs"]
    ]
    platform = f"plumbline_{signature.get('family', 'boosting')}"
    return {"name": served.name, "versions": [served.version], "platform": platform, "inputs": inputs,
            "outputs": [{**each, "shape": [-1]} for each in outputs_of(served)]}  # fmt: skip


def outputs_of(served: Served) -> list[dict[str, Any]]:
    """Name and type of every output."""
    return [
        {"name": name, "datatype": "FP32" if dtype == pl.Float32 else "BYTES"} for name, dtype in served.outputs.items()
    ]


def wanted_outputs(body: Mapping[str, Any], served: Served) -> set[str]:
    """The outputs that a request asks for, or all of them."""
    known = set(served.outputs)
    if body.get("outputs") in (None, []):
        return known
    named = [each.get("name") if isinstance(each, dict) else None for each in _list(body, "outputs")]
    if faults := [
        Fault(f"/outputs/{place}/name", f"one of {', '.join(sorted(known))}", found_text(name))
        for place, name in enumerate(named)
        if not isinstance(name, str) or name not in known
    ]:
        raise unfit(faults)
    return {str(name) for name in named}


def rows_of(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows that tensors hold; all must be as long."""
    faults: list[Fault] = []
    columns: dict[str, list[Any]] = {}
    for place, tensor in enumerate(_list(body, "inputs")):
        at = f"/inputs/{place}"
        if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
            faults.append(Fault(at, "a tensor with a name", found_text(tensor)))
            continue
        column = _column(tensor, at, faults)
        if tensor["name"] in columns:
            faults.append(Fault(f"{at}/name", "every input once", found_text(tensor["name"])))
        columns[tensor["name"]] = column
    lengths = {len(column) for column in columns.values()}
    if not faults and len(lengths) > 1:
        faults.append(Fault("/inputs", "as many rows in every tensor", ", ".join(map(str, sorted(lengths)))))
    if faults:
        raise unfit(faults)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _list(body: Mapping[str, Any], key: str) -> list[Any]:
    if type(body.get(key)) is not list:
        raise unfit([Fault(f"/{key}", "a list of tensors", found_text(body.get(key)))])
    found: list[Any] = body[key]
    return found


def _column(tensor: Mapping[str, Any], at: str, faults: list[Fault]) -> list[Any]:
    """The values of a tensor of one column."""
    data, shape, datatype = tensor.get("data"), tensor.get("shape"), tensor.get("datatype")
    if type(data) is not list:
        faults.append(Fault(f"{at}/data", "a list of values", found_text(data)))
        return []
    if any(type(each) is list for each in data):
        data = [each[0] if type(each) is list and len(each) == 1 else each for each in data]
    if shape not in ([len(data)], [len(data), 1]):
        faults.append(Fault(f"{at}/shape", f"[{len(data)}] or [{len(data)}, 1], as data has it", found_text(shape)))
    if datatype not in (*NUMBERS, *TEXTS):
        faults.append(Fault(f"{at}/datatype", f"one of {', '.join((*TEXTS, *NUMBERS))}", found_text(datatype)))
    return [float(each) for each in data] if datatype == "BOOL" and all(type(e) is bool for e in data) else data
