"""Where may a benchmark run the line?  In a clone of its own, in a temporary folder, with this Python environment."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.verify import clone_repository

ROOT = Path(__file__).parents[1]
OUTPUTS = ("data", "models", "bundles", "reports")
LINE = ("download", "clean", "featurize", "select_features", "train", "evaluate", "package")


@contextmanager
def cloned(overrides: Sequence[str] = ()) -> Iterator[Path]:
    """The files as they stand (what git knows or would add) as a clone with an empty DVC cache."""
    with tempfile.TemporaryDirectory(prefix="plumbline-benchmark-") as folder:
        clone = Path(folder) / "clone"
        clone_repository(ROOT, clone, working_tree=True, overrides=overrides)
        yield clone


def environment(clone: Path) -> dict[str, str]:
    """Variables under which commands find this environment's programs, and nothing of another workspace."""
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DVC_SITE_CACHE_DIR": str(clone.parent / "site"),
        "PLUMBLINE_CACHE": "off",
    }


def stage_command(stage: str, dataset: str) -> list[str]:
    """What ``dvc.yaml`` runs for one stage of one dataset."""
    return [sys.executable, "-m", f"stages.{stage}", dataset]


def empty_outputs(clone: Path) -> None:
    """Remove what the line has written, and its cache: the next run starts from the published files."""
    for folder in (*OUTPUTS, ".dvc/cache", ".dvc/tmp"):
        shutil.rmtree(clone / folder, ignore_errors=True)
    shutil.rmtree(clone.parent / "site", ignore_errors=True)
