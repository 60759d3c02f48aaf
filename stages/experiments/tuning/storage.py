"""Where the trials of a study are kept: a SQLite file, or any database that SQLAlchemy can reach.

Every finished trial is in the database before the next one begins.  What goes wrong there is told in plain words, and
a password in the address is never shown.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy as sa

from stages.runtime.log import log
from stages.workspace.errors import UserError

URL_VARIABLE = "PLUMBLINE_STUDY_STORAGE"
FILE = "study.db"
LOCK_WAIT_S = 15.0  # for another program to finish its write
CONNECT_WAIT_S = 10
SQLITE = "sqlite"
TIMEOUTS = {"postgresql": "connect_timeout", "mysql": "connect_timeout", "mariadb": "connect_timeout"}
"""What drivers of the database call the seconds they wait for a server."""


def storage_url(declared: str | None, folder: Path) -> str:
    """The address of the database: from the environment, as declared, or a SQLite file in ``folder``."""
    return os.environ.get(URL_VARIABLE) or declared or f"{SQLITE}:///{(folder / FILE).as_posix()}"


@contextmanager
def open_storage(url: str) -> Iterator[optuna.storages.RDBStorage]:
    """The database at ``url``, its tables made where there are none; errors of it, until the block ends, in words.

    Raises
    ------
    UserError
        No such server, no driver, a locked or a damaged file, no permission, another version's tables.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with plain_storage_words(url):
        address = sa.engine.make_url(url)
        path = file_of(address)
        if path is not None and not path.parent.exists():
            path.parent.mkdir(parents=True)
        storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": _patience(address)})
        try:
            if path is not None:
                _look_for_damage(storage, path)
            yield storage
        finally:
            storage.remove_session()
            storage.engine.dispose()


@contextmanager
def plain_storage_words(url: str) -> Iterator[None]:
    """Turn what SQLAlchemy and Optuna say of a database into the error that a user reads."""
    try:
        yield
    except optuna.exceptions.StorageInternalError as error:
        raise tell_storage_error(url, error.__cause__ or error) from error
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        raise tell_storage_error(url, error) from error
    except RuntimeError as error:
        if "optuna" not in str(error).lower():
            raise
        raise UserError(f"a study of this version of Optuna in {shown(url)}", str(error), ANEW) from error


ANEW = "name another storage (datasets.<dataset>.tune.storage), or move the file away and run again"


def tell_storage_error(url: str, error: BaseException) -> Exception:
    """The plain words for one error of a database."""
    found = " ".join(str(getattr(error, "orig", None) or error).split())
    where = shown(url)
    if isinstance(error, sa.exc.ArgumentError | sa.exc.NoSuchModuleError):
        return UserError("an RDB URL for the study, such as postgresql://host/studies", f"{where}: {found}", NAME_IT)
    if isinstance(error, ImportError):
        driver, found = f"the database driver that {where} needs", str(error.__cause__ or error)
        return UserError(driver, found, f"install it into this environment (`pip install …`), or {NAME_IT}")
    if "locked" in found:
        told = f"{found}: another program has been writing to it for {LOCK_WAIT_S:g} s"
        return UserError(f"to write to {where}", told, "close that program; then run the same command again to go on")
    if "is full" in found:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), where)
    if "readonly" in found or "unable to open" in found:
        return UserError(f"to open and write {where}", found, "look at the permissions of the file and of its folder")
    if file_of(sa.engine.make_url(url)) is not None:
        return UserError(f"a study in {where}", f"a damaged or foreign file: {found}", DAMAGED)
    return UserError(
        f"the database {where}",
        found,
        "start the server or correct the address; then run the same command again: the study goes on where it was",
    )


NAME_IT = f"correct datasets.<dataset>.tune.storage or {URL_VARIABLE}; null keeps a SQLite file under tuning/"
DAMAGED = "run again with --fresh: the file is moved aside, and a new study begins; or bring a copy of it back"


def shown(url: str) -> str:
    """The address as a message may show it; a SQLite file by its path."""
    try:
        address = sa.engine.make_url(url)
    except sa.exc.ArgumentError:
        return "the given address"  # what cannot be read may hold a password anywhere
    path = file_of(address)
    return address.render_as_string(hide_password=True) if path is None else str(path)


def file_of(address: sa.engine.URL) -> Path | None:
    """The file of a SQLite address."""
    is_file = address.get_backend_name() == SQLITE and address.database not in (None, "", ":memory:")
    return Path(str(address.database)) if is_file else None


def move_damaged(url: str) -> None:
    """Move a SQLite file aside when it is none, so that a new study can begin; a sound one stays."""
    path = file_of(sa.engine.make_url(url))
    if path is None or not path.exists():
        return
    try:
        with open_storage(url) as storage:
            optuna.get_all_study_names(storage)
            return
    except UserError as error:
        if error.next_step != DAMAGED:
            raise
    kept = path.with_name(f"{path.name}.damaged")
    path.replace(kept)
    log.warning("%s was damaged and is kept as %s", path, kept)


def _patience(address: sa.engine.URL) -> dict[str, Any]:
    """How long the driver waits for a lock or a server."""
    backend = address.get_backend_name()
    if backend == SQLITE:
        return {"timeout": LOCK_WAIT_S}
    return {TIMEOUTS[backend]: CONNECT_WAIT_S} if backend in TIMEOUTS else {}


def _look_for_damage(storage: optuna.storages.RDBStorage, path: Path) -> None:
    """SQLite notices some damage only when it reads the page."""
    with storage.engine.connect() as connection:
        found = connection.execute(sa.text("PRAGMA quick_check(1)")).scalar()
    if found != "ok":
        raise UserError(f"a study in {path}", f"a damaged or foreign file: {found}", DAMAGED)
