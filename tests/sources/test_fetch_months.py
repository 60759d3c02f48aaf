"""Monthly files of a living publisher: trusted as first seen, fetched once, and taken anew only when asked for."""

import io
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages import download
from stages.sources import fetch as sources
from stages.workspace.errors import UserError

ROOT = Path(__file__).parents[2]
LOCK = Path("sources/case.json")
RAW = Path("data/raw/case")
CACHE = "PLUMBLINE_CACHE"


def zip_of(seed: int, size: int = 60_000) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("records.csv"), np.random.default_rng(seed).bytes(size))
    return buffer.getvalue()


def name(month: str) -> str:
    year, _, number = month.partition("-")
    return f"On_Time_{year}_{int(number)}.zip"


@pytest.fixture(autouse=True)
def series(workplace: Path, publisher) -> Callable[..., None]:
    """Twelve published months of 2008, and how the parameters ask for some of them."""
    publisher.files = {name(f"2008-{month:02d}"): zip_of(month) for month in range(1, 13)}

    def ask(
        months: Any, *, kind: str = "threads", location: str = "On_Time_{year}_{month}.zip", **section: Any
    ) -> None:
        series = {"location": publisher.url(location), "months": months, "licence": "public domain"}
        section = {"mirror": None, "attempts": 3, "timeout_s": 20.0, "lock": str(LOCK), "series": series} | section
        cluster = {"kind": kind, "workers": 2, "training_threads": 1, "cache_gib": 1.0}
        content = {"seed": 1, "cluster": cluster, "datasets": {"case": {"download": section}}}
        Path("params.yaml").write_text(json.dumps(content))  # JSON is YAML

    return ask


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv(CACHE, str(folder))
    return folder


def run() -> dict[str, bytes]:
    """The stage, on a folder that DVC has emptied before."""
    if RAW.exists():
        for path in RAW.iterdir():
            path.unlink()
    download.main("case")
    return {path.name: path.read_bytes() for path in RAW.iterdir()}


def refused() -> UserError:
    """The error of a run that must fail and change neither what is there nor what is on record."""
    before = [path.read_bytes() if path.exists() else None for path in (LOCK, RAW / "manifest.json")]
    with pytest.raises(UserError) as caught:
        download.main("case")
    assert [path.read_bytes() if path.exists() else None for path in (LOCK, RAW / "manifest.json")] == before
    return caught.value


def requested(publisher) -> list[str]:
    return sorted(seen.name for seen in publisher.seen)


def records() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(LOCK.read_text())
    return content


def test_a_month_arrives_under_the_publishers_name_and_the_manifest_is_in_order_of_time(publisher, series):
    series(["2008-10..2008-11", "2008-02"])
    contents = run()
    manifest = json.loads(contents.pop("manifest.json"))
    assert [entry["name"] for entry in manifest["files"]] == [name(m) for m in ("2008-02", "2008-10", "2008-11")]
    assert all(set(entry) == {"name", "location", "bytes", "sha256", "licence"} for entry in manifest["files"])
    assert contents == {file: publisher.files[file] for file in contents}
    assert list(records()) == [entry["name"] for entry in manifest["files"]]


def test_a_series_may_stand_beside_single_files(tmp_path, series):
    (tmp_path / "airports.csv").write_text("faa\nJFK\n")
    series("2008-01", sources=[{"location": str(tmp_path / "airports.csv")}])
    assert set(run()) == {"airports.csv", name("2008-01"), "manifest.json"}
    assert set(records()) == {"airports.csv", name("2008-01")}


def test_names_may_be_given_where_the_locations_end_alike(publisher, series):
    publisher.files = {f"2008/{month}/data.zip": zip_of(month) for month in (1, 2)}
    location = publisher.url("{year}/{month}/data.zip")
    series("2008-01..2008-02", series={"location": location, "months": "2008-01..2008-02"})
    assert "name" in refused().next_step
    given = {"location": location, "months": "2008-01..2008-02", "name": "{year}-{month:02d}.zip"}
    series("", series=given)
    assert set(run()) == {"2008-01.zip", "2008-02.zip", "manifest.json"}


