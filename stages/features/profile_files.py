"""The profile on disk: a parquet file of counts, its bins and what else there is to know in the file's metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from stages.features.profile import Cut, Profile
from stages.workspace.errors import UserError
from stages.workspace.files import whole_file

FORMAT, HEADER = 1, "plumbline"


def write_profile(
    path: Path, profiles: Mapping[str, Profile], cuts: Mapping[str, Sequence[Cut]], about: Mapping[str, Any]
) -> None:
    """Profiles by kind in one file: the counts that are not nought, and in its header the bins and ``about``."""
    parts, told = [], {}
    for kind, profile in profiles.items():
        for column, counts in profile.counts.items():
            unit, code = np.nonzero(counts)
            named = {name: pl.Series(name, [value]).new_from_index(0, len(unit))
                     for name, value in (("kind", kind), ("column", column))}  # fmt: skip
            parts.append(pl.DataFrame(named | {"unit": unit, "bin": code, "n": counts[unit, code]}))
        described = [asdict(cut) for cut in cuts[kind]]
        told[kind] = {"units": profile.units, "cuts": described}
    header = json.dumps({"format": FORMAT, "profiles": told, **about}, ensure_ascii=False, allow_nan=False)
    with whole_file(path) as aside:
        pl.concat(parts).write_parquet(
            aside, compression="zstd", compression_level=9, statistics=False, metadata={HEADER: header}
        )


def read_profile(path: Path) -> tuple[dict[str, Profile], dict[str, list[Cut]], dict[str, Any]]:
    """The inverse of `write_profile`."""
    again = "make the bundle again with `dvc repro`"
    if not path.exists():
        raise UserError(f"the profile {path}", "no such file: the bundle is from before there was one", again)
    try:
        header: dict[str, Any] = json.loads(pl.read_parquet_metadata(path)[HEADER])
        cells = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError, KeyError, ValueError) as error:
        found = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"a profile in {path}", f"a damaged file, or none of ours: {found}", again) from None
    if (found_format := header.pop("format")) != FORMAT:
        raise UserError(f"a profile of format {FORMAT} in {path}", f"format {found_format!r}", again)
    profiles, cuts = {}, {}
    for kind, told in header.pop("profiles").items():
        cuts[kind] = [_cut(entry) for entry in told["cuts"]]
        counts = {cut.name: np.zeros((len(told["units"]), cut.levels), np.int64) for cut in cuts[kind]}
        for (name,), own in cells.filter(pl.col("kind") == kind).partition_by("column", as_dict=True).items():
            counts[str(name)][own["unit"].to_numpy(), own["bin"].to_numpy()] = own["n"].to_numpy()
        profiles[kind] = Profile(tuple(told["units"]), counts)
    return profiles, cuts, header


def _cut(entry: Mapping[str, Any]) -> Cut:
    edges = entry["edges"]
    return Cut(entry["name"], None if edges is None else tuple(edges), tuple(entry["frequent"]), tuple(entry["known"]))
