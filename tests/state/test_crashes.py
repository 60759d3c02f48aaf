"""Killed at any moment, out of room, or left alone by its server: a state holds old or new, and nothing by half."""

import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from stages.state.embedded import SqliteStore
from stages.state.facts import Fact
from stages.state.locations import open_store
from stages.state.requests import Known
from stages.state.store import NOTHING, Store
from stages.workspace.errors import UserError

ROOT = Path(__file__).parents[2]
BATCH = 500
WRITER = f"""
import sys
from stages.state.facts import Fact
from stages.state.locations import open_store
store, turn = open_store(sys.argv[1], "flights"), int(sys.argv[2])
while True:
    turn += 1
    store.update({{"t": [Fact(f"[{{k}}]", "", 0, f"[{{turn}}]") for k in range({BATCH})]}})
    print(turn, flush=True)
"""


def rows_of(store: Store) -> Counter[str]:
    return Counter(fact.row for fact in store.changes().facts.get("t", []))


def test_a_writer_killed_at_any_moment_leaves_whole_batches_and_loses_none_that_it_told_of(
    location: str, opened: Callable[[], Store]
) -> None:
    turn = 0
    for attempt in range(3):
        command = [sys.executable, "-c", WRITER, location, str(turn)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == f"{turn + 1}\n"
            time.sleep(0.013 + 0.037 * attempt)  # into one batch or another
            writer.send_signal(signal.SIGKILL)
            told = [turn + 1, *map(int, writer.stdout.read().split())]
        assert writer.returncode == -signal.SIGKILL
        ((row, count),) = rows_of(opened()).items()
        turn = int(row.strip("[]"))
        assert count == BATCH and turn in (told[-1], told[-1] + 1)


@pytest.mark.slow
def test_ingest_killed_while_it_writes_has_taken_in_its_file_or_nothing(flights, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    rows = pl.concat([flights.published, flights.february]).drop("(line)")
    rows.write_csv(tmp_path / "new.csv")
    command = [sys.executable, "-m", "stages.ingest", "nycflights", str(tmp_path / "new.csv"), "--state"]
    whole = len(flights.clean["2013-01"]) + len(flights.clean["2013-02"])
    taken = Counter[int]()
    for attempt in range(12):
        path = tmp_path / f"{attempt}.sqlite"
        with subprocess.Popen([*command, str(path)], cwd=ROOT, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and not path.exists():
                time.sleep(0.001)
            time.sleep(0.004 * attempt)
            process.kill()
        store = open_store(str(path), "nycflights")
        taken[len(store.changes().facts.get("flights", []))] += 1
        subprocess.run([*command, str(path)], cwd=ROOT, check=True, capture_output=True)
        assert len(store.changes().facts["flights"]) == whole
    assert {*taken} <= {0, whole} and taken[0], "none was killed in time"


def test_a_file_that_was_removed_and_made_anew_is_heard_of(tmp_path: Path) -> None:
    reader, path = open_store(str(tmp_path / "f.sqlite"), "flights"), tmp_path / "f.sqlite"
    open_store(str(path), "flights").update({"t": [Fact("[0]", "", 0, "[0]")]})
    before = reader.version()
    for leftover in tmp_path.glob("f.sqlite*"):
        leftover.unlink()
    assert reader.version() == NOTHING
    open_store(str(path), "flights").update({"t": [Fact("[1]", "", 0, "[1]")]})
    changes = reader.changes(before)
    assert changes.anew and rows_of(reader) == {"[1]": 1} and changes.version not in (before, NOTHING)


def test_where_the_disk_is_full_nothing_is_changed_and_later_all_is_taken_in(tmp_path: Path) -> None:
    path = tmp_path / "flights.sqlite"
    store = SqliteStore(path, "flights")
    store.update({"t": [Fact("[0]", "", 0, "[0]")]})
    version = store.version()
    large = {"t": [Fact(f"[{k}]", "", 0, f'["{"x" * 1000}"]') for k in range(1000)]}
    assert store._opened is not None
    (pages,) = store._opened.execute("PRAGMA page_count").fetchone()
    store._opened.execute(f"PRAGMA max_page_count = {pages + 20}")  # no more room than that
    with pytest.raises(UserError, match="full"):
        store.update(large)
    assert store.version() == version and rows_of(store) == {"[0]": 1}
    store._opened.execute("PRAGMA max_page_count = 1000000")
    assert store.update(large) == {"t": 1000}
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_file_that_is_no_state_or_one_of_another_dataset_is_refused_and_kept(tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    other.write_text("not a database " * 100)
    for use in (lambda store: store.version(), lambda store: store.update({"t": [Fact("[0]", "", 0, "")]})):
        with pytest.raises(UserError, match="not a database"):
            use(open_store(str(other), "flights"))
    assert other.read_text() == "not a database " * 100
    open_store(str(tmp_path / "a.sqlite"), "trains").update({"t": [Fact("[0]", "", 0, "")]})
    with pytest.raises(UserError, match="that of trains"):
        open_store(str(tmp_path / "a.sqlite"), "flights").version()
    with pytest.raises(UserError, match="http://"):
        open_store("http://127.0.0.1/", "flights")


def test_redis_killed_and_started_again_has_all_that_it_answered_for(redis_server) -> None:  # type: ignore[no-untyped-def]
    store = open_store(redis_server.url, "killed")
    store.update({"t": [Fact(f"[{k}]", "", 0, "[1]") for k in range(BATCH)]})
    version = store.version()
    try:
        redis_server.kill()
        with pytest.raises(UserError, match="an answer of the state"):
            store.update({"t": [Fact("[0]", "", 0, "[2]")]})
    finally:
        redis_server.start()
    assert store.version() == version and rows_of(store) == {"[1]": BATCH}
    assert store.update({"t": [Fact("[0]", "", 0, "[2]")]}) == {"t": 1}


def test_a_silent_redis_changes_no_answer_and_is_told_of(flights, redis_server) -> None:  # type: ignore[no-untyped-def]
    """What was known stays known; each row says that news may be missing, until the server is back."""
    store = open_store(redis_server.url, "nycflights")
    known = Known(flights.memory, store)
    row = flights.published.head(1)
    before = known.prepare(row)
    try:
        redis_server.kill()
        known.refresh()
        silent = known.prepare(row)
        assert silent.features.equals(before.features) and "does not answer" in str(silent.notes[0])
    finally:
        redis_server.start()
    known.refresh()
    assert known.prepare(row).notes == before.notes and known.version == NOTHING
