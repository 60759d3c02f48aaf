"""`make verify` on a two-stage line: equal bytes pass; a difference is named by stage, output and metric."""

from pathlib import Path


def reproduce_and_commit(run, repository: Path) -> None:
    run("dvc", "repro", "--quiet", cwd=repository)
    run("git", "add", "--all", cwd=repository)
    run("git", "commit", "--quiet", "-m", "a run", cwd=repository)


def test_the_same_bytes_pass_and_leave_the_repository_alone(line: Path, run) -> None:
    before = (line / "dvc.lock").read_bytes()
    done = run("python", "-m", "tools.verify", cwd=line)
    assert done.stdout.count("equal to the byte") == 2
    assert (line / "dvc.lock").read_bytes() == before
    assert run("git", "status", "--porcelain", cwd=line).stdout == ""


def test_a_result_that_depends_on_threads_is_named_by_its_first_stage_and_metric(line: Path, run) -> None:
    drawing = (line / "draw.py").read_text(encoding="utf-8")
    more = "n + 2 * (sys.argv[1] == 'plums' and 'POLARS_MAX_THREADS' in os.environ)"
    (line / "draw.py").write_text(drawing.replace("* n", f"* ({more})"), encoding="utf-8")
    reproduce_and_commit(run, line)
    done = run("python", "-m", "tools.verify", cwd=line, check=False)
    assert done.returncode == 1
    assert "as-it-comes: equal to the byte" in done.stdout
    assert "other-machine: first stage that differs: draw@plums" in done.stdout
    assert "output data/plums.txt" in done.stdout
    assert "metrics/plums/count.json length.value: 7 → 9 (+2)" in done.stdout
    assert "depends on threads" in done.stdout
    alone = run("python", "-m", "tools.verify", "--other-machine", cwd=line, check=False)
    assert alone.returncode == 1 and "as-it-comes" not in alone.stdout
    assert "other-machine: first stage that differs: draw@plums" in alone.stdout


def test_a_lock_made_by_other_code_is_called_stale(line: Path, run) -> None:
    counting = (line / "count.py").read_text(encoding="utf-8")
    (line / "count.py").write_text(counting + "# newer\n", encoding="utf-8")
    run("git", "commit", "--quiet", "--all", "-m", "code without its lock", cwd=line)
    done = run("python", "-m", "tools.verify", cwd=line, check=False)
    assert done.returncode == 1
    assert "first stage that differs: count@pears" in done.stdout
    assert "input count.py" in done.stdout
    assert "not made by this code" in done.stdout
    assert "both runs here agree" in done.stdout


def test_a_trial_on_other_parameters_compares_its_runs_with_each_other(line: Path, run) -> None:
    done = run("python", "-m", "tools.verify", "--working-tree", "datasets.pears.n=3", cwd=line)
    assert "other-machine against as-it-comes: equal to the byte" in done.stdout


def test_a_line_that_fails_in_the_clone_is_reported(line: Path, run) -> None:
    (line / "count.py").write_text("raise SystemExit('no such thing')\n", encoding="utf-8")
    run("git", "commit", "--quiet", "--all", "-m", "broken", cwd=line)
    done = run("python", "-m", "tools.verify", cwd=line, check=False)
    assert done.returncode == 1
    assert "`dvc repro` in a fresh clone" in done.stderr
