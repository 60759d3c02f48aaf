"""The log of forecasts in one file: what was said when, by which model, and what came true.

A forecast is kept once, by series, horizon, the moment it was made and the model: the same again changes nothing, and
another value for the same is told and not kept.  An outcome that is told anew with another value is a revision: it
stands beside the first one, and the last one counts.  SQLite in write-ahead mode, as the state is (`stages.state`):
each change is one transaction, readers never wait, a second writer waits for its turn.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import polars as pl

from stages.forecasts.made import MADE, VALUES
from stages.models.forecasts import MADE_AT
from stages.state.embedded import write_ahead
from stages.workspace.errors import UserError

Way = Literal["scheduled", "served", "replayed"]
"""How a forecast came about: by the command, by a request, or with hindsight, as it would have been made then."""
FORMAT = 1
WAIT_S = 30.0  # for another writer's turn to end
SAME = 1e-6  # of a value: float32 sums of another machine differ by less
MOMENT = "%Y-%m-%dT%H:%M:%S.%6f"
KEY = ("series", "horizon", "made_at", "model")
COLUMNS = (*KEY, "due_at", "way", "logged_at", "now", "level", *VALUES, "scale")
TABLES = (
    "CREATE TABLE IF NOT EXISTS log (format INTEGER, dataset TEXT)",
    f"INSERT INTO log SELECT {FORMAT}, ? WHERE NOT EXISTS (SELECT * FROM log)",
    f"""CREATE TABLE IF NOT EXISTS forecasts (
    series TEXT, horizon TEXT, made_at TEXT, model TEXT, due_at TEXT, way TEXT, logged_at TEXT,
    now REAL, level REAL, {", ".join(f"{name} REAL" for name in VALUES)}, scale REAL, PRIMARY KEY ({", ".join(KEY)})
) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS by_moment ON forecasts (made_at)",
    """CREATE TABLE IF NOT EXISTS outcomes (
    series TEXT, at TEXT, revision INTEGER, value REAL, heard_at TEXT, PRIMARY KEY (series, at, revision)
) WITHOUT ROWID""",
)
LATEST = "SELECT series, at, MAX(revision) AS revision, value, heard_at FROM outcomes GROUP BY series, at"
JOINED = f"""SELECT {", ".join(f"f.{name}" for name in COLUMNS)}, o.value, o.revision, o.heard_at
FROM forecasts f LEFT JOIN ({LATEST}) o ON o.series = f.series AND o.at = f.due_at
WHERE f.made_at >= ? ORDER BY f.made_at, f.series, f.due_at, f.model"""
READ = {
    **{name: pl.String() for name in (*KEY, "due_at", "way", "logged_at")},
    **{name: pl.Float64() for name in ("now", "level", *VALUES, "scale", "value")},
    "revision": pl.Int64(), "heard_at": pl.String(),
}  # fmt: skip
STEPS = {
    "SQLITE_FULL": "free some space; nothing was changed, so run the same command again",
    "SQLITE_BUSY": "wait until the other command has ended, then run the same one again",
}


class Kept(NamedTuple):
    """How many forecasts are new, how many were known, and the keys of those that were kept with another value."""

    new: int
    known: int
    differing: list[str]


class Heard(NamedTuple):
    """How many outcomes are new, how many were known, and how many are known with another value from now on."""

    new: int
    known: int
    revised: int


