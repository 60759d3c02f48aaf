"""When a cycle trains, on which days, and what it keeps of itself between two runs."""

import json
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stages import cycle
from stages.experiments.cycle import journal as journals
from stages.experiments.cycle import line
from stages.experiments.cycle.choice import CycleSettings, Window, choose, window_of
from stages.experiments.cycle.journal import AtWork, Journal
from stages.experiments.cycle.words import tell_cycle
from stages.workspace.errors import UserError
from tests.git_repositories import commit_all, git

ROOT = Path(__file__).parents[2]


def settings(**changed: object) -> CycleSettings:
    asked = {
        "dry": False, "source": None, "revisions": "refuse", "state": None, "every": "month",
        "retrain_on": ["schedule", "drift", "quality"], "schedule_days": 30, "pause_days": 7,
        "valid_days": 30, "test_days": 30,
    }  # fmt: skip
    return CycleSettings(**asked | changed)


def monitored(taught_until: str = "2014-01-01", **newest: object) -> dict[str, object]:
    quiet = {"batch": "2014-03", "drifted": [], "prediction_drifted": False, "quality": "no evidence"}
    return {"model": {"version": "v0.0.1"}, "reference": {"to": taught_until}, "newest": quiet | newest}


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.integers(1, 999), st.integers(1, 999))
def test_the_window_has_the_days_that_are_asked_for(newest: date, valid_days: int, test_days: int) -> None:
    window = window_of(newest.isoformat(), settings(valid_days=valid_days, test_days=test_days))
    assert newest - date.fromisoformat(window.valid_until) == timedelta(days=test_days)
    assert date.fromisoformat(window.valid_until) - date.fromisoformat(window.train_until) == timedelta(days=valid_days)
    assert window.newest == newest.isoformat()


@pytest.mark.parametrize(
    ("newest", "found", "occasions"),
    [
        ("2014-03-31", {}, ()),  # the window's training part would end on 30 January, 29 days later than now
        ("2014-04-01", {}, ("schedule",)),
        ("2014-03-31", {"drifted": ["temp"]}, ("drift",)),
        ("2014-03-31", {"prediction_drifted": True}, ("drift",)),
        ("2014-03-31", {"quality": "worse"}, ("quality",)),
        ("2014-03-31", {"quality": "better"}, ()),
        ("2014-04-01", {"quality": "worse", "drifted": ["temp"]}, ("schedule", "drift", "quality")),
        ("2014-03-02", {"quality": "worse", "drifted": ["temp"]}, ()),  # and no day more to learn from
    ],
)
def test_it_trains_on_each_occasion_and_only_with_newer_days(newest, found, occasions) -> None:
    choice = choose(settings(), newest, monitored(**found))
    assert choice.occasions == occasions
    assert choice.trains == bool(occasions)
    for word in occasions or ("more to train on" if newest != "2014-03-02" else "no newer day",):
        assert word in choice.reason


def test_an_occasion_that_is_not_asked_for_is_told_and_trains_nothing() -> None:
    choice = choose(settings(retrain_on=["schedule"]), "2014-03-31", monitored(drifted=["temp"]))
    assert not choice.trains
    assert "drift, not asked for (temp in 2014-03)" in choice.reason


def test_after_a_candidate_that_was_not_promoted_there_is_a_pause() -> None:
    drifted = monitored("2013-01-01", drifted=["temp"])
    tried = "2014-01-25"  # of the window that ends with 26 March
    for newest, occasions in (
        ("2014-03-26", ()), ("2014-03-27", ()), ("2014-04-01", ()), ("2014-04-02", ("drift",)),
        ("2014-04-24", ("drift",)), ("2014-04-25", ("schedule", "drift")),
    ):  # fmt: skip
        assert choose(settings(), newest, drifted, tried).occasions == occasions, newest
    assert "soon after the last candidate" in choose(settings(), "2014-03-27", drifted, tried).reason
    assert choose(settings(), "2014-03-27", drifted, None).occasions == ("schedule", "drift")


