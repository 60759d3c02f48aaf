"""Results of partitions come back whole and right, or not at all; nothing that befalls the cache ends a run."""

import json
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stages.runtime.cache import PartitionCache, open_cache, sha256_file
from stages.workspace.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
# a process that may write only short files would leave cut byte code behind
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
FACTS = {"rows": 3, "share": 0.1, "worst": [None, "é"], "b": 1, "a": 2}
DAY_S = 24 * 3600


@pytest.fixture
def cache(tmp_path: Path) -> PartitionCache:
    return PartitionCache(tmp_path / "cache", max_bytes=10**7)


@pytest.fixture
def made(tmp_path: Path) -> list[Path]:
    """Two files that a run has just written."""
    files = [tmp_path / "made" / name for name in ("clean.parquet", "quarantine.parquet")]
    files[0].parent.mkdir()
    files[0].write_bytes(bytes(range(256)) * 40)
    files[1].write_bytes(b"few rows")
    return files


@pytest.fixture
def targets(tmp_path: Path) -> list[Path]:
    """Where another run wants them; the first is there from an earlier run."""
    files = [tmp_path / "other" / "data" / "one.parquet", tmp_path / "other" / "more" / "two.parquet"]
    files[0].parent.mkdir(parents=True)
    files[0].write_bytes(b"old")
    return files


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another device, where no file of ``tmp_path`` can have a second name."""
    folder = Path("/dev/shm") / f"plumbline-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("no /dev/shm to write to")
    if folder.stat().st_dev == tmp_path.stat().st_dev:
        folder.rmdir()
        pytest.skip("the temporary folder is on the device of /dev/shm")
    yield folder
    shutil.rmtree(folder)


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def entry_of(cache: PartitionCache, key: str) -> Path:
    return cache.folder / "entries" / key[:2] / key


def bytes_in(cache: PartitionCache) -> int:
    return sum(path.stat().st_size for path in files_in(cache.folder / "entries"))


def start(script: str, *arguments: object, **options: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def refilled(cache: PartitionCache, made: list[Path], targets: list[Path]) -> bool:
    """Whether an entry can be stored and fetched now."""
    cache.store("k1", made, FACTS)
    found = cache.fetch("k1", targets) == FACTS
    return found and [path.read_bytes() for path in targets] == [path.read_bytes() for path in made]


# ── what is kept comes back ──────────────────────────────────────────────────────────────────────────────────────────
def test_files_and_facts_come_back_as_they_were(cache, made, targets):
    cache.store("k1", made, FACTS)
    facts = cache.fetch("k1", targets)
    assert json.dumps(facts) == json.dumps(FACTS)  # the order of keys included: manifests are written from it
    assert [path.read_bytes() for path in targets] == [path.read_bytes() for path in made]
    assert sorted(files_in(targets[0].parents[1])) == sorted(targets)


def test_nothing_is_copied_on_one_device(cache, made, targets):
    cache.store("k1", made, FACTS)
    cache.fetch("k1", targets)
    assert all(one.samefile(other) for one, other in zip(made, targets, strict=True))


def test_a_fetch_over_the_very_same_files_leaves_nothing_beside_them(cache, made):
    cache.store("k1", made, FACTS)
    assert cache.fetch("k1", made) == FACTS
    assert sorted(made[0].parent.iterdir()) == sorted(made)


def test_an_unknown_key_places_nothing_and_says_nothing(cache, targets, caplog):
    assert cache.fetch("k1", targets) is None
    assert targets[0].read_bytes() == b"old"
    assert files_in(targets[0].parents[1]) == targets[:1]
    assert not caplog.records


def test_what_is_kept_first_stays(cache, made, targets):
    cache.store("k1", made, FACTS)
    made[1].unlink()
    made[1].write_bytes(b"other")
    cache.store("k1", made, {"rows": 4})
    assert cache.fetch("k1", targets) == FACTS
    assert targets[1].read_bytes() == b"few rows"


def test_a_result_without_files_is_its_facts(cache):
    cache.store("k1", [], False)
    assert cache.fetch("k1", []) is False


def test_a_file_that_is_replaced_leaves_its_entry_alone(cache, made, targets):
    cache.store("k1", made, FACTS)
    for path in made:
        aside = path.with_suffix(".part")
        aside.write_bytes(b"of a later run")
        aside.replace(path)
    assert cache.fetch("k1", targets) == FACTS
    assert targets[1].read_bytes() == b"few rows"


def test_a_file_that_is_changed_in_place_is_noticed_by_the_next_run(cache, made, targets, caplog):
    cache.store("k1", made, FACTS)
    with made[1].open("r+b") as file:
        file.write(b"FEW")
    assert cache.fetch("k1", targets) is None
    assert "1: another checksum" in caplog.text


def test_files_that_may_not_be_written_are_kept_and_fetched(cache, made, targets):
    for path in made:
        path.chmod(0o444)  # as DVC does where its cache holds links
    assert refilled(cache, made, targets)


def test_another_device_gets_copies(cache, made, elsewhere):
    """From there and to there."""
    fetched = [elsewhere / "data" / path.name for path in made]
    assert refilled(cache, made, fetched)
    far = PartitionCache(elsewhere / "cache", max_bytes=10**7)
    assert refilled(far, made, [path.with_suffix(".again") for path in made])


def test_the_cache_travels_to_worker_processes(cache, made, targets):
    assert refilled(pickle.loads(pickle.dumps(cache)), made, targets)


@pytest.mark.parametrize("key", ["", "../up", "a/b", ".", "k" * 200])
def test_a_key_that_is_no_file_name_is_refused(cache, key):
    with pytest.raises(ValueError, match="wanted a key"):
        cache.fetch(key, [])
    with pytest.raises(ValueError, match="wanted a key"):
        cache.store(key, [], FACTS)


def test_facts_that_look_like_no_entry_are_refused(cache):
    with pytest.raises(ValueError, match="wanted facts"):
        cache.store("k1", [], None)


# ── damage ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def rewrite(old: str, new: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    return change


DAMAGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a cut file": ("0", cut),
    "an empty file": ("1", lambda path: os.truncate(path, 0)),
    "a longer file": ("1", lambda path: path.write_bytes(path.read_bytes() + b"\n")),
    "a flipped bit": ("0", flip),
    "a missing file": ("1", Path.unlink),
    "a folder for a file": ("1", replace_by_folder),
    "a missing note": ("entry.json", Path.unlink),
    "a cut note": ("entry.json", cut),
    "an empty note": ("entry.json", lambda path: path.write_bytes(b"")),
    "a note that is no text": ("entry.json", lambda path: path.write_bytes(b"\xff\xfe\x00")),
    "a note that is a list": ("entry.json", lambda path: path.write_text("[1]")),
    "a note that is a number": ("entry.json", lambda path: path.write_text("1")),
    "a note of nothing": ("entry.json", lambda path: path.write_text("{}")),
    "a note without an end": ("entry.json", lambda path: path.write_text("[" * 100_000)),
    "a folder for a note": ("entry.json", replace_by_folder),
    "another fact": ("entry.json", rewrite('"rows": 3', '"rows": 4')),
    "a fact of another type": ("entry.json", rewrite('"rows": 3', '"rows": "3"')),
    "a checksum made up": ("entry.json", rewrite('"bytes": 8', '"bytes": 9')),
    "a file for an entry": (".", lambda path: (shutil.rmtree(path), path.write_text("?"))),
    "an empty entry": (".", lambda path: (shutil.rmtree(path), path.mkdir())),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_told_dropped_and_made_again(cache, made, targets, caplog, damage):
    name, harm = DAMAGES[damage]
    copies = [path.with_suffix(".own") for path in made]  # links would be harmed with the entry
    for path, copy in zip(made, copies, strict=True):
        shutil.copyfile(path, copy)
    cache.store("k1", copies, FACTS)
    harm(entry_of(cache, "k1") / name)

    assert cache.fetch("k1", targets) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "damaged" in caplog.text
    assert "k1" in caplog.text
    assert targets[0].read_bytes() == b"old"  # all or none
    assert files_in(targets[0].parents[1]) == targets[:1]
    assert not entry_of(cache, "k1").exists()
    assert files_in(cache.folder / "aside") == []
    assert refilled(cache, made, targets)


def test_an_entry_under_another_key_is_not_believed(cache, made, targets, caplog):
    cache.store("k1", made, FACTS)
    entry_of(cache, "k1").rename(entry_of(cache, "k10"))
    assert cache.fetch("k10", targets) is None
    assert "damaged" in caplog.text


def test_an_entry_with_another_number_of_files_is_not_believed(cache, made, targets):
    cache.store("k1", made, FACTS)
    assert cache.fetch("k1", targets[:1]) is None


# ── a bound ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def store_one(cache: PartitionCache, key: str, n_bytes: int, used: float | None = None) -> None:
    path = cache.folder.parent / "one.bin"
    path.unlink(missing_ok=True)
    path.write_bytes(key[-1:].encode() * n_bytes)
    cache.store(key, [path], key)
    if used is not None:
        os.utime(entry_of(cache, key) / "entry.json", (used, used))


def kept(cache: PartitionCache) -> set[str]:
    return {path.name for path in (cache.folder / "entries").glob("*/*")}


def test_what_was_used_longest_ago_goes_first(tmp_path):
    cache = PartitionCache(tmp_path / "cache", max_bytes=100_000)
    for number in range(9):
        store_one(cache, f"k{number}", 10_000, used=1_000 + number)
    assert cache.fetch("k0", [tmp_path / "got"]) == "k0"  # used now
    store_one(cache, "k9", 10_000)
    assert kept(cache) == {"k0", *(f"k{number}" for number in range(3, 10))}  # a note takes some bytes, too
    assert bytes_in(cache) <= 0.9 * cache.max_bytes


def test_the_bound_holds_after_every_store(tmp_path):
    cache = PartitionCache(tmp_path / "cache", max_bytes=50_000)
    for number in range(40):
        store_one(cache, f"k{number}", 1_000 + 997 * number % 30_000)
        assert bytes_in(cache) <= cache.max_bytes
        assert f"k{number}" in kept(cache)
    assert bytes_in(cache) > 0.4 * cache.max_bytes
    assert files_in(cache.folder / "aside") == []


def test_a_result_larger_than_the_cache_is_told_once_and_empties_nothing(tmp_path, caplog):
    cache = PartitionCache(tmp_path / "cache", max_bytes=10_000)
    store_one(cache, "k0", 1_000)
    for key in ("k1", "k2"):
        store_one(cache, key, 10_001)
    assert kept(cache) == {"k0"}
    assert len(caplog.records) == 1
    assert "cluster.cache_gib" in caplog.text


@pytest.mark.parametrize("n_bytes", [9_000, 9_900, 10_000])
def test_a_result_almost_as_large_as_the_cache_does_not_break_the_bound(tmp_path, n_bytes):
    cache = PartitionCache(tmp_path / "cache", max_bytes=10_000)
    store_one(cache, "k0", 1_000)
    store_one(cache, "k1", n_bytes)
    assert 0 < bytes_in(cache) <= cache.max_bytes


@pytest.mark.parametrize("content", [None, "", "many", "999999999"])
def test_a_lost_or_wrong_count_is_put_right(tmp_path, content):
    cache = PartitionCache(tmp_path / "cache", max_bytes=50_000)
    for number in range(3):
        store_one(cache, f"k{number}", 10_000)
    count = cache.folder / "bytes"
    count.unlink() if content is None else count.write_text(content)
    store_one(cache, "k3", 10_000)
    assert kept(cache) == {"k0", "k1", "k2", "k3"}
    assert int(count.read_text()) == bytes_in(cache)


def test_a_smaller_bound_takes_effect_with_the_next_store(tmp_path):
    cache = PartitionCache(tmp_path / "cache", max_bytes=50_000)
    for number in range(4):
        store_one(cache, f"k{number}", 10_000, used=1_000 + number)
    smaller = PartitionCache(cache.folder, max_bytes=25_000)
    store_one(smaller, "k9", 10_000)
    assert kept(cache) == {"k3", "k9"}


# ── other runs ───────────────────────────────────────────────────────────────────────────────────────────────────────
CONTEND = """
import random, sys
from pathlib import Path
from stages.runtime.cache import PartitionCache

