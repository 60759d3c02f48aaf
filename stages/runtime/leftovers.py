"""Files that a process keeps in a folder for as long as it runs: named after it, so that what a killed one left goes.

The name says the machine and the process, because the folder may be shared by machines.
"""

from __future__ import annotations

import os
import shutil
import socket
import uuid
from pathlib import Path


def own_name() -> str:
    """A name that no other process and no other call gives: ``<host>.<process>.<random>``."""
    return f"{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex}"


def remove_leftovers(folder: Path) -> None:
    """Remove the files and folders in ``folder`` that bear the name of an ended process of this machine.

    Other machines' processes cannot be asked, and other names are nobody's: both stay.
    """
    for left in folder.iterdir():
        host, _, process = left.name.rpartition(".")[0].rpartition(".")
        if host != socket.gethostname() or not process.isdecimal() or _is_running(int(process)):
            continue
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
