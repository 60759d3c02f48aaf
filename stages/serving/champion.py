"""Which bundle answers for a model now?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.metrics.contract import Task
from stages.metrics.stored import task_named
from stages.models.bundle import REFERENCE, Bundle, open_bundle
from stages.workspace.errors import UserError, plain_words
from stages.workspace.files import MANIFEST, sha256_of

SHORT = 12  # digits of a hash that people compare


@dataclass(frozen=True)
class Served:
    """A bundle that was opened and tried: everything that an answer needs."""

    name: str
    bundle: Bundle
    task: Task
    version: str
    """The registry's, or the first digits of the manifest's sha256."""
    data: str
    """The first digits of the sha256 of the training rows' distributions."""


class Champions:
    """The models that are served, by name; each is replaced as a whole by one assignment."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._served: dict[str, Served] = {}
        for folder in folders:
            served = open_served(folder)
            if served.name in self._served:
                other = self._served[served.name].bundle.folder
                raise UserError(f"one bundle of {served.name}", f"{other} and {folder}", "name one of them")
            self._served[served.name] = served

    @property
    def served(self) -> Mapping[str, Served]:
        """The models as they are now, by name."""
        return self._served

    def __iter__(self) -> Iterator[Served]:
        return iter(list(self._served.values()))


def open_served(folder: Path) -> Served:
    """Check, load and describe a bundle; it scores on one thread, for processes are what serving scales by."""
    bundle = open_bundle(folder, threads=1)
    with plain_words():
        task = task_named(bundle.signature["task"])
    version, data = (sha256_of(folder / name)[:SHORT] for name in (MANIFEST, REFERENCE))
    return Served(str(bundle.signature["dataset"]), bundle, task, version, data)


def find_bundles(named: Sequence[Path]) -> list[Path]:
    """The bundles that are meant: each folder is one, or holds some."""
    found = [bundle for folder in named for bundle in _bundles_in(folder)]
    if not found:
        shown = ", ".join(map(str, named)) or "no folder"
        raise UserError("a bundle to serve", f"none in {shown}", "run `dvc repro`, or `dvc pull` to fetch them")
    return found


def _bundles_in(folder: Path) -> list[Path]:
    if (folder / MANIFEST).exists():
        return [folder]
    return sorted(path.parent for path in folder.glob(f"[!.]*/{MANIFEST}"))
