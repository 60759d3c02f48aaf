"""How is a JSON body read, and what does it ask?  Strictly: UTF-8, no NaN or Infinity, no key twice."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from fastapi import Request

from stages.serving.problems import Fault, Problem, found_text, unfit

JSON = "application/json"


async def read_object(request: Request) -> dict[str, Any]:
    """The JSON object that a request sends; anything else is a `Problem`."""
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    if kind.strip().lower() != JSON:
        raise Problem(415, f"wanted a body of the type {JSON}, found {found_text(kind) if kind else 'none'}",
                      headers={"accept-post": JSON})  # fmt: skip
    charset = parameters.partition("charset=")[2].strip(' "').lower()
    if charset not in ("", "utf-8", "utf8"):
        raise Problem(415, f"wanted JSON in UTF-8, found {found_text(charset)}")
    content = parse_json(await request.body())
    if type(content) is not dict:
        raise Problem(400, f"wanted a JSON object, found {found_text(content)}")
    return content


def parse_json(body: bytes) -> Any:
    """The content of a body; whatever is wrong with its form is a `Problem`."""
    if not body.strip():
        raise Problem(400, "wanted a JSON object, found an empty body")
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise Problem(400, f"wanted JSON in UTF-8, found the byte {body[error.start]:#04x} at {error.start}") from None
    except json.JSONDecodeError as error:
        raise Problem(400, f"wanted JSON, found: {error.msg}, line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise Problem(400, "wanted rows, found JSON that is nested too deeply") from None
    except ValueError:
        raise Problem(400, "wanted numbers, found one with thousands of digits") from None


def _refuse_constant(constant: str) -> NoReturn:
    raise Problem(400, f"wanted JSON, which has no {constant}; write null where a value is missing")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Problem(400, f"wanted every field once, found {found_text(twice)} twice")
    return found


@dataclass(frozen=True)
class Question:
    """What a body asks: rows, where they stand in it, the moment asked about, and whether reasons are wanted."""

    rows: list[Any]
    pointer: str
    at: datetime | None = None
    explain: bool = False


def question_of(body: dict[str, Any]) -> Question:
    """A body is a row itself, or holds a list of them and what is asked beside."""
    if "rows" not in body:
        return Question([body], "")
    if others := [key for key in body if key not in ("rows", "at", "explain")]:
        raise unfit([Fault(f"/{key}", "nothing beside rows", found_text(body[key])) for key in others])
    if type(body["rows"]) is not list:
        raise unfit([Fault("/rows", "a list of rows", found_text(body["rows"]))])
    if type(wanted := body.get("explain", False)) is not bool:
        raise unfit([Fault("/explain", "true or false", found_text(wanted))])
    return Question(body["rows"], "/rows/{}", _moment(body.get("at")), wanted)


def _moment(text: object) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)  # type: ignore[arg-type]  # anything else is refused with it
    except (TypeError, ValueError):
        raise unfit([Fault("/at", "a moment such as 2013-12-31T18:00:00", found_text(text))]) from None
