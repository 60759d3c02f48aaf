"""What a killed process leaves in a folder goes, and nothing else does."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stages.runtime.leftovers import own_name, remove_leftovers

ROOT = Path(__file__).parents[2]
LEAVE = """\
import sys, time
from pathlib import Path
from stages.runtime.leftovers import own_name
folder = Path(sys.argv[1])
(folder / own_name()).touch()
pages = folder / own_name()
pages.mkdir()
(pages / "page").write_bytes(b"bins")
print("left", flush=True)
time.sleep(600)
"""


@pytest.fixture
def other(tmp_path: Path):
    """A process of this machine that keeps a file and a folder in ``tmp_path`` for as long as it runs."""
    command = [sys.executable, "-c", LEAVE, str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "left\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_what_a_running_process_keeps_stays_until_it_is_killed(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    kept = set(tmp_path.iterdir())
    remove_leftovers(tmp_path)
    assert set(tmp_path.iterdir()) == kept
    assert len(kept) == 2

    other.send_signal(signal.SIGKILL)
    other.wait()
    remove_leftovers(tmp_path)
    assert not list(tmp_path.iterdir())


def test_names_of_other_machines_and_of_nobody_stay(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    other.kill()
    other.wait()
    nobodys = {"notes.txt", ".gitignore", f"{socket.gethostname()}.x.y", f"elsewhere.{other.pid}.{'0' * 32}"}
    for name in nobodys:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == nobodys


def test_a_link_that_is_left_goes_and_what_it_leads_to_stays(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    other.kill()
    other.wait()
    folder, valuable = tmp_path / "folder", tmp_path / "valuable"
    folder.mkdir()
    valuable.mkdir()
    (valuable / "thesis").touch()
    (folder / f"{socket.gethostname()}.{other.pid}.0").symlink_to(valuable, target_is_directory=True)
    remove_leftovers(folder)
    assert not list(folder.iterdir())
    assert (valuable / "thesis").exists()


def test_a_host_whose_name_has_dots_is_recognised(tmp_path: Path, other: subprocess.Popen[str], monkeypatch) -> None:
    other.kill()
    other.wait()
    monkeypatch.setattr(socket, "gethostname", lambda: "node7.example.org")
    folder, mine = tmp_path / "folder", own_name()
    folder.mkdir()
    for name in (mine, f"node7.example.org.{other.pid}.0"):
        (folder / name).touch()
    remove_leftovers(folder)
    assert [path.name for path in folder.iterdir()] == [mine]
    assert mine.startswith(f"node7.example.org.{os.getpid()}.")


def test_names_do_not_repeat() -> None:
    assert len({own_name() for _ in range(100)}) == 100
