"""What the benchmarks of scale say follows from what was measured; and all of it runs, at toy size."""

from datetime import date
from pathlib import Path

import pytest
import yaml

from benchmarks import bench_growth, bench_scale
from benchmarks.bench_growth import Grown, Plan, Worked
from benchmarks.bench_scale import Cell, Setting
from benchmarks.measure import Cost
from benchmarks.simulated_months import FIRST, line_overrides, months_from, output_files, set_params, simulate
from benchmarks.workspace import cloned, environment

FEW_ROUNDS = ("scale.max_rounds=5", "scale.replicates=80", "scale.resamples=5")


def cost(cpu_s: float, mib: float = 500.0) -> Cost:
    return Cost(wall_s=cpu_s / 2, cpu_s=cpu_s, process_mib=mib, tree_mib=mib, others_cores=0.0)


def cells(**largest: Cost) -> list[Cell]:
    """Stages that cost 1 s at 1 million rows, and this at 10 million."""
    return [cell for stage, last in largest.items()
            for cell in (Cell(1_000_000, stage, cost(1.0)), Cell(10_000_000, stage, last))]  # fmt: skip


def test_cost_per_row_is_judged_against_the_smallest_size() -> None:
    rows = bench_scale.cost_rows(cells(clean=cost(11.4), featurize=cost(11.6)))
    assert [row[0] for row in rows] == ["clean", "featurize"]
    assert [row[-1] for row in rows] == ["met", "**missed**"]
    assert rows[0][2:4] == ("1.00 µs", "1.14 µs")


def test_memory_may_grow_in_training_alone() -> None:
    rows = bench_scale.memory_rows(cells(clean=cost(1, 600.0), train=cost(1, 3000.0), evaluate=cost(1, 550.0)))
    assert [row[-1] for row in rows] == ["**missed**", "met", "met"]
    found = bench_scale.train_growth(cells(train=cost(1, 500.0 + 9e6 * 40 / 2**20)))
    assert "40.0 bytes more for each further row" in found


def test_runs_are_kept_and_the_picture_has_the_same_bytes_every_time(tmp_path: Path) -> None:
    measured = cells(clean=cost(11.4), train=cost(9.0))
    for name in ("one", "two"):
        bench_scale.keep(measured, tmp_path / f"{name}.json", tmp_path / f"{name}.svg")
    assert bench_scale.read_cells(tmp_path / "one.json") == measured
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    picture = (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert "clean" in picture and "CPU time per row" in picture


def test_block_says_that_rows_are_simulated_and_holds_every_stage() -> None:
    measured = [cell for stage in bench_scale.STAGES for cell in cells(**{stage: cost(9.0)})]
    block = bench_scale.block(measured, Setting(real=Path("real")), runs=1)
    assert "**simulated**" in block and "predicted" in block
    assert all(f"| {stage} |" in block for stage in bench_scale.STAGES)


@pytest.fixture
def months_folder(tmp_path: Path) -> Path:
    (tmp_path / "simulated.json").write_text('{"format": "zip"}', encoding="utf-8")
    return tmp_path


def split_of(overrides: list[str]) -> dict[str, str]:
    named = dict(part.split("=", 1) for part in overrides if ".split." in part)
    return {name.rpartition(".")[2]: day.strip("'") for name, day in named.items()}


@pytest.mark.parametrize("n", [3, 4, 20, 61, 200])
def test_every_size_has_months_for_all_three_parts(n: int, months_folder: Path) -> None:
    months = months_from(FIRST, n)
    split = split_of(line_overrides(months_folder, months))
    train, valid = split["train_until"][:7], split["valid_until"][:7]
    assert months[0] <= train < valid < months[-1]
    assert 0.3 < (months.index(train) + 1) / n < 0.8


def test_months_run_over_the_year_and_end_on_their_last_day(months_folder: Path) -> None:
    assert months_from("2003-11", 4) == ["2003-11", "2003-12", "2004-01", "2004-02"]
    assert split_of(line_overrides(months_folder, months_from("2003-11", 6)))["train_until"] == "2004-02-29"


def test_one_month_more_moves_no_day_to_another_part(months_folder: Path) -> None:
    months = months_from(FIRST, 10)
    with_it, without = (line_overrides(months_folder, some, parted_by=months) for some in (months, months[:-1]))
    assert split_of(with_it) == split_of(without)


def test_growth_and_workers_are_ratios_of_the_same_round() -> None:
    grown = Grown([[cost(100), cost(100)]], [[cost(4), cost(4)]], [[cost(90), cost(90)]], pushed=105, own=100)
    worked = Worked([[cost(36)]], [[cost(20)]])
    found = {figure.name: figure for figure in bench_growth.figures(grown, worked, Plan())}
    assert found["one month more ÷ all of them"].value == pytest.approx(0.04)
    assert found["pushed ÷ that month's own files"].verdict.startswith("met")
    assert found["one ÷ two"].value == pytest.approx(1.8)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, publish_month) -> Path:
    folder = tmp_path_factory.mktemp("real")
    for month in range(1, 13):
        publish_month(folder, 2004, month)
    return folder


@pytest.mark.slow
def test_every_stage_is_measured_at_every_size(real: Path, tmp_path: Path) -> None:
    setting = Setting(real=real, rows_a_month=2_000, overrides=FEW_ROUNDS)
    found = bench_scale.measure_sizes(tmp_path / "months", (12_000, 18_000), setting, runs=1, patience_s=0)
    assert {(cell.stage, cell.rows) for cell in found} == {
        (stage, rows) for stage in bench_scale.STAGES for rows in (12_000, 18_000)
    }
    assert all(cell.cost.wall_s > 0 and cell.cost.tree_mib > 30 for cell in found)


@pytest.mark.slow
def test_one_more_month_is_added_pushed_and_equal_to_a_cold_run(real: Path) -> None:
    plan = Plan(real, months=6, worked_months=4, rows_a_month=2_000, kind="parquet", overrides=FEW_ROUNDS)
    block = bench_growth.main(plan=plan)  # stops when bytes differ
    assert "one month more ÷ all of them" in block and "pushed ÷ that month's own files" in block
    assert "two worker processes" in block


@pytest.mark.slow
def test_parameters_follow_the_months_in_a_clone(real: Path, tmp_path: Path) -> None:
    months = months_from(FIRST, 4)
    simulate(real, tmp_path / "months", months, rows=500, kind="zip")
    with cloned(line_overrides(tmp_path / "months", months[:3])) as clone:
        set_params(clone, line_overrides(tmp_path / "months", months))
        split = yaml.safe_load((clone / "params.yaml").read_text())["datasets"]["ontime"]["featurize"]["split"]
        assert date.fromisoformat(split["train_until"]) < date.fromisoformat(split["valid_until"])
        assert not output_files(clone) and environment(clone)["PLUMBLINE_CACHE"] == "off"
