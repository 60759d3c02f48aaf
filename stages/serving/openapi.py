"""What may be asked, as OpenAPI 3.1: one path a model, with its own inputs, ranges and an example."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from stages.serving.api import MOST_EXPLAINED
from stages.serving.bodies import JSON
from stages.serving.champion import Served
from stages.serving.forecasts import forecasts_of
from stages.serving.inference import NUMBERS, TEXTS, VERSION
from stages.serving.limits import Limits
from stages.serving.objects import LARGEST
from stages.serving.problems import MEDIA_TYPE
from stages.serving.uploads import BY_TYPE, FIELD

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
AT: Schema = {
    "type": "string", "format": "date-time",
    "description": "the moment of the question, by default each row's own; UTC where it has no zone",
}  # fmt: skip
EXPLAIN: Schema = {"type": "boolean", "description": "whether to tell what spoke for and against each answer"}
CARDS = ("text/markdown", "text/html")
MODEL: Schema = {
    "type": "object", "required": ["name", "version", "data"],
    "properties": {"name": TEXT, "version": TEXT, "data": {**TEXT, "description": "hash of what it was trained on"}},
}  # fmt: skip
FAULT: Schema = {
    "type": "object", "required": ["field", "wanted", "found"],
    "properties": {"field": TEXT, "wanted": TEXT, "found": TEXT},
}  # fmt: skip
PROBLEM: Schema = {
    "type": "object", "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": TEXT, "title": TEXT, "status": {"type": "integer"}, "detail": TEXT, "request_id": TEXT, "error": TEXT,
        "model": MODEL, "errors": {"type": "array", "items": FAULT}, "more_errors": {"type": "integer"},
    },
}  # fmt: skip
WARNING: Schema = {
    "type": "object", "required": ["kind", "input", "rows", "told"],
    "properties": {"kind": TEXT, "input": TEXT, "rows": {"type": "integer"}, "told": TEXT},
}  # fmt: skip
VALUE: Schema = {"type": "number", "description": "in the unit of the series"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
FORECAST: Schema = {
    "type": "object", "required": ["series", "horizon", "made_at", "due_at", "now", "forecast", "low", "high"],
    "properties": {
        "series": TEXT, "horizon": TEXT, "made_at": MOMENT, "due_at": MOMENT,
        **dict.fromkeys(("now", "forecast", "low", "median", "high", "naive"), VALUE),
    },
}  # fmt: skip
REFUSED = {
    400: "not JSON, or not a file", 401: "no token", 403: "nothing may be changed", 404: "no such model or version",
    408: "the body did not arrive in time", 413: "more than the limits allow", 415: "another type of content",
    422: "rows that do not fit the model", 503: "ask again in a moment", 507: "no room for the answer",
}  # fmt: skip


def describe_api(served: Iterable[Served], limits: Limits, published: Mapping[str, Sequence[str]]) -> Schema:
    """The whole description; ``published`` names the columns that rows as published need, by model."""
    paths: dict[str, Any] = {
        "/models": {"get": _route("Every model that is served", _json(_object(models=_list(MODEL))))},
        "/v2": {"get": _route("The server", _json(_object(name=TEXT, version=TEXT)))},
        "/v2/health/live": {"get": _route("Whether the server lives", _json(_object(live={"type": "boolean"})))},
        "/v2/health/ready": {
            "get": _route("Whether every model answers", _json(_object(ready={"type": "boolean"}, models={}))) | {}
        },
        "/metrics": {"get": _route("Counts for Prometheus", {"text/plain": {"schema": TEXT}})},
        "/v2/repository/index": {"post": _route("Which versions answer", _json({"type": "array"}))},
    }
    paths["/v2/health/ready"]["get"]["responses"]["503"] = {
        "description": "a model does not answer", "content": _json(_object(ready={"type": "boolean"}))
    }  # fmt: skip
    schemas: dict[str, Schema] = {"Problem": PROBLEM, "Warning": WARNING, "Model": MODEL}
    for each in served:
        schemas[f"{each.name}-row"] = row_schema(each)
        if columns := published.get(each.name):
            schemas[f"{each.name}-published"] = published_schema(columns)
        paths |= _paths_of(each, limits, takes_published=bool(columns))
    return {
        "openapi": "3.1.0",
        "info": {"title": "Plumbline", "version": VERSION, "description": "Answers of packaged models."},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def row_schema(served: Served) -> Schema:
    """A row of a model's inputs."""
    entries = served.inputs.entries
    return {
        "type": "object",
        "additionalProperties": False,
        "required": served.inputs.names,
        "properties": {str(entry["name"]): _input(entry) for entry in entries},
        "not": {  # nothing filled
            "properties": {name: {"type": "null"} for name in served.inputs.names}, "required": served.inputs.names,
        },
        "examples": served.examples,
    }  # fmt: skip


def published_schema(columns: Sequence[str]) -> Schema:
    """A row as the publisher has it; outcomes may be left out."""
    value = {"type": ["string", "number", "null"]}
    return {"type": "object", "required": list(columns), "properties": dict.fromkeys(columns, value)}


