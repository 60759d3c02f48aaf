"""Open a source wherever it lives: in an installed package, in a folder, behind http(s), in an S3 bucket.

Each opener yields a `Body`.  What may pass by itself is raised as `Interrupted`, everything else as a `UserError`.
Clients are imported when a source needs them; TLS certificates are always verified.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from stages.edges.certificates import Certificates
from stages.edges.errors import UserError

CHUNK_BYTES = 1 << 18
CORRECT = "correct the location under params/ and run `make params`, or set a mirror that holds the file"


class Interrupted(Exception):
    """A transfer that may well succeed when tried again, after ``wait_s`` seconds where the server said so."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class Absent(UserError):
    """Nothing is published, or mirrored, under this location."""


@dataclass(frozen=True)
class Client:
    """How servers are talked to."""

    timeout_s: float
    """The longest silence of a server."""
    certificates: Certificates = field(default_factory=dict)
    """What single hosts forget to send of their certificate chain."""


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


Opener = Callable[[str, int, str, Client], AbstractContextManager[Body]]


def open_location(location: str, *, start: int, tag: str, client: Client) -> AbstractContextManager[Body]:
    """Open a source to read on at ``start``, provided that it is still the object called ``tag``."""
    scheme = scheme_of(location)
    if scheme not in OPENERS:
        known = ", ".join(f"{name}://" for name in OPENERS)
        raise UserError(shown(location), f"no way to read {scheme}://; known: {known} or a path", CORRECT)
    return OPENERS[scheme](location, start, tag, client)


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


def _open_package(location: str, start: int, tag: str, client: Client) -> AbstractContextManager[Body]:
    """A file of an installed distribution, found without importing any of its code."""
    distribution, _, inside = location.partition("://")[2].partition("/")
    try:
        path = Path(str(importlib.metadata.distribution(distribution).locate_file(inside)))
    except importlib.metadata.PackageNotFoundError:
        install = "install the environment again: `make setup`"
        raise UserError(location, f"the package {distribution} is not installed", install) from None
    if not path.is_file():
        version = importlib.metadata.version(distribution)
        raise UserError(location, f"{distribution} {version} holds no file {inside}", CORRECT)
    return _read_path(path)


def _open_path(location: str, start: int, tag: str, client: Client) -> AbstractContextManager[Body]:
    path = path_of(location)
    if path.is_dir():
        raise UserError(location, "a folder", "name the files in it, one source each, or use the folder as the mirror")
    if not path.exists():
        raise Absent(location, "no such file", CORRECT)
    return _read_path(path)


@contextmanager
def _read_path(path: Path) -> Iterator[Body]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise UserError(str(path), error.strerror or str(error), "make the file readable") from None
    with file:
        yield Body(_file_chunks(file.read), 0, path.stat().st_size, tag="")


def _file_chunks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    try:
        while chunk := read(CHUNK_BYTES):
            yield chunk
    except OSError as error:  # a network drive that went away
        raise Interrupted(str(error)) from error


def _open_http(location: str, start: int, tag: str, client: Client) -> AbstractContextManager[Body]:
    from stages.edges.http_source import open_http

    return open_http(location, start, tag, client)


def _open_s3(location: str, start: int, tag: str, client: Client) -> AbstractContextManager[Body]:
    from stages.edges.s3_source import open_s3

    return open_s3(location, start, tag, client.timeout_s)


OPENERS: dict[str, Opener] = {
    "package": _open_package,
    "file": _open_path,
    "http": _open_http,
    "https": _open_http,
    "s3": _open_s3,
}
