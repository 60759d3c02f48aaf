"""CI: valid files, and the same make targets everywhere, each of which exists and says what it does."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOW, PIPELINE, SCRIPT = ROOT / ".github/workflows/ci.yml", ROOT / ".gitlab-ci.yml", ROOT / ".ci/run"
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def targets_run_by(path: Path) -> list[str]:
    """Make targets in the order in which the file runs them."""
    return re.findall(r"^\s*(?:- |run: )?make (\S+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_the_github_workflow_is_valid(root: Path, run) -> None:
    for workflow in sorted((root / ".github" / "workflows").iterdir()):
        run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", workflow, cwd=root)


def test_the_gitlab_pipeline_is_valid(root: Path, run) -> None:
    schema = ("--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci")
    run("check-jsonschema", *schema, PIPELINE, cwd=root)


@pytest.mark.parametrize("path", [WORKFLOW, PIPELINE, SCRIPT], ids=lambda path: path.name)
def test_every_ci_runs_the_same_targets_in_the_same_order(path: Path) -> None:
    assert targets_run_by(path) == ["repro", "verify", "test-slow", "test"]


def test_the_ci_script_is_sound_and_can_be_run(run) -> None:
    run("bash", "-n", SCRIPT, cwd=ROOT)
    assert SCRIPT.stat().st_mode & 0o111
    assert "set -euo pipefail" in SCRIPT.read_text(encoding="utf-8")


def test_every_target_is_listed_by_make_help() -> None:
    declared = next(line for line in MAKEFILE.splitlines() if line.startswith(".PHONY:")).split()[1:]
    help_text = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert sorted(re.findall(r"^  make (\S+)", help_text, flags=re.MULTILINE)) == sorted(declared)
    assert sorted(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE)) == sorted(declared)


def test_every_make_command_named_in_a_page_exists() -> None:
    declared = set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE))
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        named = set(re.findall(r"`make ([a-z-]+)", page.read_text(encoding="utf-8")))
        assert named <= declared, f"{page.name} names {named - declared}"
