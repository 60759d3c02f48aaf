"""Open a source wherever it lives: in a package of Python or of the distribution, a folder, the web, S3, a database.

Clients are imported when a source needs them; TLS certificates are always verified.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from stages.sources.locations import CHUNK_BYTES, CORRECT, Absent, Body, Client, Interrupted, path_of, scheme_of, shown
from stages.workspace.errors import UserError

MONTH = re.compile(r"(?P<year>(?:19|20)\d\d)(?P<sep>[-_. ]?)(?P<n>\d{1,2})(?=\D*$)")

Opener = Callable[[str, int, str, Client], AbstractContextManager[Body]]


def open_location(location: str, *, start: int, tag: str, client: Client) -> AbstractContextManager[Body]:
    """Open a source to read on at ``start``, provided that it is still the object called ``tag``."""
    scheme = scheme_of(location).partition("+")[0]  # a driver may follow
    if scheme not in OPENERS:
        known = ", ".join(f"{name}://" for name in OPENERS)
        raise UserError(shown(location), f"no way to read {scheme}://; known: {known} or a path", CORRECT)
    return OPENERS[scheme](location, start, tag, client)


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
        pattern = _other_pattern(path)
        other = f"; there is {pattern}: set `download.series.location` to that" if pattern else ""
        raise Absent(location, f"no such file{other}", CORRECT)
    return _read_path(path)


def _other_pattern(path: Path) -> str:
    """How files of the missing one's month are called beside it, as a pattern; publishers rename whole series."""
    if (wanted := MONTH.search(path.name)) is None or not path.parent.is_dir():
        return ""
    for name in sorted(other.name for other in path.parent.iterdir()):
        if (found := MONTH.search(name)) and found["year"] == wanted["year"] and int(found["n"]) == int(wanted["n"]):
            month = "{month:02d}" if found["n"].startswith("0") else "{month}"
            return f"{name[: found.start()]}{{year}}{found['sep']}{month}{name[found.end() :]}"
    return ""


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


def _open_packaged(location: str, start: int, tag: str, client: Client) -> AbstractContextManager[Body]:
    from stages.sources.apt import find_packaged

    return _read_path(find_packaged(location, client.timeout_s))


def _open_index(location: str, start: int, tag: str, client: Client) -> AbstractContextManager[Body]:
    from stages.sources.apt import find_index

    return _read_path(find_index(location, client.timeout_s))


def _open_http(location: str, start: int, tag: str, client: Client) -> AbstractContextManager[Body]:
    from stages.sources.web import open_http

    return open_http(location, start, tag, client)


def _open_s3(location: str, start: int, tag: str, client: Client) -> AbstractContextManager[Body]:
    from stages.sources.bucket import open_s3

    return open_s3(location, start, tag, client.timeout_s)


def _open_database(location: str, start: int, tag: str, client: Client) -> AbstractContextManager[Body]:
    from stages.sources.database import open_database

    return open_database(location, start, tag, client)


OPENERS: dict[str, Opener] = {
    "package": _open_package,
    "apt": _open_packaged,
    "apt-index": _open_index,
    "file": _open_path,
    "http": _open_http,
    "https": _open_http,
    "s3": _open_s3,
    "sqlite": _open_database,
    "postgresql": _open_database,
}
