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

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class UserError(Exception):
    """Something outside the code is wrong: says what was wanted, what was found and the next step."""

    def __init__(self, wanted: str, found: str, next_step: str) -> None:
        super().__init__(f"wanted  {wanted}\nfound   {found}\nnext    {next_step}")
        self.wanted, self.found, self.next_step = wanted, found, next_step

    def __reduce__(self) -> tuple[type["UserError"], tuple[str, str, str]]:
        return type(self), (self.wanted, self.found, self.next_step)  # on its way from a worker


def run_stage(main: Callable[..., Any], arguments: list[str] | None = None) -> None:
    """Call ``main(*arguments)``; wrong arguments, a `UserError` or a full disk end in plain words and exit status 1."""
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
        main(*arguments)
    except UserError as error:
        name = main.__module__ if main.__module__ != "__main__" else sys.argv[0]
        sys.exit(f"error: {name}\n{_seen_from_here(error)}")
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        sys.exit(f"error: the disk is full\n{_seen_from_here(disk_full(error))}")


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


def disk_full(error: OSError) -> UserError:
    """The plain words for a write that found no room."""
    return UserError(
        "room to write " + str(error.filename or "an output"),
        str(error),
        "free some space (`dvc gc --workspace --all-tags` drops old cache entries) and run the same command again",
    )
