"""Is a file what a commit or an experiment has?  Told by content, with the ids by which git itself knows it.

git's own answer rests on times and sizes that it noted, and misses a change of equal length in the same second.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from stages.workspace.errors import UserError
from stages.workspace.git import ask_git, every_experiment, lines_of


def experiments_with(root: Path, ids: Mapping[str, str]) -> list[str]:
    """Names of the experiments whose commits have these contents: git's ids by path."""
    named = experiment_commits(root)
    return [named[commit] for commit in commits_with(root, named, ids)]


def experiment_commits(root: Path) -> dict[str, str]:
    """Commit and name of every experiment that has been run; none where there is no git."""
    with suppress(UserError):
        return {commit: name for _, name, commit in every_experiment(root)}
    return {}


def commits_with(root: Path, commits: Iterable[str], ids: Mapping[str, str]) -> list[str]:
    """Those of the commits in which every path has the content of its id; an empty id means: no such path."""
    commits, paths = list(commits), list(ids)
    answers = committed_ids(root, commits, paths)
    return [commit for commit in commits if all(answers[commit, path] == ids[path] for path in paths)]


def committed_ids(root: Path, commits: Sequence[str], paths: Sequence[str]) -> dict[tuple[str, str], str]:
    """git's id of each path in each commit, empty where it is not there; one question to git for all."""
    asked = [(commit, path) for commit in commits for path in paths]
    lines = "".join(f"{commit}:./{path}\n" for commit, path in asked)
    answers = git(root, "cat-file", "--batch-check=%(objectname)", asks=lines) if asked else []
    found = [answer if " " not in answer else "" for answer in answers] or [""] * len(asked)
    return dict(zip(asked, found, strict=True))


def blob_id(path: Path) -> str:
    """git's id of a file as it stands; empty where there is none."""
    try:
        return _object_id("blob", path.read_bytes()).hex()
    except (FileNotFoundError, NotADirectoryError):
        return ""


def tree_id(folder: Path) -> str:
    """git's id of a folder as it stands, with all that is in it; empty where there is none."""
    if not folder.is_dir():
        return ""
    entries = {}
    for path in folder.iterdir():
        if path.is_dir():
            entries[f"{path.name}/"] = (b"40000", path, bytes.fromhex(tree_id(path)))
        else:
            mode = b"100755" if path.stat().st_mode & 0o100 else b"100644"
            entries[path.name] = (mode, path, _object_id("blob", path.read_bytes()))
    listed = (entries[name] for name in sorted(entries, key=os.fsencode))
    lines = (mode + b" " + os.fsencode(path.name) + b"\0" + found for mode, path, found in listed)
    return _object_id("tree", b"".join(lines)).hex()


def _object_id(kind: str, content: bytes) -> bytes:
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content, usedforsecurity=False).digest()


def git(root: Path, *words: str, asks: str = "") -> list[str]:
    """The lines that git answers; none where it refuses, or where there is no git: what then cannot be told, is not."""
    with suppress(UserError):
        return lines_of(ask_git(*words, root=root, asks=asks.encode()))
    return []
