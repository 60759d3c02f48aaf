"""The daily commands around real experiments of a small line: started elsewhere, side by side, broken off, undone."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from stages.workspace.lock import at_work
from tools.results import whose_figures
from tools.storage import prepare_client, read_remote

HOOK = Path("tools/hydra_plugins/before_experiments.py")
CONFIG = """\
[core]
    analytics = false
    autostage = true
[hydra]
    enabled = true
    config_dir = params
    plugins_path = tools
"""
STORAGE = """\
[core]
    remote = near
['remote "near"']
    url = s3://bucket
    endpointurl = http://127.0.0.1:9
"""
PATIENCE_S = 300
# A stage as ours are: it asks where its parameters come from; it lasts as long as the file `wait` is there.
DRAW = """\
import sys, time
from pathlib import Path
from stages.workspace.errors import run_stage
from stages.workspace.settings import Settings, read_settings

class Drawn(Settings):
    n: int

def main(key: str) -> None:
    n = read_settings(Drawn, key, "model").n
    while Path("wait").exists():
        time.sleep(0.1)
    Path("data").mkdir(exist_ok=True)
    Path(f"data/{key}.txt").write_text("x" * n)

run_stage(main)
"""
PIPELINE = """\
stages:
  params: {cmd: python -m tools.params --origin, deps: [params, params.yaml]}
  draw:
    foreach: ${datasets}
    do:
      cmd: python draw.py ${key}
      params: ["datasets.${key}.model.n"]
      outs: ["data/${key}.txt"]
  count:
    foreach: ${datasets}
    do:
      cmd: python count.py ${key}
      deps: ["data/${key}.txt"]
      metrics: [{"metrics/${key}/count.json": {cache: false}}]
