"""How a command that people type ends: as a stage does, and quietly when they have seen or waited enough.

A reader that closes the pipe (`… | head`) and Ctrl-C are decisions of the person, not faults: no traceback, and the
exit status that shells give them.  What a command records is recorded before it is told, so neither loses anything.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from stages.workspace.errors import run_stage

CLOSED, STOPPED = 128 + signal.SIGPIPE, 128 + signal.SIGINT


def run_command(main: Callable[..., Any], arguments: list[str] | None = None) -> None:
    """Call ``main`` as `run_stage` does; a closed pipe ends it with status 141, Ctrl-C with 130."""
    try:
        run_stage(main, arguments)
        if sys.stdout is not None:  # None where the shell has closed it: `>&-`
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes once more on its way out
        sys.exit(CLOSED)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        sys.exit(STOPPED)
