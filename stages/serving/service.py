"""What every route stands on: the models, the limits, the counts, and who may change state."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from stages.serving.answers import Answers, Tallied, answer_objects
from stages.serving.champion import Served
from stages.serving.champions import Champions
from stages.serving.files import FileScorer
from stages.serving.forecasts import Forecasts
from stages.serving.guard import Asked
from stages.serving.limits import Limits
from stages.serving.metrics import Metrics, forget_dead_workers
from stages.serving.problems import Problem, unfit
from stages.serving.raw import Knowledge, RawAnswers
from stages.state.files import is_published

POLL_S = 1.0
AT_ONCE = 100  # rows that are scored in place: handing them to a thread would take longer


@dataclass(frozen=True)
class Service:
    """Everything that routes share; replaced as a whole, never changed."""

    champions: Champions
    limits: Limits = field(default_factory=Limits)
    metrics: Metrics = field(default_factory=Metrics)
    token: str | None = field(default=None, repr=False)
    files: FileScorer = field(init=False)
    turns: asyncio.Semaphore = field(init=False)
    """Files that may be here at once."""
    state: str | None = None
    """Where the state of rows as published is kept; None takes each dataset's own file."""
    kept_forecasts: Path | None = None
    """The folder of the logs of forecasts; None keeps none."""
    poll_s: float = POLL_S
    knowledge: Knowledge = field(init=False)
    forecasts: Forecasts = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "knowledge", Knowledge(self.state))
        object.__setattr__(self, "forecasts", Forecasts(self.knowledge, self.kept_forecasts))
        object.__setattr__(self, "files", FileScorer(self.limits))
        object.__setattr__(self, "turns", asyncio.Semaphore(self.limits.files_at_once))

    def find(self, request: Request, name: str, version: str | None = None) -> Served:
        """The model that a request names; it stays the request's own while another takes its place."""
        served = self.champions.served.get(name)
        if served is None:
            known = ", ".join(sorted(self.champions.served))
            raise Problem(404, f"wanted a model that is served ({known}), found another name")
        if version is not None and version != served.version:
            raise Problem(404, f"wanted the version that answers ({served.version}), found another one")
        asked_of(request).served = served
        return served

    async def answer(self, request: Request, served: Served, rows: Sequence[Any], pointer: str) -> Answers:
        """Score JSON objects of inputs and count them."""
        self._refuse_amount(rows)
        try:
            if len(rows) <= AT_ONCE:
                answers = answer_objects(served, rows, pointer)
            else:
                answers = await run_in_threadpool(answer_objects, served, rows, pointer)
        except Problem:
            self.metrics.refused(served.name, "unfit", len(rows))
            raise
        self.count(request, served, answers.tallied(served.task))
        return answers

    async def answer_published(
        self, request: Request, served: Served, rows: Sequence[Any], pointer: str, at: datetime | None
    ) -> RawAnswers:
        """Score JSON objects as published and count them."""
        self._refuse_amount(rows)
        raw = await run_in_threadpool(self.knowledge.answer, served, rows, pointer, at)
        for reason, refused in raw.reasons.items():
            self.metrics.refused(served.name, reason, refused)
        if raw.answers is None:
            raise unfit(raw.faults)
        self.count(request, served, raw.answers.tallied(served.task))
        return raw

    def is_published(self, served: Served, rows: Sequence[Any]) -> bool:
        """Whether rows are as published, and not of inputs; told by the first."""
        first = rows[0] if rows else None
        return type(first) is dict and not first.keys() >= served.inputs.known and is_published(first, served.bundle)

    def _refuse_amount(self, rows: Sequence[Any]) -> None:
        if not rows:
            raise Problem(422, "wanted at least one row, found none")
        if len(rows) > self.limits.rows:
            raise Problem(422, f"wanted at most {self.limits.rows:,} rows in JSON, found {len(rows):,}; send a file")

    def count(self, request: Request, served: Served, tallied: Tallied) -> None:
        """Add answers to the metrics and to the line of log."""
        asked_of(request).rows += tallied.rows
        self.metrics.answered(served, tallied)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Look for promoted, rolled back and mended bundles for as long as the block runs."""
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            self.files.stop()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _watch(self) -> None:
        while True:
            await run_in_threadpool(self.look)
            await asyncio.sleep(self.poll_s)

    def look(self, *, now: bool = False) -> None:
        """Look at every bundle once."""
        self.champions.refresh(now=now)
        self.knowledge.refresh(list(self.champions))
        forget_dead_workers()
        self.metrics.champions(self.champions)


def asked_of(request: Request) -> Asked:
    """What the guard knows of a request."""
    asked: Asked = request.state.asked
    return asked


def as_json(content: Any, status: int = 200) -> Response:
    """A JSON answer; made here, for going over every value once more would take as long as scoring it."""
    body = json.dumps(content, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")
    return Response(body, status, media_type="application/json")
