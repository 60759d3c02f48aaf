"""The bytes that DVC keeps of an output: in its cache, or in the remote behind it.

``dvc.api`` needs half a second for one file of one revision; a file of the cache, opened by the hash that ``dvc.lock``
records, half a millisecond.  So the cache is looked into first, and DVC itself (imported only then) is asked for what
is not there: it knows every way of configuring a cache or a remote, and what it fetches stays in the cache.  The remote
is that of today's configuration, not of the revision's: a bucket that has moved since is found where it is.
"""

from __future__ import annotations

import configparser
import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from stages.runtime.log import log
from stages.workspace.errors import UserError


def read_objects(entries: Sequence[Mapping[str, Any]], path: str) -> Iterator[bytes]:
    """The bytes of outputs as ``dvc.lock`` records them, in order; ``path`` is what a message calls them."""
    for entry in entries:
        if entry.get("hash") != "md5" or not entry.get("md5"):
            raise UserError(
                f"{path} recorded by its md5 hash, as DVC 3 does",
                ", ".join(f"{key}: {value}" for key, value in entry.items()),
                "run `dvc cache migrate --dvc-files`, or `dvc repro`, and commit",
            )
    hashes = [str(entry["md5"]) for entry in entries]
    places = {md5: find_object(md5) for md5 in hashes}
    if missing := [md5 for md5, place in places.items() if place is None]:
        places |= _fetch(missing, path)
    for md5 in hashes:
        if place := places[md5]:
            yield read_whole(place, md5, path)


def read_whole(place: Path, recorded: str, path: str) -> bytes:
    """A file of the cache, refused when it is not what was recorded."""
    content = place.read_bytes()
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != recorded.removesuffix(".dir"):
        raise UserError(
            f"{path} as it was recorded, md5 {recorded}",
            f"md5 {found} in {place}: the file of the cache is damaged",
            f"remove it (`rm -f {place}`) and run this again: it is fetched from the remote; or run `dvc repro`",
        )
    return content


def find_object(md5: str) -> Path | None:
    """The file of the cache with that hash, if the cache is where ``.dvc/config`` says."""
    place = cache_folder() / "files" / "md5" / md5[:2] / md5[2:]
    return place if place.is_file() else None


def cache_folder() -> Path:
    """``cache.dir`` of this repository's own configuration, or the default."""
    for name in ("config.local", "config"):
        config = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            config.read(Path(".dvc") / name, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue  # then DVC is asked, and says what is wrong with it
        if folder := config.get("cache", "dir", fallback=""):
            return Path(".dvc") / folder
    return Path(".dvc/cache")


def _fetch(hashes: Sequence[str], path: str) -> dict[str, Path | None]:
    """Files of DVC's cache, fetched from the remote where they are not there."""
    repo = _repo(Path.cwd())
    places = {md5: Path(repo.cache.local.oid_to_path(md5)) for md5 in hashes}
    if missing := [md5 for md5, place in places.items() if not place.is_file()]:
        _Remote.of(Path.cwd()).fetch(repo, missing, path)
    return dict(places)


@cache
def _repo(folder: Path) -> Any:
    """DVC's view of the repository, opened once."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        return Repo(str(folder))
    except DvcException as error:
        raise UserError(
            f"a DVC repository in {folder.name}", str(error), "run this in the folder that holds .dvc"
        ) from None


class _Remote:
    """The remote; one that could not be reached is not tried again by the same process, which would wait again."""

    def __init__(self) -> None:
        self.unreachable = ""

    @staticmethod
    @cache
    def of(folder: Path) -> _Remote:
        """The one of a repository."""
        return _Remote()

    def fetch(self, repo: Any, hashes: Sequence[str], path: str) -> None:
        """Bring objects into the cache, all of them."""
        from dvc_data.hashfile.hash_info import HashInfo

        if self.unreachable:
            raise _absent(path, self.unreachable)
        log.info("%s: not in the cache, asking the remote", path)
        with _told_by_dvc() as told:
            try:
                repo.cloud.pull([HashInfo("md5", md5) for md5 in hashes])
            except Exception as error:  # of whichever library talks to the storage
                self.unreachable = f"{type(error).__name__}: {error}"
                raise _absent(path, self.unreachable) from None
        if not all(Path(repo.cache.local.oid_to_path(md5)).is_file() for md5 in hashes):
            raise _absent(path, "; ".join(told) or "it does not have it")


def _absent(path: str, words: str) -> UserError:
    return UserError(
        f"{path} in DVC's cache or in its remote",
        f"not in the cache; the remote: {' '.join(words.split())}",
        "let the remote be reached (`dvc remote list`, `dvc fetch`); or where it was made, run `dvc push`",
    )


@contextmanager
def _told_by_dvc() -> Iterator[list[str]]:
    """What DVC would have printed as warnings and errors while the block ran, instead of printing it."""
    told: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage() or str((record.exc_info or (0, ""))[1]))

    logger = logging.getLogger("dvc")
    before, passes_on = logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [Keep(logging.WARNING)], False
    try:
        yield told
    finally:
        logger.handlers, logger.propagate = before, passes_on
