"""What an afternoon's script makes of the same question: schedule, weather and aircraft, no memory of past flights.

Nothing of the line is imported.  336,776 flights, 24 features, parts by month as in the line (January–August,
September–October, November–December), XGBoost with plain settings.  A floor to stand on, not a rival in speed: it
does far less.

    python benchmarks/peer_schedule.py RAW
"""

import json
import sys
import zipfile
from pathlib import Path

import polars as pl
import xgboost as xgb
from sklearn import metrics

SETTINGS = {
    "objective": "binary:logistic", "max_depth": 6, "learning_rate": 0.1, "subsample": 0.8, "colsample_bytree": 0.8,
    "seed": 0,
}  # fmt: skip
KINDS = ["carrier", "origin", "dest", "manufacturer", "engine", "type"]


def read(text: Path | bytes) -> pl.DataFrame:
    return pl.read_csv(text, null_values="NA", infer_schema_length=None)


def main(raw: Path) -> None:
    keys = ["origin", "time_hour"]
    weather = read(raw / "weather.csv").drop("year", "month", "day", "hour")
    planes = read(raw / "planes.csv").rename({"year": "built"}).drop("speed", "model")
    flights = (
        read(zipfile.ZipFile(raw / "flights.csv.zip").read("flights.csv"))
        .filter(pl.col("arr_delay").is_not_null())
        .join(weather, on=keys, how="left", maintain_order="left")
        .join(planes, on="tailnum", how="left", maintain_order="left")
        .with_columns(
            late=(pl.col("arr_delay") >= 15).cast(pl.Float32),
            weekday=pl.date("year", "month", "day").dt.weekday(),
            sched_dep=pl.col("sched_dep_time") // 100 * 60 + pl.col("sched_dep_time") % 100,
            sched_arr=pl.col("sched_arr_time") // 100 * 60 + pl.col("sched_arr_time") % 100,
            age=pl.col("year") - pl.col("built"),
        )
    )
    known = ["weekday", "sched_dep", "sched_arr", "distance", "temp", "dewp", "humid", "wind_dir", "wind_speed"]
    known += ["wind_gust", "precip", "pressure", "visib", "age", "engines", "seats", "flight", "minute", *KINDS]
    flights = flights.with_columns(
        pl.col(name).cast(pl.Enum(flights[name].drop_nulls().unique().sort())) for name in KINDS
    )

    month = pl.col("month")
    train, valid, test = (flights.filter(part) for part in (month <= 8, month.is_between(9, 10), month >= 11))
    train_rows = xgb.QuantileDMatrix(train[known], train["late"], enable_categorical=True)
    valid_rows = xgb.QuantileDMatrix(valid[known], valid["late"], enable_categorical=True, ref=train_rows)
    booster = xgb.train(
        SETTINGS, train_rows, 1000, evals=[(valid_rows, "valid")], early_stopping_rounds=20, verbose_eval=False
    )
    scores = booster.inplace_predict(test[known], iteration_range=(0, booster.best_iteration + 1))
    found = {
        "roc_auc": metrics.roc_auc_score(test["late"], scores),
        "average_precision": metrics.average_precision_score(test["late"], scores),
        "log_loss": metrics.log_loss(test["late"], scores),
    }
    print(json.dumps({"rows": len(test), "rounds": booster.best_iteration + 1, **found}, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
