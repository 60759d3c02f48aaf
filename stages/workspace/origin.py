"""Where do the parameters of a run come from?

People edit ``params/``, DVC reads ``params.yaml``, and three slips part the two without a word: an edit that was never
composed, the override of an experiment that was broken off, a ``params.yaml`` that DVC wrote into another folder.  They
are told apart by content: git's own look at times and sizes misses an override of equal length in the same second.

Parameters are in order when an experiment runs with what it composed, when this very pair of ``params/`` and
``params.yaml`` was composed here (noted under ``.dvc/tmp``), when the pair is as the last commit or an experiment has
it (so in a fresh clone), or, at the price of composing, when it is equal to the composition.
"""

from __future__ import annotations

import difflib
import os
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from stages.workspace.composition import PARAMS, composition
from stages.workspace.contents import blob_id, commits_with, experiments_with, git, tree_id
from stages.workspace.errors import UserError

FOLDER = "params"
NOTE = Path(".dvc/tmp/composed-params")
EXPERIMENT = "DVC_EXP_NAME"  # DVC sets it for the stages of an experiment, wherever that runs
ASKED_FOR = "refs/exps/exec/EXEC_MERGE"  # and keeps here what the experiment runs with
PATIENCE_S = 20.0
SHOWN = 20  # lines of difference in the message
INDENT = "\n        "


@cache
def require_origin(root: Path) -> None:
    """Refuse parameters that nobody asked for; once a process, in a few milliseconds where all is in order.

    Raises
    ------
    UserError
        Naming what happened to ``params.yaml`` and the command that mends it.
    """
    if not ((root / FOLDER).is_dir() and (root / ".dvc").is_dir()):
        return  # no composition here to compare with
    if name := os.environ.get(EXPERIMENT):
        _require_asked_for(root, name)
        return
    pair = ids_of(root)
    if pair != _noted(root) and not commits_with(root, ["HEAD"], pair) and not experiments_with(root, pair):
        require_composed(root)


def require_composed(root: Path) -> None:
    """Refuse a ``params.yaml`` that is not what ``params/`` composes to, whoever committed it; half a second."""
    wanted = composition(root)
    found = (root / PARAMS).read_text(encoding="utf-8") if (root / PARAMS).exists() else ""
    if wanted == found:
        note_composed(root)
        return
    compared = difflib.unified_diff(found.splitlines(), wanted.splitlines(), PARAMS, "params/", lineterm="", n=0)
    lines = list(compared)
    rest = [f"… and {len(lines) - SHOWN} lines more"] if len(lines) > SHOWN else []
    told, next_step = _slip(root)
    said = INDENT.join([f"{told}:", *lines[:SHOWN], *rest])
    raise UserError("params.yaml equal to the composition of params/", said, next_step)


def _slip(root: Path) -> tuple[str, str]:
    """What happened to ``params.yaml``, and the command that mends it."""
    here, noted = ids_of(root), _noted(root)
    as_committed = {name: bool(commits_with(root, ["HEAD"], {name: here[name]})) for name in here}
    if as_committed[PARAMS] or here[PARAMS] == noted.get(PARAMS):
        told = "params/ was edited after params.yaml was composed"
    elif as_committed[FOLDER]:
        told = "an override that neither params/ nor an experiment has, as a broken-off `dvc exp run` leaves it"
        return told, "run `make main`: it brings the committed state back, and leaves alone what you have edited"
    else:
        told = "params.yaml is neither as params/ has it now nor as the last commit has it"
    return told, "edit files under params/ only, then run `make params` and commit both"


def strays(root: Path) -> list[str]:
    """Files called ``params.yaml`` in folders below the root: DVC never reads them, who wrote them expects it to."""
    return git(root, "ls-files", "--cached", "--others", "--exclude-standard", "--", f":(glob)*/**/{PARAMS}")


def require_no_strays(root: Path) -> None:
    """Refuse to go on beside a stray ``params.yaml``."""
    if found := strays(root):
        raise UserError(
            "one params.yaml, in the folder of the repository",
            f"also {', '.join(found)}, which `dvc exp run -S` writes when it is started there; its override was lost",
            f"`rm {' '.join(found)}`, then run the experiment from {root}",
        )


def note_composed(root: Path) -> None:
    """Note that ``params.yaml`` was composed from ``params/`` as both stand now."""
    with suppress(OSError):  # without the note the next run composes once more
        (root / NOTE).parent.mkdir(parents=True, exist_ok=True)
        (root / NOTE).write_text("".join(f"{found} {name}\n" for name, found in ids_of(root).items()), encoding="utf-8")


def _noted(root: Path) -> dict[str, str]:
    try:
        lines = (root / NOTE).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    return {name: found for found, _, name in (line.partition(" ") for line in lines)}


def _require_asked_for(root: Path, name: str) -> None:
    """Wait until ``params.yaml`` is what the experiment composed: a command that queues puts it aside for a moment."""
    deadline = time.monotonic() + PATIENCE_S
    asked = git(root, "rev-parse", "--verify", "--quiet", f"{ASKED_FOR}:./{PARAMS}")
    while asked and asked != [blob_id(root / PARAMS)]:
        if time.monotonic() > deadline:
            raise UserError(
                f"params.yaml as the experiment {name} composed it",
                "another one: something else has changed this folder since",
                "run the experiment again when nothing else changes this folder, or with `--temp`",
            )
        time.sleep(0.1)


def ids_of(root: Path) -> dict[str, str]:
    """git's ids of ``params.yaml`` and of ``params/`` as they stand."""
    return {PARAMS: blob_id(root / PARAMS), FOLDER: tree_id(root / FOLDER)}
