"""One command takes every dataset from published files to bundles; a second one finds nothing to do."""

import csv
import io
import json
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

DATASETS = ("nycflights", "digits")


def test_one_command_runs_every_stage_for_every_dataset(line, read_log) -> None:
    ran, _ = read_log
    assert line.datasets == [*DATASETS]
    assert sorted(ran(line.first_log)) == sorted(line.stages)


def test_a_run_changes_nothing_but_the_lock_and_the_small_results(line) -> None:
    touched = {change[3:] for change in line.first_changes}
    assert "dvc.lock" in touched
    assert all(name == "dvc.lock" or name.startswith(("metrics/", "plots/")) for name in touched)
    assert not [change for change in line.first_changes if change.startswith("??")]  # results are already known to git


def test_a_second_run_has_nothing_to_do_and_git_nothing_to_say(line, read_log) -> None:
    ran, restored = read_log
    said = line.run("dvc", "repro")
    assert (ran(said), restored(said)) == ([], [])
    assert "Data and pipelines are up to date." in said
    assert line.changes() == []
    assert "up to date" in line.run("dvc", "status")


def test_an_edit_of_what_never_changes_a_result_makes_nothing_run(settled) -> None:
    log = settled.root / "stages/runtime/log.py"
    log.write_text(log.read_text(encoding="utf-8") + "# another way to tell of progress\n", encoding="utf-8")
    assert "up to date" in settled.run("dvc", "status")
    meant = settled.root / "stages/workspace/layout.py"
    meant.write_text(meant.read_text(encoding="utf-8") + "# another place\n", encoding="utf-8")
    told = settled.run("dvc", "status")
    assert all(f"{stage}:" in told for stage in settled.stages)


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_metric_comes_with_interval_size_direction_and_baseline(line, dataset: str) -> None:
    results = json.loads((line.root / f"metrics/{dataset}/results.json").read_text())
    assert len(results) >= 10
    for name, result in results.items():
        assert {"value", "low", "high", "level", "n", "direction", "baseline", "difference_low"} <= set(result), name
        assert result["low"] <= result["high"], name
        assert result["direction"] in ("higher", "lower")
        assert result["n"] > 100


@pytest.mark.parametrize("dataset", DATASETS)
def test_rows_in_are_rows_clean_and_rows_quarantined(line, dataset: str) -> None:
    records = json.loads((line.root / f"metrics/{dataset}/clean.json").read_text())["records"]
    assert records["rows_in"] == records["rows_clean"] + records["rows_quarantined"] > 0


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_bundle_decides_over_the_test_part_as_the_evaluation_counted(line, tmp_path: Path, dataset: str) -> None:
    signature = json.loads((line.root / f"bundles/{dataset}/signature.json").read_text())
    partitions = sorted((line.root / f"data/features/{dataset}").glob("*.parquet"))
    target, inputs = signature["target"], [entry["name"] for entry in signature["inputs"]]
    rows = pl.concat(pl.read_parquet(path).filter(part="test").drop_nulls(target) for path in partitions)
    rows.select(pl.col(target).alias("actual"), *inputs).write_csv(tmp_path / "rows.csv")
    predict = ("python", "-m", "stages.predict", f"bundles/{dataset}", str(tmp_path / "rows.csv"))
    scored = pl.read_csv(io.StringIO(line.read(*predict)))
    said = scored["decision" if signature["task"] == "binary" else "prediction"].cast(pl.String)
    actual = [signature["classes"][k] for k in scored["actual"]]
    with (line.root / f"plots/{dataset}/confusion.csv").open() as file:
        counted = {(row["actual"], row["predicted"]): int(row["rows"]) for row in csv.DictReader(file)}
    assert Counter(zip(actual, said, strict=True)) == Counter({key: n for key, n in counted.items() if n})


@pytest.mark.parametrize("dataset", DATASETS)
def test_no_output_tells_where_it_was_made(line, dataset: str) -> None:
    places = [str(line.root).encode(), str(Path.home()).encode() + b"/"]
    folders = [
        *(line.root / "data").iterdir(),
        *(line.root / name for name in ("models", "bundles", "metrics", "plots", "reports")),
    ]
    files = [path for folder in folders for path in (folder / dataset).rglob("*") if path.is_file()]
    assert len(files) > 20
    told = [path for path in files if any(place in path.read_bytes() for place in places)]
    assert told == []


def test_every_plot_is_drawn(line, tmp_path: Path) -> None:
    line.run("dvc", "plots", "show", "--out", str(tmp_path))
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    for dataset in line.datasets:
        tables = sorted((line.root / f"plots/{dataset}").glob("*.csv"))
        drawn = [path.name for path in tables if len(path.read_text(encoding="utf-8").splitlines()) > 1]
        assert {"intervals.csv", "learning_curve.csv", "calibration.csv"} <= {*drawn}
        assert [name for name in drawn if f"plots/{dataset}/{name}" not in page] == []
