"""`tools.one_stage`: clones that share nothing but a remote run every stage once, whatever `dvc.lock` knows."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

OnePod = Callable[..., "tuple[str, Path]"]


@pytest.fixture
def line(line: Path, run) -> Path:
    """The small line with folders as outputs, as ours has them."""
    for name, old, new in (
        ("dvc.yaml", "${key}.txt", "${key}"),
        ("count.py", ".txt", "/drawn.txt"),
        ("draw.py", ".txt", "/drawn.txt"),
        ("draw.py", '"data").mkdir(', 'f"data/{sys.argv[1]}").mkdir(parents=True, '),
    ):
        (line / name).write_text((line / name).read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    run("dvc", "repro", "--quiet", cwd=line)
    run("git", "commit", "--quiet", "--all", "-m", "folders", cwd=line)
    return line


@pytest.fixture
def in_a_clone(line: Path, tmp_path: Path, run) -> OnePod:
    """Reproduce a stage in a new clone, whose remote is a folder; what was said, and the clone."""
    clones = iter(range(100))

    def reproduce(stage: str, check: bool = True) -> tuple[str, Path]:
        clone = tmp_path / f"clone-{next(clones)}"
        run("git", "clone", "--quiet", line, clone, cwd=tmp_path)
        remote = f"[core]\n    remote = far\n['remote \"far\"']\n    url = {tmp_path}/far\n"
        (clone / ".dvc/config.local").write_text(remote, encoding="utf-8")
        done = run("python", "-m", "tools.one_stage", stage, cwd=clone, check=check)
        assert check or done.returncode == 1
        return done.stdout + done.stderr, clone

    return reproduce


def test_a_stage_runs_once_and_is_found_by_every_later_clone(
    line: Path, in_a_clone: OnePod, tmp_path: Path, run
) -> None:
    """Though no `dvc.lock` ever reaches another clone, and though git, not DVC, keeps the counts."""
    assert "Running stage 'draw@plums'" in in_a_clone("draw@plums")[0]  # in `dvc.lock`, and not in the remote
    assert "Running" not in in_a_clone("draw@plums")[0]

    for file in ("params.yaml", "params/config.yaml"):
        text = (line / file).read_text(encoding="utf-8")
        (line / file).write_text(text.replace(": 7", ": 700"), encoding="utf-8")
    run("git", "commit", "--quiet", "--all", "-m", "more plums", cwd=line)
    assert "Running stage 'draw@plums'" in in_a_clone("draw@plums")[0]
    told, _ = in_a_clone("count@plums")
    assert "'draw@plums' is cached" in told and "Running stage 'count@plums'" in told
    told, home = in_a_clone("count@plums")
    assert "'draw@plums' is cached" in told and "'count@plums' is cached" in told
    assert (home / "metrics/plums/count.json").read_text(encoding="utf-8") == '{"length": {"value": 700}}\n'

    shutil.rmtree(tmp_path / "far/files")  # dropped by the bucket, while the record of the runs is still there
    told, _ = in_a_clone("count@plums")
    assert "Running stage 'draw@plums'" in told and "Running stage 'count@plums'" in told


def test_a_stage_that_fails_is_named_and_nothing_is_shared(line: Path, in_a_clone: OnePod, tmp_path: Path, run) -> None:
    (line / "draw.py").write_text("raise SystemExit(3)\n", encoding="utf-8")
    run("git", "commit", "--quiet", "--all", "-m", "broken", cwd=line)
    told, _ = in_a_clone("draw@pears", check=False)
    assert "failed to reproduce 'draw@pears'" in told and "exited with 3" in told
    assert not (tmp_path / "far").exists()


def test_a_stage_that_nobody_defined_is_named(in_a_clone: OnePod) -> None:
    told, _ = in_a_clone("draw@apples", check=False)
    assert "wanted  the stage draw@apples" in told and "Traceback" not in told
