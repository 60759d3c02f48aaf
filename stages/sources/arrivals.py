"""A source that keeps publishing: fetch what is new, and replace the last good file only as a whole.

``arrivals/<dataset>/<name>``             the last good file: what ``download`` is to take (`download.mirror`)
``arrivals/<dataset>/<name>.json``        its note: bytes, sha256, the tag that its server gave it
``sources/<dataset>.json``                its size and checksum, for the commit (`lock.py`)
``sources/<dataset>.revisions.jsonl``     values that were published twice, the one before and the one after

All four change together: the intention is written down first, and whoever comes next after a kill carries it out.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Lock, Timer
from typing import Any

from stages.runtime.log import progress
from stages.sources.locations import Client, Unchanged
from stages.sources.lock import Record, open_lock, write_records
from stages.sources.transfer import Meter, Source, discard, part_path, size_of, tag_of, transfer, writing
from stages.workspace.files import read_json, sha256_of, start_folder, whole_file, write_json

ARRIVALS = Path("arrivals")
CANDIDATE = "candidate"  # a folder for the file under its published name: readers ask for that
INTENDED = "intended.json"


def last_good(dataset: str, name: str) -> Path:
    """Where the file is kept that was last found good."""
    return ARRIVALS / dataset / name


def fetch_candidate(
    source: Source, dataset: str, gathering: Path, *, attempts: int, timeout_s: float, limit_s: float
) -> dict[str, Any] | None:
    """Bring the published file into ``gathering/candidate/``, whole; returns its note, or None where it is not new.

    Parameters
    ----------
    timeout_s, limit_s
        The longest silence of a server, and the longest transfer: one that drips is given up.
    """
    part, stop, held = part_path(gathering, source), Event(), read_note(dataset, source.name)
    client, timer = Client(timeout_s, held=str(held.get("tag", ""))), Timer(limit_s, stop.set)
    timer.daemon = True
    timer.start()
    try:
        with progress("arrive", None, "B") as counter:
            sha256 = transfer(source, part, attempts=attempts, client=client, meter=Meter(counter, Lock()), stop=stop)
    except Unchanged:
        return None
    finally:
        timer.cancel()
    note = {"name": source.name, "bytes": size_of(part), "sha256": sha256, "tag": tag_of(part)}
    if sha256 == held.get("sha256"):
        discard(part)
        return None
    with writing(gathering / CANDIDATE):
        start_folder(gathering / CANDIDATE)  # one that was refused must not be judged in the place of this one
        part.replace(gathering / CANDIDATE / source.name)
    discard(part)
    return note


def keep(dataset: str, gathering: Path, note: dict[str, Any], revisions: Sequence[dict[str, Any]]) -> None:
    """Make the candidate the last good file; from the intention on, a kill loses nothing."""
    with writing(gathering):
        write_json(gathering / INTENDED, {"note": note, "revisions": list(revisions)})
    settle(dataset, gathering)


def settle(dataset: str, gathering: Path) -> None:
    """Carry out what was intended, perhaps by a run that was killed; the same again changes nothing."""
    if not (gathering / INTENDED).exists():
        return
    intended = read_json(gathering / INTENDED)
    note, target = intended["note"], last_good(dataset, intended["note"]["name"])
    with writing(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target) as aside:
            shutil.copyfile(gathering / CANDIDATE / note["name"], aside)
        write_json(_note(target), note)
    log = Path("sources") / f"{dataset}.revisions.jsonl"
    told = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    fresh = [line for each in intended["revisions"] if (line := json.dumps(each, ensure_ascii=False)) not in told]
    with writing(log):
        log.parent.mkdir(exist_ok=True)
        if fresh:
            with whole_file(log) as aside:
                aside.write_text("".join(f"{line}\n" for line in [*told, *fresh]), encoding="utf-8")
        lock = open_lock(f"sources/{dataset}.json")
        record = Record(bytes=note["bytes"], sha256=note["sha256"])
        write_records(Path(f"sources/{dataset}.json"), lock.records | {note["name"]: record})
        for path in (target, _note(target), log, Path(f"sources/{dataset}.json")):
            for left in path.parent.glob(f".{path.name}.*.part"):  # of a run that was killed while it wrote
                left.unlink()
        (gathering / INTENDED).unlink()


def is_recorded(dataset: str, note: dict[str, Any]) -> bool:
    """Whether a file is, to the byte, the one that was kept last: then it needs no comparison."""
    record = open_lock(f"sources/{dataset}.json").records.get(note["name"])
    return record == Record(bytes=note["bytes"], sha256=note["sha256"])


def read_note(dataset: str, name: str) -> dict[str, Any]:
    """The note of the last good file; empty where there is none, or where the file beside it is another one."""
    file = last_good(dataset, name)
    if not (file.exists() and _note(file).exists()):
        return {}
    note: dict[str, Any] = read_json(_note(file))
    return note if note["sha256"] == sha256_of(file) else {}


def _note(file: Path) -> Path:
    return file.with_name(f"{file.name}.json")
