"""Compose ``params/`` as ``dvc exp run`` does.

It is done by DVC's own function with DVC's own settings, so the two cannot differ.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from stages.workspace.errors import UserError

PARAMS = "params.yaml"


def compose_params(root: Path, overrides: Sequence[str] = ()) -> str:
    """The text that ``dvc exp run`` would write to ``params.yaml`` of the repository at ``root``."""
    from dvc.config import Config
    from dvc.utils.hydra import compose_and_dump

    root = root.resolve()
    hydra = Config(str(root / ".dvc"))["hydra"]
    with tempfile.TemporaryDirectory() as folder:
        composed = Path(folder) / PARAMS
        compose_and_dump(
            composed,
            config_dir=str(root / hydra.get("config_dir", "conf")),
            config_module=None,
            config_name=hydra.get("config_name", "config"),
            plugins_path=str(root / hydra.get("plugins_path", "")),
            overrides=list(overrides),
        )
        return composed.read_text(encoding="utf-8")


def composition(root: Path, overrides: Sequence[str] = ()) -> str:
    """The same text; a ``params/`` that does not compose is a `UserError` in the words of Hydra."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        return compose_params(root, overrides)
    except (HydraException, OmegaConfBaseException) as error:
        found = " ".join(str(error).split())
        raise UserError("params/ to compose", found, "correct it, and run the same command again") from None
