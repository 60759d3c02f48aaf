"""How a command that people type ends: as a stage does, and quietly when they have seen or waited enough.

A reader that closes the pipe (`… | head`) and Ctrl-C are decisions of the person, not faults: no traceback, and the
exit status that shells give them.  What a command records is recorded before it is told, so neither loses anything.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from stages.workspace.errors import UserError, run_stage

UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR)
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
    except OSError as error:
        if error.errno not in UNWRITABLE or error.filename is None:
            raise
        sys.exit(f"error: {sys.argv[0]}\n{_unwritable(error)}")
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        sys.exit(STOPPED)


def _unwritable(error: OSError) -> UserError:
    reason = os.strerror(error.errno or 0)
    return UserError(f"to read and write {error.filename}", reason, "mend its permissions, or name another folder")
