"""Where does the bundle of a model come from: a folder, or the registry's champion?

An origin tells cheaply whether anything has changed, and copies the bundle that is meant now.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stages.serving.champion import SHORT
from stages.serving.kept import Kept
from stages.workspace import layout
from stages.workspace.errors import UserError
from stages.workspace.files import MANIFEST
from stages.workspace.git import refs_under

TAGS = "refs/tags"
BUNDLES = layout.bundles("any").parent


class Origin(Protocol):
    """Where the bundle of one model is found."""

    @property
    def key(self) -> str:
        """A name for it that no other origin has, and that a file may bear."""

    def mark(self) -> object:
        """What differs whenever another bundle may be meant; costs little."""

    def version(self) -> str:
        """What the version that is meant now is called; empty where only its contents name it."""

    def copy(self, into: Path) -> None:
        """Write the bundle that is meant now to ``into``, which does not exist yet."""


@dataclass(frozen=True)
class Folder:
    """A bundle in a folder, which may be a link that somebody points elsewhere."""

    folder: Path

    @property
    def key(self) -> str:
        """Its name, and a digest of its path."""
        path = self.folder.absolute().as_posix()
        return f"{self.folder.name}-{hashlib.sha256(path.encode()).hexdigest()[:SHORT]}"

    def mark(self) -> object:
        """Which files, and when they were written."""
        try:
            files = [(path.name, path.stat()) for path in sorted(self.folder.iterdir())]
        except OSError as error:
            return str(error)
        return self.folder.resolve(), [(name, stat.st_ino, stat.st_mtime_ns, stat.st_size) for name, stat in files]

    def version(self) -> str:
        """None but its contents."""
        return ""

    def copy(self, into: Path) -> None:
        """Its files; a folder that is not there, or is being replaced, is a `UserError`."""
        try:
            shutil.copytree(self.folder, into)
        except (OSError, shutil.Error) as error:
            raise UserError(f"a bundle in {self.folder}", str(error), "`dvc checkout` brings it back") from None


@dataclass(frozen=True)
class Champion:
    """The bundle of the registry's champion, from DVC's cache or remote."""

    name: str

    @property
    def key(self) -> str:
        """The model's name, and what no folder is called."""
        return f"{self.name}#champion"

    def mark(self) -> object:
        """Every tag of the model."""
        own = (f"{TAGS}/{self.name}@", f"{TAGS}/{self.name}#")
        try:
            return {tag: commit for tag, commit in refs_under(TAGS).items() if tag.startswith(own)}
        except UserError as error:
            return error.found

    def version(self) -> str:
        """The registry's."""
        return self._registered()[0]

    def copy(self, into: Path) -> None:
        """The bundle of the champion's commit."""
        from stages.experiments.revisions.revisions import Revision, fetch_folder

        version, commit = self._registered()
        fetch_folder(Revision(version, commit, version), layout.bundles(self.name), into)

    def _registered(self) -> tuple[str, str]:
        from stages.experiments.promotion.registry import champion  # GTO takes half a second to import

        found = champion(self.name)
        if found is None:
            raise UserError(f"a champion of {self.name}", "none in the tags", "`make promote`, or name a folder")
        return found.version, found.commit


def _champions() -> set[str]:
    """Models that the tags of this repository name a champion of; none outside of one."""
    try:
        tags = [tag.removeprefix(f"{TAGS}/") for tag in refs_under(TAGS)]
    except UserError:
        return set()
    return {tag.partition("#champion#")[0] for tag in tags if "#champion#" in tag}


def find_origins(named: Sequence[Path], kept: Kept) -> list[Origin]:
    """What is to be served: the bundles that the folders are or hold, or every champion and bundle of this repository.

    A folder whose bundle is broken counts where it has answered before.
    """
    champions = [] if named else sorted(_champions())
    folders = [
        Folder(path)
        for folder in (named or [BUNDLES])
        for path in ([folder] if _is_bundle(folder, kept) else _children(folder))
        if _is_bundle(path, kept) and path.name not in champions
    ]
    if not folders and not champions:
        shown = ", ".join(map(str, named or [BUNDLES]))
        raise UserError("a bundle to serve", f"none in {shown}", "run `dvc repro`, or `dvc pull` to fetch them")
    return [*map(Champion, champions), *folders]


def _children(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name[0] != ".") if folder.is_dir() else []


def _is_bundle(path: Path, kept: Kept) -> bool:
    return (path / MANIFEST).exists() or kept.knows(Folder(path).key)
