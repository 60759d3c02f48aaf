"""The rooms: `import-linter` keeps the contracts of pyproject.toml, and a planted import breaks each of them."""

import shutil
from pathlib import Path

import pytest

FORBIDDEN = {
    "a stage imports a stage": ("stages/train.py", "import stages.evaluate"),
    "a noun imports a verb": ("stages/models/baseline.py", "import stages.train"),
    "a noun imports one further down the line": ("stages/features/sketch.py", "import stages.models.baseline"),
    "a dataset knows of features": ("stages/datasets/digits/__init__.py", "import stages.features.table"),
    "records know of a dataset": ("stages/records/clock.py", "import stages.datasets.digits"),
    "the ground knows of a noun": ("stages/workspace/layout.py", "import stages.records.contract"),
    "two modules import each other": ("stages/metrics/bootstrap.py", "import stages.metrics.paired"),
    "a stage imports the tools": ("stages/train.py", "import tools.params"),
    "a stage has no place in the layers": ("stages/publish.py", "import stages.workspace.layout"),
    "pandas on the hot path": ("stages/train.py", "import pandas"),
    "scikit-learn on the hot path": ("stages/metrics/binary.py", "from sklearn.metrics import roc_auc_score"),
    "pickle": ("stages/workspace/files.py", "import pickle"),
    "a metric opens files": ("stages/metrics/binary.py", "from pathlib import Path"),
    "a metric reads the clock": ("stages/metrics/binary.py", "import time"),
    "a metric keeps a global random state": ("stages/metrics/binary.py", "import random"),
    "a metric asks the scheduler": ("stages/metrics/binary.py", "import stages.runtime.partitions"),
    "a metric borrows from what touches the world": ("stages/metrics/binary.py", "import stages.metrics.scoring"),
    "the ground is slow to import": ("stages/workspace/files.py", "import pandera.polars"),
}


@pytest.fixture
def rooms(tmp_path: Path, root: Path) -> Path:
    shutil.copy(root / "pyproject.toml", tmp_path)
    for package in ("stages", "tools"):
        shutil.copytree(root / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_the_contracts_are_kept(rooms: Path, run) -> None:
    assert "0 broken" in run("lint-imports", "--no-logo", cwd=rooms, PYTHONPATH=".").stdout


@pytest.mark.parametrize("what", FORBIDDEN)
def test_a_forbidden_import_is_refused(what: str, rooms: Path, run) -> None:
    name, statement = FORBIDDEN[what]
    path = rooms / name
    before = path.read_text(encoding="utf-8") if path.exists() else '"""New."""\n'
    path.write_text(f"{before}\n{statement}\n", encoding="utf-8")
    done = run("lint-imports", "--no-logo", cwd=rooms, check=False, PYTHONPATH=".")
    assert done.returncode == 1, done.stdout
    assert "BROKEN" in done.stdout
