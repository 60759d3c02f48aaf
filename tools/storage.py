"""Serve a real S3 remote on this machine: `make storage`, until Ctrl-C.

Reads   the remote's bucket and endpoint from .dvc/config
Writes  .storage/<bucket>/        the objects, as rclone keeps them (git-ignored)
        .dvc/config.local         generated keys and the path of the next file (git-ignored)
        .dvc/tmp/storage-client.ini

rclone answers a ranged read with the checksum of the whole object, which newer AWS clients compare with the range
and refuse.  ``response_checksum_validation = when_required`` in an AWS configuration file, named by the remote's
``configpath``, keeps the client from comparing; DVC itself still checks the MD5 of every file.
"""

import argparse
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stages.runtime.commands import run_command
from stages.workspace.errors import UserError

CLIENT_CONFIG = "[default]\nresponse_checksum_validation = when_required\n"
FOLDER = Path(".storage")
REAL_BUCKET = "docs/remote-storage.md says how to use a real bucket instead"


@dataclass(frozen=True)
class Remote:
    """The default remote as DVC's configuration files describe it; ``host`` and ``port`` of its endpoint."""

    name: str
    bucket: str
    host: str
    port: int
    key: str | None
    secret: str | None


def read_remote(root: Path) -> Remote:
    """The default remote, which must be S3 with an endpoint on this machine."""
    from dvc.config import Config

    config = Config(str(root / ".dvc"))
    name = config["core"].get("remote", "")
    settings: Mapping[str, Any] = config["remote"].get(name, {})
    url, endpoint = urlsplit(settings.get("url", "")), urlsplit(settings.get("endpointurl", ""))
    if url.scheme != "s3" or endpoint.hostname not in ("127.0.0.1", "localhost"):
        raise UserError(
            "a default remote s3://… whose endpointurl is on this machine",
            f"remote {name!r}: url {settings.get('url')!r}, endpointurl {settings.get('endpointurl')!r}",
            f"`make storage` is not needed for this remote; {REAL_BUCKET}",
        )
    key, secret = settings.get("access_key_id"), settings.get("secret_access_key")
    return Remote(name, url.netloc, endpoint.hostname, endpoint.port or 80, key, secret)


def prepare_client(root: Path, remote: Remote) -> tuple[str, str]:
    """Write keys (kept from an earlier run) and the client's settings into DVC's local, git-ignored configuration."""
    from dvc.config import Config

    key, secret = remote.key or f"local-{secrets.token_hex(6)}", remote.secret or secrets.token_hex(24)
    client = root / ".dvc" / "tmp" / "storage-client.ini"
    client.parent.mkdir(parents=True, exist_ok=True)
    client.write_text(CLIENT_CONFIG, encoding="utf-8")
    with Config(str(root / ".dvc")).edit("local") as local:
        place = str(client.resolve())
        local["remote"].setdefault(remote.name, {}).update(
            access_key_id=key,
            secret_access_key=secret,
            # DVC writes ASCII alone, and empties the file otherwise; a full path serves those who copy the file
            configpath=place if place.isascii() else os.path.relpath(client),
        )
    (root / ".dvc" / "config.local").chmod(0o600)
    return key, secret


def require_free_port(host: str, port: int) -> None:
    """Raise a `UserError` when something already listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UserError(
                f"port {port} of {host} free for the storage server",
                f"{error.strerror}: a server, perhaps an earlier `make storage`, is listening there",
                "stop it, or choose another port for this clone: "
                "`dvc remote modify --local storage endpointurl http://127.0.0.1:<port>`",
            ) from None


def serve(folder: Path, remote: Remote, key: str, secret: str) -> "subprocess.Popen[bytes]":
    """Start the server over ``folder``; the keys travel in its environment, where `ps` does not show them."""
    (folder / remote.bucket).mkdir(parents=True, exist_ok=True)
    rclone = Path(sys.executable).with_name("rclone")
    if not rclone.exists():
        raise UserError("the server program rclone", f"no {rclone.name} beside {sys.executable}", "run `make setup`")
    address = f"{remote.host}:{remote.port}"
    command = [str(rclone), "serve", "s3", "--addr", address, "--config", "", "--quiet", str(folder)]
    environment = {**os.environ, "RCLONE_AUTH_KEY": f'"{key},{secret}"'}
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)


def main(*arguments: str) -> None:
    """Serve the default DVC remote from .storage/ until Ctrl-C."""
    argparse.ArgumentParser(prog="python -m tools.storage", description=main.__doc__).parse_args(arguments)
    root = Path.cwd()
    remote = read_remote(root)
    require_free_port(remote.host, remote.port)
    key, secret = prepare_client(root, remote)
    server = serve(root / FOLDER, remote, key, secret)
    print(f"storage: s3://{remote.bucket} on http://{remote.host}:{remote.port}, kept in {FOLDER}/; Ctrl-C stops it")
    print("storage: its keys are in .dvc/config.local; in another terminal: `dvc push`, `dvc pull`", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `kill` ends the server as well, like Ctrl-C
    try:
        status = server.wait()
    except KeyboardInterrupt:
        server.terminate()
        server.wait()
        print("\nstorage: stopped; the objects stay in .storage/")
    else:
        raise UserError("a running storage server", f"rclone ended with status {status}", "read its message above")


if __name__ == "__main__":
    run_command(main)
