"""Killed at any moment, a promotion is finished by the next run; the log is whole at any moment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stages.experiments.promotion import log as decision_log
from stages.experiments.promotion import registry
from stages.workspace.errors import UserError

ROOT = Path(__file__).parents[3]
LOG = Path("registry/trial.jsonl")
DIE = (
    "import os, sys; from stages import promote; "
    "from stages.experiments.promotion import log as decision_log; "
    "from stages.experiments.promotion import registry; "
)


def die_at(where: str, candidate: str) -> None:
    """Run the command in a process that ends, without a word, where it calls the named function."""
    code = f"{DIE}{where} = lambda *a, **k: os._exit(9); promote.main({candidate!r})"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert done.returncode == 9, done.stderr


@pytest.mark.parametrize(
    "where",
    [
        "decision_log.append",
        pytest.param("registry.mark", marks=pytest.mark.slow),
        pytest.param("registry._wait_for_a_later_second", marks=pytest.mark.slow),
        "decision_log.done",
    ],
)
def test_what_a_killed_run_began_the_next_one_finishes(repository, told, tools, caplog, where: str) -> None:
    caplog.set_level("INFO")
    die_at(where, "weak")
    assert decision_log.intended("trial") is not None
    out = told("weak")
    assert "finishing decision 1" in caplog.text
    assert out == "trial: weak is the champion already (v0.0.1): nothing to do\n"
    assert len(LOG.read_text().splitlines()) == 1
    assert tools.git("tag").split() == ["trial#champion#1", "trial@v0.0.1"]
    assert decision_log.intended("trial") is None


def test_a_finished_decision_is_not_made_again(repository, told, tools) -> None:
    told("main")
    die_at("decision_log.append", "weak")  # a candidate that is kept out, so that it is no champion afterwards
    assert told("weak").startswith("trial: weak")
    assert [entry["decision"] for entry in decision_log.read_log("trial")] == ["first", "keep"]


@pytest.fixture
def interrupted(repository, told, monkeypatch) -> None:
    """A promotion of ``weak`` that Ctrl-C ended between the log and the tags."""

    def press_ctrl_c(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(registry, "mark", press_ctrl_c)
        told("weak")


def test_a_dry_run_leaves_the_unfinished_as_it_is(interrupted, told, tools, caplog) -> None:
    told("main", "--dry-run")
    assert "an earlier decision is unfinished" in caplog.text
    assert tools.git("tag") == ""


def test_an_unfinished_decision_that_others_overtook_is_not_forced(interrupted, told, tools) -> None:
    tools.git("tag", "-a", "-m", "theirs", "trial@v0.0.1", "twin")
    with pytest.raises(UserError, match=r"(?s)somebody else decided meanwhile.*to give up the interrupted decision"):
        told("main")
    assert tools.git("rev-parse", "trial@v0.0.1^{commit}") == tools.git("rev-parse", "twin")
    LOG.unlink()
    decision_log.intention_path("trial").unlink()
    told("main", "--dry-run")


def test_nothing_is_decided_on_a_damaged_log(repository, told, tools) -> None:
    told("weak")
    LOG.write_text(LOG.read_text()[:-1])
    tags = tools.git("tag")
    for arguments in (("main",), ("--rollback",), ("--history",)):
        with pytest.raises(UserError, match="the last line, 1, is cut short"):
            told(*arguments)
    assert tools.git("tag") == tags


def test_a_clock_behind_the_registry_is_refused(repository, told, tools) -> None:
    told("weak")
    late = {"GIT_COMMITTER_DATE": "@4102444800 +0000"}
    subprocess.run(["git", "tag", "-f", "-a", "-m", "from the future", "trial#champion#1", "trial@v0.0.1^{commit}"],
                   check=True, capture_output=True, env=os.environ | late)  # fmt: skip
    with pytest.raises(UserError, match="a clock that is not behind the latest tag"):
        told("main")
    assert len(LOG.read_text().splitlines()) == 1
    assert registry.champion("trial").version == "v0.0.1"
