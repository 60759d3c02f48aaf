"""Every experiment of a baseline, ranked; pairwise comparisons and DVC's own list are the second opinion."""

import json
import subprocess
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from dvc.repo import Repo

from stages import compare
from stages.metrics.paired import adjust
from stages.workspace.errors import UserError


def ranking(folder: Path, *arguments: str) -> dict[str, Any]:
    compare.main("--all", "--dataset", "flights", "--write", str(folder), *arguments)
    content: dict[str, Any] = json.loads((folder / "comparison.json").read_text())
    return content


def test_experiments_stand_best_first_with_what_they_changed(shared: Path, tmp_path: Path) -> None:
    found = ranking(tmp_path)["experiments"]
    assert [each["label"] for each in found] == ["try-better", "try-alike", "try-worse"]
    assert found[0]["changed_parameters"] == [{"path": "datasets.flights.model.variant", "a": "base", "b": "better"}]
    assert (found[0]["verdict"], found[-1]["verdict"]) == ("better", "worse")


def test_p_values_are_those_of_pairs_corrected_for_all(shared: Path, tmp_path: Path) -> None:
    found = ranking(tmp_path / "all")["experiments"]
    p_values = []
    for each in found:
        place = tmp_path / each["label"]
        compare.main("HEAD", each["label"], "--dataset", "flights", "--metric", "roc_auc", "--write", str(place))
        pair = json.loads((place / "comparison.json").read_text())["metrics"][0]
        assert [pair[key] for key in ("a", "b", "low", "high")] == [each[key] for key in ("a", "b", "low", "high")]
        p_values.append(pair["p_value"])
    assert [each["p_adjusted"] for each in found] == pytest.approx(adjust(p_values, "holm"), rel=1e-5)


def test_none_of_the_experiments_that_dvc_lists_is_dropped(shared: Path, tmp_path: Path) -> None:
    content = ranking(tmp_path)
    with Repo() as repo:
        listed = {name for found in repo.experiments.ls().values() for name, _ in found}
    assert {each["label"] for each in content["experiments"]} | set(content["not_ranked"]) == listed | {"try-later"}
    reasons = content["not_ranked"]
    assert "but not the same ones, or not the same labels" in reasons["try-other"]
    assert reasons["try-nothing"] == "the same resampling table as the baseline"
    assert reasons["try-later"] == "still in the queue"


def test_lower_is_better_where_it_is(shared: Path, tmp_path: Path) -> None:
    found = ranking(tmp_path, "--metric", "expected_cost")["experiments"]
    values = [each["b"] for each in found]
    assert found[0]["label"] == "try-better" and values == sorted(values)


def test_a_table_for_people_names_baseline_reasons_and_a_caution(
    shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compare.main("--all", "--baseline", "main")
    text = capsys.readouterr().out
    assert "Of 3 experiments compared, Holm's correction made: 1 better than main, 1 worse, 1 without evidence." in text
    assert "the best of several looks better than it is" in text
    assert "(baseline)" in text and "still in the queue" in text
    assert "hotels: Will it be late?\n\nnot ranked" in text


def test_what_is_written_has_a_row_an_experiment(history: Path) -> None:
    compare.main("--all", "--baseline", "main", "--dataset", "flights", "--write", "--markdown")
    folder = Path("comparisons/flights/main..all")
    assert pl.read_csv(folder / "comparison.csv")["experiment"].to_list() == ["try-better", "try-alike", "try-worse"]
    assert pl.read_csv(folder / "differences.csv")["metric"].to_list() == ["try-better", "try-alike", "try-worse"]
    assert (folder / "comparison.md").read_text().startswith("### flights: experiments against main (")


def test_an_experiment_whose_table_is_lost_is_listed_and_the_command_fails(
    history: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = Path("made/flights-worse.parquet").read_bytes()
    for file in Path(".dvc/cache/files/md5").glob("??/*"):
        if file.read_bytes() == own:
            file.unlink()
    with pytest.raises(UserError, match=r"flights of try-worse: not in the cache; the remote: .*no remote"):
        compare.main("--all", "--dataset", "flights")
    text = capsys.readouterr().out
    assert "try-better" in text and "try-worse" in text.partition("not ranked")[2]


def test_without_experiments_it_says_where_there_are_some(shared: Path) -> None:
    with pytest.raises(UserError, match=r"experiments that started from before .*\n.*none; 5 of "):
        compare.main("--all", "--baseline", "before")


def test_a_baseline_without_tables_is_refused(history: Path) -> None:
    start, commit = (
        subprocess.run(["git", "rev-parse", name], capture_output=True, text=True, check=True).stdout.strip()
        for name in ("before^{commit}", "main")
    )
    subprocess.run(["git", "update-ref", f"refs/exps/{start[:2]}/{start[2:]}/one", commit], check=True)
    with pytest.raises(UserError, match="before: none"):
        compare.main("--all", "--baseline", "before")
