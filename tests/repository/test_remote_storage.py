"""The S3 remote and the real local server: round trip, wrong key, a server killed in mid-push, `make storage`."""

import hashlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dvc.config import Config

from tools.storage import prepare_client, read_remote, serve

LARGE, LARGER = 8 * 2**20, 60 * 2**20  # s3fs stores either as one object and reads it back in ranges of 50 MiB
N_SMALL = 12
N_OBJECTS = N_SMALL + 2  # and the large file and the list of the folder
PIPELINE = """\
stages:
  draw:
    cmd: python draw.py
    deps: [draw.py]
    outs: [data]
    metrics: [{metrics.json: {cache: false}}]
"""
DRAW = f"""\
from pathlib import Path
Path("data").mkdir(exist_ok=True)
for n in range({N_SMALL}):
    Path(f"data/small-{{n}}.txt").write_text(f"{{n}} " * 10_000)
Path("data/large.bin").write_bytes(bytes({LARGE}))
Path("metrics.json").write_text("{{}}")
"""


class Server:
    """The storage server of one repository; may be stopped, killed and started again."""

    def __init__(self, repository: Path) -> None:
        self.folder = repository / ".storage"
        self.remote = read_remote(repository)
        self.keys = prepare_client(repository, self.remote)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = serve(self.folder, self.remote, *self.keys)
        wait_until(lambda: is_listening(self.remote.port))

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait()

    def objects(self) -> list[Path]:
        """Whole objects; what is still arriving has a temporary name."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return [path for path in files if not path.name.startswith(".rclone")]


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(reached: Callable[[], bool], patience_s: float = 60.0) -> None:
    deadline = time.monotonic() + patience_s
    while not reached():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configure(repository: Path, **settings: str | None) -> None:
    """What `dvc remote modify --local storage` writes, without a start of DVC for each; None unsets."""
    with Config(str(repository / ".dvc"), validate=False).edit("local") as config:
        remote = config.setdefault("remote", {}).setdefault("storage", {})
        for key, value in settings.items():
            remote.pop(key) if value is None else remote.update({key: value})


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, root: Path, run, write_files) -> Path:
    """A small line whose DVC configuration is ours, run once; nobody writes to it."""
    folder = tmp_path_factory.mktemp("original") / "line"
    write_files(folder, {"dvc.yaml": PIPELINE, "draw.py": DRAW, ".gitignore": "/data\n/.storage/\n"})
    run("git", "init", "--quiet", cwd=folder)
    run("dvc", "init", "--quiet", cwd=folder)
    shutil.copy(root / ".dvc" / "config", folder / ".dvc" / "config")
    run("dvc", "repro", "--quiet", cwd=folder)
    return folder


@pytest.fixture
def drawn(original: Path, tmp_path: Path, run) -> Path:
    """A copy of it with its outputs in the cache, on a port of its own."""
    folder = Path(shutil.copytree(original, tmp_path / "line", symlinks=True))
    endpoint = f"http://127.0.0.1:{free_port()}"
    configure(folder, endpointurl=endpoint)
    return folder


@pytest.fixture
def server(drawn: Path) -> Iterator[Server]:
    server = Server(drawn)
    server.start()
    yield server
    server.kill(signal.SIGTERM)


def read_client_setting(repository: Path) -> str:
    return str(repository / ".dvc" / "tmp" / "storage-client.ini")


def wipe(repository: Path) -> None:
    shutil.rmtree(repository / ".dvc" / "cache")
    shutil.rmtree(repository / "data")


def test_what_was_pushed_comes_back_after_cache_and_outputs_are_gone(drawn: Path, server: Server, run) -> None:
    before = hashes(drawn / "data")
    run("dvc", "push", cwd=drawn)
    wipe(drawn)
    run("dvc", "pull", cwd=drawn)
    assert hashes(drawn / "data") == before
    assert "up to date" in run("dvc", "status", cwd=drawn).stdout
    assert "in sync" in run("dvc", "status", "--cloud", cwd=drawn).stdout


def test_the_client_setting_is_what_lets_one_large_file_come_back(drawn: Path, server: Server, run) -> None:
    drawing = (drawn / "draw.py").read_text(encoding="utf-8")
    (drawn / "draw.py").write_text(drawing.replace(str(LARGE), str(LARGER)), encoding="utf-8")
    run("dvc", "repro", "--quiet", cwd=drawn)
    run("dvc", "push", cwd=drawn)
    cached = hashlib.md5((drawn / "data" / "large.bin").read_bytes()).hexdigest()
    (drawn / "data" / "large.bin").unlink()
    (drawn / ".dvc" / "cache" / "files" / "md5" / cached[:2] / cached[2:]).unlink()
    setting = read_client_setting(drawn)
    configure(drawn, configpath=None)
    without = run("dvc", "pull", cwd=drawn, check=False)
    assert without.returncode != 0 and "checksum" in without.stderr
    configure(drawn, configpath=setting)
    run("dvc", "pull", cwd=drawn)
    assert "up to date" in run("dvc", "status", cwd=drawn).stdout


def test_a_wrong_key_is_refused_in_words_and_loses_nothing(drawn: Path, server: Server, run) -> None:
    before = hashes(drawn / "data")
    configure(drawn, secret_access_key="not-the-secret")
    for command in ("push", "pull"):
        refused = run("dvc", command, cwd=drawn, check=False)
        assert refused.returncode != 0
        assert "SignatureDoesNotMatch" in refused.stderr or "Forbidden" in refused.stderr, refused.stderr
    assert server.objects() == []
    assert hashes(drawn / "data") == before
    assert "up to date" in run("dvc", "status", cwd=drawn).stdout
    configure(drawn, secret_access_key=server.keys[1])
    run("dvc", "push", cwd=drawn)
    assert len(server.objects()) == N_OBJECTS


@pytest.mark.slow
def test_a_push_that_lost_its_server_is_completed_by_the_next(
    drawn: Path, server: Server, start, run, monkeypatch
) -> None:
    before = hashes(drawn / "data")
    server.kill()
    with monkeypatch.context() as slow:
        slow.setenv("RCLONE_BWLIMIT", "4M")  # bytes a second, so that the push is sure to be under way
        server.start()
    push = start("dvc", "push", cwd=drawn)
    wait_until(lambda: any(path.stat().st_size for path in server.folder.rglob("*") if path.is_file()))
    server.kill()
    said, _ = push.communicate()
    assert push.returncode != 0 and "failed to" in said
    assert len(server.objects()) < N_OBJECTS
    server.start()
    run("dvc", "push", cwd=drawn)
    wipe(drawn)
    run("dvc", "pull", cwd=drawn)
    assert hashes(drawn / "data") == before


def test_git_push_uploads_outputs_when_the_server_answers(drawn: Path, server: Server, run) -> None:
    done = run("python", "-m", "tools.hooks", "push", cwd=drawn)
    assert f"{N_OBJECTS} files pushed" in done.stdout
    assert len(server.objects()) == N_OBJECTS


def test_git_push_stops_when_an_upload_fails_but_not_for_want_of_keys(drawn: Path, server: Server, run) -> None:
    configure(drawn, secret_access_key="not-the-secret")
    refused = run("python", "-m", "tools.hooks", "push", cwd=drawn, check=False)
    assert refused.returncode != 0 and "git push stops here" in refused.stdout
    configure(drawn, access_key_id=None, secret_access_key=None, configpath=None)
    nowhere = {"HOME": str(drawn), "AWS_EC2_METADATA_DISABLED": "true"}
    skipped = run("python", "-m", "tools.hooks", "push", cwd=drawn, **nowhere)
    assert "skipped, no keys for the remote 'storage'" in skipped.stdout


def test_make_storage_serves_until_it_is_stopped_and_keeps_its_keys(drawn: Path, start, run) -> None:
    secrets = set()
    for stop in (signal.SIGINT, signal.SIGTERM):
        server = start("python", "-m", "tools.storage", cwd=drawn)
        assert server.stdout is not None
        assert "Ctrl-C stops it" in server.stdout.readline()
        remote = read_remote(drawn)
        wait_until(lambda port=remote.port: is_listening(port))
        secrets.add(remote.secret)
        taken = run("python", "-m", "tools.storage", cwd=drawn, check=False)
        assert taken.returncode == 1 and f"port {remote.port} of 127.0.0.1 free" in taken.stderr
        server.send_signal(stop)
        said, _ = server.communicate(timeout=30)
        assert "stopped" in said
        assert not is_listening(remote.port)
    assert len(secrets) == 1 and None not in secrets
    assert (drawn / ".dvc" / "config.local").stat().st_mode & 0o077 == 0
    run("git", "add", "--all", cwd=drawn)
    assert "config.local" not in run("git", "ls-files", cwd=drawn).stdout


def test_a_remote_elsewhere_needs_no_local_server(drawn: Path, run) -> None:
    configure(drawn, endpointurl="https://s3.example.org")
    done = run("python", "-m", "tools.storage", cwd=drawn, check=False)
    assert done.returncode == 1 and "is not needed for this remote" in done.stderr
