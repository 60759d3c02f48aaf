"""Files and rows as published, sent to a server: what is taken for what, what is kept open, what other code made."""

import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from fastapi.testclient import TestClient

from stages.ingest import main as ingest
from stages.models.bundle import MANIFEST, PUBLISHED, SIGNATURE, open_bundle, seal
from stages.predict import main as predict
from stages.records.contract import load_dataset
from stages.serving.app import create_app
from stages.serving.champions import open_champions
from stages.serving.service import Service
from stages.state.files import is_published
from stages.state.seed import ABOUT, ROWS
from stages.workspace.errors import UserError

MODEL = "/models/nycflights"


def copied(bundle: Path, target: Path, change: Callable[[Path], object]) -> Path:
    """A copy of a bundle in which one thing was changed, sealed again."""
    shutil.copytree(bundle, target)
    (target / MANIFEST).unlink()
    change(target)
    seal(target)
    return target


def by_other_code(folder: Path) -> None:
    about = json.loads((folder / ABOUT).read_text())
    (folder / ABOUT).write_text(json.dumps(about | {"code": "0" * 64}))


def knowing_nothing(folder: Path) -> None:
    pl.read_parquet(folder / ROWS).clear().write_parquet(folder / ROWS)


@pytest.fixture
def bundle(small_line: Path) -> Path:
    return small_line / "bundles" / "nycflights"


@pytest.fixture
def open_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], TestClient]]:
    """A server in this process on a bundle or a link to one, over a state of its own."""
    monkeypatch.chdir(tmp_path)
    clients = []

    def open_one(bundle: Path) -> TestClient:
        service = Service(open_champions([bundle], tmp_path / "kept"), state="state.sqlite")
        clients.append(TestClient(create_app(service), raise_server_exceptions=False))
        return clients[-1].__enter__()

    yield open_one
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def flights(small_line: Path) -> pl.DataFrame:
    """February as published, in order of departure, without outcomes."""
    rows = load_dataset("nycflights").records.read(small_line / "data/raw/nycflights", "2013-02").drop("(line)")
    outcomes = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]
    return rows.sort("time_hour", pl.col("sched_dep_time").str.zfill(4)).drop(outcomes)


def scored(client: TestClient, rows: pl.DataFrame) -> pl.DataFrame:
    answer = client.post(f"{MODEL}/predict-file", files={"file": ("rows.csv", rows.write_csv())})
    assert answer.status_code == 200, answer.text
    return pl.read_csv(io.StringIO(answer.text), infer_schema_length=None)


def predicted(bundle: Path, rows: pl.DataFrame) -> pl.DataFrame:
    rows.write_csv("predicted.csv")
    try:
        predict(str(bundle), "predicted.csv", "-o", "scores.csv", "--state", "state.sqlite")
    except SystemExit as ended:
        assert ended.code == 3  # some rows were refused
    return pl.read_csv("scores.csv", infer_schema_length=None)


# ── what is taken for what ───────────────────────────────────────────────────────────────────────────────────────────
def test_columns_of_both_are_inputs_and_of_neither_are_what_they_have_more_of(bundle: Path) -> None:
    opened = open_bundle(bundle)
    inputs = [str(entry["name"]) for entry in opened.signature["inputs"]]
    published = pl.read_csv(bundle / PUBLISHED, infer_schema=False).columns
    assert not is_published(inputs, opened) and not is_published([*inputs, *published], opened)
    assert is_published(published, opened) and is_published([*published, "delay", *inputs[1:4]], opened)
    assert is_published(published[1:], opened) and not is_published(inputs[1:], opened)
    assert not is_published([], opened) and not is_published(["delay"], opened)


def test_what_lacks_a_column_is_told_by_command_json_and_page_alike(open_client, bundle: Path, flights) -> None:
    client, lacking = open_client(bundle), flights.head(2).drop("carrier")
    lacking.write_csv("rows.csv")
    with pytest.raises(UserError, match="none called carrier"):
        predict(str(bundle), "rows.csv", "--state", "state.sqlite")
    upload = {"file": ("rows.csv", lacking.write_csv())}
    assert "none called carrier" in client.post(f"{MODEL}/predict-file", files=upload).json()["detail"]
    assert "none called carrier" in client.post(f"{MODEL}/file", files=upload).text
    row = flights.drop("carrier").row(0, named=True)
    assert "/carrier" in client.post(f"{MODEL}/predict", json={"rows": [row]}).json()["detail"]


