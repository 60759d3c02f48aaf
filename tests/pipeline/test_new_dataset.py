"""A CSV becomes a dataset with one command: the line runs on it and the contract is kept, whatever the task."""

import json
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAME = "orchard"
LINE = ("download", "clean", "featurize", "select_features", "train", "evaluate", "package", "report")
RUN = "import sys; from stages import {verbs}; [verb.main(sys.argv[1]) for verb in ({verbs})]"


@pytest.mark.parametrize(
    ("task", "metric"),
    [
        ("binary", "roc_auc"),
        pytest.param("multiclass", "accuracy", marks=pytest.mark.slow),
        pytest.param("regression", "mae", marks=pytest.mark.slow),
    ],
)
def test_a_new_dataset_runs_at_once_and_keeps_the_contract(tree, task: str, metric: str) -> None:
    shutil.copyfile(ROOT / "params/config.yaml", tree.root / "params/config.yaml")  # every dataset of the default run
    tree.run("git", "init", "--quiet")  # DVC's configuration is that of a repository
    tree.run("python", "-m", "tools.new_dataset", NAME, "--task", task)
    package = f"stages/datasets/{NAME}"
    assert len((tree.root / package / "__init__.py").read_text(encoding="utf-8").splitlines()) <= 30
    tree.run("ruff", "check", package)
    tree.run("ruff", "format", "--check", package)
    tree.run("python", "-c", RUN.format(verbs=", ".join(LINE)), NAME)
    results = json.loads((tree.root / f"metrics/{NAME}/results.json").read_text(encoding="utf-8"))
    assert next(iter(results)) == metric
    for made in (f"reports/{NAME}/results.html", f"bundles/{NAME}/example.csv"):
        assert (tree.root / made).exists()
    chosen = ("tests/contract", "tests/repository/test_artifacts.py", "-k", f"{NAME} or default_run or artifact")
    kept = tree.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen)
    assert " passed" in kept and " failed" not in kept
