"""A table of a database comes in as a CSV with equal bytes for equal rows; what cannot be read is refused in words.

SQLite is a part of Python; a PostgreSQL is started where its programs and a driver are installed.
"""

import csv
import io
import os
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.sources.locations import Absent, Client, Interrupted
from stages.sources.openers import open_location
from stages.workspace.errors import UserError

ROWS = [
    (1, "It works, and well.", "good", 4.5),
    (2, 'A "quoted" word,\nand a second line; ünï 🎲', "bad", None),
    (3, "", "good", 0.1),
    (4, None, None, 1e-9),
]
CREATE = "CREATE TABLE reviews (id INTEGER PRIMARY KEY, text TEXT, label TEXT, stars DOUBLE PRECISION)"
PROGRAMS = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
POSTGRES = "postgresql+pg8000"


def fetch(location: str) -> bytes:
    with open_location(location, start=0, tag="", client=Client(5.0)) as body:
        return b"".join(body.chunks)


def told(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


def wanted(*places: int) -> list[list[str]]:
    names = ["id", "text", "label", "stars"]
    rows = [[names[k] for k in places]]
    return rows + [["" if row[k] is None else str(row[k]) for k in places] for row in ROWS]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.db"
    with sqlite3.connect(path) as database:
        database.execute(CREATE)
        database.executemany("INSERT INTO reviews VALUES (?, ?, ?, ?)", ROWS[::-1])
        database.execute("CREATE VIEW praised AS SELECT text FROM reviews WHERE label = 'good'")
        database.execute("CREATE TABLE pictures (id INTEGER, image BLOB)")
        database.execute("INSERT INTO pictures VALUES (1, x'ff00')")
    database.close()
    return path


def test_a_table_of_sqlite_is_read_whole_and_in_order(file: Path) -> None:
    assert told(fetch(f"sqlite:///{file}?table=reviews")) == wanted(0, 1, 2, 3)
    assert told(fetch(f"sqlite:///{file}?table=reviews&columns=text,label&order=id")) == wanted(1, 2)
    assert len(told(fetch(f"sqlite:///{file}?table=praised"))) == 3


def test_equal_rows_are_equal_bytes_and_another_row_is_not(file: Path) -> None:
    location = f"sqlite:///{file}?table=reviews&columns=text,label"
    before = fetch(location)
    with sqlite3.connect(file) as database:
        database.execute("DELETE FROM reviews WHERE id = 2")
        assert fetch(location) == before, "not committed yet"
        database.execute("INSERT INTO reviews VALUES (?, ?, ?, ?)", ROWS[1])
    assert fetch(location) == before
    with sqlite3.connect(file) as database:
        database.execute("UPDATE reviews SET label = 'bad' WHERE id = 1")
    database.close()
    assert fetch(location) != before


@pytest.mark.parametrize(
    ("location", "kind", "words"),
    [
        ("sqlite:///{file}", UserError, r"no \?table="),
        ("sqlite:///{file}?table=novels", Absent, "the tables pictures, reviews, praised"),
        ("sqlite:///{file}?table=reviews&columns=text,age", UserError, "the columns age in reviews"),
        ("sqlite:///{file}?table=pictures", UserError, "leave it out"),
        ("sqlite:///{file}.none?table=reviews", Absent, "no such file"),
        ("postgresql+pg8000://me:secret@127.0.0.1/db?table=t", UserError, "PLUMBLINE_DATABASE_PASSWORD"),
        ("postgresql+none://me@127.0.0.1/db?table=t", UserError, "a driver for postgresql.none"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(file: Path, location: str, kind: type[UserError], words: str) -> None:
    with pytest.raises(kind, match=words) as refused:
        fetch(location.format(file=file))
    assert "secret" not in str(refused.value)
    assert not file.with_suffix(".db.none").exists()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("text,label\n" * 200)
    with pytest.raises(UserError, match="not a database"):
        fetch(f"sqlite:///{tmp_path}/a.db?table=reviews")


# ── PostgreSQL ───────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL of our own that asks for a password; who it is at, without one."""
    pytest.importorskip("pg8000", reason="no driver for PostgreSQL (pg8000)")
    if PROGRAMS is None:
        pytest.skip("no PostgreSQL under /usr/lib/postgresql (apt install postgresql)")
    user = {"user": "postgres"} if os.getuid() == 0 else {}  # it refuses to run as root
    folder = Path("/tmp") / f"plumbline-pg-{os.getpid()}"  # sockets and parents that the user may enter
    folder.mkdir(mode=0o700)
    if user:
        shutil.chown(folder, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (secret := folder / "password").write_text("sesame")
    secret.chmod(0o644)
    data = folder / "data"
    made = [PROGRAMS / "initdb", "-D", data, "-U", "reader", "-A", "scram-sha-256", f"--pwfile={secret}", "-N"]
    subprocess.run(made, check=True, capture_output=True, cwd="/", **user)
    options = ["-D", data, "-p", str(port), "-k", folder, "-h", "127.0.0.1", "-F"]
    running = subprocess.Popen(
        [PROGRAMS / "postgres", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **user
    )
    try:
        fill(port)
        yield f"{POSTGRES}://reader@127.0.0.1:{port}/postgres"
    finally:
        running.terminate()
        running.wait(30)
        shutil.rmtree(folder)


def fill(port: int) -> None:
    import pg8000.dbapi

    for attempt in range(100):
        try:
            database = pg8000.dbapi.connect("reader", "127.0.0.1", "postgres", port, "sesame")
            break
        except pg8000.dbapi.Error:
            if attempt == 99:
                raise
            time.sleep(0.2)
    cursor = database.cursor()
    cursor.execute(CREATE)
    cursor.executemany("INSERT INTO reviews VALUES (%s, %s, %s, %s)", ROWS[::-1])
    database.commit()
    database.close()


def test_a_table_of_postgresql_is_read_as_one_of_sqlite(server: str, file: Path, monkeypatch) -> None:
    monkeypatch.setenv("PLUMBLINE_DATABASE_PASSWORD", "sesame")
    for query in ("table=reviews", "table=public.reviews&columns=text,label&order=id"):
        assert fetch(f"{server}?{query}") == fetch(f"sqlite:///{file}?{query.replace('public.', '')}")


def test_a_wrong_password_is_told_without_it(server: str, monkeypatch) -> None:
    monkeypatch.setenv("PLUMBLINE_DATABASE_PASSWORD", "open-barley")
    with pytest.raises((UserError, Interrupted)) as refused:
        fetch(f"{server}?table=reviews")
    assert "password" in str(refused.value)
    assert "barley" not in str(refused.value)
