"""The DVC experiments around a revision: those with a result, and those that wait for one.

The references are DVC's own (``refs/exps/<2 digits of the baseline>/<its other 38>/<name>``, and the stash of its
queue), read with git; ``dvc exp list`` and ``dvc queue status`` show the same, half a second later.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from stages.workspace.git import NAMESPACE, ask_git, commit_of, every_experiment, lines_of

QUEUED, FAILED, RUNNING = "still in the queue", "failed; see `dvc queue logs`", "still running"
UNFINISHED = (0, 1, 2)  # DVC's numbers for pending, preparing and running


def started_elsewhere(commit: str | None) -> dict[str, int]:
    """How many experiments started from other commits than this one (HEAD for None), by those commits."""
    baseline = commit or commit_of("HEAD")
    return dict(Counter(start for start, _, _ in every_experiment() if start != baseline))


def waiting_experiments(commit: str | None) -> dict[str, str]:
    """Experiments of a baseline (HEAD for None) that have no result, and why."""
    baseline = commit or commit_of("HEAD")
    done = {name for start, name, _ in every_experiment() if start == baseline}
    waiting = [*_stashed("stash", QUEUED), *_stashed("failed", FAILED), *_running()]
    return {name: why for start, name, why in waiting if start == baseline and name not in done}


def _stashed(queue: str, why: str) -> Iterator[tuple[str, str, str]]:
    for line in lines_of(ask_git("reflog", "show", "--format=%gs", f"{NAMESPACE}/celery/{queue}")):
        match line.removeprefix("commit: ").split(":"):  # dvc-exp:<commit>:<baseline>:<name>[:<branch>]
            case ["dvc-exp", _, start, name, *_] if name:
                yield start, name, why


def _running() -> Iterator[tuple[str, str, str]]:
    for file in sorted(Path(".dvc/tmp/exps/run").glob("*/*.run")):
        try:
            run = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # being written, or taken away, while we look
            continue
        if run.get("location") == "workspace" and not _in_workspace(file):
            continue
        if run.get("status") in UNFINISHED and run.get("name"):
            yield run.get("baseline_rev", ""), run["name"], RUNNING


def _in_workspace(file: Path) -> bool:
    """Whether this run goes on in the workspace; DVC leaves notes of ended ones, which say `preparing` for ever."""
    try:
        os.kill(json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))["pid"], 0)
    except PermissionError:
        return True  # the process of another user
    except (OSError, ValueError, KeyError):
        return False
    return True
