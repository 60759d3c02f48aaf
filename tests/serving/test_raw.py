"""Rows as published, over HTTP: the answers of the line's own features, and words for what cannot be answered."""

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from fastapi.testclient import TestClient

from stages.predict import main as predict
from stages.serving.app import create_app
from stages.serving.champions import open_champions
from stages.serving.service import Service
from stages.state.requests import Known, open_known
from stages.workspace.errors import UserError
from tests.serving.conftest import ROOT

BUNDLE = ROOT / "bundles" / "nycflights"
PATH = "/models/nycflights/predict"


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Known:
    """What the packaged model of this checkout knows."""
    try:
        return open_known(BUNDLE, str(tmp_path_factory.mktemp("state") / "nothing.sqlite"))
    except UserError as error:
        pytest.skip(f"{error.found}: `dvc repro` makes it")


@pytest.fixture(scope="module")
def client(known: Known, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("raw")
    champions = open_champions([BUNDLE], folder / "kept")
    with TestClient(create_app(Service(champions, state=str(folder / "state.sqlite")))) as client:
        yield client


@pytest.fixture(scope="module")
def flights() -> list[dict[str, object]]:
    """Published flights of the last evening."""
    day = {"year": 2013, "month": 12, "day": 31}
    times = [("0600", "0840"), ("1200", "1500"), ("1830", "2110")]
    return [
        {**day, "sched_dep_time": leaves, "sched_arr_time": lands, "carrier": carrier,
         "flight": str(number), "tailnum": None, "origin": "JFK", "dest": "MIA", "distance": 1089}
        for carrier in ("AA", "DL") for number, (leaves, lands) in enumerate(times, start=1)
    ]  # fmt: skip


def test_rows_as_published_get_the_answers_of_their_features(client: TestClient, flights, known: Known) -> None:
    published = pl.DataFrame(flights).select(pl.col(known.columns).cast(pl.String))
    features = known.prepare(published).features.select(_inputs(client))
    numbers = features.with_columns(pl.col(pl.Float32, pl.Float64).fill_nan(None), pl.col(pl.Boolean).cast(pl.Int8))
    by_features = client.post(PATH, json={"rows": numbers.to_dicts()}).json()
    answered = client.post(PATH, json={"rows": flights}).json()
    assert [each["probability"] for each in answered["answers"]] == [e["probability"] for e in by_features["answers"]]
    one = client.post(PATH, json=flights[4]).json()["answers"]
    assert one[0]["decision"] in ("late", "on time")


def _inputs(client: TestClient) -> list[str]:
    return [each["name"] for each in client.get("/v2/models/nycflights").json()["inputs"]]


def test_a_row_that_fails_the_checks_of_the_line_is_told_beside_the_answers(client: TestClient, flights) -> None:
    answered = client.post(PATH, json={"rows": [flights[0], {**flights[1], "month": 13}]}).json()
    assert answered["answers"][0]["decision"] and answered["answers"][1] is None
    assert answered["refused"][0]["field"].startswith("/rows/1/")
    alone = client.post(PATH, json={**flights[1], "month": 13})
    assert alone.status_code == 422 and alone.json()["errors"]


def test_a_question_asked_ahead_says_so(client: TestClient, flights) -> None:
    answered = client.post(PATH, json={"rows": flights[2:3], "at": "2013-12-31T12:30:00-05:00"}).json()
    assert "asked 6 h" in answered["answers"][0]["note"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"weather": "fine"}, "only columns as published"),
        ({"carrier": ["AA"]}, "a text, a number or null"),
        ({"carrier": True}, "a text, a number or null"),
        ({"origin": "XXX"}, "/origin"),
    ],
)
def test_what_is_wrong_with_a_published_row_is_named(change: dict[str, object], said: str, client, flights) -> None:
    problem = client.post(PATH, json={**flights[0], **change})
    assert problem.status_code == 422
    assert said in problem.json()["detail"]


def test_moments_are_for_published_rows_and_read_strictly(client: TestClient, flights) -> None:
    for at in ("noon", 5, {}):
        assert client.post(PATH, json={"rows": flights[:1], "at": at}).status_code == 422
    row = client.get("/openapi.json").json()["components"]["schemas"]["nycflights-row"]["examples"][0]
    assert client.post(PATH, json={"rows": [row]}).status_code == 200
    assert client.post(PATH, json={"rows": [row], "at": "2013-12-31T12:30:00"}).status_code == 422


def test_the_description_names_the_columns_as_published(client: TestClient, known: Known) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["nycflights-published"]["required"] == list(known.columns)


def test_a_file_as_published_gets_the_bytes_of_predict(client: TestClient, flights, tmp_path: Path, capsys) -> None:
    rows = pl.DataFrame([*flights, {**flights[0], "month": 13}]).cast(pl.String)
    rows.write_csv(tmp_path / "rows.csv")
    with pytest.raises(SystemExit, match="3"):  # some rows were refused
        predict(str(BUNDLE), str(tmp_path / "rows.csv"), "--state", str(tmp_path / "nothing.sqlite"))
    wanted = capsys.readouterr().out
    content = (tmp_path / "rows.csv").read_bytes()
    answer = client.post("/models/nycflights/predict-file", files={"file": ("rows.csv", content)})
    assert answer.text == wanted
    assert (answer.headers["x-rows"], answer.headers["x-refused"]) == (str(len(flights)), "1")
    assert json.loads(answer.headers["x-refused-rows"])[0]["field"].startswith(f"row {len(flights) + 1}")
