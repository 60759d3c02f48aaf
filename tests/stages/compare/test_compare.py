"""Two revisions of a real repository, compared by the command; truth comes from the rows themselves."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, roc_auc_score

from stages import compare


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    compare.main(*arguments)
    return capsys.readouterr().out


def written(folder: Path, *arguments: str) -> dict[str, Any]:
    compare.main(*arguments, "--dataset", "flights", "--write", str(folder))
    content: dict[str, Any] = json.loads((folder / "comparison.json").read_text())
    return content


def by_metric(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["metric"]: each for each in content["metrics"]}


def test_values_and_differences_are_those_of_the_rows(shared: Path, tmp_path: Path, rows: Any) -> None:
    found = by_metric(written(tmp_path, "main", "better"))
    for metric, measure in (("roc_auc", roc_auc_score), ("average_precision", average_precision_score)):
        a, b = (measure(rows.late, rows.scores(variant)) for variant in ("base", "better"))
        assert [found[metric][key] for key in ("a", "b", "difference")] == pytest.approx([a, b, b - a], rel=1e-5)


def test_a_real_gain_is_told(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "main", "better", "--dataset", "flights")
    assert "better is better than main on roc_auc (+0." in text
    assert "Changed parameters: model.depth 3 → 5; model.variant base → better" in text


def test_no_gain_is_told_as_no_evidence(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "main", "alike", "--dataset", "flights")
    assert "No evidence that alike differs from main, Holm's correction for 9 metrics made: on roc_auc the" in text


def test_the_other_way_round_is_the_same_the_other_way_round(shared: Path, tmp_path: Path) -> None:
    forth = by_metric(written(tmp_path / "forth", "main", "better"))
    back = by_metric(written(tmp_path / "back", "better", "main"))
    for metric, each in forth.items():
        assert back[metric]["difference"] == pytest.approx(-each["difference"])
        assert back[metric]["low"] == pytest.approx(-each["high"], rel=1e-5)
        assert back[metric]["p_value"] == each["p_value"]
        assert {each["verdict"], back[metric]["verdict"]} in ({"better", "worse"}, {each["verdict"]})


def test_a_revision_compared_with_itself_differs_in_nothing(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "main", "HEAD")
    assert text.count("main and HEAD have the same resampling table: nothing differs.") == 2


def test_experiments_and_datasets_are_taken_by_name(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "main", "try-worse")
    assert "flights: Will it be late?\nA  main (" in text
    assert "try-worse is worse than main on roc_auc (−0." in text
    assert "hotels: Will it be late?\nmain and try-worse have the same resampling table" in text


def test_by_default_the_workspace_is_compared_with_the_last_commit(
    history: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("data/evaluation/flights.parquet").unlink()
    Path("data/evaluation/flights.parquet").write_bytes(Path("made/flights-better.parquet").read_bytes())
    text = told(capsys)
    assert "B  workspace\n" in text
    assert "workspace is better than HEAD on roc_auc" in text


def test_parameters_changed_since_the_last_run_are_a_caution(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = Path("params.yaml").read_text().replace("depth: 3", "depth: 4")
    Path("params.yaml").write_text(text)
    Path("data/evaluation/flights.parquet").unlink()
    Path("data/evaluation/flights.parquet").write_bytes(Path("made/flights-alike.parquet").read_bytes())
    found = " ".join(told(capsys, "HEAD", "workspace").split())
    assert "workspace has not been run since its parameters changed (datasets.flights.model.depth 3 → 4)" in found


def test_level_replicates_and_correction_are_as_asked(shared: Path, tmp_path: Path) -> None:
    wide = written(tmp_path / "a", "main", "alike", "--level", "0.99", "--replicates", "500", "--correction", "none")
    narrow = written(tmp_path / "b", "main", "alike", "--level", "0.8", "--replicates", "500", "--correction", "bh")
    assert (wide["level"], wide["replicates"], wide["correction"]) == (0.99, 500, "none")
    reach = [by_metric(each)["roc_auc"]["high"] - by_metric(each)["roc_auc"]["low"] for each in (wide, narrow)]
    assert reach[0] > 1.5 * reach[1]
    assert all(each["p_adjusted"] == each["p_value"] for each in wide["metrics"])
    assert all((each["p_adjusted"] or 1) >= (each["p_value"] or 0) for each in narrow["metrics"])


def test_one_metric_is_one_look(shared: Path, tmp_path: Path) -> None:
    content = written(tmp_path, "main", "better", "--metric", "brier", "--metric", "roc_auc")
    assert list(by_metric(content)) == ["brier", "roc_auc"]
    content = written(tmp_path, "main", "better", "--metric", "brier")
    assert by_metric(content)["brier"]["p_adjusted"] == by_metric(content)["brier"]["p_value"]


def test_a_metric_from_after_a_revision_is_computed_from_its_table(shared: Path, tmp_path: Path) -> None:
    found = by_metric(written(tmp_path, "old", "better"))
    assert found["f1"]["a"] == pytest.approx(by_metric(written(tmp_path, "main", "better"))["f1"]["a"], rel=1e-5)


def test_a_constant_score_is_compared_like_any_other(shared: Path, tmp_path: Path) -> None:
    found = by_metric(written(tmp_path, "main", "constant"))
    assert (found["roc_auc"]["b"], found["roc_auc"]["verdict"]) == (0.5, "worse")
    assert found["precision"]["b"] == 0


def test_decisions_in_a_segment_are_exactly_those_of_its_rows(shared: Path, tmp_path: Path, rows: Any) -> None:
    content = written(tmp_path, "main", "better", "--segment", "carrier", "--metric", "accuracy")
    for each in content["segments"]:
        chosen = rows.carriers == each["segment"].removeprefix("carrier=")
        a, b = (accuracy_score(rows.late[chosen], rows.decisions(v)[chosen]) for v in ("base", "better"))
        assert each["rows"] == np.count_nonzero(chosen)
        assert [each["a"], each["b"]] == pytest.approx([a, b], abs=1e-6)


def test_a_segment_without_positives_is_shown_as_undefined(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = written(tmp_path, "main", "better", "--segment", "carrier")
    found = {each["segment"]: each["verdict"] for each in content["segments"]}
    assert found == {"carrier=AA": "better", "carrier=UA": "better", "carrier=HA": "undefined"}
    text = " ".join(capsys.readouterr().out.split())
    assert "Undefined: roc_auc is not defined on the test rows: they lack a class." in text
    assert "correction for 2 segments" in text


def test_months_are_told_apart_by_their_days(shared: Path, tmp_path: Path, rows: Any) -> None:
    content = written(tmp_path, "main", "better", "--segment", "month")
    for each, chosen in zip(content["segments"], (rows.days < 30, rows.days >= 30), strict=True):
        a = roc_auc_score(rows.late[chosen], rows.scores("base")[chosen])
        assert each["segment"] in ("month=2013-11", "month=2013-12")
        assert (each["rows"], each["a"]) == (np.count_nonzero(chosen), pytest.approx(a, abs=1e-4))


def test_what_is_written_says_the_same_in_every_form(shared: Path, tmp_path: Path) -> None:
    content = written(tmp_path, "main", "better", "--segment", "month")
    table = pl.read_csv(tmp_path / "comparison.csv")
    assert table["metric"].to_list() == [each["metric"] for each in content["metrics"] + content["segments"]]
    assert table["difference"].to_list() == [each["difference"] for each in content["metrics"] + content["segments"]]
    with (tmp_path / "differences.csv").open() as file:
        drawn = list(csv.DictReader(file))
    assert list(drawn[0]) == ["metric", "direction", "difference", "low", "high", "verdict"]
    assert len(drawn) == len(content["metrics"])
    markdown = (tmp_path / "comparison.md").read_text()
    assert content["conclusion"] in markdown and "| roc_auc ↑ " in markdown


def test_the_same_comparison_is_written_to_the_same_bytes(shared: Path, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        written(tmp_path / folder, "main", "alike", "--segment", "carrier")
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def test_a_folder_is_made_for_every_comparison(history: Path) -> None:
    compare.main("main", "better", "--write")
    for dataset in ("flights", "hotels"):
        assert len(list(Path(f"comparisons/{dataset}/main..better").iterdir())) == 4
    compare.main("main", "better", "--write", "given")
    assert sorted(path.name for path in Path("given").iterdir()) == ["flights", "hotels"]


def test_markdown_is_printed_for_a_job_summary(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "main", "better", "--dataset", "flights", "--markdown")
    assert text.startswith("### flights: better (")
    assert "**better is better than main on" in text


def test_the_command_ends_with_zero_and_speaks_on_standard_output(shared: Path) -> None:
    root = Path(compare.__file__).parents[1]
    command = [sys.executable, "-m", "stages.compare", "main", "better", "--dataset", "flights"]
    done = subprocess.run(
        command, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(root)}
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "better is better than main" in done.stdout
