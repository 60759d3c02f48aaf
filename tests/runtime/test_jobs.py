"""A job's result is kept under everything that it depends on, and under nothing else."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stages.runtime.jobs import Job, job_key, run_jobs
from stages.workspace.settings import WorkerSettings

CLUSTER = WorkerSettings(workers=2, training_threads=1, cache_gib=1.0)
JOBS = [Job(f"p{k}", (Path(f"in/{k}"), Path("in/shared")), (Path(f"out/{k}"),), {"times": 2}) for k in range(5)]


def repeat(job: Job, root: Path, done: list[str] | None = None) -> dict[str, Any]:
    if done is not None:
        done.append(job.name)
    text = "".join((root / path).read_text() for path in job.inputs) * job.arguments["times"]
    (root / job.outputs[0]).write_text(text)
    return {"length": len(text), "name": job.name, "none": None, "list": [1, 2.5]}


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLUMBLINE_CACHE", str(tmp_path / "cache"))
    for folder in ("in", "out"):
        Path(folder).mkdir()
    for k in range(5):
        Path(f"in/{k}").write_text(f"{k}")
    Path("in/shared").write_text("s")
    return tmp_path


def run(jobs: list[Job] = JOBS, **changes: Any) -> tuple[list[Any], list[str]]:
    done: list[str] = []
    settings = {"uses": [], "workers": CLUSTER, "label": "repeat", **changes}
    with run_jobs(partial(repeat, done=done), jobs, **settings) as results:
        return list(results), sorted(done)


def outputs() -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(Path("out").iterdir())}


def test_a_second_run_does_nothing_and_gives_the_same_facts_and_files():
    first, did = run()
    assert did == [job.name for job in JOBS]
    before = outputs()
    for path in Path("out").iterdir():
        path.unlink()
    assert run() == (first, [])
    assert outputs() == before == {str(k): f"{k}s" * 2 for k in range(5)}


def test_facts_come_in_the_order_of_the_jobs_whatever_comes_from_the_cache():
    run(JOBS[1:3])
    facts, did = run()
    assert [fact["name"] for fact in facts] == [job.name for job in JOBS]
    assert did == ["p0", "p3", "p4"]


def test_only_jobs_that_read_a_changed_file_are_done_again():
    run()
    Path("in/3").write_text("new")
    assert run()[1] == ["p3"]
    Path("in/shared").write_text("t")
    assert run()[1] == [job.name for job in JOBS]


def test_a_change_of_arguments_does_the_work_again():
    run()
    assert run([replace(job, arguments={"times": 3}) for job in JOBS])[1] == [job.name for job in JOBS]


@pytest.mark.parametrize("change", [{"count": 1}, {"training_threads": 2}, {"cache_gib": 3.0}])
def test_how_the_work_is_scheduled_is_no_part_of_the_key(change):
    run()
    assert run(workers=CLUSTER.model_copy(update=change))[1] == []


def test_the_key_tells_code_inputs_outputs_and_arguments_apart():
    job = JOBS[0]
    others = [
        job_key(job, "code"),
        job_key(job, "other code"),
        job_key(replace(job, outputs=(Path("out/x"),)), "code"),
        job_key(replace(job, inputs=job.inputs[:1]), "code"),
        job_key(replace(job, arguments={"times": 2.5}), "code"),
    ]
    assert len(set(others)) == len(others)
    assert job_key(replace(job, name="only a name"), "code") == others[0]


def test_without_a_cache_every_run_works(monkeypatch):
    monkeypatch.setenv("PLUMBLINE_CACHE", "off")
    run()
    assert run()[1] == [job.name for job in JOBS]


def test_a_missing_input_is_reported_by_the_work_itself():
    Path("in/2").unlink()
    with pytest.raises(FileNotFoundError, match="in/2"):
        run()


def test_a_failure_keeps_what_was_done_before(monkeypatch):
    Path("in/4").unlink()
    with pytest.raises(FileNotFoundError):
        run(workers=CLUSTER.model_copy(update={"count": 1}))
    Path("in/4").write_text("4")
    assert run()[1] == ["p4"]
