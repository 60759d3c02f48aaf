"""Real servers on free ports of 127.0.0.1: a publisher with bad manners, and an S3 server with keys."""

import hashlib
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stages.sources import transfer
from stages.sources.fetch import Source, fetch_sources, gathering_folder, name_source, place_files
from stages.sources.locations import Client
from stages.workspace.errors import UserError
from stages.workspace.settings import WorkerSettings

RCLONE = Path(sys.executable).with_name("rclone")
KEYS = ("plumbline-key", "plumbline-secret")
CLEAN_AWS = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": "us-east-1", "AWS_CONFIG_FILE": "/dev/null"}
CLEAN_AWS |= {"AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}


@dataclass
class Answer:
    """How one request is answered; the default is a well-behaved server.

    ``anonymous`` names no version of the object, ``careless`` continues any version, ``unsized`` states no length.
    """

    status: int = 200
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    hold_after: int | None = None
    declared: int | None = None
    ranges: bool = True
    anonymous: bool = False
    careless: bool = False
    unsized: bool = False
    chunked: bool = False


@dataclass
class Seen:
    """One request as the server saw it."""

    name: str
    range: str | None
    if_range: str | None
    accept_encoding: str | None
    if_none_match: str | None = None
    if_modified_since: str | None = None
    status: int = 0
    sent: int = 0


class Publisher:
    """Serves ``files``; the answers in ``script[name]`` are used up one by one before good manners return."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.script: dict[str, list[Answer]] = {}
        self.always: dict[str, Answer] = {}
        self.versions: dict[str, str] = {}
        self.seen: list[Seen] = []
        self.release = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.scheme = "http"

    def url(self, name: str) -> str:
        return f"{self.scheme}://127.0.0.1:{self._server.server_port}/{name}"

    def start(self) -> None:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def speak_tls(self, certificate: Path, key: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.scheme = "https"

    def stop(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()

    def sent(self, name: str) -> list[int]:
        return [seen.sent for seen in self.seen if seen.name == name]

    def statuses(self, name: str) -> list[int]:
        return [seen.status for seen in self.seen if seen.name == name]

    def _handler(publisher) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None: ...

            def do_GET(self) -> None:
                name = self.path.lstrip("/").partition("?")[0]
                asked = (
                    self.headers.get(header)
                    for header in ("Range", "If-Range", "Accept-Encoding", "If-None-Match", "If-Modified-Since")
                )
                seen = Seen(name, *asked)
                publisher.seen.append(seen)
                script = publisher.script.get(name)
                answer = script.pop(0) if script else publisher.always.get(name, Answer())
                if answer.status == 200 and answer.body is None and name not in publisher.files:
                    answer = Answer(404, b"nothing here")
                publisher._answer(self, seen, answer)

        return Handler

    def _answer(self, request: BaseHTTPRequestHandler, seen: Seen, answer: Answer) -> None:
        whole = answer.body if answer.body is not None else self.files.get(seen.name, b"")
        etag = f'"{self.versions.get(seen.name, "1")}"'
        seen.status, start = answer.status, 0
        headers = dict(answer.headers)
        if answer.status == 200 and answer.ranges and seen.range and (answer.careless or seen.if_range in (None, etag)):
            start = int(re.fullmatch(r"bytes=(\d+)-", seen.range)[1])  # type: ignore[index]
            seen.status = 206 if start < len(whole) else 416
            span = f"{start}-{len(whole) - 1}" if start < len(whole) else "*"
            headers["Content-Range"] = f"bytes {span}/{len(whole)}"
        body = whole[start:]
        if answer.status == 200 and not answer.anonymous:
            headers.setdefault("ETag", etag)
        request.send_response(seen.status)
        if answer.chunked:
            headers["Transfer-Encoding"] = "chunked"
        elif not answer.unsized:
            headers.setdefault("Content-Length", str(len(body) if answer.declared is None else answer.declared))
        for key, value in {**headers, "Connection": "close"}.items():
            request.send_header(key, value)
        request.end_headers()
        request.close_connection = True
        self._send(request, seen, answer, body[: answer.cut_after])

    def _send(self, request: BaseHTTPRequestHandler, seen: Seen, answer: Answer, body: bytes) -> None:
        try:
            for at in range(0, len(body), 1 << 14):
                if answer.hold_after is not None and at >= answer.hold_after:
                    self.release.wait(60)
                piece = body[at : at + (1 << 14)]
                request.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if answer.chunked else piece)
                seen.sent += len(piece)
            if answer.chunked and answer.cut_after is None:
                request.wfile.write(b"0\r\n\r\n")
        except OSError:  # the client went away
            pass


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    server = Publisher()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def tls_publisher(tmp_path: Path) -> Iterator[tuple[Publisher, Path]]:
    """A publisher whose certificate nobody has signed but itself, and the path of that certificate."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    write_certificate(certificate, key)
    server = Publisher()
    server.speak_tls(certificate, key)
    server.start()
    yield server, certificate
    server.stop()


def write_certificate(certificate: Path, key: Path) -> None:
    """A self-signed certificate for 127.0.0.1."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(name, name, secret.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(secret, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    key.write_bytes(secret.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))


@contextmanager
def serving_s3(folder: Path, *options: str) -> Iterator[SimpleNamespace]:
    """``rclone serve s3`` over a folder whose subfolders are buckets; stopped by its own process."""
    (folder / "bucket").mkdir()
    command = [str(RCLONE), "serve", "s3", str(folder), "--addr", "127.0.0.1:0", *options]
    command += ["--config", "/dev/null", "--dir-cache-time", "20ms"]  # tests put objects in the folder; 0s would spin
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        lines = (re.search(r"http://127\.0\.0\.1:\d+", line) for line in server.stderr)
        endpoint = next(match[0] for match in lines if match)
        threading.Thread(target=server.stderr.read, daemon=True).start()
        yield SimpleNamespace(endpoint=endpoint, bucket=folder / "bucket", key=KEYS[0], secret=KEYS[1])
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    with serving_s3(tmp_path_factory.mktemp("s3"), "--auth-key", ",".join(KEYS)) as server:
        yield server


@pytest.fixture
def public_s3(tmp_path: Path, s3: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """An S3 server that asks nobody for keys, on a machine that has none."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    (tmp_path / "public").mkdir()
    with serving_s3(tmp_path / "public") as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        yield server


@pytest.fixture
def s3(s3_server: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The S3 server, and an environment in which clients find it as they would find any other."""
    for variable in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_RESPONSE_CHECKSUM_VALIDATION", "AWS_REGION"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in CLEAN_AWS.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret)
    return s3_server


@pytest.fixture
def answer() -> type[Answer]:
    """How a publisher answers one request; test modules cannot import a conftest."""
    return Answer


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, no proxy on the way to 127.0.0.1, and short waits between attempts."""
    folder = tmp_path / "workplace"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(transfer, "BACKOFF_S", 0.001)
    for variable in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    return folder


@pytest.fixture
def pinned() -> Callable[[str, bytes], Source]:
    """A source that promises these bytes."""
    return lambda location, body: name_source(
        location, mirror=None, bytes=len(body), sha256=hashlib.sha256(body).hexdigest()
    )


@pytest.fixture
def unpinned() -> Callable[[str], Source]:
    """A living source: whatever is published."""
    return lambda location: name_source(location, mirror=None)


@pytest.fixture
def download(workplace: Path) -> Callable[..., Path]:
    """What the stage does, in this process: fetch all sources, then place them."""

    def run(*sources: Source, attempts: int = 3, timeout_s: float = 20.0) -> Path:
        folder, workers = Path("data/raw/case"), WorkerSettings(workers=2, training_threads=1)
        with gathering_folder("case") as gathering:
            client = Client(timeout_s)
            fetched = fetch_sources(sources, gathering, attempts=attempts, client=client, workers=workers)
            place_files(folder, fetched)
        return folder

    return run


@pytest.fixture
def refuse(download: Callable[..., Path]) -> Callable[..., UserError]:
    """The error of a download that must fail and leave nothing that looks like a result."""

    def run(*sources: Source, **options: Any) -> UserError:
        with pytest.raises(UserError) as caught:
            download(*sources, **options)
        assert not Path("data").exists()
        assert caught.value.next_step
        return caught.value

    return run
