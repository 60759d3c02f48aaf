"""The one exception that a user is meant to read, and how a stage ends with it."""

import errno
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from stages.workspace.terminal import write_plainly
from stages.workspace.waiting import let_dvc_end

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR)


class UserError(Exception):
    """Something outside the code is wrong: says what was wanted, what was found and the next step."""

    def __init__(self, wanted: str, found: str, next_step: str) -> None:
        super().__init__(f"wanted  {wanted}\nfound   {found}\nnext    {next_step}")
        self.wanted, self.found, self.next_step = wanted, found, next_step

    def __reduce__(self) -> tuple[type["UserError"], tuple[str, str, str]]:
        return type(self), (self.wanted, self.found, self.next_step)  # on its way from a worker


def run_stage(main: Callable[..., Any], arguments: list[str] | None = None) -> None:
    """Call ``main(*arguments)``; wrong arguments, a `UserError` or an `OSError` end in plain words and exit status 1.

    A pipe that its reader has closed is `run_command`'s to end.
    """
    write_plainly()
    arguments = sys.argv[1:] if arguments is None else arguments
    main = importable(main)
    signature = inspect.signature(main)
    try:
        signature.bind(*arguments)
    except TypeError as error:
        wanted = " ".join(f"<{name}>" for name in signature.parameters)
        sys.exit(f"error: {error}; usage: python {sys.argv[0]} {wanted}")
    try:
        with system_words():
            main(*arguments)
    except UserError as error:
        name = main.__module__ if main.__module__ != "__main__" else sys.argv[0]
        sys.exit(f"error: {name}\n{_seen_from_here(error)}")
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        sys.exit(f"error: the disk is full\n{_seen_from_here(disk_full(error))}")
    finally:
        let_dvc_end()


def _seen_from_here(error: UserError) -> str:
    """Paths are absolute where threads read and write; people type those of this folder without it."""
    return str(error).replace(f"{Path.cwd()}{os.sep}", "")


def importable(main: Callable[..., Any]) -> Callable[..., Any]:
    """The same function of the module that is run, imported by its name: other processes then find what it sends."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if main.__module__ != "__main__" or spec is None:
        return main
    found: Callable[..., Any] = getattr(import_module(spec.name), main.__name__, main)
    return found


@contextmanager
def plain_words() -> Iterator[None]:
    """Turn a method's refusal (wanted, found, next step) into the error that a user reads."""
    try:
        yield
    except ValueError as error:
        if len(error.args) != 3:
            raise
        raise UserError(*error.args) from None


@contextmanager
def system_words() -> Iterator[None]:
    """Turn what the operating system refuses into the error that a user reads; a full disk and a closed pipe stay."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL or isinstance(error, BrokenPipeError):
            raise
        if error.filename is None:
            step = "put that right, then run the same command again"
            raise UserError("an answer from the system", str(error), step) from error
        steps = {errno.ENOENT: "check the path; `dvc checkout` brings outputs back", errno.EMFILE: "raise `ulimit -n`"}
        mend = "mend its permissions, or name another folder" if error.errno in UNWRITABLE else "put that right"
        found, step = os.strerror(error.errno or 0), steps.get(error.errno or 0, mend)
        raise UserError(f"to read and write {error.filename}", found, step) from error


def disk_full(error: OSError) -> UserError:
    """The plain words for a write that found no room."""
    return UserError(
        "room to write " + str(error.filename or "an output"),
        str(error),
        "free some space (`dvc gc --workspace --all-tags` drops old cache entries) and run the same command again",
    )