def test_one_new_month_asks_for_one_file(publisher, series, cache, caplog, monkeypatch):
    series("2008-01..2008-06")
    run()
    publisher.seen.clear()
    series("2008-01..2008-07")
    with caplog.at_level(logging.INFO):
        together = run()
    assert requested(publisher) == [name("2008-07")]
    assert "7 files (6 from the cache)" in caplog.text
    LOCK.unlink()
    monkeypatch.setenv(CACHE, "off")
    assert run() == together


def test_known_files_need_no_network_and_no_publisher(publisher, series, cache):
    series("2008-01..2008-03")
    first = run()
    publisher.stop()
    assert run() == first


def test_another_workspace_takes_the_files_from_the_cache(publisher, series, cache, tmp_path, monkeypatch):
    series("2008-01..2008-03")
    first, lock, params = run(), LOCK.read_text(), Path("params.yaml").read_text()
    publisher.seen.clear()
    clone = tmp_path / "clone"
    (clone / "sources").mkdir(parents=True)
    monkeypatch.chdir(clone)
    LOCK.write_text(lock)
    Path("params.yaml").write_text(params)
    assert run() == first
    assert not publisher.seen


def test_a_damaged_entry_of_the_cache_is_fetched_again(publisher, series, cache):
    series("2008-01..2008-02")
    first = run()
    for path in RAW.iterdir():
        path.unlink()  # or the damage would reach them too: they are links
    damaged = next(path for path in cache.glob("entries/*/raw-*/*") if path.read_bytes() == first[name("2008-01")])
    damaged.chmod(0o644)
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    publisher.seen.clear()
    assert run() == first
    assert requested(publisher) == [name("2008-01")]


def test_without_the_cache_every_month_is_fetched_and_compared(publisher, series):
    series("2008-01..2008-02")
    first = run()
    publisher.seen.clear()
    assert run() == first
    assert requested(publisher) == [name("2008-01"), name("2008-02")]


def test_files_of_a_folder_are_not_copied_to_the_cache(publisher, series, cache, tmp_path):
    for month in ("2008-01", "2008-02"):
        (tmp_path / name(month)).write_bytes(publisher.files[name(month)])
    series("2008-01..2008-02", mirror=str(tmp_path))
    run()
    assert not publisher.seen and not list(cache.glob("entries/*/*"))


def test_files_that_nobody_can_ask_for_by_checksum_do_not_fill_the_cache(series, cache):
    series("2008-01..2008-02", lock=None)
    run()
    assert not LOCK.exists() and not list(cache.glob("entries/*/*"))


def test_a_part_that_is_also_in_the_cache_is_never_written_to(publisher, series, cache):
    """The first month is whole, and cached, when the second fails; then the publisher replaces it."""
    old = publisher.files[name("2008-01")]
    series("2008-01..2008-02")
    missing = publisher.files.pop(name("2008-02"))
    refused()
    publisher.files |= {name("2008-01"): zip_of(99), name("2008-02"): missing}
    publisher.versions[name("2008-01")] = "2"
    assert run()[name("2008-01")] == zip_of(99)
    assert old in [path.read_bytes() for path in cache.glob("entries/*/raw-*/*")]


def test_a_month_that_changed_is_reported_and_refused(publisher, series):
    series("2008-01..2008-04")
    run()
    publisher.files[name("2008-02")] = zip_of(2, size=50_000)
    publisher.files[name("2008-03")] = zip_of(33)
    old = records()
    error = refused()
    assert error.found.startswith("2 failed")
    for month, found in (("2008-02", "it shrank by 10,000 bytes"), ("2008-03", "sha256 ")):
        wanted = old[name(month)]
        line = next(line for line in error.found.splitlines() if name(month) in line)
        assert f"{wanted['bytes']:,} bytes, sha256 {wanted['sha256']} (recorded in {LOCK})" in line
        assert found in line.partition("(recorded in")[2]
    assert "download.accept: [2008-02, 2008-03]" in error.next_step
    assert "2 files that arrived are kept" in error.next_step


