"""The DVC side of the git hooks, so that git and DVC move together and neither blocks the other.

status     before a commit: one line that says whether outputs match code and parameters; never refuses
checkout   after switching branches: bring the outputs of that branch back from the cache; never refuses
push       before `git push`: upload outputs first; a remote that does not answer, or keys that were never given,
           are named in one line and the git push goes on; a failed upload stops it
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stages.workspace.terminal import write_plainly

DVC = (sys.executable, "-m", "dvc")
STATUS_TIMEOUT_S = 60
ANSWER_TIMEOUT_S = 3.0
NAMED = 6  # stages in the line before a commit
AMAZON = "https://s3.amazonaws.com"


def status() -> int:
    """Say in one line which stages `dvc repro` would run."""
    try:
        found = subprocess.run([*DVC, "status", "--json"], capture_output=True, text=True, timeout=STATUS_TIMEOUT_S)
        changed = sorted(json.loads(found.stdout)) if found.returncode == 0 else None
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        changed = None
    if changed is None:
        print("dvc status: could not tell (is `dvc repro` running?); the commit goes on")
    elif changed:
        named = ", ".join(changed[:NAMED]) + (f" and {len(changed) - NAMED} more" if len(changed) > NAMED else "")
        print(f"dvc status: out of date: {named}; `dvc repro` brings outputs and dvc.lock up to date")
    else:
        print("dvc status: outputs match code and parameters")
    return 0


def checkout() -> int:
    """Bring the workspace's outputs to the revision that git has just checked out."""
    is_branch = os.environ.get("PRE_COMMIT_CHECKOUT_TYPE", "1") == "1"
    if not is_branch or _is_rebasing():
        return 0
    done = subprocess.run([*DVC, "checkout", "--quiet"], capture_output=True, text=True)
    if done.returncode:
        print("dvc checkout: some outputs of this revision are not in the cache; `dvc pull` or `dvc repro` brings them")
    return 0


def push() -> int:
    """Upload what the pushed revision needs, when the remote can be reached."""
    from dvc.config import Config

    config = Config(".dvc")
    name = config["core"].get("remote")
    if not name:
        return _skipped("no default remote is configured")
    endpoint = endpoint_of(config["remote"].get(name, {}))
    if endpoint and not answers(endpoint):
        return _skipped(f"no answer from {endpoint} (`make storage` starts a local one)")
    # an experiment holds DVC's lock for moments, and its stages wait for this push
    done = subprocess.run([*DVC, "--wait-for-lock", "push"], capture_output=True, text=True)
    if done.returncode and "Unable to locate credentials" in done.stdout + done.stderr:
        return _skipped(f"no keys for the remote {name!r} (docs/remote-storage.md says where they go)")
    print(done.stdout.strip(), done.stderr.strip(), sep="\n")
    if done.returncode:
        print("dvc push: failed, so git push stops here; `git push --no-verify` pushes the commits alone")
    return done.returncode


def endpoint_of(remote: Mapping[str, Any]) -> str | None:
    """The address that must answer before an S3 or HTTP remote is tried; None for folders and other kinds."""
    url = str(remote.get("url", ""))
    if url.startswith("s3://"):
        return str(remote.get("endpointurl") or AMAZON)
    return url if url.startswith(("http://", "https://")) else None


def answers(endpoint: str) -> bool:
    """Whether something accepts a connection at the address, within a few seconds."""
    address = urlsplit(endpoint)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        with socket.create_connection((address.hostname or "", port), timeout=ANSWER_TIMEOUT_S):
            return True
    except OSError:
        return False


def _skipped(reason: str) -> int:
    print(f"dvc push: skipped, {reason}; git push goes on")
    return 0


def _is_rebasing() -> bool:
    return any(Path(".git", folder).is_dir() for folder in ("rebase-merge", "rebase-apply"))


HOOKS: Mapping[str, Callable[[], int]] = {"status": status, "checkout": checkout, "push": push}

if __name__ == "__main__":
    write_plainly()
    sys.exit(HOOKS[sys.argv[1]]())
