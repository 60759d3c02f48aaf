"""Make the bundle that ships: model, signature, reference, example and model card, loaded again before it counts.

Reads   models/<dataset>, data/features/<dataset>, data/selection/<dataset>.json, metrics/<dataset>/results.json,
        data/evaluation/<dataset>.parquet (how the model did, day by day),
        data/clean/<dataset> (the last partition and the joined tables: what rows that come next may know),
        data/raw/<dataset> (its last partition, for rows to start from), plots/<dataset>/calibration.csv, residuals.csv
Writes  bundles/<dataset>/   model.ubj (or what its family writes), signature.json, reference.json, calibration.json,
                             example.csv, README.md, manifest.json; profile.parquet and evaluation.parquet, with
                             which a monitor compares; state.json and its tables, example-published.csv
Params  datasets.<dataset>.evaluate (the costs behind the threshold)

With ``tracking.mlflow``, the run is shown in MLflow as well; a server that does not answer costs a warning.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from stages.features.profile import cut_column, merge_profiles, profile_units
from stages.features.profile_files import write_profile
from stages.features.sketch import NumberSketch, Sketch, merge_sketches, sketch_frame, sketch_to_json
from stages.features.table import SUMMARIES, FeatureTable, as_enums, open_features, read_selection, read_sketches
from stages.metrics.files import read_evaluation, write_table
from stages.metrics.stored import WHOLE, score_columns, task_named
from stages.models.bundle import (
    CALIBRATION,
    CARD,
    EVALUATION,
    EXAMPLE,
    PROFILE,
    PUBLISHED,
    REFERENCE,
    SIGNATURE,
    open_bundle,
    seal,
    whole_bundle,
)
from stages.models.contract import Model
from stages.models.families import FAMILIES, FIRST, model_files, open_model, read_baseline, say_fitted
from stages.models.signature import as_texts, fit_rows
from stages.pages.card import write_card
from stages.pages.verdicts import conclusion
from stages.records.contract import load_dataset
from stages.records.prepare import judge_rows
from stages.runtime.log import log, start_log
from stages.runtime.tracking import mirror_after
from stages.state.facts import wanted_columns
from stages.state.seed import Seed, has_memory, partitions_kept, write_seed
from stages.workspace import layout
from stages.workspace.errors import UserError, run_stage
from stages.workspace.files import MANIFEST, read_json, read_manifest, write_csv, write_json
from stages.workspace.origin import require_origin
from stages.workspace.settings import read_params

EXAMPLE_ROWS = 10
EFFECT_ROWS = 500  # whose contributions say which inputs matter most


def main(name: str) -> None:
    """Package the model of the dataset ``name``."""
    require_origin(Path.cwd())
    features = open_features(name, columns=read_selection(name))
    sketches, model = read_sketches(name), open_model(features)
    features = features.with_columns(model.features)
    training = read_json(layout.models(name) / "training.json")
    results = read_json(layout.results(name))
    selection = read_json(layout.selection(name))["features"]
    baseline = read_baseline(name).told
    family = training.get("family", FIRST)
    costs, effects = read_params()["datasets"][name]["evaluate"], mean_effects(features, model)
    signature = describe(features, sketches, results, family, costs, effects)
    calibration, residuals = (read_plot(name, plot) for plot in ("calibration", "residuals"))
    rows = example_rows(features)

    with whole_bundle(layout.bundles(name)) as folder:
        for path in model_files(layout.models(name)):
            shutil.copyfile(path, folder / path.name)
        write_json(folder / SIGNATURE, signature)
        write_json(folder / REFERENCE, {column: sketch_to_json(sketches[column]) for column in features.names})
        write_json(folder / CALIBRATION, calibrated(calibration, residuals, results))
        write_csv(folder / EXAMPLE, as_texts(rows, signature["inputs"]))
        card = write_card(
            signature=signature,
            results=results,
            fitted=say_fitted(training),
            baseline=baseline,
            dropped=[feature for feature in selection if not feature["kept"]],
            alone=FAMILIES[family].alone,
        )
        (folder / CARD).write_text(card, encoding="utf-8")
        write_reference(folder, features, sketches, model, signature)
        if (seed := last_seed(name)) is not None:
            write_seed(folder, seed)
            write_csv(folder / PUBLISHED, published_rows(seed))
        seal(folder)
        check_scores(features, model, rows, open_bundle(folder).model, signature)
    log.info("%s: %s", name, conclusion(features.question, results, baseline))
    mirror_after(name)


def describe(
    features: FeatureTable,
    sketches: Mapping[str, Sketch],
    results: Mapping[str, Mapping[str, Any]],
    family: str,
    costs: Mapping[str, Any],
    effects: Mapping[str, float],
) -> dict[str, Any]:
    """The signature: what goes in and how much it moves the answer, what comes out, and from where on that is a yes."""
    inputs = []
    for column in features.columns:
        sketch = sketches[column.name]
        seen: dict[str, Any] = {"null_share": round(sketch.nulls / sketch.rows, 6) if sketch.rows else 1.0}
        if column.kind in ("picture", "text"):  # of which a sketch knows brightness or length alone
            seen |= {"shape": list(column.shape)} if column.shape else {}
        elif isinstance(sketch, NumberSketch):
            seen |= {"low": sketch.low if sketch.n else None, "high": sketch.high if sketch.n else None}
        else:
            seen |= {"categories": list(column.categories)}
        if column.name in effects:
            seen |= {"effect": effects[column.name]}
        inputs.append({"name": column.name, "kind": column.kind, "unit": column.unit, "about": column.about, **seen})
    threshold = next((result["threshold"] for result in results.values() if "threshold" in result), None)
    decision = {"threshold": threshold, **{cost: costs[cost] for cost in ("cost_of_miss", "cost_of_false_alarm")}}
    return {
        "format": 1,
        "dataset": features.dataset,
        "question": features.question,
        "task": features.task,
        "target": features.target,
        **({"target_unit": features.target_unit} if features.target_unit else {}),
        "classes": list(features.classes),
        **(decision if threshold is not None else {}),
        "family": family,
        "library": FAMILIES[family].library(),
        "inputs": inputs,
    }


def mean_effects(features: FeatureTable, model: Model) -> dict[str, float]:
    """The mean size of every input's contributions to the raw score of some valid rows; none where none are exact."""
    rows = _spread_rows(features, EFFECT_ROWS)
    found = model.contributions(rows)
    if found is None:
        return {}
    sizes = np.abs(found.astype(np.float64)).mean(axis=(0, 1))[:-1]
    return {name: float(f"{size:.4g}") for name, size in zip(model.features, sizes, strict=True)}


