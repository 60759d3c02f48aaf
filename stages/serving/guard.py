"""What stands between the network and every route: ids, limits, headers, counts and one line of log a request."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stages.serving.champion import Served
from stages.serving.limits import HEADERS, Limits
from stages.serving.metrics import Metrics
from stages.serving.problems import Problem, problem_response
from stages.workspace.errors import DISK_FULL

ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
UNROUTED = "unknown"
DRAINED = 64 << 20
GAVE_UP = 499  # nginx's number for a client that went away
STATIC = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
BARE = [pair for pair in STATIC if pair[0] in (b"content-security-policy", b"x-content-type-options", b"cache-control")]
log = logging.getLogger("plumbline.requests")


@dataclass
class Asked:
    """One request while it is answered; routes find it in ``request.state.asked``."""

    id: str
    begun_s: float
    served: Served | None = None
    rows: int = 0
    received: int = 0
    status: int = 500
    is_whole: bool = False
    sent: int = 0

    def told(self) -> dict[str, object]:
        """What every answer says of itself."""
        model = {"model": describe(self.served)} if self.served else {}
        return {**model, "request_id": self.id}


def describe(served: Served) -> dict[str, str]:
    """Name, version and data of a model."""
    return {"name": served.name, "version": served.version, "data": served.data}


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, limits: Limits, metrics: Metrics) -> None:
        self.app, self.limits, self.metrics = app, limits, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let the application start and stop."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        asked = Asked(given if ID.fullmatch(given) else uuid4().hex, time.perf_counter())
        scope.setdefault("state", {})["asked"] = asked
        sender = self._sender(asked, send)
        try:
            if problem := self._refused_at_once(scope["path"], headers):
                await problem_response(problem, asked.told())(scope, receive, sender)
            else:
                await self.app(scope, self._receiver(asked, receive, self.limits.body_of(scope["path"])), sender)
        except (TimeoutError, ConnectionError):  # of a client that takes nothing more: the connection ends
            asked.status = GAVE_UP
        except Exception as error:
            problem = _of_ours(error, asked.id)
            if not asked.sent:
                await problem_response(problem, asked.told())(scope, receive, sender)
        finally:
            seconds = time.perf_counter() - asked.begun_s
            route = getattr(scope.get("route"), "path", UNROUTED)
            self.metrics.request(route, scope["method"], asked.status, seconds)
            log.info("request", extra={"fields": {
                "request_id": asked.id, "route": route, "method": scope["method"][:10], "status": asked.status,
                "ms": round(seconds * 1000, 2), "bytes_in": asked.received, "bytes_out": asked.sent,
                **({"model": asked.served.name, "version": asked.served.version} if asked.served else {}),
                **({"rows": asked.rows} if asked.rows else {}),
            }})  # fmt: skip

    def _refused_at_once(self, path: str, headers: dict[bytes, bytes]) -> Problem | None:
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            return Problem(
                415,
                "wanted a body as it is, found one with a Content-Encoding",
                headers={"accept-encoding": "identity"},
            )
        length, most = headers.get(b"content-length", b""), self.limits.body_of(path)
        return too_large(most, int(length)) if length.isdigit() and int(length) > most else None

    def _receiver(self, asked: Asked, receive: Receive, most: int) -> Receive:
        async def limited() -> Message:
            if asked.is_whole:
                return await receive()
            left_s = asked.begun_s + self.limits.patience_s(asked.received) - time.perf_counter()
            try:
                async with asyncio.timeout(max(left_s, 0.0)):
                    message = await receive()
            except TimeoutError:
                asked.is_whole = True
                raise Problem(408, f"the body took longer than {self.limits.body_s:g} s to arrive",
                              headers={"connection": "close"}) from None  # fmt: skip
            asked.received += len(message.get("body", b""))
            asked.is_whole = not message.get("more_body", False)
            if asked.received > most:
                asked.is_whole = True
                raise too_large(most)
            return message

        return limited

    def _sender(self, asked: Asked, send: Send) -> Send:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                asked.status = message["status"]
                own = [(b"x-request-id", asked.id.encode())]
                if served := asked.served:
                    own += [(b"x-model-version", served.version.encode()), (b"x-data-hash", served.data.encode())]
                given = {name.lower() for name, _ in message["headers"]}
                static = STATIC if _is_page(message["headers"]) else BARE  # the others are for what a browser shows
                message["headers"] = [*message["headers"], *own, *(pair for pair in static if pair[0] not in given)]
                await send(message)
                return
            asked.sent += len(message.get("body", b""))
            if not message.get("more_body", False):
                await send(message)
                return
            async with asyncio.timeout(self.limits.answer_s):
                await send(message)

        return guarded


def _is_page(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(name == b"content-type" and value.startswith(b"text/html") for name, value in headers)


def _of_ours(error: Exception, request_id: str) -> Problem:
    """What a client hears of a failure that is none of its own; the log gets the frames, and nothing that was sent."""
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return Problem(507, "wanted room on the disk, found none")
    frames = traceback.format_tb(error.__traceback__)
    told = {"request_id": request_id, "error": type(error).__name__, "frames": frames}
    log.error("error", extra={"fields": told})
    return Problem(500, "something is wrong here and not with the request; the log has its id")


def too_large(most: int, length: int = DRAINED + 1) -> Problem:
    """The refusal of a body; what is left of a small one is read and thrown away, so that its sender hears of it."""
    headers = {} if length <= DRAINED else {"connection": "close"}
    return Problem(413, f"wanted a body of at most {most:,} bytes, found a larger one", headers=headers)
