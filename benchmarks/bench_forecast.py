"""What does a forecast cost beside mlforecast and statsforecast, and how far off is each at the same origins?

In every round the line of each dataset from `clean` on, a stage a process, from a cold start; then on `weather` the
peers (`peer_forecast`), which want a regular grid: gaps are filled with the last value, for them alone.  The line
forecasts at every report, the peers once a day, or `AutoETS` would take an hour; errors are compared at those origins,
day by day, by the paired test of the line.

    python -m benchmarks.bench_forecast [--runs 3]
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.contenders import find_python
from benchmarks.measure import Cost, measure, quiet_rounds
from benchmarks.report import Figure, conditions, table, text_table, write_block
from benchmarks.workspace import cloned, environment, stage_command
from stages.features.table import open_features, read_selection
from stages.models.families import open_model, read_baseline
from stages.models.forecasts import HORIZON, LEVEL_NOW, MADE_AT, POINT, SERIES

STAGES = ("clean", "featurize", "explore", "select_features", "train", "evaluate", "retrain", "package", "report")
LIBRARIES = {"mlforecast": "mlforecast", "statsforecast": "statsforecast"}
KNOWS_AHEAD = ("mlforecast",)
NOTE = (
    "Errors of mlforecast are no match: its cross-validation hands the model the other columns of the hours that are "
    "forecast."
)
AT_MOST_S = {"weather": 60.0, "rates": 90.0}
AT_MOST_RATIO = 1.5
# written down before the first run on a quiet machine
PREDICTED_S = {"weather": 40.0, "rates": 50.0, "mlforecast": 60.0, "statsforecast": 120.0}
PREDICTED_MIB = {"weather": 450.0, "rates": 600.0}
HOURS = (1, 3, 6, 12, 24)


def write_series(clone: Path, out: Path) -> int:
    """The reports on a regular grid as the peers want it, and how many origins lie in the test part."""
    reports = pl.concat(
        pl.read_parquet(path) for path in sorted((clone / "data/clean/weather").glob("*.parquet"))
    ).rename({"series": "unique_id", "hour_utc": "ds"})
    ends = reports["ds"].min(), reports["ds"].max()
    grid = pl.datetime_range(*ends, "1h", eager=True).alias("ds").to_frame()  # type: ignore[arg-type]
    wide = grid.join(reports.select(pl.col("unique_id").unique()), how="cross").join(
        reports, on=["unique_id", "ds"], how="left"
    )
    beside = ["dew_point_f", "humidity_pct", "pressure_mbar", "wind_speed_mph", "visibility_mi", "precipitation_in"]
    filled = wide.sort("unique_id", "ds").select(
        "unique_id", "ds", pl.col("temperature_f").cast(pl.Float64).forward_fill().over("unique_id").alias("y"),
        *(pl.col(name).cast(pl.Float64).shift(1).forward_fill().over("unique_id") for name in beside),
    )  # fmt: skip
    filled.fill_null(strategy="backward").write_parquet(out)
    return (ends[1] - pl.Series(["2013-09-01"]).str.to_datetime()[0]).days - 1  # type: ignore[operator]


def errors_of_line(clone: Path) -> pl.DataFrame:
    """Errors of the model and of the best naive forecast on the test lines: series, hours, made_at, name, error."""
    with chdir(clone):
        table = open_features("weather", columns=read_selection("weather"))
        rows = pl.concat(table.frames("test", [MADE_AT, LEVEL_NOW]))
        hours = pl.col(HORIZON).cast(pl.String).str.head(-2).cast(pl.Int64).alias("hours")
        systems = {"the line": open_model(table), "best naive": read_baseline("weather")}
        pieces = [
            rows.select(
                pl.col(SERIES).cast(pl.String), hours, MADE_AT, pl.lit(name).alias("name"),
                (pl.Series(system.predict(rows)[:, POINT]) - rows[table.target]).abs().alias("error"),
            )
            for name, system in systems.items()
        ]  # fmt: skip
    return pl.concat(pieces)


def errors_of_peer(found: Path) -> pl.DataFrame:
    """The same of a peer, whose cutoff is the hour of the last report that it saw."""
    forecasts = pl.read_parquet(found)
    names = [name for name in forecasts.columns if name not in ("unique_id", "ds", "cutoff", "y")]
    hours = (pl.col("ds") - pl.col("cutoff")).dt.total_hours().alias("hours")
    known = (pl.col("cutoff").cast(pl.Datetime("us")) + pl.duration(hours=1)).alias(MADE_AT)
    return pl.concat(
        forecasts.select(
            pl.col("unique_id").cast(pl.String).alias(SERIES), hours, known, pl.lit(name).alias("name"),
            (pl.col(name) - pl.col("y")).abs().cast(pl.Float64).alias("error"),
        )
        for name in names
    ).filter(pl.col("hours").is_in(HOURS))  # fmt: skip


def compared(errors: pl.DataFrame) -> str:
    """MAE by horizon where every contender has a forecast, with the standard error over runs of five days."""
    keys = [SERIES, "hours", MADE_AT]
    common = errors.group_by(keys).agg(pl.len()).filter(pl.col("len") == errors["name"].n_unique())
    shared = errors.join(common.select(keys), on=keys)
    rows = []
    for name in shared["name"].unique(maintain_order=True):
        cells = [name]
        for hours in HOURS:
            own = shared.filter((pl.col("name") == name) & (pl.col("hours") == hours))
            runs = own.group_by(pl.col(MADE_AT).dt.truncate("5d")).agg(pl.col("error").sum(), pl.len())
            total, count = runs["error"].to_numpy(), runs["len"].to_numpy()
            mean = total.sum() / count.sum()
            spread = np.sqrt(((total - mean * count) ** 2).sum() * len(runs) / (len(runs) - 1)) / count.sum()
            cells.append(f"{mean:.2f} ± {spread:.2f}")
        rows.append(tuple(cells))
    return text_table(("MAE, °F", *(f"{hours} h" for hours in HOURS)), rows)


def main(arguments: Sequence[str] | None = None, *, runs: int = 3, patience_s: float = 600.0) -> str:
    """Measure, and return the block for RESULTS.md."""
    pythons = {name: python for name, package in LIBRARIES.items() if (python := find_python(package))}
    costs: dict[str, list[list[Cost]]] = {name: [] for name in (*AT_MOST_S, *pythons)}
    with cloned() as clone:
        env = environment(clone)
        for dataset in AT_MOST_S:
            measure(stage_command("download", dataset), cwd=clone, env=env)
        for _ in quiet_rounds(runs, patience_s):
            for dataset in AT_MOST_S:
                costs[dataset].append([measure(stage_command(s, dataset), cwd=clone, env=env) for s in STAGES])
            series = clone / "series.parquet"
            windows = write_series(clone, series)
            for name, (python, _) in pythons.items():
                script = [python, "benchmarks/peer_forecast.py", name, str(series), str(clone / f"{name}.parquet")]
                words = [*script, "--freq", "h", "--windows", str(windows)]
                costs[name].append([measure(words, cwd=clone, env=env)])
        errors = pl.concat(
            [
                errors_of_line(clone),
                *(errors_of_peer(clone / f"{name}.parquet") for name in pythons if name not in KNOWS_AHEAD),
            ]
        )
    figures = []
    for name, rounds in costs.items():
        walls, told = [sum(cost.wall_s for cost in each) for each in rounds], name in AT_MOST_S
        label = f"{name}, from `clean` to `report`" if told else f"{name} on weather, one origin a day"
        figures.append(Figure(label, walls, "s", PREDICTED_S[name], at_most=AT_MOST_S.get(name)))
        peak = [max(cost.tree_mib for cost in each) for each in rounds]
        figures.append(Figure(f"{name}, peak memory", peak, "MiB", PREDICTED_MIB.get(name)))
    if "mlforecast" in costs:
        pairs = zip(costs["weather"], costs["mlforecast"], strict=True)
        ratios = [sum(c.wall_s for c in ours) / sum(c.wall_s for c in peer) for ours, peer in pairs]
        figures.append(Figure("weather ÷ mlforecast", ratios, "×", at_most=AT_MOST_RATIO))
    others = [cost.others_cores for rounds in costs.values() for each in rounds for cost in each]
    versions = ", ".join(f"{name} {version}" for name, (_, version) in pythons.items())
    return "\n\n".join(
        (conditions(others) + f"  Peers: {versions or 'none installed'}.", table(figures), compared(errors), NOTE)
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    text = main(runs=options.runs)
    write_block("forecast", text)
    print(text, file=sys.stdout)
