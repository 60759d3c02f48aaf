"""A bootstrap as most people write it: draw clusters of rows, call scikit-learn on the drawn rows, again and again.

python -m benchmarks.peer_bootstrap ROWS REPLICATES THRESHOLD
"""

import json
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from benchmarks.synthetic import draw_clusters, synthetic_scores


def replicate(late: NDArray[Any], scores: NDArray[Any], threshold: float) -> dict[str, float]:
    flagged = scores >= threshold
    return {
        "roc_auc": metrics.roc_auc_score(late, scores),
        "average_precision": metrics.average_precision_score(late, scores),
        "log_loss": metrics.log_loss(late, scores),
        "brier": metrics.brier_score_loss(late, scores),
        "accuracy": metrics.accuracy_score(late, flagged),
        "precision": metrics.precision_score(late, flagged),
        "recall": metrics.recall_score(late, flagged),
        "f1": metrics.f1_score(late, flagged),
    }


def bootstrap(
    day: NDArray[Any], late: NDArray[Any], scores: NDArray[Any], threshold: float, replicates: int, seed: int
) -> list[dict[str, float]]:
    """One row of metrics per replicate; rows are sorted by day once, so that a day is a slice."""
    order = np.argsort(day, kind="stable")
    day, late, scores = day[order], late[order], scores[order]
    starts = np.searchsorted(day, np.arange(day[-1] + 2))
    found = []
    for weights in draw_clusters(int(day[-1]) + 1, replicates, seed):
        chosen = np.concatenate(
            [np.arange(starts[d], starts[d + 1]) for d in np.repeat(np.arange(len(weights)), weights)]
        )
        found.append(replicate(late[chosen], scores[chosen], threshold))
    return found


def main(rows: int, replicates: int, threshold: float) -> None:
    day, late, scores = synthetic_scores(rows)
    started = time.perf_counter()
    found = bootstrap(day, late, scores, threshold, replicates, seed=1)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "replicates": found}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
