"""How forecasts did is what anybody would reckon by hand, whatever the unit in which a change counts."""

from datetime import datetime

import numpy as np
import polars as pl
import pytest

from stages.forecasts.judged import daily_errors, judge_horizons, judge_periods
from stages.forecasts.made import make_forecasts
from stages.forecasts.tables import horizon_table
from stages.pages.tables import as_text
from tests.forecasts.conftest import NAIVE, SIGNATURE, forecasts_of, lines_of, values_of

DAYS = 130


def came_true(level: float | None = None) -> pl.DataFrame:
    observed = values_of(24 * DAYS)
    made = forecasts_of(observed, level)
    return made.join(observed, left_on=["series", "due_at"], right_on=["series", "at"], how="left")


def test_a_forecast_is_the_value_of_now_and_the_change_that_the_model_says() -> None:
    observed = values_of(3)
    made = forecasts_of(observed)
    far = made.filter(pl.col("horizon") == "6 h")
    for name, change in (("forecast", 1.5), ("low", -1.5), ("median", 2.0), ("high", 5.5), ("naive", 1.5)):
        assert far[name].to_numpy() == pytest.approx(far["now"].to_numpy() + change, rel=1e-6)
    points = forecasts_of(observed, level=10_000.0)  # changes in shares of the value: basis points
    near = points.filter(pl.col("horizon") == "6 h")
    assert near["high"].to_numpy() == pytest.approx(near["now"].to_numpy() * (1 + 5.5e-4), rel=1e-7)


def test_a_series_without_a_value_at_its_moment_has_no_forecast() -> None:
    observed = values_of(2)
    made = make_forecasts(NAIVE, SIGNATURE, lines_of(observed), observed.filter(pl.col("series") == "A"))  # type: ignore[arg-type]
    assert set(made["series"]) == {"A"} and len(made) == 4
    assert make_forecasts(NAIVE, SIGNATURE, lines_of(observed), observed.clear()).is_empty()  # type: ignore[arg-type]


@pytest.mark.parametrize("level", [None, 10_000.0])
def test_figures_are_those_reckoned_by_hand(level: float | None) -> None:
    rows = came_true(level)
    unit = 1.0 if level is None else rows["now"] / level
    sizes = {
        short: (pl.col(name) - pl.col("value")).abs() / unit for short, name in (("e", "forecast"), ("n", "naive"))
    }
    rows = rows.with_columns(**sizes)
    for judged in judge_horizons(rows):
        own = rows.filter(pl.col("horizon") == judged.name).drop_nulls("value")
        assert (judged.rows, judged.days) == (len(own), DAYS)
        assert judged.figures["mae"].value == pytest.approx(own["e"].mean(), rel=1e-4)
        assert judged.naive_mae == pytest.approx(own["n"].mean(), rel=1e-4)
        held = own.select(pl.col("value").is_between("low", "high").mean()).item()
        assert judged.figures["coverage"].value == pytest.approx(held, abs=1e-3)
        low, high = judged.figures["coverage"].low, judged.figures["coverage"].high
        assert low is not None and high is not None and low < held < high
        assert judged.gained is not None and judged.gained.value == 0  # the model is the naive forecast itself
    assert [judged.name for judged in judge_horizons(rows)] == ["1 h", "6 h"]


def test_of_few_days_there_is_a_figure_and_no_interval() -> None:
    rows = came_true().filter(pl.col("made_at") < datetime(2024, 3, 6))
    judged = judge_horizons(rows)
    assert [each.days for each in judged] == [5, 5]
    assert all(each.gained is None and each.figures["mae"].low is None for each in judged)
    assert "–" in as_text(horizon_table(judged, "°F"))


def test_errors_over_time_are_means_of_seven_days() -> None:
    rows = came_true()
    found = daily_errors(rows)
    size = (rows["forecast"] - rows["value"]).abs().to_numpy()
    day = rows["made_at"].dt.date().to_numpy()
    last = np.datetime64("2024-04-20")
    window = (day > last - 7) & (day <= last)
    at = found.filter(pl.col("day") == last.item())
    assert at["model"].item() == pytest.approx(np.nanmean(size[window]))
    assert len(found) == DAYS


def test_coverage_over_time_is_told_by_month_where_there_are_many_days_and_by_week_else() -> None:
    rows = came_true()
    assert [str(day) for day, _ in judge_periods(rows)] == [f"2024-0{month}-01" for month in (3, 4, 5, 6, 7)]
    few = judge_periods(rows.filter(pl.col("made_at") < datetime(2024, 3, 20)))
    assert [str(day) for day, _ in few] == ["2024-02-26", "2024-03-04", "2024-03-11", "2024-03-18"]
    assert judge_periods(rows.clear()) == []