def test_an_accepted_change_is_taken_and_recorded_and_nothing_else(publisher, series, cache, caplog):
    series("2008-01..2008-03")
    run()
    old, text = records(), LOCK.read_text().splitlines()
    new = publisher.files[name("2008-02")] = zip_of(2, size=50_000)
    series("2008-01..2008-03", accept=["2008-02"])
    publisher.seen.clear()
    with caplog.at_level(logging.WARNING):
        contents = run()
    assert contents[name("2008-02")] == new
    assert requested(publisher) == [name("2008-02")]
    assert f"{name('2008-02')}: accepted: {len(new):,} bytes" in caplog.text
    assert [n for n, entry in records().items() if entry != old[n]] == [name("2008-02")]
    assert sum(a != b for a, b in zip(text, LOCK.read_text().splitlines(), strict=True)) == 1
    assert run() == contents  # still named, no longer changed
    series("2008-01..2008-03")
    assert run() == contents


def test_what_was_accepted_is_still_checked_for_being_whole(publisher, series):
    series("2008-01")
    run()
    publisher.files[name("2008-01")] = zip_of(1)[:30_000]
    series("2008-01", accept=[name("2008-01")])
    error = refused()
    assert "truncated" in error.found
    assert "ask again later" in error.next_step


def test_months_not_yet_published_are_named_with_those_that_are(publisher, series):
    for month in ("2008-03", "2008-11", "2008-12"):
        del publisher.files[name(month)]
    series(["2008-01..2008-04", "2008-10..2008-12"])
    error = refused()
    assert "2008-03, 2008-11..2008-12: the server answers 404 Not Found" in error.found
    assert "download.series.months: [2008-01..2008-02, 2008-04, 2008-10]" in error.next_step
    assert not LOCK.exists()


def test_one_month_not_yet_published_is_told_alike(publisher, series):
    del publisher.files[name("2008-04")]
    series("2008-01..2008-04")
    error = refused()
    assert name("2008-04") in error.wanted and "404" in error.found
    assert "not published yet" in error.next_step and "[2008-01..2008-03]" in error.next_step


