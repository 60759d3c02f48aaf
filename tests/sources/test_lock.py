"""What was fetched first is on record, in a file that people can read, merge and commit."""

import json
from pathlib import Path

import pytest

from stages.sources.lock import Record, SourceLock, open_lock
from stages.sources.transfer import Fetched, Source, Unwritable
from stages.workspace.errors import UserError

LOCK = "sources/case.json"

pytestmark = pytest.mark.usefixtures("workplace")


def source(month: int, **pins: object) -> Source:
    name = f"a_2008_{month}.zip"
    return Source(name, f"https://example.invalid/{name}", "x", month=f"2008-{month:02d}", **pins)


def fetched(month: int, size: int = 5, digit: str = "a", **pins: object) -> Fetched:
    return Fetched(source(month, **pins), Path("x"), size, digit * 64)


def test_a_lock_reads_back_as_it_was_written_one_line_per_file_and_month_2_before_month_10():
    open_lock(LOCK).record([fetched(month) for month in (10, 2, 1)])
    lines = Path(LOCK).read_text().splitlines()
    assert [line.split('"')[1] for line in lines[1:-1]] == ["a_2008_1.zip", "a_2008_2.zip", "a_2008_10.zip"]
    assert json.loads(Path(LOCK).read_text())["a_2008_2.zip"] == {"bytes": 5, "sha256": "a" * 64}
    assert open_lock(LOCK).records["a_2008_10.zip"] == Record(bytes=5, sha256="a" * 64)


def test_the_bytes_of_a_lock_do_not_depend_on_the_order_in_which_months_came():
    open_lock(LOCK).record([fetched(1), fetched(2)])
    at_once = Path(LOCK).read_bytes()
    Path(LOCK).unlink()
    open_lock(LOCK).record([fetched(2)])
    open_lock(LOCK).record([fetched(1)])
    assert Path(LOCK).read_bytes() == at_once


def test_months_that_are_not_fetched_now_stay_on_record():
    open_lock(LOCK).record([fetched(1), fetched(2)])
    open_lock(LOCK).record([fetched(3)])
    assert len(open_lock(LOCK).records) == 3


def test_nothing_new_leaves_the_file_alone():
    open_lock(LOCK).record([fetched(1)])
    before = Path(LOCK).stat()
    open_lock(LOCK).record([fetched(1)])
    assert Path(LOCK).stat().st_ino == before.st_ino


def test_a_recorded_file_is_pinned_and_an_accepted_one_is_not():
    lock = SourceLock(LOCK, {f"a_2008_{month}.zip": Record(bytes=5, sha256="a" * 64) for month in (1, 2, 3)})
    pinned = lock.pin([source(month) for month in (1, 2, 3, 4)], accept=["2008-02", "a_2008_3.zip"])
    assert [(one.bytes, one.sha256) for one in pinned] == [(5, "a" * 64), (None, None), (None, None), (None, None)]
    assert {one.recorded_in for one in pinned} == {LOCK}


def test_a_checksum_in_the_parameters_goes_before_the_record_and_is_not_recorded():
    lock = SourceLock(LOCK, {"a_2008_1.zip": Record(bytes=5, sha256="a" * 64)})
    (pinned,) = lock.pin([source(1, sha256="b" * 64)], accept=[])
    assert (pinned.sha256, pinned.recorded_in) == ("b" * 64, None)
    lock.record([fetched(2, sha256="a" * 64)])
    assert not Path(LOCK).exists()


@pytest.mark.parametrize(("path", "accept"), [(LOCK, "2009-01"), (LOCK, "b.zip"), (None, "2008-01"), (LOCK, "2008-02")])
def test_accepting_what_is_not_recorded_is_an_error(path, accept):
    sources = [source(1), source(2, sha256="b" * 64)]
    with pytest.raises(UserError, match=accept):
        SourceLock(path, {}).pin(sources, accept=[accept])


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"a.zip": {"bytes": -1, "sha256": "' + "a" * 64 + '"}}',
        '{"a.zip": {"bytes": 1, "sha256": "A"}}',
        '{"a.zip": {"bytes": 1}}',
        '{"a.zip": {"bytes": 1, "sha256": "' + "a" * 64 + '", "date": "2008"}}',
        '{\n<<<<<<< HEAD\n  "a.zip": {}\n=======\n}',
    ],
)
def test_a_damaged_lock_is_refused_and_left_as_it_is(content):
    Path(LOCK).parent.mkdir()
    Path(LOCK).write_text(content)
    with pytest.raises(UserError) as caught:
        open_lock(LOCK)
    assert f"git checkout -- {LOCK}" in caught.value.next_step
    assert Path(LOCK).read_text() == content


def test_a_lock_that_cannot_be_written_ends_the_run_in_plain_words():
    Path("sources").write_text("a file where a folder should be")
    with pytest.raises(Unwritable, match="sources"):
        SourceLock(LOCK, {}).record([fetched(1)])


def test_no_lock_records_nothing():
    lock = open_lock(None)
    assert lock.pin([source(1)], accept=[]) == [source(1)]
    lock.record([fetched(1)])
    assert not list(Path.cwd().iterdir())
