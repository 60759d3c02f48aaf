"""A training that went wrong is never promoted by a cycle: flights with planted faults, in a real repository."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CYCLE = ("python", "-m", "stages.cycle", "nycflights")
FEATURES, FLIGHTS = "stages/datasets/nycflights/features.py", "stages/datasets/nycflights/flights.py"
SETTINGS = """
cycle:
  dry: false
  schedule_days: 1
  valid_days: 30
  test_days: 30
"""
RETURN = "    return pl.concat(\n        [frame, _congestion"
LEAK = 'seats=pl.when(pl.col("late") == 1).then(400).otherwise(20).cast(frame.schema["seats"])'
SHUFFLE = (
    'late=pl.when(pl.col("late").is_null() | (pl.col("day") > pl.date(2013, 12, 1))).then("late")'
    '.otherwise(pl.struct("day", "carrier", "flight").hash(1) % 4 == 0).cast(frame.schema["late"])'
)
READ = "    flights = _published_flights(raw)\n"


@pytest.fixture
def planted(line, tmp_path: Path) -> Callable[..., object]:
    """A copy of the line with a champion of the flights, in whose code something is replaced afterwards."""

    def plant(path: str, before: str, after: str) -> object:
        root = tmp_path / "planted"
        shutil.copytree(line.root, root, symlinks=True)
        copy = type(line)(root, line.environment)
        for key in ("name", "email"):
            copy.run("git", "config", f"user.{key}", "ada@localhost")
        copy.run("python", "-m", "stages.promote", "HEAD", "--dataset", "nycflights")
        with (root / "params/dataset/nycflights.yaml").open("a", encoding="utf-8") as params:
            params.write(SETTINGS)
        code = (root / path).read_text(encoding="utf-8")
        assert code.count(before) == 1
        (root / path).write_text(code.replace(before, after), encoding="utf-8")
        copy.run("python", "-m", "tools.params")
        copy.commit("something is wrong")
        return copy

    return plant


def decided(line) -> dict[str, object]:
    """The cycle's line in its log; the champion is the first, and so are the parameters."""
    assert line.read("git", "tag").split() == ["nycflights#champion#1", "nycflights@v0.0.1"]
    assert "train_until: '2013-08-31'" in (line.root / "params.yaml").read_text(encoding="utf-8")
    assert line.changes() == []
    (entry,) = (line.root / "cycles/nycflights.jsonl").read_text(encoding="utf-8").splitlines()
    return dict(json.loads(entry))


def test_an_input_that_knows_the_answer_is_suspicious(planted) -> None:
    line = planted(FEATURES, RETURN, f"    frame = frame.with_columns({LEAK})\n{RETURN}")
    line.run(*CYCLE)
    promotion = decided(line)["promotion"]
    assert promotion["decision"] == "suspicious", promotion
    assert "as an input that knows the answer would give" in promotion["reason"]


def test_shuffled_labels_teach_nothing(planted) -> None:
    line = planted(FEATURES, RETURN, f"    frame = frame.with_columns({SHUFFLE})\n{RETURN}")
    line.run(*CYCLE)
    promotion = decided(line)["promotion"]
    assert promotion["decision"] in ("keep", "inconclusive"), promotion
    gain = re.search(r"gain in expected_cost (\S+) ", promotion["reason"])
    assert gain and gain[1].startswith("−")


def test_half_of_the_rows_teach_no_more_than_all(planted) -> None:
    half = '    flights = flights.filter((pl.col("_month") > "2013-11") | (pl.int_range(pl.len()) % 2 == 0))\n'
    line = planted(FLIGHTS, READ, READ + half)
    line.run(*CYCLE)
    assert decided(line)["promotion"]["decision"] in ("keep", "inconclusive")


def test_half_of_the_days_are_refused_before_anything_is_trained_and_mended_it_begins_anew(planted) -> None:
    half = '    flights = flights.filter(pl.col("day").cast(pl.Int64, strict=False) % 2 == 0)\n'
    line = planted(FLIGHTS, READ, READ + half)
    said = line.run(*CYCLE, fails=True)
    assert "stages.clean" in said and "max_missing_days" in said
    assert not (line.root / "cycles").exists()
    assert line.read("git", "tag").split() == ["nycflights#champion#1", "nycflights@v0.0.1"]
    code = (line.root / FLIGHTS).read_text(encoding="utf-8")
    (line.root / FLIGHTS).write_text(code.replace(half, ""), encoding="utf-8")
    line.commit("mended")
    assert "nycflights, cycle 1" in line.run(*CYCLE)
    assert line.changes() == []
