"""How good is an answer that is asked for early?  ``python -m benchmarks.study_ahead``.

The model of the workspace is asked about flights of the test part hours before their scheduled departure, by the very
path that serves (`stages.state.requests`): what became known later is not seen.  Flights of the same ten minutes are
asked about together, as of the first of those less the hours; one window in ``--every`` is taken, spread over all days.
Prints a Markdown table: every horizon on the same flights, intervals of days in runs, and the paired test of its
difference to what is known at departure.
"""

import argparse
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import polars as pl
from tqdm import tqdm

from stages.metrics.binary import decision_of_signature
from stages.metrics.bootstrap import draw_weights
from stages.metrics.contract import System, Terms
from stages.metrics.resampling import merge_cells, number_units, unit_names
from stages.metrics.settings import EvaluateSettings
from stages.metrics.stored import task_named
from stages.metrics.systems import compare_systems
from stages.models.bundle import Bundle, open_bundle
from stages.models.signature import fit_rows
from stages.pages.numbers import estimate_text
from stages.pages.tables import as_markdown, table
from stages.state.memory import remember
from stages.state.requests import Known
from stages.workspace import layout
from stages.workspace.settings import read_settings
from tools.replay import Line, each_moment, read_line, seed_before

WINDOW = "10m"
SHOWN = ("roc_auc", "log_loss", "expected_cost")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study_ahead", description=__doc__)
    parser.add_argument("dataset", nargs="?", default="nycflights")
    parser.add_argument("--hours", type=int, nargs="+", default=[0, 1, 3, 6])
    parser.add_argument("--first", default="2013-11", help="the first month that is asked about: the test part")
    parser.add_argument("--every", type=int, default=8, help="of the ten-minute windows, one in so many")
    options = parser.parse_args()
    line, bundle = read_line(options.dataset), open_bundle(layout.bundles(options.dataset))
    asked = ask(line, bundle, options.first, options.hours, options.every)
    print(
        as_markdown(
            table("Asked ahead", ("hours ahead", *SHOWN, *(f"{n}, less 0 h" for n in SHOWN)), tell(asked, bundle))
        )
    )


def ask(line: Line, bundle: Bundle, first: str, hours: Sequence[int], every: int) -> pl.DataFrame:
    """Day and label of each flight that has one, and its score by each horizon."""
    dataset, names = line.dataset, [name for name in line.clean if name >= first]
    known = Known(remember(seed_before(line, names[0], None)).with_rows({name: line.clean[name] for name in names}, {}))
    windows: dict[object, list[tuple[pl.DataFrame, pl.DataFrame]]] = {}
    for at, rows, made in each_moment(line, names):
        windows.setdefault(pl.Series([at]).dt.truncate(WINDOW)[0], []).append((rows, made))
    scored = []
    for start, parts in tqdm(list(windows.items())[::every], unit=" windows", disable=None):
        rows, made = (pl.concat(frames) for frames in zip(*parts, strict=True))
        found = {}
        for ahead in hours:
            at = start - timedelta(hours=ahead) if ahead else None  # type: ignore[operator]
            inputs, _ = fit_rows(known.prepare(rows, at).features, bundle.signature["inputs"])
            found[str(ahead)] = bundle.model.predict(inputs)
        scored.append(made.select(str(dataset.cluster), dataset.target).with_columns(**found))
    return pl.concat(scored).drop_nulls(dataset.target)


def tell(asked: pl.DataFrame, bundle: Bundle) -> list[list[str]]:
    """A row for each horizon, the first of which is what the others are compared with."""
    cluster, target, *horizons = asked.columns
    signature = bundle.signature
    settings = read_settings(EvaluateSettings, signature["dataset"], "evaluate")
    terms = Terms(2, cost_of_miss=settings.cost_of_miss, cost_of_false_alarm=settings.cost_of_false_alarm)
    decision, metrics = decision_of_signature(signature, terms), task_named(signature["task"]).metrics
    labels = asked[target].to_numpy().astype(np.int64)
    days, units = number_units(asked[cluster])

    def system(horizon: str) -> System:
        scores = asked[horizon].to_numpy()
        cells = merge_cells([decision.tabulate(units, days, labels, scores)])
        return System(decision.table(cells, unit_names(cells)), decision.exact(labels, scores))

    weights = draw_weights(len(days), settings.replicates, 0, settings.block)
    shown, told = {name: metrics[name] for name in SHOWN}, []
    for horizon in horizons:
        found = compare_systems(
            system(horizon), system(horizons[0]), shown, weights,
            level=settings.level, method=settings.method, n=len(asked), block=settings.block,
        )  # fmt: skip
        values = [estimate_text(each["value"], each["low"], each["high"]) for each in found.values()]
        gaps = [estimate_text(each["difference"], each["difference_low"], each["difference_high"], sign=True)
                for each in found.values()]  # fmt: skip
        told.append([horizon, *values, *(gaps if horizon != horizons[0] else [""] * len(gaps))])
    print(f"{len(asked):,} flights on {len(days)} days")
    return told


if __name__ == "__main__":
    main()
