"""A real repository of resampling tables: branches, tags and DVC experiments whose scores are known row by row.

Rows are flights of 60 days (November and December), with a luck that the flights of a day share.  A *variant* is one
way of scoring them; the pipeline copies the table of the variant that the parameters name.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from dvc.repo import Repo

from stages.metrics.binary import BinaryDecision
from stages.metrics.codes import code_probabilities
from stages.metrics.files import write_evaluation
from stages.metrics.files import write_table as write_training_tables
from stages.metrics.resampling import fingerprint, merge_cells
from stages.metrics.stored import Segments
from tests.git_repositories import commit_all, git, go_to, new_repository, run_pipeline

CARRIERS = ("AA", "UA", "HA")  # no flight of HA is ever late
SEGMENTS = Segments({"carrier": CARRIERS})
PIPELINE = """\
stages:
  evaluate:
    foreach: ${datasets}
    do:
      cmd: mkdir -p data/evaluation && cp made/${key}-${item.model.variant}.parquet data/evaluation/${key}.parquet
      params: ["datasets.${key}.model"]
      outs: ["data/evaluation/${key}.parquet"]
  retrain:
    foreach: ${datasets}
    do:
      cmd: mkdir -p data/trainings && cp made/trainings.parquet data/trainings/${key}.parquet
      outs: ["data/trainings/${key}.parquet"]
"""


@dataclass(frozen=True)
class Rows:
    """A test part: what happened, and what a variant says of it."""

    days: np.ndarray
    carriers: np.ndarray
    late: np.ndarray
    strength: np.ndarray

    def scores(self, variant: str) -> np.ndarray:
        """``better`` sees more of the strength than ``base``, ``worse`` less, ``alike`` as much in another way."""
        noise = {"base": 1.0, "alike": 1.0, "better": 0.4, "worse": 3.0}.get(variant, 1.0)
        seed = {"alike": 12, "better": 13, "worse": 14}.get(variant, 11)
        seen = self.strength + noise * np.random.default_rng(seed).normal(size=len(self.late))
        scores = (1 / (1 + np.exp(-seen + 1))).astype(np.float32)
        return np.full_like(scores, 0.25) if variant == "constant" else scores

    def decisions(self, variant: str) -> np.ndarray:
        """Rows that are called late."""
        return self.scores(variant) >= np.float32(TASK.threshold)


def draw_rows(n: int = 6000, days: int = 60, seed: int = 5) -> Rows:
    rng = np.random.default_rng(seed)
    day = np.sort(rng.integers(0, days, n))
    carriers = rng.choice(CARRIERS, n, p=[0.5, 0.4, 0.1])
    strength = rng.normal(size=n) + 0.5 * rng.normal(size=days)[day]
    late = (strength + rng.normal(size=n) > 1) & (carriers != "HA")
    return Rows(day, carriers, late.astype(np.int64), strength)


ROWS, TASK = draw_rows(), BinaryDecision(int(code_probabilities(np.array([0.4], np.float32))[0]), 3.0, 1.0)


def write_table(
    path: Path, rows: Rows, variant: str, dataset: str = "flights", segments: Segments = SEGMENTS, **header: Any
) -> None:
    """What `evaluate` leaves of scored rows; the header's entries can be replaced."""
    scores, n_days = rows.scores(variant), int(rows.days.max()) + 1
    names = [str(date(2013, 11, 1) + timedelta(days=day)) for day in range(n_days)]
    frame = pl.DataFrame({"carrier": rows.carriers})
    parts = [TASK.tabulate(rows.days, names, rows.late, scores)]
    cells = merge_cells([*parts, *segments.tabulate(TASK, frame, rows.days, names, rows.late, scores)])
    question = {"dataset": dataset, "question": "Will it be late?", "task": "binary", "target": "late",
                "classes": ["on time", "late"]}  # fmt: skip
    write_evaluation(path, {"model": cells}, {
        **question, "rows": len(rows.late), "resampled": "day", "units": n_days, "block": 1,
        "same_rows": fingerprint(cells, "score", question, "label"), "seed": 3, "replicates": 300, "level": 0.95,
        "segments": segments.found(cells["view"].cast(pl.String)),
        "systems": {"model": {"decides": asdict(TASK), "exact": TASK.exact(rows.late, scores)}},
        **header,
    })  # fmt: skip


