"""One command at a time changes the workspace.

DVC locks for itself, and not for long enough: `dvc exp run` lets go of its lock while a stage runs, and a second one
then rewrites ``params.yaml`` under the first.  So whoever changes the workspace takes the lock here, which the system
releases when its process ends, and looks for a DVC at work, whose notes tell its process.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stages.workspace.errors import UserError
from stages.workspace.waiting import dvc_of, holder_of, wait_while

LOCK = Path(".dvc/tmp/workspace.lock")
HOLDER = "PLUMBLINE_HOLDS_WORKSPACE"  # set for all that the holder starts
IN_USE = Path(".dvc/tmp/rwlock")
EXPERIMENT = Path(".dvc/tmp/exps/run/workspace/workspace.json")
TRIES, AGAIN_S = 30, 0.1  # of a file that DVC may be writing: on a busy machine for a second and more


@contextmanager
def alone(command: str, root: Path = Path()) -> Iterator[None]:
    """Hold the workspace until the block ends; while another command changes it, say which, and wait."""
    if os.environ.get(HOLDER) or not (root / ".dvc").is_dir():
        yield  # on behalf of the one who holds it; or there is nobody to share with
        return
    (root / LOCK).parent.mkdir(exist_ok=True)
    with (root / LOCK).open("a+", encoding="utf-8") as lock:
        wait_while(lambda: holder_of(lock) or dvc_at_work(root), command)
        lock.truncate(0)
        lock.write(f"`{command}` (process {os.getpid()})")
        lock.flush()
        os.environ[HOLDER] = command
        try:
            yield
        finally:
            del os.environ[HOLDER]
            lock.truncate(0)


def at_work(root: Path) -> str | None:
    """Who changes the workspace now, in words; None where nobody does, or the one on whose behalf this process runs."""
    if os.environ.get(HOLDER):
        return None
    if (root / LOCK).exists():
        with (root / LOCK).open("r+", encoding="utf-8") as lock:
            if holder := holder_of(lock):
                return holder
    return dvc_at_work(root)


def dvc_at_work(root: Path) -> str | None:
    """The DVC command whose stages run in this workspace, in words; None where there is none.

    Raises
    ------
    UserError
        When DVC's own notes are cut short, so that no DVC could run.
    """
    noted = [info for info in read_in_use(root / IN_USE).get("write", {}).values() if isinstance(info, dict)]
    with suppress(OSError, ValueError):  # no experiment, or its note is being written
        noted.append(json.loads((root / EXPERIMENT).read_text(encoding="utf-8")))
    pids = {info.get("pid") for info in noted} - {os.getpid()}
    return next((words for pid in pids if isinstance(pid, int) and (words := dvc_of(pid))), None)


def read_in_use(path: Path) -> dict[str, Any]:
    """DVC's list of files in use; one that a killed DVC or a full disk left empty or cut is a `UserError`."""
    for _ in range(TRIES):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            found = str(error)
        else:
            if isinstance(content, dict):
                return content
            found = f"a {type(content).__name__}"
        time.sleep(AGAIN_S)  # DVC writes it in place
    raise UserError(
        f"DVC's list of files in use, {path}",
        f"a file that is empty or cut short ({found}), as a killed DVC or a full disk leaves it",
        f"`rm {path}`, when no dvc is running here; then run the same command again",
    )
