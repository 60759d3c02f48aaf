"""What DVC shows of an evaluation can be read: a few figures of each metric, in lines that fit a terminal."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.evaluate import estimates
from stages.metrics.stored import TASKS
from tests.git_repositories import commit_all, new_repository

ROOT = Path(__file__).parents[2]
PIPELINE = """\
stages:
  evaluate:
    foreach: [nycflights, digits, diabetes, weather]
    do:
      cmd: "true"
      metrics: [{"metrics/${item}/test.json": {cache: false}}]
"""
DATASETS = dict(zip(("nycflights", "digits", "diabetes", "weather"), TASKS, strict=True))


def write_metrics(moved: float) -> None:
    for dataset, task in DATASETS.items():
        results: dict[str, Any] = {
            name: {"value": 0.123456 + moved, "low": None if k % 2 else 0.111111 + moved, "high": 0.133333, "n": 53_991}
            for k, name in enumerate(TASKS[task].metrics)
        }
        path = Path(f"metrics/{dataset}/test.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({dataset: estimates(results)}))


def dvc(*arguments: str) -> str:
    environment = os.environ | {"COLUMNS": "120"}
    return subprocess.run(["dvc", *arguments], env=environment, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def evaluated(tmp_path: Path) -> Iterator[None]:
    with new_repository(tmp_path):
        Path("dvc.yaml").write_text(PIPELINE)
        write_metrics(0.0)
        commit_all("evaluate")
        write_metrics(0.01)
        yield


def test_a_difference_of_every_metric_fits_120_columns(evaluated: None) -> None:
    lines = dvc("metrics", "diff").splitlines()
    assert max(map(len, lines)) <= 120
    known = sum(len(TASKS[task].metrics) for task in DATASETS.values())
    assert sum(".value " in line for line in lines) == known
    assert any("nycflights.roc_auc.value" in line and "0.01" in line for line in lines)


def test_no_two_datasets_share_a_name_of_a_metric_which_dvc_would_lengthen_by_its_path(evaluated: None) -> None:
    header = dvc("exp", "show", "--csv", "--force").splitlines()[0].split(",")
    shown = [name for name in header if name.endswith((".value", ".low", ".high"))]
    assert shown[:3] == ["nycflights.roc_auc.value", "nycflights.roc_auc.low", "nycflights.roc_auc.high"]
    assert not any("/" in name for name in shown)
    assert not [name for name in header if name.startswith("nycflights.") and name not in shown]


def test_dvc_lists_nothing_else_as_a_metric() -> None:
    listed = [line for line in (ROOT / "dvc.yaml").read_text(encoding="utf-8").splitlines() if "metrics: [" in line]
    assert [line.split('"')[1] for line in listed] == ["metrics/${key}/test.json"]
