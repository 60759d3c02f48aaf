"""Copies of bundles that answered well, by their contents: what a server starts with when the bundle itself is broken.

<folder>/<origin>/<first digits of its manifest's sha256>/   a copy, checked and tried before it got its name
<folder>/<origin>/last.json                                 which of them answered last, and what its version is called
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from stages.runtime.log import log
from stages.serving.champion import SHORT, Served, open_served
from stages.workspace.errors import UserError
from stages.workspace.files import MANIFEST, read_json, require_writable, sha256_of, write_json

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
            manifest = sha256_of(aside / MANIFEST)[:SHORT] if (aside / MANIFEST).exists() else ""
            if manifest and (copy := home / manifest).exists():
                try:
                    return self._remember(copy, version)
                except UserError:  # damaged since it was kept
                    shutil.rmtree(copy, ignore_errors=True)
            open_served(aside)
            copy = home / manifest
            try:
                aside.rename(copy)
            except OSError:
                if not copy.exists():  # else another process was faster
                    raise
            return self._remember(copy, version)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _remember(self, copy: Path, version: str) -> Served:
        served = open_served(copy, version)
        last = {"copy": copy.name, "version": served.version}
        if not (copy.parent / LAST).exists() or read_json(copy.parent / LAST) != last:
            write_json(copy.parent / LAST, last)
        copy.touch()
        copies = sorted((each for each in copy.parent.glob("[!.]*/") if each.is_dir()), key=lambda e: e.stat().st_mtime)
        for old in copies[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        return served

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
