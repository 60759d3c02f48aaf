"""The image, really built and really run: not as root, on a root that is read-only, with the scores of `predict`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.dask_machines import free_port
from tests.deploy.image import Buildah, Container, why_not
from tests.deploy.service import BUNDLES, ROOT, asked, check_answers, wait_until_ready

LARGEST_MB = 700
ENDS_S = 10.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "can be built"),
    pytest.mark.skipif(not BUNDLES, reason="no bundles to put into an image; `make repro` makes them"),
]


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    buildah = Buildah(tmp_path_factory.mktemp("buildah"))
    yield buildah
    buildah.close()


@pytest.fixture(scope="module")
def image(buildah: Buildah) -> str:
    buildah.build(ROOT / "deploy/Dockerfile", ROOT, buildah.base(), "plumbline:test")
    return "localhost/plumbline:test"


@pytest.fixture(scope="module")
def container(buildah: Buildah, image: str) -> Container:
    return Container(buildah.root(image), buildah.config(image))


@dataclass(frozen=True)
class Server:
    """The service inside, ready."""

    process: psutil.Process
    port: int
    said: Path


@pytest.fixture(scope="module")
def server(container: Container, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port, said = free_port(), tmp_path_factory.mktemp("server") / "said"
    with container.serving("--port", str(port), "--workers", "2", said=said) as process:
        wait_until_ready(port, process.is_running)
        yield Server(process, port, said)


def test_it_is_small(container: Container) -> None:
    """What lies in the container, all layers together."""
    size = sum(path.lstat().st_size for path in container.root.rglob("*") if path.is_file() and not path.is_symlink())
    assert size < LARGEST_MB * 1e6, f"{size / 1e6:.0f} MB"


def test_it_reads_pictures_although_it_has_not_all_of_pillow(container: Container) -> None:
    code = """
import io, numpy
from PIL import Image
from stages.records.pictures import decode, encode
pixels = numpy.arange(12, dtype=numpy.uint8)
assert (decode(encode(pixels, (2, 2, 3)), (2, 2, 3)) == pixels).all()
Image.new("L", (2, 2), 100).save(file := io.BytesIO(), "JPEG")
print(decode(file.getvalue(), (2, 2, 1)).tolist())
"""
    assert container.run("python", "-c", code).stdout == "[100, 100, 100, 100]\n"


def test_it_is_nobody_and_can_write_nowhere_but_in_tmp(container: Container) -> None:
    code = "import os; print(os.getuid(), os.getgid()); os.chdir('/tmp'); open('x', 'w'); open('/plumbline/x', 'w')"
    done = container.run("python", "-c", code)
    assert done.stdout == "10001 10001\n"
    assert "Read-only file system: '/plumbline/x'" in done.stderr
    found = container.run("find", "/", "-xdev", "-writable", "-not", "-type", "l", "-not", "-path", "/proc/*").stdout
    assert found.split() == ["/tmp"]


def test_it_holds_no_build_tools_no_secrets_and_no_gpu_library(container: Container) -> None:
    look = 'for name in gcc cc make ld git curl; do command -v "$name"; done; ls /etc/pip.conf /etc/pip.crt /build'
    assert container.run("sh", "-c", look).stdout == ""
    names = container.run("python", "-c", "import importlib.metadata as m; print(*(d.name for d in m.distributions()))")
    assert "xgboost-cpu" in names.stdout.split()
    assert {"xgboost", "nvidia-nccl-cu12", "dvc", "pytest", "pip"}.isdisjoint(names.stdout.split())


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_it_answers_what_predict_says_here(bundle: Path, server: Server, tmp_path: Path) -> None:
    check_answers(server.port, bundle, tmp_path / "scores.parquet")


def test_it_reads_parquet_without_the_parts_of_arrow_that_are_left_out(container: Container) -> None:
    code = (
        "import io, polars as pl, pyarrow.parquet as pq; file = io.BytesIO(); "
        "pl.DataFrame({'n': [1, 2]}).write_parquet(file); print(pq.read_table(file)['n'].to_pylist())"
    )
    done = container.run("python", "-c", code)
    assert done.stdout == "[1, 2]\n", done.stderr


def test_its_health_check_says_yes(container: Container, server: Server) -> None:
    kind, *command = container.config["Healthcheck"]["Test"]
    assert kind == "CMD" and command[0] == "python"
    here = [word.replace("8000", str(server.port)) for word in command]
    assert container.run(*here).returncode == 0
    assert container.run(*[word.replace("8000", "1") for word in command]).returncode != 0


def test_nothing_was_compiled_for_all_that(server: Server) -> None:
    loaded = re.findall(r"^# code object from '?([^'\n]+)", server.said.read_text(errors="replace"), re.M)
    assert len(loaded) > 500
    assert {path for path in loaded if not path.endswith(".pyc")} == set()


def test_it_ends_when_told_to(server: Server) -> None:
    server.process.terminate()
    server.process.wait(ENDS_S)
    assert asked(server.port, "GET", "/v2/health/live")[0] == 0
