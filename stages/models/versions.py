"""How is a forecast scored by the boosters and the interval that were in use when it was made?

A model keeps all its versions, and where the quantiles lay on every day, so that a row's scores depend on that row and
the model alone.  A row that does not tell when it was made is scored by the latest.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.models.adaptive import DAY_US, Shifts
from stages.models.contract import DamagedModel, Float32
from stages.models.forecasts import HORIZON, MADE_AT, QUANTILES, NaiveForecast, naive_from_json, scores_of
from stages.models.trees import MODEL, Trees, load_trees

Float = NDArray[np.float64]
Int = NDArray[np.int64]

FILE, CONTENT, FORMAT = "model.zip", "model.json", 1
VOLATILITY = "volatility_bp"
ALWAYS, NOW = int(np.iinfo(np.int64).min), int(np.iinfo(np.int64).max)
"""Moments before and after all others."""


@dataclass(frozen=True)
class Version:
    """The boosters in use from a moment on, in microseconds since 1970, by horizon."""

    since_us: int
    points: Mapping[str, Trees]


@dataclass(frozen=True)
class Direct:
    """A fitted model: versions in order of time; horizons without boosters have the naive point."""

    features: list[str]
    naive: NaiveForecast
    versions: tuple[Version, ...]
    interval: str
    shifts: Mapping[str, Shifts] = field(default_factory=dict)
    """By horizon."""

    def predict(self, rows: pl.DataFrame) -> Float32:
        """Scores (rows, 7): see `stages.models.forecasts`."""
        made, point = moments(rows), self.point(rows)
        horizons, bands = rows[HORIZON].cast(pl.String).to_numpy(), np.repeat(point[:, None], len(QUANTILES), axis=1)
        units = self.units(rows)
        for horizon, shifts in self.shifts.items():
            mine = np.flatnonzero(horizons == horizon)
            bands[mine] += shifts.on(made[mine] // DAY_US) * units[mine, None]
        return scores_of(point, bands, self.naive, rows, naive=self.naive.point(rows))

    def point(self, rows: pl.DataFrame) -> Float32:
        """The expected changes (rows,)."""
        found, horizons = self.naive.point(rows), rows[HORIZON].cast(pl.String).to_numpy()
        starts = np.array([version.since_us for version in self.versions])
        places = np.clip(np.searchsorted(starts, moments(rows), side="right") - 1, 0, None)
        for place in np.unique(places):
            for horizon, trees in self.versions[place].points.items():
                mine = np.flatnonzero((places == place) & (horizons == horizon))
                if len(mine):
                    found[mine] = trees.predict(rows[mine])
        return found

    def units(self, rows: pl.DataFrame) -> Float:
        """What a shift of one stands for in each row, in the unit of the target."""
        if self.interval == "even":
            return np.ones(len(rows))
        return rows[VOLATILITY].cast(pl.Float64).fill_null(0.0).to_numpy()

    def contributions(self, _rows: pl.DataFrame) -> Float32 | None:
        """None: a point and shifts of a day are no one sum."""
        return None

    def use_threads(self, threads: int) -> None:
        """Score with so many threads from now on."""
        for version in self.versions:
            for trees in version.points.values():
                trees.use_threads(threads)

    def files(self) -> dict[str, bytes]:
        """One archive: `CONTENT`, and a file of XGBoost's for each booster."""
        content = {
            "format": FORMAT,
            "features": self.features,
            "naive": self.naive.to_json(),
            "interval": self.interval,
            "since_us": [version.since_us for version in self.versions],
            "shifts": {
                horizon: {"days": shifts.days.tolist(), "values": shifts.values.tolist()}
                for horizon, shifts in self.shifts.items()
            },
        }
        found = {CONTENT: json.dumps(content).encode()}
        for number, version in enumerate(self.versions):
            found |= {f"{number}/{horizon}.ubj": trees.raw() for horizon, trees in version.points.items()}
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, each in found.items():  # an entry made by name alone would tell the time of day
                archive.writestr(zipfile.ZipInfo(name), each, zipfile.ZIP_DEFLATED)
        return {FILE: buffer.getvalue()}


def moments(rows: pl.DataFrame, column: str = MADE_AT) -> Int:
    """In microseconds since 1970, when each forecast is made, or due; after all others where the rows do not tell."""
    if column not in rows.columns:
        return np.full(len(rows), NOW)
    return rows[column].cast(pl.Datetime("us")).to_physical().fill_null(NOW).to_numpy()


def load(files: Mapping[str, bytes]) -> Direct:
    """The inverse of `Direct.files`."""
    try:
        with zipfile.ZipFile(io.BytesIO(files[FILE])) as archive:
            content = json.loads(archive.read(CONTENT))
            points: list[dict[str, Trees]] = [{} for _ in content["since_us"]]
            for name in archive.namelist():
                if name != CONTENT:
                    number, _, file = name.partition("/")
                    points[int(number)][file.removesuffix(".ubj")] = load_trees({MODEL: archive.read(name)})
        shifts = {
            horizon: Shifts(np.array(each["days"], np.int64), np.array(each["values"]).reshape(-1, len(QUANTILES)))
            for horizon, each in content["shifts"].items()
        }
        versions = tuple(Version(since, own) for since, own in zip(content["since_us"], points, strict=True))
        naive = naive_from_json(content["naive"])
        return Direct(list(content["features"]), naive, versions, str(content["interval"]), shifts)
    except (KeyError, TypeError, ValueError, IndexError, zipfile.BadZipFile) as error:
        raise DamagedModel(f"{FILE}: {error}") from error