"""
COMPOSED = "datasets:\n  pears:\n    model:\n      n: 5\n  plums:\n    model:\n      n: 7\n"
MORE = ("dvc", "exp", "run", "--name", "more", "--set-param", "datasets.pears.model.n=6")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, committed_line: Path, run, root: Path) -> Path:
    """The small line of this room with stages and settings as ours are; nobody writes to it."""
    folder = Path(shutil.copytree(committed_line, tmp_path_factory.mktemp("guarded") / "line"))
    (folder / HOOK).parent.mkdir(parents=True)
    shutil.copy(root / HOOK, folder / HOOK)
    (folder / ".dvc/config").write_text(CONFIG, encoding="utf-8")
    (folder / "draw.py").write_text(DRAW, encoding="utf-8")
    (folder / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")
    (folder / "params/config.yaml").write_text(COMPOSED, encoding="utf-8")
    with (folder / ".gitignore").open("a", encoding="utf-8") as ignored:
        ignored.write("/wait\n__pycache__/\n")
    run("python", "-m", "tools.params", cwd=folder)
    run("python", "-m", "tools.line", "--quiet", cwd=folder)
    run("git", "add", "--all", cwd=folder)
    run("git", "commit", "--quiet", "-m", "guarded", cwd=folder)
    return folder


@pytest.fixture
def line(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "line"))


def changes(run, line: Path) -> list[str]:
    return str(run("git", "status", "--porcelain", cwd=line).stdout).splitlines()


def wait_until(reached, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def test_an_experiment_started_in_a_subfolder_ends_in_words_and_leaves_nothing(line: Path, run) -> None:
    (line / "docs").mkdir()
    done = run(*MORE, cwd=line / "docs", check=False)
    assert done.returncode != 0
    assert f"`cd {line}`" in done.stderr
    assert changes(run, line) == []


def test_a_second_experiment_is_refused_and_the_first_ends_well(line: Path, run, start) -> None:
    (line / "wait").touch()
    first = start(*MORE, cwd=line)
    wait_until(lambda: (line / ".dvc/tmp/exps/run/workspace/workspace.json").exists() and at_work(line), first)
    second = run("dvc", "exp", "run", "--set-param", "datasets.plums.model.n=1", cwd=line, check=False)
    assert second.returncode != 0
    assert f"(process {first.pid}) is at work in it" in second.stderr
    composing = start("python", "-m", "tools.params", cwd=line)
    assert composing.stdout is not None
    assert f"make params waits for `dvc {' '.join(MORE[1:])}`" in composing.stdout.readline()
    (line / "wait").unlink()
    said, _ = first.communicate(timeout=PATIENCE_S)
    assert (first.returncode, "Ran experiment(s): more" in said) == (0, True)
    said, _ = composing.communicate(timeout=PATIENCE_S)
    assert composing.returncode == 0, said
    assert json.loads((line / "metrics/pears/count.json").read_text())["length"]["value"] == 6


def test_a_broken_off_experiment_is_named_and_make_main_undoes_it(line: Path, run, start) -> None:
    (line / "wait").touch()
    process = start(*MORE, cwd=line)
    in_use = line / ".dvc/tmp/rwlock"
    wait_until(lambda: in_use.exists() and "data/pears.txt" in in_use.read_text(), process)
    process.kill()
    (line / "wait").unlink()
    process.communicate(timeout=PATIENCE_S)  # until its stage has ended, which goes on and writes what nobody caches
    for command in (("python", "-m", "tools.line"), ("dvc", "repro")):
        done = run(*command, cwd=line, check=False)
        assert done.returncode != 0
        assert "broken-off `dvc exp run`" in done.stderr + done.stdout
    (line / "count.py").write_text((line / "count.py").read_text() + "# mine\n")
    said = run("python", "-m", "tools.committed", cwd=line).stdout
    assert "left as you have edited them: count.py" in said
    assert changes(run, line) == [" M count.py"]
    assert (line / "data/pears.txt").read_text() == "x" * 5


def test_an_edit_that_was_never_composed_is_no_line_that_is_up_to_date(line: Path, run) -> None:
    settings = line / "params/config.yaml"
    settings.write_text(settings.read_text().replace("n: 5", "n: 9"))
    done = run("dvc", "repro", cwd=line, check=False)
    assert done.returncode != 0
    assert "params/ was edited after params.yaml was composed" in done.stderr + done.stdout
    assert changes(run, line) == [" M params/config.yaml"]
    run("python", "-m", "tools.params", cwd=line)
    run("dvc", "repro", "--quiet", cwd=line)
    assert (line / "data/pears.txt").read_text() == "x" * 9


def test_after_an_experiment_figures_name_it_and_make_main_brings_the_commit_back(line: Path, run, monkeypatch) -> None:
    run(*MORE, cwd=line)
    monkeypatch.chdir(line)
    assert "the experiment more, not of the last commit" in whose_figures(line)
    run("python", "-m", "tools.line", "--quiet", cwd=line)  # its own override stays welcome
    said = run("python", "-m", "tools.committed", cwd=line).stdout
    assert "they were of more" in said
    assert changes(run, line) == []
    assert (line / "data/pears.txt").read_text() == "x" * 5
    assert whose_figures(line) == ""


def test_make_main_refuses_where_results_would_be_lost(line: Path, run) -> None:
    (line / "count.py").write_text((line / "count.py").read_text().replace("len(text)", "-len(text)"))
    (line / "dvc.yaml").write_text(PIPELINE.replace('deps: ["data', 'deps: [count.py, "data'))
    run("python", "-m", "tools.line", "--quiet", cwd=line)
    before = {path: path.read_bytes() for path in line.glob("metrics/*/*.json")}
    done = run("python", "-m", "tools.committed", cwd=line, check=False)
    assert done.returncode == 1
    assert "metrics/pears/count.json" in done.stderr and "dvc exp save" in done.stderr
    assert {path: path.read_bytes() for path in before} == before
    run("dvc", "exp", "save", "--name", "negative", cwd=line)
    run("python", "-m", "tools.committed", cwd=line)
    assert changes(run, line) == [" M count.py", " M dvc.yaml"]


@pytest.mark.parametrize("name", [pytest.param("a folder", marks=pytest.mark.slow), "une clé"])
def test_daily_commands_work_in_folders_with_other_letters(line: Path, run, tmp_path: Path, name: str) -> None:
    moved = line.rename(tmp_path / name)
    run("python", "-m", "tools.params", cwd=moved)
    run("python", "-m", "tools.line", cwd=moved)
    run(*MORE, cwd=moved)
    run("python", "-m", "tools.committed", cwd=moved)
    assert changes(run, moved) == []
    elsewhere = ("dvc", "exp", "run", "--temp", "--name", "temp", "--set-param", "datasets.plums.model.n=1")
    if not name.isascii():
        for kind in ("--temp", "--queue"):
            done = run(*elsewhere[:3], kind, *elsewhere[4:], cwd=moved, check=False)
            assert "paths of ASCII letters" in done.stderr and "dvc cache dir --local" in done.stderr
        cache = Path(shutil.copytree(moved / ".dvc/cache", tmp_path / "plain"))
        run("dvc", "cache", "dir", "--local", cache, cwd=moved)
    run(*elsewhere, cwd=moved)
    assert "temp" in run("dvc", "exp", "list", "--name-only", cwd=moved).stdout


def test_storage_keeps_the_settings_of_a_clone_in_a_folder_with_other_letters(
    line: Path, run, tmp_path: Path, monkeypatch
) -> None:
    moved = line.rename(tmp_path / "clé")
    (moved / ".dvc/config").write_text(STORAGE, encoding="utf-8")
    (moved / ".dvc/config.local").write_text("[core]\n    checksum_jobs = 2\n", encoding="utf-8")
    monkeypatch.chdir(moved)
    prepare_client(moved, read_remote(moved))
    written = (moved / ".dvc/config.local").read_text(encoding="utf-8")
    assert "checksum_jobs = 2" in written and "access_key_id" in written
    from dvc.config import Config

    assert Path(Config(str(moved / ".dvc"))["remote"]["near"]["configpath"]).is_file()
