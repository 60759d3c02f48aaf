"""Run the line with DVC, alone in the workspace and with parameters that somebody asked for: `make repro`.

Reads   params.yaml, params/
Writes  what the stages of dvc.yaml write, dvc.lock

Nothing is started beside a command that changes the workspace.  ``--wait-for-lock`` lets a `dvc push` in another
terminal end first.
"""

import subprocess
import sys
from pathlib import Path

from stages.runtime.commands import run_command
from stages.workspace.contents import experiments_with
from stages.workspace.lock import alone
from stages.workspace.origin import ids_of, require_composed, require_no_strays

DVC = (sys.executable, "-m", "dvc")


def main(*arguments: str) -> None:
    """Run `dvc repro`, with what follows handed on to it."""
    root = Path.cwd()
    with alone("make repro"):
        require_no_strays(root)
        if not experiments_with(root, ids_of(root)):
            require_composed(root)
        done = subprocess.run([*DVC, "--wait-for-lock", "repro", *arguments], check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    run_command(main)
