"""Plain XGBoost on arrays that are already in memory: what the stage `train` is measured against.

Nothing of the line is imported.  The clock starts when the arrays are there: making the matrices, 100 trees of depth
10, the losses of both parts after every tree, as the stage has them for its learning curve and early stopping.  Codes
of categories stand for themselves.

    python benchmarks/peer_xgboost.py ARRAYS [--quantile] [--silent] [--device cuda]
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import xgboost as xgb
from sklearn import metrics

CATEGORIES = 6  # the first columns; the others are numbers
ROUNDS = 100
SETTINGS = {
    "objective": "binary:logistic", "eval_metric": "logloss", "tree_method": "hist", "max_depth": 10,
    "learning_rate": 0.1, "max_bin": 256,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arrays", type=Path)
    parser.add_argument("--quantile", action="store_true", help="bins straight from the arrays, no copy of them")
    parser.add_argument("--silent", action="store_true", help="no losses while training: a benchmark, not a curve")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    parts = {
        part: tuple(np.load(options.arrays / f"{part}_{what}.npy") for what in ("features", "late"))
        for part in ("train", "valid", "test")
    }
    columns = parts["train"][0].shape[1]
    about = {"feature_types": ["c"] * CATEGORIES + ["q"] * (columns - CATEGORIES), "enable_categorical": True}

    started = time.perf_counter()
    if options.quantile:
        train = xgb.QuantileDMatrix(*parts["train"], max_bin=SETTINGS["max_bin"], **about)
        valid = xgb.QuantileDMatrix(*parts["valid"], max_bin=SETTINGS["max_bin"], ref=train, **about)
    else:
        train, valid = xgb.DMatrix(*parts["train"], **about), xgb.DMatrix(*parts["valid"], **about)
    watched = [] if options.silent else [(train, "train"), (valid, "valid")]
    settings = {**SETTINGS, "device": options.device}
    booster = xgb.train(settings, train, options.rounds, evals=watched, verbose_eval=False)
    seconds = time.perf_counter() - started

    rows, late = parts["test"]
    scores = booster.predict(xgb.DMatrix(rows, **about))
    found = {"auc": metrics.roc_auc_score(late, scores), "ap": metrics.average_precision_score(late, scores)}
    print(json.dumps({"seconds": seconds, **found}))


if __name__ == "__main__":
    main()
