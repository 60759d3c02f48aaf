"""Compose ``params/`` into ``params.yaml``, the file that DVC reads and git keeps.

Reads   params/ (Hydra), the ``hydra`` section of .dvc/config
Writes  params.yaml, and a note of it under .dvc/tmp

``dvc repro`` never composes; only ``dvc exp run`` does.  The composition here is DVC's own function with DVC's own
settings, so the two cannot differ.  ``--check`` writes nothing and fails when the file is stale; ``--origin``, as a
stage of the line, when no composition, commit or experiment explains it: an edit that was never composed makes
`dvc repro` fail instead of finding everything up to date.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from stages.runtime.commands import run_command
from stages.workspace.composition import compose_params
from stages.workspace.errors import UserError
from stages.workspace.files import whole_file
from stages.workspace.lock import alone
from stages.workspace.origin import note_composed, require_composed, require_no_strays, require_origin

PARAMS = Path("params.yaml")
QUOTED = "\"datasets.ontime.download.series.location='https://…_{year}_{month}.zip'\""


def main(*arguments: str) -> None:
    """Write ``params.yaml``, or judge it with ``--check``."""
    parser = argparse.ArgumentParser(prog="python -m tools.params", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when params.yaml is stale")
    parser.add_argument("--origin", action="store_true", help="write nothing; fail when nobody asked for params.yaml")
    parser.add_argument("overrides", nargs="*", help="Hydra overrides, such as scale=tiny")
    options = parser.parse_args(arguments)
    root = Path.cwd()
    if options.check:
        require_no_strays(root)
        require_composed(root)
        return
    if options.origin:
        require_origin(root)
        return
    with alone("make params"):
        composed = compose_with(options.overrides)
        with whole_file(PARAMS) as aside:
            aside.write_text(composed, encoding="utf-8")
        note_composed(root)


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
    run_command(main)
