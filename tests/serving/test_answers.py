"""What is answered is what `stages.predict` writes, to the bit, however the rows came."""

import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.predict import main as predict
from stages.serving.answers import Refused, answer_objects, answer_rows
from stages.serving.champion import Served, open_served
from stages.serving.problems import Problem
from tests.serving.conftest import TASKS, rows_of

ONE = {"hour": 0.5, "carrier": "AA", "rain": 1.0, "never_known": None}


@pytest.fixture(scope="session")
def served(bundles: Path) -> dict[str, Served]:
    return {task: open_served(bundles / task) for task in TASKS}


def predicted(bundle: Path, rows: str, name: str, capsys: pytest.CaptureFixture[str], folder: Path) -> pl.DataFrame:
    (folder / name).write_text(rows)
    predict(str(bundle), str(folder / name))
    texts = pl.read_csv(io.StringIO(capsys.readouterr().out), infer_schema=False)
    numbers = [column.name for column in texts if column.name.startswith("prob") or bundle.name == "regression"]
    return texts.with_columns(pl.col(numbers).cast(pl.Float32))


@pytest.mark.parametrize("task", TASKS)
def test_json_gets_the_numbers_of_predict(task, client: TestClient, bundles: Path, tmp_path: Path, capsys) -> None:
    rows = rows_of(bundles / task)
    wanted = predicted(bundles / task, "\n".join(map(json.dumps, rows)), "rows.jsonl", capsys, tmp_path)
    answered = client.post(f"/models/{task}/predict", json={"rows": rows}).json()["answers"]
    got = pl.DataFrame(answered).with_columns(pl.col(pl.Float64).cast(pl.Float32))
    assert got.equals(wanted)
    one = client.post(f"/models/{task}/predict", json=rows[3]).json()["answers"]
    assert one == answered[3:4]


@pytest.mark.parametrize("task", TASKS)
def test_a_file_gets_the_bytes_of_predict(task, client: TestClient, bundles: Path, capsys) -> None:
    example = bundles / task / "example.csv"
    predict(str(bundles / task), str(example))
    wanted = capsys.readouterr().out
    answer = client.post(f"/models/{task}/predict-file", files={"file": ("rows.csv", example.read_bytes())})
    assert answer.text == wanted
    assert answer.headers["x-rows"] == "10"


@pytest.mark.parametrize("task", TASKS)
def test_the_open_inference_protocol_gets_the_same_answers(task, client: TestClient, bundles: Path) -> None:
    rows = rows_of(bundles / task)
    described = client.get(f"/v2/models/{task}").json()
    tensors = [
        {
            "name": each["name"],
            "datatype": each["datatype"],
            "shape": [len(rows)],
            "data": [r[each["name"]] for r in rows],
        }
        for each in described["inputs"]
    ]
    answer = client.post(f"/v2/models/{task}/infer", json={"id": "7", "inputs": tensors}).json()
    friendly = client.post(f"/models/{task}/predict", json={"rows": rows}).json()
    assert answer["id"] == "7"
    assert [output["name"] for output in answer["outputs"]] == [output["name"] for output in described["outputs"]]
    for output in answer["outputs"]:
        assert output["data"] == [each[output["name"]] for each in friendly["answers"]]
        assert output["shape"] == [len(rows)]
    versioned = client.post(f"/v2/models/{task}/versions/{answer['model_version']}/infer", json={"inputs": tensors})
    assert versioned.json()["outputs"] == answer["outputs"]


number = st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32) | st.integers(-(10**6), 10**6)
carrier = st.none() | st.sampled_from(["AA", " B6 ", "NA", "a|b", "ZZ", "é", "a,b", '"'])
drawn = st.fixed_dictionaries({"hour": number, "carrier": carrier, "rain": number, "never_known": number})


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(drawn, min_size=1, max_size=30))
def test_objects_and_frames_are_told_and_scored_alike(rows: list[dict[str, object]], served: dict[str, Served]) -> None:
    types = {"hour": pl.Float64, "carrier": pl.String, "rain": pl.Float64, "never_known": pl.Float64}
    model = served["multiclass"]
    try:
        framed = answer_rows(model, pl.DataFrame(rows, schema=types))
    except Refused as refused:
        assert {misfit.kind for misfit in refused.misfits} == {"no input"}
        with pytest.raises(Problem, match="at least one input"):
            answer_objects(model, rows, "/rows/{}")
        return
    told = answer_objects(model, rows, "/rows/{}")
    np.testing.assert_array_equal(told.scores, framed.scores)
    assert told.inputs.equals(framed.inputs)
    assert told.missing == framed.missing
    assert {(m.kind, m.column, m.rows) for m in told.misfits} == {(m.kind, m.column, m.rows) for m in framed.misfits}


def test_an_unknown_category_counts_as_missing_and_is_told(client: TestClient) -> None:
    strange, missing = (
        client.post("/models/binary/predict", json=ONE | {"carrier": each}).json() for each in ("ZZ", None)
    )
    assert strange["answers"] == missing["answers"]
    assert [(each["kind"], each["input"]) for each in strange["warnings"]] == [("unknown category", "carrier")]
    assert missing["warnings"] == []


def test_every_answer_names_version_data_and_request(client: TestClient, bundles: Path) -> None:
    for answer in (
        client.post("/models/binary/predict", json=ONE, headers={"x-request-id": "mine.1"}),
        client.post("/models/binary/predict", json={}, headers={"x-request-id": "mine.1"}),
    ):
        told = answer.json()
        assert told["request_id"] == answer.headers["x-request-id"] == "mine.1"
        assert told["model"]["version"] == answer.headers["x-model-version"]
        assert told["model"]["data"] == answer.headers["x-data-hash"]
    assert len(client.get("/models", headers={"x-request-id": "<script>"}).headers["x-request-id"]) == 32


@pytest.mark.parametrize("task", TASKS)
def test_reasons_are_told_where_they_are_asked_for(task, client: TestClient, bundles: Path) -> None:
    rows = rows_of(bundles / task)
    asked = client.post(f"/models/{task}/predict", json={"rows": rows, "explain": True}).json()["answers"]
    bare = client.post(f"/models/{task}/predict", json={"rows": rows, "explain": False}).json()["answers"]
    spoken = [each.pop(name) for each in asked for name in ("speaks_for", "speaks_against")]
    assert asked == bare and any("hour" in words for words in spoken if words)
    assert client.post(f"/models/{task}/predict", json={"rows": rows * 20, "explain": True}).status_code == 422
