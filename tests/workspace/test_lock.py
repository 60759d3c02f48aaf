"""One command at a time changes the workspace: the others wait, and say for whom."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zc.lockfile

from stages.workspace.errors import UserError
from stages.workspace.lock import EXPERIMENT, HOLDER, IN_USE, alone, at_work, dvc_at_work
from stages.workspace.waiting import DVC_LOCK

ROOT = Path(__file__).parents[2]
HOLD = """\
import sys, time
from stages.workspace.lock import alone
with alone(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
"""
STAGE = "from stages.workspace.errors import run_stage; run_stage(lambda: print('done', flush=True), [])"


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(HOLDER, raising=False)


@pytest.fixture
def a_dvc() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is called as DVC is."""
    process = subprocess.Popen(["dvc", "60"], executable="/bin/sleep")
    while not Path(f"/proc/{process.pid}/cmdline").read_bytes():
        time.sleep(0.01)  # it is being started
    yield process
    process.kill()
    process.wait()


def start(script: str, *arguments: str, **more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments], env={**os.environ, "PYTHONPATH": str(ROOT), **more}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_a_second_command_waits_for_the_first_and_names_it() -> None:
    first = start(HOLD, "make promote")
    assert first.stdout is not None and first.stdout.readline() == "held\n"
    second = start(HOLD, "make repro")
    assert second.stderr is not None
    told = second.stderr.readline()
    assert f"make repro waits for `make promote` (process {first.pid})" in told
    first.communicate("go\n")
    assert second.communicate("go\n")[0] == "held\n"
    assert at_work(Path()) is None


def test_a_killed_command_holds_nothing() -> None:
    first = start(HOLD, "make promote")
    assert first.stdout is not None and first.stdout.readline() == "held\n"
    assert at_work(Path()) == f"`make promote` (process {first.pid})"
    first.kill()
    first.communicate()
    with alone("make repro"):
        pass


def test_what_the_holder_starts_goes_on() -> None:
    with alone("make tune"):
        done = start(HOLD, "make params").communicate("go\n", timeout=60)
        assert done == ("held\n", "")


def test_an_experiment_in_the_workspace_is_seen_while_its_process_lives(a_dvc) -> None:
    EXPERIMENT.parent.mkdir(parents=True)
    EXPERIMENT.write_text(json.dumps({"pid": a_dvc.pid}), encoding="utf-8")
    assert dvc_at_work(Path()) == f"`dvc 60` (process {a_dvc.pid})"
    a_dvc.kill()
    a_dvc.wait()
    assert dvc_at_work(Path()) is None


def test_a_stage_of_dvc_is_seen_and_a_number_that_another_program_got_is_not(a_dvc) -> None:
    for pid, seen in ((a_dvc.pid, True), (os.getppid(), False)):
        IN_USE.write_text(json.dumps({"write": {"/x": {"pid": pid, "cmd": "dvc repro"}}}), encoding="utf-8")
        assert (dvc_at_work(Path()) is not None) == seen


@pytest.mark.parametrize("left", ["", '{"write": {"/x": {"pi', "[]"])
def test_a_cut_note_of_dvc_gets_the_command_that_mends_it(left: str) -> None:
    IN_USE.write_text(left, encoding="utf-8")
    with pytest.raises(UserError) as caught, alone("make repro"):
        pass
    assert "empty or cut short" in caught.value.found
    assert "`rm .dvc/tmp/rwlock`" in caught.value.next_step


def test_a_stage_ends_when_a_push_beside_it_has_ended() -> None:
    """DVC would give up three seconds after the stage, and the experiment with it."""
    push = zc.lockfile.LockFile(str(DVC_LOCK))
    stage = start(STAGE, DVC_STAGE="train@digits")
    assert stage.stdout is not None and stage.stdout.readline() == "done\n"
    assert stage.stderr is not None and "the end of train@digits waits for" in stage.stderr.readline()
    time.sleep(1)
    assert stage.poll() is None
    push.close()
    stage.communicate(timeout=60)
    assert stage.returncode == 0


def test_a_stage_that_no_dvc_has_started_does_not_wait() -> None:
    push = zc.lockfile.LockFile(str(DVC_LOCK))
    assert start(STAGE, DVC_STAGE="").communicate(timeout=60) == ("done\n", "")
    push.close()
