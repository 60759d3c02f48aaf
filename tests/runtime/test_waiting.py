"""OpenMP's threads rest while they wait, unless the user says otherwise; libgomp itself tells what it has read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
POLICY = "OMP_WAIT_POLICY"


def policies(module: str, **chosen: str) -> set[str]:
    """What every OpenMP library tells of its waiting as it is loaded by a process that imports ``module``."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    told = subprocess.run(
        [sys.executable, "-c", f"import {module}"],
        env=inherited | {"PYTHONPATH": str(ROOT), "OMP_DISPLAY_ENV": "true"} | chosen,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {line.partition("=")[2].strip(" '") for line in told.stderr.splitlines() if POLICY in line}


@pytest.mark.parametrize("module", ["stages.train", "stages.tune", "stages.predict", "stages, lightgbm, sklearn.svm"])
def test_whatever_computes_waits_without_spinning(module: str) -> None:
    assert policies(module) == {"PASSIVE"}


def test_a_users_own_choice_wins() -> None:
    assert policies("stages.train", OMP_WAIT_POLICY="active") == {"ACTIVE"}


def test_tests_wait_as_stages_do() -> None:
    assert POLICY in os.environ
