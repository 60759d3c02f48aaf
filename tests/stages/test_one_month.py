"""A month is added, replaced or removed: what is worked on again, and that the result is that of a cold run."""

import contextlib
import shutil
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages import clean, featurize
from stages.workspace.files import write_manifest
from tools.params import compose_params

ROOT = Path(__file__).parents[2]
STEM = "On_Time_Reporting_Carrier_On_Time_Performance_1987_present_1987"
SAMPLE = ROOT / "tests" / "data" / "ontime" / f"{STEM}_10.zip"
RAW = Path("data/raw/ontime")
OUTPUTS = ("data/clean/ontime", "data/quarantine/ontime", "data/features/ontime", "metrics/ontime")


@pytest.fixture(scope="module")
def params() -> dict[str, Any]:
    composed: dict[str, Any] = yaml.safe_load(compose_params(ROOT, ["+dataset@datasets.ontime=ontime"]))
    ontime = composed["datasets"]["ontime"]
    ontime["clean"] |= {"max_quarantined_share": 1.0, "max_missing_days": 1000}
    ontime["featurize"]["split"] = {"train_until": "1987-10-31", "valid_until": "1987-11-15", "test_until": None}
    return composed


@pytest.fixture
def run(tmp_path: Path, params, monkeypatch) -> Callable[..., dict[str, bytes]]:
    """Clean and featurize these months in a folder of that name; all files that come of it, by path."""
    monkeypatch.setenv("PLUMBLINE_CACHE", str(tmp_path / "cache"))

    def run_months(folder: str, months: Sequence[int], change: bytes = b"") -> dict[str, bytes]:
        workspace = tmp_path / folder
        shutil.rmtree(workspace, ignore_errors=True)
        (workspace / RAW).mkdir(parents=True)
        (workspace / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        for month in months:
            write_month(workspace / RAW / f"{STEM}_{month}.zip", month, change if month == 9 else b"")
        with contextlib.chdir(workspace):
            write_manifest(RAW, {"files": []})
            clean.main("ontime")
            featurize.main("ontime")
            files = [file for output in OUTPUTS for file in sorted(Path(output).rglob("*")) if file.is_file()]
            return {str(file): file.read_bytes() for file in files}

    return run_months


@pytest.fixture
def done(tmp_path: Path) -> Callable[[], int]:
    """How many results of partitions the cache has gained since the last call."""
    seen: set[Path] = set()

    def count() -> int:
        now = set((tmp_path / "cache").rglob("entry.json"))
        new = len(now - seen)
        seen.update(now)
        return new

    return count


def write_month(path: Path, month: int, change: bytes) -> None:
    """The flights of October, dated to another month; with ``change``, one carrier bears another code."""
    with zipfile.ZipFile(SAMPLE) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".csv")]
        text = archive.read(name).replace(b"1987-10-31", b"1987-10-30").replace(b"1987-10-", b"1987-%02d-" % month)
    if change:
        text = text.replace(b'"AA"', b'"%s"' % change)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name), text)


def cold(run: Callable[..., dict[str, bytes]], monkeypatch, *arguments: Any) -> dict[str, bytes]:
    monkeypatch.setenv("PLUMBLINE_CACHE", "off")
    return run("cold", *arguments)


def test_a_month_added_at_the_end_is_the_only_one_that_is_worked_on(run, done, monkeypatch) -> None:
    run("first", [9, 10, 11])
    assert done() == 3 * 3  # cleaned, summarised, featurized
    grown = run("second", [9, 10, 11, 12])
    assert done() == 3
    assert grown == cold(run, monkeypatch, [9, 10, 11, 12])


def test_a_month_added_before_another_reaches_that_one_too(run, done, monkeypatch) -> None:
    run("first", [9, 11, 12])
    done()
    grown = run("second", [9, 10, 11, 12])
    assert done() == 3 + 1
    assert grown == cold(run, monkeypatch, [9, 10, 11, 12])


def test_a_replaced_month_reaches_itself_and_the_one_after_it(run, done, monkeypatch) -> None:
    before = run("first", [9, 10, 11, 12])
    done()
    after = run("second", [9, 10, 11, 12], b"ZZ")
    assert done() == 3 + 1
    assert after == cold(run, monkeypatch, [9, 10, 11, 12], b"ZZ")
    changed = {Path(name).stem for name in before if name.endswith(".parquet") and before[name] != after[name]}
    assert changed == {"1987-09", "1987-10"}


def test_a_removed_month_reaches_the_one_after_it_and_comes_back_from_the_cache(run, done, monkeypatch) -> None:
    whole = run("first", [9, 10, 11, 12])
    done()
    shrunk = run("second", [9, 11, 12])
    assert done() == 1
    assert run("third", [9, 10, 11, 12]) == whole
    assert done() == 0
    assert shrunk == cold(run, monkeypatch, [9, 11, 12])
