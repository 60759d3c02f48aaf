"""The trials of a study as plain XGBoost: what `stages.tune` is measured against.

All rows are read and binned before the clock starts, once.  Every trial is one `xgb.train` with the settings and the
seed that the study gave it, the losses of both parts after every round, and early stopping.

    python benchmarks/peer_trials.py FEATURES SELECTION TRIALS
"""

import argparse
import json
import time
from pathlib import Path

import polars as pl
import xgboost as xgb


def read_part(folder: Path, names: list[str], part: str) -> tuple[pl.DataFrame, pl.Series]:
    """The features of one part, categories as the manifest knows them, and the labels."""
    manifest = json.loads((folder / "manifest.json").read_text())
    target, known = manifest["target"], {column["name"]: column.get("categories") for column in manifest["columns"]}
    files = [folder / f"{partition['name']}.parquet" for partition in manifest["partitions"]]
    rows = pl.scan_parquet(files).filter((pl.col("part") == part) & pl.col(target).is_not_null()).collect()
    enums = [pl.col(name).cast(pl.Enum(known[name]), strict=False) for name in names if known[name]]
    return rows.select(names).with_columns(enums), rows[target].cast(pl.Float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("features", type=Path)
    parser.add_argument("selection", type=Path)
    parser.add_argument("trials", type=Path, help="JSON: max_bin, max_rounds, early_stopping_rounds, trials")
    options = parser.parse_args()
    asked = json.loads(options.trials.read_text())
    names = json.loads(options.selection.read_text())["selected"]
    train = xgb.QuantileDMatrix(*read_part(options.features, names, "train"), max_bin=asked["max_bin"],
                                enable_categorical=True)  # fmt: skip
    valid = xgb.QuantileDMatrix(*read_part(options.features, names, "valid"), max_bin=asked["max_bin"], ref=train,
                                enable_categorical=True)  # fmt: skip
    fixed = {
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "tree_method": "hist",
        "max_bin": asked["max_bin"],
    }
    seconds, losses = [], []
    for settings in asked["trials"]:
        started = time.perf_counter()
        booster = xgb.train(
            {**fixed, **settings}, train, asked["max_rounds"], evals=[(train, "train"), (valid, "valid")],
            early_stopping_rounds=asked["early_stopping_rounds"], verbose_eval=False,
        )  # fmt: skip
        seconds.append(time.perf_counter() - started)
        losses.append(booster.best_score)
    print(json.dumps({"seconds": seconds, "losses": losses}))


if __name__ == "__main__":
    main()
