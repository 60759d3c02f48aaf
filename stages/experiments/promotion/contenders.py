"""Champion and candidate on the same rows: their bundles, fetched from any revision, opened and made to score.

Each decides by the threshold of its own signature; what mistakes cost is what is declared now, alike for both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.experiments.promotion.rows import RecentRows, as_stored
from stages.experiments.revisions.revisions import Revision, fetch_folder, outdated_stages, read_output
from stages.features.table import FeatureTable
from stages.metrics.contract import Decision, System, Terms
from stages.metrics.files import parse_evaluation
from stages.metrics.scoring import choose_workers, score_test
from stages.metrics.settings import EvaluateSettings
from stages.metrics.stored import Segments, system_of, task_named
from stages.models.bundle import Bundle, open_bundle
from stages.models.signature import fit_rows
from stages.workspace import layout
from stages.workspace.errors import UserError
from stages.workspace.settings import WorkerSettings

SAME = ("task", "question", "target", "classes")
REBUILD = "rebuild the bundle there with `dvc repro`, and commit dvc.lock"


@dataclass(frozen=True)
class Contender:
    """A bundle that can score the rows of a feature table.

    ``unseen`` counts, by input, the rows whose category its training never saw: they are scored as missing.
    """

    label: str
    revision: Revision
    bundle: Bundle
    unseen: Counter[str] = field(default_factory=Counter)

    @property
    def inputs(self) -> list[Mapping[str, Any]]:
        """What it is fed, in its order."""
        return list(self.bundle.signature["inputs"])

    @property
    def names(self) -> list[str]:
        """Names of the inputs."""
        return [str(entry["name"]) for entry in self.inputs]

    def score(self, rows: pl.DataFrame) -> NDArray[np.float32]:
        """Its scores of rows as a feature table stores them."""
        fitted, misfits = fit_rows(rows, self.inputs)
        for misfit in misfits:
            if misfit.kind == "unknown category":
                self.unseen[misfit.column] += misfit.rows
        along = task_named(self.bundle.signature["task"]).along
        return self.bundle.model.predict(fitted.with_columns(rows[name] for name in along))


def open_contender(label: str, revision: Revision, table: FeatureTable, folder: Path, threads: int) -> Contender:
    """Fetch the bundle of a revision into ``folder``, open it, and see that it answers the question of the table."""
    bundle = fetch_bundle(label, revision, table.dataset, folder, threads)
    _refuse_other_signature(label, bundle.signature, table)
    return Contender(label, revision, bundle)


def refuse_outdated_bundle(revision: Revision, dataset: str) -> None:
    """Stop at a candidate whose bundle holds another model than the one that it trained."""
    line = [f"{stage}@{dataset}" for stage in ("train", "evaluate", "package")]
    if stale := [name for name in line if name in outdated_stages(revision, dataset)]:
        raise UserError(
            f"the bundle of the model of {revision.label}",
            f"an earlier one: {', '.join(stale)} not run since what is read there was made again",
            f"run the experiment again with the target package@{dataset} (`dvc exp run … package@{dataset}`)",
        )


def fetch_bundle(label: str, revision: Revision, dataset: str, folder: Path, threads: int = 0) -> Bundle:
    """The bundle of a revision, fetched into ``folder`` and opened."""
    place = fetch_folder(revision, layout.bundles(dataset), folder / label)
    try:
        return open_bundle(place, threads)
    except UserError as error:
        found = error.found.replace(str(place), str(layout.bundles(dataset)))
        raise UserError(f"a bundle of the {label} ({revision.label}) that loads", found, REBUILD) from None


def _refuse_other_signature(label: str, signature: Mapping[str, Any], table: FeatureTable) -> None:
    wanted = {"task": table.task, "question": table.question, "target": table.target, "classes": list(table.classes)}
    if other := [
        f"{key}: {signature.get(key)!r}, not {wanted[key]!r}" for key in SAME if signature.get(key) != wanted[key]
    ]:
        raise UserError(
            f"the {label} to answer the question of the features in the workspace",
            "; ".join(other),
            "check out the code and the features whose question is meant (`git checkout`, `dvc checkout`)",
        )
    kinds = {column.name: column.kind for column in table.columns}
    given = {str(entry["name"]): entry["kind"] for entry in signature.get("inputs", [])}
    lost = [f"no {name}" if name not in kinds else f"{name} is {kinds[name]}, not {kind}"
            for name, kind in given.items() if kinds.get(name) != kind]  # fmt: skip
    if lost or not given:
        raise UserError(
            f"the inputs of the {label} among the features in the workspace",
            ", ".join(lost) or "a signature without inputs",
            "featurize so that these columns are there again, or check out a revision whose features have them",
        )


def decision_of_bundle(contender: Contender, table: FeatureTable, terms: Terms) -> Decision:
    """What a bundle does with its scores."""
    try:
        return task_named(table.task).of_signature(contender.bundle.signature, terms)
    except ValueError as error:
        wanted, found, _ = error.args
        raise UserError(f"{wanted}, of the {contender.label}", found, REBUILD) from None


def terms_now(table: FeatureTable, settings: EvaluateSettings) -> Terms:
    """On what terms both are judged: a number to be predicted is coded by how it spreads over the test rows."""
    costs = {"cost_of_miss": settings.cost_of_miss, "cost_of_false_alarm": settings.cost_of_false_alarm}
    if table.classes:
        return Terms(len(table.classes), **costs)
    targets = pl.concat([frame[table.target] for frame in table.with_columns([]).frames("test")])
    mean, spread = targets.mean(), targets.std()
    return Terms(0, float(mean), float(spread or 0.0), **costs)  # type: ignore[arg-type]


def score_rows(
    contenders: Sequence[Contender], rows: RecentRows, settings: EvaluateSettings, workers: WorkerSettings,
    limit_bytes: int,
) -> dict[str, System]:  # fmt: skip
    """Each contender on the rows, by label: its table, and its metrics on the scores themselves."""
    table = as_stored(rows.table, list(dict.fromkeys(name for each in contenders for name in each.names)))
    terms = terms_now(rows.table, settings)
    decisions = {each.label: decision_of_bundle(each, table, terms) for each in contenders}
    workers = choose_workers(table, workers, limit_bytes)
    scorers = {each.label: each.score for each in contenders}
    scored = score_test(table, scorers, decisions, settings, workers, Segments({}))
    return {
        label: System(
            decision.table(scored.cells[label], list(rows.units)), decision.exact(scored.labels, scored.scores[label])
        )
        for label, decision in decisions.items()
    }


def stored_systems(
    contenders: Sequence[Contender], rows: RecentRows, settings: EvaluateSettings
) -> dict[str, System] | str:
    """The same from the resampling tables of the revisions, without scoring; or why they cannot answer."""
    if not rows.is_whole:
        return f"only the last {len(rows.units) if rows.resampled != 'rows' else rows.n} units are judged"
    if not rows.table.classes:
        return "each stored table codes numbers by the spread of its own training rows"
    systems = {}
    for each in contenders:
        try:
            raw = read_output(each.revision, layout.evaluation(rows.table.dataset))
            cells, header = parse_evaluation(raw, f"the evaluation of the {each.label}")
        except UserError as error:
            return f"no resampling table of the {each.label}: {error.found}"
        if (header.get("same_rows"), header.get("resampled")) != (rows.same_rows, rows.resampled):
            return f"the resampling table of the {each.label} is about other rows than the workspace has"
        decision = decision_of_bundle(each, rows.table, terms_now(rows.table, settings))
        if header["systems"]["model"]["decides"] != asdict(decision):
            return f"the resampling table of the {each.label} was made under another threshold or other costs"
        systems[each.label] = system_of(cells, header)
    return systems
