"""Read a file of a distribution's package, or its index of packages, by the machine's own package manager.

``apt://<package>/<path>`` is a file as the package would install it, ``apt-index://<suite>/<key>`` an index as the
release names it (``main/binary-amd64/Packages``, ``main/i18n/Translation-en``), unpacked.  apt asks the sources that
this machine is set up with, checks their signatures, and works in a folder of its own: it needs no rights and installs
nothing.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from threading import Lock

from stages.sources.locations import CORRECT
from stages.workspace.errors import UserError

MIRROR = "set `download.mirror` under params/ to a folder or URL that holds this file, and run `make params`"
WITHOUT_ROOT = ("-o", "Debug::NoLocking=1", "-o", "Acquire::Retries=3")
ASKING = Lock()  # the files of one package are asked for at the same time, and fetched once


def find_packaged(location: str, timeout_s: float) -> Path:
    """The file of ``apt://<package>/<path>``: the installed one, or that of the package as published."""
    package, _, inside = _parts(location)
    installed = _run(location, ["dpkg-query", "--listfiles", package])
    if f"/{inside}" in installed.stdout.splitlines() and (path := Path("/", inside)).is_file():
        return path
    with ASKING:
        path = Path(_unpacked(location.partition("://")[0], package, timeout_s).name, inside)
    if not path.is_file():
        raise UserError(location, f"the package {package} holds no file /{inside}", CORRECT)
    return path


def find_index(location: str, timeout_s: float) -> Path:
    """The index of ``apt-index://<suite>/<key>``, unpacked; suites that this machine does not use are known too."""
    suite, _, key = _parts(location)
    with ASKING:
        folder = Path(_indices(suite, _architecture(key), key.partition("/")[0], timeout_s).name, "lists")
    path = next((file for file in sorted(folder.iterdir()) if file.name.endswith("_" + key.replace("/", "_"))), None)
    if path is None:
        raise UserError(location, f"the release {suite} has no index {key}", CORRECT)
    return path


def _parts(location: str) -> tuple[str, str, str]:
    parts = location.partition("://")[2].partition("/")
    if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]*", parts[0]) or not parts[2] or ".." in parts[2].split("/"):
        raise UserError("apt://<package>/<path> or apt-index://<suite>/<key>", location, CORRECT)
    return parts


def _architecture(key: str) -> str:
    """The one that an index is of; for an index of none, one that every release has."""
    found = re.search(r"/binary-(\w+)/", key)
    return found[1] if found else "amd64"


@cache
def _unpacked(scheme: str, package: str, timeout_s: float) -> TemporaryDirectory[str]:
    """The files of a package, until this process ends."""
    location, folder = f"{scheme}://{package}", TemporaryDirectory(prefix="plumbline-apt-")
    download = ["apt-get", *WITHOUT_ROOT, *_patience(timeout_s), "download", package]
    done = _run(location, download, folder.name)
    if done.returncode:  # lists are absent from slim images, or older than what is published
        lists = _private(folder.name)
        updated = _run(location, ["apt-get", *WITHOUT_ROOT, *_patience(timeout_s), *lists, "update"], folder.name)
        done = _run(location, [*download[:-2], *lists, *download[-2:]], folder.name)
        if done.returncode:
            raise UserError(location, f"apt finds no such package: {_said(updated, done)}", MIRROR)
    (archive,) = Path(folder.name).glob("*.deb")
    unpacked = _run(location, ["dpkg-deb", "--extract", str(archive), folder.name])
    if unpacked.returncode:
        raise UserError(location, f"the package cannot be unpacked: {_said(unpacked)}", MIRROR)
    archive.unlink()
    return folder


@cache
def _indices(suite: str, architecture: str, component: str, timeout_s: float) -> TemporaryDirectory[str]:
    """The indices of one component of a release, until this process ends."""
    location, folder = f"apt-index://{suite}/{component}", TemporaryDirectory(prefix="plumbline-apt-")
    apt = ["apt-get", *WITHOUT_ROOT, *_patience(timeout_s), *_private(folder.name)]
    asked = _run(location, [*apt, "update", "--print-uris"], folder.name)
    used = re.findall(rf"^'(\S+)/dists/([^/-]+)/{re.escape(component)}/", asked.stdout, re.MULTILINE)
    if not used:
        raise UserError(location, f"apt has no source with {component} on this machine: {_said(asked)}", MIRROR)
    archive, sources = used[0][0], Path(folder.name, "sources.list")
    sources.write_text(f"deb {_signed_by(location, archive)}{archive} {suite} {component}\n", encoding="utf-8")
    alone = ["-o", f"Dir::Etc::sourcelist={sources}", "-o", "Dir::Etc::sourceparts=/dev/null", "--error-on=any"]
    plain = ["-o", "Acquire::Languages=en", "-o", "Acquire::GzipIndexes=false"]
    plain += ["-o", f"APT::Architecture={architecture}", "-o", f"APT::Architectures={architecture}"]
    updated = _run(location, [*apt, *alone, *plain, "update"], folder.name)
    if updated.returncode:
        raise UserError(location, f"apt cannot fetch it: {_said(updated)}", MIRROR)
    return folder


def _signed_by(location: str, archive: str) -> str:
    """The option that names the keys of the user's own source, where that names a file of them."""
    asked = _run(location, ["apt-config", "shell", "one", "Dir::Etc::sourcelist/f", "more", "Dir::Etc::sourceparts/d"])
    one, more = (Path(named) for named in re.findall(r"='(.*)'", asked.stdout))
    for file in (one, *sorted(more.glob("*.list")), *sorted(more.glob("*.sources"))):
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        keys = re.search(r"(?:^Signed-By:\s*|signed-by=)(/[^\s\]]+)", text, re.MULTILINE)
        if archive in text and keys:
            return f"[signed-by={keys[1]}] "
    return ""


def _private(folder: str) -> list[str]:
    """Options by which apt keeps its lists in ``folder`` and leaves the machine's own alone."""
    for name in ("lists/partial", "cache/archives/partial"):
        Path(folder, name).mkdir(parents=True, exist_ok=True)
    return ["-o", f"Dir::State::lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache"]


def _patience(timeout_s: float) -> list[str]:
    seconds = max(1, round(timeout_s))
    return ["-o", f"Acquire::http::Timeout={seconds}", "-o", f"Acquire::https::Timeout={seconds}"]


def _run(location: str, words: Sequence[str], folder: str | None = None) -> subprocess.CompletedProcess[str]:
    if which(words[0]) is None:
        raise UserError(location, f"this machine has no {words[0]}", MIRROR)
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(
        words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def _said(*runs: subprocess.CompletedProcess[str]) -> str:
    """What apt complains of, the first complaints of each run."""
    lines = [line[2:].strip() for done in runs for line in done.stderr.splitlines() if line.startswith(("E:", "W:"))]
    useful = [line for line in dict.fromkeys(lines) if "unsandboxed" not in line]
    return "; ".join(useful[:3]) or "; ".join(done.stderr.strip()[-200:] for done in runs if done.stderr) or "no answer"
