"""Runs shown elsewhere as well: the ``tracking`` section, and the mirroring of a run that has just ended.

Nothing here changes a result, so no DVC stage lists the section as a parameter: changing it reruns nothing.  The
mirror itself is a command of its own (`stages.mirror`), which anybody can also run later.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from pydantic import Field

from stages.runtime.log import log
from stages.workspace.settings import PARAMS, Settings, read_params, validate_section

PATIENCE_S = 20.0
"""The longest that a server may hold up a run that is otherwise done."""
CODE = Path(__file__).parents[2]


class TrackingSettings(Settings):
    """``tracking``: which servers and files show a run besides the pipeline's own outputs."""

    mlflow: str | None = Field(None, pattern=r"^https?://[^/]", description="address of an MLflow server")
    experiment: str = Field("plumbline", min_length=1, description="name of the MLflow experiment")
    live: bool = Field(False, description="write DVCLive's curves while a model trains")


def read_tracking(params: Path = PARAMS) -> TrackingSettings:
    """The ``tracking`` section; one that is absent asks for nothing."""
    return validate_section(TrackingSettings, read_params(params).get("tracking") or {}, path="tracking")


def mirror_after(dataset: str, patience_s: float = PATIENCE_S) -> None:
    """Mirror what has just been packaged, where ``tracking.mlflow`` says so.

    A process of its own can be ended whatever it waits for: a name server, a silent server, a slow one.  The run is
    done by then, so whatever goes wrong is one warning.
    """
    if read_tracking().mlflow is None:
        return
    command = [sys.executable, "-m", "stages.mirror", "--dataset", dataset, "--just-packaged"]
    paths = [str(CODE), *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=patience_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        problem = f"not done within {patience_s:g} s"
    else:
        if done.returncode == 0:
            log.info("%s: mirrored to %s", dataset, done.stdout.split()[-1])
            return
        problem = _said(done.stderr)
    later = f"python -m stages.mirror --dataset {dataset}"
    log.warning("warning: %s: not mirrored to MLflow: %s; the run is complete; later: `%s`", dataset, problem, later)


def _said(errors: str) -> str:
    """What was found, of an error in plain words; else its last line."""
    found = re.search(r"^found +(.+)$", errors, flags=re.MULTILINE)
    return found[1] if found else (errors.strip().splitlines() or ["no reason given"])[-1]
