"""A real server of two workers: what it counts, what it logs, and how it treats clients that are slow."""

import json
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.serving.conftest import ROOT, Serve, Server, rows_of
from tests.serving.load import asked_by

PATH = "/models/binary/predict"
SAMPLE = re.compile(r"^plumbline_(\w+?)(?:\{(.*)\})? ([\d.e+-]+)$", re.M)


def samples(server: Server) -> dict[str, float]:
    text = httpx.get(f"{server.url}/metrics").text
    return {f"{name}{{{labels}}}": float(value) for name, labels, value in SAMPLE.findall(text)}


def test_two_workers_count_every_request_and_row_once(server: Server, bundles: Path) -> None:
    row = rows_of(bundles / "binary")[0]
    before = samples(server)
    with asked_by(4, server.port, PATH, row) as load:
        time.sleep(1.5)
    assert not load.failed and load.total > 20
    httpx.post(server.url + PATH, json={"rows": [{**row, "carrier": "ZZ", "hour": 1e6}, {**row, "rain": None}]})
    httpx.post(server.url + PATH, json={})
    after = Counter(samples(server))
    after.subtract(before)
    route = 'method="POST",route="/models/{name}/predict"'
    version = httpx.get(f"{server.url}/v2/models/binary").json()["versions"][0]
    assert after[f'requests_total{{{route},status="200"}}'] == load.total + 1
    assert after[f'requests_total{{{route},status="422"}}'] == 1
    assert after['request_seconds_count{route="/models/{name}/predict"}'] == load.total + 2
    assert after[f'rows_total{{model="binary",version="{version}"}}'] == load.total + 2
    decided = sum(value for name, value in after.items() if name.startswith('predictions_total{answer="'))
    assert decided == load.total + 2
    assert after['inputs_missing_total{input="carrier",model="binary"}'] == 1
    assert after['inputs_missing_total{input="rain",model="binary"}'] == 1
    assert after['inputs_out_of_reference_total{input="hour",model="binary"}'] == 1
    assert after['inputs_out_of_reference_total{input="carrier",model="binary"}'] == 1
    now = samples(server)
    assert now["ready{}"] == 1 and now['model_fallback{model="binary"}'] == 0
    assert [value for name, value in now.items() if name.startswith("model_info") and 'model="binary"' in name] == [1]


def test_the_log_holds_a_line_a_request_and_nothing_of_the_rows(server: Server, bundles: Path) -> None:
    row = rows_of(bundles / "binary")[0] | {"carrier": "a private matter"}
    httpx.post(server.url + PATH, json=row, headers={"x-request-id": "looked.for", "user-agent": "a person"})
    deadline = time.monotonic() + 10
    while not (found := [line for line in server.log.read_text().splitlines() if "looked.for" in line]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (line,) = found
    told = json.loads(line)
    assert (told["status"], told["route"], told["rows"], told["model"]) == (200, "/models/{name}/predict", 1, "binary")
    assert not {"private", "a person", "127.0.0.1"} & {
        word for word in ("private", "a person", "127.0.0.1") if word in line
    }


def talk(server: Server, *pieces: bytes, pause_s: float = 0.0, wait_s: float = 30.0) -> tuple[bytes, float]:
    """What the server says until it closes the connection, and how long that took."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=wait_s) as client:
        said = b""
        for piece in pieces:
            client.sendall(piece)
            time.sleep(pause_s)
        while more := client.recv(65536):
            said += more
    return said, time.monotonic() - began


def test_what_is_no_http_is_refused(server: Server) -> None:
    for sent in (
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ):
        said, _ = talk(server, sent)
        assert said.startswith(b"HTTP/1.1 400")
    head = b"POST /models/binary/predict HTTP/1.1\r\nhost: a\r\ncontent-length: %s\r\n\r\n"
    assert talk(server, head % b"-5")[0].startswith(b"HTTP/1.1 400")


@pytest.mark.slow
def test_a_body_and_a_head_that_do_not_come_end_the_connection(server: Server) -> None:
    head = b"POST /models/binary/predict HTTP/1.1\r\nhost: a\r\ncontent-length: 99\r\n"
    head += b"content-type: application/json\r\n\r\n"
    said, took_s = talk(server, head, b'{"hour"')
    assert said.startswith(b"HTTP/1.1 408") and b"connection: close" in said.lower() and took_s < 25
    for sent in (b"", b"GET /models HTT"):
        said, took_s = talk(server, sent)
        assert said == b"" and 10 < took_s < 25
    assert httpx.get(f"{server.url}/models").status_code == 200


def test_a_start_that_cannot_be_is_told_in_words(server: Server, bundles: Path, tmp_path: Path) -> None:
    def start(*arguments: object) -> str:
        command = [sys.executable, "-m", "stages.serve", *map(str, arguments)]
        bare = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, cwd=tmp_path, env=bare, capture_output=True, text=True)
        assert done.returncode in (1, 2) and "Traceback" not in done.stderr
        return done.stderr

    assert f"the port {server.port} of 127.0.0.1" in start(bundles, "--port", server.port)
    assert "a bundle to serve" in start("--port", 0)
    assert "at least 1" in start(bundles, "--workers", 0)
    assert "--host" in start("--host", "no.such.host.invalid")


@pytest.mark.slow
def test_a_stop_is_quick_and_quiet(serve: Serve, bundles: Path) -> None:
    for workers in (1, 2):
        server = serve(bundles / "binary", "--workers", workers)
        httpx.post(
            f"{server.url}/models/binary/predict-file",
            files={"file": ("r.csv", (bundles / "binary/example.csv").read_bytes())},
        )
        began = time.monotonic()
        server.stop()
        assert server.process.returncode in (0, -15) and time.monotonic() - began < 12
        assert "Traceback" not in server.log.read_text()
