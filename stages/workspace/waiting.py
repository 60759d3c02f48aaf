"""Wait for a lock that another process holds, and say whose it is.

A stage of DVC waits here before it ends.  DVC lets go of its lock while a stage runs and gives up, three seconds after
the stage has ended, when somebody else has taken it: a `dvc push` beside an experiment would end the experiment.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

DVC_LOCK = Path(".dvc/tmp/lock")
DVC_STAGE = "DVC_STAGE"  # DVC sets it for what it runs
LOOK_AGAIN_S = 0.5


def let_dvc_end() -> None:
    """In a stage that DVC runs, wait while another DVC holds the lock that ours will ask for next."""
    stage = os.environ.get(DVC_STAGE)
    if stage and DVC_LOCK.exists():
        with DVC_LOCK.open(encoding="utf-8") as lock:
            wait_while(lambda: holder_of(lock, shared=True), f"the end of {stage}")


def wait_while(busy: Callable[[], str | None], who: str) -> None:
    """Look again until nobody is named any more; each name is told once."""
    told = None
    while (other := busy()) is not None:
        if other != told:
            sys.stderr.write(f"{who} waits for {other}, which is at work in this folder; Ctrl-C ends the waiting\n")
            told = other
        time.sleep(LOOK_AGAIN_S)


def holder_of(lock: IO[str], *, shared: bool = False) -> str | None:
    """Take a lock; where another process has it, what that process has written into it, in words."""
    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        words = lock.read().strip()
        return (words.isdecimal() and dvc_of(int(words))) or words or "another command"
    return None


def dvc_of(pid: int) -> str | None:
    """A running DVC in words; None where the process has ended, or its number is another program's now."""
    words = ["dvc"]
    try:
        os.kill(pid, 0)
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except ProcessLookupError:
        return None
    except OSError:
        pass  # a process of another user, or no /proc on this system
    names = [Path(word).name for word in words]
    command = " ".join(["dvc", *words[names.index("dvc") + 1 :]]).strip() if "dvc" in names else None
    return command and f"`{command}` (process {pid})"
