"""Where is kept what has been heard?  A small contract: facts by table and key, changed all at once, told by version.

A location is a path (SQLite, one file, in write-ahead mode: readers never wait for a writer) or ``redis://…`` (several
replicas share it).  Both keep the same facts by the same rule (`stages.state.facts.newer`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from stages.state.facts import Fact

NOTHING = ""
"""The version of a store that nobody has written to."""
Facts = Mapping[str, Sequence[Fact]]
"""By table."""


class Changes(NamedTuple):
    """What has changed since a version; ``anew`` where all is told, because that version is not one of this store."""

    version: str
    facts: dict[str, list[Fact]]
    anew: bool


class Store(Protocol):
    """Facts by table and key.  Safe beside readers and further writers; killed at any moment, it holds old or new."""

    def version(self) -> str:
        """Another text after every change, `NOTHING` before the first; cheap to ask."""

    def changes(self, since: str = NOTHING) -> Changes:
        """What has changed since a version that was told before, of one moment."""

    def update(self, facts: Facts) -> dict[str, int]:
        """Take facts in, all or none; returns how many of each table changed something."""

    def close(self) -> None:
        """Let go of file or connection."""