def _input(entry: Mapping[str, Any]) -> Schema:
    about = ", ".join(filter(None, (entry["about"], entry["unit"])))
    if entry["kind"] == "categorical":
        return {"type": ["string", "null"], "description": f"{about}; others than the examples count as missing",
                "examples": list(entry["categories"])}  # fmt: skip
    if entry["kind"] == "text":
        return {"type": "string", "minLength": 1, "description": about}
    if entry["kind"] == "picture":
        about += f"; a PNG or JPEG file of {entry['shape'][0]} rows and {entry['shape'][1]} columns"
        return {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png", "description": about}
    seen = f"; in training {entry['low']:g} to {entry['high']:g}" if entry.get("low") is not None else ""
    return {"type": ["number", "null"], "description": about + seen, "minimum": -LARGEST, "maximum": LARGEST}


def _paths_of(served: Served, limits: Limits, *, takes_published: bool) -> dict[str, Any]:
    home, v2 = f"/models/{served.name}", f"/v2/models/{served.name}"
    row = {"$ref": f"#/components/schemas/{served.name}-row"}
    bodies = [row, _rows(row, limits.rows), _rows(row, MOST_EXPLAINED, explain=EXPLAIN)]
    if takes_published:
        row = {"$ref": f"#/components/schemas/{served.name}-published"}
        bodies += [row, _rows(row, limits.rows, at=AT), _rows(row, MOST_EXPLAINED, at=AT, explain=EXPLAIN)]
    answer = _object(**{
        name: {"type": "number" if dtype == pl.Float32 else "string"} for name, dtype in served.outputs.items()
    })  # fmt: skip
    each = {"anyOf": [answer, {"type": "null"}]}  # null for a row as published that the checks refuse
    answers = _object(model=MODEL, request_id=TEXT, answers=_list(each), warnings=_list(WARNING))
    table = {kind: {"schema": {"type": "string"}} for kind in BY_TYPE}
    form = _object(**{FIELD: {"type": "string", "contentMediaType": "application/octet-stream"}})
    tensors = _object(
        name=TEXT, shape=_list({"type": "integer"}), datatype={"enum": [*TEXTS, *NUMBERS]}, data=_list({})
    )
    infer = {**_object(inputs=_list(tensors)), "additionalProperties": True}
    loaded = _json(_object(name=TEXT, version=TEXT))
    ready = _json(_object(name=TEXT, ready={"type": "boolean"}))
    paths: dict[str, Any] = {
        f"{home}/predict": {
            "post": _route(str(served.bundle.signature["question"]), _json(answers), 400, 408, 413, 415, 422,
                           body=_json({"anyOf": bodies}))
        },
        f"{home}/predict-file": {
            "post": _route("A file of rows up, a table of scores down", {"text/csv": {"schema": TEXT}},
                           400, 408, 413, 415, 422, 503, 507, body={"multipart/form-data": {"schema": form}, **table})
        },
        f"{home}/card": {"get": _route("The model card", {kind: {"schema": TEXT} for kind in CARDS})},
        f"/v2/repository{v2[3:]}/load": {
            "post": {**_route("Look now which version is meant", loaded, 401, 403), "security": [{"token": []}]}
        },
    }  # fmt: skip
    if forecasts_of(str(served.bundle.signature["dataset"])):
        latest = _object(model=MODEL, request_id=TEXT, unit=TEXT, kept={"type": "boolean"}, forecasts=_list(FORECAST))
        paths[f"{v2}/forecast"] = {"get": _route("Every series from its last record", _json(latest), 422)}
    for path in (v2, f"{v2}/versions/{served.version}"):
        meta = _object(name=TEXT, versions=_list(TEXT), platform=TEXT, inputs=_list({}), outputs=_list({}))
        outputs = _object(model_name=TEXT, model_version=TEXT, outputs=_list({}))
        paths[path] = {"get": _route("What goes in and what comes out", _json(meta))}
        paths[f"{path}/ready"] = {"get": _route("Whether the model answers", ready)}
        paths[f"{path}/infer"] = {
            "post": _route("The Open Inference Protocol", _json(outputs), 400, 408, 413, 415, 422, body=_json(infer))
        }
    return paths


def _rows(row: Schema, most: int, **beside: Schema) -> Schema:
    """Several rows, and what may be asked beside."""
    several = {"type": "array", "items": row, "minItems": 1, "maxItems": most}
    properties = {"rows": several, **beside}
    return {"type": "object", "required": ["rows"], "properties": properties, "additionalProperties": False}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "required": list(properties), "properties": properties}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _json(schema: Schema) -> Schema:
    return {JSON: {"schema": schema}}


def _route(about: str, answer: Schema, *refused: int, body: Schema | None = None) -> Schema:
    """One operation: what it is for, what it answers, and with which problems it may refuse."""
    problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    responses = {"200": {"description": "the answer", "content": answer}}
    responses |= {str(status): {"description": REFUSED[status], "content": problem} for status in refused}
    return {"summary": about, "responses": responses,
            **({"requestBody": {"required": True, "content": body}} if body else {})}  # fmt: skip
