"""One contract, kept by a file and by Redis: all or nothing, the newest account of each key, a version that tells."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.state.embedded import write_ahead
from stages.state.facts import Fact, newer
from stages.state.store import NOTHING, Store

Open = Callable[[], Store]


def fact(key: str, row: str = "[1]", level: int = 0, partition: str = "2013-01") -> Fact:
    return Fact(key, partition, level, row)


def kept(store: Store, table: str = "t") -> dict[str, Fact]:
    return {fact.key: fact for fact in store.changes().facts.get(table, [])}


def test_a_state_that_nobody_has_written_to_holds_nothing(opened: Open) -> None:
    store = opened()
    assert (store.version(), store.changes().facts) == (NOTHING, {})


def test_what_was_written_is_told_to_everybody_who_opens_it(opened: Open) -> None:
    store = opened()
    told = [fact('["a|b",1]', '["é\\u2028",0.1]'), fact("[2]", level=2)]
    assert store.update({"t": told, "u": [fact("[1]")]}) == {"t": 2, "u": 1}
    assert kept(opened()) == {fact.key: fact for fact in told}
    assert kept(opened(), "u") == {"[1]": fact("[1]")}


def test_taking_in_again_changes_nothing_not_even_the_version(opened: Open) -> None:
    store, told = opened(), {"t": [fact(f"[{k}]") for k in range(20)]}
    store.update(told)
    version = store.version()
    assert store.update(told) == {"t": 0}
    assert opened().version() == version != NOTHING
    assert store.changes(version).facts == {}


def test_what_knows_more_stands_and_of_equals_the_last(opened: Open) -> None:
    store = opened()
    steps = [("planned", 0, True), ("moved", 0, True), ("left", 1, True), ("planned", 0, False), ("landed", 2, True)]
    steps += [("left", 1, False), ("corrected", 2, True), ("corrected", 2, False)]
    row = None
    for row_told, level, counts in steps:
        row = row_told if counts else row
        assert store.update({"t": [fact("[1]", row_told, level)]}) == {"t": int(counts)}, row_told
        assert kept(store)["[1]"].row == row
    assert store.update({"t": [fact("[2]", "b", 2), fact("[2]", "a", 1), fact("[2]", "c", 2)]}) == {"t": 1}
    assert kept(store)["[2]"].row == "c"


def test_changes_since_a_version_are_those_alone(opened: Open) -> None:
    store = opened()
    versions = [store.version()]
    for k in range(4):
        store.update({"t": [fact(f"[{k}]"), fact("[all]", f"[{k}]")]})
        versions.append(store.version())
    assert len({*versions}) == 5
    for k, version in enumerate(versions[1:], 1):
        changes = store.changes(version)
        assert not changes.anew and changes.version == versions[-1]
        found = {fact.key for fact in changes.facts.get("t", [])}
        assert found == ({f"[{j}]" for j in range(k, 4)} | {"[all]"} if k < 4 else set())
    assert store.changes("another:2").anew and len(kept(store)) == 5


def test_two_writers_take_turns_and_lose_nothing(opened: Open) -> None:
    stores = [opened() for _ in range(4)]
    opened().update({"t": [fact("[0]")]})

    def write(place: int) -> None:
        for k in range(10):
            stores[place].update({"t": [fact(f"[{place},{k}]"), fact("[shared]", f"[{place}]", level=k)]})

    threads = [threading.Thread(target=write, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = kept(opened())
    assert len(found) == 42 and found["[shared]"].level == 9


def test_many_who_make_a_file_at_the_same_moment_wait_for_each_other(tmp_path: Path) -> None:
    for turn in range(25):
        start, ended = threading.Barrier(8), []

        def make(path: Path = tmp_path / f"{turn}.sqlite", start: threading.Barrier = start) -> None:
            with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
                start.wait()
                write_ahead(connection)
                connection.execute("CREATE TABLE IF NOT EXISTS t (a)")
                ended.append(connection.execute("PRAGMA journal_mode").fetchone()[0])  # noqa: B023

        threads = [threading.Thread(target=make) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ended == ["wal"] * 8


def test_a_reader_sees_whole_batches_while_another_writes(opened: Open) -> None:
    writer, reader, seen = opened(), opened(), set()
    batch = 200
    writer.update({"t": [fact(f"[{k}]", "[0]") for k in range(batch)]})
    done = threading.Event()

    def write() -> None:
        for turn in range(1, 15):
            writer.update({"t": [fact(f"[{k}]", f"[{turn}]") for k in range(batch)]})
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not done.is_set() or not seen:
        rows = {fact.row for fact in kept(reader).values()}
        assert len(rows) == 1, "half a batch"
        seen |= rows
    thread.join()
    assert {fact.row for fact in kept(reader).values()} == {"[14]"}


accounts = st.builds(fact, st.sampled_from(["[1]", "[2]"]), st.sampled_from("ab"), st.integers(0, 2))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(
    batches=st.lists(
        st.lists(
            st.builds(fact, st.sampled_from(["[1]", "[2]"]), st.sampled_from("ab"), st.integers(0, 2)), max_size=5
        ),
        max_size=5,
    )
)
def test_the_store_keeps_what_the_rule_says(opened: Open, batches: list[list[Fact]]) -> None:
    """The rule said over: of all accounts of a key, the last of those that know the most."""
    table = f"t{threading.get_ident()}{abs(hash(str(batches)))}"
    for batch in batches:
        opened().update({table: batch})
    told = [each for batch in batches for each in batch]
    wanted: dict[str, Fact] = {}
    for key in {each.key for each in told}:
        most = max(each.level for each in told if each.key == key)
        wanted[key] = [each for each in told if each.key == key and each.level == most][-1]
    assert kept(opened(), table) == wanted


def test_what_changes_is_told_against_what_was_known() -> None:
    old = {"[1]": fact("[1]", "a", 1)}
    assert newer(old, [fact("[1]", "b", 1), fact("[1]", "a", 1)]) == {}, "and back again: nothing has changed"
    assert newer(old, [fact("[1]", "b", 0)]) == {}


@pytest.mark.parametrize("rows", [12_000])
def test_a_batch_may_be_large(opened: Open, rows: int) -> None:
    store = opened()
    assert store.update({"t": [fact(f"[{k}]") for k in range(rows)]}) == {"t": rows}
    assert len(kept(opened())) == rows
