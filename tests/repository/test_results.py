"""The results table: never a bare number, the same in the terminal and in README.md, and stale tables are refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from stages.workspace.errors import UserError
from tools import results

PARAMS = "datasets:\n  pears: {}\n  apples: {}\n  plums: {}\n"


def metric(value: float, direction: str = "higher") -> dict[str, Any]:
    return {
        "value": value, "low": value - 0.01, "high": value + 0.01, "level": 0.95, "n": 53_123,
        "direction": direction, "baseline": 0.5,
    }  # fmt: skip


@pytest.fixture
def evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two evaluated datasets and one that is not, in the order of the parameters."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS, encoding="utf-8")
    metrics = {
        "roc_auc": metric(0.7312),
        "log_loss": metric(0.5398, "lower"),
        **{f"m{n}": metric(0.5) for n in range(9)},
    }
    for dataset in ("pears", "apples"):
        Path("metrics", dataset).mkdir(parents=True)
        Path("metrics", dataset, "results.json").write_text(json.dumps(metrics), encoding="utf-8")
    Path("README.md").write_text(f"# Title\n\n{results.BEGIN}\nold\n{results.END}\n\nMore words.\n", encoding="utf-8")
    return tmp_path


def test_a_row_holds_value_interval_baseline_and_number_of_rows(evaluated: Path, capsys) -> None:
    results.main()
    lines = capsys.readouterr().out.splitlines()
    row = next(line for line in lines if "roc_auc" in line)
    assert row.split() == ["pears", "roc_auc", "↑", "0.7312", "[0.7212,", "0.7412]", "0.5000", "53,123"]
    assert any("log_loss ↓" in line for line in lines)
    assert any("95\u202f%" in line for line in lines)


def test_datasets_stand_in_the_order_of_the_parameters_with_their_first_metrics(evaluated: Path) -> None:
    shown = list(results.rows(results.read_results()))
    assert [row[0] for row in shown] == ["pears"] * results.SHOWN + ["apples"] * results.SHOWN


def test_the_reader_is_told_where_to_look_next(evaluated: Path, capsys) -> None:
    results.main()
    said = capsys.readouterr().out
    for place in ("metrics/{pears,apples}/results.json", "reports/{pears,apples}/explore.html", "dvc plots show"):
        assert place in said


def test_readme_is_stale_until_it_is_written_and_nothing_else_in_it_changes(evaluated: Path) -> None:
    with pytest.raises(UserError, match="make results"):
        results.main("--check")
    results.main("--readme")
    results.main("--check")
    readme = Path("README.md").read_text(encoding="utf-8")
    assert readme.startswith("# Title\n\n") and readme.endswith(f"{results.END}\n\nMore words.\n")
    assert "| pears" in readme and "old" not in readme
    Path("metrics/pears/results.json").write_text(json.dumps({"roc_auc": metric(0.74)}), encoding="utf-8")
    with pytest.raises(UserError, match="an older table"):
        results.main("--check")


def test_no_results_yet_is_said_in_words(evaluated: Path) -> None:
    Path("params.yaml").write_text("datasets:\n  plums: {}\n", encoding="utf-8")
    with pytest.raises(UserError, match="make repro"):
        results.main()


def test_readme_without_markers_is_said_in_words(evaluated: Path) -> None:
    Path("README.md").write_text("# Title\n", encoding="utf-8")
    with pytest.raises(UserError, match="markers"):
        results.main("--readme")


def test_the_readme_of_this_repository_shows_its_committed_metrics(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    results.main("--check")


@pytest.mark.parametrize("option", ["--readme", "--check"])
def test_results_of_simulated_rows_are_named_and_never_kept(evaluated: Path, capsys, option: str) -> None:
    Path("metrics/pears/clean.json").write_text(json.dumps({"records": {}}), encoding="utf-8")
    Path("metrics/apples/clean.json").write_text(json.dumps({"simulated": True, "records": {}}), encoding="utf-8")
    results.main()
    assert capsys.readouterr().out.rstrip().endswith("world: apples")
    before = Path("README.md").read_text(encoding="utf-8")
    with pytest.raises(UserError, match="simulated ones: apples"):
        results.main(option)
    assert Path("README.md").read_text(encoding="utf-8") == before


def test_no_committed_metrics_are_those_of_simulated_rows() -> None:
    root = Path(__file__).parents[2]
    files = sorted(root.glob("metrics/*/clean.json"))
    assert files
    assert not [file.parent.name for file in files if json.loads(file.read_text(encoding="utf-8")).get("simulated")]