def read_plot(name: str, plot: str) -> pl.DataFrame:
    """A table of numbers behind a plot."""
    path = layout.plots(name) / f"{plot}.csv"
    if not path.exists():
        raise UserError(f"the table {path}", "no such file", "run `dvc repro`, or `git checkout` it")
    return pl.read_csv(path, infer_schema=False).cast(pl.Float64)


def calibrated(
    calibration: pl.DataFrame, residuals: pl.DataFrame, results: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """How predictions fared in the test, group by group; of numbers, also where the middle 80 % of single rows lay."""
    lead = next(iter(results.values()))
    groups = calibration.drop("perfect").with_columns(pl.col("rows").cast(pl.Int64))
    if len(residuals):  # of the same groups in the same order
        groups = groups.with_columns(residuals["tenth"], residuals["ninetieth"])
    return {"level": lead["level"], "resampled": lead.get("resampled", "rows"), "groups": groups.to_dicts()}


def example_rows(features: FeatureTable) -> pl.DataFrame:
    """Ten rows of the valid part, spread over its first partition."""
    return _spread_rows(features, EXAMPLE_ROWS)


def _spread_rows(features: FeatureTable, n: int) -> pl.DataFrame:
    frame = next(features.frames("valid"))
    return frame.gather_every(max(len(frame) // n, 1)).head(n).select(features.names)


def write_reference(
    folder: Path, features: FeatureTable, sketches: Mapping[str, Sketch], model: Model, signature: Mapping[str, Any]
) -> None:
    """What a monitor compares later rows with: inputs of the training rows and scores of the others, by unit, and the
    resampling table of the test part."""
    inputs = [cut_column(name, sketches[name]) for name in features.names]
    task, unit = task_named(features.task), features.cluster
    extra = [*([unit] if unit else []), *task.along]
    # a model is asked about rows before anybody knows whether they will have an outcome, so all rows count
    trained = [profile_units(features.read_every(name, "train", extra), inputs, unit)
               for name in features.partition_names("train")]  # fmt: skip
    given = []  # a score a row is kept, not the rows
    later = [(part, name) for part in ("valid", "test") for name in features.partition_names(part)]
    for part, name in later:
        frame = features.read_every(name, part, extra)
        scores = score_columns(task, model.predict(as_enums(frame, features.columns)), signature)
        given.append(scores.with_columns(frame.select(unit)) if unit else scores)
    spread = merge_sketches([sketch_frame(scores, [n for n in scores.columns if n != unit]) for scores in given])
    outputs = [cut_column(name, sketch) for name, sketch in spread.items()]
    told = [profile_units(scores, outputs, unit) for scores in given]
    write_profile(
        folder / PROFILE, {"inputs": merge_profiles(trained), "scores": merge_profiles(told)},
        {"inputs": inputs, "scores": outputs}, {"unit": unit},
    )  # fmt: skip
    cells, header = read_evaluation(layout.evaluation(features.dataset))
    whole = (pl.col("system") == "model") & (pl.col("segment") == WHOLE)
    write_table(folder / EVALUATION, cells.filter(whole), header)


def last_seed(name: str) -> Seed | None:
    """What the line knows at its end; None where its features were not made from clean rows here."""
    clean, summaries = layout.clean(name), layout.features(name) / SUMMARIES
    if not (clean / MANIFEST).exists():
        return None
    manifest, dataset = read_manifest(clean), load_dataset(name)
    partitions = [part["name"] for part in manifest["records"]["partitions"]]
    kept = partitions_kept(dataset, partitions) if has_memory(dataset) else []
    features = {column["name"] for column in read_manifest(layout.features(name))["columns"]}
    return Seed(
        dataset=dataset,
        open=partitions[-1],
        rows=pl.read_parquet(clean / f"{partitions[-1]}.parquet"),
        summaries={name: pl.read_parquet(summaries / f"{name}.parquet") for name in kept},
        references={t.name: pl.read_parquet(clean / "references" / f"{t.name}.parquet") for t in dataset.references},
        complete=all(feature.name in features for feature in dataset.features if feature.needs_complete),
    )


def published_rows(seed: Seed) -> pl.DataFrame:
    """Ten rows that passed, spread over the last partition, as they are published before their outcome is known."""
    table = seed.dataset.records
    published = table.read(layout.raw(seed.dataset.name), seed.open)
    some = published.gather_every(max(len(published) // (2 * EXAMPLE_ROWS), 1)).head(2 * EXAMPLE_ROWS)
    failed = judge_rows(table, some, seed.open).quarantined["row"].to_list()
    passed = some.filter(~pl.int_range(pl.len()).is_in(failed))
    return passed.head(EXAMPLE_ROWS).select(wanted_columns(seed.dataset, table))


def check_scores(
    features: FeatureTable, model: Model, rows: pl.DataFrame, loaded: Model, signature: Mapping[str, Any]
) -> None:
    """The loaded bundle scores the example, and the same rows read as text, exactly as the model in memory."""
    expected = model.predict(rows)
    as_text = as_texts(rows, signature["inputs"]).with_columns(pl.all().cast(pl.String))
    fitted, misfits = fit_rows(as_text, signature["inputs"])
    for frame in (rows, fitted):
        if not np.array_equal(expected, loaded.predict(frame)):
            raise AssertionError(f"{features.dataset}: the bundle does not score as the model does")
    if [misfit for misfit in misfits if misfit.kind in ("missing column", "not a number")]:
        raise AssertionError(f"{features.dataset}: the signature refuses its own example: {misfits[0].told}")


if __name__ == "__main__":
    start_log()
    run_stage(main)
