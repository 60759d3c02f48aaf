"""Which process is at work on something, told so that another process can see later whether it still is."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path


def own_process() -> dict[str, str]:
    """The mark of this process."""
    return {"host": socket.gethostname(), "process": str(os.getpid()), "started": _started(os.getpid())}


def may_run_elsewhere(mark: Mapping[str, str] | None) -> bool:
    """Whether the process of a mark may be alive, and is another one than this; one of another machine may be."""
    own = own_process()
    if mark is None or dict(mark) == own:
        return False
    if mark["host"] != own["host"]:
        return True
    try:
        os.kill(int(mark["process"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is there, and another user's
    return _started(int(mark["process"])) == mark["started"]


def _started(process: int) -> str:
    """When the process began, in the system's clock ticks, since numbers of processes come again; "" if unknown."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:
        return ""
