"""A booster for each horizon, fitted again as time goes on, with intervals that recent errors make.

Direct multi-horizon forecasts: each horizon has a booster of its own, so that errors do not add up from step to step
(Ben Taieb and others, "A review and comparison of strategies for multi-step ahead time series forecasting", Expert
Systems with Applications 39, 2012).

*Refits.*  The boosters of the train part judge the valid part and choose the number of rounds.  From the beginning of
the test part on, and again with each of its months or years, all are fitted to every line that had come due by then.  A
row is scored by the boosters in use when its forecast was made; one that does not tell, by the latest.

*The point* is the booster's only at horizons at which it errs less than the naive forecast on the valid part, by more
than twice the standard error of the difference over runs of days; elsewhere it is the naive one.

*Intervals* are quantiles of errors: for every day and horizon, of those forecasts that came due within the days before
(split conformal prediction over a window that moves), and whenever more of these lay outside than should have, the
level asked of the next day's quantile moves on (Gibbs & Candès, "Adaptive conformal inference under distribution
shift", NeurIPS 2021).  Each of these was a forecast of a row that its booster had not seen.  What comes of it is kept
with the model by day, so that a row's scores depend on that row and the model alone.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from stages.models.contract import DamagedModel, Family, FamilySettings, Fit, Float32
from stages.models.forecasts import (
    DUE_AT,
    HORIZON,
    MADE_AT,
    QUANTILES,
    TASK,
    NaiveForecast,
    fit_naive,
    naive_from_json,
    scores_of,
)
from stages.models.lean_xgboost import xgb
from stages.models.trees import MODEL, Partitions, Trees, bin_rows, boost, load_trees, parameters_of

if TYPE_CHECKING:
    from stages.features.table import FeatureTable
    from stages.models.rows import Training

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Curve = tuple[Sequence[float], Sequence[float]]
FILE, CONTENT, FORMAT = "model.zip", "model.json", 1
VOLATILITY = "volatility_bp"
RUN_DAYS = 5
FEWEST = 50  # errors that a quantile is taken of
NORMAL = (-1.2815516, 0.0, 1.2815516)  # quantiles of the standard normal distribution
EXTREMES = (0.002, 0.998)  # levels that no adaptation leaves
EPOCH = datetime(1970, 1, 1)
DAY_US = 86_400_000_000
ALWAYS = int(np.iinfo(np.int64).min)


class DirectSettings(FamilySettings):
    """XGBoost's own names, then when boosters are fitted anew, and how points and intervals come about."""

    max_depth: int = Field(ge=1, le=20)
    learning_rate: float = Field(gt=0, le=1)
    min_child_weight: float = Field(ge=0)
    subsample: float = Field(gt=0, le=1)
    colsample_bytree: float = Field(gt=0, le=1)
    reg_lambda: float = Field(ge=0)
    max_bin: int = Field(ge=2, le=65_536)
    max_rounds: int = Field(ge=1)
    early_stopping_rounds: int = Field(ge=1)
    refit: Literal["none", "month", "year"] = Field(description="how often, in the test part")
    point: Literal["tested", "boosted", "naive"] = Field(description="tested: boosted where it beats the naive one")
    interval: Literal["even", "volatility"] = Field(description=f"volatility: as wide as the feature {VOLATILITY} says")
    calibrate_days: int = Field(ge=1, description="how far back errors count for the intervals")
    adapt: float = Field(ge=0, le=1, description="by how much of a day's miss the level of the next day moves")

    def of_trees(self) -> dict[str, Any]:
        """What XGBoost is told, beside bins and rounds."""
        names = ("max_depth", "learning_rate", "min_child_weight", "subsample", "colsample_bytree", "reg_lambda")
        return self.model_dump(include=set(names))


# ── the model ────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Shifts:
    """By day since 1970, ascending, where the quantiles lie around the point, (days, 3)."""

    days: Int
    values: Float

    def on(self, days: Int) -> Float:
        """Those in use on each day, (rows, 3)."""
        return self.values[np.clip(np.searchsorted(self.days, days, side="right") - 1, 0, None)]


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


def moments(rows: pl.DataFrame) -> Int:
    """When each forecast is made, in microseconds since 1970; after all others where the rows do not tell."""
    if MADE_AT not in rows.columns:
        return np.full(len(rows), np.iinfo(np.int64).max)
    return rows[MADE_AT].cast(pl.Datetime("us")).to_physical().to_numpy()


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


