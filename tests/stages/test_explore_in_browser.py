"""The page on clean data in a browser: it fits a phone, follows the reader's colours, and no label lies on another."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.browser import check_fit, check_schemes, in_browser
from tests.stages.test_explore import ROOT, TOY, write_clean

LONG = "a_column_whose_name_is_as_long_as_names_in_real_tables_are_and_then_some_more_of_it_min"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy dataset with many days, long names, far outliers and skewed categories."""
    root = tmp_path_factory.mktemp("browser")
    for folder in ("stages", "notebooks"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "stages/datasets/toy.py").write_text(TOY)
    write_clean(root)
    rng = np.random.default_rng(2)
    for path in (root / "data/clean/toy").glob("*.parquet"):
        trips = pl.read_parquet(path)
        n = len(trips)
        skewed = pl.Series(np.exp(rng.normal(0, 3, n)) * 1e4)
        names = [f"{'a very long category' * 2} {k}" for k in range(30)]
        trips.with_columns(
            skewed.alias(LONG), (skewed * 1e5).alias("far_min"), pl.Series(rng.choice(names, n)).alias("a_kind"),
            *(pl.Series(rng.normal(size=n) * 10.0**k).alias(f"{LONG[:30]}_{k}") for k in range(8)),
        ).write_parquet(path)  # fmt: skip
    subprocess.run([sys.executable, "-m", "stages.explore", "toy"], cwd=root, env=os.environ, check=True)
    return root / "reports/toy/explore.html"


@in_browser
def test_the_page_fits_every_width_and_no_label_lies_on_another(page: Path, tmp_path: Path) -> None:
    check_fit(page, tmp_path, pictures=8)


@in_browser
def test_page_and_pictures_follow_the_readers_colours(page: Path, tmp_path: Path) -> None:
    check_schemes(page, tmp_path)
