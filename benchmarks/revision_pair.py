"""A repository with two revisions whose resampling tables come from synthetic rows: what `compare` is measured on.

python -m benchmarks.revision_pair FOLDER ROWS

Two models score the same rows; each table tells apart 20 carriers and 20 airports besides all rows, for a year of days,
and holds a baseline of one rule beside the model, as `evaluate` leaves them.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from numpy.typing import NDArray

from benchmarks.resample_scores import choose_task
from benchmarks.synthetic import DAYS, synthetic_scores
from stages.metrics.binary import BinaryDecision
from stages.metrics.files import write_evaluation
from stages.metrics.resampling import fingerprint, merge_cells
from stages.metrics.stored import Segments

DATASET, REVISIONS = "flights", ("reference", "candidate")
PARTITIONS, VALUES = 12, 20
NAMES = {"carrier": [f"C{k:02d}" for k in range(VALUES)], "origin": [f"O{k:02d}" for k in range(VALUES)]}
SEGMENTS = Segments({column: tuple(names) for column, names in NAMES.items()})
PIPELINE = """\
stages:
  evaluate:
    foreach: ${datasets}
    do:
      cmd: mkdir -p data/evaluation && cp ${item.revision}.parquet data/evaluation/${key}.parquet
      params: ["datasets.${key}"]
      outs: ["data/evaluation/${key}.parquet"]
"""


def two_scores(rows: int) -> tuple[NDArray[Any], NDArray[Any], dict[str, NDArray[np.float32]]]:
    """Day, label and the scores of both revisions: the candidate errs a little more."""
    day, late, scores = synthetic_scores(rows)
    generator = np.random.default_rng(1)
    other = np.log(scores / (1 - scores)) + 0.3 * generator.standard_normal(rows, dtype=np.float32)
    return day, late, {"reference": scores, "candidate": (1 / (1 + np.exp(-other))).astype(np.float32)}


def kinds(rows: int) -> pl.DataFrame:
    """Carrier and airport of each row; large ones have many times the rows of small ones."""
    generator = np.random.default_rng(2)
    share = 1 / np.arange(1, VALUES + 1)
    share /= share.sum()
    drawn = {column: generator.choice(VALUES, rows, p=share) for column in NAMES}
    return pl.DataFrame({column: pl.Series(NAMES[column]).gather(drawn[column]) for column in NAMES})


def write_table(
    path: Path, day: NDArray[Any], late: NDArray[Any], scores: NDArray[np.float32], frame: pl.DataFrame
) -> None:
    """The resampling table of one revision."""
    rates = frame.select(pl.col("carrier").str.slice(1).cast(pl.Float32) / 100 + 0.1)["carrier"].to_numpy()
    systems = {"model": (choose_task(late, scores), scores), "baseline": (choose_task(late, rates), rates)}
    cells = {name: tabulate(task, day, late, told, frame) for name, (task, told) in systems.items()}
    question = {"dataset": DATASET, "question": "Will the flight be late?", "task": "binary", "target": "late",
                "classes": ["on time", "late"]}  # fmt: skip
    write_evaluation(path, cells, {
        **question, "rows": len(late), "resampled": "day", "units": DAYS, "block": 5,
        "same_rows": fingerprint(cells["model"], "score", question), "seed": 1, "replicates": 1000, "level": 0.95,
        "segments": NAMES,
        "systems": {name: {"decides": asdict(task), "exact": task.exact(late.astype(np.int64), told)}
                    for name, (task, told) in systems.items()},
    })  # fmt: skip


def tabulate(
    task: BinaryDecision, day: NDArray[Any], late: NDArray[Any], scores: NDArray[np.float32], frame: pl.DataFrame
) -> pl.DataFrame:
    """All cells, partition by partition as `evaluate` makes them."""

    def parts() -> Iterator[pl.DataFrame]:
        ends = np.linspace(0, len(day), PARTITIONS + 1).astype(int).tolist()
        for start, stop in pairwise(ends):
            part = slice(start, stop)
            units, labels = day[part].astype(np.int64), late[part].astype(np.int64)
            yield task.tabulate(units, names, labels, scores[part])
            yield from SEGMENTS.tabulate(task, frame[part], units, names, labels, scores[part])

    names = [str(np.datetime64("2007-01-01") + k) for k in range(DAYS)]
    return merge_cells(list(parts()))


def build(folder: Path, rows: int) -> None:
    """The repository, each revision a branch of its own, both tables in DVC's cache."""
    folder.mkdir(parents=True, exist_ok=True)
    with chdir(folder):
        call("git", "init", "-q")
        call("git", "config", "user.name", "benchmark")
        call("git", "config", "user.email", "benchmark@example.org")
        call(sys.executable, "-m", "dvc", "init", "-q")
        Path("dvc.yaml").write_text(PIPELINE, encoding="utf-8")
        Path(".gitignore").write_text("*.parquet\n", encoding="utf-8")
        day, late, scores = two_scores(rows)
        frame = kinds(rows)
        for revision in REVISIONS:
            write_table(Path(f"{revision}.parquet"), day, late, scores[revision], frame)
            commit(revision)


def commit(revision: str) -> None:
    """Run the pipeline, and commit it as a branch."""
    params = {"datasets": {DATASET: {"revision": revision}}}
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    call("git", "checkout", "-qb", revision)
    call(sys.executable, "-m", "dvc", "repro", "-q")
    call("git", "add", "-A")
    call("git", "commit", "-qm", revision)


def call(*command: str) -> None:
    """Run a command; its failure is ours."""
    subprocess.run(command, check=True)


if __name__ == "__main__":
    build(Path(sys.argv[1]), int(sys.argv[2]))
