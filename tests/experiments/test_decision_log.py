"""The decision log: whole at any moment, numbered, and refused when somebody else has touched it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stages.experiments.promotion.log import append, done, intend, intended, one_at_a_time, read_log
from stages.workspace.errors import UserError

ROOT = Path(__file__).parents[2]
LOG = Path("registry/trial.jsonl")
ADD_FOREVER = """
import sys
from stages.experiments.promotion.log import append, read_log
entry = read_log("trial")[0]
print("ready", flush=True)
while True:
    append("trial", entry | {"number": len(read_log("trial")) + 1})
"""


def entry(number: int, **more: object) -> dict:
    return {
        "number": number, "when": "2026-01-01T00:00:00Z", "who": "Ada", "dataset": "trial", "decision": "keep",
        "reason": "as expected", "candidate": {}, "champion": None, "tags": [], "evidence": {}, **more,
    }  # fmt: skip


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)


def test_what_was_added_is_read_in_order_one_line_each() -> None:
    assert read_log("trial") == []
    for number in (1, 2, 3):
        append("trial", entry(number))
    assert [each["number"] for each in read_log("trial")] == [1, 2, 3]
    assert [json.loads(line)["number"] for line in LOG.read_bytes().split(b"\n") if line] == [1, 2, 3]


def test_adding_changes_no_byte_of_what_was_there() -> None:
    append("trial", entry(1))
    LOG.write_bytes(LOG.read_bytes().replace(b": ", b":"))  # written by another hand, and still right
    before = LOG.read_bytes()
    append("trial", entry(2))
    assert LOG.read_bytes().startswith(before)


def test_any_text_survives_and_no_nan_gets_in() -> None:
    reason = "naïve → “late”\u2028\x85\n\ttab"
    append("trial", entry(1, reason=reason))
    assert read_log("trial")[0]["reason"] == reason
    with pytest.raises(ValueError, match="not JSON compliant"):
        append("trial", entry(2, evidence={"x": float("nan")}))
    assert len(read_log("trial")) == 1


def test_a_decision_out_of_order_is_never_added_and_the_same_one_only_once() -> None:
    append("trial", entry(1))
    with pytest.raises(UserError, match="1 decisions, where decision 5 was to be added"):
        append("trial", entry(5))
    append("trial", entry(1))
    assert read_log("trial") == [entry(1)]


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda text: text[:-40], "line 2 is no JSON"),
        (lambda text: text[:-1], "the last line, 2, is cut short"),
        (lambda text: text + "<<<<<<< HEAD\n", "line 3 is a merge conflict"),
        (lambda text: text.splitlines(keepends=True)[1], "line 1 holds decision 2"),
        (lambda text: text.splitlines(keepends=True)[0] * 2, "line 2 holds decision 1"),
        (lambda text: text + "{}\n", "line 3 is no decision: no number"),
        (lambda text: text + "[]\n", "line 3 is no decision"),
        (lambda text: text + "\n", "line 3 is no JSON"),
        (lambda text: "\n", "line 1 is no JSON"),
    ],
)
def test_a_damaged_log_is_refused_with_its_line_and_the_way_back(damage, found: str) -> None:
    for number in (1, 2):
        append("trial", entry(number))
    LOG.write_text(damage(LOG.read_text()))
    before = LOG.read_bytes()
    for touch in (lambda: read_log("trial"), lambda: append("trial", entry(3))):
        with pytest.raises(UserError, match=rf"(?s){found}.*`git checkout registry/trial\.jsonl`"):
            touch()
    assert LOG.read_bytes() == before


def test_bytes_that_are_no_text_are_refused() -> None:
    LOG.parent.mkdir()
    LOG.write_bytes(b"\xff\xfe\n")
    with pytest.raises(UserError, match="can't decode byte 0xff"):
        read_log("trial")


def test_killed_at_any_moment_the_log_is_whole() -> None:
    append("trial", entry(1))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", ADD_FOREVER], stdout=subprocess.PIPE, env=environment) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        for _ in range(200):
            read_log("trial")  # a reader never sees half a line either
        time.sleep(0.05)
        writer.send_signal(signal.SIGKILL)
    assert [each["number"] for each in read_log("trial")] == list(range(1, len(read_log("trial")) + 1))


def test_only_one_decides_at_a_time_about_a_dataset_and_others_do_not_wait() -> None:
    with one_at_a_time("trial"):
        with pytest.raises(UserError, match="another one is running"), one_at_a_time("trial"):
            pass
        with one_at_a_time("other"):
            pass
    with one_at_a_time("trial"):
        pass


def test_an_intention_stays_until_it_is_done_and_is_no_file_of_the_repository() -> None:
    assert intended("trial") is None
    intend("trial", entry(1))
    assert intended("trial") == entry(1)
    told = subprocess.run(["git", "status", "--short", "-uall"], check=True, capture_output=True, text=True).stdout
    assert told == ""
    done("trial")
    done("trial")
    assert intended("trial") is None
