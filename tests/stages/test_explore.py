"""The report of a clean dataset: made of all partitions, one page, the same bytes wherever and however it is made."""

import ast
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import nbformat
import numpy as np
import polars as pl
import pytest

from stages.exploration.notebook import execute_notebook
from stages.explore import NOTEBOOK, explore
from stages.workspace.errors import UserError

ROOT = Path(__file__).parents[2]
METRICS = {
    "records": {"rows_in": 602, "rows_clean": 600, "rows_quarantined": 2},
    "unlabelled": {"cancelled": 20},
    "references": {"stops": {"rows_in": 3, "rows_clean": 2, "rows_quarantined": 1}},
    "failures": {"stops: latitude_deg in_range(-90, 90)": 1, "trips: delay_min in_range(-60, 600)": 2},
}
PARAMS = """
datasets: {toy: {evaluate: {level: 0.95, block: 5}}}
cluster: {workers: 2, training_threads: 0}
scale: {sample: 1.0, max_rounds: 1, replicates: 20, resamples: 1, memory_limit_gib: 1.0}
"""
TOY = """
from types import SimpleNamespace
import polars as pl

DATASET = SimpleNamespace(
    name="toy", question="Will the trip be late?", task="binary", target="late", classes=("on time", "late"),
    records=SimpleNamespace(day="day"), cluster="day", lines_per_row=1,
    identity=("day",), forbidden=frozenset({"delay_min", "late"}),
    unlabelled=lambda trips: pl.Series(["cancelled" if x is None else None for x in trips["late"]], dtype=pl.String),
)
"""