cache, seed, own = PartitionCache(Path(sys.argv[1]), 60_000), int(sys.argv[2]), Path(sys.argv[3])
draw, hits = random.Random(seed), 0
for step in range(int(sys.argv[4])):
    number = draw.randrange(12)
    content = bytes([number]) * (5_000 + 500 * number)
    out = own / "data" / f"{number}.bin"
    facts = cache.fetch(f"k{number}", [out])
    if facts is None:
        out.parent.mkdir(parents=True, exist_ok=True)
        aside = out.with_suffix(".part")
        aside.write_bytes(content)
        aside.replace(out)
        cache.store(f"k{number}", [out], {"n": number})
    else:
        hits += 1
        assert facts == {"n": number}
    assert out.read_bytes() == content
print(hits)
"""


def test_runs_at_the_same_time_share_a_cache_without_harm(tmp_path):
    """Three processes fetch, store and evict the same dozen entries, of which two thirds fit."""
    folder = tmp_path / "cache"
    runs = [start(CONTEND, folder, seed, tmp_path / f"run{seed}", 250) for seed in range(3)]
    for run in runs:
        said, complaints = run.communicate()
        assert (run.returncode, complaints) == (0, "")
        assert int(said) > 20
    cache = PartitionCache(folder, 60_000)
    assert 0 < bytes_in(cache) <= cache.max_bytes
    assert bytes_in(cache) <= int((folder / "bytes").read_text())
    assert list((folder / "aside").iterdir()) == []
    for key in kept(cache):
        assert cache.fetch(key, [tmp_path / "out"]) == {"n": int(key[1:])}


def test_two_that_make_the_same_entry_at_the_same_time_both_go_on(cache, made, targets):
    barrier = threading.Barrier(4)
    told: list[object] = []

    def work(number: int) -> None:
        barrier.wait()
        for step in range(20):
            cache.store(f"k{step}", made, FACTS)
            told.append(cache.fetch(f"k{step}", [path.with_suffix(f".{number}") for path in targets]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [FACTS] * 80
    assert int((cache.folder / "bytes").read_text()) == bytes_in(cache)


def test_a_cache_deleted_again_and_again_is_only_missed(tmp_path):
    folder = tmp_path / "cache"
    run = start(CONTEND, folder, 7, tmp_path / "run", 250)
    while run.poll() is None:
        shutil.rmtree(folder, ignore_errors=True)
    said, complaints = run.communicate()
    assert run.returncode == 0, complaints
    assert "Traceback" not in complaints
    assert "damaged" not in complaints or "missing" in complaints  # caught while half deleted
    rerun = start(CONTEND, folder, 7, tmp_path / "rerun", 50)
    said, complaints = rerun.communicate()
    assert rerun.returncode == 0, complaints
    assert int(said) > 0


# ── killed in mid-store ──────────────────────────────────────────────────────────────────────────────────────────────
STORE_SLOWLY = """
import sys
from pathlib import Path
from stages.runtime.cache import PartitionCache

