"""Outputs, parameters and experiments of any revision: a commit, a branch, a tag, a DVC experiment or the workspace.

Nothing is checked out.  git answers for what it keeps; ``dvc.lock`` of the revision says which bytes DVC keeps, and
`dvc_objects` brings them from the cache or the remote.
"""

from __future__ import annotations

import difflib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any
from uuid import uuid4

import yaml

from stages.experiments.revisions.objects import read_objects
from stages.workspace.errors import UserError
from stages.workspace.git import commit_of, every_experiment, files_under, is_shallow, read_blob, refs_under

WORKSPACE = "workspace"
PARAMS, LOCK = PurePath("params.yaml"), PurePath("dvc.lock")
SHORT = 8


@dataclass(frozen=True)
class Revision:
    """A state of the repository; ``commit`` is None for the files as they lie in the workspace."""

    name: str
    commit: str | None
    label: str


def resolve(name: str) -> Revision:
    """The revision of a name: ``workspace``, whatever git knows as a commit, or a DVC experiment."""
    if name == WORKSPACE:
        return Revision(name, None, WORKSPACE)
    if name and (commit := commit_of(name)):
        is_hash = re.fullmatch("[0-9a-f]{7,40}", name) is not None and commit.startswith(name)
        return Revision(name, commit, commit[:SHORT] if is_hash else name)
    return Revision(name, _experiment(name), name)


def _experiment(name: str) -> str:
    """The commit of an experiment; of several with that name, the one that started from HEAD."""
    found = {baseline: commit for baseline, known, commit in every_experiment() if known == name}
    head = commit_of("HEAD")
    if len(found) == 1 or head in found:
        return found[head] if head in found else next(iter(found.values()))
    if found:
        commits = ", ".join(f"{commit[:SHORT]} (from {baseline[:SHORT]})" for baseline, commit in found.items())
        raise UserError(f"one experiment named {name!r}", f"{len(found)}: {commits}", "name it by its commit")
    raise UserError(
        "a commit, branch, tag or DVC experiment of this repository, or `workspace`",
        f"{name!r}, which is none of these{_close_to(name)}{'; this clone is shallow' if is_shallow() else ''}",
        ("run `git fetch --unshallow`, which brings the whole history; " if is_shallow() else "")
        + "see `git branch --all`, `git tag` and `dvc exp list --all`; `git fetch` and `dvc exp pull origin NAME` "
        "bring those of others",
    )


def _close_to(name: str) -> str:
    known = [ref.split("/", 2)[2] for ref in (*refs_under("refs/heads"), *refs_under("refs/tags"))]
    elsewhere = [ref.split("/", 2)[2] for ref in refs_under("refs/remotes")]
    if elsewhere_too := [ref for ref in elsewhere if ref.partition("/")[2] == name]:
        return f"; there is {elsewhere_too[0]!r}"
    known += [experiment for _, experiment, _ in every_experiment()] + elsewhere
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def experiments_of(revision: Revision) -> list[Revision]:
    """The DVC experiments that started from a revision, by name; those of the workspace started from HEAD."""
    baseline = revision.commit or commit_of("HEAD")
    found = sorted((name, commit) for start, name, commit in every_experiment() if start == baseline)
    return [Revision(name, commit, name) for name, commit in found]


def default_reference() -> str:
    """What the workspace is compared with: ``main`` from another branch's commit, otherwise the last commit."""
    main, head = commit_of("main"), commit_of("HEAD")
    return "main" if main and main != head else "HEAD"


def params_of(revision: Revision) -> dict[str, Any]:
    """The composed parameters at a revision."""
    content = _parse(read_output(revision, PARAMS), PARAMS, revision)
    if not isinstance(content, dict):
        raise UserError(f"named sections in {PARAMS} of {revision.label}", f"{content!r}", "run `make params` there")
    return content


def recorded_params(revision: Revision, dataset: str) -> dict[str, Any]:
    """The parameters with which the dataset's stages were run last, by path, as ``dvc.lock`` has them."""
    stages = recorded_stages(revision)
    own = [stage for name, stage in stages.items() if name.endswith(f"@{dataset}")]
    return {path: value for stage in own for path, value in stage.get("params", {}).get(str(PARAMS), {}).items()}


def outdated_stages(revision: Revision, dataset: str) -> list[str]:
    """Stages of a dataset that ran before what they read was made again, as where a run named an earlier stage."""
    stages = recorded_stages(revision)
    made = {out["path"]: out.get("md5") for stage in stages.values() for out in stage.get("outs", [])}
    return [
        name
        for name, stage in stages.items()
        if name.endswith(f"@{dataset}")
        and any(made.get(dep["path"], dep.get("md5")) != dep.get("md5") for dep in stage.get("deps", []))
    ]


def read_output(revision: Revision, path: PurePath | str) -> bytes:
    """One file of a revision, whoever keeps it: the workspace, git, DVC's cache or its remote."""
    path = PurePath(path)
    kept = _kept(revision, path)
    if kept is not None:
        return kept
    entry = _entry(revision, path)
    if entry is None:
        raise _no_such(path, revision)
    if str(entry.get("md5")).endswith(".dir"):
        raise UserError(f"a file {path} at {revision.label}", "a folder", "name a file in it")
    return next(read_objects([entry], path.as_posix()))