# ── what other code made ─────────────────────────────────────────────────────────────────────────────────────────────
def test_that_other_code_made_the_bundle_is_told_and_its_inputs_are_answered(
    open_client, bundle: Path, flights: pl.DataFrame, tmp_path: Path
) -> None:
    client = open_client(copied(bundle, tmp_path / "nycflights", by_other_code))
    some, upload = flights.head(2), {"file": ("rows.csv", flights.head(2).write_csv())}
    answers = [
        client.post(f"{MODEL}/predict", json={"rows": some.to_dicts()}),
        client.post(f"{MODEL}/predict-file", files=upload),
        client.post(f"{MODEL}/file", files=upload),
    ]
    for answer in (*answers, client.get(MODEL)):
        assert "ows as published are not taken here" in answer.text and "found other code" in answer.text
        assert str(tmp_path) not in answer.text
    assert [answer.status_code for answer in answers] == [422, 422, 422]
    inputs = {"file": ("inputs.csv", client.get(f"{MODEL}/example.csv").content)}
    assert client.post(f"{MODEL}/predict-file", files=inputs).status_code == 200


def of_a_dataset_of_elsewhere(folder: Path) -> None:
    for name in (ABOUT, SIGNATURE):
        told = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(told | {"dataset": "elsewhere"}))


def test_a_bundle_of_a_dataset_that_the_code_lacks_is_answered_for_its_inputs(
    open_client, bundle: Path, flights: pl.DataFrame, tmp_path: Path
) -> None:
    client = open_client(copied(bundle, tmp_path / "elsewhere", of_a_dataset_of_elsewhere))
    client.app.state.service.look(now=True)  # which goes on
    inputs = {"file": ("inputs.csv", client.get("/models/elsewhere/example.csv").content)}
    assert client.post("/models/elsewhere/predict-file", files=inputs).status_code == 200
    told = client.post("/models/elsewhere/predict", json={"rows": flights.head(1).to_dicts()})
    assert told.status_code == 422 and "wanted a value, or null" in told.json()["detail"]
    with pytest.raises(UserError, match="takes rows as published"):
        predict(str(tmp_path / "elsewhere"), str(bundle / PUBLISHED), "--raw")


# ── what is kept open ────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_second_file_reads_no_state_of_its_bundle_and_hears_what_was_ingested(
    open_client, bundle: Path, flights: pl.DataFrame, tmp_path: Path
) -> None:
    march = flights.filter(pl.col("day") == flights["day"][-1]).with_columns(
        month=pl.lit("3"), time_hour=pl.col("time_hour").str.replace("-02-", "-03-")
    )
    client, last = open_client(bundle), march.tail(1)
    departed = march.with_columns(dep_time=pl.col("sched_dep_time"), dep_delay=pl.lit("0"))
    alone = scored(client, last)
    assert alone.equals(predicted(bundle, last))
    [kept] = (tmp_path / "kept").glob("*/*/")
    (kept / ROWS).unlink()
    among_others = scored(client, departed)
    assert among_others.equals(predicted(bundle, departed))
    assert among_others["note"][-1] != alone["note"][0]
    assert scored(client, last).equals(alone)  # which knows no rows of the file before
    departed.write_csv("march.csv")
    ingest("nycflights", "march.csv", "--state", "state.sqlite")
    after = scored(client, last)
    assert after.equals(predicted(bundle, last)) and after["note"][0] != alone["note"][0]


def test_a_champion_that_takes_the_place_of_another_answers_files_by_what_it_knows(
    open_client, bundle: Path, flights: pl.DataFrame, tmp_path: Path
) -> None:
    other = copied(bundle, tmp_path / "other", knowing_nothing)
    link = tmp_path / "nycflights"
    link.symlink_to(bundle)
    client, last = open_client(link), flights.tail(5)
    before = scored(client, last)
    link.unlink()
    link.symlink_to(other)
    client.app.state.service.look(now=True)
    after = scored(client, last)
    assert after.equals(predicted(other, last)) and not after.equals(before)
