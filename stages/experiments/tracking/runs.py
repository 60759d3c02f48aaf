"""What the run of one dataset was: parameters, metrics, learning curve and small files, at any revision.

Reads   dvc.lock, metrics/<dataset>/, plots/<dataset>/, bundles/<dataset>/README.md, reports/<dataset>/*.html

``params.yaml`` says what will run next, ``dvc.lock`` what has run: parameters are those of the lock, and a workspace
whose stages ran on different inputs, or whose files are not those of its lock, is no run.
"""

import hashlib
import io
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from stages.experiments.revisions.revisions import Revision, fetch_folder, outdated_stages, read_output, recorded_stages
from stages.sources.locations import shown
from stages.workspace import layout
from stages.workspace.errors import UserError
from stages.workspace.git import ask_git, commit_of, read_blob

LOCK = Path("dvc.lock")
CARD = "README.md"  # of a bundle; `stages.models.bundle` would import XGBoost to say so
LINE = ("download", "clean", "featurize", "select_features", "train", "evaluate")  # what a result follows from
SHOWN = ("low", "high", "baseline", "difference", "difference_low", "difference_high")  # of a metric, beside its value
OTHER_SIGNS = re.compile(r"[^\w\-. :/]")


@dataclass(frozen=True)
class RecordedRun:
    """One dataset's run; ``curve`` is a loss by round for each part, ``files`` are contents by name."""

    dataset: str
    revision: Revision
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    curve: Mapping[str, list[float]]
    commit: str | None
    """The commit, of the workspace that on which it is based; None before the first."""
    committed_s: int | None
    """When that commit was made, in seconds since 1970; None where it does not hold this run."""
    model: str
    """DVC's hash of ``models/<dataset>``."""
    features: str
    """DVC's hash of ``data/features/<dataset>``."""
    fingerprint: str
    """The same for the same parameters, model and metrics, whatever the commit."""
    files: Mapping[str, bytes] = field(repr=False)
    missing: tuple[str, ...] = ()
    """Files that the revision names and that were not found: in the workspace, or in the cache and the remote."""


def recorded_datasets(revision: Revision) -> list[str]:
    """The datasets whose evaluation the lock of a revision records."""
    return sorted(key.partition("@")[2] for key in recorded_stages(revision) if key.startswith("evaluate@"))


def read_run(revision: Revision, dataset: str, just_packaged: bool = False) -> RecordedRun:
    """The run of ``dataset`` at ``revision``; ``just_packaged`` where DVC has yet to record that `package` ran."""
    entries = _entries(revision, dataset)
    outdated = {name.partition("@")[0] for name in outdated_stages(revision, dataset)}
    _refuse_outdated(outdated, dataset)
    outs = {out["path"]: out["md5"] for entry in entries.values() for out in entry.get("outs", [])}
    results_file, curve_file = _results_file(dataset, outs), layout.plots(dataset) / "learning_curve.csv"
    results = json.loads(_read_as_locked(revision, results_file, outs))
    records = json.loads(_read_as_locked(revision, layout.metrics(dataset) / "clean.json", outs))
    curve = pl.read_csv(io.BytesIO(_read_as_locked(revision, curve_file, outs)))
    params = _params(entries, dataset)
    commit = revision.commit or commit_of("HEAD")
    model = outs[layout.models(dataset).as_posix()]
    identity = [dataset, params, model, outs[results_file.as_posix()]]
    current = {name: entry for name, entry in entries.items() if name not in outdated}
    files, missing = _files(revision, _pages(dataset, current, just_packaged))
    return RecordedRun(
        dataset=dataset,
        revision=revision,
        params=params,
        metrics={**_results(results), **_numbers(records, "clean")},
        curve={part: losses["loss"].to_list() for (part,), losses in curve.group_by("part", maintain_order=True)},
        commit=commit,
        committed_s=_time_of(commit) if commit and (revision.commit or _is_lock_of(commit)) else None,
        model=model,
        features=outs[layout.features(dataset).as_posix()],
        fingerprint=hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32],
        files=files,
        missing=missing,
    )


def _results_file(dataset: str, outs: Mapping[str, str]) -> Path:
    """Where a revision keeps its results: they were in ``test.json`` before DVC's tables had a file of their own."""
    ours = layout.results(dataset)
    return ours if ours.as_posix() in outs else layout.metrics(dataset) / "test.json"


def _is_lock_of(commit: str) -> bool:
    return read_blob(commit, LOCK) == LOCK.read_bytes()


def _time_of(commit: str) -> int:
    return int(ask_git("show", "--no-patch", "--format=%ct", commit) or 0)


