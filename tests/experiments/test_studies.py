"""A study outlives the process that works on it, answers one question only, and its database fails in plain words."""

import errno
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa
from optuna.trial import TrialState

from stages.experiments.tuning import storage as study_storage
from stages.experiments.tuning.space import Choices, Range
from stages.experiments.tuning.storage import move_damaged, open_storage, shown, storage_url
from stages.experiments.tuning.study import (
    PROCESS,
    WARMUP_STEPS,
    Pruned,
    begin_trial,
    decided,
    end_early,
    end_trial,
    give_back,
    may_run_elsewhere,
    open_study,
    own_process,
    queue_present,
    read_trials,
    reclaim_lost,
    report_step,
    set_aside,
)
from stages.workspace.errors import UserError

SPACE = {"depth": Range(1, 9, whole=True), "max_bin": Choices((32, 64)), "rate": Range(0.01, 1.0, log=True)}
PRESENT = {"depth": 5, "max_bin": 64, "rate": 0.123456}
QUESTION = {"metric": "loss", "rows": "abc"}


def value_of(settings: dict) -> float:
    """A bowl with its bottom at depth 7 and rate 0.1."""
    return float((settings["depth"] - 7) ** 2 + abs(settings["rate"] - 0.1) + settings["max_bin"] / 1000)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/study.db"


@pytest.fixture
def storage(url: str) -> Iterator[optuna.storages.RDBStorage]:
    with open_storage(url) as opened:
        yield opened


def opened(storage: optuna.storages.RDBStorage, name: str = "trial", pruner: str = "none", **question) -> optuna.Study:
    return open_study(storage, name, question={**QUESTION, **question}, direction="minimize", pruner=pruner)


def work(study: optuna.Study, n_trials: int) -> None:
    """Queue the present settings and decide trials until there are so many."""
    queue_present(study, PRESENT)
    while len(decided(study)) < n_trials:
        trial, settings = begin_trial(study, SPACE, seed=11)
        end_trial(study, trial, value_of(settings), rounds=10)


def tried(study: optuna.Study) -> list:
    return [(trial.place, trial.state, trial.settings, trial.value) for trial in read_trials(study)]


def test_the_present_settings_come_first_and_exactly_as_they_are(storage) -> None:
    study = opened(storage)
    work(study, 3)
    queue_present(study, PRESENT)  # once is enough
    assert [trial.settings == PRESENT for trial in read_trials(study)] == [True, False, False]
    assert not study.get_trials(states=(TrialState.WAITING,))


def test_a_search_that_was_interrupted_draws_what_an_undisturbed_one_draws(storage, url: str) -> None:
    work(undisturbed := opened(storage, "undisturbed"), 13)
    for n_trials in (1, 4, 11, 13):
        with open_storage(url) as again:  # another process would open it anew
            study = opened(again, "interrupted")
            reclaim_lost(study, again)
            work(study, n_trials)
            if n_trials in (4, 11):
                begin_trial(study, SPACE, seed=11)  # and no word of it any more
    assert tried(study) == tried(undisturbed)
    assert sum(trial.state == TrialState.FAIL for trial in study.trials) == 2
    assert len({str(trial.settings) for trial in read_trials(study)}) == 13