PartitionCache(Path(sys.argv[1]), 10**7).store("k1", [Path(name) for name in sys.argv[2:]], {"rows": 3})
"""


def test_a_store_that_is_killed_leaves_a_cache_that_works(cache, made, targets):
    """The second file is a pipe that nobody feeds, so the process stands still in mid-store."""
    pipe = made[0].with_name("pipe")
    os.mkfifo(pipe)
    run = start(STORE_SLOWLY, cache.folder, made[0], pipe)
    while not list(cache.folder.glob("aside/*/1")):
        assert run.poll() is None
        threading.Event().wait(0.01)
    run.send_signal(signal.SIGKILL)
    run.communicate()

    assert cache.fetch("k1", targets) is None
    assert refilled(cache, made, targets)
    (left,) = (cache.folder / "aside").iterdir()
    cache.remove_leftovers()
    assert left.exists()  # it could belong to a run that is still at it
    long_ago = left.stat().st_mtime - 2 * DAY_S
    os.utime(left, (long_ago, long_ago))
    cache.remove_leftovers()
    assert list((cache.folder / "aside").iterdir()) == []


STORE_MANY = """
import sys
from pathlib import Path
from stages.runtime.cache import PartitionCache

cache, source = PartitionCache(Path(sys.argv[1]), 100_000), Path(sys.argv[2])
for number in range(10**6):
    source.unlink(missing_ok=True)
    source.write_bytes(b"%d" % number * 1_000)
    cache.store(f"k{number}", [source], number)
    if number >= 30:
        print(number, flush=True)
