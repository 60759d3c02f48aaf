"""Train again with other seeds, and judge each model on the test part: how far does chance alone move a figure?

Reads   data/features/<dataset>           rows of all parts
        data/selection/<dataset>.json
        models/<dataset>/baseline.json    the scale on which errors of a number are counted
Writes  data/trainings/<dataset>.parquet  a resampling table for each further training, in the form of `evaluate`'s
Params  datasets.<dataset>.model, .evaluate, seed

The model that ships is the first training; these are the second to the last, on the same rows with the same settings.
With ``evaluate.redraw_training`` each learns from training units (days) drawn again, which moves a model of any family,
and stands for itself: the model that ships, having learnt from all of them, is not one of their kind.
Each is kept in the partition cache as it ends, so a run that was cut short goes on with the one that it was at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import polars as pl

from stages.features.redrawn import redraw_training
from stages.features.sketch import Sketch
from stages.features.table import FeatureTable, open_features, read_selection, read_sketches, refuse_no_rows
from stages.metrics.bootstrap import draw_weights
from stages.metrics.files import read_evaluation, write_evaluation, write_table
from stages.metrics.scoring import choose_segments, choose_workers, cluster_of, header_of, judge, terms_of
from stages.metrics.settings import EvaluateSettings
from stages.models.contract import Family, FamilySettings, Fit
from stages.models.families import family_of, open_trainings, read_baseline, refuse_impossible
from stages.models.rows import Share
from stages.runtime.jobs import Job, run_jobs
from stages.runtime.log import log, start_log
from stages.runtime.partitions import on_this_machine
from stages.workspace import layout
from stages.workspace.errors import plain_words, run_stage
from stages.workspace.seeds import child_seed
from stages.workspace.settings import read_scale, read_seed, read_settings, read_workers

ASIDE = Path(".dvc/tmp/trainings")


def main(name: str) -> None:
    """Train the model of one dataset again."""
    family = family_of(name)
    settings = read_settings(family.settings, name, "model")
    judging = read_settings(EvaluateSettings, name, "evaluate")
    table = open_features(name, columns=read_selection(name))
    refuse_impossible(family, settings, table)
    refuse_no_rows(table, "train", "valid", "test")
    why_not = why_once(family, settings, judging)
    last = 1 if why_not else judging.trainings + judging.redraw_training
    jobs = [job_of(number, table, family, settings, judging) for number in range(2, last + 1)]
    with ExitStack() as opened, plain_words():
        work = trainer(table, read_sketches(name), settings, judging, opened)
        alone = on_this_machine(read_workers(), threads=1)  # a training takes every core
        running = run_jobs(work, jobs, uses=[family.fit], workers=alone, label=f"{name}: train again", unit="trainings")
        list(opened.enter_context(running))
    redrawn = (cluster_of(table, judging) or "rows") if judging.redraw_training else None
    write_trainings(name, jobs, family.by_chance or redrawn is not None, redrawn)
    drawn = f", on training {redrawn} drawn again" if redrawn else ""
    log.info("%s: %s", name, why_not or f"trained {last} times, from another seed each{drawn}")


def why_once(family: Family, settings: FamilySettings, judging: EvaluateSettings) -> str:
    """Why there is one training only; empty where there are several."""
    if not family.by_chance and not judging.redraw_training:
        return f"not trained again: a {family.name} model is the same from any seed"
    if settings.distributed:
        return "not trained again: a training on many workers is made once"
    return "" if judging.trainings > 1 else "not trained again: evaluate.trainings is 1"


def seed_of(number: int, dataset: str) -> int:
    """The seed of one training."""
    return child_seed(read_seed(), f"train again {number}", dataset)


def job_of(
    number: int, table: FeatureTable, family: Family, settings: FamilySettings, judging: EvaluateSettings
) -> Job:
    """One further training, and all that its result depends on."""
    folder = layout.features(table.dataset)
    partitions = [folder / f"{partition['name']}.parquet" for partition in table.partitions]
    beside = [layout.selection(table.dataset), layout.models(table.dataset) / "baseline.json"]
    return Job(
        name=f"training {number}",
        inputs=(*partitions, folder / "manifest.json", folder / "sketches.json", *beside),
        outputs=(ASIDE / table.dataset / f"{number}.parquet",),
        arguments={
            "seed": seed_of(number, table.dataset),
            "model": settings.model_dump(),
            "evaluate": judging.model_dump(exclude={"trainings"}),
            "library": family.library(),
        },
    )


def trainer(
    table: FeatureTable, sketches: Mapping[str, Sketch], settings: FamilySettings, judging: EvaluateSettings,
    opened: ExitStack,
) -> Callable[[Job, Path], dict[str, Any]]:  # fmt: skip
    """The work of a job: fit, judge, write.  The same rows are binned by the first job that has to fit, for all."""
    workers = choose_workers(table, read_workers(), read_scale().memory_limit_bytes)
    segments = choose_segments(table, sketches if judging.segments else {}, judging.segments)
    terms = terms_of(table, read_baseline(table.dataset), judging)
    fits: list[Callable[[int], Fit]] = []

    def train_again(job: Job, root: Path) -> dict[str, Any]:
        if judging.redraw_training:
            column, seed = cluster_of(table, judging), job.arguments["seed"]
            block = judging.block if column else 1
            own = redraw_training(table, column, lambda units: draw_weights(units, 1, seed, block)[0])
            with open_trainings(Share(own, table), sketches, settings) as train:
                fit = train(job.arguments["seed"])
        else:
            if not fits:
                fits.append(opened.enter_context(open_trainings(Share(table, table), sketches, settings)))
            fit = fits[0](job.arguments["seed"])
        # partitions side by side get a thread each: teams of threads would wait for one another's cores
        fit.model.use_threads(1 if workers.count > 1 else workers.training_threads)
        judged = judge(table, {job.name: fit.model.predict}, terms, judging, workers, segments)
        path = root / job.outputs[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_evaluation(path, judged.cells, header_of(table, judged, judging, job.arguments["seed"], segments))
        return {"best_round": fit.best_round}

    return train_again


def write_trainings(name: str, jobs: list[Job], by_chance: bool, redrawn: str | None) -> None:
    """One table of all of them; without any, a header that says whether chance has a part."""
    found = [read_evaluation(job.outputs[0]) for job in jobs]
    header = found[0][1] if found else {"dataset": name}
    systems = {system: about for _, own in found for system, about in own["systems"].items()}
    cells = pl.concat([cells for cells, _ in found]) if found else pl.DataFrame({"segment": []})
    write_table(
        layout.trainings(name), cells, header | {"by_chance": by_chance, "redrawn": redrawn, "systems": systems}
    )
    for job in jobs:
        job.outputs[0].unlink()


if __name__ == "__main__":
    start_log()
    run_stage(main)
