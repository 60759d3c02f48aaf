"""Where do tens of millions of flights come from?  Real months of `ontime`, blown up by `benchmarks.simulate`."""

import calendar
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from benchmarks.measure import Cost, measure
from benchmarks.published_month import STEM
from benchmarks.simulate import FACTS
from benchmarks.workspace import ROOT, stage_command
from stages.workspace.composition import compose_params
from stages.workspace.files import read_json
from stages.workspace.origin import note_composed
from tools.params import PARAMS

DATASET = "ontime"
REAL = ROOT / "data" / "raw" / DATASET  # where the stage download leaves the real ones
ROWS_A_MONTH = 500_000
FIRST = "2000-01"  # until 2016: the years in which a month had half a million flights
TRAIN_SHARE, VALID_SHARE = 0.7, 0.15
PROVEN = ("clean", "quarantine", "features")


def months_from(first: str, n: int) -> list[str]:
    """``n`` months in a row."""
    start = int(first[:4]) * 12 + int(first[-2:]) - 1
    return [f"{number // 12:04d}-{number % 12 + 1:02d}" for number in range(start, start + n)]


def simulate(real: Path, folder: Path, months: Sequence[str], *, rows: int, kind: str) -> Cost:
    """Write months in a row; those that are there already stay."""
    options = {"from": real, "to": folder, "months": f"{months[0]}..{months[-1]}", "rows": rows, "format": kind}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return measure([sys.executable, "-m", "benchmarks.simulate", *words], cwd=ROOT)


def line_overrides(
    folder: Path, months: Sequence[str], *more: str, parted_by: Sequence[str] | None = None
) -> list[str]:
    """The line on these months of that folder; the first of ``parted_by`` are for training, the last for the test."""
    parted = parted_by or months
    train = min(len(parted) - 3, round(len(parted) * TRAIN_SHARE) - 1)
    valid = min(len(parted) - 2, max(train + 1, round(len(parted) * (TRAIN_SHARE + VALID_SHARE)) - 1))
    here = f"datasets.{DATASET}"
    split = {"train_until": last_day(parted[train]), "valid_until": last_day(parted[valid]), "test_until": None}
    series = {"months": f"{months[0]}..{months[-1]}", "name": f"{STEM}_{{year}}_{{month}}.{kind_of(folder)}"}
    return [
        f"+dataset@{here}={DATASET}",
        f"++{here}.download.mirror={quoted(str(folder))}",
        f"++{here}.download.lock=null",  # it speaks of the real months
        *(f"++{here}.download.series.{name}={quoted(value)}" for name, value in series.items()),
        *(f"++{here}.featurize.split.{name}={quoted(value)}" for name, value in split.items()),
        f"++{here}.featurize.complete=true",
        *more,
    ]


def quoted(value: str | None) -> str:
    """A text as Hydra's override grammar wants it."""
    return "null" if value is None else f"'{value}'"


def kind_of(folder: Path) -> str:
    """The format of the months in a folder of simulated ones."""
    kind: str = read_json(folder / FACTS)["format"]
    return kind


def last_day(month: str) -> str:
    """The last day of ``YYYY-MM``."""
    return f"{month}-{calendar.monthrange(int(month[:4]), int(month[-2:]))[1]}"


def set_params(clone: Path, overrides: Sequence[str]) -> None:
    """Compose other parameters into a clone that is there already."""
    (clone / PARAMS).write_text(compose_params(clone, overrides), encoding="utf-8")
    note_composed(clone)


def run_stages(clone: Path, stages: Sequence[str], env: dict[str, str]) -> list[Cost]:
    """Stages of the dataset, one process after another."""
    return [measure(stage_command(stage, DATASET), cwd=clone, env=env) for stage in stages]


def output_files(clone: Path, folders: Sequence[str] = PROVEN) -> dict[str, Path]:
    """The files that the line has written under ``data/``, by relative path."""
    roots = [clone / "data" / folder / DATASET for folder in folders]
    return {str(file.relative_to(clone)): file for root in roots for file in sorted(root.rglob("*")) if file.is_file()}


def digest(clone: Path) -> str:
    """One hash over the paths and bytes of what clean and featurize have written."""
    whole = sha256()
    for name, file in output_files(clone).items():
        whole.update(f"{name}\n{sha256(file.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()
