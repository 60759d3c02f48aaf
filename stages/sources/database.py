"""A table of a relational database as a CSV: the rows of some columns, in an order that repeats.

``sqlite:////folder/file.db?table=reviews&columns=text,label`` or ``postgresql+pg8000://user@host/db?table=reviews``,
with ``order=`` for columns to sort by (default: all that are read).  A password never stands in a location, which is
stored: ``PLUMBLINE_DATABASE_PASSWORD`` has it.  Equal rows give equal bytes, so a checksum tells whether the table has
changed.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.sources.locations import Absent, Body, Client, Interrupted
from stages.workspace.errors import UserError

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Table

PASSWORD = "PLUMBLINE_DATABASE_PASSWORD"
ROWS_AT_ONCE = 1000
OURS = ("table", "columns", "order")  # of a location's query; the driver gets the rest
NAMED = "name it: `…?table=reviews&columns=text,label&order=id`"


@contextmanager
def open_database(location: str, _start: int, _tag: str, client: Client) -> Iterator[Body]:
    """The table that a location names, read in one transaction."""
    from sqlalchemy import create_engine, exc, make_url

    url = make_url(location)
    safe, asked = url.render_as_string(hide_password=True), {key: str(url.query.get(key, "")) for key in OURS}
    if url.password:
        move = f"take it out of the location and `export {PASSWORD}=…`"
        raise UserError(f"a location without a password: {safe}", "one with a password", move)
    if not asked["table"]:
        raise UserError(f"the table to read in {safe}", "no ?table=", NAMED)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise Absent(
            safe, f"no such file: {url.database}", "correct the location: `sqlite:////` begins an absolute path"
        )
    try:
        engine = create_engine(_connectable(url), connect_args=_patience(url, client.timeout_s))
    except (exc.NoSuchModuleError, ModuleNotFoundError) as error:
        known = "install the driver, such as `pip install pg8000` for postgresql+pg8000://"
        raise UserError(f"a driver for {url.drivername}", str(error), known) from None
    try:
        with engine.connect() as connection:
            table, columns, order = _find(connection, safe, asked)
            yield Body(_as_csv(connection, table, columns, order), 0, None, tag="")
    except exc.OperationalError as error:
        raise Interrupted(f"{safe}: {str(error.orig).strip().splitlines()[0]}") from error
    except exc.DBAPIError as error:
        what = str(error.orig).strip().splitlines()[0]
        raise UserError(safe, what, "look at the database and at the rights of its user") from None
    finally:
        engine.dispose()


def _connectable(url: URL) -> URL:
    """The location without what is ours, and with the password of the environment."""
    bare = url.difference_update_query(OURS)
    return bare if url.get_backend_name() == "sqlite" else bare.set(password=os.environ.get(PASSWORD))


def _patience(url: URL, timeout_s: float) -> dict[str, Any]:
    return {"timeout": timeout_s} if url.drivername in ("sqlite", "postgresql+pg8000") else {}


def _find(connection: Connection, safe: str, asked: dict[str, str]) -> tuple[Table, list[str], list[str]]:
    """The table, the columns that are read and those it is sorted by."""
    from sqlalchemy import MetaData, Table, exc, inspect

    schema, _, name = asked["table"].rpartition(".")
    try:
        table = Table(name, MetaData(), schema=schema or None, autoload_with=connection)
    except exc.NoSuchTableError:
        look = inspect(connection)
        found = ", ".join([*look.get_table_names(schema or None), *look.get_view_names(schema or None)]) or "none"
        raise Absent(f"the table {asked['table']} in {safe}", f"the tables {found}", NAMED) from None
    there = [column.name for column in table.columns]
    columns = _named(asked["columns"]) or there
    order = _named(asked["order"]) or columns
    if lacking := [each for each in dict.fromkeys((*columns, *order)) if each not in there]:
        raise UserError(f"the columns {', '.join(lacking)} in {asked['table']}", ", ".join(there), NAMED)
    return table, columns, order


def _named(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _as_csv(connection: Connection, table: Table, columns: Sequence[str], order: Sequence[str]) -> Iterator[bytes]:
    """The rows as CSV, some at a time."""
    from sqlalchemy import select

    chosen = select(*(table.c[name] for name in columns)).order_by(*(table.c[name] for name in order))
    found = connection.execution_options(stream_results=True, yield_per=ROWS_AT_ONCE).execute(chosen)
    yield _lines([columns])
    for rows in found.partitions():
        yield _lines([[_text(value, name) for value, name in zip(row, columns, strict=True)] for row in rows])


def _text(value: Any, column: str) -> str:
    if isinstance(value, bytes | memoryview):
        raise UserError(f"text or numbers in the column {column}", "bytes", "leave it out: `…&columns=…`")
    return "" if value is None else str(value)


def _lines(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
