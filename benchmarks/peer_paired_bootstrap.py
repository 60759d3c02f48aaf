"""A paired bootstrap as most people write it: draw days of rows, call scikit-learn for both models, again and again.

python -m benchmarks.peer_paired_bootstrap ROWS REPLICATES THRESHOLD_A THRESHOLD_B
"""

import json
import sys
import time

import numpy as np

from benchmarks.peer_bootstrap import replicate
from benchmarks.revision_pair import REVISIONS, two_scores
from benchmarks.synthetic import DAYS, draw_clusters


def main(rows: int, replicates: int, *thresholds: float) -> None:
    """Print the seconds of the loop, and the differences of each replicate."""
    day, late, scores = two_scores(rows)
    starts = np.searchsorted(day, np.arange(DAYS + 1))  # rows are in the order of their days
    systems = [(scores[name], threshold) for name, threshold in zip(REVISIONS, thresholds, strict=True)]
    found = []
    started = time.perf_counter()
    for weights in draw_clusters(DAYS, replicates, seed=1):
        days = np.repeat(np.arange(DAYS), weights)
        chosen = np.concatenate([np.arange(starts[d], starts[d + 1]) for d in days])
        a, b = (replicate(late[chosen], told[chosen], threshold) for told, threshold in systems)
        found.append({metric: b[metric] - a[metric] for metric in a})
    print(json.dumps({"seconds": time.perf_counter() - started, "differences": found}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *map(float, sys.argv[3:]))
