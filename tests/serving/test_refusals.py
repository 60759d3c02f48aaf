"""Whatever is sent, the answer is a word and never a failure of the server."""

import json
import random
import resource

import pytest
from fastapi.testclient import TestClient

from tests.serving.conftest import TOKEN

ONE = {"hour": 0.5, "carrier": "AA", "rain": 1.0, "never_known": None}
PATH = "/models/binary/predict"


def refused(client: TestClient, status: int, path: str = PATH, **request: object) -> dict[str, object]:
    answer = client.post(path, **request)  # type: ignore[arg-type]
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status and problem["title"] and problem["detail"] and problem["request_id"]
    return problem


def send(client: TestClient, status: int, body: bytes, kind: str = "application/json") -> str:
    return str(refused(client, status, content=body, headers={"content-type": kind})["detail"])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "empty body"),
        (b" \n", "empty body"),
        (b"{", "line 1 column 2"),
        (b"[1, 2]", "a list of 2"),
        (b"null", "null"),
        (b'"text"', '"text"'),
        (b'{"hour": NaN}', "no NaN"),
        (b'{"hour": -Infinity}', "no -Infinity"),
        (b"\xff\xfe{}", "byte 0xff"),
        (json.dumps(ONE).encode("utf-16"), "byte 0xff"),
        (json.dumps(ONE).encode("utf-8-sig"), "BOM"),
        (b'{"hour": ' + b"9" * 5000 + b"}", "thousands of digits"),
        (b'{"hour":' * 50_000, "nested too deeply"),
        (b'{"hour": 1, "hour": 2}', '"hour" twice'),
    ],
)
def test_what_is_no_json_is_refused_with_what_is_wrong(body: bytes, said: str, client: TestClient) -> None:
    assert said in send(client, 400, body)


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"hour": "0.5"}, "/hour", 'a number, or null where it is missing, found "0.5"'),
        ({"hour": True}, "/hour", "found true"),
        ({"hour": [1]}, "/hour", "found a list of 1"),
        ({"hour": {"a": 1}}, "/hour", "found an object of 1"),
        ({"hour": 10**400}, "/hour", "a number within"),
        ({"hour": 1e39}, "/hour", "a number within"),
        ({"carrier": 5}, "/carrier", 'a string such as "AA"'),
        ({"weather": 1}, "/weather", "an unknown field"),
        ({"a/b~c": 1}, "/a~1b~0c", "an unknown field"),
        ({"hour": "x" * 100_000}, "/hour", "…"),
    ],
)
def test_a_field_that_does_not_fit_is_named(
    change: dict[str, object], field: str, said: str, client: TestClient
) -> None:
    problem = refused(client, 422, json=ONE | change)
    (fault,) = [each for each in problem["errors"] if each["field"] == field]  # type: ignore[attr-defined]
    assert said in f"wanted {fault['wanted']}, found {fault['found']}"
    assert len(json.dumps(problem)) < 2000


def test_huge_numbers_as_written_are_refused(client: TestClient) -> None:
    body = json.dumps(ONE).replace("0.5", "1e400").encode()
    assert "a number within ±3.4e+38, found Infinity" in send(client, 422, body)


def test_a_slip_of_the_pen_is_told_what_was_meant(client: TestClient) -> None:
    row: dict[str, object] = {**ONE, "carier": "AA"}
    del row["carrier"]
    told = refused(client, 422, json=row)["errors"]
    assert [(each["wanted"], each["found"]) for each in told] == [  # type: ignore[attr-defined]
        ("a value, or null where it is missing", "no such field; there is carier"), ("carrier", "an unknown field"),
    ]  # fmt: skip


def test_an_absent_field_is_no_missing_value(client: TestClient) -> None:
    problem = refused(client, 422, json={"hour": 1})
    assert [each["field"] for each in problem["errors"]] == ["/carrier", "/rain", "/never_known"]  # type: ignore[attr-defined]


def test_the_row_of_many_that_is_wrong_is_named(client: TestClient) -> None:
    problem = refused(client, 422, json={"rows": [ONE, ONE | {"rain": "no"}, 3]})
    assert [each["field"] for each in problem["errors"]] == ["/rows/1/rain", "/rows/2"]  # type: ignore[attr-defined]


def test_rows_that_say_nothing_are_refused(client: TestClient) -> None:
    assert "at least one input" in str(refused(client, 422, json=dict.fromkeys(ONE))["detail"])
    assert "at least one row" in str(refused(client, 422, json={"rows": []})["detail"])


def test_limits_of_rows_and_bytes_are_told(client: TestClient) -> None:
    assert "10,000 rows" in str(refused(client, 422, json={"rows": [{}] * 10_001})["detail"])
    assert "4,194,304 bytes" in send(client, 413, b" " * (4 << 20) + b"{}")

    def endless():  # type: ignore[no-untyped-def]
        for _ in range(100):
            yield b" " * 100_000

    assert "4,194,304 bytes" in str(
        refused(client, 413, content=endless(), headers={"content-type": "application/json"})["detail"]
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {},
    ],
)
def test_other_types_and_encodings_are_refused(headers: dict[str, str], client: TestClient) -> None:
    refused(client, 415, content=json.dumps(ONE).encode(), headers=headers)


