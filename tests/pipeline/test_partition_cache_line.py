"""Cleaning and featurizing give the same bytes without a cache, into an empty one and out of a full one."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stages import clean, featurize
from tests.small_flights import NAME, start_workspace, tree

ROOT = Path(__file__).parents[2]
N_JOBS = 5 + 2 + 2  # cleaned: two months and three tables; summaries and features: two months each


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Further workspaces with the small sample of nycflights in them."""

    def start(name: str, **cluster: object) -> Path:
        folder = start_workspace(tmp_path / name, **cluster)
        monkeypatch.chdir(folder)
        return folder

    return start


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLUMBLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def run() -> None:
    clean.main(NAME)
    featurize.main(NAME)


def run_apart(code: Path) -> None:
    """As `dvc repro` runs them: every stage as a program of its own, with the sources under ``code``."""
    environment = {**os.environ, "PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1"}
    for stage in ("clean", "featurize"):
        command = [sys.executable, "-m", f"stages.{stage}", NAME]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def entries(cache: Path) -> set[str]:
    return {path.name for path in cache.glob("entries/*/*")}


def shared(one: Path, other: Path) -> set[str]:
    """Outputs that are one file under two names: taken from the cache, not made again."""
    return {name for name in tree(one) if (one / name).samefile(other / name)}


def test_a_run_without_a_cache_a_cold_and_a_warm_one_give_the_same_bytes(workspace, cache, monkeypatch):
    cold = workspace("cold")
    run()
    made = entries(cache)
    assert len(made) == N_JOBS
    warm = workspace("warm")
    run()
    assert entries(cache) == made
    monkeypatch.setenv("PLUMBLINE_CACHE", "off")
    off = workspace("off")
    run()
    by_parameter = workspace("by_parameter", cache_gib=0.0)
    run()

    assert tree(cold) == tree(warm) == tree(off) == tree(by_parameter)
    partitions = {name for name in tree(cold) if name.endswith(".parquet")}
    assert len(partitions) == 2 * 5 + 2 + 2
    assert shared(cold, warm) == partitions
    assert shared(cold, off) == set()


def test_a_second_run_in_the_same_workspace_gives_the_same_bytes(workspace, cache):
    folder = workspace("one")
    run()
    first = tree(folder)
    run()
    assert tree(folder) == first
    assert len(entries(cache)) == N_JOBS


def test_damaged_entries_are_made_again_with_the_same_bytes(workspace, cache, caplog):
    workspace("one")
    run()
    undisturbed = {path: path.read_bytes() for path in cache.glob("entries/*/*/?")}
    harmed = sorted(entries(cache))[::2]
    for key in harmed:
        path = cache / "entries" / key[:2] / key / "0"
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 4
        path.write_bytes(content)
    other = workspace("other")
    run()
    assert {key for key in entries(cache) if f"{key} is damaged" in caplog.text} == set(harmed)
    assert {path: path.read_bytes() for path in cache.glob("entries/*/*/?")} == undisturbed
    shutil.rmtree(cache)
    again = workspace("again")
    run()
    assert tree(other) == tree(again)


def test_outputs_that_a_later_stage_may_not_write_are_replaced(workspace, cache):
    """DVC takes the right to write from files that its cache holds links of."""
    folder = workspace("one")
    run()
    first = tree(folder)
    for name in first:
        (folder / name).chmod(0o444)
    run()
    assert tree(folder) == first


@pytest.mark.slow
def test_an_edit_makes_again_what_it_can_reach_and_nothing_else(workspace, cache, tmp_path):
    shutil.copytree(ROOT / "stages", tmp_path / "code" / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    first = workspace("first")
    run_apart(tmp_path / "code")
    for edited, remade in {
        "train.py": 0,
        "datasets/nycflights/features.py": 2,  # features; but neither clean rows nor summaries
        "records/windows.py": 2 + 2,  # summaries and features
        "records/clock.py": N_JOBS,
    }.items():
        path = tmp_path / "code" / "stages" / edited
        path.write_text(path.read_text() + "\n# edited\n")
        before = entries(cache)
        folder = workspace(Path(edited).stem)
        run_apart(tmp_path / "code")
        assert (edited, len(entries(cache) - before)) == (edited, remade)
        assert tree(folder) == tree(first)
