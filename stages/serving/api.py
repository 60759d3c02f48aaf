"""The friendly routes: which models there are, what they are, and what they say of rows given as JSON."""

from __future__ import annotations

from dataclasses import asdict
from html import escape
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from stages.models.reasons import tell_reasons
from stages.serving.answers import Answers, plain_answers, plain_warnings
from stages.serving.bodies import question_of, read_object
from stages.serving.champion import Served
from stages.serving.forecasts import plain_forecasts
from stages.serving.guard import describe
from stages.serving.problems import Fault, unfit
from stages.serving.raw import RawAnswers
from stages.serving.service import Service, as_json, asked_of

MOST_EXPLAINED = 100


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
        asked = question_of(body)
        if service.is_published(served, asked.rows):
            raw = await service.answer_published(request, served, asked.rows, asked.pointer, asked.at)
            found = published_answers(raw, len(asked.rows))
            places, answers = raw.places, raw.answers
        else:
            if asked.at is not None:
                raise unfit([Fault("/at", "no moment beside rows of inputs: they do not depend on it", str(asked.at))])
            answers = await service.answer(request, served, asked.rows, asked.pointer)
            found = {"answers": plain_answers(answers), "warnings": plain_warnings(answers.misfits)}
            places = range(len(asked.rows))
        if asked.explain and answers is not None:
            for place, reasons in zip(places, await run_in_threadpool(explain, served, answers), strict=True):
                found["answers"][place] |= reasons
        return as_json({**asked_of(request).told(), **found, **terms(served)})

    @router.get("/v2/models/{name}/forecast")
    async def forecast(request: Request, name: str) -> Response:
        served = service.find(request, name)
        latest = await run_in_threadpool(service.forecasts.latest, served)
        asked_of(request).rows += len(latest.forecasts)
        told = {"unit": served.bundle.signature.get("target_unit", ""), "kept": latest.is_kept}
        return as_json({**asked_of(request).told(), **told, "forecasts": plain_forecasts(latest)})

    return router


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


def explain(served: Served, answers: Answers) -> list[dict[str, Any]]:
    """What spoke for each answer and what against it; at once for few rows, which is all that is asked for."""
    if len(answers.scores) > MOST_EXPLAINED:
        found = f"{len(answers.scores):,} rows"
        raise unfit([Fault("/explain", f"at most {MOST_EXPLAINED} rows to explain", found)])
    model, entries = served.bundle.model, served.inputs.entries
    try:
        return tell_reasons(model, answers.inputs.select(model.features), entries, answers.scores).to_dicts()
    except ValueError as error:
        raise unfit([Fault("/explain", str(error.args[0]), str(error.args[1]))]) from None


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
