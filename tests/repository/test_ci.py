"""CI: valid files, and the same make targets everywhere, each of which exists and says what it does."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tools.comparison import KEPT, PAGE

ROOT = Path(__file__).parents[2]
WORKFLOW, PIPELINE, SCRIPT = ROOT / ".github/workflows/ci.yml", ROOT / ".gitlab-ci.yml", ROOT / ".ci/run"
NO_KEYS = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def targets_run_by(path: Path) -> list[str]:
    """Make targets in the order in which the file runs them, those that it can do without among them."""
    line = r"^\s*(?:- |run: )?make ([a-z]\S*)(?: ARGS=\S+| \|\| echo .*)?$"
    return re.findall(line, path.read_text(encoding="utf-8"), flags=re.MULTILINE)


def comparison_lines() -> dict[str, tuple[list[str], dict[str, str]]]:
    """For each CI the shell lines that write a pull request's page, and what it sets for a pull request to main."""
    steps = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]["line"]["steps"]
    script = yaml.safe_load(PIPELINE.read_text(encoding="utf-8"))["line"]["script"]
    in_workflow = next(step for step in steps if "tools.comparison" in step.get("run", ""))
    assert in_workflow["env"] == {"BASE": "origin/${{ github.base_ref || github.ref_name }}"}
    return {
        "github": (in_workflow["run"].splitlines(), {"BASE": "origin/main"}),
        "gitlab": ([line for line in script if "refs/remotes" in line or "tools.comparison" in line],
                   {"CI_DEFAULT_BRANCH": "main"}),
    }  # fmt: skip


def test_the_github_workflow_is_valid(root: Path, run) -> None:
    for workflow in sorted((root / ".github" / "workflows").iterdir()):
        run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", workflow, cwd=root)


def test_the_gitlab_pipeline_is_valid(root: Path, run) -> None:
    schema = ("--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci")
    run("check-jsonschema", *schema, PIPELINE, cwd=root)


@pytest.mark.parametrize("path", [WORKFLOW, PIPELINE, SCRIPT], ids=lambda path: path.name)
def test_every_ci_runs_the_same_targets_in_the_same_order(path: Path) -> None:
    assert targets_run_by(path) == ["repro", "verify", "tracking", "kubeflow", "test-slow", "test"]


@pytest.mark.parametrize("name", ["github", "gitlab"])
def test_a_base_without_tables_is_told_on_the_page_and_fails_no_job(name: str, tmp_path: Path, run, clone) -> None:
    main = clone(tmp_path / "main")
    run("git", "clone", "--quiet", main, "branch", cwd=tmp_path)
    branch, summary = tmp_path / "branch", tmp_path / "summary.md"
    (branch / ".venv").symlink_to(main / ".venv")
    lines, given = comparison_lines()[name]
    run(
        "bash",
        "-eo",
        "pipefail",
        "-c",
        "\n".join(lines),
        cwd=branch,
        GITHUB_STEP_SUMMARY=str(summary),
        **given,
        **NO_KEYS,
    )
    page = (branch / "comparisons" / "pull-request.md").read_text(encoding="utf-8")
    assert "Not everything could be compared with `origin/main`" in page and "wanted  " in page
    assert summary.read_text(encoding="utf-8") == page
    assert "comparisons" not in run("git", "status", "--porcelain", cwd=branch).stdout


def test_both_cis_keep_the_tables_of_the_main_branch_only_and_the_page_of_every_branch() -> None:
    steps = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]["line"]["steps"]
    saved = [step for step in steps if step.get("uses", "").startswith("actions/cache/save")]
    assert [(step["if"], step["with"]["path"]) for step in saved] == [("github.ref == 'refs/heads/main'", str(KEPT))]
    job = yaml.safe_load(PIPELINE.read_text(encoding="utf-8"))["line"]
    tables = next(cache for cache in job["cache"] if cache["key"] == "tables")
    assert tables["paths"] == [f"{KEPT}/"] and tables["policy"] == "$TABLES" and job["variables"]["TABLES"] == "pull"
    assert f"{PAGE.parent}/" in job["artifacts"]["paths"]
    assert f"{PAGE.parent}/" in steps[-1]["with"]["path"].splitlines()


def test_a_cycle_runs_by_the_clock_alone_where_the_repository_names_a_dataset_and_one_at_a_time() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/cycle.yml").read_text(encoding="utf-8"))
    assert workflow[True].keys() == {"schedule", "workflow_dispatch"}  # YAML's own word for `on`
    assert workflow["concurrency"] == {"group": "cycle", "cancel-in-progress": False}
    assert workflow["jobs"]["cycle"]["if"] == "vars.CYCLE != '' && !github.event.repository.fork"
    pipeline = yaml.safe_load(PIPELINE.read_text(encoding="utf-8"))
    assert pipeline["cycle"]["rules"] == [{"if": '$CI_PIPELINE_SOURCE == "schedule" && $CYCLE'}]
    assert pipeline["cycle"]["resource_group"] == "cycle"
    assert pipeline["line"]["rules"][0] == {"if": '$CI_PIPELINE_SOURCE == "schedule"', "when": "never"}
    started = [workflow["jobs"]["cycle"]["steps"][-1]["run"], pipeline["cycle"]["script"][-1]]
    assert [line.partition(" DATASET=")[0] for line in started] == ["make cycle", "make cycle"]


def test_the_ci_script_is_sound_and_can_be_run(run) -> None:
    run("bash", "-n", SCRIPT, cwd=ROOT)
    assert SCRIPT.stat().st_mode & 0o111
    assert "set -euo pipefail" in SCRIPT.read_text(encoding="utf-8")


def test_every_target_is_listed_by_make_help() -> None:
    joined = MAKEFILE.replace("\\\n", " ").splitlines()
    declared = next(line for line in joined if line.startswith(".PHONY:")).split()[1:]
    help_text = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert sorted(re.findall(r"^  make (\S+)", help_text, flags=re.MULTILINE)) == sorted(declared)
    assert sorted(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE)) == sorted(declared)


def test_every_make_command_named_in_a_page_exists() -> None:
    declared = set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE))
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        named = set(re.findall(r"`make ([a-z-]+)", page.read_text(encoding="utf-8")))
        assert named <= declared, f"{page.name} names {named - declared}"
