"""Curves that grow while a model trains, for those who watch them: DVCLive's files, where ``tracking.live`` asks.

Writes  dvclive/<dataset>/   metrics.json, plots/metrics/{train,valid}/loss.tsv; not in git, not an output

DVCLive is an optional extra.  Left to itself it would add a section to ``dvc.yaml`` and save an experiment; both are
switched off, and it is imported only where it is asked for.
"""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.runtime.tracking import read_tracking
from stages.workspace.errors import UserError

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
