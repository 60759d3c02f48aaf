"""What a comparison reads and writes: tables and parameters of revisions; four files, one of them for a plot."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stages.experiments.comparison.changes import Change, changed_parameters, differing
from stages.experiments.comparison.comparison import Evaluation, Question, Trainings
from stages.experiments.revisions.revisions import (
    Revision,
    outdated_stages,
    outputs_under,
    params_of,
    read_output,
    recorded_params,
)
from stages.metrics.files import parse_evaluation
from stages.runtime.log import log
from stages.workspace import layout
from stages.workspace.errors import UserError
from stages.workspace.files import whole_file, write_csv, write_json

JSON, CSV, MARKDOWN, DIFFERENCES = "comparison.json", "comparison.csv", "comparison.md", "differences.csv"
MOST_TOLD = 3
SAME_TABLE = "the same resampling table as the baseline"
NO_TABLE = "no resampling table of the dataset"
OUTDATED = "its table is from before its model was trained"


@dataclass(frozen=True)
class Result:
    """What one dataset gave, in every form; ``name`` tells what was compared, such as ``main..deep``."""

    dataset: str
    name: str
    text: str
    markdown: str
    content: dict[str, Any]
    table: pl.DataFrame
    differences: pl.DataFrame


def default_folder(result: Result) -> Path:
    """``comparisons/<dataset>/<name>``, without what cannot stand in a folder's name."""
    return layout.comparisons(result.dataset) / re.sub(r"[^\w.+@~^-]", "-", result.name)


def write_result(result: Result, folder: Path) -> None:
    """Write the four files, each whole; the JSON last, so that where it is, the others are too."""
    try:
        (folder / JSON).unlink(missing_ok=True)
        write_csv(folder / DIFFERENCES, result.differences)
        write_csv(folder / CSV, result.table)
        with whole_file(folder / MARKDOWN) as aside:
            aside.write_text(result.markdown, encoding="utf-8")
        write_json(folder / JSON, result.content)
    except (NotADirectoryError, FileExistsError, PermissionError) as error:
        raise UserError(f"a folder {folder} to write to", str(error), "name another with --write") from None


def evaluated_datasets(revision: Revision) -> list[str]:
    """Names of the datasets that have a resampling table, in the order of the parameters."""
    some = layout.evaluation("x")
    found = [Path(path).stem for path in outputs_under(revision, some.parent) if Path(path).suffix == some.suffix]
    order = list(_params(revision).get("datasets") or {}) if found else []
    return sorted(found, key=lambda name: (order.index(name) if name in order else len(order), name))


def read_table(revision: Revision, dataset: str) -> bytes:
    """The file as it is."""
    return read_output(revision, layout.evaluation(dataset))


def is_outdated(revision: Revision, dataset: str) -> bool:
    """Whether the table is that of an earlier model than the one of this revision."""
    return f"evaluate@{dataset}" in outdated_stages(revision, dataset)


def refuse_outdated(revision: Revision, dataset: str) -> None:
    """Stop at a table that tells of another model than the revision's."""
    if is_outdated(revision, dataset):
        raise UserError(
            f"the resampling table of the model of {dataset} at {revision.label}",
            f"one from before that model was trained: evaluate@{dataset} has not been run since",
            f"run `dvc repro evaluate@{dataset}` there, or the experiment again with that target",
        )


def open_table(raw: bytes, revision: Revision, dataset: str, question: Question = "change") -> Evaluation:
    """Its cells and header; where a change is asked about, also the further trainings of the revision."""
    cells, header = parse_evaluation(raw, f"{layout.evaluation(dataset)} of {revision.label}")
    return Evaluation(
        cells, header, revision.label, read_trainings(revision, dataset) if question == "change" else None
    )


def read_trainings(revision: Revision, dataset: str) -> Trainings | None:
    """The further trainings, unless there are none or they are of an earlier model than the revision's."""
    path = layout.trainings(dataset)
    outdated = f"retrain@{dataset}" in outdated_stages(revision, dataset)
    if outdated or path.as_posix() not in outputs_under(revision, path.parent):
        return None
    try:
        raw = read_output(revision, path)
    except UserError as error:  # neither in the cache nor on the remote: one training is known, the model's own
        log.info("%s of %s is not at hand: %s", path, revision.label, error.found)
        return None
    return Trainings(*parse_evaluation(raw, f"{path} of {revision.label}"))


def experiment_tables(
    experiments: Sequence[Revision], dataset: str, baseline: bytes, question: Question, unread: list[str]
) -> tuple[list[Evaluation], dict[str, str]]:
    """Tables that differ from the baseline's, and why other experiments have none to compare."""
    tables, left_out = [], {}
    for experiment in experiments:
        try:
            found = experiment_table(experiment, dataset, baseline, question)
        except UserError as error:
            found = error.found
            unread.append(f"{dataset} of {experiment.label}: {found}")
        if isinstance(found, str):
            left_out[experiment.label] = found
        else:
            tables.append(found)
    return tables, left_out


def experiment_table(experiment: Revision, dataset: str, baseline: bytes, question: Question) -> Evaluation | str:
    """The table of an experiment; a reason where there is none to compare."""
    if dataset not in evaluated_datasets(experiment):
        return NO_TABLE
    if is_outdated(experiment, dataset):
        return OUTDATED
    raw = read_table(experiment, dataset)
    return SAME_TABLE if raw == baseline else open_table(raw, experiment, dataset, question)


def changes_between(a: Revision, b: Revision, dataset: str) -> tuple[list[Change], list[str]]:
    """What was changed in the parameters, and a line for each revision whose parameters cannot be relied on."""
    changes = changed_parameters(_params(a), _params(b), dataset)
    return changes, [note for revision in (a, b) for note in _doubts(revision, dataset)]


def _doubts(revision: Revision, dataset: str) -> Iterator[str]:
    """Parameters that are no longer those from which the table was made."""
    params = _params(revision)
    if not params:
        yield f"The parameters of {revision.label} are not known: it has no params.yaml that can be read."
        return
    was = recorded_params(revision, dataset)
    if changes := differing(was, {path: _value(params, path) for path in was}):
        told = "; ".join(map(str, changes[:MOST_TOLD])) + (" …" if len(changes) > MOST_TOLD else "")
        yield f"{revision.label} has not been run since its parameters changed ({told}): run `dvc repro` first."


def _value(params: Any, path: str) -> Any:
    """The parameter with that dotted path; None where there is none."""
    for key in path.split("."):
        params = params.get(key) if isinstance(params, Mapping) else None
    return params


def _params(revision: Revision) -> dict[str, Any]:
    try:
        return params_of(revision)
    except UserError:
        return {}
