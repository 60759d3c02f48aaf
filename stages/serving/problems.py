"""How is it told that a request cannot be answered?  As problem details (RFC 9457): field, wanted, found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

from fastapi import Response

MEDIA_TYPE = "application/problem+json"
SHOWN = 20  # faults in an answer
LONGEST = 100  # signs of what was sent that are repeated


@dataclass(frozen=True)
class Fault:
    """What is wrong with a field: its JSON pointer, or its name in a file."""

    field: str
    wanted: str
    found: str


class Problem(Exception):
    """A request that is not answered, and why."""

    def __init__(
        self, status: int, detail: str, faults: Sequence[Fault] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.faults, self.headers = status, detail, list(faults), dict(headers or {})


def unfit(faults: Sequence[Fault]) -> Problem:
    """A request that reads well and whose content cannot be scored."""
    first = faults[0]
    return Problem(422, f"{first.field}: wanted {first.wanted}, found {first.found}", faults)


def problem_response(problem: Problem, about: Mapping[str, Any]) -> Response:
    """The answer to send; ``about`` has the request's id, and the model where there is one."""
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        **about,
    }
    if problem.faults:
        content["errors"] = [asdict(fault) for fault in problem.faults[:SHOWN]]
    if len(problem.faults) > SHOWN:
        content["more_errors"] = len(problem.faults) - SHOWN
    content["error"] = problem.detail  # what clients of the Open Inference Protocol look for
    body = json.dumps(content, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")
    return Response(body, problem.status, problem.headers, MEDIA_TYPE)


def found_text(value: object) -> str:
    """A value of a request as JSON writes it, cut short."""
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value):,}"
    try:
        text = json.dumps(value, ensure_ascii=False)
    except ValueError:  # a whole number with more digits than Python writes
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
