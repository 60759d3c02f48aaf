"""The line as a cycle finds and leaves it: what of the data is new, a snapshot to come back to, the split it keeps."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from stages.experiments.cycle.journal import read_log
from stages.features.table import FeatureTable
from stages.records.contract import PARTS
from stages.runtime.log import log
from stages.sources.arrivals import last_good
from stages.sources.lock import open_lock
from stages.workspace import layout
from stages.workspace.composition import PARAMS, composition
from stages.workspace.errors import UserError
from stages.workspace.files import MANIFEST, read_manifest, sha256_of, whole_file
from stages.workspace.git import NAMESPACE, ask_git, commit_of, lines_of
from stages.workspace.origin import note_composed

DVC = (sys.executable, "-m", "dvc", "--wait-for-lock")
TRAINED = ("featurize", "select_features", "train", "evaluate", "retrain", "package", "report")
"""What an experiment on another window makes anew."""
AGAIN = "put that right, then run the same command again: the cycle goes on from here"


def run(words: Sequence[str], holding: IO[str]) -> None:
    """Run a command, which holds the cycle's lock for as long as it lives; one that fails ends the cycle for now.

    What it says goes where the log goes: on standard output stands what the cycle itself has to tell.
    """
    told = shlex.join(words).replace(sys.executable, "python")
    log.info("> %s", told)
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=sys.stderr, pass_fds=[holding.fileno()], check=False)
    if done.returncode:
        raise UserError(f"`{told}` to end well", f"exit status {done.returncode}, for the reason above", AGAIN)


def stage(verb: str, *arguments: str) -> list[str]:
    """The command of a verb."""
    return [sys.executable, "-m", f"stages.{verb}", *arguments]


# ── new data ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def is_waiting(dataset: str) -> bool:
    """Whether something has arrived that the line has not taken yet."""
    records = open_lock(f"sources/{dataset}.json").records
    held = {file["name"]: file["sha256"] for file in read_manifest(layout.raw(dataset))["files"]}
    return any(records[name].sha256 != sha256 for name, sha256 in held.items() if name in records)


def is_new(dataset: str) -> bool:
    """Whether there is anything that no finished cycle has seen."""
    return is_waiting(dataset) or [entry["data"] for entry in read_log(dataset)[-1:]] != [data_id(dataset)]


def arrived(dataset: str) -> list[str]:
    """The published files that arrived."""
    return [
        str(path)
        for name in open_lock(f"sources/{dataset}.json").records
        if (path := last_good(dataset, name)).exists()
    ]


def data_id(dataset: str) -> str:
    """By which the published files that the line holds are known."""
    return sha256_of(layout.raw(dataset) / MANIFEST)


def newest_day(table: FeatureTable) -> str:
    """The newest day with a known outcome."""
    if table.cluster is None:
        raise UserError(f"a dataset whose rows have days, to move its window: {table.dataset}", "none", "no cycle")
    for part in reversed(PARTS):
        for name in reversed(table.partition_names(part)):
            return str(table.with_columns([]).read(name, part, [table.cluster])[table.cluster].max())[:10]
    raise UserError(f"rows of {table.dataset} with an outcome", "none", "look at data/features, then `dvc repro`")


def refuse_other_source(dataset: str, section: Mapping[str, Any]) -> None:
    """Stop where the line would never see what arrives."""
    for source in section["download"]["sources"]:
        name = source.get("name") or str(source["location"]).rpartition("/")[2]
        if Path(source["location"]).absolute() == last_good(dataset, name).absolute() and section["download"].get(
            "lock"
        ):
            return
    raise UserError(
        f"a line that reads what arrives: datasets.{dataset}.download with a source in arrivals/{dataset}/ "
        f"and lock: sources/{dataset}.json",
        ", ".join(str(source["location"]) for source in section["download"]["sources"]),
        "docs/cycle.md shows what to write into params/; then `make params`",
    )


# ── the workspace ────────────────────────────────────────────────────────────────────────────────────────────────────
def refuse_edited(written: Sequence[str]) -> None:
    """Stop where tracked files differ from the last commit, but for those that the commands of a cycle have written.

    An experiment would take edited files along, as if they belonged to it.
    """
    others = ["--", ".", *(f":(exclude){path}" for path in written)]
    if edited := lines_of(ask_git("status", "--porcelain", "--untracked-files=no", *others)):
        found = ", ".join(line[3:] for line in edited[:4]) + (f" and {len(edited) - 4} more" if edited[4:] else "")
        raise UserError("a workspace as it was committed", f"edited: {found}", "commit them, or `git stash`")


def snapshot() -> str:
    """A commit, on no branch, of all tracked files as they stand."""
    made = lines_of(ask_git("stash", "create"))
    return made[0] if made else str(commit_of("HEAD"))


def restore(commit: str, dataset: str, holding: IO[str]) -> None:
    """Parameters, lock, figures and outputs as the snapshot has them."""
    paths = [PARAMS, "dvc.lock", *(str(folder) for folder in (layout.metrics(dataset), layout.plots(dataset)))]
    run(["git", "checkout", "--quiet", commit, "--", *paths], holding)
    run([*DVC, "checkout", "--force", *stages_run(dataset, TRAINED)], holding)


def stages_run(dataset: str, names: Sequence[str]) -> list[str]:
    """Those of the stages that have been run: others have no outputs to bring or to send."""
    lock = Path("dvc.lock").read_text(encoding="utf-8")
    return [run_as for name in names if f"\n  {(run_as := f'{name}@{dataset}')}:\n" in lock]


def split_file(dataset: str, split: Mapping[str, str]) -> tuple[Path, str]:
    """The dataset's file under ``params/``, and its text with this split in the place of the one it has."""
    path = Path(f"params/dataset/{dataset}.yaml")
    text = path.read_text(encoding="utf-8")
    for key, day in split.items():
        text, found = re.subn(rf'^(\s+{key}:\s*)["\']?[\d-]+["\']?', rf'\g<1>"{day}"', text, flags=re.M)
        if found != 1:
            lines = f'{found} lines `{key}: "2026-01-31"`'
            raise UserError(f"one line `{key}` in {path}, which the cycle moves on", lines, "write the split there")
    return path, text


