"""The same forecasts by mlforecast or statsforecast, from the same series at some of the same origins.

Nothing of the line is imported.  SERIES holds unique_id, ds, y and, as they were known a step before, other columns; on
a regular grid, for both libraries need one.  mlforecast grows XGBoost's trees, a model a horizon, on lags, rolling
means and those columns; statsforecast runs AutoETS and the seasonal naive forecast.  Writes the forecasts to OUT and
tells the seconds that they took.

    python benchmarks/peer_forecast.py mlforecast SERIES OUT --freq h --horizon 24 --windows 121 --step 24 --refit 30
"""

import argparse
import json
import time
from pathlib import Path

import pandas as pd

INPUT = 60  # days of past that AutoETS is fitted to


def by_mlforecast(frame: pd.DataFrame, options: argparse.Namespace) -> pd.DataFrame:
    from mlforecast import MLForecast
    from mlforecast.lag_transforms import RollingMax, RollingMean, RollingMin
    from xgboost import XGBRegressor

    windows = [options.season // 4, options.season, 3 * options.season]
    lags = sorted({1, 2, 3, 6, 12, options.season, 2 * options.season})
    model = XGBRegressor(n_estimators=options.rounds, max_depth=6, learning_rate=0.05, max_bin=64, n_jobs=-1)
    rolling = [kind(size) for size in windows if size > 1 for kind in (RollingMean, RollingMin, RollingMax)]
    dates = ["hour", "dayofyear"] if options.freq == "h" else ["dayofweek", "month"]
    forecast = MLForecast({"mlforecast": model}, options.freq, lags, lag_transforms={1: rolling}, date_features=dates)
    return forecast.cross_validation(
        frame, n_windows=options.windows, h=options.horizon, step_size=options.step, refit=options.refit,
        max_horizon=options.horizon, static_features=[],
    )  # fmt: skip


def by_statsforecast(frame: pd.DataFrame, options: argparse.Namespace) -> pd.DataFrame:
    from statsforecast import StatsForecast
    from statsforecast.models import AutoETS, SeasonalNaive

    models = [AutoETS(season_length=options.season, alias="AutoETS"), SeasonalNaive(options.season, "seasonal naive")]
    forecast = StatsForecast(models, options.freq, n_jobs=-1)
    return forecast.cross_validation(
        h=options.horizon, df=frame[["unique_id", "ds", "y"]], n_windows=options.windows, step_size=options.step,
        input_size=INPUT * options.season, refit=True,
    )  # fmt: skip


LIBRARIES = {"mlforecast": by_mlforecast, "statsforecast": by_statsforecast}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=LIBRARIES)
    parser.add_argument("series", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--freq", required=True)
    for name, default in {"horizon": 24, "windows": 121, "step": 24, "refit": 30, "season": 24, "rounds": 200}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    frame = pd.read_parquet(options.series)

    started = time.perf_counter()
    found = LIBRARIES[options.library](frame, options)
    seconds = time.perf_counter() - started
    found.reset_index(drop=True).to_parquet(options.out)
    print(json.dumps({"seconds": seconds, "forecasts": len(found)}))


if __name__ == "__main__":
    main()
