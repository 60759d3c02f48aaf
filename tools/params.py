"""Compose ``params/`` into ``params.yaml``, the file that DVC reads and git keeps.

Reads   params/ (Hydra), the ``hydra`` section of .dvc/config
Writes  params.yaml

``dvc repro`` never composes; only ``dvc exp run`` does.  The composition here is DVC's own function with DVC's own
settings, so the two cannot differ.  ``--check`` writes nothing and fails when the file is stale.
"""

import argparse
import difflib
from collections.abc import Sequence
from pathlib import Path

from stages.workspace.composition import compose_params
from stages.workspace.errors import UserError, run_stage

PARAMS = Path("params.yaml")
QUOTED = "\"datasets.ontime.download.series.location='https://…_{year}_{month}.zip'\""
SHOWN = 20  # lines of difference in the message


def check_params(root: Path) -> None:
    """Raise a `UserError` with the differing lines when ``params.yaml`` is not what ``params/`` composes to."""
    wanted = compose_params(root)
    found = (root / PARAMS).read_text(encoding="utf-8") if (root / PARAMS).exists() else ""
    if wanted != found:
        compared = difflib.unified_diff(
            found.splitlines(), wanted.splitlines(), "params.yaml", "params/", lineterm="", n=0
        )
        lines = list(compared)
        rest = [f"… and {len(lines) - SHOWN} lines more"] if len(lines) > SHOWN else []
        raise UserError(
            "params.yaml equal to the composition of params/",
            "\n        ".join(["a stale file:", *lines[:SHOWN], *rest]),
            "edit files under params/ only, then run `make params` and commit both",
        )


def main(*arguments: str) -> None:
    """Write ``params.yaml``, or judge it with ``--check``."""
    parser = argparse.ArgumentParser(prog="python -m tools.params", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when params.yaml is stale")
    parser.add_argument("overrides", nargs="*", help="Hydra overrides, such as scale=tiny")
    options = parser.parse_args(arguments)
    if options.check:
        check_params(Path.cwd())
    else:
        PARAMS.write_text(compose_with(options.overrides), encoding="utf-8")


def compose_with(overrides: Sequence[str]) -> str:
    """The composition under overrides; what Hydra cannot read is a `UserError`, and most often lacks quotes."""
    from hydra.errors import HydraException

    try:
        return compose_params(Path.cwd(), overrides)
    except HydraException as error:
        raise UserError(
            "overrides that Hydra can read, and a parameter for each of them",
            str(error).splitlines()[0],
            f"quote a value with braces, commas or spaces twice, once for the shell: {QUOTED}",
        ) from None


if __name__ == "__main__":
    run_stage(main)
