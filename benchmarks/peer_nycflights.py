"""The work of the line on nycflights as one plain script: Polars, XGBoost, scikit-learn's metrics.

No DVC, no files in between, no validation, no report, no selection, no baseline, no intervals, no bundle.

The 336,776 flights are read from the same published files, parsed by the same expressions and turned into features by
the same pure functions as in the line (`stages.datasets.nycflights`): written out here they would be 250 lines that
nobody compares by eye, and the question is what the line around them costs.  Training takes the same parameters, the
same rows in the same order and, with ``--selection``, the same columns, so the scores must come out equal.

    python -m benchmarks.peer_nycflights RAW [--selection data/selection/nycflights.json]
"""

import argparse
import io
import json
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import xgboost as xgb
import yaml
from numpy.typing import NDArray
from sklearn import metrics

from stages.datasets.nycflights import DATASET
from stages.workspace.seeds import child_seed

TRAIN_UNTIL, VALID_UNTIL = date(2013, 8, 31), date(2013, 10, 31)
COST_OF_MISS, COST_OF_FALSE_ALARM = 3, 1
CATEGORICAL = [feature.name for feature in DATASET.features if feature.kind == "categorical"]


def read_text(source: Path | io.BytesIO) -> pl.DataFrame:
    return pl.read_csv(source, infer_schema=False, empty_string_is_null=False)


def read_tables(raw: Path) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
    with zipfile.ZipFile(raw / "flights.csv.zip") as archive:
        flights = DATASET.records.parse(read_text(io.BytesIO(archive.read("flights.csv"))))
    references = {table.name: table.parse(read_text(raw / f"{table.name}.csv")) for table in DATASET.references}
    # one anemometer claims 1,048 mph; the line puts that report into quarantine
    believed = (pl.col("wind_speed_mph") <= 150) | pl.col("wind_speed_mph").is_null()
    return flights, references | {"weather": references["weather"].filter(believed)}


def build_features(flights: pl.DataFrame, references: dict[str, pl.DataFrame]) -> pl.DataFrame:
    months = [flights.filter(pl.col("day").dt.month() == month) for month in range(1, 13)]
    context = DATASET.context([DATASET.summarize(month) for month in months], references)
    rows = pl.concat([DATASET.featurize(month, context) for month in months])
    return rows.filter(pl.col("late").is_not_null())


def split(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    train = rows.filter(pl.col("day") <= TRAIN_UNTIL)
    kinds = [pl.col(name).cast(pl.Enum(train[name].drop_nulls().unique().sort()), strict=False) for name in CATEGORICAL]
    return (
        train.with_columns(kinds),
        rows.filter((pl.col("day") > TRAIN_UNTIL) & (pl.col("day") <= VALID_UNTIL)).with_columns(kinds),
        rows.filter(pl.col("day") > VALID_UNTIL).with_columns(kinds),
    )


def train_booster(train: pl.DataFrame, valid: pl.DataFrame, names: list[str], params: dict[str, Any]) -> xgb.Booster:
    model = dict(params["datasets"]["nycflights"]["model"])
    rounds, patience, max_bin = (model.pop(key) for key in ("max_rounds", "early_stopping_rounds", "max_bin"))
    seed = child_seed(params["seed"], "train", "nycflights") % 2**31
    shared = {"enable_categorical": True, "max_bin": max_bin}
    train_rows = xgb.QuantileDMatrix(train[names], train["late"].cast(pl.Float32), **shared)
    valid_rows = xgb.QuantileDMatrix(valid[names], valid["late"].cast(pl.Float32), ref=train_rows, **shared)
    settings = {"objective": "binary:logistic", "tree_method": "hist", "max_bin": max_bin, "seed": seed, **model}
    evals = [(train_rows, "train"), (valid_rows, "valid")]
    return xgb.train(settings, train_rows, rounds, evals, early_stopping_rounds=patience, verbose_eval=False)


def cheapest_threshold(late: NDArray[Any], scores: NDArray[Any]) -> float:
    false_alarms, hits, thresholds = metrics.roc_curve(late, scores)
    negatives, positives = (late == 0).sum(), (late == 1).sum()
    cost = COST_OF_MISS * (1 - hits) * positives + COST_OF_FALSE_ALARM * false_alarms * negatives
    return float(thresholds[cost.argmin()])


def score(booster: xgb.Booster, rows: pl.DataFrame, names: list[str]) -> NDArray[Any]:
    return booster.inplace_predict(rows[names], iteration_range=(0, booster.best_iteration + 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("raw", type=Path, help="folder with the four published files")
    parser.add_argument("--selection", type=Path, help="the line's selection; all features without it")
    options = parser.parse_args()
    names = [feature.name for feature in DATASET.features]
    if options.selection:
        names = json.loads(options.selection.read_text())["selected"]

    train, valid, test = split(build_features(*read_tables(options.raw)))
    booster = train_booster(train, valid, names, yaml.safe_load(Path("params.yaml").read_text()))
    threshold = cheapest_threshold(valid["late"].to_numpy(), score(booster, valid, names))

    late, scores = test["late"].to_numpy(), score(booster, test, names)
    flagged = scores >= threshold
    found = {
        "roc_auc": metrics.roc_auc_score(late, scores),
        "average_precision": metrics.average_precision_score(late, scores),
        "log_loss": metrics.log_loss(late, scores),
        "brier": metrics.brier_score_loss(late, scores),
        "accuracy": metrics.accuracy_score(late, flagged),
        "precision": metrics.precision_score(late, flagged),
        "recall": metrics.recall_score(late, flagged),
        "f1": metrics.f1_score(late, flagged),
    }
    print(json.dumps({"rows": len(test), "rounds": booster.best_iteration + 1, **found}, indent=1))


if __name__ == "__main__":
    main()
