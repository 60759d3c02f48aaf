"""A download that is killed, or runs out of disk, leaves nothing that looks complete and goes on in the next run."""

import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.sources.fetch import GATHERING, Fetched, Source, place_files
from stages.sources.transfer import part_path
from stages.workspace.errors import UserError

ROOT = Path(__file__).parents[2]
BODY = np.random.default_rng(1).bytes(300_000)

pytestmark = pytest.mark.usefixtures("workplace")


def parts() -> list[Path]:
    return sorted(GATHERING.glob("*/*.part"))


def write_params(sources: list[Source], mirror: str | None = None) -> None:
    """Parameters are YAML, of which JSON is a part."""
    listed = [{"location": s.location, "bytes": s.bytes, "sha256": s.sha256} for s in sources]
    section = {"mirror": mirror, "attempts": 2, "timeout_s": 20.0, "sources": listed}
    cluster = {"workers": 2, "training_threads": 1}
    content = {"seed": 1, "cluster": cluster, "datasets": {"case": {"download": section}}}
    Path("params.yaml").write_text(json.dumps(content))


def start_stage(**options: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "stages.download", "case"]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, **options)


def wait_for(condition: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_ended_in_mid_download_goes_on_in_the_next(publisher, answer, sign, pinned):
    body = np.random.default_rng(4).bytes(3_000_000)
    publisher.files = {"large.bin": body, "small.csv": BODY}
    publisher.script["large.bin"] = [answer(hold_after=2_000_000)]
    write_params([pinned(publisher.url("large.bin"), body), pinned(publisher.url("small.csv"), BODY)])
    stage = start_stage()
    wait_for(lambda: any("large" in part.name and part.stat().st_size > 1_500_000 for part in parts()))
    wait_for(lambda: any("small" in part.name and part.stat().st_size == len(BODY) for part in parts()))
    stage.send_signal(sign)
    publisher.release.set()
    stage.communicate(timeout=30)
    assert stage.returncode != 0
    assert not Path("data").exists()
    kept = next(part.stat().st_size for part in parts() if "large" in part.name)

    stage = start_stage()
    assert stage.wait(60) == 0, stage.stderr.read() if stage.stderr else ""
    assert Path("data/raw/case/large.bin").read_bytes() == body
    assert publisher.sent("large.bin")[1:] == ([len(body) - kept] if kept < len(body) else [])
    assert len(publisher.sent("small.csv")) == 1
    assert (Path("data/raw/case/manifest.json")).exists()


def test_one_dataset_is_fetched_by_one_run_at_a_time(publisher, download, refuse, unpinned):
    publisher.files["a.csv"] = BODY
    folder = GATHERING / "case"
    folder.mkdir(parents=True)
    with (folder / ".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert "another download" in refuse(unpinned(publisher.url("a.csv"))).found
    download(unpinned(publisher.url("a.csv")))


def test_a_file_too_large_for_the_disk_ends_the_stage_in_plain_words(publisher, unpinned):
    """A limit on file size fails a write as a full disk does, on any machine."""
    publisher.files = {"a.csv": b"a\n1\n", "large.bin": BODY}
    write_params([unpinned(publisher.url("a.csv")), unpinned(publisher.url("large.bin"))])
    stage = start_stage(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)))
    _, said = stage.communicate(timeout=60)
    assert stage.returncode == 1
    assert "wanted  room to write" in said and "large.bin" in said
    assert "Traceback" not in said
    assert not Path("data").exists()


@pytest.fixture
def small_disk(workplace: Path) -> Iterator[Path]:
    """A disk of 1 MiB at ``workplace/disk``."""
    disk = workplace / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    yield disk
    os.chdir(workplace)
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_loses_nothing_and_the_next_run_goes_on(publisher, small_disk, monkeypatch, pinned):
    body = np.random.default_rng(5).bytes(800_000)
    publisher.files["a.bin"] = body
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 600_000)
    monkeypatch.chdir(small_disk)
    write_params([pinned(publisher.url("a.bin"), body)])
    _, said = (stage := start_stage()).communicate(timeout=60)
    assert stage.returncode == 1
    assert "No space left on device" in said and "Traceback" not in said
    assert not Path("data").exists()
    filler.unlink()
    assert start_stage().wait(60) == 0
    assert Path("data/raw/case/a.bin").read_bytes() == body
    assert sum(publisher.sent("a.bin")) < 2 * len(body)


def test_data_on_another_disk_is_filled_all_the_same(publisher, small_disk, download, pinned):
    publisher.files["a.bin"] = BODY
    Path("data").symlink_to(small_disk)
    assert (download(pinned(publisher.url("a.bin"), BODY)) / "a.bin").read_bytes() == BODY


def test_a_folder_that_cannot_be_written_is_a_plain_error(publisher, download, unpinned):
    publisher.files["a.csv"] = BODY
    Path("data").write_text("a file where a folder should be")
    with pytest.raises(UserError, match="make the folder writable"):
        download(unpinned(publisher.url("a.csv")))
    Path("data").unlink()
    download(unpinned(publisher.url("a.csv")))


def test_an_earlier_complete_folder_survives_a_failed_run(publisher, download, unpinned):
    publisher.files["a.csv"] = BODY
    folder = download(unpinned(publisher.url("a.csv")))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UserError):
        download(unpinned(publisher.url("a.csv")), unpinned(publisher.url("missing.csv")))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_that_is_being_refilled_does_not_look_complete(publisher, download, unpinned):
    publisher.files["a.csv"] = BODY
    folder = download(unpinned(publisher.url("a.csv")))
    lost = Fetched(unpinned(publisher.url("a.csv")), Path("gone.part"), 1, "0" * 64)
    with pytest.raises(UserError):
        place_files(folder, [lost])
    assert not (folder / "manifest.json").exists()


def test_a_disk_that_fails_ends_the_other_transfers_too(publisher, answer, download, unpinned):
    publisher.files = {"first.csv": BODY, "slow.csv": BODY}
    publisher.script["slow.csv"] = [answer(hold_after=50_000)]
    first, slow = unpinned(publisher.url("first.csv")), unpinned(publisher.url("slow.csv"))
    part_path(GATHERING / "case", first).mkdir(parents=True)
    with pytest.raises(UserError, match="make the folder writable"):
        download(slow, first, timeout_s=1.0)
    time.sleep(1.5)
    assert publisher.statuses("slow.csv") == [200]
