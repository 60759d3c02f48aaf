"""The friendly routes: which models there are, what they are, and what they say of rows given as JSON."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from html import escape
from typing import Any

from fastapi import APIRouter, Request, Response

from stages.serving.answers import plain_answers, plain_warnings
from stages.serving.bodies import read_object
from stages.serving.champion import Served
from stages.serving.guard import describe
from stages.serving.problems import Fault, found_text, unfit
from stages.serving.raw import RawAnswers, moment_in
from stages.serving.service import Service, as_json, asked_of


def build_router(service: Service) -> APIRouter:
    """Routes on the models that are served."""
    router = APIRouter()

    @router.get("/models")
    async def models(request: Request) -> Response:
        return as_json({"models": [introduce(served) for served in service.champions], **asked_of(request).told()})

    @router.get("/models/{name}/card")
    async def card(request: Request, name: str) -> Response:
        served = service.find(request, name)
        if "text/html" not in request.headers.get("accept", ""):
            return Response(served.card, media_type="text/markdown")
        return Response(card_page(served), media_type="text/html")

    @router.post("/models/{name}/predict")
    async def predict(request: Request, name: str) -> Response:
        served = service.find(request, name)
        body = await read_object(request)
        rows, pointer, at = rows_of(body)
        told = asked_of(request).told()
        if await service.is_published(served, rows):
            raw = await service.answer_published(request, served, rows, pointer, at)
            return as_json({**told, **published_answers(raw, len(rows)), **terms(served)})
        if at is not None:
            raise unfit([Fault("/at", "no moment beside rows of inputs, which do not depend on it", at.isoformat())])
        answers = await service.answer(request, served, rows, pointer)
        found = {"answers": plain_answers(answers), "warnings": plain_warnings(answers.misfits)}
        return as_json({**told, **found, **terms(served)})

    return router


def rows_of(body: dict[str, Any]) -> tuple[list[Any], str, datetime | None]:
    """The rows of a body, which is one itself or holds some, where they stand in it, and the moment asked about."""
    if "rows" not in body:
        return [body], "", None
    if others := [key for key in body if key not in ("rows", "at")]:
        raise unfit([Fault(f"/{key}", "nothing beside rows", found_text(body[key])) for key in others])
    if type(body["rows"]) is not list:
        raise unfit([Fault("/rows", "a list of rows", found_text(body["rows"]))])
    return body["rows"], "/rows/{}", _moment(body.get("at"))


def _moment(text: object) -> datetime | None:
    if text is None:
        return None
    try:
        return moment_in(text)  # type: ignore[arg-type]  # anything else is refused with it
    except (TypeError, ValueError):
        raise unfit([Fault("/at", "a moment such as 2013-12-31T18:00:00", found_text(text))]) from None


def published_answers(raw: RawAnswers, rows: int) -> dict[str, Any]:
    """One answer a row, in their order: null for those that are refused, with what was not known yet of the others."""
    answers: list[dict[str, Any] | None] = [None] * rows
    if raw.answers is not None:
        for place, answer, note in zip(raw.places, plain_answers(raw.answers), raw.notes, strict=True):
            answers[place] = {**answer, **({"note": note} if note else {})}
    return {
        "answers": answers,
        "warnings": plain_warnings(raw.answers.misfits if raw.answers else []),
        "refused": [asdict(fault) for fault in raw.faults],
    }


def card_page(served: Served) -> str:
    """The model card for a browser; what is HTML in it is shown as text."""
    import mistune

    shown = mistune.create_markdown(escape=True, plugins=["table"])(served.card)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(served.name)}: model card</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="stylesheet" href="/docs.css"></head><body><main>{shown}</main></body></html>\n'
    )


def terms(served: Served) -> dict[str, Any]:
    """By what the answer is decided, where a threshold decides."""
    threshold = served.bundle.signature.get("threshold")
    return {} if threshold is None else {"threshold": threshold}


def introduce(served: Served) -> dict[str, Any]:
    """What a model answers, and with what."""
    signature = served.bundle.signature
    return {
        **describe(served),
        "question": signature["question"],
        "task": signature["task"],
        "classes": signature["classes"],
        "inputs": len(signature["inputs"]),
        **terms(served),
    }
