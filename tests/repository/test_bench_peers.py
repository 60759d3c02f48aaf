"""Every installed peer does the line's own work, planted faults included; what is told of the costs follows."""

import importlib
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from benchmarks import bench_peers, tell_peers
from benchmarks.compare_peers import UnequalOutput, compare_outputs
from benchmarks.contenders import MAIN_PEER, OURS, PEERS, Peer, Run, by_name, find_python, keep, read_runs
from benchmarks.draw_peers import draw_peers
from benchmarks.measure import Cost
from benchmarks.ontime_rules import KEY
from benchmarks.workspace import ROOT
from stages.datasets.ontime import DATASET
from stages.records.failures import find_failures, split_rows
from stages.records.lines import LINE

SAMPLE = Path(__file__).parents[1] / "data" / "ontime"
ENDS = ("1987-10-20", "1987-11-15")
SLOW_TO_START = ("pyspark",)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample with its planted faults, as parquet of texts; lines that are no rows have no place in one."""
    folder = tmp_path_factory.mktemp("published")
    for month in DATASET.records.partitions(SAMPLE):
        rows = DATASET.records.read(SAMPLE, month)
        (name,) = DATASET.records.files(SAMPLE, month)
        rows.filter(pl.col(LINE).is_null()).drop(LINE).write_parquet(folder / Path(name).with_suffix(".parquet").name)
    return folder


@pytest.fixture(scope="module")
def ours(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clean rows and features of those months, by the dataset's own functions."""
    out, table = tmp_path_factory.mktemp("ours"), DATASET.records
    months, clean = table.partitions(published), {}
    for folder in ("clean", "features"):
        (out / folder).mkdir()
    for month in months:
        rows = table.read(published, month)
        tidy = table.parse(rows)
        failures = find_failures(rows, tidy, table.schema(month), table.parsed_from, table.null_texts)
        clean[month], quarantined = split_rows(rows, tidy, failures)
        assert len(quarantined) > 0 or month != "1987-11"
        clean[month].write_parquet(out / "clean" / f"{month}.parquet")
    split = dict(zip(("train_until", "valid_until", "test_until"), (*ENDS, None), strict=True))
    for month in months:
        known = [DATASET.summarize(clean[other]) for other in DATASET.reach(month, months)]
        features = DATASET.featurize(clean[month], DATASET.context(known, {}, complete=False))
        features = features.with_columns(DATASET.split(features, split, 0).alias("part"))
        features.write_parquet(out / "features" / f"{month}.parquet")
    return out


@pytest.mark.parametrize(
    "peer",
    [pytest.param(p, id=p.name, marks=[pytest.mark.slow] if p.package in SLOW_TO_START else []) for p in PEERS],
)
def test_peer_writes_the_rows_and_the_features_of_the_line(
    peer: Peer, published: Path, ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (found := find_python(peer.package)):
        pytest.skip(f"{peer.package} is not installed: run `make peers`")
    arguments = [str(published), str(tmp_path), *ENDS, *peer.flags]
    if peer.package in SLOW_TO_START:
        subprocess.run([found[0], "-m", f"benchmarks.{peer.module}", *arguments], cwd=ROOT, check=True)
    else:  # in this process, which has imported most of what they need
        monkeypatch.setattr(sys, "argv", [peer.module, *arguments])
        importlib.import_module(f"benchmarks.{peer.module}").main()
    months = DATASET.records.partitions(published)
    for folder in ("clean", "features"):
        assert compare_outputs(ours / folder, tmp_path / folder, months, KEY) > 400


def changed(column: str, value: pl.Expr) -> pl.Expr:
    """One value of one row differs."""
    return pl.when(pl.int_range(pl.len()) == 7).then(value).otherwise(column).alias(column)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda rows: rows.head(-1), "rows"),
        (lambda rows: rows.drop("tailnum"), "tailnum"),
        (
            lambda rows: rows.with_columns(changed("distance_mi", pl.col("distance_mi") + 1)),
            "distance_mi differs in 1 rows",
        ),
        (lambda rows: rows.with_columns(changed("late", pl.lit(None))), "late differs in 1 rows"),
    ],
)
def test_any_difference_from_our_output_is_found(spoil, told: str, ours: Path, tmp_path: Path) -> None:
    rows = pl.read_parquet(ours / "clean" / "1987-10.parquet").filter(pl.col("late").is_not_null())
    theirs = tmp_path / "theirs" / "period=1987-10"
    theirs.mkdir(parents=True)
    rows.write_parquet(tmp_path / "1987-10.parquet")
    rows.sample(fraction=1.0, shuffle=True, seed=1).write_parquet(theirs / "0.parquet")
    assert compare_outputs(tmp_path, theirs.parent, ["1987-10"], KEY) == len(rows)
    spoil(rows).write_parquet(theirs / "0.parquet")
    with pytest.raises(UnequalOutput, match=told):
        compare_outputs(tmp_path, theirs.parent, ["1987-10"], KEY)