@dataclass(frozen=True)
class ForecastLog:
    """A file that appears with the first forecast or outcome.  Safe beside readers and further writers."""

    path: Path
    dataset: str

    def keep(self, made: pl.DataFrame, *, model: str, way: Way, logged_at: datetime) -> Kept:
        """Keep forecasts (`stages.forecasts.made.MADE`) of a model, all or none."""
        told = {"model": model, "way": way, "logged_at": _text(logged_at)}
        rows = _with_texts(made.select(*MADE)).with_columns(pl.lit(text).alias(name) for name, text in told.items())
        new, known, differing = [], 0, []
        with self._changing() as connection:
            for row in rows.select(COLUMNS).iter_rows():
                old = connection.execute(
                    f"SELECT {', '.join(VALUES)} FROM forecasts WHERE {' AND '.join(f'{name} = ?' for name in KEY)}",
                    row[: len(KEY)],
                ).fetchone()
                if old is None:
                    new.append(row)
                elif all(_alike(*pair) for pair in zip(old, row[-1 - len(VALUES) : -1], strict=True)):
                    known += 1
                else:
                    differing.append(" ".join(row[:3]))
            connection.executemany(f"INSERT INTO forecasts VALUES ({', '.join('?' * len(COLUMNS))})", new)
        return Kept(len(new), known, differing)

    def hear(self, observed: pl.DataFrame, *, heard_at: datetime) -> Heard:
        """Keep what came true (`Dataset.observed`), all or none; of several values told at once, the last."""
        rows = _with_texts(observed.select("series", "at", pl.col("value").cast(pl.Float64)))
        rows = rows.drop_nulls().unique(["series", "at"], keep="last", maintain_order=True)
        if rows.is_empty():
            return Heard(0, 0, 0)
        fresh, revised = [], 0
        with self._changing() as connection:
            first = (rows["at"].min(),)
            old = {(series, at): (revision, value) for series, at, revision, value, _ in
                   connection.execute(f"SELECT * FROM ({LATEST}) WHERE at >= ?", first)}  # fmt: skip
            for series, at, value in rows.iter_rows():
                revision, before = old.get((series, at), (-1, None))
                if before is None or not _alike(before, value):
                    fresh.append((series, at, revision + 1, value, _text(heard_at)))
                    revised += before is not None
            connection.executemany("INSERT INTO outcomes VALUES (?, ?, ?, ?, ?)", fresh)
        return Heard(len(fresh) - revised, len(rows) - len(fresh), revised)

    def read(self, since: datetime = datetime.min) -> pl.DataFrame:
        """Forecasts made since a moment, in their order, with ``value`` and ``revision`` of the outcome where known."""
        return self._frame(JOINED, READ, (_text(since),))

    def outcomes(self, since: datetime = datetime.min) -> pl.DataFrame:
        """What came true since a moment, with ``revision`` (0: never corrected), in order of time."""
        kinds = {name: READ.get(name, pl.String()) for name in ("series", "at", "revision", "value", "heard_at")}
        return self._frame(f"SELECT * FROM ({LATEST}) WHERE at >= ? ORDER BY at, series", kinds, (_text(since),))

    def newest(self) -> datetime | None:
        """The moment at which the last forecast was made; None where there is none."""
        found = self._rows("SELECT MAX(made_at) FROM forecasts")
        return datetime.fromisoformat(found[0][0]) if found and found[0][0] else None

    def _rows(self, query: str, values: tuple[str, ...] = ()) -> list[Any]:
        if not self.path.exists():
            return []
        with self._connection() as connection:
            if not connection.execute("SELECT * FROM sqlite_master WHERE name = 'log'").fetchone():
                return []  # killed before its first change
            self._refuse_another(connection)
            return connection.execute(query, values).fetchall()

    def _frame(self, query: str, kinds: dict[str, pl.DataType], values: tuple[str, ...]) -> pl.DataFrame:
        rows = self._rows(query, values)
        frame = pl.DataFrame(rows, schema=kinds, orient="row")
        moments = [name for name in ("made_at", "due_at", "logged_at", "at", "heard_at") if name in kinds]
        return frame.with_columns(pl.col(moments).str.to_datetime("%Y-%m-%dT%H:%M:%S%.6f", time_unit="us"))

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """One transaction that writes: all of it happens, or nothing."""
        with self._connection() as connection:
            write_ahead(connection)
            connection.execute("PRAGMA synchronous = FULL")  # what was kept survives a loss of power
            connection.execute("BEGIN IMMEDIATE")
            for statement in TABLES:
                connection.execute(statement, (self.dataset,) if "?" in statement else ())
            self._refuse_another(connection)
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=WAIT_S, isolation_level=None)) as connection:
                yield connection
        except (sqlite3.Error, OSError) as error:
            step = STEPS.get(getattr(error, "sqlite_errorname", ""), "name another file by `--log`")
            raise UserError(f"to read and write the log of forecasts {self.path}", str(error), step) from error

    def _refuse_another(self, connection: sqlite3.Connection) -> None:
        found = connection.execute("SELECT format, dataset FROM log").fetchone()
        if found != (FORMAT, self.dataset):
            raise UserError(
                f"the log of {self.dataset} (format {FORMAT}) in {self.path}",
                f"that of {found[1]} (format {found[0]})",
                "name another file by `--log`",
            )


def as_said(forecasts: pl.DataFrame) -> pl.DataFrame:
    """Of each series, horizon and moment, one forecast: of several, the one that was said first, not replayed."""
    first = forecasts.sort(pl.col("way") == "replayed", "logged_at", maintain_order=True)
    return first.unique(list(KEY[:3]), keep="first", maintain_order=True).sort(MADE_AT, maintain_order=True)


def _with_texts(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.selectors.datetime().dt.strftime(MOMENT))


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


def _alike(old: float, new: float) -> bool:
    return abs(old - new) <= SAME * max(abs(old), abs(new))
