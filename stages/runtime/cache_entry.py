"""One entry of the partition cache: a folder with the files of a result and a note about them.

The note, ``entry.json``, holds the key, size and checksum of every file, the facts, and a checksum of all that.
Nothing of an entry is taken before it has been read and compared.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import Any

from stages.workspace.files import sha256_of

NOTE = "entry.json"
SETTLED_S = 2.0  # a file written longer ago than a tick of any clock cannot have changed under the same time stamp


class Damaged(Exception):
    """An entry is not what was stored."""


def fill_entry(folder: Path, key: str, files: Sequence[Path], facts: Any) -> int:
    """Put files and note into a new folder; returns the bytes of all."""
    described: list[dict[str, Any]] = []
    for name, file in enumerate(files):
        place = folder / str(name)
        _link_or_copy(file, place)
        described.append({"bytes": place.stat().st_size, "sha256": sha256_file(file)})
    note = {"key": key, "files": described, "facts": facts}
    (folder / NOTE).write_text(json.dumps({**note, "sha256": _sha256_json(note)}), encoding="utf-8")
    return sum(path.stat().st_size for path in folder.iterdir())


def read_note(entry: Path, key: str, n_files: int) -> dict[str, Any]:
    """The note as it was written.

    Raises
    ------
    Damaged
        Where it lies about anything, its facts included.
    """
    try:
        note: Any = json.loads((entry / NOTE).read_text(encoding="utf-8"))
        sha256 = note.pop("sha256")
        sound = sha256 == _sha256_json(note) and note["key"] == key and len(note["files"]) == n_files
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged(f"{NOTE}: {type(error).__name__} {error}") from error
    except (IsADirectoryError, NotADirectoryError) as error:
        raise Damaged(f"{NOTE}: {error.strerror}") from error
    if not sound:
        raise Damaged(f"{NOTE}: not as it was written")
    return dict(note)


def place_files(entry: Path, described: Sequence[dict[str, Any]], targets: Sequence[Path]) -> None:
    """Bring every file to a name beside its target and check it there; rename when all are right.

    The check comes after the link, so what is checked is what is placed, whatever happens to the entry meanwhile.
    """
    with ExitStack() as stack:
        asides = []
        for name, target in enumerate(targets):
            aside = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
            stack.callback(aside.unlink, missing_ok=True)  # a rename over a link to the same file leaves it behind
            target.parent.mkdir(parents=True, exist_ok=True)
            if (entry / str(name)).is_dir():
                raise Damaged(f"{name}: a folder")
            _link_or_copy(entry / str(name), aside)
            _check(aside, str(name), **described[name])
            asides.append(aside)
        for aside, target in zip(asides, targets, strict=True):
            aside.replace(target)


def sha256_file(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits; one that has not changed since is not read twice in a process."""
    status = path.stat()
    if time.time() - status.st_mtime < SETTLED_S:
        return sha256_of(path)
    return _sha256_settled(path.absolute(), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16_384)
def _sha256_settled(path: Path, *_status: int) -> str:
    return sha256_of(path)


def _check(path: Path, name: str, bytes: int, sha256: str) -> None:
    if (size := path.stat().st_size) != bytes:
        raise Damaged(f"{name}: {size:,} bytes instead of {bytes:,}")
    if sha256_of(path) != sha256:
        raise Damaged(f"{name}: another checksum")


def _link_or_copy(source: Path, target: Path) -> None:
    """A second name for a file, or a copy where that cannot be: another device, too many links, not our file."""
    try:
        target.hardlink_to(source)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)


def _sha256_json(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
