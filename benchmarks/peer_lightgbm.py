"""LightGBM on arrays that are already in memory, with the settings of GBM-perf: 100 trees of 512 leaves.

Nothing of the line is imported.  The clock starts when the arrays are there: binning, growing, and the losses of both
parts after every tree.  It grows leaf by leaf, so its trees are others than those of depth 10.

    python benchmarks/peer_lightgbm.py ARRAYS
"""

import argparse
import json
import os
import time
from pathlib import Path

import lightgbm as lgb
import numpy as np
from sklearn import metrics

CATEGORIES = 6  # the first columns; the others are numbers
ROUNDS = 100
SETTINGS = {
    "objective": "binary", "metric": "binary_logloss", "num_leaves": 512, "learning_rate": 0.1, "max_bin": 255,
    "num_threads": os.cpu_count(), "verbosity": -1, "seed": 0,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arrays", type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    parts = {
        part: tuple(np.load(options.arrays / f"{part}_{what}.npy") for what in ("features", "late"))
        for part in ("train", "valid", "test")
    }

    started = time.perf_counter()
    train = lgb.Dataset(*parts["train"], categorical_feature=list(range(CATEGORIES)), params=SETTINGS)
    valid = lgb.Dataset(*parts["valid"], reference=train)
    losses: dict = {}
    booster = lgb.train(
        SETTINGS, train, options.rounds, valid_sets=[train, valid], valid_names=["train", "valid"],
        callbacks=[lgb.record_evaluation(losses)],
    )  # fmt: skip
    seconds = time.perf_counter() - started

    rows, late = parts["test"]
    scores = booster.predict(rows)
    found = {"auc": metrics.roc_auc_score(late, scores), "ap": metrics.average_precision_score(late, scores)}
    print(json.dumps({"seconds": seconds, **found}))


if __name__ == "__main__":
    main()
