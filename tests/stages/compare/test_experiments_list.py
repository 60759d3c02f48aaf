"""`make experiments`: one line an experiment, of 100 characters, whatever became of it."""

from pathlib import Path

import pytest

from stages import compare
from stages.experiments.comparison.changes import Change
from stages.pages.numbers import MINUS
from stages.workspace.errors import UserError
from tools import experiments


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    experiments.main(*arguments)
    return str(capsys.readouterr().out).splitlines()


def test_an_experiment_is_one_line_with_when_what_was_changed_and_what_came_of_it(
    shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = listed(capsys, "--dataset", "flights")
    assert max(map(len, lines)) <= experiments.WIDTH
    for name in ("try-better", "try-alike", "try-worse", "try-other", "try-nothing", "try-later"):
        assert sum(line.startswith(f"{name}  ") for line in lines) == 1, name
    better = next(line for line in lines if line.startswith("try-better"))
    assert "variant base→better" in better and " better " in better
    when, day = better.split()[3], int(better.split()[1])
    assert 1 <= day <= 31 and when[2] == ":"
    assert "[0." in better and "+0." in better
    worse = next(line for line in lines if line.startswith("try-worse"))
    assert f"{MINUS}0." in worse and " worse " in worse
    later = next(line for line in lines if line.startswith("try-later"))
    assert later.endswith("still in the queue")


def test_its_figures_are_those_of_the_ranking(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = listed(capsys, "--dataset", "flights", "--metric", "expected_cost")
    compare.main("--all", "--dataset", "flights", "--metric", "expected_cost")
    ranking = capsys.readouterr().out
    told = {line.split()[0]: line.split()[4] for line in lines if "→" in line}
    assert sorted(told) == ["try-alike", "try-better", "try-worse"]
    assert sorted(told, key=lambda name: ranking.index(f" {name} ")) == list(told)
    for name, cost in told.items():
        assert cost in next(line for line in ranking.splitlines() if f" {name} " in line)


def test_no_experiment_at_all_is_no_error_and_says_how_to_run_one(
    shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = listed(capsys, "--baseline", "HEAD~1")
    assert lines[0].startswith("No experiment has started from HEAD~1")
    assert lines[-1].startswith("Run one: dvc exp run -n NAME")


def test_names_and_changes_that_are_too_long_are_cut_and_counted() -> None:
    changes = [Change(f"datasets.x.model.p{n}", str(n), str(n * n)) for n in range(9)]
    assert experiments.changed(changes, 30) == "p0 0→0, p1 1→1, p2 2→4 +6"
    assert experiments.changed(changes, 9) == "p0 0→0 +8"
    assert experiments.changed(changes, 5) == "p0 0…"
    assert experiments.changed([], 20) == "code or data"
    assert len(experiments.as_line("n" * 300, "why " * 99)) == experiments.WIDTH


def test_an_unknown_metric_is_refused_as_the_ranking_refuses_it(shared: Path) -> None:
    with pytest.raises((UserError, ValueError), match="roc_auc"):
        experiments.main("--dataset", "flights", "--metric", "aura")