"""


def test_runs_killed_anywhere_leave_only_whole_entries_and_keep_the_bound(tmp_path, caplog):
    cache = PartitionCache(tmp_path / "cache", 100_000)
    for lines in range(4):
        run = start(STORE_MANY, cache.folder, tmp_path / "source")
        assert run.stdout is not None
        for _ in range(1 + 7 * lines):
            run.stdout.readline()
        run.send_signal(signal.SIGKILL)
        run.communicate()
        assert bytes_in(cache) <= cache.max_bytes
        for key in kept(cache):
            out = tmp_path / "out"
            assert cache.fetch(key, [out]) == int(key[1:])
            assert out.read_bytes() == key[1:].encode() * 1_000
    assert not caplog.records


def test_half_removed_entries_are_removed_at_the_next_opportunity(cache, made):
    left = cache.folder / "aside" / "dropped-1"
    left.mkdir(parents=True)
    (left / "0").write_bytes(b"half")
    cache.remove_leftovers()
    assert not left.exists()


# ── no room, no right ────────────────────────────────────────────────────────────────────────────────────────────────
STORE_TWICE = """
import logging, sys
from pathlib import Path
from stages.runtime.cache import PartitionCache

logging.basicConfig(format="%(message)s")
cache = PartitionCache(Path(sys.argv[1]), 10**7)
for key in ("k1", "k2"):
    cache.store(key, [Path(name) for name in sys.argv[2:]], {})
