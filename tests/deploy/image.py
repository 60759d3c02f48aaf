"""An image built and run without a daemon: buildah in a folder of its own, and the container's root in a chroot.

Debian's packages stand in for `python:3.11-slim` where no registry of images is within reach.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

OFFICIAL = "docker.io/library/python:3.11-slim"
STAND_IN = """\
FROM scratch
ADD debian.tar /
RUN python3 -m venv /usr/local && ln -sf python3 /usr/local/bin/python
"""
LEFT_OUT = ("doc", "man", "locale")  # as in the official image
# A root that nobody can write to, and beside it what every container is given.
INSIDE = """\
set -e
mount --bind "$0" "$0"
mount -o remount,ro,bind "$0"
mount -t tmpfs tmpfs "$0/tmp"
mount --bind /dev "$0/dev"
mount -t proc proc "$0/proc"
cd "$0" && exec chroot --userspec="$1" . /usr/bin/env -i "${@:2}"
"""


def why_not() -> str:
    """What an image cannot be built for here; empty where it can."""
    if sys.platform != "linux" or os.geteuid():
        return "building in a chroot wants Linux and root"
    lacking = [program for program in ("buildah", "mmdebstrap", "unshare") if shutil.which(program) is None]
    return f"no {', '.join(lacking)} on this machine" if lacking else ""


@dataclass
class Buildah:
    """Images and containers in one folder."""

    folder: Path
    containers: list[str] = field(default_factory=list)

    def __call__(self, *words: str | Path, cwd: Path | None = None, timeout_s: float = 900) -> str:
        """What buildah prints."""
        stores = ["--root", self.folder / "images", "--runroot", self.folder / "run"]
        done = subprocess.run(
            ["buildah", *map(str, (*stores, *words))], cwd=cwd, capture_output=True, text=True, timeout=timeout_s,
            env={**os.environ, "BUILDAH_ISOLATION": "chroot"},
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"buildah {words[0]}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        return done.stdout.strip()

    def base(self) -> str:
        """The official image, or its stand-in."""
        try:
            self("pull", "--quiet", OFFICIAL, timeout_s=60)
            return OFFICIAL
        except (RuntimeError, subprocess.TimeoutExpired):
            self._stand_in()
            return "localhost/stand-in"

    def _stand_in(self) -> None:
        context = self.folder / "stand-in"
        context.mkdir()
        excluded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in LEFT_OUT]
        packages = "--include=python3,python3-venv,ca-certificates"
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", packages, *excluded, "bookworm", context / "debian.tar"],
            check=True, capture_output=True, timeout=900,
        )  # fmt: skip
        (context / "Containerfile").write_text(STAND_IN, encoding="utf-8")
        self("bud", "--quiet", "--tag", "localhost/stand-in", context)

    def build(self, dockerfile: Path, context: Path, base: str, tag: str) -> None:
        """Build as docs/deploy.md says; what pip needs to reach its registry here is handed over as secrets."""
        said = [f"--secret=id={name},src={path}" for name, path in self._secrets().items()]
        self("bud", "--pull-never", "--format=docker", f"--build-arg=BASE={base}", *said,
             "--ignorefile", context / ".dockerignore", "--file", dockerfile, "--tag", tag, context)  # fmt: skip

    def _secrets(self) -> dict[str, Path]:
        listed = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
        ).stdout
        pairs = [line.partition("=") for line in listed.splitlines()]
        known = {name.rpartition(".")[2]: value.strip("'\"") for name, _, value in pairs}
        kept = [f"{key} = {known[key]}" for key in ("index-url", "trusted-host") if known.get(key)]
        settings = self.folder / "pip.conf"
        settings.write_text("\n".join(["[global]", *kept, ""]), encoding="utf-8")
        return {"pip": settings, **({"ca": Path(known["cert"])} if "cert" in known else {})}

    def config(self, tag: str) -> dict[str, Any]:
        """What the image says of itself: user, environment, entry point, health check, labels."""
        return dict(json.loads(self("inspect", "--type", "image", tag))["Docker"]["config"])

    def root(self, tag: str) -> Path:
        """A container's root as a folder."""
        self.containers.append(self("from", "--pull-never", tag))
        return Path(self("mount", self.containers[-1]))

    def close(self) -> None:
        """Take away containers and images."""
        if self.containers:
            self("rm", *self.containers)
        self("rmi", "--all", "--force")


@dataclass(frozen=True)
class Container:
    """The root of an image and what it says of itself."""

    root: Path
    config: Mapping[str, Any]

    def command(self, *words: str) -> list[str]:
        """What runs these words as the image's user, in its folder and environment, on a root that is read-only."""
        inside = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', self.config["WorkingDir"], *words]
        return ["unshare", "--mount", "--pid", "--fork", "bash", "-c", INSIDE,
                str(self.root), self.config["User"], *self.config["Env"], *inside]  # fmt: skip

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """The words, run to their end."""
        return subprocess.run(self.command(*words), capture_output=True, text=True, timeout=120)

    @contextmanager
    def serving(self, *arguments: str, said: Path) -> Iterator[psutil.Process]:
        """The image's entry point with these arguments, which is process 1 in there; killed at last.

        ``said`` gets what it writes to standard error, a line for every module that it loads included.
        """
        words = [*self.config["Entrypoint"], *arguments]
        with said.open("wb") as file:
            outer = subprocess.Popen(self.command("env", "PYTHONVERBOSE=1", *words), stderr=file)
        try:
            while not (inner := psutil.Process(outer.pid).children()):
                assert outer.poll() is None, said.read_text(errors="replace")
                time.sleep(0.01)
            yield inner[0]
        finally:  # it by itself, too: whoever has changed its user is not told of its parent's end
            for process in psutil.Process(outer.pid).children() if outer.poll() is None else []:
                process.kill()
            outer.kill()
            outer.wait()
