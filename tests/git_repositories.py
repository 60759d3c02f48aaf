"""Real git and DVC repositories for the tests: how they begin, how a commit is made, how a branch is looked at.

Everything works in the current directory, as the commands of the project do.
"""

import subprocess
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

AUTOSTAGE = "[core]\n    autostage = true\n"
REMOTE = "[core]\n    remote = far\n['remote \"far\"']\n    url = ../../far\n"


def git(*arguments: str) -> str:
    """What git answers."""
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def commit_all(message: str) -> None:
    """Everything that git does not ignore.

    From an empty index: a file rewritten within a second in its old size looks unchanged to git, once DVC, which marks
    no doubtful entry as git does, has written the index in the next second.
    """
    git("read-tree", "--empty")
    git("add", "-A")
    git("commit", "-qm", message)


@contextmanager
def new_repository(parent: Path, *, author: str = "T", autostage: bool = False, remote: bool = False) -> Iterator[Path]:
    """An empty ``parent/repository`` with its branch main; its DVC remote, if any, is a folder beside the parent.

    DVC is imported here, so that a test which only speaks to git need not wait for it.
    """
    from dvc.repo import Repo

    folder = parent / "repository"
    folder.mkdir()
    with chdir(folder):
        git("init", "-qb", "main")
        git("config", "user.name", author)
        git("config", "user.email", f"{author.lower()}@example.org")
        Repo.init().close()
        if autostage:
            Path(".dvc/config").write_text(AUTOSTAGE, encoding="utf-8")
        if remote:
            Path(".dvc/config.local").write_text(REMOTE, encoding="utf-8")
        yield folder


def run_pipeline() -> None:
    """`dvc repro`."""
    from dvc.repo import Repo

    with Repo() as repo:
        repo.reproduce()


def go_to(name: str) -> None:
    """Check out a commit, and what DVC tracks of it."""
    from dvc.repo import Repo

    git("rm", "-rqf", "--ignore-unmatch", ".")  # what looks unchanged, see `commit_all`, would be left as it is
    git("checkout", "-qf", name)
    with Repo() as repo:
        repo.checkout(force=True)
