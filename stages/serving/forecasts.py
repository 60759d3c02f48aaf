"""What is forecast now, as JSON, and what was forecast against what came true, as a page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

import polars as pl

from stages.forecasts import pictures
from stages.forecasts.judged import daily_errors, judge_horizons, judge_periods
from stages.forecasts.log import ForecastLog, as_said
from stages.forecasts.made import make_forecasts
from stages.forecasts.tables import forecast_table, horizon_table
from stages.metrics.forecast import NOMINAL
from stages.models.forecasts import DUE_AT, HORIZON, MADE_AT, SERIES
from stages.records.contract import load_dataset
from stages.runtime.log import log
from stages.serving.champion import Served
from stages.serving.problems import Problem
from stages.serving.raw import Knowledge
from stages.workspace.errors import UserError

PICTURE_DAYS, JUDGED_DAYS = 14, 366
SHOWN = 12  # forecasts in the table before the rest is folded away


@dataclass(frozen=True)
class Latest:
    """The forecasts of every series from its last record."""

    forecasts: pl.DataFrame
    is_kept: bool
    """Whether the log has them."""


class Forecasts:
    """What the bundles that forecast say now, made once for each version of what is known; threads share it."""

    def __init__(self, knowledge: Knowledge, folder: Path | None) -> None:
        self._knowledge, self._folder, self._turn = knowledge, folder, Lock()
        self._made: dict[str, tuple[tuple[str, str], Latest]] = {}

    def log_of(self, served: Served) -> ForecastLog | None:
        """The log of a model's dataset; None where forecasts are not kept."""
        dataset = str(served.bundle.signature["dataset"])
        return None if self._folder is None else ForecastLog(self._folder / f"{dataset}.sqlite", dataset)

    def latest(self, served: Served) -> Latest:
        """The forecasts from what is known now; they are kept, and what came true with them, before they are told."""
        refuse_others(served)
        known = self._knowledge.of(served)
        known.refresh()
        key = (served.manifest, known.version)
        with self._turn:
            found, latest = self._made.get(served.name, (None, None))
            if latest is None or found != key or (self._folder and not latest.is_kept):
                latest = self._make(served)
                self._made[served.name] = key, latest
            return latest

    def _make(self, served: Served) -> Latest:
        try:
            newest = self._knowledge.of(served).newest()
        except UserError as error:
            raise Problem(422, f"wanted {error.wanted}, found {error.found}") from None
        made = make_forecasts(served.bundle.model, served.bundle.signature, newest.features, newest.observed)
        if (kept_in := self.log_of(served)) is None:
            return Latest(made, is_kept=False)
        now = datetime.now(UTC).replace(tzinfo=None)
        try:
            kept_in.hear(newest.observed, heard_at=now)
            kept = kept_in.keep(made, model=served.manifest, way="served", logged_at=now)
        except UserError as error:  # an answer that cannot be kept is an answer
            log.warning("the forecasts of %s are not kept: %s", served.name, error.found)
            return Latest(made, is_kept=False)
        if kept.differing:
            log.warning("%s: %d forecasts were kept before with another value", served.name, len(kept.differing))
        return Latest(made, is_kept=True)


def forecasts_of(dataset: str) -> bool:
    """Whether a dataset is one of forecasts."""
    try:
        return load_dataset(dataset).observed is not None
    except ModuleNotFoundError:
        return False


def refuse_others(served: Served) -> None:
    """Stop where a model answers rows and does not forecast."""
    if not forecasts_of(str(served.bundle.signature["dataset"])):
        raise Problem(404, "wanted a model that forecasts, found one that answers rows")


def plain_forecasts(latest: Latest) -> list[dict[str, Any]]:
    """Forecasts as JSON has them: moments in UTC, values of the series."""
    names = (SERIES, HORIZON, MADE_AT, DUE_AT, "now", "forecast", "low", "median", "high", "naive")
    moments = pl.selectors.datetime().dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return latest.forecasts.select(names).with_columns(moments, pl.selectors.float().round_sig_figs(7)).to_dicts()


def newest_of(said: pl.DataFrame) -> pl.DataFrame:
    """The last forecasts of every series, with what came true only where anything has."""
    newest = said.filter(pl.col(MADE_AT) == pl.col(MADE_AT).max().over(SERIES))
    return newest.drop("value") if newest["value"].null_count() == len(newest) else newest


def tell_page(served: Served, forecasts: Forecasts, series: str, horizon: str) -> dict[str, Any]:
    """All that the page shows; of the series and horizon that were chosen, by default the first ones."""
    refuse_others(served)
    unit, wrong = str(served.bundle.signature.get("target_unit", "")), ""
    try:
        forecasts.latest(served)
    except Problem as problem:
        wrong = problem.detail
    kept_in = forecasts.log_of(served)
    last = kept_in.newest() if kept_in else None
    told: dict[str, Any] = {"served": served, "wrong": wrong, "last": last, "unit": unit, "many": [], "ahead": []}
    if kept_in is None or last is None:
        return told
    said = as_said(kept_in.read(last - timedelta(days=JUDGED_DAYS)))
    ahead = said.group_by(HORIZON).agg((pl.col(DUE_AT) - pl.col(MADE_AT)).mean().alias("ahead")).sort("ahead")
    many, horizons = said[SERIES].unique().sort().to_list(), ahead[HORIZON].to_list()
    series, horizon = series or many[0], horizon or horizons[0]
    if series not in many or horizon not in horizons:
        raise Problem(404, "wanted a series and a horizon that were forecast, found others")
    own = said.filter(pl.col(HORIZON) == horizon)
    one = own.filter((pl.col(SERIES) == series) & (pl.col(MADE_AT) >= last - timedelta(days=PICTURE_DAYS)))
    outcomes = kept_in.outcomes(last - timedelta(days=PICTURE_DAYS)).filter(pl.col("series") == series)
    judged = judge_horizons(said)
    told |= {
        "many": many, "ahead": horizons, "series": series, "horizon": horizon, "versions": said["model"].n_unique(),
        "n": len(said), "open": int(said["value"].null_count()), "replayed": int((said["way"] == "replayed").sum()),
        "revised": int((said["revision"] > 0).sum()),
        "reality": pictures.against_reality(one, outcomes, series) if len(one) else "",
        "did": horizon_table(judged, unit) if judged else None,
        "last_ones": forecast_table(newest_of(said), SHOWN),
        "errors": "", "coverage": "",
    }  # fmt: skip
    if own["value"].null_count() < len(own):
        told["errors"] = pictures.errors_over_time(daily_errors(own), "mean absolute error")
        told["coverage"] = pictures.coverage_over_time(judge_periods(own), NOMINAL)
    return told
