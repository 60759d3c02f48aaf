"""Every terminal shows every text: signs that its encoding lacks are spelled in ASCII, and nothing else changes."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stages.pages import numbers
from stages.workspace.terminal import SPELLED, write_plainly

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "make results": ["tools.results"],
    "make compare": ["stages.compare", "--help"],
    "make tune": ["stages.tune", "--help"],
    "an error": ["stages.train", "Zürich"],
}


def say(text: str, encoding: str, stream: str = "stdout") -> tuple[int, bytes]:
    """Exit status of a command that says ``text``, and the bytes that its reader gets."""
    body = f"sys.{stream}.write({text!r})"
    script = f"import sys\nfrom stages.workspace.errors import run_stage\nrun_stage(lambda: {body} and None, [])"
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=env, capture_output=True)
    return done.returncode, getattr(done, stream)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_signs_that_a_terminal_lacks_are_spelled_and_those_that_it_has_are_kept(stream: str) -> None:
    text = "−0.0028 → 0.5 ± 1 … ≥ 2\u202f% of 8 × 8, R²"
    assert say(text, "ascii", stream) == (0, b"-0.0028 -> 0.5 +/- 1 ... >= 2 % of 8 x 8, R2")
    assert say(text, "latin-1", stream) == (0, "-0.0028 -> 0.5 ± 1 ... >= 2 % of 8 × 8, R²".encode("latin-1"))
    assert say(text, "utf-8", stream) == (0, text.encode())


def test_letters_of_names_are_written_by_number_so_that_no_two_names_become_one() -> None:
    assert say("Zürich Zurich 東", "ascii") == (0, rb"Z\xfcrich Zurich \u6771")


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_no_command_ends_because_a_terminal_knows_ascii_alone(command: list[str]) -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, env=env, capture_output=True)
    said = (done.stdout + done.stderr).decode("ascii")
    assert done.returncode == ("found" in said)  # an error in plain words is the only one
    assert "Traceback" not in said


def test_every_sign_that_the_code_writes_is_spelled_in_ascii_and_none_as_a_number() -> None:
    files = [file for folder in ("stages", "tools") for file in (ROOT / folder).rglob("*.py")]
    written = {sign for file in files for sign in file.read_text(encoding="utf-8") if not sign.isascii()}
    write_plainly()
    plain = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="spelled")
    for sign in sorted(written - set("éèüΣα")):
        plain.write(sign)
        plain.flush()
    assert b"\\" not in plain.buffer.getvalue()  # type: ignore[attr-defined]
    assert all(spelled.isascii() for spelled in SPELLED.values())


@pytest.mark.parametrize(
    "write", [numbers.figure, numbers.fixed, numbers.value_text, numbers.count_text, numbers.short_count]
)
def test_a_negative_number_has_one_minus_however_it_is_written(write) -> None:
    assert re.fullmatch(r"−[\d,.]+(\u202fk)?", write(-1234.5))
