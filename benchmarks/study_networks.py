"""Is a network level with boosting, and are both together better?  ``python -m benchmarks.study_networks [--seeds 6]``.

Boosting and the network of `params/model/` are trained from so many seeds each, on the features and the selection that
`dvc repro` has left; averages of trained models are judged on the same test rows and compared by the paired test over
days in runs.  Two questions, as in docs/comparison.md: about *models as they are*, and about *a change*, where the
trainings of each side are luck as well.  For a change to an average, the seeds are dealt into three groups a side.

Models are kept in ``.dvc/tmp/study_networks`` as they are fitted, so that a study that was stopped goes on; remove the
folder to begin anew.  Writes the block "networks" of RESULTS.md; ``--try`` fits next to nothing, and prints it.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from benchmarks.measure import others_cores
from benchmarks.report import conditions, write_block
from stages.features.table import FeatureTable, open_features, read_selection, read_sketches
from stages.metrics.bootstrap import draw_weights
from stages.metrics.contract import System
from stages.metrics.paired import Difference, compare, compare_trained
from stages.metrics.scoring import choose_segments, judge, terms_of, unit_words
from stages.metrics.settings import EvaluateSettings
from stages.metrics.stored import task_named
from stages.models.blend import choose_weights
from stages.models.contract import Float32, Model
from stages.models.families import FAMILIES, open_trainings, read_baseline, read_model, write_model
from stages.models.rows import Share
from stages.pages.numbers import estimate_text, figure, p_text
from stages.pages.tables import as_markdown
from stages.pages.tables import table as table_of
from stages.runtime.commands import run_command
from stages.runtime.log import log, start_log
from stages.workspace.composition import compose_params
from stages.workspace.seeds import child_seed
from stages.workspace.settings import read_seed, read_settings, read_workers, validate_section

ROOT = Path(__file__).parents[1]
KEPT = Path(".dvc/tmp/study_networks")
DATASET = "nycflights"
PAIR = ("boosting", "network")
SHOWN = ("roc_auc", "average_precision", "log_loss")
GROUPS = 3
LITTLE = {"boosting": {"max_rounds": 10}, "network": {"max_epochs": 1, "width": 32, "members": 1, "embedding": 4}}


def main(*arguments: str) -> None:
    """Fit, judge, compare, and write the block."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study_networks", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=6, help="trainings of each family, a multiple of three (6)")
    parser.add_argument("--try", action="store_true", dest="little", help="fit next to nothing, and print")
    options = parser.parse_args(arguments)
    if options.seeds < GROUPS or options.seeds % GROUPS:
        parser.error(f"--seeds: a multiple of {GROUPS}, for as many groups a side")
    table = open_features(DATASET, columns=read_selection(DATASET))
    models = {family: list(fit_all(family, table, options.seeds, options.little)) for family in PAIR}
    text = tell(table, models)
    print(text)
    if not options.little:
        write_block("networks", text, by="study_networks")


def fit_all(family: str, table: FeatureTable, seeds: int, little: bool) -> Iterator[Model]:
    """The models of one family, one after another; those that were kept are read."""
    composed = yaml.safe_load(compose_params(ROOT, [f"model@datasets.{DATASET}.model={family}"]))
    chosen = composed["datasets"][DATASET]["model"] | (LITTLE[family] if little else {})
    settings = validate_section(FAMILIES[family].settings, chosen, "model")
    folder = KEPT / ("little" if little else "whole")
    with open_trainings(Share(table, table), read_sketches(DATASET), settings) as train:
        for number in range(seeds):
            own = folder / f"{family}-{number}"
            if not list(own.glob("model*")):
                fit = train(child_seed(read_seed(), f"study {family} {number}", DATASET))
                write_model(own, fit.model)
                log.info("%s %d: %s %.5f at round %d", family, number, fit.metric, fit.best, fit.best_round)
            yield read_model(own, FAMILIES[family])


class Averages:
    """Scores of averaged models; each model scores a frame once, however many averages it is in."""

    def __init__(self) -> None:
        self.frame: pl.DataFrame | None = None
        self.found: dict[int, Float32] = {}

    def of(self, weighted: Sequence[tuple[float, Sequence[Model]]]) -> Callable[[pl.DataFrame], Float32]:
        """A scorer: groups of models with the weight of each group."""

        def score(frame: pl.DataFrame) -> Float32:
            if frame is not self.frame:
                self.frame, self.found = frame, {}
            total = np.zeros(len(frame))
            for weight, models in weighted:
                for model in models:
                    if id(model) not in self.found:
                        self.found[id(model)] = model.predict(frame)
                    total += weight / len(models) * self.found[id(model)]
            return total.astype(np.float32)

        return score


