"""Reproduce one stage where there is nothing but a clone and the remote, and share what it made: for schedulers.

Reads   the default remote of DVC: what other clones have shared
Writes  the stage's outputs; to the remote these, and the run cache

A scheduler runs the line stage by stage, each in a clone of its own (docs/orchestration.md).  Nothing is handed on
between them: a stage reproduces up to itself, and what was made before it is found in the remote by DVC's run cache,
which goes by command, code, parameters and inputs.  So `dvc.lock` may be older than the code, and to try again costs
nothing.

`dvc push --run-cache` would not do: it leaves out the outputs that git keeps (``cache: false``), and without all of its
outputs a run is not found again.
"""

from typing import TYPE_CHECKING

from stages.runtime.commands import run_command
from stages.workspace.errors import UserError

if TYPE_CHECKING:
    from dvc.repo import Repo


def main(name: str) -> None:
    """Reproduce the stage ``name``, such as ``train@digits``, and push."""
    from dvc.exceptions import CheckoutError, DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            repo.reproduce(name, pull=True, allow_missing=True)  # what has not changed need not be here
            try:
                repo.pull(name)
            except CheckoutError:  # but it must be somewhere: `dvc.lock` knows outputs that were never pushed
                repo.reproduce(name, pull=True)
            share(repo, name)
    except DvcException as error:
        found = f"{error}: {error.__cause__}" if error.__cause__ else str(error)
        raise UserError(f"the stage {name}, and a remote to share it", found, "read what was said above") from error


def share(repo: "Repo", name: str) -> None:
    """Push what is here of the outputs of a stage and of those before it, then the record of their runs."""
    repo.push(name, with_deps=True)
    stages = repo.stage.collect(name, with_deps=True)
    in_git = [out.hash_info for stage in stages for out in stage.outs if not out.use_cache]
    repo.cloud.push([each for each in in_git if repo.cache.local.exists(each.value)])
    repo.stage_cache.push(None)


if __name__ == "__main__":
    run_command(main)