def run(rows: int, name: str, wall_s: float, mib: float = 500.0, failed: str = "") -> Run:
    cost = Cost(wall_s=wall_s, cpu_s=wall_s * 1.5, process_mib=mib, tree_mib=mib, others_cores=0.0)
    return Run(rows, name, [] if failed else [cost], failed)


def test_bars_are_ratios_of_the_same_round_and_memory_is_compared_between_sizes() -> None:
    runs = [run(30, OURS, 9), run(30, MAIN_PEER, 10, 2000), run(30, OURS, 18), run(30, MAIN_PEER, 12, 2000),
            run(30, OURS, 9), run(30, MAIN_PEER, 10, 2000), run(100, OURS, 30, 600)]  # fmt: skip
    bars = {figure.name: figure for figure in tell_peers.bars(runs)}
    assert bars[f"wall ÷ {MAIN_PEER}"].value == 0.9 and bars[f"wall ÷ {MAIN_PEER}"].verdict == "met"
    assert bars[f"peak memory ÷ {MAIN_PEER}"].value == 0.25
    (growth,) = [figure for name, figure in bars.items() if "rows ÷ at" in name]
    assert growth.value == pytest.approx(1.2) and growth.verdict == "**missed**"


def test_a_peer_that_failed_is_named_with_its_error_and_judged_by_no_bar() -> None:
    runs = [run(30, OURS, 9), run(30, MAIN_PEER, 10), run(30, "pandas, month by month", 0, failed="out of memory")]
    block = tell_peers.block(runs, [0.0], ["PySpark"])
    assert "failed: out of memory" in block and "not measured: PySpark" in block and "**simulated**" in block
    assert not any("pandas" in figure.name for figure in tell_peers.bars(runs))


def test_runs_are_kept_by_size_and_the_picture_has_the_same_bytes_every_time(tmp_path: Path) -> None:
    kept = tmp_path / "peers.json"
    keep([run(30, OURS, 9), run(30, MAIN_PEER, 10), run(100, OURS, 30)], kept)
    whole = keep([run(30, OURS, 8)], kept)
    assert read_runs(kept) == whole == [run(30, OURS, 8), run(100, OURS, 30)]
    for name in ("one", "two"):
        draw_peers({rows: by_name(whole, rows) for rows in (30, 100)}, tmp_path / f"{name}.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


@pytest.mark.slow
def test_harness_measures_the_line_and_its_peers_side_by_side(publish_month, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    for month in range(1, 4):
        publish_month(real, 2004, month)
    block = bench_peers.main(
        runs=2, real=real, sizes=[6_000], names=["polars", "duckdb"], folder=tmp_path / "months", rows_a_month=2_000,
        kept=tmp_path / "peers.json", picture=tmp_path / "peers.svg",
    )  # fmt: skip
    found = by_name(read_runs(tmp_path / "peers.json"), 6_000)
    assert list(found) == [OURS, MAIN_PEER, "Polars, month by month", "DuckDB"]
    assert all(len(runs) == 2 and not runs[0].failed for runs in found.values())
    assert "6,000 rows, 2 rounds" in block and "peers.svg" in block