def write_clean(root: Path) -> pl.DataFrame:
    """A clean folder of three partitions, one of them empty, with its metrics and parameters."""
    rng = np.random.default_rng(1)
    delay = rng.normal(5, 20, 600)
    late = np.where(np.arange(600) % 30 == 0, None, (delay > 15).astype(int))
    trips = pl.DataFrame(
        {
            "day": [date(2020, 1, 1) + timedelta(days=k // 15) for k in range(600)],
            "hour": rng.integers(0, 24, 600),
            "delay_min": delay,
            "route": rng.choice(["north", "south"], 600),
            "speed_mph": pl.Series([None if k % 9 == 0 else 50.0 + k % 7 for k in range(600)]),
            "late": pl.Series(late.tolist(), dtype=pl.Int8),
        }
    )
    folder = root / "data/clean/toy"
    (folder / "references").mkdir(parents=True)
    pl.DataFrame({"stop": ["a", "b"], "latitude_deg": [1.0, 2.0]}).write_parquet(folder / "references/stops.parquet")
    parts = {"2020-01": trips.head(400), "2020-02": trips.tail(200), "2020-03": trips.head(0)}
    (root / "data/features/toy").mkdir(parents=True)
    for name, part in parts.items():
        part.write_parquet(folder / f"{name}.parquet")
        split = pl.when(pl.col("day") < date(2020, 2, 1)).then(pl.lit("train")).otherwise(pl.lit("test"))
        part.select("day", split.alias("part")).write_parquet(root / f"data/features/toy/{name}.parquet")
    manifest = {
        "dataset": "toy",
        "records": {
            "table": "trips",
            "partitions": [{"name": name, "rows": len(part)} for name, part in parts.items()],
        },
        "references": [{"table": "stops", "rows": 2}],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (root / "metrics/toy").mkdir(parents=True)
    (root / "metrics/toy/clean.json").write_text(json.dumps(METRICS))
    (root / "params.yaml").write_text(PARAMS)
    return trips


def toy() -> SimpleNamespace:
    names: dict = {}
    exec(TOY, names)
    return names["DATASET"]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The product's code and notebook beside a toy dataset."""
    for folder in ("stages", "notebooks"):
        shutil.copytree(ROOT / folder, tmp_path / "repo" / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "repo/stages/datasets/toy.py").write_text(TOY)
    write_clean(tmp_path / "repo")
    return tmp_path / "repo"


def run(repository: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stages.explore", "toy"],
        cwd=repository,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def lay_traps(home: Path, repository: Path) -> None:
    """A user's own kernel, start-up file and plotting style: none of them may be picked up."""
    kernel = home / ".local/share/jupyter/kernels/python3"
    kernel.mkdir(parents=True)
    kernel.joinpath("kernel.json").write_text(
        json.dumps(
            {"argv": [str(home / "foreign"), "{connection_file}"], "display_name": "foreign", "language": "python"}
        )
    )
    foreign = home / "foreign"
    foreign.write_text("#!/bin/sh\nexit 3\n")
    foreign.chmod(foreign.stat().st_mode | stat.S_IXUSR)
    startup = home / ".ipython/profile_default/startup"
    startup.mkdir(parents=True)
    startup.joinpath("00.py").write_text("raise SystemExit('a start-up file ran')")
    (repository / "matplotlibrc").write_text("font.size: 30\naxes.facecolor: black\n")


@pytest.mark.slow
def test_the_report_has_the_same_bytes_for_any_folder_home_hash_seed_and_number_of_workers(repository, tmp_path):
    other = tmp_path / "elsewhere/deeper"
    shutil.copytree(repository, other)
    home = tmp_path / "home"
    lay_traps(home, other)
    plain = run(repository, PYTHONHASHSEED="1", HOME="/dev/null/home", PLUMBLINE_WORKERS="1", OMP_NUM_THREADS="1")
    hostile = run(other, PYTHONHASHSEED="2", HOME=str(home), JUPYTER_PATH=str(home / ".local/share/jupyter"))
    assert plain.returncode == 0, plain.stderr
    assert hostile.returncode == 0, hostile.stderr
    assert hostile.stderr.count("\n") == 1, "one log line and nothing else"
    for name in ("explore.html", "explore.json"):
        assert (repository / "reports/toy" / name).read_bytes() == (other / "reports/toy" / name).read_bytes()
    assert sorted(path.name for path in (repository / "reports/toy").iterdir()) == ["explore.html", "explore.json"]

    page = (repository / "reports/toy/explore.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "Will the trip be late?" in page
    assert page.count("<svg") >= 8
    assert page.count("<html") == 1
    assert_stands_alone(page)
    for trace in (str(tmp_path), str(ROOT), sys.prefix, sys.version.split()[0], matplotlib.__version__, "papermill"):
        assert trace not in page


def assert_stands_alone(page: str) -> None:
    """No script, nothing to fetch: the only addresses are names of XML namespaces and places in the page itself."""
    assert not re.search(r"<script|<link|<iframe|@import", page)
    for address in re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)""", page):
        assert address.startswith(("#", "data:")), address
    for address in re.findall(r"url\(([^)]*)\)", page):
        assert address.strip("\"'").startswith("#"), address
    assert set(re.findall(r"https?://[^\"'\s<]*", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_the_tables_agree_with_all_rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trips = write_clean(tmp_path)
    found = explore(toy(), level=0.95, run=5)
    assert (found["rows"], found["partition_rows"]) == (600, [400, 200, 0])
    known = trips.filter(pl.col("day") < date(2020, 2, 1))["late"].drop_nulls()
    assert found["target"]["balance"][1]["rows"] == known.sum()
    assert (found["target"]["trained"], found["target"]["labelled"]) == (len(known), 580)
    assert found["target"]["unlabelled"] == {"cancelled": 20}
    assert {c["name"]: c["role"] for c in found["columns"]}["delay_min"] == "afterwards"
    assert found["references"] == [{"table": "stops", "rows": 2, "columns": 2}]


def test_the_quality_of_every_table_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_clean(tmp_path)
    quality = explore(toy(), level=0.95, run=5)["quality"]
    assert (quality["rows_in"], quality["clean"], quality["quarantined"]) == (602, 600, 2)
    assert [table["table"] for table in quality["tables"]] == ["trips", "stops"]
    worst = {"table": "trips", "column": "delay_min", "check": "in_range(-60, 600)", "failures": 2}
    assert quality["failures"][0] == worst


def test_an_unfinished_clean_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"manifest\.json"):
        explore(toy(), level=0.95, run=5)


def test_features_of_other_rows_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_clean(tmp_path)
    path = tmp_path / "data/features/toy/2020-02.parquet"
    pl.read_parquet(path).head(7).write_parquet(path)
    with pytest.raises(UserError, match="the 200 clean rows of 2020-02"):
        explore(toy(), level=0.95, run=5)


def test_a_clean_table_without_the_target_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_clean(tmp_path)
    for path in (tmp_path / "data/clean/toy").glob("*.parquet"):
        pl.read_parquet(path).drop("late").write_parquet(path)
    with pytest.raises(UserError, match="the target 'late'"):
        explore(toy(), level=0.95, run=5)


def test_a_cell_that_fails_stops_the_run_and_leaves_no_page(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    cells = ["import sys", "print(sys.executable)", "print('beware', file=sys.stderr)", "x = 1"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(notebook, "good.ipynb")
    executed = execute_notebook(Path("good.ipynb"), {"x": 2})
    shown = [output.text for cell in executed.cells for output in cell.outputs]
    assert shown == [sys.executable + "\n"], "this interpreter, and no output from standard error"
    assert "beware" in caplog.text

    notebook.cells.append(nbformat.v4.new_code_cell("1 / 0"))
    nbformat.write(notebook, "bad.ipynb")
    with pytest.raises(Exception, match="ZeroDivisionError"):
        execute_notebook(Path("bad.ipynb"), {})


def test_the_notebook_talks_and_holds_no_logic():
    notebook = nbformat.read(ROOT / NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        assert cell.outputs == []
        assert cell.execution_count is None
        for statement in ast.parse(cell.source).body:
            assert isinstance(statement, ast.Import | ast.ImportFrom | ast.Assign | ast.Expr), ast.unparse(statement)
            assert not any(isinstance(node, ast.Lambda | ast.comprehension | ast.IfExp) for node in ast.walk(statement))


def test_the_notebook_names_no_dataset_but_its_default():
    notebook = nbformat.read(ROOT / NOTEBOOK, as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells[1:])
    known = [path.stem for path in (ROOT / "params/dataset").glob("*.yaml")]
    assert known
    assert not [name for name in known if name in text]
