"""Objects arrive from a real S3 server; what it refuses is told in plain words."""

import json

import fsspec
import numpy as np
import pytest

from stages.sources import transfer
from stages.sources.fetch import GATHERING

BODY = np.random.default_rng(1).bytes(300_000)


def test_a_large_object_arrives_in_ranges_although_the_server_gives_the_checksum_of_the_whole(s3, download, pinned):
    body = np.random.default_rng(2).bytes(20_000_000)
    bucket = fsspec.filesystem("s3", skip_instance_cache=True)
    bucket.pipe_file("s3://bucket/large.bin", body, chunksize=1 << 30)  # in one piece, with its checksum
    folder = download(pinned("s3://bucket/large.bin", body))
    assert (folder / "large.bin").read_bytes() == body


def test_an_object_continues_only_as_the_same_object(s3, download, unpinned):
    body = np.random.default_rng(3).bytes(9_000_000)
    (s3.bucket / "b.bin").write_bytes(body)
    source = unpinned("s3://bucket/b.bin")
    etag = fsspec.filesystem("s3", skip_instance_cache=True).info("s3://bucket/b.bin")["ETag"]
    for tag, begun, expected in [(etag, body[:1000], body), ('"older"', b"x" * 1000, body)]:
        part = transfer.part_path(GATHERING / "case", source)
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(begun)
        part.with_suffix(".json").write_text(json.dumps({"tag": tag}))
        assert (download(source) / "b.bin").read_bytes() == expected


@pytest.mark.parametrize("location", ["s3://bucket/missing.csv", "s3://no-such-bucket/a.csv"])
def test_a_missing_object_or_bucket_is_a_plain_error(s3, location, refuse, unpinned):
    error = refuse(unpinned(location))
    assert location in error.wanted
    assert "no such bucket or object" in error.found


def test_a_wrong_key_is_refused_in_plain_words(s3, monkeypatch, refuse, unpinned):
    (s3.bucket / "a.csv").write_bytes(BODY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    error = refuse(unpinned("s3://bucket/a.csv"))
    assert "refuses access" in error.found
    assert "AWS_SECRET_ACCESS_KEY" in error.next_step


def test_an_s3_server_that_is_away_is_given_up_after_the_attempts(s3, publisher, monkeypatch, refuse, unpinned):
    monkeypatch.setenv("AWS_ENDPOINT_URL", publisher.url("").rstrip("/"))
    publisher.stop()
    error = refuse(unpinned("s3://bucket/a.csv"), attempts=2, timeout_s=2.0)
    assert "2 times in a row" in error.found


def test_an_s3_server_whose_name_is_not_found_is_given_up_at_once(s3, monkeypatch, refuse, unpinned):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://nowhere.invalid")
    error = refuse(unpinned("s3://bucket/a.csv"), attempts=50)
    assert "the host nowhere.invalid is not found" in error.found
    assert "check the network" in error.next_step


def test_a_machine_without_keys_reads_public_buckets(public_s3, download, unpinned):
    (public_s3.bucket / "a.csv").write_bytes(BODY)
    assert (download(unpinned("s3://bucket/a.csv")) / "a.csv").read_bytes() == BODY
