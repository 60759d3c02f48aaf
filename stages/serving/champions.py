"""Which bundle answers for each model now?  Looked for again and again, and swapped by one assignment.

A new bundle is copied aside, checked and tried before anybody is answered by it; one that fails leaves the old one in
its place and is told in the health.  A request that has begun keeps the bundle that it began with.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stages.runtime.log import log
from stages.serving.champion import Served
from stages.serving.kept import Kept
from stages.serving.origins import Origin, find_origins
from stages.workspace.errors import UserError

KEEP = Path(".serving")
AGAIN_S = 5.0  # until a bundle that failed is tried again, though nothing has changed: it may have been half copied
Told = Callable[[str, str], object]
"""Told of a model and what came of looking at it: loaded, unchanged or refused."""


@dataclass
class _Place:
    """One origin, what of it was looked at last, and what came of it."""

    origin: Origin
    mark: object = None
    served: Served | None = None
    trouble: str = ""
    tried_s: float = field(default=float("-inf"))


class Champions:
    """The models that are served, by name."""

    def __init__(self, origins: Sequence[Origin], kept: Kept, told: Told = lambda _model, _outcome: None) -> None:
        self._kept, self._told = kept, told
        self._places = [_Place(origin) for origin in origins]
        self._served: Mapping[str, Served] = {}
        self.refresh()
        if not self._served:
            raise UserError(
                "a bundle that can answer", "; ".join(place.trouble for place in self._places), "`dvc checkout bundles`"
            )

    @property
    def served(self) -> Mapping[str, Served]:
        """The models as they are now."""
        return self._served

    def __iter__(self) -> Iterator[Served]:
        return iter(self._served.values())

    @property
    def trouble(self) -> dict[str, str]:
        """Models, or origins that never gave one, that are not answered for by the bundle that is meant; and why."""
        return {(p.served.name if p.served else p.origin.key): p.trouble for p in self._places if p.trouble}

    @property
    def is_ready(self) -> bool:
        """Whether every origin has a bundle that answers, if only its last good one."""
        return all(place.served for place in self._places)

    def refresh(self, *, now: bool = False) -> None:
        """Look at every origin; ``now`` also at what was found in order or broken a moment ago."""
        for place in self._places:
            try:
                mark = place.origin.mark()
                rests = time.monotonic() < place.tried_s + AGAIN_S if place.trouble else True
                if mark == place.mark and rests and not now:
                    continue
                place.mark, place.tried_s = mark, time.monotonic()
                self._take(place)
            except (UserError, OSError) as error:
                self._refuse(place, error.found if isinstance(error, UserError) else str(error))
        self._served = {place.served.name: place.served for place in self._places if place.served}

    def _take(self, place: _Place) -> None:
        served = self._kept.take(place.origin.key, place.origin.version(), place.origin.copy)
        if any(other.served and other.served.name == served.name for other in self._places if other is not place):
            place.trouble = f"{served.name}: another origin gives it too; serve one of them"
            log.warning("%s", place.trouble)
            return
        before, place.served, place.trouble = place.served, served, ""
        is_new = before is None or (before.version, before.bundle.folder) != (served.version, served.bundle.folder)
        self._told(served.name, "loaded" if is_new else "unchanged")
        if is_new:
            log.info("%s: version %s answers", served.name, served.version)

    def _refuse(self, place: _Place, found: str) -> None:
        if place.served is None:
            place.served = self._kept.last(place.origin.key)
        name = place.served.name if place.served else place.origin.key
        if found != place.trouble:
            goes_on = f"version {place.served.version} goes on" if place.served else "nothing answers for it"
            log.warning("%s: refused: %s; %s", name, found, goes_on)
        place.trouble = found
        self._told(name, "refused")


def open_champions(named: Sequence[Path], keep: Path = KEEP, told: Told = lambda _model, _outcome: None) -> Champions:
    """The models of these folders, or of this repository; copies are kept in ``keep``."""
    kept = Kept.at(keep)
    return Champions(find_origins(named, kept), kept, told)
