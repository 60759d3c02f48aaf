"""The git repository around a folder, by default the working directory, asked with git itself: milliseconds a question.

Paths are relative to that folder, so a project that lives in a folder of a larger repository is found too.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePath

from stages.workspace.errors import UserError

NAMESPACE = "refs/exps"  # of DVC's experiments: refs/exps/<2 digits of the baseline>/<its other 38>/<name>


def ask_git(*arguments: str, root: Path | None = None, asks: bytes = b"") -> bytes | None:
    """What git prints, having read ``asks``; None when it ends with an error.

    Raises
    ------
    UserError
        When there is no git, or the working directory is in no repository that it accepts.
    """
    try:
        done = subprocess.run(["git", *arguments], cwd=root, input=asks, capture_output=True, check=False)
    except FileNotFoundError:
        raise UserError("the program git", "none on the search path", "install git") from None
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.decode(errors="replace").strip()
    if "dubious ownership" in said:
        trust = said.partition("git config")[2].splitlines()[0]  # git writes the whole command, path and all
        raise UserError(
            "a git repository that belongs to you, or that you trust",
            said.splitlines()[0],
            f"if you trust what is in it, run `git config{trust}`",
        )
    if "not a git repository" in said:
        raise UserError(
            "a git repository around the working directory",
            said.splitlines()[0],
            "run this in the folder of a clone; revisions are read from its history",
        )
    return None


def lines_of(answer: bytes | None) -> list[str]:
    """The lines of an answer; none when there was no answer."""
    return (answer or b"").decode(errors="replace").splitlines()


def private_path(name: str) -> Path:
    """A file of this clone alone, in the git folder: no commit carries it."""
    return Path(lines_of(ask_git("rev-parse", "--git-path", "plumbline"))[0]) / name


def is_shallow() -> bool:
    """Whether this clone lacks the history before some commit, as those of CI do."""
    return lines_of(ask_git("rev-parse", "--is-shallow-repository")) == ["true"]


def commit_of(name: str) -> str | None:
    """The full hash of the commit that git knows by a name: a hash or its beginning, a branch, a tag, ``HEAD~2``."""
    found = lines_of(ask_git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"))
    return found[0] if found else None


def read_blob(commit: str, path: PurePath) -> bytes | None:
    """A file as a commit has it; None when git does not keep it there."""
    return ask_git("cat-file", "blob", f"{commit}:./{path.as_posix()}")


def files_under(commit: str, folder: PurePath) -> list[str]:
    """Names of the files that a commit keeps right in or below a folder, relative to the working directory."""
    return lines_of(ask_git("-c", "core.quotePath=false", "ls-tree", "-r", "--name-only", commit, f"{folder}/"))


def refs_under(namespace: str, root: Path | None = None) -> dict[str, str]:
    """Commits by the full name of their reference, in the order of the names."""
    found = lines_of(ask_git("for-each-ref", "--format=%(objectname) %(refname)", namespace, root=root))
    return {name: commit for commit, _, name in (line.partition(" ") for line in found)}


def every_experiment(root: Path | None = None) -> Iterator[tuple[str, str, str]]:
    """Baseline, name and commit of every DVC experiment that has been run."""
    for reference, commit in refs_under(NAMESPACE, root).items():
        match reference.removeprefix(f"{NAMESPACE}/").split("/"):
            case [first, rest, name] if len(first + rest) == 40:
                yield first + rest, name, commit
