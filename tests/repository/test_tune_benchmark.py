"""The tuning benchmark compares equal work, and tells what a study does beside training by itself."""

import csv
from pathlib import Path

import pytest

from benchmarks.bench_tune import PREDICTED, Rounds, figures, own_seconds, refuse_other_work
from benchmarks.measure import Cost

COST = Cost(1.0, 1.0, 1.0, 1.0, 0.0)


def test_other_losses_than_the_studys_are_no_comparison(tmp_path: Path) -> None:
    with (tmp_path / "trials.csv").open("w", encoding="utf-8") as file:
        csv.writer(file).writerows([["trial", "loss"], [1, 0.5], [2, 0.4], [3, 0.3]])
    refuse_other_work(tmp_path, [0.4, 0.3])
    with pytest.raises(ValueError, match="wanted equal losses"):
        refuse_other_work(tmp_path, [0.4, 0.30000001])


def test_a_study_that_trains_nothing_has_a_cost_of_its_own(tmp_path: Path) -> None:
    assert own_seconds(tmp_path / "own.db", trials=3, steps=2) > 0


def test_every_prediction_stands_beside_its_figure() -> None:
    rounds = Rounds([COST], [COST], tune_s=[10.4], plain_s=[10.0], own_s=[0.2], start_s=[5.0])
    found = {figure.name: figure for figure in figures(rounds)}
    assert sorted(figure.predicted for figure in found.values()) == sorted(PREDICTED.values())
    assert found["tune ÷ plain"].value == pytest.approx(1.04) and found["tune ÷ plain"].verdict == "met"
    assert found["that ÷ plain"].value == pytest.approx(0.02)