# ── fitting ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Lines:
    """The lines of one horizon, partition by partition; ``kept`` where memory has room, else read for each pass."""

    table: FeatureTable
    horizon: str
    kept: tuple[pl.DataFrame, ...] | None = None

    @classmethod
    def opened(cls, table: FeatureTable, horizon: str, limit_bytes: int) -> Lines:
        """Read once where a tenth of the memory is enough: XGBoost passes four times, and every refit anew."""
        values = sum(partition["rows"] for partition in table.partitions) * (len(table.names) + 4)
        lines = cls(table, horizon)
        return replace(lines, kept=tuple(lines.read())) if 10 * 4 * values < limit_bytes else lines

    @property
    def features(self) -> list[str]:
        """What its booster sees: the horizon tells it nothing."""
        return [name for name in self.table.names if name != HORIZON]

    def read(self) -> Iterator[pl.DataFrame]:
        """All labelled lines, with their part and moments."""
        for partition in self.table.partitions:
            yield self.table.read_where(
                partition["name"], pl.col(HORIZON) == self.horizon, [*self.table.names, "part", MADE_AT, DUE_AT]
            )

    def chosen(self, which: pl.Expr) -> Callable[[], Iterator[pl.DataFrame]]:
        """A pass over those for which ``which`` holds."""
        return lambda: (
            own for frame in (self.read() if self.kept is None else self.kept) if len(own := frame.filter(which))
        )

    def of(self, *parts: str) -> Callable[[], Iterator[pl.DataFrame]]:
        """A pass over those of parts."""
        return self.chosen(pl.col("part").is_in(parts))


def fit(training: Training, settings: DirectSettings) -> Fit:
    """Horizon by horizon a booster of the train part, then others as time goes on, then where quantiles lie."""
    table, naive = training.table, fit_naive(training.table)
    moved_on = [ALWAYS, *cuts(table, settings.refit)]
    boosters: dict[str, list[Trees]] = {}
    shifts: dict[str, Shifts] = {}
    curves: list[Curve] = []
    for horizon in naive.chosen:
        lines = Lines.opened(table, horizon, training.limit_bytes)
        found = _fit_first(training, settings, lines)
        curves.append((found.train_losses, found.valid_losses))
        own: list[Trees] = []
        if settings.point == "boosted" or (settings.point == "tested" and beats_naive(lines, naive, _trees(found))):
            rounds = found.best_round + 1
            own = [_trees(found), *(_fit_again(training, settings, lines, cut, rounds) for cut in moved_on[1:])]
            boosters[horizon] = own
        alone = tuple(Version(since, {horizon: trees}) for since, trees in zip(moved_on, own, strict=False))
        model = Direct(table.names, naive, alone or (Version(ALWAYS, {}),), settings.interval)
        shifts[horizon] = shifts_of(model, lines, settings.calibrate_days, settings.adapt)
    versions = tuple(
        Version(since, {horizon: own[place] for horizon, own in boosters.items()})
        for place, since in enumerate(moved_on)
    )
    train_losses, valid_losses = (np.mean([_padded(each[part], curves) for each in curves], axis=0) for part in (0, 1))
    best = int(np.argmin(valid_losses))
    training.each_round(best, float(train_losses[best]), float(valid_losses[best]))
    model = Direct(table.names, naive, versions, settings.interval, shifts)
    return Fit(model, "rmse", best, tuple(train_losses.tolist()), tuple(valid_losses.tolist()))


def _padded(losses: Sequence[float], curves: Sequence[Curve]) -> Float:
    """A curve that stays where it ended, as long as the longest."""
    return np.array([*losses, *[losses[-1]] * (max(len(curve[1]) for curve in curves) - len(losses))])


def _fit_first(training: Training, settings: DirectSettings, lines: Lines) -> Fit:
    """The booster of the train part; the valid part chooses its rounds."""
    rows = bin_rows(
        lines.of("train"), lines.of("valid"), features=lines.features, target=training.table.target,
        max_bin=settings.max_bin, threads=training.threads,
    )  # fmt: skip
    return boost(
        rows, task="regression", classes=0, threads=training.threads, seed=training.seed, each_round=_untold,
        max_rounds=settings.max_rounds, early_stopping_rounds=settings.early_stopping_rounds, **settings.of_trees(),
    )  # fmt: skip


def _fit_again(training: Training, settings: DirectSettings, lines: Lines, cut_us: int, n_rounds: int) -> Trees:
    """The booster of all lines that had come due by a moment, of as many rounds as the first."""
    due = pl.col(DUE_AT) <= pl.lit(cut_us).cast(pl.Datetime("us"))
    source = Partitions(lines.chosen(due), lines.features, training.table.target)
    shared = {"max_bin": settings.max_bin, "nthread": training.threads or None}
    rows = xgb.QuantileDMatrix(source, enable_categorical=True, **shared)
    parameters = parameters_of(
        "regression", classes=0, max_bin=settings.max_bin, threads=training.threads, seed=training.seed,
        **settings.of_trees(),
    )  # fmt: skip
    return Trees(xgb.train(parameters, rows, n_rounds))


