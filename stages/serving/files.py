"""Files of rows, scored in a process of their own.

A file can be made to take any amount of memory or time: a few kilobytes of parquet hold gigabytes, a line of JSON a
hundred thousand columns.  So another process scores it, under a limit of the operating system; where that ends it, the
server answers on, and says so.  The process is started by the first file and stays warm.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from stages.runtime.log import log
from stages.serving.limits import Limits
from stages.serving.problems import Problem
from stages.serving.processes import follow_parent, limit_memory
from stages.serving.scoring import Scored, Work, score_file
from stages.workspace.errors import DISK_FULL, UserError


class FileScorer:
    """The process that scores files, started when it is first asked and again when it has ended."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._turn = limits, threading.Lock()
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None

    def score(self, work: Work) -> Scored:
        """Score a file, after those before it; raises `Problem`."""
        with self._turn:
            process, pipe = self._started()
            pipe.send(work)
            if not pipe.poll(self._limits.file_s):
                self.stop()
                raise Problem(413, f"wanted a file that is scored within {self._limits.file_s:g} s, found a larger one")
            try:
                answer = pipe.recv()
            except EOFError:
                process.join()
                log.warning("a file ended the process that scored it: %s", process.exitcode)
                self.stop()
                raise _too_hungry(self._limits) from None
        if isinstance(answer, Scored):
            return answer
        raise Problem(**answer)

    def _started(self) -> tuple[SpawnProcess, Connection]:
        if self._process is None or self._pipe is None or not self._process.is_alive():
            spawn = multiprocessing.get_context("spawn")
            self._pipe, theirs = spawn.Pipe()
            self._process = spawn.Process(target=_work, args=(theirs, self._limits.memory_bytes), daemon=True)
            self._process.start()
            theirs.close()
        return self._process, self._pipe

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


def _work(pipe: Connection, memory_bytes: int) -> None:
    """The life of the process: one file after another."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends this
    follow_parent(None)
    limit_memory(memory_bytes)
    while True:
        try:
            work = pipe.recv()
        except EOFError:
            return
        pipe.send(_answer(work))


def _answer(work: Work) -> Scored | Mapping[str, Any]:
    """What came of a file, or the arguments of a `Problem`: exceptions do not travel whole."""
    try:
        return score_file(work)
    except Problem as problem:
        return _arguments(problem)
    except UserError as error:
        place = f"{work.rows.parent}/"
        wanted, found = (text.replace(place, "") for text in (error.wanted, error.found))
        return {"status": 422, "detail": f"wanted {wanted}, found {found}"}
    except MemoryError:
        return _arguments(_too_hungry(work.limits))
    except OSError as error:
        if error.errno in DISK_FULL:
            return {"status": 507, "detail": "wanted room on the disk for the answer, found none"}
        return {"status": 422, "detail": f"wanted a file that can be read, found: {type(error).__name__}"}
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a file is what a stranger sends; Polars' panics are no `Exception`
        log.error("a file could not be scored: %s", type(error).__name__)
        return {"status": 422, "detail": f"wanted a file that can be read, found: {type(error).__name__}"}


def _arguments(problem: Problem) -> dict[str, Any]:
    return {"status": problem.status, "detail": problem.detail, "faults": problem.faults}


def _too_hungry(limits: Limits) -> Problem:
    return Problem(
        413, f"wanted a file that takes at most {limits.memory_bytes >> 20:,} MiB to score, found one that takes more"
    )
