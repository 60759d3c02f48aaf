"""One function over many partitions: order, number at a time, errors, progress."""

import _thread
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.runtime.log import Progress, progress
from stages.runtime.partitions import BATCH, each_partition, map_partitions
from stages.workspace.errors import UserError
from stages.workspace.settings import WorkerSettings


def workers(n: int) -> WorkerSettings:
    return WorkerSettings(workers=n, training_threads=1)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(n):
    items = list(range(20))
    assert map_partitions(lambda item: item * item, items, workers=workers(n), label="square") == [i * i for i in items]


def test_no_items_have_no_results():
    assert map_partitions(str, [], workers=workers(2), label="nothing") == []


def test_as_many_items_as_there_are_workers_are_worked_on_together_and_no_more():
    together, lock, most = 0, threading.Lock(), 0
    meet = threading.Barrier(3, timeout=60)

    def work(item: int) -> int:
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        meet.wait()  # goes on only when three are here
        with lock:
            together -= 1
        return item

    assert map_partitions(work, list(range(9)), workers=workers(3), label=None) == list(range(9))
    assert most == 3


def test_one_worker_works_in_the_thread_of_the_caller():
    threads = map_partitions(lambda _: threading.get_ident(), [1, 2], workers=workers(1), label=None)
    assert threads == [threading.get_ident()] * 2


@pytest.mark.parametrize("n", [1, 3])
def test_the_exception_of_a_task_is_raised_as_it_was(n):
    error = UserError("rows", "none", "fetch some")

    def work(item: int) -> int:
        if item == 2:
            raise error
        return item

    with pytest.raises(UserError) as caught:
        map_partitions(work, [1, 2, 3], workers=workers(n), label="fail")
    assert caught.value is error


def fail() -> None:
    raise UserError("rows", "none", "fetch some")


@pytest.mark.parametrize("end", [fail, _thread.interrupt_main])
def test_a_run_that_ends_badly_begins_nothing_more_and_waits_for_what_it_has_begun(end: Callable[[], None]):
    begun: list[int] = []
    ended: list[int] = []
    both, broken = threading.Barrier(2, timeout=60), threading.Event()

    def work(item: int) -> None:
        begun.append(item)
        both.wait()
        if item == 1:
            broken.set()
            end()
        broken.wait(60)
        time.sleep(0.5)  # held back until the error is known
        ended.append(item)

    with pytest.raises((UserError, KeyboardInterrupt)):
        map_partitions(work, range(20), workers=workers(2), label="fail")
    assert sorted(begun) == [0, 1]
    assert 0 in ended


def test_a_consumer_that_fails_leaves_no_task_behind():
    under_way, lock = 0, threading.Lock()

    def work(item: int) -> int:
        nonlocal under_way
        with lock:
            under_way += 1
        time.sleep(0.02)
        with lock:
            under_way -= 1
        return item

    def consume() -> None:
        with each_partition(work, range(500), workers=workers(2), label="some") as results:
            next(results)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:  # which holds on to the frames, and they to the results
        consume()
    assert (caught.value.__traceback__ is not None, under_way) == (True, 0)


def test_tasks_that_can_end_early_are_told_before_they_are_waited_for():
    stop = threading.Event()

    def work(item: int) -> bool:
        if item == 1:
            fail()
        return stop.wait(60)

    start = time.monotonic()
    with pytest.raises(UserError):
        map_partitions(work, [0, 1], workers=workers(2), label=None, stop=stop)
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("n", [1, 3])
def test_results_are_handed_over_one_by_one_and_no_work_is_begun_far_ahead(n):
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        return item

    with each_partition(work, list(range(500)), workers=workers(n), label="some") as results:
        assert begun == []
        assert [next(results) for _ in range(5)] == list(range(5))
    ahead = len(begun)
    assert ahead <= (5 if n == 1 else 5 + BATCH * n)
    time.sleep(0.05)
    assert len(begun) == ahead


def test_a_slow_task_does_not_keep_the_others_waiting():
    last = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert last.wait(60)  # until a task is done that was begun long after it
        if item == 3:
            last.set()
        return item

    assert map_partitions(work, list(range(8)), workers=workers(2), label="uneven") == list(range(8))


def test_fewer_at_once_than_there_are_workers():
    together, lock, most = 0, threading.Lock(), 0

    def work(item: int) -> int:
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        threading.Event().wait(0.01)
        with lock:
            together -= 1
        return item

    with each_partition(work, list(range(9)), workers=workers(5), label="few", at_once=2) as results:
        assert (list(results), most) == (list(range(9)), 2)


@pytest.mark.parametrize("item", [("flights", "2013-01"), ["a", ["b"]], {"x": 1}, Path("a"), None, "2013-01"])
def test_an_item_arrives_as_it_is(item):
    (found,) = map_partitions(lambda it: it, [item], workers=workers(2), label=None)
    assert found == item
    assert type(found) is type(item)


def test_plain_lines_tell_of_progress_where_there_is_no_terminal(caplog, monkeypatch):
    monkeypatch.setattr("stages.runtime.log.PLAIN_LINE_EVERY_S", 0.0)
    with caplog.at_level("INFO", logger="plumbline"):
        map_partitions(str, [1, 2, 3], workers=workers(2), label="flights: clean")
    assert [message.strip() for message in caplog.messages] == [
        f"flights: clean: {n} of 3 partitions" for n in (1, 2, 3)
    ]


def test_short_work_is_silent(caplog):
    with caplog.at_level("INFO", logger="plumbline"):
        map_partitions(str, [1, 2, 3], workers=workers(2), label="flights: clean")
    assert caplog.messages == []


def test_a_bar_is_drawn_on_a_terminal_and_taken_off_however_the_work_ends(monkeypatch, capfd):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)

    with pytest.raises(ZeroDivisionError), progress("fetch", 4, "B") as counter:
        assert isinstance(counter, Progress)
        counter.advance(2, "half")
        raise ZeroDivisionError
    assert "fetch" in capfd.readouterr().err
    assert counter._bar is not None
    assert counter._bar.disable or counter._bar.pos == 0
