"""Watch a model: have the rows that came later moved away from those it learnt from, and does it still do as well?

Reads   data/features/<dataset>         rows later than the model's training rows, with and without outcome
        the champion's bundle           of the registry; bundles/<dataset> where there is none, or the one of --model
Writes  monitoring/<dataset>/           monitor.json, monitor.parquet: in git; monitor.prom for Prometheus
        reports/<dataset>/monitor.html  the same to look at
Params  datasets.<dataset>.evaluate (level, replicates, block), seed, cluster

One pass, a partition at a time: rows become counts by day, and everything else is read off those.  That something has
drifted is a finding, not a failure: the exit status is 0.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import numpy as np
import polars as pl

from stages.experiments.promotion import registry
from stages.experiments.promotion.contenders import fetch_bundle
from stages.experiments.revisions.revisions import Revision
from stages.features.profile import merge_profiles, profile_units
from stages.features.profile_files import read_profile
from stages.features.table import FeatureTable, open_features
from stages.metrics.contract import round_figures
from stages.metrics.files import read_evaluation
from stages.metrics.resampling import deal_rows, gather_cells, merge_cells, number_units
from stages.metrics.settings import EvaluateSettings
from stages.metrics.stored import decision_of, score_columns, task_named
from stages.models.bundle import EVALUATION, PROFILE, Bundle, open_bundle
from stages.models.signature import fit_rows
from stages.monitoring.judged import FLOOR, Every, Reference, Rule, Seen, judge_batches, newest_of
from stages.monitoring.page import write_page
from stages.monitoring.tables import as_prometheus, as_table, tell
from stages.runtime.commands import run_command
from stages.runtime.log import log, start_log
from stages.workspace import layout
from stages.workspace.errors import UserError, plain_words
from stages.workspace.files import MANIFEST, require_writable, sha256_of, whole_file, write_json
from stages.workspace.seeds import child_seed
from stages.workspace.settings import read_params, read_seed, read_settings, read_workers

FORMAT = 1


def main(*arguments: str) -> None:
    """Watch the model of one dataset; see ``--help``."""
    options = parse(arguments)
    name = options.dataset or next(iter(read_params()["datasets"]))
    evaluation = read_settings(EvaluateSettings, name, "evaluate")
    folder = layout.monitoring(name)
    require_writable(folder, layout.monitor_report(name).parent)
    table = open_features(name)
    with ExitStack() as opened, plain_words():
        bundle, model = open_watched(name, options.model, opened)
        reference, inputs = read_reference(bundle, evaluation), bundle.signature["inputs"]
        refuse_other_question(table, bundle.signature)
        seen = watch(table, bundle, reference, inputs)
        seed = child_seed(read_seed(), "monitor", name)
        rule = Rule(options.rate, options.floor, evaluation.level, evaluation.replicates, seed)
        batches = judge_batches(seen, reference, rule, options.every)
    trained = reference.inputs
    told = round_figures({
        "format": FORMAT, "dataset": name, "question": table.question, "task": table.task,
        "target_unit": table.target_unit, "model": model,
        "reference": {"from": trained.units[0] or None, "to": trained.units[-1] or None, "units": len(trained.units),
                      "rows": int(next(iter(trained.counts.values())).sum())},
        "every": options.every, "rate": options.rate, "floor": options.floor, "level": evaluation.level,
        "batches": batches, "newest": newest_of(batches),
    })  # fmt: skip
    write(name, told)
    print(tell(told))
    log.info("%s: see %s", name, layout.monitor_report(name))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.monitor",
        description="Watch a model on the rows that came after those it learnt from: drift, scores, quality.",
    )
    parser.add_argument("dataset", nargs="?", help="default: the first of params.yaml")
    parser.add_argument("--every", choices=get_args(Every), default="month", help="how long a batch is")
    parser.add_argument("--model", type=Path, help="a bundle; default: the champion's, else bundles/<dataset>")
    parser.add_argument("--rate", type=share, default=0.05, help="share of the drifted columns that may be wrong")
    parser.add_argument("--floor", type=share, default=FLOOR, help="the least PSI that is called drift")
    return parser.parse_args(arguments)


def share(text: str) -> float:
    """A number from 0 to 1."""
    if not 0 <= (value := float(text)) <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def open_watched(name: str, folder: Path | None, opened: ExitStack) -> tuple[Bundle, dict[str, Any]]:
    """The bundle that is watched, and what it is known by."""
    reigning = None if folder else registry.champion(name)
    threads = read_workers().training_threads
    if reigning:
        aside = Path(opened.enter_context(TemporaryDirectory(prefix="monitor-")))
        revision = Revision(reigning.version, reigning.commit, reigning.version)
        bundle = fetch_bundle("champion", revision, name, aside, threads)
    else:
        bundle = open_bundle(folder or layout.bundles(name), threads)
    known = {"version": reigning.version, "commit": reigning.commit} if reigning else {"version": None, "commit": None}
    return bundle, known | {"bundle": sha256_of(bundle.folder / MANIFEST)}


def read_reference(bundle: Bundle, evaluation: EvaluateSettings) -> Reference:
    """What the bundle says its rows looked like, and how it did."""
    profiles, cuts, about = read_profile(bundle.folder / PROFILE)
    cells, header = read_evaluation(bundle.folder / EVALUATION)
    sizes = {entry["name"]: entry["effect"] for entry in bundle.signature["inputs"] if "effect" in entry}
    total = sum(sizes.values())
    by_units = about["unit"] is not None
    return Reference(
        profiles["inputs"], profiles["scores"], cuts, cells, decision_of(header), task_named(header["task"]),
        {column: size / total for column, size in sizes.items()} if total else {},
        evaluation.block if by_units else 1, by_units,
    )  # fmt: skip


def refuse_other_question(table: FeatureTable, signature: Mapping[str, Any]) -> None:
    """Stop where the features in the workspace are not what the bundle is fed."""
    lacking = [entry["name"] for entry in signature["inputs"] if entry["name"] not in table.names]
    if signature["question"] != table.question or lacking:
        found = f"no {', '.join(lacking)}" if lacking else f"{table.question!r}, not {signature['question']!r}"
        raise UserError(
            f"the question and the inputs of the watched model of {table.dataset} among the features", found,
            "featurize so that they are there again, or name another bundle with --model",
        )  # fmt: skip


def watch(table: FeatureTable, bundle: Bundle, reference: Reference, inputs: Sequence[Mapping[str, Any]]) -> Seen:
    """Count all later rows, a partition at a time."""
    task, decision = reference.task, reference.decision
    parts: dict[str, list[Any]] = {"inputs": [], "scores": []}
    labelled: list[pl.DataFrame] = []
    every: list[pl.DataFrame] = []
    for rows, unit in later_rows(table, reference, inputs):
        fitted, _ = fit_rows(rows, inputs)
        found = bundle.model.predict(fitted.with_columns(rows[name] for name in task.along))
        scores = score_columns(task, found, bundle.signature).with_columns(rows.select(unit))
        parts["inputs"].append(profile_units(rows, reference.cuts["inputs"], unit))
        parts["scores"].append(profile_units(scores, reference.cuts["scores"], unit))
        names, places = number_units(rows[unit])
        has = rows[table.target].is_not_null().to_numpy()
        labels = rows[table.target].fill_null(0).to_numpy().astype(task.label_type)
        if has.any():
            own = decision.tabulate(places[has], names, labels[has], found[has])
            labelled = gather_cells(labelled, own)
        if task.expect:
            every = gather_cells(every, decision.tabulate(places, names, np.zeros_like(labels), found))
    if not parts["scores"]:
        raise UserError(
            f"rows of {table.dataset} later than the training rows of the watched model ({reference.inputs.units[-1]})",
            "none", "take new data in and run `dvc repro`; docs/arrival.md tells how",
        )  # fmt: skip
    return Seen(
        merge_profiles(parts["inputs"]), merge_profiles(parts["scores"]),
        *(merge_cells(cells).with_columns(pl.col("unit").cast(pl.String)) if cells else pl.DataFrame()
          for cells in (labelled, every)),
    )  # fmt: skip


def later_rows(
    table: FeatureTable, reference: Reference, inputs: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[pl.DataFrame, str]]:
    """Rows after the last unit of the training rows, as they are stored, and the column of their units.

    Rows that have no units are those of the test part, dealt into units as they were when the model was judged.
    """
    columns = [*(str(entry["name"]) for entry in inputs), table.target, *reference.task.along]
    unit, last, start = table.cluster if reference.by_units else None, reference.inputs.units[-1], 0
    for partition in table.partitions:
        lazy = pl.scan_parquet(table.path_of(partition["name"]))
        if unit:
            rows = (
                lazy.filter(pl.col(unit).cast(pl.String) > last).select(list(dict.fromkeys([*columns, unit]))).collect()
            )
        else:
            test = (pl.col("part") == "test") & pl.col(table.target).is_not_null()
            rows = lazy.filter(test).select(columns).collect()
            dealt = pl.Series("_unit", deal_rows(start, len(rows), table.rows("test"))).cast(pl.String).str.zfill(4)
            start, rows = start + len(rows), rows.with_columns(dealt)
        if len(rows):
            yield rows, unit or "_unit"


def write(name: str, told: Mapping[str, Any]) -> None:
    """All that is left of a look: for machines, for git, for Prometheus, for people."""
    folder = layout.monitoring(name)
    batches = [batch | {"columns": [each for each in batch["columns"] if each["drifted"]]} for batch in told["batches"]]
    write_json(folder / "monitor.json", dict(told) | {"batches": batches})
    with whole_file(folder / "monitor.parquet") as aside:
        as_table(told).write_parquet(aside, compression="zstd", statistics=False)
    for path, text in ((folder / "monitor.prom", as_prometheus(told)), (layout.monitor_report(name), write_page(told))):
        with whole_file(path) as aside:
            aside.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    start_log()
    run_command(main)
