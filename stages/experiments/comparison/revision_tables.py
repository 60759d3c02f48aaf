"""Resampling tables and parameters of revisions, as comparisons need them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stages.experiments.comparison.changes import Change, changed_parameters, differing
from stages.experiments.comparison.comparison import Evaluation
from stages.experiments.revisions.revisions import (
    Revision,
    outdated_stages,
    outputs_under,
    params_of,
    read_output,
    recorded_params,
)
from stages.metrics.files import parse_evaluation
from stages.workspace import layout
from stages.workspace.errors import UserError

MOST_TOLD = 3


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


def open_table(raw: bytes, revision: Revision, dataset: str) -> Evaluation:
    """Its cells and header."""
    cells, header = parse_evaluation(raw, f"{layout.evaluation(dataset)} of {revision.label}")
    return Evaluation(cells, header, revision.label)


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