def test_a_champion_without_later_rows_is_judged_by_the_schedule_alone() -> None:
    nothing = monitored() | {"newest": None}
    assert choose(settings(), "2014-04-01", nothing).occasions == ("schedule",)
    assert choose(settings(), "2014-03-31", nothing).occasions == ()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with git alone."""
    monkeypatch.chdir(tmp_path)
    git("init", "-qb", "main")
    for key in ("name", "email"):
        git("config", f"user.{key}", "ada@localhost")
    return tmp_path


def test_a_journal_is_as_it_was_left_and_gone_when_all_is_done(repository: Path) -> None:
    Journal("rates").begin(number=1)
    Journal("rates").finish("look", {"new": True})
    assert Journal("rates").noted == {"begun": {"number": 1}, "look": {"new": True}}
    assert Journal("weather").noted == {}
    Journal("rates").end()
    assert Journal("rates").noted == {}
    assert git("status", "--porcelain") == ""  # it lies in the git folder


def test_a_cycle_stands_in_the_log_once(repository: Path) -> None:
    for number in (1, 2, 2):
        journals.append("rates", {"number": number, "data": "ab"})
    assert [entry["number"] for entry in journals.read_log("rates")] == [1, 2]
    Path("cycles/rates.jsonl").write_text("<<<<<<< ours\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"git checkout cycles/rates\.jsonl"):
        journals.read_log("rates")


def test_who_holds_the_lock_is_told_and_its_end_frees_it(repository: Path) -> None:
    code = (
        "import sys; from stages.experiments.cycle import journal\n"
        "with journal.one_at_a_time('rates') as lock:\n"
        "    journal.sign(lock, 'train'); print('ready', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout.readline() == b"ready\n"
    with (
        pytest.raises(AtWork, match=rf"process {holder.pid}, at the step `train` since"),
        journals.one_at_a_time("rates"),
    ):
        pass
    with journals.one_at_a_time("weather"):
        pass
    holder.kill()
    holder.wait()
    with journals.one_at_a_time("rates") as lock:
        lock.seek(0)
        assert f"process {os.getpid()}, at the step `look`" in lock.read()


@pytest.fixture
def rates(repository: Path) -> Path:
    """What a cycle asks of a line before it does anything: parameters, and which files were downloaded."""
    params = {"datasets": {"rates": {"cycle": settings(dry=True).model_dump()}, "digits": {"promote": {}}}}
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    Path("data/raw/rates").mkdir(parents=True)
    Path("data/raw/rates/manifest.json").write_text('{"files": [{"name": "a", "sha256": "0"}]}', encoding="utf-8")
    return repository


def test_what_comes_as_a_package_is_told_about_and_left_alone(rates: Path, capsys) -> None:
    cycle.main("rates")
    assert capsys.readouterr().out.splitlines() == [
        "rates: would watch the champion, and decide by what that finds",
        "dry run: nothing was changed (datasets.rates.cycle.dry)",
    ]
    journals.append("rates", {"number": 1, "data": line.data_id("rates"), "trained": False})
    cycle.main("rates")
    assert capsys.readouterr().out.startswith("rates: nothing new since cycle 1\n")
    assert not Journal("rates").noted


def test_a_second_cycle_ends_with_a_status_of_its_own(rates: Path, capsys) -> None:
    with journals.one_at_a_time("rates"), pytest.raises(SystemExit) as ended:
        cycle.main("rates")
    assert ended.value.code == 3
    assert f"process {os.getpid()}, at the step `look`" in capsys.readouterr().err


def test_a_cycle_under_way_is_told_by_a_dry_run(rates: Path, capsys) -> None:
    Journal("rates").begin(number=4, when="2014-04-01T12:00:00Z", head="abc", decided=0)
    Journal("rates").finish("look", {"new": True})
    cycle.main("rates", "--dry-run")
    told = "rates: would go on with cycle 4 of 2014-04-01T12:00:00Z; done so far: begun, look\n"
    assert capsys.readouterr().out == told


@pytest.mark.parametrize(("name", "found"), [("digits", "section datasets.digits.cycle"), ("none", "a dataset listed")])
def test_a_dataset_without_a_cycle_is_refused_and_leaves_no_lock(rates: Path, name: str, found: str) -> None:
    with pytest.raises(UserError, match=found):
        cycle.main(name)
    assert not list((rates / ".git/plumbline").glob("*"))


def test_no_stage_of_the_line_reads_the_settings_of_a_cycle() -> None:
    declared = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    asked = [name for stage in declared.values() for name in stage.get("do", stage).get("params", [])]
    assert "datasets.${key}.model" in asked and not [name for name in asked if "cycle" in name]


DATASET = """\
featurize:
  split:            # by day
    train_until: "2013-08-31"
    valid_until: '2013-10-31'   # two months
