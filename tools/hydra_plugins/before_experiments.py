"""What is refused before `dvc exp run` composes its parameters.

Hydra finds this file by ``plugins_path`` of .dvc/config and asks it inside DVC's process, at each composition; DVC has
no other place for such questions.  A refusal here leaves the workspace as it was.
"""

import sys
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = {"--queue", "--temp"}  # experiments that run in a copy of the repository under .dvc/tmp/exps


class BeforeExperiments(SearchPathPlugin):
    """Adds nothing to the search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Refuse an experiment that would go wrong without a word; other programs compose as they like."""
        if "dvc" in (Path(sys.argv[0]).name, Path(sys.argv[0]).parent.name):  # the program, or `python -m dvc`
            _refuse(set(sys.argv[1:]))


def _refuse(words: set[str]) -> None:
    from dvc.exceptions import DvcException

    sys.path.append(str(ROOT))  # DVC does not look for modules here
    from stages.workspace.errors import UserError
    from stages.workspace.lock import at_work

    try:
        if Path.cwd() != ROOT:
            raise UserError(
                f"experiments to be started in {ROOT}, whose params.yaml DVC reads",
                f"one in {Path.cwd()}: its override would go into a params.yaml there, which nothing reads",
                f"`cd {ROOT}`, then run the same command again",
            )
        if words & ELSEWHERE:
            _refuse_unwritable_settings(_local_settings())
        elif who := at_work(ROOT):
            raise UserError(
                "one command at a time that changes this folder",
                f"{who} is at work in it",
                "wait for its end; or run the experiment beside it, with `--queue` or `--temp`",
            )
    except UserError as error:
        raise DvcException(str(error)) from None


def _local_settings() -> dict[str, Any]:
    """What DVC writes into the copy's .dvc/config.local: this one's, with full paths, and where the cache is."""
    from dvc.config import Config

    config = Config(str(ROOT / ".dvc"))
    return {**config.read("local"), "where the cache is": config["cache"].get("dir") or str(ROOT / ".dvc" / "cache")}


def _refuse_unwritable_settings(settings: dict[str, Any]) -> None:
    """DVC writes them in ASCII alone, and gives up without a log where a path has other letters."""
    from stages.workspace.errors import UserError

    if not str(settings).isascii():
        raise UserError(
            "paths of ASCII letters in the settings of DVC, which `--queue` and `--temp` copy",
            f"{', '.join(sorted(_others(settings)))}",
            "keep the cache elsewhere, `dvc cache dir --local /a/plain/path`, or move the clone into a folder with a "
            "plain name; without `--queue` and `--temp` experiments run here as well",
        )


def _others(settings: Any) -> set[str]:
    if isinstance(settings, dict):
        return {found for value in settings.values() for found in _others(value)}
    return set() if str(settings).isascii() else {str(settings)}
