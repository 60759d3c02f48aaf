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

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from stages.models.adaptive import DAY_US, Shifts, adaptive_shifts
from stages.models.binned import Partitions, bin_rows
from stages.models.contract import Family, Fit
from stages.models.forecasts import DUE_AT, HORIZON, MADE_AT, TASK, NaiveForecast, fit_naive
from stages.models.lean_xgboost import xgb
from stages.models.trees import BoosterSettings, Trees, boost, parameters_of
from stages.models.versions import ALWAYS, VOLATILITY, Direct, Version, load, moments

if TYPE_CHECKING:
    from stages.features.table import FeatureTable
    from stages.models.rows import Share, Training

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Curve = tuple[Sequence[float], Sequence[float]]
PARTS = ("train", "valid", "test")  # as records name them: no model knows of records
RUN_DAYS = 5  # at least: the weather of neighbouring days is alike
NORMAL = (-1.2815516, 0.0, 1.2815516)  # quantiles of the standard normal distribution
EPOCH = datetime(1970, 1, 1)


class DirectSettings(BoosterSettings):
    """And when boosters are fitted anew, and how points and intervals come about."""

    refit: Literal["none", "month", "year"] = Field(description="how often, in the test part")
    point: Literal["tested", "boosted", "naive"] = Field(description="tested: boosted where it beats the naive one")
    interval: Literal["even", "volatility"] = Field(description=f"volatility: as wide as the feature {VOLATILITY} says")
    calibrate_days: int = Field(ge=1, description="how far back errors count for the intervals")
    adapt: float = Field(ge=0, le=1, description="by how much of a day's miss the level of the next day moves")

    def of_trees(self) -> dict[str, Any]:
        """What XGBoost is told, beside bins and rounds."""
        names = ("max_depth", "learning_rate", "min_child_weight", "subsample", "colsample_bytree", "reg_lambda")
        return self.model_dump(include=set(names))


# ── fitting ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Lines:
    """The lines of one horizon, part by part; ``kept`` where memory has room, else read for each pass."""

    share: Share
    horizon: str
    kept: tuple[pl.DataFrame, ...] | None = None

    @classmethod
    def opened(cls, share: Share, horizon: str, limit_bytes: int) -> Lines:
        """Read once where a tenth of the memory is enough: XGBoost passes four times, and every refit anew."""
        values = sum(partition["rows"] for partition in share.train.partitions) * (len(share.train.names) + 4)
        lines = cls(share, horizon)
        return replace(lines, kept=tuple(lines.read())) if 10 * 4 * values < limit_bytes else lines

    @property
    def target(self) -> str:
        """What is to be forecast."""
        return self.share.train.target

    @property
    def features(self) -> list[str]:
        """What its booster sees: the horizon tells it nothing."""
        return [name for name in self.share.train.names if name != HORIZON]

    def read(self) -> Iterator[pl.DataFrame]:
        """All labelled lines of the parts, which follow one another, with their part and moments."""
        for part in PARTS:
            table = self.share.train if part == "train" else self.share.valid
            for frame in table.frames(part, [MADE_AT, DUE_AT]):
                yield frame.filter(pl.col(HORIZON) == self.horizon).with_columns(pl.lit(part).alias("part"))

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
    if settings.interval == "volatility" and VOLATILITY not in table.names:
        raise ValueError(
            f"the feature {VOLATILITY} among those of {table.dataset}, for model.interval: volatility",
            "none of that name",
            "have the dataset make it, marked `always`; or set model.interval: even",
        )
    moved_on = [ALWAYS, *cuts(training.share.valid, settings.refit)]
    boosters: dict[str, list[Trees]] = {}
    shifts: dict[str, Shifts] = {}
    curves: list[Curve] = []
    for horizon in naive.chosen:
        lines = Lines.opened(training.share, horizon, training.limit_bytes)
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
        lines.of("train"), lines.of("valid"), features=lines.features, target=lines.target,
        max_bin=settings.max_bin, threads=training.threads,
    )  # fmt: skip
    return boost(
        rows, task="regression", classes=0, threads=training.threads, seed=training.seed, each_round=_untold,
        max_rounds=settings.max_rounds, early_stopping_rounds=settings.early_stopping_rounds, **settings.of_trees(),
    )  # fmt: skip


def _fit_again(training: Training, settings: DirectSettings, lines: Lines, cut_us: int, n_rounds: int) -> Trees:
    """The booster of all lines that had come due by a moment, of as many rounds as the first."""
    due = pl.col(DUE_AT) <= pl.lit(cut_us).cast(pl.Datetime("us"))
    source = Partitions(lines.chosen(due), lines.features, lines.target)
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
    """Whether a booster errs less on the valid part, by more than two standard errors over runs of days.

    A run is at least twice as long as the horizon, because forecasts that are under way together err together.
    """
    made, due, less = [], [], []
    for frame in lines.of("valid")():
        y = frame[lines.target].cast(pl.Float64).to_numpy()
        less.append(np.abs(y - naive.point(frame)) - np.abs(y - trees.predict(frame)))
        made.append(moments(frame))
        due.append(moments(frame, DUE_AT))
    begun, gained = np.concatenate(made), np.concatenate(less)
    run = max(RUN_DAYS * DAY_US, 2 * int((np.concatenate(due) - begun).max()))
    _, runs = np.unique(begun // run, return_inverse=True)
    sums, rows = np.bincount(runs, gained), np.bincount(runs)
    n, mean = len(rows), gained.mean()
    if n < 3:
        return False
    error = np.sqrt(((sums - mean * rows) ** 2).sum() * n / (n - 1)) / rows.sum()
    return bool(mean > 2 * error)


# ── intervals ────────────────────────────────────────────────────────────────────────────────────────────────────────
def shifts_of(model: Direct, lines: Lines, window_days: int, adapt: float) -> Shifts:
    """By day of the valid and the test part, where the quantiles of a horizon lie around the point."""
    made, due, errors = [], [], []
    for frame in lines.of("valid", "test")():
        units = model.units(frame)
        lacking, known = frame[lines.target].cast(pl.Float64).to_numpy() - model.point(frame), units > 0
        made.append(moments(frame)[known])
        due.append(moments(frame, DUE_AT)[known])
        errors.append(lacking[known] / units[known])
    width = 1.0 if model.interval == "volatility" else model.naive.lacking[lines.horizon][-1] / NORMAL[-1]
    first = [width * quantile for quantile in NORMAL]
    come_due = (np.concatenate(made), np.concatenate(due), np.concatenate(errors))
    return adaptive_shifts(*come_due, window_days=window_days, adapt=adapt, first=first)


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