def tell(table: FeatureTable, models: dict[str, list[Model]]) -> str:
    """The block: every average, and every comparison."""
    boosters, networks = (models[family] for family in PAIR)
    n, averages = len(boosters), Averages()
    share = weight_of_networks(table, boosters, networks)
    size = n // GROUPS
    deals = [slice(start, start + size) for start in range(0, n, size)]
    averaged: dict[str, Any] = {
        f"{n} boosters": [(1.0, boosters)],
        f"{n} networks": [(1.0, networks)],
        f"{n} + {n}": [(1 - share, boosters), (share, networks)],
        **{f"booster {number}": [(1.0, [model])] for number, model in enumerate(boosters)},
        **{f"network {number}": [(1.0, [model])] for number, model in enumerate(networks)},
        **{f"boosters {number}": [(1.0, boosters[deal])] for number, deal in enumerate(deals)},
        **{
            f"both {number}": [(1 - share, boosters[deal]), (share, networks[deal])]
            for number, deal in enumerate(deals)
        },
    }
    judging = read_settings(EvaluateSettings, DATASET, "evaluate")
    workers = read_workers().model_copy(update={"kind": "threads", "count": 1})  # `Averages` keeps one frame
    terms = terms_of(table, read_baseline(DATASET), judging)
    scorers = {name: averages.of(weighted) for name, weighted in averaged.items()}
    judged = judge(table, scorers, terms, judging, workers, choose_segments(table, {}, []))
    words = unit_words(table, judging, len(judged.units))
    seed = child_seed(read_seed(), "evaluate", DATASET)
    weights = draw_weights(len(judged.units), judging.replicates, seed, words["block"])
    shown = {name: task_named(table.task).metrics[name] for name in SHOWN}
    told = {"level": judging.level, "block": words["block"]}

    def some(begins: str) -> list[System]:
        return [system for name, system in judged.systems.items() if name.rpartition(" ")[0] == begins]

    def as_they_are(name: str, other: str) -> dict[str, Difference]:
        return compare(judged.systems[other], judged.systems[name], shown, weights, **told)

    lines = [
        (f"{n} networks less {n} boosters", "these models", as_they_are(f"{n} networks", f"{n} boosters")),
        (f"both together less {n} boosters", "these models", as_they_are(f"{n} + {n}", f"{n} boosters")),
        ("a network less a booster", f"a change, {n} trainings a side",
         compare_trained(some("booster"), some("network"), shown, weights, **told)),
        (f"{size} + {size} less {size} boosters", f"a change, {GROUPS} groups a side",
         compare_trained(some("boosters"), some("both"), shown, weights, **told)),
    ]  # fmt: skip
    single = {
        family: [judged.systems[f"{kind} {number}"] for number in range(n)]
        for family, kind in zip(PAIR, ("booster", "network"), strict=True)
    }
    figures = [
        [f"{family}, {n} seeds", *(_range([system.exact[name] for system in systems]) for name in SHOWN)]
        for family, systems in single.items()
    ] + [
        [name, *(figure(judged.systems[name].exact[metric]) for metric in SHOWN)]
        for name in (f"{n} boosters", f"{n} networks", f"{n} + {n}")
    ]
    differences = [
        [what, question, metric, estimate_text(own.difference, own.low, own.high, sign=True), p_text(own.p_value),
         own.verdict]
        for what, question, each in lines for metric, own in each.items()
    ]  # fmt: skip
    heads = ("what", "question", "metric", "difference [interval]", "p", "")
    return "\n\n".join((
        f"{conditions([others_cores()])}  Figures of quality do not depend on how busy the machine was.",
        f"`{DATASET}`, {table.rows('test'):,} test rows of {len(judged.units)} days, drawn in runs of {words['block']};"
        f" weight of the networks, from the valid part: {share:.2f}.",
        as_markdown(table_of("Averages", ("", *SHOWN), figures)),
        as_markdown(table_of("Differences", heads, differences)),
    ))  # fmt: skip


def weight_of_networks(table: FeatureTable, boosters: Sequence[Model], networks: Sequence[Model]) -> float:
    """As `blend` chooses it, on the valid part."""
    frames, averages = list(table.frames("valid")), Averages()
    scores = [
        np.concatenate([averages.of([(1.0, models)])(frame) for frame in frames]).astype(np.float64)
        for models in (boosters, networks)
    ]
    labels = np.concatenate([frame[table.target].cast(pl.Float64).to_numpy() for frame in frames])
    return choose_weights(scores, labels, table.task)[1]


def _range(values: Sequence[float]) -> str:
    return f"{figure(min(values))} to {figure(max(values))}"


if __name__ == "__main__":
    start_log()
    run_command(main)