def _untold(_round: int, _train_loss: float, _valid_loss: float) -> None:
    """Rounds of so many boosters are no measure of how far a fit has come."""


def _trees(found: Fit) -> Trees:
    assert isinstance(found.model, Trees)
    return found.model


def cuts(table: FeatureTable, refit: str) -> list[int]:
    """The moments from which boosters are fitted anew, in microseconds since 1970."""
    parts = table.partition_names("test")
    if refit == "none" or not parts:
        return []
    bare = table.with_columns([])
    made = pl.concat([bare.read(partition, "test", [MADE_AT])[MADE_AT].unique() for partition in parts]).sort()
    periods = made.dt.truncate("1mo" if refit == "month" else "1y").unique().sort()
    return [_us(made[0]), *(_us(start) for start in periods if start > made[0])]


def _us(moment: datetime) -> int:
    return round((moment - EPOCH).total_seconds() * 1_000_000)


def beats_naive(lines: Lines, naive: NaiveForecast, trees: Trees) -> bool:
    """Whether a booster errs less on the valid part, by more than two standard errors over runs of days."""
    gained: dict[int, Float] = {}
    for frame in lines.of("valid")():
        y = frame[lines.table.target].cast(pl.Float64).to_numpy()
        less = np.abs(y - naive.point(frame)) - np.abs(y - trees.predict(frame))
        runs = moments(frame) // (DAY_US * RUN_DAYS)
        for run in np.unique(runs).tolist():
            mine = runs == run
            gained[run] = gained.get(run, np.zeros(2)) + np.array([less[mine].sum(), mine.sum()])
    n = len(gained)
    if n < 3:
        return False
    sums, rows = np.array([gained[run] for run in sorted(gained)]).T
    mean = sums.sum() / rows.sum()
    error = np.sqrt(((sums - mean * rows) ** 2).sum() * n / (n - 1)) / rows.sum()
    return bool(mean > 2 * error)


# ── intervals ────────────────────────────────────────────────────────────────────────────────────────────────────────
def shifts_of(model: Direct, lines: Lines, window_days: int, adapt: float) -> Shifts:
    """By day of the valid and the test part, where the quantiles of a horizon lie around the point."""
    pieces = []
    for frame in lines.of("valid", "test")():
        units = model.units(frame)
        errors = frame[lines.table.target].cast(pl.Float64).to_numpy() - model.point(frame).astype(np.float64)
        due, known = frame[DUE_AT].cast(pl.Datetime("us")).to_physical().to_numpy(), units > 0
        pieces.append((moments(frame)[known], due[known], errors[known] / units[known]))
    made, due, errors = (np.concatenate(part) for part in zip(*pieces, strict=True))
    width = 1.0 if model.interval == "volatility" else model.naive.lacking[lines.horizon][-1] / NORMAL[-1]
    first = tuple(width * quantile for quantile in NORMAL)
    return adaptive_shifts(made, due, errors, window_days=window_days, adapt=adapt, first=first)


def adaptive_shifts(
    made_us: Int, due_us: Int, errors: Float, *, window_days: int, adapt: float, first: Sequence[float]
) -> Shifts:
    """Quantiles of errors by day, from nothing that came due after the day began.

    Parameters
    ----------
    made_us, due_us, errors
        Of each forecast, in any order, (lines,).
    first
        The quantiles in use until `FEWEST` errors have come due.
    """
    order = np.argsort(due_us, kind="stable")
    due, made_days, errors = due_us[order], made_us[order] // DAY_US, errors[order]
    days = np.arange(made_days.min(), due[-1] // DAY_US + 2)
    levels, used = np.array(QUANTILES), np.empty((len(days), len(QUANTILES)))
    for place, day in enumerate(days.tolist()):
        start, news, stop = np.searchsorted(due, [(day - window_days) * DAY_US, (day - 1) * DAY_US, day * DAY_US])
        if stop - start < FEWEST:
            used[place] = first
            continue
        if stop > news:
            in_use = used[made_days[news:stop] - days[0]]
            missed = np.array(QUANTILES) - (errors[news:stop, None] <= in_use).mean(axis=0)
            levels = np.clip(levels + adapt * missed, *EXTREMES)
        used[place] = np.quantile(errors[start:stop], np.sort(levels))
    return Shifts(days.astype(np.int64), used)


def library() -> str:
    """The library that fits, with its version."""
    return f"XGBoost {xgb.__version__}"


def words(training: Mapping[str, Any], library: str) -> str:
    """What kind of model it is."""
    return f"A booster for each horizon ({library}, {training['best_round'] + 1} rounds) with adaptive intervals"


FAMILY = Family(
    name="direct", settings=DirectSettings, fit=fit, load=load, library=library, words=words, tasks=(TASK,),
    stops_early=True,
)  # fmt: skip