def test_unknown_paths_models_versions_and_methods_are_told(client: TestClient) -> None:
    refused(client, 404, path="/nowhere")
    refused(client, 404, path="/models/../../etc/passwd")
    assert "binary, multiclass, regression" in str(refused(client, 404, path="/models/other/predict")["detail"])
    assert "version that answers" in str(refused(client, 404, path="/v2/models/binary/versions/1/infer")["detail"])
    refused(client, 405, path="/models")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"inputs": 3}, "a list of tensors"),
        ({"inputs": [3]}, "a tensor with a name"),
        ({"shape": [2]}, "[1] or [1, 1]"),
        ({"datatype": "FP128"}, "one of BYTES"),
        ({"data": "x"}, "a list of values"),
        ({"data": [[1, 2]]}, "a number"),
        ({"name": "carrier"}, "every input once"),
        ({"outputs": [{"name": "other"}]}, "one of decision, probability"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(change: dict[str, object], said: str, client: TestClient) -> None:
    tensors: list[dict[str, object]] = [
        {"name": name, "datatype": "BYTES" if name == "carrier" else "FP32", "shape": [1], "data": [value]}
        for name, value in ONE.items()
    ]
    body: dict[str, object] = {"inputs": tensors}
    if change.keys() <= {"inputs", "outputs"}:
        body |= change
    else:
        tensors[0] |= change
    assert said in str(refused(client, 422, path="/v2/models/binary/infer", json=body)["detail"])


@pytest.mark.parametrize(
    ("name", "content", "status", "said"),
    [
        ("rows.csv", b"", 400, "empty"),
        ("rows.csv", b"hour,carrier,rain\n1,AA\n", 422, "3 fields in every line of rows.csv"),
        ("rows.csv", b"hour,carrier,rain\n1,AA,1\n", 422, "fit the model's inputs"),
        ("rows.csv", b"hour;carrier;rain;never_known\n1;AA;1;\n", 422, "semicolons"),
        ("rows.csv", b"hour,carrier,rain,never_known\nx,AA,1,\n", 422, "fit the model's inputs"),
        ("rows.csv", b"a" * 3_000_000, 422, "lines of at most"),
        ("rows.csv", b",".join(b"c%d" % k for k in range(6000)) + b"\n", 422, "5,000 columns"),
        ("rows.csv", b"\x1f\x8b" + bytes(range(256)) * 20, 422, "wanted"),
        ("rows.jsonl", b"[1]\n", 422, "JSON object"),
        ("rows.jsonl", b"{}\n", 422, "rows"),
        ("rows.parquet", b"PAR1" + b"\x00" * 100 + b"PAR1", 422, "parquet"),
        ("rows.csv.gz", b"\x1f\x8b", 415, ".csv, .parquet"),
        ("rows", b"hour\n", 415, "no suffix"),
        ("../../etc/passwd", b"root\n", 415, "no suffix"),
    ],
)
def test_files_that_do_not_fit_are_refused(
    name: str, content: bytes, status: int, said: str, client: TestClient
) -> None:
    problem = refused(client, status, path="/models/binary/predict-file", files={"file": (name, content)})
    assert said in str(problem["detail"])
    assert "/tmp" not in json.dumps(problem)


def test_forms_without_a_file_are_refused(client: TestClient) -> None:
    path = "/models/binary/predict-file"
    assert "found none" in str(refused(client, 422, path=path, data={"file": "x"}, files={"other": b"x"})["detail"])
    refused(client, 400, path=path, content=b"nonsense", headers={"content-type": "multipart/form-data; boundary=x"})
    refused(client, 400, path=path, content=b"nonsense", headers={"content-type": "multipart/form-data"})
    refused(client, 415, path=path, json={})


def test_a_full_disk_is_told(client: TestClient) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))  # no file may grow further, as on a disk that is full
    try:
        large = b"hour,carrier,rain,never_known\n" + b"1,AA,1,\n" * 400_000
        headers = {"content-type": "text/csv"}
        assert "room" in str(
            refused(client, 507, path="/models/binary/predict-file", content=large, headers=headers)["detail"]
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert client.post(PATH, json=ONE).status_code == 200


def test_random_bytes_never_fail_the_server(client: TestClient) -> None:
    draw = random.Random(7)
    for _ in range(100):
        text = bytearray(json.dumps({"rows": [ONE]}).encode())
        for _ in range(draw.randint(1, 6)):
            text[draw.randrange(len(text))] = draw.randrange(256)
        answer = client.post(PATH, content=bytes(text), headers={"content-type": "application/json"})
        assert answer.status_code in (200, 400, 422), answer.text


def test_nothing_is_changed_without_the_token(client: TestClient) -> None:
    path = "/v2/repository/models/binary/load"
    refused(client, 401, path=path)
    refused(client, 401, path=path, headers={"authorization": "Bearer wrong"})
    refused(client, 401, path=path, headers={"authorization": f"Basic {TOKEN}"})
    assert client.post(path, headers={"authorization": f"Bearer {TOKEN}"}).json()["name"] == "binary"


def test_every_answer_bears_the_security_headers(client: TestClient) -> None:
    for answer in (client.get("/models"), client.get("/nowhere"), client.post(PATH, content=b"{")):
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
    assert client.get("/docs").headers["x-frame-options"] == "DENY"
