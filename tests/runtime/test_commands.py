"""How commands end when nobody reads on, when somebody stops them, and where they may not write."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from stages.experiments.tracking.server import MlflowServer
from stages.runtime.commands import CLOSED, STOPPED
from stages.workspace.errors import UserError

ROOT = Path(__file__).parents[2]


def start(body: str, **streams: int) -> subprocess.Popen[str]:
    """A process of its own whose command does what ``body`` says."""
    script = f"import pathlib, sys, time\nfrom stages.runtime.commands import run_command\n\ndef main():\n    {body}\n"
    command = [sys.executable, "-c", f"{script}\nrun_command(main, [])\n"]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, **streams)


@pytest.mark.parametrize("text", ["'few'", "'many ' * 100_000"])
def test_a_reader_who_has_seen_enough_causes_no_traceback(text: str) -> None:
    process = start(f"sys.stdin.readline(); print({text})", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    _, told = process.communicate("go\n")
    assert (process.returncode, told) == (CLOSED, "")


def test_a_terminal_without_arrows_still_gets_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    process = start("print('3 \u2192 4')", stdout=subprocess.PIPE)
    assert process.communicate() == ("3 -> 4\n", "")


def test_ctrl_c_stops_in_one_word() -> None:
    process = start("print('begun', flush=True); time.sleep(60)", stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()
    assert (process.returncode, told) == (STOPPED, "stopped\n")


def test_a_folder_that_is_a_file_is_told_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("", encoding="utf-8")
    process = start(f"pathlib.Path({str(tmp_path)!r}, 'taken', 'below').mkdir(parents=True)")
    _, told = process.communicate()
    assert process.returncode == 1
    assert "Traceback" not in told
    assert f"wanted  to read and write {tmp_path}/taken/below\nfound   Not a directory\n" in told


@pytest.mark.parametrize("address", ["tracking", "ftp://127.0.0.1", "http://"])
def test_a_malformed_address_of_mlflow_is_told_as_one(address: str) -> None:
    with pytest.raises(UserError, match="no address of a web server") as told:
        MlflowServer(address).open_experiment("any")
    assert not isinstance(told.value.__cause__, requests.RequestException)
