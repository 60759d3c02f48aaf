"""Show runs in MLflow as well: parameters, metrics with their intervals, learning curve, model card and pages.

Reads   dvc.lock and the outputs of a revision, by default the workspace
Writes  to an MLflow server, one run for every dataset and set of results: mirrored again, it is updated
Params  tracking
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from stages.experiments.revisions.revisions import resolve
from stages.experiments.tracking.runs import RecordedRun, read_run, recorded_datasets
from stages.experiments.tracking.server import MlflowServer, Point, keeps_files, tags_of
from stages.runtime.commands import run_command
from stages.runtime.log import log, start_log
from stages.runtime.tracking import read_tracking
from stages.workspace import layout
from stages.workspace.errors import UserError

RUN_TAG, COMMITTED_TAG = "plumbline.run", "plumbline.committed"
HELP = """\
A revision is "workspace", a commit, branch, tag or DVC experiment.  Every metric NAME comes with NAME/low, NAME/high,
NAME/baseline and NAME/difference; losses by round are learning_curve/train and learning_curve/valid.
"""


def main(*arguments: str) -> None:
    """Mirror runs; see ``--help``."""
    options = parse(arguments)
    tracking = read_tracking()
    address, experiment = options.to or tracking.mlflow, options.experiment or tracking.experiment
    if address is None:
        step = "name one: `--to http://127.0.0.1:5000`, or `tracking.mlflow` in params/tracking/ (docs/tracking.md)"
        raise UserError("the address of an MLflow server", "none", step)
    server = MlflowServer(address)
    for name in options.revisions:
        revision = resolve(name)
        for dataset in options.dataset or recorded_datasets(revision):
            run = read_run(revision, dataset, just_packaged=options.just_packaged)
            page = mirror(run, server, experiment)
            sys.stdout.write(f"{dataset}  {origin(run)}  {page}\n")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.mirror", description="Show runs in MLflow as well.", epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("revisions", nargs="*", default=["workspace"], help="what to mirror (default: workspace)")
    parser.add_argument("--dataset", action="append", help="only this dataset; may be given again (default: all)")
    parser.add_argument("--to", metavar="URL", help="the server (default: tracking.mlflow)")
    parser.add_argument("--experiment", help="MLflow's experiment (default: tracking.experiment)")
    parser.add_argument("--just-packaged", action="store_true", help=argparse.SUPPRESS)  # `package` says so of itself
    return parser.parse_args(arguments)


def mirror(run: RecordedRun, server: MlflowServer, experiment: str) -> str:
    """Create or update the one run of these results; where to look at it."""
    started_s = run.committed_s or int(time.time())
    mirrored = server.open_run(server.open_experiment(experiment), RUN_TAG, run.fingerprint, started_s * 1000)
    # the same results in somebody's workspace do not take the place of the commit that holds them
    is_better_known = tags_of(mirrored).get(COMMITTED_TAG) == "true" and run.committed_s is None
    server.log(mirrored, run.params, points(run), {} if is_better_known else tags(run))
    server.log_dataset(mirrored, run.dataset, run.features[:8], layout.features(run.dataset).as_posix())
    if keeps_files(mirrored):
        for name, content in run.files.items():
            server.put_file(mirrored, name, content)
    else:
        log.warning("warning: %s: no files: the server does not take them (`--serve-artifacts`)", run.dataset)
    if run.missing:
        log.warning("warning: %s: left out, not found: %s", run.dataset, ", ".join(run.missing))
    server.end_run(mirrored, None if is_better_known else f"{run.dataset} · {origin(run)}")
    return server.page(mirrored)


def points(run: RecordedRun) -> list[Point]:
    """Every metric once, and the losses by round."""
    losses = [
        (f"learning_curve/{part}", loss, step) for part, curve in run.curve.items() for step, loss in enumerate(curve)
    ]
    return [*((name, value, 0) for name, value in run.metrics.items()), *losses]


def tags(run: RecordedRun) -> dict[str, str]:
    """Where the run comes from, in MLflow's words where it has them; the first sections of the card as description."""
    card = run.files.get("model_card.md", b"").decode()
    return {
        RUN_TAG: run.fingerprint,
        "plumbline.dataset": run.dataset,
        "plumbline.model": run.model,
        "plumbline.revision": origin(run),
        COMMITTED_TAG: "false" if run.committed_s is None else "true",
        "mlflow.source.name": "dvc.lock",
        "mlflow.source.type": "PROJECT",
        **({"mlflow.source.git.commit": run.commit} if run.commit else {}),
        **({"mlflow.note.content": card.partition("\n## Use")[0]} if card else {}),
    }


def origin(run: RecordedRun) -> str:
    """The revision by a name that means something to others, and tomorrow: of a workspace, its experiment or commit."""
    commit, label = run.commit or "", run.revision.label
    if run.revision.commit is None:
        changes = " + changes" if run.committed_s is None else ""
        return os.environ.get("DVC_EXP_NAME") or (f"{commit[:8]}{changes}" if commit else label)
    return commit[:8] if label.startswith(("HEAD", "@", commit[:8])) else f"{label} ({commit[:8]})"


if __name__ == "__main__":
    start_log()
    run_command(main)
