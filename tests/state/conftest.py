"""Real stores: files, and a Redis of our own on a free port of this machine."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from types import SimpleNamespace

import pytest
import redis
import yaml

from stages import clean, evaluate, featurize, package, select_features, train
from stages.records.contract import load_dataset
from stages.records.prepare import build_context, compute_features, judge_rows
from stages.state.locations import open_store
from stages.state.memory import remember
from stages.state.seed import Seed
from stages.state.store import Store
from tests.small_flights import start_workspace

ROOT = Path(__file__).parents[2]


class RedisServer:
    """A Redis that keeps every write on disk, and can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = folder
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = ["--port", self.port, "--bind", "127.0.0.1", "--dir", self.folder, "--save", ""]
        command = ["redis-server", *map(str, options), "--appendonly", "yes", "--appendfsync", "always"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        client, until = redis.Redis.from_url(self.url), time.monotonic() + 20
        while True:
            try:
                client.ping()
                return
            except redis.RedisError:
                assert time.monotonic() < until, "no Redis"
                time.sleep(0.02)

    def kill(self) -> None:
        """End at once, as a machine does that loses its power."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One for all tests; each works on datasets of its own name, or empties it."""
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server here")
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(params=["file", "redis"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place for a state that holds nothing yet."""
    if request.param == "file":
        return str(tmp_path / "state" / "flights.sqlite")
    server: RedisServer = request.getfixturevalue("redis_server")
    redis.Redis.from_url(server.url).flushall()
    return server.url


@pytest.fixture
def opened(location: str) -> Iterator[Callable[[], Store]]:
    """Open the state once more, as another process would."""
    stores: list[Store] = []

    def open_once() -> Store:
        stores.append(open_store(location, "flights"))
        return stores[-1]

    yield open_once
    for store in stores:
        store.close()


@pytest.fixture(scope="session")
def flights() -> SimpleNamespace:
    """The sample of nycflights: published rows of both months, clean ones, and what a line of January alone knows."""
    dataset, raw = load_dataset("nycflights"), ROOT / "tests" / "data" / "nycflights"
    january, february = ("2013-01", "2013-02")
    published = {name: dataset.records.read(raw, name) for name in (january, february)}
    clean = {name: judge_rows(dataset.records, rows, name).passed for name, rows in published.items()}
    references = {t.name: judge_rows(t, t.read(raw, "all"), "all").passed for t in dataset.references}
    seed = Seed(dataset, january, clean[january], {}, references)
    summaries = [dataset.summarize(rows) for rows in clean.values()]
    context = build_context(dataset, summaries, references)
    return SimpleNamespace(
        dataset=dataset,
        raw=raw,
        published=published[january],
        february=published[february],
        clean=clean,
        references=references,
        seed=seed,
        memory=remember(seed),
        features={name: compute_features(dataset, rows, context) for name, rows in clean.items()},
    )


@pytest.fixture(scope="session")
def small_line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which the whole line has run on the sample of nycflights, with a small model; for reading only."""
    folder = start_workspace(tmp_path_factory.mktemp("line"), workers=1)
    params = yaml.safe_load((folder / "params.yaml").read_text())
    section = params["datasets"]["nycflights"]
    section["clean"]["sample"] = 1.0
    section["model"] |= {"max_rounds": 20}
    section["evaluate"] |= {"replicates": 80, "block": 1}
    section["select_features"] |= {"resamples": 3}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    with chdir(folder):
        for stage in (clean, featurize, select_features, train, evaluate, package):
            stage.main("nycflights")
    return folder
