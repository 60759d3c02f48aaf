"""What a stage imports: no estimators, no data frames of others; whoever wants them still gets them."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SLOW = ("sklearn", "pandas", "scipy.stats", "distributed", "dask", "papermill", "nbconvert", "matplotlib", "pandera")


def said(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "verb", ["download", "clean", "featurize", "select_features", "train", "evaluate", "package", "report", "predict"]
)
def test_a_stage_starts_without_what_is_slow_to_import(verb: str) -> None:
    assert said(f"import sys, stages.{verb}; print([name for name in {SLOW} if name in sys.modules])") == "[]\n"


def test_scikit_learn_and_distributed_training_are_there_for_those_who_ask() -> None:
    code = "import stages.models.trees, xgboost.dask, sklearn.linear_model as m; print(m.LogisticRegression.__name__)"
    assert said(code) == "LogisticRegression\n"
