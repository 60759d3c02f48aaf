"""Is a published file simulated?  `benchmarks.simulate` marks what it writes; no committed result may come of it."""

import zipfile
from pathlib import Path

import polars as pl

MEMBER = "SIMULATED.txt"  # in a zip, beside what the publisher puts there
METADATA = {"plumbline.simulated": "true"}  # of a parquet file


def is_simulated(file: Path) -> bool:
    """Whether a zip or a parquet file carries the mark; what cannot be read carries none."""
    try:
        if file.suffix == ".zip":
            with zipfile.ZipFile(file) as archive:
                return MEMBER in archive.namelist()
        if file.suffix == ".parquet":
            return pl.read_parquet_metadata(file).items() >= METADATA.items()
    except (zipfile.BadZipFile, OSError, pl.exceptions.PolarsError):
        pass  # its reader says what is wrong with it
    return False
