"""Back to the committed state after an experiment: `make main`.

Reads   what the last commit and the experiments have
Writes  params.yaml, dvc.lock and the outputs of the stages, as the last commit has them

Only what programs write is brought back, and only where nothing is lost: an experiment has kept it, or a run that was
broken off has left it.  What people have edited stays.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from stages.runtime.commands import run_command
from stages.workspace.composition import PARAMS
from stages.workspace.contents import blob_id, committed_ids, experiment_commits, git
from stages.workspace.errors import UserError
from stages.workspace.lock import alone
from stages.workspace.origin import require_origin

LOCK = "dvc.lock"
DVC = (sys.executable, "-m", "dvc")
INDENT = "\n        "


def main(*arguments: str) -> None:
    """Bring the committed parameters, metrics and outputs back; edited files stay as they are."""
    argparse.ArgumentParser(prog="python -m tools.committed", description=main.__doc__).parse_args(arguments)
    root = Path.cwd()
    with alone("make main"):
        changed = changed_outputs(root)
        is_broken_off = PARAMS in changed and not is_explained(root)
        kept_by = experiments_of(root, changed)
        lost = [path for path in changed if not kept_by[path] and (root / path).exists()]
        if lost == [LOCK] and kept_by.get(PARAMS):
            lost = []  # later stages of the experiment were run: its commit and the run cache bring them back
        if lost and not is_broken_off:
            raise UserError(
                "results that a commit or an experiment has kept",
                f"others in{INDENT}{INDENT.join(lost)}",
                "`dvc exp save -n NAME` keeps them as an experiment, or commit them; then `make main` again",
            )
        restore(root, changed)
        done = subprocess.run([*DVC, "checkout", "--quiet", *(["--force"] if is_broken_off else [])], check=False)
        if done.returncode:
            raise UserError(
                "the outputs of the last commit in DVC's cache",
                "not all of them, for the reason above",
                "`dvc pull` fetches them, `dvc repro` makes them again",
            )
    names = sorted({name for found in kept_by.values() for name in found})
    print(told(root, changed, names))


def changed_outputs(root: Path) -> list[str]:
    """Files that programs write and git keeps, where they differ from the last commit: by content."""
    paths = [PARAMS, LOCK, *sorted(kept_outputs(root))]
    committed = committed_ids(root, ["HEAD"], paths)
    return [path for path in paths if committed["HEAD", path] != blob_id(root / path)]


def kept_outputs(root: Path) -> set[str]:
    """Outputs of the stages that lie in git, now or in the last commit."""
    texts = [(root / LOCK).read_text(encoding="utf-8") if (root / LOCK).exists() else ""]
    texts.append("\n".join(git(root, "cat-file", "blob", f"HEAD:./{LOCK}")))
    outputs = {path for text in texts for path in outputs_in(text)}
    return outputs & {*git(root, "ls-files"), *git(root, "ls-tree", "-r", "--name-only", "HEAD")}


def outputs_in(lock: str) -> Iterator[str]:
    """Paths of all outputs in a lock file."""
    stages = (yaml.load(lock, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}).get("stages", {})
    yield from (output["path"] for stage in stages.values() for output in stage.get("outs", []))


def is_explained(root: Path) -> bool:
    """Whether somebody asked for the parameters as they stand."""
    try:
        require_origin(root)
    except UserError:
        return False
    return True


def experiments_of(root: Path, paths: Sequence[str]) -> dict[str, list[str]]:
    """The experiments that have each file as it stands here."""
    named = experiment_commits(root)
    kept = committed_ids(root, list(named), paths)
    return {
        path: [name for commit, name in named.items() if kept[commit, path] == blob_id(root / path)] for path in paths
    }


def restore(root: Path, paths: Sequence[str]) -> None:
    """The files as the last commit has them; written anew, for git may take a changed one for unchanged."""
    for path in paths:
        (root / path).unlink(missing_ok=True)
    committed = committed_ids(root, ["HEAD"], paths)
    for words in (["checkout", "--quiet", "HEAD"], ["rm", "--quiet", "--cached", "--ignore-unmatch"]):
        chosen = [path for path in paths if bool(committed["HEAD", path]) == (words[0] == "checkout")]
        if chosen:
            subprocess.run(["git", *words, "--", *chosen], cwd=root, check=True)


def told(root: Path, changed: Sequence[str], names: Sequence[str]) -> str:
    """What was brought back, what it had been, and what stays."""
    commit = "".join(git(root, "log", "-1", "--format=%h %s"))
    lines = [
        f"back at {commit}: {f'{len(changed)} files brought back' if changed else 'nothing was to be brought back'}"
    ]
    if changed and names:
        lines.append(f"they were of {', '.join(names)}; `dvc exp apply NAME` applies an experiment again")
    if edited := git(root, "-c", "core.quotePath=false", "diff", "--name-only", "HEAD"):
        lines.append(f"left as you have edited them: {', '.join(edited)}")
    return "\n".join(lines)


if __name__ == "__main__":
    run_command(main)
