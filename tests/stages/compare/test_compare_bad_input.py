"""What cannot be compared is refused with a reason, and does not keep the rest from being compared."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from stages import compare
from stages.metrics.files import HEADER
from stages.workspace.errors import UserError

CLOSED = "[core]\n    remote = far\n['remote \"far\"']\n    url = s3://bucket\n    endpointurl = http://127.0.0.1:9\n"


def lose(commit: str, dataset: str) -> None:
    """Take a table out of the cache."""
    lock = yaml.safe_load(subprocess.run(["git", "show", f"{commit}:dvc.lock"], capture_output=True, check=True).stdout)
    md5 = lock["stages"][f"evaluate@{dataset}"]["outs"][0]["md5"]
    Path(f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}").unlink()


def test_an_unknown_revision_is_told_with_the_close_one(shared: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'better'"):
        compare.main("main", "beter")


def test_a_revision_without_tables_is_told_with_what_others_have(shared: Path) -> None:
    with pytest.raises(UserError, match="before: none; main: flights, hotels"):
        compare.main("before", "main")


def test_a_dataset_that_one_side_lacks_is_a_note_or_when_asked_for_an_error(
    shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compare.main("main", "hotels-only")
    assert "hotels: Will it be late?" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"main: flights, hotels; hotels-only: hotels"):
        compare.main("main", "hotels-only", "--dataset", "flights")


def test_other_rows_are_refused_and_the_other_dataset_still_compared(
    shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match=r"flights: wanted the same test rows .*main and other have 6,000 test rows"):
        compare.main("main", "other")
    assert "hotels: Will it be late?\nmain and other have the same" in capsys.readouterr().out
    with pytest.raises(UserError, match="but not the same ones, or not the same labels"):
        compare.main("main", "other", "--dataset", "flights")


def test_another_question_is_refused(history: Path, making: Any, rows: Any) -> None:
    making.commit_table(rows, "base", question="Will it be early?")
    with pytest.raises(UserError, match="the same question asked of the test rows"):
        compare.main("main~1", "main", "--dataset", "flights")


def test_a_metric_that_nobody_knows_is_told_with_the_known_ones(shared: Path) -> None:
    with pytest.raises(UserError, match="metrics of flights: roc_auc, average_precision"):
        compare.main("main", "better", "--dataset", "flights", "--metric", "auc")


@pytest.mark.parametrize(
    ("pair", "column", "found"),
    [(("main", "better"), "origin", "main: month, carrier; of better: month, carrier"),
     (("old", "better"), "carrier", "old: month; of better: month, carrier")],
)  # fmt: skip
def test_segments_that_a_table_does_not_tell_apart_are_refused(
    shared: Path, pair: tuple[str, str], column: str, found: str
) -> None:
    with pytest.raises(UserError, match=found):
        compare.main(*pair, "--dataset", "flights", "--segment", column)


def test_a_table_from_before_runs_were_drawn_can_still_be_compared(
    history: Path, making: Any, rows: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its header does not say how long its runs are; the other table's runs are drawn, or single units."""
    table = Path("data/evaluation/flights.parquet")
    for variant in ("base", "better"):
        making.commit_table(rows, variant)
        header = json.loads(pl.read_parquet_metadata(table)[HEADER])
        del header["block"]
        pl.read_parquet(table).write_parquet(table, metadata={HEADER: json.dumps(header)})
        subprocess.run(["git", "commit", "-qam", f"{variant}, as of old"], check=True)
    compare.main("main~2", "main", "--dataset", "flights", "--metric", "roc_auc")
    assert "60 units of day, 300 resamples" in capsys.readouterr().out


def test_one_cluster_alone_cannot_be_resampled(history: Path, making: Any) -> None:
    for variant in ("base", "better"):
        making.commit_table(making.draw_rows(300, days=1), variant)
    with pytest.raises(UserError, match="at least two clusters"):
        compare.main("HEAD~1", "HEAD", "--dataset", "flights")


