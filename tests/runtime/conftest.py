"""The S3 server that the tests of sources start serves here as well."""

from tests.sources.conftest import s3, s3_server

__all__ = ["s3", "s3_server"]
