"""A folder of pictures becomes a dataset with one command: the line runs on it and the contract is kept."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.pipeline.test_new_dataset import LINE, RUN

ROOT = Path(__file__).parents[2]
NAME = "shapes"


def draw_pictures(folder: Path, n: int) -> None:
    """Bars that lie and bars that stand, in grey, as PNG and as JPEG."""
    draw = np.random.default_rng(5)
    for place in range(n):
        for kind in ("lying", "standing"):
            picture = draw.integers(0, 60, (24, 20), dtype=np.uint8)
            start, long = draw.integers(2, 14), draw.integers(2, 8)
            picture[start : start + 4, long : long + 10] = 230
            path = folder / kind / f"{place:03}.{'jpg' if place % 5 == 0 else 'png'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture if kind == "lying" else picture.T[:24, :].copy()).resize((20, 24)).save(path)


@pytest.mark.slow
def test_a_folder_of_pictures_runs_at_once_and_keeps_the_contract(tree) -> None:
    shutil.copyfile(ROOT / "params/config.yaml", tree.root / "params/config.yaml")
    draw_pictures(tree.root / "own", 120)
    (tree.root / "own/lying/broken.png").write_bytes(b"no picture")
    tree.run("git", "init", "--quiet")  # DVC's configuration is that of a repository
    tree.run("python", "-m", "tools.new_pictures", NAME, "own")
    package = f"stages/datasets/{NAME}"
    tree.run("ruff", "check", package)
    tree.run("ruff", "format", "--check", package)
    tree.run("python", "-c", RUN.format(verbs=", ".join(LINE)), NAME)
    clean = json.loads((tree.root / f"metrics/{NAME}/clean.json").read_text(encoding="utf-8"))
    assert clean["records"]["rows_in"] == 241 and clean["records"]["rows_quarantined"] == 1
    results = json.loads((tree.root / f"metrics/{NAME}/results.json").read_text(encoding="utf-8"))
    assert results["roc_auc"]["value"] > 0.9
    chosen = ("tests/contract", "-k", f"{NAME} or default_run")
    kept = tree.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen)
    assert " passed" in kept and " failed" not in kept
