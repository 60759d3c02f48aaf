"""The rooms: `import-linter` keeps the contracts of pyproject.toml, and a planted import breaks each of them."""

import shutil
from pathlib import Path

import pytest

FORBIDDEN = {
    "a stage imports a stage": ("stages/train.py", "import stages.evaluate"),
    "a method imports an edge": ("stages/methods/seeds.py", "import stages.edges.errors"),
    "a method imports a dataset": ("stages/methods/seeds.py", "import stages.datasets.contract"),
    "a method imports a stage": ("stages/methods/seeds.py", "import stages.train"),
    "an edge imports a dataset": ("stages/edges/layout.py", "import stages.datasets.contract"),
    "a dataset imports an edge": ("stages/datasets/contract.py", "import stages.edges.layout"),
    "a stage imports the tools": ("stages/train.py", "import tools.params"),
    "a stage has no place in the layers": ("stages/publish.py", "import stages.edges.layout"),
    "pandas on the hot path": ("stages/train.py", "import pandas"),
    "scikit-learn on the hot path": ("stages/methods/seeds.py", "from sklearn.metrics import roc_auc_score"),
    "pickle": ("stages/edges/files.py", "import pickle"),
    "a method opens files": ("stages/methods/seeds.py", "from pathlib import Path"),
    "a method reads the clock": ("stages/methods/seeds.py", "import time"),
    "a method keeps a global random state": ("stages/methods/seeds.py", "import random"),
    "an edge is slow to import": ("stages/edges/files.py", "import pandera.polars"),
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
