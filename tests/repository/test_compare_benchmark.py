"""The benchmark of `compare` runs on few rows, and its peer asks the same question of them."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import bench_compare
from benchmarks.measure import measure
from benchmarks.workspace import ROOT

pytestmark = pytest.mark.slow


def test_every_figure_is_measured() -> None:
    text = bench_compare.main(runs=1, rows=30_000, peer_rows=5_000, peer_replicates=1)
    for figure in ("whole process", "peak memory", "a resampling table of 365 days", "times faster"):
        assert figure in text
    assert "roc_auc ↑" in text  # what the command printed is quoted


def test_the_peer_finds_the_same_difference_by_resampling_rows(tmp_path: Path) -> None:
    measure([sys.executable, "-m", "benchmarks.revision_pair", str(tmp_path / "pair"), "100000"], cwd=ROOT)
    bench_compare.compare(tmp_path / "pair", "--write", str(tmp_path / "written"))
    content = json.loads((tmp_path / "written" / bench_compare.DATASET / "comparison.json").read_text())
    ours = next(each for each in content["metrics"] if each["metric"] == "roc_auc")
    command = [sys.executable, "-m", "benchmarks.peer_paired_bootstrap", "100000", "20", "0.25", "0.25"]
    theirs = [each["roc_auc"] for each in json.loads(measure(command, cwd=ROOT).output)["differences"]]
    assert ours["low"] < sum(theirs) / len(theirs) < ours["high"]
