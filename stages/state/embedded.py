"""The store in one file: SQLite in write-ahead mode.

A reader sees the last whole change while a writer is at work, and a second writer waits for its turn.  DuckDB, the
usual choice for tables, lets one process at a time open a file that is written to: a server could not read while
`ingest` writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from uuid import uuid4

from stages.state.facts import Fact, newer
from stages.state.store import NOTHING, Changes, Facts
from stages.workspace.errors import UserError

FORMAT = 1
WAIT_S = 30.0  # for another writer's turn to end
MODE, TURNS = "PRAGMA journal_mode = WAL", 100
TABLES = f"""
CREATE TABLE IF NOT EXISTS facts (
    name TEXT, key TEXT, partition TEXT, level INTEGER, row TEXT, version INTEGER, PRIMARY KEY (name, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS changes ON facts (version);
CREATE TABLE IF NOT EXISTS store (format INTEGER, dataset TEXT, id TEXT, version INTEGER);
INSERT INTO store SELECT {FORMAT}, ?, ?, 0 WHERE NOT EXISTS (SELECT * FROM store);
"""
OLD = "SELECT partition, level, row FROM facts WHERE name = ? AND key = ?"
WRITE = "INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?, ?)"


def write_ahead(connection: sqlite3.Connection) -> None:
    """Switch a file to write-ahead mode, once those that are at it have ended.

    SQLite does not wait for its turn where the mode changes, as it does everywhere else: where eight made a file at
    the same moment, one of them failed in 2 of 40 times.
    """
    for _ in range(TURNS):
        try:
            connection.execute(MODE)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY":
                raise
            connection.execute("BEGIN EXCLUSIVE")  # which waits
            connection.execute("COMMIT")
    connection.execute(MODE)


class SqliteStore:
    """See `stages.state.store.Store`.  A file that does not exist holds nothing, and appears with the first fact."""

    def __init__(self, path: Path, dataset: str) -> None:
        self._path, self._dataset = path, dataset
        self._opened: sqlite3.Connection | None = None
        self._file = 0  # the number of the one that is open: the path may come to hold another
        self._turn = Lock()  # threads of this process share the connection

    def version(self) -> str:
        """The store's own name and a number that grows: a file that was made anew is not taken for the old one."""
        with self._connection() as connection:
            return NOTHING if connection is None else _version(connection)

    def changes(self, since: str = NOTHING) -> Changes:
        """See `Store.changes`; one read transaction sees one moment."""
        with self._connection() as connection:
            if connection is None:
                return Changes(NOTHING, {}, anew=since != NOTHING)
            connection.execute("BEGIN")
            try:
                now = _version(connection)
                store, _, last = since.partition(":")
                same = bool(store) and now.partition(":")[0] == store
                rows = connection.execute(
                    "SELECT name, key, partition, level, row FROM facts WHERE version > ? ORDER BY name, key",
                    (int(last) if same else 0,),
                ).fetchall()
            finally:
                connection.execute("COMMIT")
        facts: dict[str, list[Fact]] = {}
        for name, *fact in rows:
            facts.setdefault(name, []).append(Fact(*fact))
        return Changes(now, facts, anew=not same)

    def update(self, facts: Facts) -> dict[str, int]:
        """See `Store.update`."""
        with self._connection(write=True) as connection:
            assert connection is not None
            connection.execute("BEGIN IMMEDIATE")
            try:
                counts = self._write(connection, facts)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk has ended it already
                    connection.execute("ROLLBACK")
                raise
        return counts

    def _write(self, connection: sqlite3.Connection, facts: Facts) -> dict[str, int]:
        (version,) = connection.execute("SELECT version + 1 FROM store").fetchone()
        counts = {}
        for name, told in facts.items():
            found = {key: connection.execute(OLD, (name, key)).fetchone() for key in {fact.key for fact in told}}
            changed = newer({key: Fact(key, *row) for key, row in found.items() if row}, told)
            connection.executemany(WRITE, ((name, *fact, version) for fact in changed.values()))
            counts[name] = len(changed)
        if any(counts.values()):
            connection.execute("UPDATE store SET version = ?", (version,))
        return counts

    def close(self) -> None:
        """Let go of the file."""
        with self._turn:
            if self._opened is not None:
                self._opened.close()
            self._opened = None

    @contextmanager
    def _connection(self, *, write: bool = False) -> Iterator[sqlite3.Connection | None]:
        with self._turn, self._plain_words():
            file = self._path.stat().st_ino if self._path.exists() else 0
            if self._opened is not None and file != self._file:
                self._opened.close()
                self._opened = None
            if self._opened is None and (write or file):
                self._opened = self._open()
                self._file = self._path.stat().st_ino
            yield self._opened

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
        try:
            write_ahead(connection)
            connection.execute("PRAGMA synchronous = FULL")  # what was taken in survives a loss of power
            connection.execute("BEGIN IMMEDIATE")
            *tables, first = TABLES.strip().rstrip(";").split(";\n")
            for statement in tables:
                connection.execute(statement)
            connection.execute(first, (self._dataset, uuid4().hex))
            connection.execute("COMMIT")
            found = connection.execute("SELECT format, dataset FROM store").fetchone()
        except BaseException:
            connection.close()
            raise
        if found != (FORMAT, self._dataset):
            connection.close()
            raise UserError(
                f"the state of {self._dataset} (format {FORMAT}) in {self._path}",
                f"that of {found[1]} (format {found[0]})",
                "name another file by `--state`",
            )
        return connection

    @contextmanager
    def _plain_words(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            step = {
                "SQLITE_FULL": "free some space; nothing was changed, so run the same command again",
                "SQLITE_BUSY": "wait until the other command has ended, then run the same one again",
            }.get(getattr(error, "sqlite_errorname", ""), "name another file by `--state`, or remove this one: "
                  "a bundle's own state is in the bundle, and files can be taken in again")  # fmt: skip
            raise UserError(f"to read and write the state {self._path}", str(error), step) from error


def _version(connection: sqlite3.Connection) -> str:
    store, number = connection.execute("SELECT id, version FROM store").fetchone()
    return f"{store}:{number}" if number else NOTHING
