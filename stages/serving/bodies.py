"""How is a JSON body read?  Strictly: UTF-8, no NaN or Infinity, no key twice."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from fastapi import Request

from stages.serving.problems import Problem, found_text

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
