"""Clients that ask without a pause, and remember every answer."""

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from itertools import pairwise


@dataclass
class Load:
    """What clients asked and got."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By version and content."""
    failed: list[str] = field(default_factory=list)
    """Requests that began on an open connection and got no answer, or one that was refused."""
    refused: int = 0
    """Connections that nobody took: the server was away."""
    answered_s: list[float] = field(default_factory=list)
    """When each answer came."""

    @property
    def total(self) -> int:
        return sum(self.answers.values())

    def longest_silence_s(self, since: float) -> float:
        """Between two answers after a moment."""
        times = [since, *sorted(at for at in self.answered_s if at >= since)]
        return max(later - before for before, later in pairwise(times))


@contextmanager
def asked_by(clients: int, port: int, path: str, row: dict[str, object]) -> Iterator[Load]:
    """Ask for as long as the block runs; connections are kept alive, and a new one is made where one ends."""
    load, over, turn = Load(), threading.Event(), threading.Lock()
    body = json.dumps(row).encode()

    def ask() -> None:
        connection: HTTPConnection | None = None
        while not over.is_set():
            began = False
            try:
                if connection is None:
                    connection = HTTPConnection("127.0.0.1", port, timeout=20)
                    connection.connect()
                    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                began = True
                connection.request("POST", path, body, {"content-type": "application/json"})
                answer = connection.getresponse()
                content = json.loads(answer.read())
                with turn:
                    if answer.status == 200:
                        load.answers[content["model"]["version"], json.dumps(content["answers"])] += 1
                        load.answered_s.append(time.monotonic())
                    else:
                        load.failed.append(f"{answer.status} {content}")
                if answer.getheader("connection") == "close":
                    connection.close()
                    connection = None
            except (OSError, HTTPException, ValueError) as error:
                with turn:
                    if began:
                        load.failed.append(f"{type(error).__name__}: {error}")
                    else:
                        load.refused += 1
                if connection is not None:
                    connection.close()
                connection = None
                time.sleep(0.01)

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        over.set()
        for thread in threads:
            thread.join()
