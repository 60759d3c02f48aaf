"""The state of a training after each epoch, so that one that was killed goes on where it was, to the same bytes.

A checkpoint is named by all that the training depends on: rows, settings, seed, architecture, library.  One of other
settings has another name and is never looked at.  It goes when its training ends, and after a week in any case.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from stages.models.contract import DamagedModel
from stages.models.nets.tensors import Arrays, from_bytes, to_bytes
from stages.runtime.log import log
from stages.workspace.files import whole_file

FOLDER = Path(".dvc/tmp/networks")
WEEK_S = 7 * 24 * 3600


@dataclass(frozen=True)
class Checkpoint:
    """The file of one training; ``key`` is a digest of all that it depends on."""

    key: str

    @property
    def path(self) -> Path:
        """Where it lies."""
        return FOLDER / f"{self.key}.safetensors"

    def write(self, arrays: Arrays, about: dict[str, str]) -> None:
        """Keep the state in whole, or leave the one before."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        with whole_file(self.path) as path:
            path.write_bytes(to_bytes(arrays, about))

    def read(self) -> tuple[Arrays, dict[str, str]] | None:
        """What was kept; None where nothing was, or where it is damaged."""
        if not self.path.exists():
            return None
        try:
            return from_bytes(self.path.read_bytes())
        except DamagedModel as error:
            log.warning("%s: a damaged checkpoint (%s): training begins anew", self.path, error)
            return None

    def remove(self) -> None:
        """Forget this one, and those that nobody has come back to."""
        self.path.unlink(missing_ok=True)
        for left in FOLDER.glob("*.safetensors") if FOLDER.exists() else ():
            if time.time() - left.stat().st_mtime > WEEK_S:
                left.unlink(missing_ok=True)
