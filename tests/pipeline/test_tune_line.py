"""Tuning in a real repository: killed and resumed, then its winner run as one DVC experiment."""

import json
import os
import re
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slow

N_TRIALS, CUT_AT = 5, 2
TUNE = ("python", "-m", "stages.tune", "nycflights", "--trials", str(N_TRIALS))


def finished(study: Path) -> int:
    """Trials that the study has completed, asked beside the process that works on it."""
    if not study.exists():
        return 0
    connection = sqlite3.connect(f"file:{study}?mode=ro", uri=True)
    try:
        asked = "select count(*) from trials where state in ('COMPLETE', 'PRUNED')"
        return int(connection.execute(asked).fetchone()[0])
    except sqlite3.OperationalError:
        return 0  # the tables are being made
    finally:
        connection.close()


@pytest.fixture(scope="module")
def tuned(line) -> Iterator[str]:
    """What a search said that had been killed once; its experiment is there, and the workspace is as before."""
    process = line.start(*TUNE)
    study, deadline = line.root / "tuning/nycflights/study.db", time.monotonic() + 300
    while finished(study) < CUT_AT and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL and CUT_AT <= finished(study) < N_TRIALS
    said = line.run(*TUNE)
    line.reset()
    yield said
    line.run("dvc", "exp", "remove", "tuned-nycflights")
    shutil.rmtree(line.root / "tuning")


def test_a_killed_search_goes_on_and_its_winner_is_one_experiment(settled, tuned: str, read_log) -> None:
    ran, _ = read_log
    assert re.search(rf"nycflights: [234] of {N_TRIALS} trials are done", tuned)
    assert ran(tuned)[0] == "train@nycflights" and "evaluate@nycflights" in ran(tuned)
    assert {name.partition("@")[2] for name in ran(tuned)} == {"nycflights"}
    assert "will not be included in the experiment commit" not in tuned
    assert "was something else changed meanwhile" not in tuned

    settled.run("dvc", "exp", "apply", "tuned-nycflights")
    written = (settled.root / "params/model/tuned_nycflights.yaml").read_text(encoding="utf-8")
    winner = yaml.safe_load(written)
    assert winner.pop("defaults") == ["boosting", "_self_"]
    params = yaml.safe_load((settled.root / "params.yaml").read_text(encoding="utf-8"))
    assert winner.items() <= params["datasets"]["nycflights"]["model"].items()
    settled.run("dvc", "checkout", "--quiet")
    loss = json.loads((settled.root / "models/nycflights/training.json").read_text(encoding="utf-8"))["valid_loss"]
    told = re.search(r"^# loss \S+ → (\S+) on the valid part", written, re.M)
    assert told and round(float(told[1]), 6) == loss


def test_the_same_winner_is_not_run_twice_and_another_study_has_names_of_its_own(settled, tuned: str) -> None:
    again = settled.run(*TUNE)
    assert "already run as the experiment tuned-nycflights" in again
    said = settled.run(*TUNE, "--name", "other", "--no-run")
    assert "dvc exp run -n tuned-nycflights-other -S model@datasets.nycflights.model=tuned_nycflights_other" in said
    assert settled.changes() == [
        "?? params/model/tuned_nycflights.yaml", "?? params/model/tuned_nycflights_other.yaml"
    ]  # fmt: skip
