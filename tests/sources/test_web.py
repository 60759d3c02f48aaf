"""A file arrives whole over http(s), however badly the server behaves; the server is real (conftest.py)."""

import gzip
import io
import logging
import time
import zipfile
from email.utils import formatdate

import numpy as np
import pytest

BODY = np.random.default_rng(1).bytes(300_000)
CUT = 131_072


def zip_of(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(f"{name}.csv", body)
    return buffer.getvalue()


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_a_busy_server_is_asked_again(publisher, answer, status, download, pinned):
    publisher.files["a.csv"] = BODY
    publisher.script["a.csv"] = [answer(status, b"busy"), answer(status, b"busy")]
    folder = download(pinned(publisher.url("a.csv"), BODY))
    assert (folder / "a.csv").read_bytes() == BODY
    assert publisher.statuses("a.csv") == [status, status, 200]


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_server_that_names_its_wait_gets_it(publisher, answer, form, download, pinned):
    wanted = "1" if form == "seconds" else formatdate(time.time() + 2, usegmt=True)
    publisher.files["a.csv"] = BODY
    publisher.script["a.csv"] = [answer(429, b"slow down", headers={"Retry-After": wanted})]
    started = time.monotonic()
    download(pinned(publisher.url("a.csv"), BODY))
    assert time.monotonic() - started >= 0.9
    assert publisher.statuses("a.csv") == [429, 200]


def test_a_server_that_asks_for_an_hour_is_not_waited_for(publisher, answer, refuse, unpinned):
    publisher.always["a.csv"] = answer(503, b"", headers={"Retry-After": "3600"})
    error = refuse(unpinned(publisher.url("a.csv")))
    assert "3,600 s" in error.next_step
    assert publisher.statuses("a.csv") == [503]


@pytest.mark.parametrize("status", [404, 410, 403, 401, 400])
def test_a_refusal_is_not_asked_again(publisher, answer, status, refuse, unpinned):
    publisher.always["a.csv"] = answer(status, b"no")
    error = refuse(unpinned(publisher.url("a.csv")))
    assert str(status) in error.found
    assert publisher.url("a.csv") in error.wanted
    assert publisher.statuses("a.csv") == [status]


def test_a_server_that_stays_broken_is_given_up_after_the_attempts(publisher, answer, caplog, refuse, unpinned):
    publisher.always["a.csv"] = answer(503, b"busy")
    with caplog.at_level(logging.WARNING):
        error = refuse(unpinned(publisher.url("a.csv")), attempts=4)
    assert publisher.statuses("a.csv") == [503] * 4
    assert "503" in error.found
    assert "attempt 2" in caplog.text


def test_nobody_listening_is_a_plain_error(publisher, refuse, unpinned):
    location = publisher.url("a.csv")
    publisher.stop()
    error = refuse(unpinned(location), attempts=2)
    assert "refused" in error.found.lower()
    publisher._server.server_close()


def test_a_cut_body_goes_on_where_it_ended(publisher, answer, download, pinned):
    publisher.files["a.csv"] = BODY
    publisher.script["a.csv"] = [answer(cut_after=CUT)]
    folder = download(pinned(publisher.url("a.csv"), BODY))
    assert (folder / "a.csv").read_bytes() == BODY
    assert publisher.statuses("a.csv") == [200, 206]
    assert publisher.sent("a.csv") == [CUT, len(BODY) - CUT]
    assert publisher.seen[1].if_range == '"1"'


def test_progress_made_renews_the_attempts(publisher, answer, download, pinned):
    publisher.files["a.csv"] = BODY
    publisher.script["a.csv"] = [answer(cut_after=40_000) for _ in range(6)]
    download(pinned(publisher.url("a.csv"), BODY), attempts=2)
    assert publisher.sent("a.csv") == [40_000] * 6 + [60_000]


def test_a_server_without_ranges_is_read_again_from_the_start(publisher, answer, download, pinned):
    publisher.files["a.csv"] = BODY
    publisher.script["a.csv"] = [answer(cut_after=CUT), answer(ranges=False)]
    folder = download(pinned(publisher.url("a.csv"), BODY))
    assert (folder / "a.csv").read_bytes() == BODY
    assert publisher.sent("a.csv") == [CUT, len(BODY)]


def test_a_server_that_always_cuts_and_never_continues_is_given_up(publisher, answer, refuse, pinned):
    publisher.files["a.csv"] = BODY
    publisher.always["a.csv"] = answer(cut_after=CUT, ranges=False)
    error = refuse(pinned(publisher.url("a.csv"), BODY), attempts=2)
    assert "cut" in error.found
    assert len(publisher.seen) <= 6


def test_two_versions_of_an_object_are_never_joined(publisher, answer, download, refuse, unpinned):
    old, new = BODY, BODY[::-1]
    publisher.files["a.csv"] = old
    publisher.script["a.csv"] = [answer(cut_after=CUT), answer(503)]
    refuse(unpinned(publisher.url("a.csv")), attempts=1)
    publisher.script.clear()
    publisher.files["a.csv"], publisher.versions["a.csv"] = new, "2"
    assert (download(unpinned(publisher.url("a.csv"))) / "a.csv").read_bytes() == new


def test_without_a_version_only_a_checksum_allows_going_on(publisher, answer, download, pinned, unpinned):
    publisher.files["a.csv"] = BODY
    publisher.script["a.csv"] = [answer(cut_after=CUT, anonymous=True), answer(anonymous=True)]
    download(unpinned(publisher.url("a.csv")))
    assert publisher.sent("a.csv") == [CUT, len(BODY)]
    publisher.seen.clear()
    publisher.script["a.csv"] = [answer(cut_after=CUT, anonymous=True), answer(anonymous=True)]
    download(pinned(publisher.url("a.csv"), BODY))
    assert publisher.sent("a.csv") == [CUT, len(BODY) - CUT]


def test_a_joined_file_with_a_wrong_checksum_is_fetched_afresh(publisher, answer, download, pinned):
    publisher.files["a.csv"] = BODY
    wrong = answer(body=BODY[::-1], cut_after=CUT, anonymous=True)
    publisher.script["a.csv"] = [wrong, answer(anonymous=True)]
    folder = download(pinned(publisher.url("a.csv"), BODY))
    assert (folder / "a.csv").read_bytes() == BODY
    assert publisher.sent("a.csv") == [CUT, len(BODY) - CUT, len(BODY)]


def test_a_file_that_was_complete_already_costs_no_byte_again(publisher, answer, download, refuse, pinned, unpinned):
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


def test_a_length_that_promises_too_much_is_a_cut_body(publisher, answer, download, unpinned):
    publisher.files["a.csv"] = BODY
    publisher.script["a.csv"] = [answer(declared=len(BODY) + 5)]
    folder = download(unpinned(publisher.url("a.csv")))
    assert (folder / "a.csv").read_bytes() == BODY
    assert publisher.statuses("a.csv") == [200, 416]


def test_a_length_that_promises_too_little_is_seen_by_the_pins(publisher, answer, refuse, pinned):
    publisher.files["a.csv"] = BODY
    publisher.always["a.csv"] = answer(declared=1000)
    assert "1,000 bytes announced" in refuse(pinned(publisher.url("a.csv"), BODY)).found


@pytest.mark.parametrize("form", ["unsized", "chunked"])
def test_a_body_without_length_that_ends_early_goes_on(publisher, answer, form, download, pinned, unpinned):
    publisher.files = {"a.csv": BODY, "a.zip": zip_of(a=BODY)}
    for source in (pinned(publisher.url("a.csv"), BODY), unpinned(publisher.url("a.zip"))):
        size = len(publisher.files[source.name])
        publisher.script[source.name] = [answer(cut_after=CUT, **{form: True}), answer(**{form: True})]
        folder = download(source)
        assert (folder / source.name).read_bytes() == publisher.files[source.name]
        assert publisher.sent(source.name) == [CUT, size - CUT]


def test_a_chunked_body_that_is_cut_goes_on_without_pins(publisher, answer, download, unpinned):
    publisher.files["a.csv"] = BODY
    publisher.script["a.csv"] = [answer(cut_after=CUT, chunked=True)]
    assert (download(unpinned(publisher.url("a.csv"))) / "a.csv").read_bytes() == BODY


def test_a_silent_server_is_left_and_the_file_continued(publisher, answer, download, pinned):
    publisher.files["a.csv"] = BODY
    publisher.script["a.csv"] = [answer(hold_after=CUT)]
    folder = download(pinned(publisher.url("a.csv"), BODY), timeout_s=0.5)
    assert (folder / "a.csv").read_bytes() == BODY
    assert publisher.statuses("a.csv") == [200, 206]


def test_a_redirect_is_followed_and_continued(publisher, answer, download, pinned):
    publisher.files["new.csv"] = BODY
    publisher.always["old.csv"] = answer(302, b"", headers={"Location": publisher.url("new.csv")})
    publisher.script["new.csv"] = [answer(cut_after=CUT)]
    folder = download(pinned(publisher.url("old.csv"), BODY))
    assert (folder / "old.csv").read_bytes() == BODY
    assert publisher.sent("new.csv") == [CUT, len(BODY) - CUT]


def test_a_gz_file_that_the_server_calls_an_encoding_stays_as_published(publisher, answer, download, unpinned):
    publisher.files["a.csv.gz"] = gzip.compress(BODY, mtime=0)
    publisher.always["a.csv.gz"] = answer(headers={"Content-Encoding": "gzip"})
    folder = download(unpinned(publisher.url("a.csv.gz")))
    assert (folder / "a.csv.gz").read_bytes() == publisher.files["a.csv.gz"]


def test_files_are_asked_for_as_they_are_published(publisher, download, unpinned):
    """A body compressed on the way could not be continued."""
    publisher.files["a.csv"] = BODY
    download(unpinned(publisher.url("a.csv")))
    assert [seen.accept_encoding for seen in publisher.seen] == ["identity"]


def test_a_body_compressed_unasked_is_refused(publisher, answer, refuse, unpinned):
    publisher.files["a.csv"] = gzip.compress(BODY)
    publisher.always["a.csv"] = answer(headers={"Content-Encoding": "gzip"})
    assert "compressed with gzip" in refuse(unpinned(publisher.url("a.csv"))).found


def test_an_unknown_certificate_is_refused_at_once(tls_publisher, monkeypatch, download, refuse, unpinned):
    server, certificate = tls_publisher
    server.files["a.csv"] = BODY
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    error = refuse(unpinned(server.url("a.csv")))
    assert "a certificate that this machine does not trust" in error.found
    assert not server.seen
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert (download(unpinned(server.url("a.csv"))) / "a.csv").read_bytes() == BODY


def test_a_new_version_that_is_shorter_leaves_nothing_of_the_old(publisher, answer, download, refuse, unpinned):
    publisher.files["a.csv"] = BODY
    publisher.script["a.csv"] = [answer(cut_after=CUT), answer(503)]
    refuse(unpinned(publisher.url("a.csv")), attempts=1)
    publisher.script.clear()
    publisher.files["a.csv"], publisher.versions["a.csv"] = BODY[:1000], "2"
    assert (download(unpinned(publisher.url("a.csv"))) / "a.csv").read_bytes() == BODY[:1000]


def test_a_server_that_continues_another_version_is_read_from_the_start(publisher, answer, download, refuse, unpinned):
    publisher.files["a.csv"] = BODY
    publisher.script["a.csv"] = [answer(cut_after=CUT), answer(503)]
    refuse(unpinned(publisher.url("a.csv")), attempts=1)
    publisher.script["a.csv"] = [answer(careless=True)]
    publisher.files["a.csv"], publisher.versions["a.csv"] = BODY[::-1], "2"
    assert (download(unpinned(publisher.url("a.csv"))) / "a.csv").read_bytes() == BODY[::-1]
