"""Fetch the published files of one dataset, untouched.

Reads   the dataset's sources: installed packages, apt, folders, http(s), s3; the lock file that `download.lock` names
Writes  data/raw/<dataset>/       the files as published; manifest.json: name, location, bytes, sha256 of each
        the lock file             size and sha256 of what was fetched for the first time: to be committed
Params  datasets.<dataset>.download, cluster
"""

import time
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from stages.runtime.cache import open_cache
from stages.runtime.log import log, start_log
from stages.sources.certificates import read_certificates
from stages.sources.fetch import (
    count_cached,
    fetch_sources,
    gathering_folder,
    name_series,
    name_source,
    place_files,
)
from stages.sources.locations import Client, check_mirror
from stages.sources.lock import open_lock
from stages.sources.months import check_pattern, expand_months
from stages.sources.transfer import Source
from stages.workspace import layout
from stages.workspace.errors import run_stage
from stages.workspace.settings import Settings, read_settings, read_workers


def _months(value: Any) -> list[str]:
    """The months that are asked for, one by one."""
    if not isinstance(value, str) and not (isinstance(value, list) and all(isinstance(text, str) for text in value)):
        raise PydanticCustomError("months", "months are written 2008-01, 2004-01..2008-12 or a list of both")
    try:
        return expand_months(value)
    except ValueError as error:
        raise PydanticCustomError("months", "{reason}", {"reason": str(error)}) from None


def _pattern(value: str) -> str:
    try:
        check_pattern(value)
    except ValueError as error:
        raise PydanticCustomError("pattern", "{reason}", {"reason": str(error)}) from None
    return value


Months = Annotated[list[str], BeforeValidator(_months)]
Pattern = Annotated[str, AfterValidator(_pattern)]


class SourceSettings(Settings):
    """One published file.  Without ``bytes`` and ``sha256`` whatever is published on the day is taken."""

    location: str = Field(min_length=1, description="package:// or apt://<package>/<path>, a path, http(s):// or s3://")
    name: str | None = Field(None, min_length=1, description="file name, where the location does not end in one")
    bytes: int | None = Field(None, ge=0)
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    licence: str | None = None


class SeriesSettings(Settings):
    """A file for each month."""

    location: Pattern = Field(min_length=1, description="with {year} and {month}, or {month:02d}")
    months: Months = Field(description="2008-01, 1987-10..2026-06, or a list of both")
    name: Pattern | None = Field(None, description="file names, where the locations do not end in them")
    licence: str | None = None


class CertificateSettings(Settings):
    """What a server forgets to send of its certificate chain."""

    host: str = Field(pattern="^[a-z0-9.-]+$", description="for which alone it counts")
    file: str = Field(min_length=1, description="PEM")


class DownloadSettings(Settings):
    """Where a dataset comes from and how patiently it is fetched."""

    mirror: str | None = Field(min_length=1, description="folder or URL that holds all files under their names")
    attempts: int = Field(ge=1, description="attempts in a row without a new byte before a source has failed")
    timeout_s: float = Field(gt=0, description="longest silence of a server")
    series: SeriesSettings | None = None
    sources: list[SourceSettings] = Field(default_factory=list, validate_default=True)
    lock: str | None = Field(None, min_length=1, description="committed file that records what was fetched first")
    accept: list[str] = Field(default_factory=list, description="months or file names taken even if they have changed")
    certificates: list[CertificateSettings] = Field(default_factory=list)

    @field_validator("sources")
    @classmethod
    def _at_least_one(cls, sources: list[SourceSettings], info: ValidationInfo) -> list[SourceSettings]:
        if not sources and "series" in info.data and info.data["series"] is None:
            raise PydanticCustomError("nothing", "at least one source, or a `series` of monthly files")
        return sources

    def name_sources(self) -> list[Source]:
        """The single files, then those of the series in order of time."""
        named = [name_source(mirror=self.mirror, **source.model_dump()) for source in self.sources]
        return named + (name_series(mirror=self.mirror, **self.series.model_dump()) if self.series else [])


def main(dataset: str) -> None:
    """Fetch every source of ``dataset`` and lay them down together."""
    settings, workers = read_settings(DownloadSettings, dataset=dataset, section="download"), read_workers()
    check_mirror(settings.mirror)
    client = Client(settings.timeout_s, read_certificates([(pair.host, pair.file) for pair in settings.certificates]))
    lock, started = open_lock(settings.lock), time.perf_counter()
    sources = lock.pin(settings.name_sources(), accept=settings.accept)

    with gathering_folder(dataset) as gathering:
        fetched = fetch_sources(
            sources, gathering, attempts=settings.attempts, client=client, workers=workers, cache=open_cache(workers)
        )
        lock.record(fetched)  # before the files leave the gathering folder: a run killed here goes on from both
        place_files(layout.raw(dataset), fetched)

    megabytes, seconds = sum(file.bytes for file in fetched) / 1e6, time.perf_counter() - started
    cached = f" ({n} from the cache)" if (n := count_cached(fetched)) else ""
    log.info("%s: %d files%s, %.1f MB, %.1f s", dataset, len(fetched), cached, megabytes, seconds)


if __name__ == "__main__":
    start_log()
    run_stage(main)