print(cache.fetch("k1", []))
"""


def test_a_full_disk_is_told_once_and_leaves_nothing_behind(made, elsewhere):
    """In a process whose files may not grow beyond 4 KB, with a cache to which files have to be copied."""
    run = start(
        STORE_TWICE, elsewhere / "cache", *made,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )  # fmt: skip
    said, complaints = run.communicate()
    assert (run.returncode, said) == (0, "None\n")
    assert complaints.count("cannot keep a result in the cache of partitions") == 1
    assert "File too large" in complaints
    assert files_in(elsewhere / "cache") == []


def test_a_cache_that_cannot_be_reached_is_told_once_and_missed(tmp_path, made, targets, caplog):
    (tmp_path / "file").write_text("no folder")
    cache = PartitionCache(tmp_path / "file" / "cache", max_bytes=10**7)
    for key in ("k1", "k2"):
        cache.store(key, made, FACTS)
        assert cache.fetch(key, targets) is None
    assert "cannot keep a result" in caplog.records[0].message
    assert "cannot take a result" not in caplog.text  # an entry that cannot be there is just not there


# ── opening ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def settings(**changes: object) -> WorkerSettings:
    return WorkerSettings(**{"workers": 2, "training_threads": 1, "cache_gib": 0.5, **changes})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("PLUMBLINE_CACHE", raising=False)
    return tmp_path / "home"


def test_the_cache_is_in_the_users_cache_folder_unless_told_otherwise(home, tmp_path, monkeypatch):
    cache = open_cache(settings())
    assert cache is not None
    assert cache.folder.is_relative_to(home)
    assert cache.folder.parts[-2:] == ("plumbline", "partitions")
    assert cache.max_bytes == 2**29
    assert open_cache(settings(cache_folder=str(tmp_path / "b"))) == PartitionCache(tmp_path / "b", 2**29)
    assert open_cache(settings(cache_folder="~/c")) == PartitionCache(home / "c", 2**29)
    monkeypatch.setenv("PLUMBLINE_CACHE", str(tmp_path / "d"))
    assert open_cache(settings(cache_folder=str(tmp_path / "b"))) == PartitionCache(tmp_path / "d", 2**29)


def test_a_folder_within_the_workspace_is_the_same_for_every_process(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert open_cache(settings(cache_folder="cache")) == PartitionCache(tmp_path / "cache", 2**29)


def test_the_cache_is_switched_off_by_one_parameter_or_one_variable(home, tmp_path, monkeypatch):
    assert open_cache(settings(cache_gib=0.0)) is None
    monkeypatch.setenv("PLUMBLINE_CACHE", "off")
    assert open_cache(settings(cache_folder=str(tmp_path / "b"))) is None
    assert not home.exists()
    assert not (tmp_path / "b").exists()


def test_a_folder_that_cannot_be_written_is_told_once_and_gone_without(home, tmp_path, caplog):
    (tmp_path / "file").write_text("no folder")
    for _ in range(3):
        assert open_cache(settings(cache_folder=str(tmp_path / "file" / "cache"))) is None
    assert len(caplog.records) == 1
    assert "cannot write to the cache of partitions" in caplog.text


def test_without_a_home_folder_nothing_is_written_into_the_workspace(home, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    for _ in range(3):
        assert open_cache(settings(cache_folder="~nobody-of-this-name/cache")) is None
    assert len(caplog.records) == 1
    assert "home directory" in caplog.text
    assert list(tmp_path.iterdir()) == []


# ── checksums ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_file_is_hashed_anew_when_it_was_replaced(tmp_path):
    path = tmp_path / "raw.csv"
    for content, told in ((b"abc", "ba7816bf"), (b"abd", "a52d159f")):
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        assert sha256_file(path).startswith(told)
        os.utime(path, (1_000, 1_000 + content[2]))  # settled
        assert sha256_file(path).startswith(told)
        assert sha256_file(path).startswith(told)
