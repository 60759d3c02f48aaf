"""Workspaces that hold two months of nycflights, a few dozen published rows, ready to be cleaned and featurized."""

import shutil
from pathlib import Path

import yaml

from stages.workspace.files import write_manifest

ROOT = Path(__file__).parents[1]
NAME = "nycflights"
OUTPUTS = ("data/clean", "data/quarantine", "data/features", "metrics")


def start_workspace(folder: Path, **cluster: object) -> Path:
    """A new workspace; ``cluster`` are changes of that section of its parameters."""
    shutil.copytree(ROOT / "tests" / "data" / NAME, folder / "data" / "raw" / NAME)
    write_manifest(folder / "data" / "raw" / NAME, {"files": []})
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["cluster"] |= cluster
    params["datasets"][NAME]["clean"] |= {"sample": 0.9, "max_quarantined_share": 1.0}
    params["datasets"][NAME]["featurize"]["split"] = {"train_until": "2013-01-31", "valid_until": "2013-02-02"}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    return folder


def tree(workspace: Path) -> dict[str, bytes]:
    """Every output by its name."""
    paths = sorted(path for folder in OUTPUTS for path in (workspace / folder).rglob("*") if path.is_file())
    return {str(path.relative_to(workspace)): path.read_bytes() for path in paths}
