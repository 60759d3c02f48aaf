"""Which threshold costs least, and moves least with the seed?  ``python -m benchmarks.study_threshold``.

Trains the model of a binary dataset from many seeds on the features of the workspace.  For each, three thresholds are
found on the valid part and judged on the test part: the *cheapest* on the valid rows, the probability at which acting
and not acting cost the same (*break-even*), and the score at which a logistic curve through the valid rows reaches that
probability (*calibrated*).  Prints a Markdown table: the mean over seeds, and the standard deviation between them.
"""

import argparse
from collections.abc import Callable

import numpy as np
import polars as pl

from stages.features.table import FeatureTable, open_features, read_selection, read_sketches
from stages.metrics.binary import BinaryDecision
from stages.metrics.codes import (
    Float,
    calibrated_threshold,
    cheapest_threshold,
    code_probabilities,
    count_codes,
)
from stages.metrics.settings import EvaluateSettings
from stages.models.families import family_of, open_trainings
from stages.models.rows import Share
from stages.pages.tables import as_markdown, table
from stages.workspace.settings import read_settings

SHOWN = ("expected_cost", "accuracy", "precision", "recall")
Rule = Callable[..., int]


def break_even(_counts: Float, *, cost_of_miss: float, cost_of_false_alarm: float) -> int:
    """The code of the probability at which both mistakes cost the same."""
    share = cost_of_false_alarm / (cost_of_false_alarm + cost_of_miss)
    return int(code_probabilities(np.array([share]))[0])


RULES: dict[str, Rule] = {
    "cheapest": cheapest_threshold, "break-even": break_even, "calibrated": calibrated_threshold
}  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study_threshold", description=__doc__)
    parser.add_argument("dataset", nargs="?", default="nycflights")
    parser.add_argument("--seeds", type=int, default=12)
    options = parser.parse_args()
    features = open_features(options.dataset, columns=read_selection(options.dataset))
    settings = read_settings(EvaluateSettings, options.dataset, "evaluate")
    costs = {name: getattr(settings, name) for name in ("cost_of_miss", "cost_of_false_alarm")}
    found: dict[str, list[list[float]]] = {rule: [] for rule in RULES}
    (valid, valid_labels), (test, test_labels) = (part(features, name) for name in ("valid", "test"))
    model = read_settings(family_of(options.dataset).settings, options.dataset, "model")
    with open_trainings(Share(features, features), read_sketches(options.dataset), model) as fit:
        for seed in range(1, options.seeds + 1):
            fitted = fit(seed).model
            counts = count_codes(valid_labels, code_probabilities(fitted.predict(valid)))
            scores = fitted.predict(test)
            for name, rule in RULES.items():
                decision = BinaryDecision(rule(counts, **costs), **costs)
                exact = decision.exact(test_labels, scores)
                found[name].append([decision.threshold, *(exact[metric] for metric in SHOWN)])
    rows = [[name, *(f"{values.mean():.4f} ± {values.std(ddof=1):.4f}" for values in np.array(each).T)]
            for name, each in found.items()]  # fmt: skip
    print(as_markdown(table("Thresholds", ("threshold", "at", *SHOWN), rows)))


def part(features: FeatureTable, name: str) -> tuple[pl.DataFrame, np.ndarray]:
    """The rows of one part, and their labels."""
    frame = pl.concat(features.frames(name))
    return frame, frame[features.target].to_numpy().astype(np.int64)


if __name__ == "__main__":
    main()