def _entries(revision: Revision, dataset: str) -> dict[str, dict[str, Any]]:
    """What the lock records of one dataset, by stage."""
    stages = recorded_stages(revision)
    entries = {name: stages[f"{name}@{dataset}"] for name in LINE if f"{name}@{dataset}" in stages}
    beside = {key.partition("@")[0]: entry for key, entry in stages.items() if key.endswith(f"@{dataset}")}
    if absent := [name for name in LINE if name not in entries]:
        known = ", ".join(recorded_datasets(revision)) or "none"
        raise UserError(
            f"a run of {dataset} at {revision.label}",
            f"dvc.lock records no {', '.join(absent)} of it; evaluated there: {known}",
            "run `dvc repro`, or name another revision or dataset",
        )
    return entries | beside


def _refuse_outdated(outdated: Collection[str], dataset: str) -> None:
    """Refuse results that were computed from something else than the lock now records."""
    if odd := [name for name in LINE if name in outdated]:
        raise UserError(
            f"results of {dataset} that follow from each other",
            f"{odd[0]} ran before its inputs were made again",
            "run `dvc repro`, and mirror then",
        )


def _read_as_locked(revision: Revision, path: Path, outs: Mapping[str, str]) -> bytes:
    """A small output, which must be the one that the lock records."""
    raw = read_output(revision, path)
    if hashlib.md5(raw, usedforsecurity=False).hexdigest() != outs.get(path.as_posix()):
        raise UserError(
            f"{path} as dvc.lock records it at {revision.label}",
            "another content",
            "run `dvc repro`, which makes it again, or `dvc checkout`, which brings it back",
        )
    return raw


def _params(entries: Mapping[str, Mapping[str, Any]], dataset: str) -> dict[str, str]:
    """Every parameter that the line ran with: ``model.max_depth`` of ``datasets.<dataset>.model.max_depth``."""
    merged: dict[str, str] = {}
    for name in LINE:
        for key, value in entries[name].get("params", {}).get("params.yaml", {}).items():
            merged |= flatten(value, key.removeprefix(f"datasets.{dataset}."))
    return merged


def flatten(value: Any, key: str) -> dict[str, str]:
    """Nested parameters as texts by dotted key; texts lose passwords of addresses, other values are JSON."""
    if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        value = dict(enumerate(value))
    if isinstance(value, Mapping):
        return {name: text for inner, item in value.items() for name, text in flatten(item, f"{key}.{inner}").items()}
    return {key: shown(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}


def _results(results: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """``roc_auc`` and, as a group of that name, ``roc_auc/low``, ``roc_auc/baseline`` and so on."""
    figures: dict[str, float] = {}
    for metric, result in results.items():
        figures |= _numbers(result.get("value"), metric)
        figures |= _numbers({name: result.get(name) for name in SHOWN}, metric)
    return figures


def _numbers(value: Any, name: str) -> dict[str, float]:
    """The finite numbers of a JSON value by path, in names of signs that every tracker takes."""
    if isinstance(value, Mapping):
        return {path: x for key, item in value.items() for path, x in _numbers(item, f"{name}/{key}").items()}
    return {OTHER_SIGNS.sub("_", name): float(value)} if type(value) in (int, float) else {}


def _files(revision: Revision, pages: Iterable[tuple[str, Path]]) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """The card, pages and tables of the run that can be read, by name; and the paths of those that cannot."""
    files, missing = {}, []
    for name, path in pages:
        try:
            files[name] = _read_page(revision, path)
        except (UserError, FileNotFoundError):
            missing.append(path.as_posix())
    return files, tuple(missing)


def _read_page(revision: Revision, path: Path) -> bytes:
    """One file, which may lie in a folder that DVC tracks as a whole; of the workspace, only what lies there."""
    if revision.commit is None:
        return path.read_bytes()
    if path.name != CARD:
        return read_output(revision, path)
    with TemporaryDirectory() as aside:
        return (fetch_folder(revision, path.parent, Path(aside) / "bundle") / CARD).read_bytes()


def _pages(dataset: str, current: Mapping[str, Mapping[str, Any]], just_packaged: bool) -> Iterator[tuple[str, Path]]:
    """The model card, and the pages and tables of stages that are up to date with the results; with their names."""
    if just_packaged or "package" in current:
        yield "model_card.md", layout.bundles(dataset) / CARD
    for entry in current.values():
        for out in (Path(out["path"]) for out in entry.get("outs", [])):
            if out.parts[0] in ("plots", "reports") and out.suffix in (".csv", ".html"):
                yield f"{out.parts[0]}/{out.name}", out
