"""Under load: a swap loses no request; a killed process gives no wrong answer, and the server is back within 5 s."""

import json
import os
import resource
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from stages.serving.answers import answer_objects, plain_answers
from stages.serving.champions import open_champions
from tests.serving.conftest import Serve, Server, copy_bundle, rows_of
from tests.serving.load import Load, asked_by

PATH = "/models/binary/predict"
BACK_S = 5.0
pytestmark = pytest.mark.slow


@pytest.fixture
def pointer(bundles: Path, tmp_path: Path) -> Path:
    """A link to one of two bundles with different answers: the second calls everything late."""
    shutil.copytree(bundles / "binary", tmp_path / "v1")
    copy_bundle(bundles / "binary", tmp_path / "v2", threshold=0.0)
    (tmp_path / "current").symlink_to(tmp_path / "v1")
    return tmp_path / "current"


def point(pointer: Path, target: str) -> None:
    (aside := pointer.with_name("aside")).symlink_to(pointer.with_name(target))
    aside.replace(pointer)


@pytest.fixture
def row(bundles: Path) -> dict[str, object]:
    return {**rows_of(bundles / "binary")[0], "hour": -2.0, "rain": 0.0}


@pytest.fixture
def right(pointer: Path, row: dict[str, object], tmp_path: Path) -> set[tuple[str, str]]:
    """The only right answers, by version."""
    found = set()
    for version in ("v1", "v2"):
        served = open_champions([pointer.with_name(version)], tmp_path / "own").served["binary"]
        found.add((served.version, json.dumps(plain_answers(answer_objects(served, [row])))))
    return found


@pytest.fixture
def swapping(serve: Serve, pointer: Path) -> Iterator[Server]:
    server = serve(pointer, "--workers", 2)
    yield server
    server.stop()


def test_swaps_lose_none_of_five_thousand_requests(swapping: Server, pointer: Path, row, right) -> None:
    with asked_by(8, swapping.port, PATH, row) as load:
        turn = 0
        while load.total < 5_000 or turn < 5:
            assert not load.failed, load.failed[:3]
            time.sleep(2)
            turn += 1
            point(pointer, "v2" if turn % 2 else "v1")
            if turn == 3:  # a broken one in between is never answered by
                shutil.copytree(pointer.with_name("v2"), pointer.with_name("broken"))
                next(pointer.with_name("broken").glob("model*")).write_bytes(b"")
                point(pointer, "broken")
    assert load.failed == [] and load.refused == 0
    assert set(load.answers) == right


def workers_of(server: Server) -> list[psutil.Process]:
    """The processes that answer: children that hold the port's socket."""
    found = []
    for child in psutil.Process(server.process.pid).children():
        with suppress(psutil.Error):  # it may have ended meanwhile
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return found


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 180
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def check(load: Load, right: set[tuple[str, str]], since: float, server: Server) -> None:
    """No wrong answer, and the silence is that of a start: 5 s, or as long as this busy machine took for the first."""
    assert set(load.answers) <= right, "a wrong answer"
    assert load.longest_silence_s(since) < max(BACK_S, 2 * server.started_s)


def test_a_killed_worker_is_replaced_and_the_other_answers_on(swapping: Server, row, right) -> None:
    with asked_by(4, swapping.port, PATH, row) as load:
        time.sleep(1)
        killed = workers_of(swapping)[0]
        since = time.monotonic()
        os.kill(killed.pid, signal.SIGKILL)
        wait_for(lambda: len([each for each in workers_of(swapping) if each.pid != killed.pid]) == 2)
        time.sleep(BACK_S)
    check(load, right, since, swapping)
    assert len(load.failed) <= 4  # those that the killed one was at
    text = httpx.get(f"{swapping.url}/metrics").text
    assert "plumbline_ready 1.0" in text


def test_a_killed_worker_that_starts_on_a_broken_pointer_takes_the_last_good_one(
    swapping: Server, pointer, row, right
) -> None:
    next(pointer.with_name("v2").glob("model*")).write_bytes(b"")
    point(pointer, "v2")
    with asked_by(4, swapping.port, PATH, row) as load:
        since = time.monotonic()
        killed = {process.pid for process in workers_of(swapping)}
        for process in killed:
            os.kill(process, signal.SIGKILL)
        wait_for(lambda: len([each for each in workers_of(swapping) if each.pid not in killed]) == 2)
        answered = load.total
        wait_for(lambda: load.total > answered + 20)
        health = httpx.get(f"{swapping.url}/v2/health/ready", timeout=60).json()
    check(load, right, since, swapping)
    assert health["ready"] and "was changed" in health["models"]["binary"]["fallback"]


def test_a_killed_parent_frees_the_port_for_its_successor(serve: Serve, pointer: Path, row, right, tmp_path) -> None:
    server = serve(pointer, "--workers", 2, keep=tmp_path / "kept")
    orphans = workers_of(server)
    with asked_by(4, server.port, PATH, row) as load:
        time.sleep(1)
        since = time.monotonic()
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        wait_for(lambda: not any(is_alive(each) for each in orphans))  # seen by the clock: later on a busy machine
        successor = serve(pointer, "--workers", 2, port=server.port, keep=tmp_path / "kept")
        time.sleep(3)
    check(load, right, since, server)
    successor.stop()


def test_the_server_alone_is_back_as_soon_as_it_is_started_again(serve: Serve, pointer, row, right, tmp_path) -> None:
    server = serve(pointer, keep=tmp_path / "kept")
    with asked_by(4, server.port, PATH, row) as load:
        time.sleep(1)
        since = time.monotonic()
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        successor = serve(pointer, port=server.port, keep=tmp_path / "kept")
        time.sleep(1)
    check(load, right, since, server)
    successor.stop()


def test_ten_thousand_idle_connections_leave_it_answering(swapping: Server, row, right) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 12_000:
        pytest.skip(f"this machine allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (12_000, hard))
    idle = []
    try:
        for number in range(10_000):
            client = socket.socket()
            client.bind((f"127.0.0.{2 + number // 5000}", 0))
            client.connect(("127.0.0.1", swapping.port))
            idle.append(client)
        with asked_by(2, swapping.port, PATH, row) as load:
            wait_for(lambda: load.total > 50)
        assert load.failed == [] and set(load.answers) <= right
        time.sleep(20)
        ended = sum(client.recv(1) == b"" for client in idle[:100])
        assert ended == 100  # nobody idles for ever
    finally:
        for client in idle:
            client.close()


def test_a_connection_that_has_asked_outlives_the_minute_that_a_proxy_keeps_it(swapping: Server, row) -> None:
    with httpx.Client(base_url=swapping.url, limits=httpx.Limits(keepalive_expiry=None)) as client:
        streams = []
        for wait_s in (0, 61):
            time.sleep(wait_s)
            answer = client.post(PATH, json=row)
            streams.append(answer.extensions["network_stream"].get_extra_info("client_addr"))
            assert answer.status_code == 200
    assert streams[0] == streams[1]  # the same connection
