"""Read a source from an S3 bucket or a server that speaks S3, in ranges, so that it can be continued.

Endpoint, region, keys and profile come from the usual ``AWS_*`` variables and files; a machine that has no keys reads
public buckets anonymously.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import botocore.exceptions  # type: ignore[import-untyped]
import fsspec  # type: ignore[import-untyped]

from stages.sources.locations import CORRECT, Absent, Body, Interrupted, shown, unresolved
from stages.workspace.errors import UserError

RANGE_BYTES = 8 << 20
PASSING = (
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.ConnectionError,
    botocore.exceptions.ResponseStreamingError,
    aiohttp.ClientError,
    TimeoutError,
    ConnectionError,
)
PASSING_ERRNO = (errno.EBUSY, errno.EREMOTEIO, errno.ESTALE)  # s3fs: busy or slow down, server error, changed meanwhile


@contextmanager
def open_s3(location: str, start: int, tag: str, timeout_s: float) -> Iterator[Body]:
    """Open one object; it is continued at ``start`` if its ETag is still ``tag``."""
    with _failures(location):
        files = _connect(timeout_s, anonymous=False)
        try:
            about = files.info(location)
        except botocore.exceptions.NoCredentialsError:
            files = _connect(timeout_s, anonymous=True)
            about = files.info(location)
        if about["type"] != "file":
            raise UserError(shown(location), "a folder, not an object", CORRECT)
    etag, total = str(about.get("ETag", "")), int(about["size"])
    start = start if etag and etag == tag and start <= total else 0
    yield Body(_chunks(files, location, start), start, total, etag)


def _connect(timeout_s: float, *, anonymous: bool) -> Any:
    # A ranged answer of some servers carries the checksum of the whole object, which the client would refuse; the
    # file is checked as a whole when it is complete.
    settings = {
        "response_checksum_validation": "when_required",
        "connect_timeout": timeout_s,
        "read_timeout": timeout_s,
        "retries": {"total_max_attempts": 1},
    }
    files = fsspec.filesystem("s3", anon=anonymous, config_kwargs=settings, skip_instance_cache=True)
    files.retries = 1  # attempts are counted in one place
    return files


def _chunks(files: Any, location: str, start: int) -> Iterator[bytes]:
    with _failures(location), files.open(location, "rb", block_size=RANGE_BYTES, cache_type="none") as file:
        file.seek(start)
        while chunk := file.read(RANGE_BYTES):
            yield chunk


@contextmanager
def _failures(location: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise Absent(shown(location), "no such bucket or object", CORRECT) from None
    except PermissionError as error:
        keys = "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE and AWS_ENDPOINT_URL"
        raise UserError(shown(location), f"the server refuses access: {error}", keys) from error
    except botocore.exceptions.SSLError as error:
        trust = "set AWS_CA_BUNDLE to a file with your organisation's certificates; verification is never switched off"
        raise UserError(shown(location), f"no trusted connection: {error}", trust) from error
    except PASSING as error:
        raise unresolved(location, error) or Interrupted(str(error) or type(error).__name__) from error
    except OSError as error:
        if error.errno in PASSING_ERRNO:
            raise Interrupted(str(error)) from error
        raise UserError(shown(location), str(error), CORRECT) from error
    except botocore.exceptions.BotoCoreError as error:
        raise UserError(shown(location), str(error), "check the AWS_* variables") from error