cycle:
  valid_days: 1
"""


def test_a_split_is_moved_in_its_place_and_nothing_else(repository: Path) -> None:
    path = Path("params/dataset/rates.yaml")
    path.parent.mkdir(parents=True)
    path.write_text(DATASET, encoding="utf-8")
    _, text = line.split_file("rates", {"train_until": "2014-01-31", "valid_until": "2014-02-28"})
    wanted = DATASET.replace('"2013-08-31"', '"2014-01-31"').replace("'2013-10-31'", '"2014-02-28"')
    assert text == wanted
    path.write_text(DATASET.replace("    train_until", "    # train_until"), encoding="utf-8")
    with pytest.raises(UserError, match="one line `train_until`"):
        line.split_file("rates", {"train_until": "2014-01-31"})


def test_edited_files_are_refused_and_those_of_a_cycle_are_not(repository: Path) -> None:
    for name in ("mine", "dvc.lock"):
        Path(name).write_text("as committed")
    commit_all("both")
    Path("dvc.lock").write_text("written")
    line.refuse_edited(["dvc.lock", "monitoring/rates"])
    Path("mine").write_text("edited")
    with pytest.raises(UserError, match="edited: mine"):
        line.refuse_edited(["dvc.lock"])


def test_a_snapshot_has_edited_and_added_files_and_leaves_them(repository: Path) -> None:
    Path("kept").write_text("before")
    commit_all("one")
    assert line.snapshot() == git("rev-parse", "HEAD")
    Path("kept").write_text("after")
    Path("added").write_text("new")
    git("add", "added")
    made = line.snapshot()
    assert [git("show", f"{made}:{name}") for name in ("kept", "added")] == ["after", "new"]
    assert Path("kept").read_text() == "after" and git("log", "--format=%s") == "one"


def test_a_line_that_reads_from_elsewhere_is_refused(repository: Path) -> None:
    arrived = {"location": "arrivals/rates/a.zip"}
    line.refuse_other_source("rates", {"download": {"sources": [arrived], "lock": "sources/rates.json"}})
    for sources, lock in (([{"location": "package://a/b.zip"}], "sources/rates.json"), ([arrived], None)):
        with pytest.raises(UserError, match="a line that reads what arrives"):
            line.refuse_other_source("rates", {"download": {"sources": sources, "lock": lock}})


def test_a_cycle_is_told_in_the_words_of_its_line() -> None:
    window = Window("2014-01-31", "2014-03-02", "2014-04-01")
    entry = {
        "number": 3, "dataset": "rates", "newest_day": "2014-04-01", "monitor": monitored(drifted=["temp"]),
        "trained": False, "reason": "no drift", "window": vars(window), "experiment": None, "promotion": None,
    }  # fmt: skip
    assert tell_cycle(json.loads(json.dumps(entry))).splitlines() == [
        "rates, cycle 3: outcomes are known up to 2014-04-01",
        "  model     v0.0.1, trained on days up to 2014-01-01",
        "  newest    2014-03: drifted: temp; quality: no evidence",
        "  train     no: no drift",
    ]
