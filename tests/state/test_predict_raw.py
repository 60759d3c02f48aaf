"""Rows as published in, predictions out: the scores that the line's features get, and reasons for what is refused."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from stages.ingest import main as ingest
from stages.models.bundle import open_bundle
from stages.models.row_files import BLOCK
from stages.models.signature import fit_rows
from stages.predict import PARTLY, main
from stages.records.contract import load_dataset
from stages.state import files
from stages.workspace.errors import UserError

ROOT = Path(__file__).parents[2]
DATASET = load_dataset("nycflights")
OUTCOMES = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]
KEY = ["carrier", "flight", "origin", "day"]


@pytest.fixture(autouse=True)
def bundle(small_line: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return str(small_line / "bundles" / "nycflights")


@pytest.fixture
def published(small_line: Path) -> pl.DataFrame:
    """The rows of February that passed, in the order in which they were published."""
    rows = DATASET.records.read(small_line / "data/raw/nycflights", "2013-02")
    failed = pl.read_parquet(small_line / "data/quarantine/nycflights/flights/2013-02.parquet")["row"]
    return rows.with_row_index("i").filter(~pl.col("i").is_in(failed.implode())).drop("i", "(line)")


@pytest.fixture
def wanted(small_line: Path, bundle: str) -> np.ndarray:
    """What the model says to the features that the line made of them."""
    made = pl.read_parquet(small_line / "data/features/nycflights/2013-02.parquet")
    opened = open_bundle(Path(bundle))
    return opened.model.predict(fit_rows(made, opened.signature["inputs"])[0])


@pytest.fixture
def score(bundle: str, capsysbinary: pytest.CaptureFixture[bytes]) -> Callable[..., pl.DataFrame]:
    def score_rows(rows: pl.DataFrame | str, *options: str) -> pl.DataFrame:
        if isinstance(rows, pl.DataFrame):
            rows.write_csv("rows.csv")
            rows = "rows.csv"
        main(bundle, rows, *options)
        return pl.read_csv(io.BytesIO(capsysbinary.readouterr().out), infer_schema_length=None)

    return score_rows


def test_rows_as_published_get_the_scores_of_the_line_in_every_format(score, published, wanted) -> None:
    found = score(published)
    assert np.array_equal(found["probability"].cast(pl.Float32), wanted)
    assert found.columns == [*published.columns, "probability", "decision", "note"]
    published.write_ndjson("rows.jsonl")
    published.write_parquet("rows.parquet")
    for name in ("rows.jsonl", "rows.parquet"):
        assert score(name)["probability"].equals(found["probability"])


def test_rows_without_outcomes_are_scored_as_of_what_is_known_of_the_others(score, published, wanted) -> None:
    """The seed knows how all flights of February went, so hours that were known when each left are known again."""
    found = score(published.drop(OUTCOMES))
    assert np.array_equal(found["probability"].cast(pl.Float32), wanted)


def test_a_row_that_fails_is_refused_with_its_reasons_and_the_others_are_scored(score, published, bundle) -> None:
    some = published.head(6).with_columns(
        pl.when(pl.int_range(pl.len()) == 2).then(pl.lit("soon")).otherwise("sched_dep_time").alias("sched_dep_time")
    )
    some.write_csv("bad.csv")
    with pytest.raises(SystemExit) as ended:
        main(bundle, "bad.csv", "-o", "out.csv")
    assert ended.value.code == PARTLY
    assert len(pl.read_csv("out.csv", infer_schema_length=None)) == 5
    (refused,) = map(json.loads, Path("out.refused.jsonl").read_text().splitlines())
    assert refused["row"] == 3 and refused["published"]["sched_dep_time"] == "soon"
    assert ["sched_dep_min", "parses as time of day (hhmm)", "soon"] in refused["failures"]


def test_where_no_row_passes_nothing_is_written(score, published, bundle) -> None:
    published.head(2).with_columns(day=pl.lit("40")).write_csv("bad.csv")
    with pytest.raises(UserError, match="row 1: day parses as Date"):
        main(bundle, "bad.csv", "-o", "out.csv")
    assert not Path("out.csv").exists()
    published.head(2).drop("carrier").write_csv("lacking.csv")
    with pytest.raises(UserError, match="none called carrier"):
        main(bundle, "lacking.csv", "--raw")


def test_months_that_the_bundle_has_closed_are_refused_in_words(score, small_line: Path, bundle: str) -> None:
    DATASET.records.read(small_line / "data/raw/nycflights", "2013-01").drop("(line)").head(2).write_csv("old.csv")
    with pytest.raises(UserError, match="in what is remembered: from 2013-02 on"):
        main(bundle, "old.csv")


def test_what_was_ingested_is_known(score, published, small_line: Path, tmp_path: Path, bundle: str) -> None:
    """A flight of a new month knows how those before it left, once they have been taken in."""
    march = published.filter(pl.col("day") == "1").with_columns(
        month=pl.lit("3"), time_hour=pl.col("time_hour").str.replace("-02-", "-03-")
    )
    last = march.sort(pl.col("time_hour"), pl.col("sched_dep_time").str.zfill(4)).tail(1).drop(OUTCOMES)
    before = score(last)
    march.write_csv("march.csv")
    ingest("nycflights", "march.csv")
    after = score(last)
    assert "nothing is known to have departed" in before["note"][0]
    assert after["note"][0] is None or "departed" not in after["note"][0]
    alone = score(last, "--state", "another.sqlite")
    assert_frame_equal(alone, before)
    early = score(last, "--at", "2013-03-01T15:00")
    assert "ahead" in early["note"][0]


def test_what_speaks_for_and_against_is_told_in_words(score, published) -> None:
    found = score(published.head(5), "--explain")
    assert found.columns[-3:] == ["speaks_for", "speaks_against", "note"]
    for told, sign in (("speaks_for", "(+"), ("speaks_against", "(-")):
        assert all(each is None or all(sign in part for part in each.split("; ")) for each in found[told])


def test_large_files_are_cut_where_a_month_ends_and_months_out_of_order_are_refused(
    score, published, wanted, monkeypatch: pytest.MonkeyPatch, bundle: str
) -> None:
    monkeypatch.setattr("stages.models.row_files.BLOCK", 1 << 12)
    assert BLOCK > 1 << 12
    assert np.array_equal(score(published)["probability"].cast(pl.Float32), wanted)
    march = published.with_columns(month=pl.lit("3"), time_hour=pl.col("time_hour").str.replace("-02-", "-03-"))
    both = score(pl.concat([published, march]))
    assert np.array_equal(both["probability"].cast(pl.Float32)[: len(published)], wanted)
    assert len(both) == 2 * len(published)
    pl.concat([published, march, published]).write_csv("mixed.csv")
    with pytest.raises(UserError, match="the rows of 2013-02 together"):
        main(bundle, "mixed.csv")


def test_rows_come_through_a_pipe_and_the_exit_status_tells_of_refused_ones(published, bundle: str) -> None:
    rows = published.head(3).drop(OUTCOMES)
    text = rows.write_ndjson() + rows.head(1).with_columns(day=pl.lit("99")).write_ndjson()
    command = [sys.executable, "-m", "stages.predict", bundle, "-"]
    done = subprocess.run(
        command, input=text, text=True, capture_output=True, check=False, env={"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == PARTLY, done.stderr
    assert done.stdout.count("\n") == 4 and "row 4: day parses as Date" in done.stderr


def test_partitions_are_cut_only_where_they_end() -> None:
    pieces = [pl.DataFrame({"FlightDate": [f"2008-0{month}-01" for month in months]}) for months in ("112", "22", "23")]
    table = load_dataset("ontime").records
    cut = list(files.whole_partitions(iter(pieces), table))
    assert [[text[6] for text in part["FlightDate"]] for part in cut] == [["1", "1"], ["2", "2", "2", "2"], ["3"]]