def write_no_trainings(path: Path) -> None:
    """What `retrain` leaves of a model that chance has no part in, as the variants are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_training_tables(path, pl.DataFrame({"segment": []}), {"by_chance": False, "systems": {}})


def commit_table(rows: Rows, variant: str, **header: Any) -> None:
    """A commit that keeps the table of flights in git itself: no pipeline has to run."""
    place = Path("data/evaluation/flights.parquet")
    place.unlink(missing_ok=True)
    write_table(place, rows, variant, **header)
    write_no_trainings(Path("data/trainings/flights.parquet"))
    git("add", "-f", "data/evaluation", "data/trainings")
    git("commit", "-qm", variant)


def set_variant(flights: str, depth: int = 3) -> None:
    sections = {"flights": {"model": {"variant": flights, "depth": depth}}, "hotels": {"model": {"variant": "base"}}}
    params = {"seed": 1, "cluster": {"workers": 2}, "datasets": sections}
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def run_and_commit(variant: str, depth: int = 3) -> None:
    set_variant(variant, depth)
    run_pipeline()
    commit_all(variant)


def write_made() -> None:
    """The tables of all variants, which the pipeline copies."""
    write_no_trainings(Path("made/trainings.parquet"))
    for variant in ("base", "better", "worse", "alike", "constant"):
        write_table(Path(f"made/flights-{variant}.parquet"), ROWS, variant)
    write_table(Path("made/flights-other.parquet"), draw_rows(seed=6), "base")
    old = {metric: value for metric, value in TASK.exact(ROWS.late, ROWS.scores("base")).items() if metric != "f1"}
    systems = {"model": {"decides": asdict(TASK), "exact": old}}
    write_table(Path("made/flights-old.parquet"), ROWS, "base", segments=Segments({}), systems=systems)
    write_table(Path("made/hotels-base.parquet"), draw_rows(800, 30), "base", "hotels")


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """main is ``base``; a branch for every other variant; experiments of main; the tag ``before`` has no tables."""
    with new_repository(tmp_path_factory.mktemp("compared"), autostage=True) as folder:
        Path(".gitignore").write_text("/made/\n/data/\n/comparisons/\n", encoding="utf-8")
        Path("dvc.yaml").write_text(PIPELINE, encoding="utf-8")
        set_variant("base")
        commit_all("no table yet")
        git("tag", "before")
        write_made()
        run_and_commit("base")
        for variant in ("better", "alike", "other", "old", "constant"):
            git("checkout", "-qb", variant, "main")
            run_and_commit(variant, depth=5)
        git("checkout", "-q", "main")
        git("checkout", "-qb", "hotels-only")
        git("rm", "-q", "--cached", "dvc.lock")
        lock = yaml.safe_load(Path("dvc.lock").read_text())
        del lock["stages"]["evaluate@flights"]
        Path("dvc.lock").write_text(yaml.safe_dump(lock), encoding="utf-8")
        commit_all("hotels only")
        go_to("main")
        with Repo() as repo:
            for name in ("better", "worse", "alike", "other"):
                repo.experiments.run(name=f"try-{name}", params=[f"datasets.flights.model.variant={name}"])
            base = "datasets.flights.model.variant=base"
            repo.experiments.run(name="try-nothing", params=[base, "datasets.flights.model.depth=9"])
            repo.experiments.run(name="try-later", params=[base, "datasets.flights.model.depth=8"], queue=True)
        go_to("main")
    return folder


@pytest.fixture
def shared(original: Path) -> Iterator[Path]:
    """The one of the session, to be read only."""
    with chdir(original):
        yield original


@pytest.fixture
def history(original: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of its own."""
    shutil.copytree(original, tmp_path / "repository", symlinks=True)
    with chdir(tmp_path / "repository"):
        yield Path.cwd()


@pytest.fixture(scope="session")
def rows() -> Rows:
    """The flights."""
    return ROWS


@pytest.fixture(scope="session")
def making() -> SimpleNamespace:
    """``draw_rows`` and ``commit_table``, for what is unusual."""
    return SimpleNamespace(draw_rows=draw_rows, commit_table=commit_table)
