"""Forecasts that overlap: their errors are alike for as many days as the horizon is long, and the test knows it."""

from benchmarks.study_forecasts import MAE, alarms, equals
from stages.metrics.bootstrap import draw_weights
from stages.metrics.claims import refuse_claims

DAYS, HORIZON, TRIALS = 160, 10, 100


def test_equals_are_told_apart_in_one_of_twenty_where_runs_are_as_long_as_the_horizon() -> None:
    assert alarms(DAYS, HORIZON, block=HORIZON, trials=TRIALS) <= 0.09  # binomial: 0.05 and two standard errors


def test_days_drawn_one_by_one_would_raise_the_alarm_many_times_as_often() -> None:
    assert alarms(DAYS, HORIZON, block=1, trials=TRIALS) > 0.2


def test_a_forecaster_who_knows_more_is_found() -> None:
    assert alarms(DAYS, HORIZON, block=HORIZON, trials=TRIALS // 2, gain=0.8) > 0.8


def test_an_honest_model_is_seldom_accused_of_having_seen_the_outcome() -> None:
    accused = 0
    for trial, (a, b) in enumerate(equals(DAYS, HORIZON, TRIALS // 2)):
        systems, weights = {"model": b, "baseline": a}, draw_weights(DAYS, 200, (5, trial), HORIZON)
        try:
            refuse_claims(systems, {"horizon=10 d": systems}, ("mae", MAE), weights, block=HORIZON)
        except ValueError:
            accused += 1
    assert accused <= 2  # 1 % of 50, and two standard errors