def keep_split(dataset: str, split: Mapping[str, str]) -> None:
    """Write the split of the experiment in the workspace into ``params/``, so that both compose to the same."""
    path, text = split_file(dataset, split)
    with whole_file(path) as aside:
        aside.write_text(text, encoding="utf-8")
    if composition(Path.cwd()) != Path(PARAMS).read_text(encoding="utf-8"):
        raise UserError(
            f"params/ with the new split to compose to {PARAMS} of the experiment",
            "something else, so another file overrides the split",
            f"move the split into {path} alone; {AGAIN}",
        )
    note_composed(Path.cwd())


def add(paths: Sequence[str], holding: IO[str]) -> None:
    """Tell git of these paths: an experiment takes along only what git knows."""
    run(["git", "add", "--", *(path for path in paths if Path(path).exists())], holding)


def commit(paths: Sequence[str], message: str, holding: IO[str]) -> str | None:
    """Commit what has changed of these paths; the commit, None where nothing has."""
    add(paths, holding)
    if ask_git("diff", "--cached", "--quiet") is not None:
        return None
    run(["git", "commit", "--quiet", "--message", message], holding)
    return commit_of("HEAD")


def experiment_of(name: str) -> str | None:
    """The commit of an experiment that started from HEAD."""
    return commit_of(_reference(name))


def forget_experiment(name: str, holding: IO[str]) -> None:
    """Free the name of an experiment that a killed cycle had begun; what it has made stays in DVC's run cache."""
    if experiment_of(name):
        run(["git", "update-ref", "-d", _reference(name)], holding)


def _reference(name: str) -> str:
    head = str(commit_of("HEAD"))
    return f"{NAMESPACE}/{head[:2]}/{head[2:]}/{name}"
