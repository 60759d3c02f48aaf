"""Copies of bundles that answered well, by their contents: what a server starts with when the bundle itself is broken.

<folder>/<origin>/<first digits of its manifest's sha256>/   a copy, checked and tried before it got its name
<folder>/<origin>/last.json                                 which of them answered last, and what its version is called
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from stages.models.bundle import open_bundle
from stages.runtime.log import log
from stages.serving.champion import Served, open_served
from stages.workspace.errors import UserError
from stages.workspace.files import read_json, require_writable, write_json

KEPT = 3  # copies of an origin: another process may still be reading the one before
LAST = "last.json"


@dataclass(frozen=True)
class Kept:
    """A folder of copies; processes may share it, for a copy appears whole and is never changed."""

    folder: Path

    @classmethod
    def at(cls, folder: Path) -> Kept:
        """Keep copies in a folder, or where it cannot be written, for as long as this process runs."""
        try:
            require_writable(folder)
        except OSError as error:
            log.warning("no copies are kept for the next start: %s", error)
            aside = tempfile.mkdtemp(prefix="plumbline-")
            atexit.register(shutil.rmtree, aside, ignore_errors=True)
            return cls(Path(aside))
        return cls(folder)

    def take(self, key: str, version: str, fill: Callable[[Path], object]) -> Served:
        """Let ``fill`` write a bundle aside, try it there, and keep it; what cannot answer leaves nothing."""
        home = self.folder / key
        aside = home / f".{uuid4().hex}.part"
        home.mkdir(parents=True, exist_ok=True)
        try:
            fill(aside)
            served = open_served(aside, version)
            copy = home / served.manifest
            if not _is_whole(copy):
                shutil.rmtree(copy, ignore_errors=True)
                try:
                    aside.rename(copy)
                except OSError:
                    if not copy.exists():  # else another process was faster
                        raise
            self._remember(copy, served.version)
            return replace(served, bundle=replace(served.bundle, folder=copy))
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _remember(self, copy: Path, version: str) -> None:
        last = {"copy": copy.name, "version": version}
        if not (copy.parent / LAST).exists() or read_json(copy.parent / LAST) != last:
            write_json(copy.parent / LAST, last)
        copy.touch()
        copies = [each for each in copy.parent.glob("[!.]*/") if each.is_dir()]
        for old in sorted(copies, key=lambda each: each.stat().st_mtime)[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def knows(self, key: str) -> bool:
        """Whether a bundle of this origin ever answered."""
        return (self.folder / key / LAST).exists()

    def last(self, key: str) -> Served | None:
        """The copy that answered last; None where there is none that still can."""
        try:
            last = read_json(self.folder / key / LAST)
            return open_served(self.folder / key / str(last["copy"]), str(last["version"]))
        except (UserError, OSError, KeyError, TypeError):
            return None


def _is_whole(copy: Path) -> bool:
    try:
        open_bundle(copy, threads=1)
    except UserError:
        return False
    return True
