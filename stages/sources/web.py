"""Read a source over http(s), from its beginning or from where an earlier attempt broke off (RFC 9110, ranges)."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.util.ssl_ import create_urllib3_context

from stages.sources.certificates import Certificates, complete
from stages.sources.locations import (
    CHUNK_BYTES,
    CORRECT,
    Absent,
    Body,
    Client,
    Interrupted,
    Unchanged,
    find_cause,
    shown,
    unresolved,
)
from stages.workspace.errors import UserError

BUSY = {408, 425, 429}  # and every 5xx: worth another attempt
LONGEST_WAIT_S = 300.0  # a server that asks for more is taken as a refusal
TRUST = (
    "where the server forgets to send its intermediate certificate: `download.certificates` (docs/big-data.md);"
    "\n        where a proxy signs for it: REQUESTS_CA_BUNDLE, a file with your organisation's certificates;"
    "\n        or set a mirror; verification is never switched off"
)
RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


@contextmanager
def open_http(location: str, start: int, tag: str, client: Client) -> Iterator[Body]:
    """Ask for the bytes from ``start`` on; a server that cannot continue the same object is asked for all of it.

    ``client.timeout_s`` limits the connection and each silence, not the whole transfer.
    """
    with _failures(location), requests.Session() as session:
        if client.certificates:
            session.mount("https://", _CompletedChains(client.certificates))
        response = _ask(session, location, start, tag, client.timeout_s, client.held)
        if start and not _continues(response, start, tag):
            response.close()
            start = 0
            response = _ask(session, location, 0, "", client.timeout_s)
        with response:
            _check_status(response, location, start, client.held)
            yield _body(response, location)


class _CompletedChains(HTTPAdapter):
    """Verifies as ever, but knows what single hosts leave out; asked for each host that a redirect leads to."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates
        super().__init__()

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        host, trust = super().build_connection_pool_key_attributes(request, verify, cert)
        if file := self._certificates.get(str(host["host"]).lower()):
            trust["ssl_context"] = complete(create_urllib3_context(), file)  # urllib3 adds this machine's roots to it
        return host, trust


def _ask(
    session: requests.Session, location: str, start: int, tag: str, timeout_s: float, held: str = ""
) -> requests.Response:
    # identity: a range of a body compressed on the way cannot be continued, and files are kept as published
    headers = {"Accept-Encoding": "identity", "User-Agent": "plumbline"}
    if start:
        headers["Range"] = f"bytes={start}-"
    if start and tag and not tag.startswith("W/"):  # a weak tag is not allowed there
        headers["If-Range"] = tag
    if held and not start:
        headers["If-None-Match" if held.startswith(('"', "W/")) else "If-Modified-Since"] = held
    return session.get(location, headers=headers, stream=True, timeout=timeout_s)


def _continues(response: requests.Response, start: int, tag: str) -> bool:
    """Whether an answer to a request for a range can be used: the rest, nothing left, the whole, or a failure."""
    if response.status_code not in (206, 416):
        return True
    first, total = _content_range(response)
    same = not tag or _tag(response) in ("", tag)
    return same and (first == start if response.status_code == 206 else total == start)


def _body(response: requests.Response, location: str) -> Body:
    first, total = _content_range(response)
    if response.status_code == 416:
        return Body(iter(()), total or 0, total, _tag(response))
    if response.status_code == 200:
        length = response.headers.get("Content-Length", "")
        first, total = 0, int(length) if length.isdecimal() and "Transfer-Encoding" not in response.headers else None
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    origin = urlunsplit(urlsplit(shown(response.url))._replace(query="", fragment="")) if response.history else ""
    return Body(_chunks(response, location), first or 0, total, _tag(response), media_type, origin, fickle=True)


def _chunks(response: requests.Response, location: str) -> Iterator[bytes]:
    with _failures(location):  # read1 gives what is there: nothing is lost when the next bytes never come
        while chunk := response.raw.read1(CHUNK_BYTES, decode_content=False):
            yield chunk


def _content_range(response: requests.Response) -> tuple[int | None, int | None]:
    match = RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if not match:
        return None, None
    first, total = match.groups()
    return (int(first) if first else None), (int(total) if total != "*" else None)


def _tag(response: requests.Response) -> str:
    """What names this version of the object: a strong ETag, else its date, else a weak ETag."""
    etag, modified = response.headers.get("ETag", ""), response.headers.get("Last-Modified", "")
    return etag if etag and not etag.startswith("W/") else modified or etag


def _check_status(response: requests.Response, location: str, start: int, held: str) -> None:
    status = response.status_code
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if status == 200 or (status in (206, 416) and start):
        # some servers call a published .gz file an encoding; kept as it is, that is the file
        if encoding not in ("identity", "") and not location.endswith((".gz", ".tgz")):
            raise UserError(shown(location), f"a body compressed with {encoding}, unasked", "use another mirror")
        return
    if status == 304 and held:
        raise Unchanged(location)
    answer = f"{status} {response.reason or _phrase(status)}"
    if status in BUSY or status >= 500:
        wait_s = _retry_after(response)
        if wait_s is None or wait_s <= LONGEST_WAIT_S:
            raise Interrupted(f"the server answers {answer}", wait_s)
        later = f"run the same command again in {wait_s:,.0f} s, or set a mirror"
        raise UserError(shown(location), f"the server answers {answer} and asks to wait", later)
    refused = "the server wants credentials or forbids access: set a mirror that you may read"
    kind = Absent if status in (404, 410) else UserError
    raise kind(shown(location), f"the server answers {answer}", refused if status in (401, 403) else CORRECT)


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""


def _retry_after(response: requests.Response) -> float | None:
    """Seconds to wait: the header holds a number or a date."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


@contextmanager
def _failures(location: str) -> Iterator[None]:
    try:
        yield
    except (requests.RequestException, HTTPError) as error:
        if untrusted := find_cause(error, ssl.SSLCertVerificationError):
            found = f"a certificate that this machine does not trust: {untrusted.verify_message}"
            raise UserError(shown(location), found, TRUST) from error
        lasting = (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.TooManyRedirects)
        if isinstance(error, lasting):
            raise UserError(shown(location), str(error), CORRECT) from error
        raise unresolved(location, error) or Interrupted(_reason(error)) from error


def _reason(error: BaseException) -> str:
    """The innermost cause in one line: requests and urllib3 wrap it up to four times."""
    if isinstance(error, requests.Timeout) or "timed out" in str(error).lower():
        return "no answer in time"
    text = str(error)
    if match := re.search(r"IncompleteRead\((\d+) bytes read, (\d+) more expected\)", text):
        return f"the connection was cut {int(match[2]):,} bytes before the end"
    match = re.search(r"(?:\[Errno -?\d+\] )([\w ,.'-]+)", text)
    return match[1].strip() if match else text[:200]
