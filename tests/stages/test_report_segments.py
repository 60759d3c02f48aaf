"""What the report says of a segment is what a comparison of its own rows would say."""

from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from stages import evaluate, train
from stages.metrics.bootstrap import draw_weights
from stages.metrics.files import read_evaluation
from stages.metrics.paired import compare
from stages.metrics.stored import system_of, task_named, units_of
from stages.results.segments import MONTH, judge_segments


@pytest.fixture(scope="module")
def table(planted: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory):
    """Cells and header of 27 test days in two months, told apart by carrier."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("segments"))
        planted.write(planted.rows(n=9000, days=108), evaluate={"segments": ["carrier"], "block": 2})
        train.main(planted.dataset)
        evaluate.main(planted.dataset)
        return read_evaluation(Path(f"data/evaluation/{planted.dataset}.parquet"))


def test_a_verdict_on_a_segment_is_that_of_the_paired_test_on_its_rows(table) -> None:
    cells, header = table
    weights = draw_weights(header["units"], 400, seed=3, block=2)
    judged = judge_segments(cells, header, weights, 0.9)["carrier"]
    verdicts = set()
    for segment in judged:
        own = [system_of(cells, header, system, f"carrier={segment.name}") for system in ("baseline", "model")]
        gaps = compare(*own, task_named("binary").metrics, weights, level=0.9, block=2)
        for name, figure in segment.figures.items():
            if figure.low is not None:
                told = gaps[name].verdict
                assert figure.verdict == ("" if told == "no evidence" else told), (segment.name, name)
                verdicts.add(figure.verdict)
    assert "better" in verdicts


def test_all_rows_are_not_apart_from_themselves(table) -> None:
    """A segment that holds every row differs from all rows by nothing in any replicate."""
    cells, header = table
    every = cells.filter(cells["segment"] == "").with_columns(segment=pl.lit("carrier=ALL"))
    whole = {**header, "segments": {"carrier": ["ALL"]}}
    weights = draw_weights(header["units"], 200, seed=4, block=2)
    [segment] = judge_segments(cells.vstack(every.select(cells.columns)), whole, weights, 0.9)["carrier"]
    assert {figure.apart for figure in segment.figures.values()} == {""}


def test_a_month_of_fewer_than_two_runs_of_days_has_a_value_and_no_interval(table) -> None:
    cells, header = table
    n_units = len(units_of(cells))
    weights = draw_weights(n_units, 100, seed=5, block=10)
    months = judge_segments(cells, {**header, "block": 10}, weights, 0.9)[MONTH]
    assert len(months) == 2
    for month in months:
        assert all(figure.value is not None and figure.low is None for figure in month.figures.values())