@pytest.mark.parametrize("n_drawn", [0, 1, 2])
def test_a_search_killed_in_the_midst_of_a_draw_draws_what_an_undisturbed_one_draws(
    storage, n_drawn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    work(undisturbed := opened(storage, "undisturbed"), 13)
    study, suggest = opened(storage, "killed"), optuna.Trial._suggest

    def killed(self: optuna.Trial, name: str, *given: object) -> object:
        if len(study.trials[-1].params) == n_drawn:
            raise KeyboardInterrupt
        return suggest(self, name, *given)

    for n_trials in (3, 12):
        work(study, n_trials)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(optuna.Trial, "_suggest", killed)
            begin_trial(study, SPACE, seed=11)
        assert len(study.trials[-1].params) == n_drawn
        assert reclaim_lost(study, storage) == [study.trials[-1].number]
    work(study, 13)
    assert tried(study) == tried(undisturbed)


@pytest.mark.parametrize("changed", [{"metric": "roc_auc"}, {"rows": "other"}, {"folds": "3"}])
def test_trials_of_another_question_are_refused_with_what_differs(storage, changed: dict[str, str]) -> None:
    work(opened(storage), 2)
    with pytest.raises(UserError) as refused:
        opened(storage, **changed)
    (name, value), = changed.items()  # fmt: skip
    assert f"{name}: {QUESTION.get(name, 'unknown')}, now {value}" in refused.value.found
    assert "--fresh" in refused.value.next_step and "--name" in refused.value.next_step
    assert len(read_trials(opened(storage))) == 2


def test_long_texts_are_cut_so_that_each_shows_what_the_other_has_not(storage) -> None:
    space = "; ".join(f"parameter_{n} from 0.1 to {n}" for n in range(9))
    opened(storage, space=space).ask()
    with pytest.raises(UserError) as refused:
        opened(storage, space=space.replace("parameter_7 from 0.1 to 7", "parameter_7 from 0.1 to 70"))
    before, after = refused.value.found.partition("space: ")[2].split(", now ")
    assert "parameter_7 from 0.1 to 7;" in before and "parameter_7 from 0.1 to 70;" in after


def test_a_study_that_something_else_made_is_refused_and_one_that_never_began_is_not(storage) -> None:
    optuna.create_study(storage=storage, study_name="empty")
    assert opened(storage, "empty").user_attrs["question"] == QUESTION
    foreign = optuna.create_study(storage=storage, study_name="foreign")
    foreign.tell(foreign.ask(), 1.0)
    with pytest.raises(UserError, match="metric: unknown, now loss"):
        opened(storage, "foreign")


def test_a_study_set_aside_keeps_its_trials_under_another_name(storage) -> None:
    work(opened(storage), 3)
    before = tried(opened(storage))
    set_aside(storage, "trial")
    set_aside(storage, "never was")
    assert tried(opened(storage, metric="roc_auc")) == []
    set_aside(storage, "trial")
    assert sorted(optuna.get_all_study_names(storage)) == ["trial (set aside 1)", "trial (set aside 2)"]
    assert tried(optuna.load_study(study_name="trial (set aside 1)", storage=storage)) == before


def test_what_ends_the_process_twice_is_not_tried_a_third_time(storage) -> None:
    study = opened(storage)
    work(study, 3)
    for attempt in (1, 2):
        trial, settings = begin_trial(study, SPACE, seed=11)
        give_back(study, storage, trial.number, f"killed {attempt}")
    assert [trial.state for trial in read_trials(study)] == ["complete"] * 3 + ["failed"]
    assert (read_trials(study)[-1].settings, read_trials(study)[-1].reason) == (settings, "killed 2")
    _, following = begin_trial(study, SPACE, seed=11)
    assert following != settings


def test_a_trial_of_a_living_process_or_another_machine_is_left_alone(storage) -> None:
    study = opened(storage)
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = Path(f"/proc/{other.pid}/stat").read_text().rpartition(")")[2].split()[19]
    here = {**own_process(), "process": str(other.pid), "started": started}
    numbers = []
    for mark in (here, {**here, "started": "1"}, {**here, "host": "elsewhere"}):
        trial, _ = begin_trial(study, SPACE, seed=len(numbers))
        trial.set_user_attr(PROCESS, mark)
        numbers.append(trial.number)
    alive, number_came_again, elsewhere = numbers
    assert reclaim_lost(study, storage) == [number_came_again]
    other.kill()
    other.communicate()
    assert reclaim_lost(study, storage) == [alive]
    assert reclaim_lost(study, storage, take_over=True) == [elsewhere]
    assert not may_run_elsewhere(None) and not may_run_elsewhere(own_process())


def test_two_processes_at_one_study_draw_different_settings(storage, url: str) -> None:
    work(opened(storage), 2)
    with open_storage(url) as another:
        drawn = [begin_trial(opened(each), SPACE, seed=11)[1] for each in (storage, another, storage, another)]
    assert len({str(settings) for settings in drawn}) == 4


def test_a_trial_behind_the_median_of_the_others_is_given_up(storage) -> None:
    study = opened(storage, pruner="median")
    for n in range(6):
        trial, _ = begin_trial(study, SPACE, seed=n)
        for step in range(1, 9):
            report_step(trial, 1.0 - n / 100, step)  # each better than those before
        end_trial(study, trial, 1.0 - n / 100, rounds=8)
    trial, _ = begin_trial(study, SPACE, seed=9)
    with pytest.raises(Pruned):
        for step in range(1, 9):
            report_step(trial, 2.0, step)
    end_early(study, trial, "behind the others", pruned=True)
    assert [found.state for found in read_trials(study)] == ["complete"] * 6 + ["pruned"]
    assert (step, read_trials(study)[-1].value) == (WARMUP_STEPS, 2.0)


@pytest.fixture
def writer(tmp_path: Path, url: str) -> Iterator[Callable[[], None]]:
    """Another process that holds the write lock of the database until the test ends."""
    script = (
        "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('BEGIN EXCLUSIVE'); print(1, flush=True); input()"
    )
    running = []

    def hold() -> None:
        words = [sys.executable, "-c", script, str(tmp_path / "study.db")]
        running.append(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert running[0].stdout and running[0].stdout.readline()

    yield hold
    for process in running:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def test_a_locked_database_is_named_and_works_again_once_it_is_free(url: str, tmp_path, writer, monkeypatch) -> None:
    monkeypatch.setattr(study_storage, "LOCK_WAIT_S", 0.2)
    with open_storage(url) as storage:
        work(opened(storage), 2)
    writer()
    with pytest.raises(UserError) as refused, open_storage(url):
        pass
    assert str(tmp_path / "study.db") in refused.value.wanted
    assert "locked" in refused.value.found and "close that program" in refused.value.next_step


def test_a_lock_in_mid_study_loses_nothing_that_was_decided(url: str, writer, monkeypatch) -> None:
    monkeypatch.setattr(study_storage, "LOCK_WAIT_S", 0.2)
    with pytest.raises(UserError, match="locked"), open_storage(url) as storage:
        study = opened(storage)
        work(study, 2)
        trial, _ = begin_trial(study, SPACE, seed=11)
        writer()
        end_trial(study, trial, 1.0, rounds=1)


@pytest.mark.parametrize("damage", ["no database", "cut off", "overwritten in the middle", "another program's"])
def test_a_damaged_file_is_named_and_moved_aside_for_a_fresh_study(url: str, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "study.db"
    with open_storage(url) as storage:
        work(opened(storage), 2)
    whole = path.read_bytes()
    if damage == "another program's":
        path.unlink()
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE studies (name TEXT)")
        connection.close()
    else:
        path.write_bytes({
            "no database": b"not a database at all, but long enough to look like a file" * 100,
            "cut off": whole[: len(whole) // 2],
            "overwritten in the middle": whole[:8192] + os.urandom(16384) + whole[24576:],
        }[damage])  # fmt: skip
    with pytest.raises(UserError) as refused, open_storage(url) as storage:
        opened(storage)
    assert f"a study in {path}" in refused.value.wanted and "--fresh" in refused.value.next_step
    damaged = path.read_bytes()
    move_damaged(url)
    assert (tmp_path / "study.db.damaged").read_bytes() == damaged
    with open_storage(url) as storage:
        work(opened(storage), 2)
    move_damaged(url)  # a sound file stays
    with open_storage(url) as storage:
        assert len(read_trials(opened(storage))) == 2


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("no address", "an RDB URL"),
        ("cabinet://host/studies", "an RDB URL"),
        ("postgresql+no_such_driver://me:secret@127.0.0.1/studies", "an RDB URL"),
        ("mssql+pyodbc://me:secret@127.0.0.1:1/studies", "driver"),
    ],
)
def test_an_address_that_leads_nowhere_is_told_without_its_password(address: str, told: str) -> None:
    with pytest.raises(UserError) as refused, open_storage(address):
        pass
    assert told in str(refused.value)
    assert "secret" not in str(refused.value)
    assert "secret" not in shown(address)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    folder = tmp_path / "folder.db"
    folder.mkdir()
    with pytest.raises(UserError, match="look at the permissions"), open_storage(f"sqlite:///{folder}"):
        pass


def test_the_address_comes_from_the_environment_then_from_the_parameters(tmp_path: Path, monkeypatch) -> None:
    assert storage_url(None, tmp_path) == f"sqlite:///{tmp_path}/study.db"
    assert storage_url("postgresql://host/studies", tmp_path) == "postgresql://host/studies"
    monkeypatch.setenv("PLUMBLINE_STUDY_STORAGE", "mysql://host/studies")
    assert storage_url("postgresql://host/studies", tmp_path) == "mysql://host/studies"


def test_a_full_disk_is_told_as_one(storage, url: str) -> None:
    study = opened(storage)
    work(study, 2)
    storage.engine.dispose()
    sa.event.listen(storage.engine, "connect", lambda connection, _: connection.execute("PRAGMA max_page_count = 1"))
    with pytest.raises(OSError) as full, study_storage.plain_storage_words(url):
        work(study, 200)
    assert full.value.errno == errno.ENOSPC
