"""How much may a request ask for?  Bytes, rows, fields and time; who may change state; what a browser is told."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from stages.serving.problems import Problem

MIB = 1 << 20
CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Limits:
    """What is refused; the defaults leave a laptop answering."""

    body_bytes: int = 4 * MIB
    file_bytes: int = 1024 * MIB
    rows: int = 10_000
    """Of a JSON body; a file may have as many as fit into it."""
    line_bytes: int = MIB
    """Of a row in a file, and of its header."""
    columns: int = 5_000
    """Of a file."""
    memory_bytes: int = 2048 * MIB
    """That scoring a file may take beside what the process takes by itself."""
    files_at_once: int = 2
    """Of a worker; more are asked to come again."""
    file_s: float = 600.0
    """That scoring a file may take."""
    body_s: float = 15.0
    """That a body may take to arrive, and a second more for every `bytes_per_s`."""
    bytes_per_s: int = 64 << 10
    answer_s: float = 60.0
    """That a client may take to accept the next piece of an answer."""
    head_s: float = 15.0
    """That a connection may take to send the head of its first request."""
    idle_s: float = 75.0
    """That a connection may idle between requests: longer than proxies keep one (60 s is usual), for they must close
    it first, or send a request into a connection that is being closed."""

    def body_of(self, path: str) -> int:
        """The most bytes of a body for a path."""
        return self.file_bytes if path.endswith(("/predict-file", "/file")) else self.body_bytes

    def patience_s(self, received: int) -> float:
        """Seconds since the beginning within which this many bytes have to be followed by more."""
        return self.body_s + received / self.bytes_per_s


def require_token(token: str | None, authorization: str | None) -> None:
    """Refuse to change state for who does not bear the token; nobody does where there is none."""
    if not token:
        raise Problem(403, "nothing may be changed here: the server was started without PLUMBLINE_TOKEN")
    scheme, _, given = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
        raise Problem(401, "wanted the token as `Authorization: Bearer …`", headers={"www-authenticate": "Bearer"})
