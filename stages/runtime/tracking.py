"""Runs shown elsewhere as well: the ``tracking`` section, and the mirroring of a run that has just ended.

Nothing here changes a result, so no DVC stage lists the section as a parameter: changing it reruns nothing.  The
mirror itself is a command of its own (`stages.mirror`), which anybody can also run later.

Curves that grow while a model trains, for those who watch them: DVCLive's files, where ``tracking.live`` asks.

Writes  dvclive/<dataset>/   metrics.json, plots/metrics/{train,valid}/loss.tsv; not in git, not an output

DVCLive is an optional extra.  Left to itself it would add a section to ``dvc.yaml`` and save an experiment; both are
switched off, and it is imported only where it is asked for.
"""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import Field

from stages.runtime.log import log
from stages.workspace.errors import UserError
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


FOLDER = Path("dvclive")
EachRound = Callable[[int, float, float], None]
"""Called with the round, the loss of the train part and that of the valid part."""


@contextmanager
def live_curves(dataset: str, each_round: EachRound) -> Iterator[EachRound]:
    """Yield what to call each round: ``each_round`` itself, or one that writes the curves as well."""
    if not read_tracking().live:
        yield each_round
        return
    if importlib.util.find_spec("dvclive") is None:
        raise UserError(
            "the package dvclive, for tracking.live: true",
            "it is not installed",
            "install the extra `live` (docs/tracking.md), or set it back: `-S tracking.live=false`",
        )
    from dvclive.live import Live

    with Live(str(FOLDER / dataset), dvcyaml=None, save_dvc_exp=False, report=None, monitor_system=False) as live:

        def write_round(number: int, train_loss: float, valid_loss: float) -> None:
            each_round(number, train_loss, valid_loss)
            live.log_metric("train/loss", train_loss)
            live.log_metric("valid/loss", valid_loss)
            live.next_step()

        yield write_round
