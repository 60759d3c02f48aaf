"""Does a fresh clone give the same bytes?  `make verify` runs the line twice from an empty cache and compares.

Reads   the repository at HEAD (or the files as they stand, with --working-tree)
Writes  two clones in a temporary folder, removed afterwards

The first clone runs as anyone would; the second with other numbers of workers and threads, another hash seed and
another time zone.  Each must rewrite `dvc.lock` to the byte and leave git with nothing to say.  A difference is named
by the first stage that shows it, in the order of the line, and by how far its metrics moved.  ``--other-machine`` runs
the second alone: CI has just run the first, in its own clean checkout.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.runtime.commands import run_command
from stages.workspace.composition import compose_params
from stages.workspace.errors import UserError
from tools.lockfile import Difference, first_difference, moved_metrics
from tools.params import PARAMS

LOCK = Path("dvc.lock")
OTHER_MACHINE = {
    "PLUMBLINE_WORKERS": "3",
    "PLUMBLINE_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    "PYTHONHASHSEED": "7",
    "TZ": "JST-9",
}


@dataclass(frozen=True)
class Trial:
    """One run of the whole line in a clone of its own."""

    name: str
    environment: Mapping[str, str]


TRIALS = (Trial("as-it-comes", {}), Trial("other-machine", OTHER_MACHINE))


def clone_repository(root: Path, clone: Path, *, working_tree: bool, overrides: Sequence[str]) -> None:
    """A clone of HEAD, or of the files that git knows or would add; ``overrides`` are composed into its parameters."""
    if working_tree:
        _git(clone.parent, "init", "--quiet", str(clone))
        names = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
        for name in filter(None, names):
            if (root / name).is_file():
                (clone / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, clone / name)
    else:
        _git(clone.parent, "clone", "--quiet", str(root), str(clone))
    if overrides:
        (clone / PARAMS).write_text(compose_params(clone, overrides), encoding="utf-8")
        (clone / LOCK).unlink(missing_ok=True)
    if working_tree or overrides:
        _git(clone, "add", "--all")
        _git(clone, "-c", "user.name=verify", "-c", "user.email=verify@localhost", "commit", "--quiet", "-m", "verify")
    # Neither a shared cache from someone's own DVC configuration nor the run cache may answer instead of the line.
    (clone / ".dvc" / "config.local").write_text("[cache]\n    dir = cache\n", encoding="utf-8")


def reproduce(clone: Path, environment: Mapping[str, str]) -> None:
    """Run the line in the clone with this Python environment; its output goes to the terminal."""
    binaries = Path(sys.executable).parent
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}  # set inside hooks
    variables = {
        **inherited,
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "DVC_SITE_CACHE_DIR": str(clone.parent / "site"),
        "PLUMBLINE_CACHE": "off",  # results of an earlier run must not answer either
        **environment,
    }
    done = subprocess.run([binaries / "dvc", "repro"], cwd=clone, env=variables, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise UserError(
            "`dvc repro` in a fresh clone", f"it failed with status {done.returncode}", "read its error above"
        )


def run_trial(root: Path, folder: Path, trial: Trial, options: argparse.Namespace) -> Path:
    """Clone, run, and return the clone."""
    clone = folder / trial.name / "clone"
    clone.parent.mkdir()
    shown = " ".join(f"{name}={value}" for name, value in trial.environment.items()) or "nothing set"
    print(f"verify: {trial.name} ({shown}): dvc repro in a fresh clone with an empty cache", flush=True)
    clone_repository(root, clone, working_tree=options.working_tree, overrides=options.overrides)
    started = time.monotonic()
    reproduce(clone, trial.environment)
    print(f"verify: {trial.name}: reproduced in {time.monotonic() - started:.0f} s", flush=True)
    return clone


def judge(clone: Path, reference: Path | None) -> list[str]:
    """What differs in the clone from its own commit, or from ``reference``, another clone; empty when all is equal."""
    committed = (
        _git(clone, "show", f"HEAD:{LOCK}") if reference is None else (reference / LOCK).read_text(encoding="utf-8")
    )
    found = (clone / LOCK).read_text(encoding="utf-8")
    difference = first_difference(committed, found, clone / "dvc.yaml")
    said = [] if difference is None else _described(difference, clone, reference)
    if difference is None and committed != found:
        said.append("dvc.lock holds the same stages in other bytes: commit the one that `dvc repro` writes")
    if reference is None:
        changed = _git(clone, "status", "--porcelain").splitlines()
        said += [f"git sees a change after the run: {line}" for line in changed if line[3:] != str(LOCK)]
    return said


def _described(difference: Difference, clone: Path, reference: Path | None) -> list[str]:
    said = [f"first stage that differs: {difference.stage}", *(f"  {line}" for line in difference.lines)]
    if difference.is_stale:
        return [*said, "dvc.lock was not made by this code: run `make repro` and commit dvc.lock, metrics/ and plots/"]

    def earlier(name: str) -> str:
        return (
            _git(clone, "show", f"HEAD:{name}") if reference is None else (reference / name).read_text(encoding="utf-8")
        )

    moves = moved_metrics(clone, earlier)
    return [*said, *(f"  metric {line}" for line in moves or ["files are all equal"])]


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        found = done.stderr.strip() or f"status {done.returncode}"
        raise UserError(f"`git {' '.join(arguments[:2])}` to work", found, "commit first, or try `--working-tree`")
    return done.stdout


def machine() -> str:
    """This machine in words, for a reader who compares two of them."""
    return f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def main(*arguments: str) -> None:
    """Prove that a fresh clone reproduces dvc.lock to the byte, whatever the number of threads."""
    parser = argparse.ArgumentParser(prog="python -m tools.verify", description=main.__doc__)
    parser.add_argument("--working-tree", action="store_true", help="the files as they stand instead of HEAD")
    parser.add_argument("overrides", nargs="*", help="Hydra overrides, such as scale=tiny: the runs are then "
                        "compared with each other instead of with the committed dvc.lock")  # fmt: skip
    parser.add_argument("--other-machine", action="store_true", help="the second run alone, against the committed "
                        "dvc.lock, where `make repro` has just run from nothing in a clean checkout")  # fmt: skip
    options = parser.parse_args(arguments)
    if options.other_machine and options.overrides:
        parser.error("with overrides, two runs are compared with each other: leave --other-machine out")
    trials = TRIALS[1:] if options.other_machine else TRIALS
    with tempfile.TemporaryDirectory(prefix="plumbline-verify-") as name:
        clones = [run_trial(Path.cwd(), Path(name), trial, options) for trial in trials]
        if options.overrides:
            verdicts = [("other-machine against as-it-comes", judge(clones[1], clones[0]))]
        else:
            verdicts = [(trial.name, judge(clone, None)) for trial, clone in zip(trials, clones, strict=True)]
        differing = [said for _, said in verdicts if said]
        for title, said in verdicts:
            print("\n".join(f"verify: {title}: {line}" for line in said or ["equal to the byte"]))
        if differing and not options.overrides:
            print(f"verify: {_who_is_to_blame(clones)} ({machine()})")
    if differing:
        sys.exit(1)


def _who_is_to_blame(clones: Sequence[Path]) -> str:
    if len(clones) == 1:
        return "commit, arithmetic of this machine, or threads: without --other-machine, two runs tell which it is"
    if len({(clone / LOCK).read_bytes() for clone in clones}) == 1:
        return "both runs here agree with each other: the commit or this machine's arithmetic differs, not the threads"
    return "the two runs here differ: a result depends on threads, workers, hash seed or time zone"


if __name__ == "__main__":
    run_command(main)
