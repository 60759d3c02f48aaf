"""A file of rows up, a table of scores down."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.responses import StreamingResponse

from stages.models.row_files import READERS, SUFFIXES
from stages.serving.answers import plain_warnings
from stages.serving.champion import Served
from stages.serving.problems import Problem, found_text
from stages.serving.scoring import Scored, Work
from stages.serving.service import Service

FIELD = "file"
SHOWN = 5  # warnings and refused rows in a header
PIECE = 1 << 18
BY_TYPE = {
    "text/csv": ".csv",
    "application/x-ndjson": ".jsonl",
    "application/jsonl": ".jsonl",
    "application/vnd.apache.parquet": ".parquet",
}


def build_router(service: Service) -> APIRouter:
    """The route for files."""
    router = APIRouter()

    @router.post("/models/{name}/predict-file")
    async def predict_file(request: Request, name: str) -> Response:
        served = service.find(request, name)
        with TemporaryDirectory(prefix="plumbline-") as folder:
            scored, scores = await score_upload(service, request, served, Path(folder))
        headers = {
            "content-disposition": f'attachment; filename="{served.name}-scores.csv"',
            "x-rows": str(scored.tallied.rows),
            "x-warnings": json.dumps([each["told"] for each in plain_warnings(scored.tallied.misfits)][:SHOWN]),
            "x-refused": str(scored.refused),
            "x-refused-rows": json.dumps([asdict(fault) for fault in scored.faults[:SHOWN]]),
        }
        return StreamingResponse(_pieces(scores), media_type="text/csv; charset=utf-8", headers=headers)

    return router


async def score_upload(service: Service, request: Request, served: Served, folder: Path) -> tuple[Scored, IO[bytes]]:
    """Take the file of a request into ``folder`` and score it; the scores, being open, outlive the folder."""
    if service.turns.locked():
        raise Problem(503, "other files are being scored: wanted a moment's patience", headers={"retry-after": "10"})
    async with service.turns:
        rows = await take_upload(request, folder)
        work = Work(served.bundle.folder, rows, folder / "scores.csv", service.limits, service.state)
        try:
            scored = await run_in_threadpool(service.files.score, work)
        except Problem:
            service.metrics.refused(served.name, "file", 1)
            raise
    service.count(request, served, scored.tallied)
    if scored.refused:
        service.metrics.refused(served.name, "check", scored.refused)
    return scored, work.output.open("rb")


async def take_upload(request: Request, folder: Path) -> Path:
    """Write the file of a request into ``folder``: the body itself, or the part of a form that is called ``file``."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if suffix := BY_TYPE.get(kind):
        path = folder / f"rows{suffix}"
        with path.open("wb") as file:
            async for piece in request.stream():
                await run_in_threadpool(file.write, piece)
    elif kind == "multipart/form-data":
        path = await _take_part(request, folder)
    else:
        wanted = ", ".join(["multipart/form-data", *BY_TYPE])
        raise Problem(415, f"wanted a body of the type {wanted}; found {found_text(kind)}")
    if not path.stat().st_size:
        raise Problem(400, "wanted a file of rows, found an empty one")
    return path


async def _take_part(request: Request, folder: Path) -> Path:
    try:
        async with request.form(max_files=1, max_fields=10) as form:
            part = form.get(FIELD)
            if not isinstance(part, UploadFile):
                raise Problem(422, f"wanted a file in the field {FIELD} of the form, found none")
            suffix = Path(part.filename or "").suffix.lower()
            if suffix not in READERS:
                raise Problem(415, f"wanted a file in one of {SUFFIXES}, found {found_text(suffix or 'no suffix')}")
            path = folder / f"rows{suffix}"
            with path.open("wb") as file:
                await run_in_threadpool(shutil.copyfileobj, part.file, file, PIECE)
            return path
    except MultiPartException as error:
        raise Problem(400, f"wanted a form with one file, found: {error.message}") from None


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(PIECE):
            yield piece
