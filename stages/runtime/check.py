"""Does a worker compute what this process would?  The same code, libraries and folder, asked before it works.

A worker is asked when a stage connects; one that joins later is asked by the first task that it gets.  The functions
here run on workers.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from threading import Lock
from typing import TypeVar

from stages.runtime.digest import code_state
from stages.workspace.errors import UserError

Result = TypeVar("Result")

PACKAGES = ("dask", "distributed", "numpy", "pandera", "polars", "pyarrow", "xgboost")
CODE, FOLDER = "code of stages", "this folder"
TOKENS = Path(".dvc/tmp/cluster")
SHOWN = 12  # lines of difference in a message
ALIKE = "workers with the same versions, the same code and the same folder"
MEND = (
    "install requirements.lock on the workers, start them anew in the folder of this run (docs/cluster.md), and run\n"
    "        the same command again"
)

_at_work: Counter[str] = Counter()  # tasks that run in this worker process, by the token of their stage
_at_work_lock = Lock()


@dataclass(frozen=True)
class Handshake:
    """What a task shows on arrival: the facts of the process that sent it, and a token that lies in its folder."""

    facts: tuple[tuple[str, str], ...]
    token: str | None
    """None when workers see no file of the workspace."""


def describe(token: str | None) -> dict[str, str]:
    """Facts about this process that a result may depend on."""
    facts = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
    facts |= {name: _version(name) for name in PACKAGES}
    facts[CODE] = code_state()
    if token is not None:
        facts[FOLDER] = "seen" if (TOKENS / token).is_file() else f"not seen from {Path.cwd()}"
    return facts


def differences(wanted: Mapping[str, str], found: Mapping[str, str] | BaseException) -> list[str]:
    """One line per fact in which a worker differs."""
    if isinstance(found, BaseException):
        return [f"{CODE}: wanted to be imported, found {type(found).__name__}: {found}"]
    return [
        f"{name}: wanted {wanted[name]}, found {found.get(name)}" for name in wanted if found.get(name) != wanted[name]
    ]


def refuse(lines: list[str]) -> None:
    """Raise a `UserError` that lists them, if there are any."""
    if lines:
        rest = [f"… and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        raise UserError(ALIKE, "\n        ".join([*lines[:SHOWN], *rest]), MEND)


def work_checked(shown: Handshake, function: Callable[[], Result]) -> Result:
    """Run one task on a worker, unless this worker differs from the process that sent it."""
    _examine(shown)
    token = shown.token or ""
    with _at_work_lock:
        _at_work[token] += 1
    try:
        return function()
    finally:
        with _at_work_lock:
            _at_work[token] -= 1


def count_begun(token: str) -> int:
    """Tasks of the stage with this token that this worker is at."""
    with _at_work_lock:
        return _at_work[token]


def count_strays(token: str) -> int:
    """Tasks that still write into this folder for a stage that has ended: its token is gone."""
    if not (TOKENS / token).is_file():
        return 0  # another folder
    with _at_work_lock:
        return sum(n for other, n in _at_work.items() if other and not (TOKENS / other).is_file())


@lru_cache(maxsize=64)
def _examine(shown: Handshake) -> None:
    """Once for every stage; an exception is not remembered."""
    from distributed import get_worker

    wanted = dict(shown.facts)
    lines = differences(wanted, describe(shown.token))
    refuse([f"{get_worker().address}: {line}" for line in lines])


def _version(package: str) -> str:
    for name in (package, f"{package}-cpu"):  # xgboost-cpu is the same import
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "none"
