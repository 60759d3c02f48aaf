"""What a pull request shows beside its checks, as both CIs make it: in a clone, with a branch whose results differ."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
KEPT, PAGE = Path(".dvc/tmp/tables"), Path("comparisons/pull-request.md")


def test_a_branch_is_compared_with_the_tables_that_mains_run_kept(line, tmp_path: Path) -> None:
    line.run("python", "-m", "tools.comparison", "main")  # the run of main in CI keeps its tables …
    line.run("git", "clone", "--quiet", str(line.root), str(tmp_path / "branch"))
    branch = replace(line, root=tmp_path / "branch")
    (branch.root / ".venv").symlink_to(line.root / ".venv", target_is_directory=True)
    change = ("-S", "datasets.digits.model.max_depth=1", "-S", "datasets.digits.model.max_rounds=5")
    branch.run("dvc", "exp", "run", *change, "evaluate@digits")

    branch.run("python", "-m", "tools.comparison", "origin/main")
    page = (branch.root / PAGE).read_text(encoding="utf-8")
    assert "Not everything could be compared" in page and "digits.parquet" in page

    shutil.copytree(line.root / KEPT, branch.root / KEPT, dirs_exist_ok=True)  # … and a pull request finds them
    branch.run("python", "-m", "tools.comparison", "origin/main")
    page = (branch.root / PAGE).read_text(encoding="utf-8")
    assert "Not everything could be compared" not in page
    assert "digits: workspace against origin/main" in page and "max_depth" in page
    assert any(line.startswith("| log_loss ↓ ") and line.rstrip(" |").endswith("worse") for line in page.splitlines())
    assert "comparisons" not in "".join(branch.changes())