def outputs_under(revision: Revision, folder: PurePath | str) -> list[str]:
    """Paths right in a folder that `read_output` would find: files of git, of the workspace, outputs of DVC."""
    folder = PurePath(folder)
    recorded = set(_recorded(revision))
    if revision.commit is None:
        recorded |= {path.as_posix() for path in Path(folder).glob("*") if path.is_file()}
    else:
        recorded |= set(files_under(revision.commit, folder))
    return sorted(path for path in recorded if PurePath(path).parent == folder and PurePath(path).name[0] != ".")


def fetch_folder(revision: Revision, path: PurePath | str, into: Path) -> Path:
    """Write a folder of a revision to ``into``, which must not exist yet: the whole of it, or nothing."""
    path = PurePath(path)
    if into.exists():
        raise UserError(f"a place for {path} of {revision.label}", f"{into} exists", "remove it, or name another")
    aside = into.with_name(f".{into.name}.{uuid4().hex}.part")
    try:
        for name, content in _files_of(revision, path):
            place = aside / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        aside.rename(into)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return into


def _files_of(revision: Revision, folder: PurePath) -> Iterator[tuple[str, bytes]]:
    """Name below the folder, and content, of every file."""
    if revision.commit is None and Path(folder).is_dir():
        names = [path for path in sorted(Path(folder).rglob("*")) if path.is_file()]
        yield from ((path.relative_to(folder).as_posix(), path.read_bytes()) for path in names)
        return
    entry = _recorded(revision).get(folder.as_posix())
    if entry is not None:
        files = _listed(entry, folder)
        yield from zip(files, read_objects(list(files.values()), folder.as_posix()), strict=True)
        return
    names_in_git = files_under(revision.commit, folder) if revision.commit else []
    if not names_in_git:
        raise _no_such(folder, revision)
    for name in names_in_git:
        yield PurePath(name).relative_to(folder).as_posix(), read_output(revision, name)


def _entry(revision: Revision, path: PurePath) -> dict[str, Any] | None:
    """What DVC recorded of a file: an output of its own, in a folder that is one, or added by ``dvc add``."""
    recorded = _recorded(revision)
    if path.as_posix() in recorded:
        return recorded[path.as_posix()]
    for folder in path.parents:
        if folder.as_posix() in recorded:
            return _listed(recorded[folder.as_posix()], folder).get(path.relative_to(folder).as_posix())
    return _added(revision, path)


def _listed(entry: dict[str, Any], folder: PurePath) -> dict[str, dict[str, Any]]:
    """Entries of the files of a folder, by name below it."""
    listed = json.loads(next(read_objects([entry], folder.as_posix())))
    return {file["relpath"]: {"hash": "md5", "md5": file["md5"]} for file in listed}


def _no_such(path: PurePath, revision: Revision) -> UserError:
    return UserError(
        f"{path} at {revision.label}",
        "neither in git nor among the outputs of its dvc.lock",
        "name a revision that has it, or run `dvc repro` there and commit dvc.lock",
    )


def _kept(revision: Revision, path: PurePath) -> bytes | None:
    """The file as the workspace or git has it."""
    if revision.commit is not None:
        return read_blob(revision.commit, path)
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        return None


def _recorded(revision: Revision) -> dict[str, dict[str, Any]]:
    """The outputs of every stage in ``dvc.lock``, by path."""
    return {output["path"]: output for stage in recorded_stages(revision).values() for output in stage.get("outs", [])}


def recorded_stages(revision: Revision) -> dict[str, dict[str, Any]]:
    """The stages in ``dvc.lock``, by name; none where it does not exist."""
    raw = _kept(revision, LOCK)
    if raw is None:
        return {}
    try:
        stages: dict[str, dict[str, Any]] = _load(raw).get("stages", {})
    except AttributeError:
        raise UserError(f"stages in {LOCK} of {revision.label}", "something else", "run `dvc repro`") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _not_yaml(LOCK, revision, error) from None
    return stages


def _added(revision: Revision, path: PurePath) -> dict[str, Any] | None:
    """What ``dvc add`` recorded of a file, in a file of its own beside it."""
    raw = _kept(revision, path.with_name(f"{path.name}.dvc"))
    if raw is None:
        return None
    content: dict[str, Any] = _parse(raw, path, revision)["outs"][0]
    return content


def _parse(raw: bytes, path: PurePath, revision: Revision) -> Any:
    try:
        return _load(raw)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _not_yaml(path, revision, error) from None


@lru_cache(maxsize=32)
def _load(raw: bytes) -> Any:
    """YAML, read once: four questions about a lock file of 60 kB would take a fifth of a second."""
    return yaml.load(raw, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}


def _not_yaml(path: PurePath, revision: Revision, error: Exception) -> UserError:
    return UserError(f"YAML in {path} of {revision.label}", " ".join(str(error).split()), "name another revision")
