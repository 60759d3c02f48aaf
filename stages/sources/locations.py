"""Where a source lives, and what opening it gives: a `Body`, or word of why not.

What may pass by itself is raised as `Interrupted`, everything else as a `UserError`.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

from stages.sources.certificates import Certificates
from stages.workspace.errors import UserError

CHUNK_BYTES = 1 << 18
CORRECT = "correct the location under params/ and run `make params`, or set a mirror that holds the file"


class Interrupted(Exception):
    """A transfer that may well succeed when tried again, after ``wait_s`` seconds where the server said so."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class Unchanged(Exception):
    """What is published is the version that the client holds."""


class Absent(UserError):
    """Nothing is published, or mirrored, under this location."""


def host_of(location: str) -> str:
    """Scheme and host of a location; the bucket's for S3."""
    return "/".join(location.split("/", 3)[:3])


class Unresolved(Absent):
    """The host's name leads nowhere: asking it for the next file would be no better."""


def unresolved(location: str, error: BaseException) -> Unresolved | None:
    """The plain words where what went wrong is that a name was not found; else None."""
    cause = find_cause(error, socket.gaierror)
    if cause is None:
        return None
    name = re.search(r"resolve '([^']+)", str(error)) or re.search(r"://([\w.-]+)", str(error))
    host = name[1] if name else location
    step = "check the network and the address, or set a mirror, and run the same command again"
    return Unresolved(shown(location), f"the host {host} is not found ({cause.strerror or cause})", step)


Cause = TypeVar("Cause", bound=BaseException)


def find_cause(error: BaseException, kind: type[Cause]) -> Cause | None:
    """What of that kind is behind an error: clients wrap a cause up to four times."""
    if isinstance(error, kind):
        return error
    inner = [error.__cause__, error.__context__, *error.args, getattr(error, "reason", None)]
    found = (find_cause(cause, kind) for cause in inner if isinstance(cause, BaseException))
    return next((cause for cause in found if cause is not None), None)


@dataclass(frozen=True)
class Client:
    """How servers are talked to."""

    timeout_s: float
    """The longest silence of a server."""
    certificates: Certificates = field(default_factory=dict)
    """What single hosts forget to send of their certificate chain."""
    answered: set[str] = field(default_factory=set)
    """Hosts that were found in this run, as `host_of` names them: a name that is not found later may be found again."""
    held: str = ""
    """The tag of the version at hand, which need not be sent again (`Unchanged`); empty where there is none."""


@dataclass(frozen=True)
class Body:
    """A source opened at byte ``start`` — 0 where it cannot be continued, whatever was asked for."""

    chunks: Iterator[bytes]
    start: int
    total: int | None
    """Bytes of the whole object, where announced."""
    tag: str
    """Changes when the object does; empty where nothing tells."""
    media_type: str = ""
    origin: str = ""
    """Where the bytes came from, when that is elsewhere than asked."""
    fickle: bool = False
    """Whether a wrong answer may be followed by the right one: servers send pages while they are busy."""


def scheme_of(location: str) -> str:
    """The scheme of a location in lower case; a plain path is a ``file``."""
    return location.partition("://")[0].lower() if "://" in location else "file"


def path_of(location: str) -> Path:
    """The path that a plain or ``file://`` location stands for."""
    return Path(unquote(urlsplit(location).path) if "://" in location else location).expanduser()


def check_mirror(mirror: str | None) -> None:
    """Say once that the folder of a mirror is not there, instead of once for every file in it."""
    if mirror is None or scheme_of(mirror) != "file" or path_of(mirror).is_dir():
        return
    step = "correct `mirror` under params/ and run `make params`"
    if not path_of(mirror).is_absolute():
        step = f"give `mirror` an absolute path: queued experiments run elsewhere, this one in {Path.cwd()}"
    raise UserError(f"a folder or URL as the mirror: {mirror}", "no such folder", step)


def shown(location: str) -> str:
    """A location as it may be printed and stored: without a user name and password."""
    if "@" not in location or scheme_of(location) not in ("http", "https", "s3"):
        return location
    parts = urlsplit(location)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
