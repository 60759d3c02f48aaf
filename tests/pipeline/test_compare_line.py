"""Two experiments of the real line, one that learns nothing and one that changes next to nothing, told apart."""

import json
import subprocess
from pathlib import Path

import pytest

MODEL = "datasets.nycflights.model"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def experiments(line) -> None:
    """``asleep`` steps so little that it stays near the mean; ``alike`` has other bins."""
    for name, change in (("asleep", "learning_rate=0.001"), ("alike", "max_bin=60")):
        line.run("dvc", "exp", "run", "--name", name, "--set-param", f"{MODEL}.{change}", "evaluate@nycflights")
        line.reset()


@pytest.fixture(scope="module")
def compared(line, experiments, tmp_path_factory: pytest.TempPathFactory):
    """What `compare` writes about a revision against main."""

    def compare(revision: str) -> dict[str, dict[str, object]]:
        folder = tmp_path_factory.mktemp(revision)
        asked = ("--question", "model", "--dataset", "nycflights")
        line.run("python", "-m", "stages.compare", "main", revision, *asked, "--write", str(folder))
        content = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
        return {each["metric"]: each for each in content["metrics"]} | {"": content}

    return compare


def test_a_loss_that_is_real_is_called_worse(compared) -> None:
    found = compared("asleep")
    assert found["log_loss"]["verdict"] == "worse"
    assert found["log_loss"]["low"] > 0
    assert found[""]["changed_parameters"] == [{"path": f"{MODEL}.learning_rate", "a": "0.12", "b": "0.001"}]


def test_a_change_next_to_nothing_is_called_nothing_more(compared) -> None:
    assert compared("alike")["log_loss"]["verdict"] == "no evidence"


def test_values_are_those_of_the_metrics_of_each_revision(line, compared) -> None:
    found = compared("asleep")
    changed = json.loads(line.read("dvc", "exp", "diff", "main", "asleep", "--json"))["metrics"]
    stored = changed["metrics/nycflights/test.json"]["nycflights.roc_auc.value"]
    assert found["roc_auc"]["a"] == pytest.approx(stored["old"], rel=1e-5)
    assert found["roc_auc"]["b"] == pytest.approx(stored["new"], rel=1e-5)


def test_all_ranks_the_experiments_of_main(line, experiments) -> None:
    said = line.read("python", "-m", "stages.compare", "--all", "--metric", "log_loss", "--dataset", "nycflights")
    assert said.index("alike") < said.index("asleep")
    assert "1 worse" in said


def test_segments_are_told_apart(line, experiments) -> None:
    pair = ("main", "asleep", "--dataset", "nycflights", "--metric", "log_loss")
    by_origin = line.read("python", "-m", "stages.compare", *pair, "--segment", "origin")
    assert all(f"origin={airport}" in by_origin for airport in ("EWR", "JFK", "LGA"))
    by_month = line.read("python", "-m", "stages.compare", *pair, "--segment", "month")
    assert "month=2013-11" in by_month and "month=2013-12" in by_month


def test_a_fresh_clone_gets_the_table_from_the_remote_alone(line, tmp_path: Path) -> None:
    remote = f"[core]\n    remote = near\n['remote \"near\"']\n    url = {tmp_path / 'remote'}\n"
    own = line.root / ".dvc/config.local"
    kept = own.read_text(encoding="utf-8")
    own.write_text(kept + remote, encoding="utf-8")
    line.run("dvc", "push", "data/evaluation/nycflights.parquet")
    own.write_text(kept, encoding="utf-8")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", line.root, clone], check=True, env=line.environment)
    (clone / ".dvc/config.local").write_text(remote, encoding="utf-8")
    command = ["python", "-m", "stages.compare", "HEAD", "main", "--dataset", "nycflights"]
    done = subprocess.run(command, cwd=clone, env=line.environment, capture_output=True, text=True, check=True)
    assert "HEAD and main have the same resampling table" in done.stdout
    assert len(list(clone.glob(".dvc/cache/files/md5/??/*"))) == 1
