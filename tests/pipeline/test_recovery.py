"""A run that is killed in mid-work loses nothing: the next one completes, with the lock of an undisturbed run."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil  # DVC brings it
import pytest
import yaml

OUTPUTS = ("data/*/", "models", "bundles", "metrics", "plots", "reports", "dvc.lock")


def start_over(line, command: str) -> None:
    """Forget every output and everything that DVC knows of ``command``; the rest stays in its run cache."""
    for path in [path for pattern in OUTPUTS for path in line.root.glob(pattern)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    remembered = [path for path in (line.root / ".dvc/cache/runs").rglob("*") if path.is_file()]
    forgotten = [path for path in remembered if yaml.safe_load(path.read_text(encoding="utf-8"))["cmd"] == command]
    assert forgotten
    for path in forgotten:
        shutil.rmtree(path.parent)


def wait_for_work(
    dvc: "subprocess.Popen[str]", command: str, is_working: Callable[[psutil.Process], bool]
) -> psutil.Process:
    """The process of ``command`` below ``dvc``, as soon as it is in the middle of its work."""
    module = command.split()[2]
    while dvc.poll() is None:
        for process in psutil.Process(dvc.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if module in process.cmdline() and is_working(process):
                    return process
        time.sleep(0.02)
    pytest.fail(f"{command} was never seen at work\n{dvc.communicate()[0]}")


def has_written_a_partition(folder: Path) -> Callable[[psutil.Process], bool]:
    return lambda _: folder.exists() and any(folder.glob("*.parquet"))


def has_loaded_xgboost(process: psutil.Process) -> bool:
    return any("libxgboost" in mapped.path for mapped in process.memory_maps())


def kill_in_mid_work(line, command: str, is_working: Callable[[psutil.Process], bool], *, with_dvc: bool) -> str:
    """Run the line until ``command`` works, kill it (and DVC, if asked), and return what was said."""
    dvc = line.start("dvc", "repro")
    process = wait_for_work(dvc, command, is_working)
    if with_dvc:
        os.killpg(dvc.pid, signal.SIGKILL)
    else:
        process.kill()
    said, _ = dvc.communicate(timeout=60)
    assert dvc.returncode != 0
    return said


@pytest.mark.slow
@pytest.mark.parametrize("with_dvc", [False, True], ids=["the stage", "the stage and dvc"])
def test_featurize_killed_between_two_partitions(settled, read_log, with_dvc: bool) -> None:
    ran, _ = read_log
    committed = (settled.root / "dvc.lock").read_bytes()
    command, folder = "python -m stages.featurize nycflights", settled.root / "data/features/nycflights"
    start_over(settled, command)
    said = kill_in_mid_work(settled, command, has_written_a_partition(folder), with_dvc=with_dvc)
    assert ran(said) == ["featurize@nycflights"] or with_dvc
    assert not (folder / "manifest.json").exists()
    assert ran(settled.run("dvc", "repro")) == ["featurize@nycflights"]
    assert (settled.root / "dvc.lock").read_bytes() == committed
    assert settled.changes() == []


def test_training_killed_before_its_model_is_written(settled, read_log) -> None:
    ran, _ = read_log
    committed = (settled.root / "dvc.lock").read_bytes()
    command = "python -m stages.train digits"
    start_over(settled, command)
    kill_in_mid_work(settled, command, has_loaded_xgboost, with_dvc=False)
    assert not (settled.root / "models/digits").exists()
    assert ran(settled.run("dvc", "repro")) == ["train@digits"]
    assert (settled.root / "dvc.lock").read_bytes() == committed
    assert settled.changes() == []