def test_no_month_at_all_points_at_the_location(publisher, series):
    publisher.files.clear()
    series("2008-01..2008-04")
    assert "correct `series`" in refused().next_step


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts under ``.invalid`` whose addresses were asked for; none of them has one."""
    asked, find = [], socket.getaddrinfo

    def find_no_more(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host.endswith(".invalid"):
            asked.append(host)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return find(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", find_no_more)
    return asked


def test_a_host_that_is_not_found_is_asked_for_once_whatever_the_number_of_months(series, asked_for):
    series(
        "", series={"location": "http://nowhere.invalid/{year}-{month}.zip", "months": "2004-01..2008-12"}, attempts=5
    )
    error = refused()
    assert len(asked_for) <= 2  # by each worker
    assert "2004-01..2008-12: the host nowhere.invalid is not found (Temporary failure" in error.found
    assert "check the network" in error.next_step and "correct `series`" not in error.next_step


def test_what_is_there_is_taken_and_named_where_the_host_is_not_found(series, asked_for, tmp_path):
    (tmp_path / "airports.csv").write_text("faa\nJFK\n")
    location = {"location": "http://nowhere.invalid/{year}/{month}.zip", "months": "2008-01..2008-12"}
    series("", series=location, sources=[{"location": str(tmp_path / "airports.csv")}])
    assert "(1 file that arrived is kept for the next run)" in refused().next_step


def test_months_at_hand_need_no_host_and_are_named_to_go_on_with(publisher, series, cache, asked_for, monkeypatch):
    series("2008-01..2008-03")
    run()
    location = publisher.url("").replace("127.0.0.1", "nowhere.invalid") + "On_Time_{year}_{month}.zip"
    series("", series={"location": location, "months": "2008-01..2008-06"})
    error = refused()
    assert "2008-04..2008-06: the host nowhere.invalid is not found" in error.found
    assert "to go on without: `download.series.months: [2008-01..2008-03]`" in error.next_step
    series("", series={"location": location, "months": "2008-01..2008-03"})
    assert len(run()) == 4


def test_a_name_that_was_found_before_in_the_run_may_be_found_again(publisher, series, monkeypatch):
    find, lost = socket.getaddrinfo, iter([True, True])

    def find_again(host: Any, *args: Any, **kwargs: Any) -> Any:
        if any(seen.name == name("2008-01") for seen in publisher.seen) and next(lost, False):
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return find(host, *args, **kwargs)

    monkeypatch.setenv("PLUMBLINE_WORKERS", "1")
    monkeypatch.setattr(socket, "getaddrinfo", find_again)
    series("2008-01..2008-02")
    assert len(run()) == 3


def test_all_kinds_of_failure_are_told_at_once(publisher, answer, series):
    series("2008-01..2008-04")
    run()
    publisher.files[name("2008-01")] = zip_of(11)
    del publisher.files[name("2008-02")]
    publisher.always[name("2008-03")] = answer(503, b"busy")
    error = refused()
    assert error.found.startswith("3 failed")
    for found in ("2008-02: the server answers 404", "2008_1.zip", "2008_3.zip: the server answers 503"):
        assert found in error.found
    for step in ("accept: [2008-01]", "months: [2008-01, 2008-03..2008-04]", "run the same command again"):
        assert step in error.next_step


def test_a_long_series_of_failures_is_cut_short(publisher, series):
    del publisher.files[name("2008-12")]
    series(["2008-01..2008-12"])
    publisher.files = dict.fromkeys(publisher.files, b"not a zip")
    series(["2006-01..2008-12"])
    error = refused()
    assert "2006-01..2007-12, 2008-12: the server answers 404" in error.found
    assert len(error.found.splitlines()) <= 22


PAGE = b"<!DOCTYPE html><html><title>Busy</title>"
MISBEHAVIOUR: dict[str, list[dict[str, Any]]] = {
    "a page in place of the zip": [{"body": PAGE}, {"body": PAGE}],
    "a redirect to a page": [{"status": 302, "headers": {"Location": "busy.html"}}],
    "a cut": [{"cut_after": 30_000}, {"status": 503}],
    "more announced than sent": [{"declared": len(zip_of(1)) + 1, "ranges": False}],
    "a cut without a length": [{"unsized": True, "cut_after": 30_000, "anonymous": True}],
    "silence": [{"hold_after": 16_384}],
}


@pytest.mark.parametrize("kind", MISBEHAVIOUR)
def test_a_month_arrives_whole_however_badly_the_publisher_behaves(publisher, answer, series, kind):
    publisher.always["busy.html"] = answer(body=PAGE, headers={"Content-Type": "text/html"})
    publisher.script[name("2008-01")] = [answer(**options) for options in MISBEHAVIOUR[kind]]
    series("2008-01..2008-02", timeout_s=0.5)
    assert run()[name("2008-01")] == zip_of(1)
    assert not publisher.script[name("2008-01")]
    assert set(records()) == {name("2008-01"), name("2008-02")}


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("cut", [59_000, len(zip_of(1)) - 10])
def test_a_zip_without_its_table_of_contents_is_neither_taken_nor_recorded(publisher, answer, series, known, cut):
    series("2008-01..2008-02")
    if known:
        run()
    publisher.always[name("2008-01")] = answer(body=zip_of(1)[:cut])
    error = refused()
    assert "shrank" in error.found if known else "truncated" in error.found
    assert LOCK.exists() == known


def test_less_announced_than_there_is_ends_in_a_cut_that_is_seen(publisher, answer, series):
    publisher.always[name("2008-01")] = answer(declared=40_000)
    series("2008-01")
    assert "truncated" in refused().found


def test_a_page_that_stays_is_told_by_its_title(publisher, answer, series):
    publisher.always[name("2008-01")] = answer(200, b"<html><title>We are busy</title>")
    series("2008-01..2008-02", attempts=2)
    error = refused()
    assert "a web page titled 'We are busy', 2 times in a row" in error.found
    assert not LOCK.exists()


def test_a_run_killed_in_mid_series_records_nothing_half_and_goes_on(publisher, answer, series):
    publisher.script[name("2008-02")] = [answer(hold_after=32_768)]
    series("2008-01..2008-02")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    stage = subprocess.Popen([sys.executable, "-m", "stages.download", "case"], env=environment)
    deadline = time.monotonic() + 60
    while not [path for path in sources.GATHERING.glob("*/*_2.zip-*.part") if path.stat().st_size >= 32_768]:
        assert time.monotonic() < deadline and stage.poll() is None
        time.sleep(0.02)
    stage.send_signal(signal.SIGKILL)
    stage.wait(30)
    publisher.release.set()
    assert not LOCK.parent.exists() and not RAW.exists()
    assert run()[name("2008-02")] == zip_of(2)
    assert sum(publisher.sent(name("2008-02"))[1:]) < len(zip_of(2))
    assert len(records()) == 2


def test_a_run_that_ends_between_record_and_placing_asks_nobody_again(publisher, series, monkeypatch):
    def end(*_: Any) -> None:
        raise KeyboardInterrupt

    series("2008-01..2008-02")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(download, "place_files", end)
        download.main("case")
    assert len(records()) == 2
    publisher.seen.clear()
    assert run()[name("2008-01")] == zip_of(1)
    assert not publisher.seen


def test_downloads_stay_on_this_machine_whoever_works_on_partitions(publisher, series):
    series("2008-01..2008-03", kind="processes")
    assert len(run()) == 4


def test_a_mirror_is_compared_with_the_record_too(publisher, series, tmp_path):
    series("2008-01")
    manifest = run()["manifest.json"]
    (tmp_path / name("2008-01")).write_bytes(publisher.files[name("2008-01")])
    series("2008-01", mirror=str(tmp_path))
    assert run()["manifest.json"] == manifest
    (tmp_path / name("2008-01")).write_bytes(zip_of(77))
    error = refused()
    assert "lock` of its own" in error.next_step


def test_months_that_a_mirror_lacks_are_named(publisher, series, tmp_path):
    (tmp_path / name("2008-02")).write_bytes(publisher.files[name("2008-02")])
    series("2008-01..2008-03", mirror=str(tmp_path))
    error = refused()
    assert "2008-01, 2008-03: no such file" in error.found
    assert "months: [2008-02]" in error.next_step


def test_a_month_under_another_name_is_told_with_the_pattern_that_finds_it(series, tmp_path):
    for month in (1, 2):
        (tmp_path / f"Old_Name_2008_{month}.zip").write_bytes(b"")
    series("2008-01..2008-02", mirror=str(tmp_path))
    there = "there is Old_Name_{year}_{month}.zip: set `download.series.location` to that"
    assert f"2008-01..2008-02: no such file; {there}" in refused().found


@pytest.mark.parametrize(("mirror", "told"), [("zips", "absolute path"), ("/nowhere/zips", "correct `mirror`")])
def test_a_mirror_that_is_not_there_is_told_once(series, mirror, told):
    series("2008-01..2008-03", mirror=mirror)
    error = refused()
    assert "no such folder" in error.found and told in error.next_step


def test_a_damaged_lock_stops_the_run_before_anything_is_asked(publisher, series):
    LOCK.parent.mkdir()
    LOCK.write_text("<<<<<<< HEAD")
    series("2008-01")
    assert str(LOCK) in refused().wanted
    assert not publisher.seen


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"months": "2008-13"}, "series.months: a year has the months 01 to 12"),
        ({"months": "2008-06..2008-01"}, "series.months: '2008-06..2008-01' runs backwards"),
        ({"months": ["2008-01", "2008-01"]}, "series.months: 2008-01 is asked for twice"),
        ({"months": 2008}, "series.months: months are written 2008-01"),
        ({"months": []}, "series.months: at least one month"),
        ({"location": "https://example.invalid/{mon}.zip"}, "series.location: no placeholder but {year} and {month}"),
        ({"location": "https://example.invalid/{year}.zip"}, "series.location: a pattern with {month}"),
        ({"moths": "2008-01"}, "series.moths: unknown key"),
    ],
)
def test_a_wrong_series_is_named_with_its_full_path(publisher, series, change, path):
    sound = {"location": publisher.url("{year}_{month}.zip"), "months": "2008-01"}
    series("", series=sound | change)
    error = refused()
    assert f"datasets.case.download.{path}" in error.found
    assert not publisher.seen
