"""An answer that is not the file, or not all of it, is refused and named."""

import bz2
import gzip
import hashlib
import io
import lzma
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from stages.sources.fetch import GATHERING, name_source
from stages.workspace.errors import UserError

BODY = np.random.default_rng(1).bytes(300_000)
CUT = 131_072
PAGE = b"\xef\xbb\xbf\n  <!-- busy -->\n<!DOCTYPE html><html><head><title>We are\n busy</title></head></html>"


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def parts() -> list[Path]:
    return sorted(GATHERING.glob("*/*.part"))


def zip_of(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(f"{name}.csv", body)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["a.zip", "a.csv", "a.parquet", "a.csv.gz"])
def test_a_page_in_place_of_a_file_is_asked_again_then_named(publisher, answer, name, refuse, unpinned):
    publisher.always[name] = answer(body=PAGE, headers={"Content-Type": "text/html; charset=utf-8"})
    error = refuse(unpinned(publisher.url(name)))
    assert "a web page titled 'We are busy'" in error.found
    assert publisher.statuses(name) == [200] * 3


@pytest.mark.parametrize(
    "body", [PAGE, PAGE.decode("utf-8-sig").encode("utf-16"), b"\r\n<HTML>", b"<?xml version='1.0'?>"]
)
def test_a_page_is_known_by_its_bytes_when_the_media_type_lies(publisher, answer, body, refuse, unpinned):
    publisher.always["a.csv"] = answer(body=body, headers={"Content-Type": "text/csv"})
    assert "web page" in refuse(unpinned(publisher.url("a.csv")), attempts=1).found


def test_a_page_is_known_by_its_media_type_when_the_bytes_do_not_tell(publisher, answer, refuse, unpinned):
    publisher.always["a.csv"] = answer(body=b"Sorry, try later.", headers={"Content-Type": "text/html"})
    assert "web page" in refuse(unpinned(publisher.url("a.csv")), attempts=1).found


def test_a_zip_that_the_server_calls_a_page_is_still_a_zip(publisher, answer, download, unpinned):
    publisher.files["a.zip"] = zip_of(a=BODY)
    publisher.always["a.zip"] = answer(headers={"Content-Type": "text/html"})
    assert (download(unpinned(publisher.url("a.zip"))) / "a.zip").read_bytes() == publisher.files["a.zip"]


def test_a_page_never_replaces_what_was_fetched_before(publisher, answer, download, unpinned):
    publisher.files["a.zip"] = zip_of(a=BODY)
    size = len(publisher.files["a.zip"])
    publisher.script["a.zip"] = [answer(cut_after=CUT), answer(body=PAGE, ranges=False), answer()]
    download(unpinned(publisher.url("a.zip")))
    assert publisher.sent("a.zip") == [CUT, len(PAGE), size - CUT]


def test_a_redirect_to_a_page_says_where_it_led(publisher, answer, refuse, unpinned):
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
def test_a_container_cut_short_by_its_publisher_is_refused_without_pins(publisher, name, body, download, unpinned):
    publisher.files[name] = body
    assert (download(unpinned(publisher.url(name))) / name).read_bytes() == body
    for damaged in (body[:-3], body[: len(body) // 2], b"12345678" + body):
        publisher.files[name] = damaged
        with pytest.raises(UserError) as caught:
            download(unpinned(publisher.url(name)))
        assert name.rpartition(".")[2] in caught.value.found
        assert not parts()


def test_an_empty_file_is_refused(publisher, refuse, unpinned):
    publisher.files["a.csv"] = b""
    assert "empty" in refuse(unpinned(publisher.url("a.csv"))).found


def test_another_checksum_keeps_nothing_and_says_how_to_accept_it(publisher, refuse, pinned):
    publisher.files["a.csv"] = BODY[::-1]
    error = refuse(pinned(publisher.url("a.csv"), BODY))
    assert digest(BODY) in error.wanted
    assert digest(BODY[::-1]) in error.found
    assert "sha256" in error.next_step and "make params" in error.next_step
    assert not parts()


def test_another_size_is_refused_before_it_is_transferred(publisher, answer, refuse, pinned):
    publisher.files["a.bin"] = BODY
    publisher.always["a.bin"] = answer(hold_after=CUT)
    assert f"{len(BODY):,} bytes announced" in refuse(pinned(publisher.url("a.bin"), BODY[:-1])).found


def test_a_size_alone_is_a_pin_too(publisher, answer, refuse):
    publisher.files["a.csv"] = BODY
    publisher.always["a.csv"] = answer(unsized=True)
    source = name_source(publisher.url("a.csv"), mirror=None, bytes=len(BODY) - 1)
    assert f"{len(BODY):,} bytes" in refuse(source).found
    assert not parts()
