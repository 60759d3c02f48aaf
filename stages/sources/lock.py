"""What was fetched first is what counts: the committed record of files whose checksums nobody publishes.

Reads and writes one JSON file: name → bytes and sha256, one line each, in the order of their numbers.  No date and no
host in it.  A file that is in it is checked like one whose checksum stands in the parameters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import Field, TypeAdapter, ValidationError

from stages.runtime.log import log
from stages.sources.transfer import Fetched, Source, writing
from stages.workspace.errors import UserError
from stages.workspace.files import whole_file
from stages.workspace.settings import Settings


class Record(Settings):
    """One file as it was when it was first fetched, or last accepted."""

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


RECORDS = TypeAdapter(dict[str, Record])


@dataclass(frozen=True)
class SourceLock:
    """The records of one dataset; without a ``path`` nothing is recorded and nothing checked."""

    path: str | None
    records: dict[str, Record]

    def pin(self, sources: Sequence[Source], accept: Sequence[str]) -> list[Source]:
        """The sources with the size and checksum on record, but for those named in ``accept``: file names or months."""
        unpinned = [source for source in sources if source.sha256 is None]
        known = {name for source in unpinned for name in (source.name, source.month)} if self.path else set()
        if unknown := sorted(set(accept) - known):
            wanted = "in `download.accept` only months and file names that are fetched and recorded in `download.lock`"
            raise UserError(wanted, f"also {', '.join(unknown)}", "take them out under params/ and run `make params`")
        return [self._pin(source, accept) if source.sha256 is None else source for source in sources]

    def _pin(self, source: Source, accept: Sequence[str]) -> Source:
        record = self.records.get(source.name)
        if record is None or {source.name, source.month} & set(accept):
            return replace(source, recorded_in=self.path)
        size = record.bytes if source.bytes is None else source.bytes
        return replace(source, bytes=size, sha256=record.sha256, recorded_in=self.path)

    def record(self, fetched: Sequence[Fetched]) -> None:
        """Write down what has arrived for the first time, or has changed and was accepted."""
        if self.path is None:
            return
        arrived = {file.source.name: file for file in fetched if file.source.sha256 is None}
        fresh = {name: Record(bytes=file.bytes, sha256=file.sha256) for name, file in arrived.items()}
        changed = {name: record for name, record in fresh.items() if self.records.get(name) != record}
        if not changed:
            return
        with writing(Path(self.path)):
            write_records(Path(self.path), self.records | changed)
        for name, record in changed.items():
            if old := self.records.get(name):
                log.warning("%s: accepted: %s instead of %s", name, _describe(record), _describe(old))
        log.info("%d of %d files newly recorded in %s: commit it", len(changed), len(fetched), self.path)


def open_lock(path: str | None) -> SourceLock:
    """The lock at ``path``; a file that is not there yet holds no records."""
    if path is None or not Path(path).exists():
        return SourceLock(path, {})
    restore = f"restore it with `git checkout -- {path}`; after a merge conflict, keep every line once"
    try:
        return SourceLock(path, RECORDS.validate_json(Path(path).read_bytes()))
    except ValidationError as error:
        problem = error.errors()[0]
        at = ".".join(str(part) for part in problem["loc"])
        found = f"{at}: {problem['msg']}" if at else str(problem["msg"])
        raise UserError(f"size and sha256 of each file in {path}", found, restore) from None


def write_records(path: Path, records: dict[str, Record]) -> None:
    """Write a lock file whole: one line per file, so that a change of one month is a change of one line."""
    lines = [f"  {json.dumps(name)}: {json.dumps(records[name].model_dump())}" for name in sorted(records, key=_order)]
    with whole_file(path) as aside:
        aside.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _order(name: str) -> tuple[list[tuple[int, str]], str]:
    """Month 2 before month 10."""
    pieces = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in pieces], name


def _describe(record: Record) -> str:
    return f"{record.bytes:,} bytes, sha256 {record.sha256[:12]}…"