def test_few_clusters_are_compared_with_a_caution(
    history: Path, making: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for variant in ("base", "better"):
        making.commit_table(making.draw_rows(900, days=6), variant)
    compare.main("HEAD~1", "HEAD", "--dataset", "flights")
    assert "Intervals rest on 6 units of day only, and are rough." in capsys.readouterr().out


def test_a_month_of_too_few_days_has_its_reason(history: Path, making: Any, tmp_path: Path) -> None:
    for variant in ("base", "better"):
        making.commit_table(making.draw_rows(900, days=33), variant, block=5)
    compare.main("HEAD~1", "HEAD", "--dataset", "flights", "--segment", "month", "--write", str(tmp_path))
    assert "3 days are too few to draw from" in (tmp_path / "comparison.md").read_text()


@pytest.mark.parametrize("content", [b"", b"no parquet", "half"])
def test_a_damaged_table_is_named_and_the_other_dataset_still_compared(
    history: Path, content: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Path("data/evaluation/flights.parquet")
    whole = place.read_bytes()
    place.unlink()
    place.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    with pytest.raises(
        UserError, match=r"flights: wanted a resampling table in data/evaluation/flights\.parquet of work"
    ):
        compare.main("main", "workspace")
    assert "hotels: Will it be late?" in capsys.readouterr().out


def test_out_of_reach_is_told_and_what_is_in_the_cache_compared(
    history: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "y"), ("MAX_ATTEMPTS", "1")):
        monkeypatch.setenv(f"AWS_{variable}", value)
    Path(".dvc/config.local").write_text(CLOSED, encoding="utf-8")
    lose("better", "flights")
    with pytest.raises(UserError, match=r"flights: wanted .* in DVC's cache or in its remote; .*http://127.0.0.1:9"):
        compare.main("main", "better")
    assert "hotels: Will it be late?\nmain and better have the same" in capsys.readouterr().out


def test_outside_a_repository_the_command_fails_in_words(tmp_path: Path) -> None:
    root = Path(compare.__file__).parents[1]
    command = [sys.executable, "-m", "stages.compare", "a", "b"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert "wanted  a git repository around the working directory" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["a", "b", "c"], ["main", "better", "--level", "95"], ["main", "better", "--replicates", "3"],
     ["main", "--all"], ["main", "better", "--baseline", "main"], ["--all", "--metric", "f1", "--metric", "brier"],
     ["main", "better", "--correction", "bonferroni"]],
)  # fmt: skip
def test_wrong_arguments_are_refused_with_the_usage(
    shared: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        compare.main(*arguments)
    assert "usage: python -m stages.compare" in capsys.readouterr().err


def test_a_file_in_the_way_of_a_folder_is_told(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(UserError, match=r"a folder .*taken to write to"):
        compare.main("main", "better", "--dataset", "flights", "--write", str(tmp_path / "taken"))


def test_a_revision_without_parameters_is_compared_with_a_note(
    history: Path, making: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["git", "rm", "-q", "params.yaml"], check=True)
    making.commit_table(making.draw_rows(), "better")
    compare.main("main~1", "main", "--dataset", "flights")
    assert "The parameters of main are not known" in capsys.readouterr().out


def test_a_clone_without_the_cache_says_how_to_get_the_tables(history: Path, tmp_path: Path) -> None:
    shutil.rmtree(".dvc/cache")
    with pytest.raises(UserError, match=r"not in the cache; the remote: .*no remote"):
        compare.main("main", "better", "--dataset", "flights")


def test_a_table_from_before_its_model_was_trained_is_refused(history: Path) -> None:
    """As after an experiment that named an earlier stage than `evaluate`."""
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    lock["stages"]["train@flights"] = {"cmd": "t", "outs": [{"path": "models/flights", "hash": "md5", "md5": "b" * 32}]}
    lock["stages"]["evaluate@flights"]["deps"] = [{"path": "models/flights", "hash": "md5", "md5": "a" * 32}]
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    with pytest.raises(UserError, match="one from before that model was trained: evaluate@flights has not been run"):
        compare.main("better", "workspace", "--dataset", "flights")
