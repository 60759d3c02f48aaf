"""Files of rows, scored in a process of their own.

A file can be made to take any amount of memory or time: a few kilobytes of parquet hold gigabytes, a line of JSON a
hundred thousand columns.  So another process scores it, under a limit of the operating system; where that ends it, the
server answers on, and says so.  The process is started by the first file and stays warm.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import polars as pl

from stages.metrics.stored import task_named
from stages.models.bundle import open_bundle
from stages.models.row_files import read_pieces, whole_table
from stages.models.signature import REFUSED, Misfit, Tally
from stages.records.lines import likely_cause
from stages.runtime.log import log
from stages.serving.answers import Tallied, counted
from stages.serving.limits import Limits
from stages.serving.problems import Fault, Problem
from stages.serving.processes import follow_parent, limit_memory
from stages.workspace.errors import DISK_FULL, UserError

BLOCK = 1 << 20


@dataclass(frozen=True)
class Work:
    """A file to score: by which bundle, from where, to where."""

    bundle: Path
    rows: Path
    output: Path
    limits: Limits


def score_file(work: Work) -> Tallied:
    """Write the scores of a file as CSV, as `predict` does, or nothing: what does not fit is a `Problem`."""
    check_file(work.rows, work.limits)
    bundle = _bundle(work.bundle)
    task, tally = task_named(bundle.signature["task"]), Tally(bundle.signature["inputs"])
    kinds = {str(entry["name"]): str(entry["kind"]) for entry in tally.inputs}
    decided, missing, columns = Counter[str](), Counter[str](), list[str]()
    with whole_table(work.output) as write:
        for piece in read_pieces(work.rows, kinds):
            if not len(piece.rows):
                continue
            columns = piece.rows.columns
            inputs = tally.fit(piece.rows)
            if any(kind in REFUSED for kind, _ in tally.found):
                continue
            missing.update({column.name: nulls for column in inputs if (nulls := column.null_count())})
            scores = task.name_scores(bundle.model.predict(inputs), bundle.signature)
            decided.update(counted(task, scores))
            write(pl.concat([piece.rows.drop(*kinds, *scores.columns, strict=False), scores], how="horizontal"))
        if not tally.rows:
            raise UserError("at least one row", "none", "")
        misfits = tally.misfits()
        if wrong := [misfit for misfit in misfits if misfit.kind in REFUSED]:
            cause = likely_cause(columns, [misfit.column for misfit in wrong])
            detail = f"wanted rows that fit the model's inputs{f'; {cause}' if cause else ''}"
            raise Problem(422, detail, [_fault(misfit) for misfit in wrong])
    return Tallied(tally.rows, dict(decided), dict(missing), misfits)


@lru_cache(maxsize=8)
def _bundle(folder: Path) -> Any:
    return open_bundle(folder, threads=1)


def _fault(misfit: Misfit) -> Fault:
    wanted = {
        "missing column": "a column of that name",
        "not a number": "a number, or nothing where it is missing",
        "not a category": "a text, or nothing where it is missing",
    }.get(misfit.kind, "at least one input that is filled")
    return Fault(
        misfit.column, wanted, "none" if misfit.kind == "missing column" else f"{misfit.told}, in {misfit.rows:,} rows"
    )


def check_file(path: Path, limits: Limits) -> None:
    """Refuse lines and headers beyond the limits before anything reads them."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        try:
            columns = len(pq.ParquetFile(path).schema_arrow)
        except (OSError, ValueError) as error:  # pyarrow's own are ones of these
            raise Problem(422, f"wanted a parquet file, found: {str(error).splitlines()[0]}") from None
    else:
        columns = _check_lines(path, limits)
    if columns > limits.columns:
        raise Problem(422, f"wanted at most {limits.columns:,} columns, found {columns:,}")


def _check_lines(path: Path, limits: Limits) -> int:
    """The columns of the first line, or the keys of some lines of JSON; a line that is too long is refused."""
    columns, pending, keys = 0, 0, set[str]()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            first, *others = block.split(b"\n")
            longest = max(pending + len(first), *map(len, others), 0)
            if longest > limits.line_bytes:
                raise Problem(422, f"wanted lines of at most {limits.line_bytes:,} bytes, found a longer one")
            pending = len(others[-1]) if others else pending + len(first)
            columns = columns or first.count(b",") + 1
            if path.suffix != ".csv" and len(others) > 1:  # what hides between, the limit of memory finds
                with suppress(ValueError, RecursionError):
                    keys.update(json.loads(others[0]))
                columns = len(keys)
                if columns > limits.columns:
                    break
    return columns


class FileScorer:
    """The process that scores files, started when it is first asked and again when it has ended."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._turn = limits, threading.Lock()
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None

    def score(self, work: Work) -> Tallied:
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
        if isinstance(answer, Tallied):
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


def _answer(work: Work) -> Tallied | Mapping[str, Any]:
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
