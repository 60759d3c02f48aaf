"""The family `direct` keeps its promises: nothing from after its moment, and naive where nothing beats the naive."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stages.features.redrawn import redraw_training
from stages.models import direct
from stages.models.contract import DamagedModel
from stages.models.forecasts import HIGH, LOW, MEDIAN, NAIVE, POINT
from stages.models.versions import ALWAYS, VOLATILITY, Direct, load
from tests.models.planted_forecasts import (
    SETTINGS,
    forecasts,
    inputs,
    table_of,
    training_of,
    without,
)

LINES = forecasts()
EPOCH = datetime(1970, 1, 1)


def fitted(frame: pl.DataFrame, folder: Path, lines: int = 1000, threads: int = 1, **changes: object) -> Direct:
    settings = SETTINGS.model_copy(update=changes)
    model = direct.fit(training_of(table_of(frame, folder, lines), threads=threads), settings).model
    assert isinstance(model, Direct)
    return model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Direct:
    return fitted(LINES, tmp_path_factory.mktemp("planted"))


def judged(frame: pl.DataFrame = LINES) -> pl.DataFrame:
    return frame.filter(part="test")


def test_the_rule_is_learnt_at_each_horizon_and_fitted_again_each_month(model: Direct) -> None:
    since = [version.since_us for version in model.versions]
    months = [datetime(2020, month, 1) for month in (4, 5, 6)]
    assert since == [ALWAYS, *((month - EPOCH).total_seconds() * 1e6 for month in months)]
    assert all({*version.points} == {"6 h", "24 h"} for version in model.versions)
    scores, change = model.predict(inputs(judged())), judged()["change"].to_numpy()
    errors = np.abs(scores[:, [POINT, NAIVE]] - change[:, None]).mean(axis=0)
    assert errors[0] < 0.6 * errors[1]
    assert (scores[:, LOW] <= scores[:, MEDIAN]).all()
    assert (scores[:, MEDIAN] <= scores[:, HIGH]).all()
    assert 0.77 < ((change >= scores[:, LOW]) & (change <= scores[:, HIGH])).mean() < 0.83


def test_no_score_depends_on_what_comes_due_after_it_is_made(model: Direct, tmp_path: Path) -> None:
    cut = datetime(2020, 5, 1)
    jump = pl.when(pl.col("due_at") > cut).then(pl.col("change") + 1000.0).otherwise(pl.col("change"))
    other = fitted(LINES.with_columns(jump.alias("change")), tmp_path)
    rows = inputs(LINES)
    one, two = model.predict(rows), other.predict(rows)
    before = (LINES["made_at"] <= cut).to_numpy()
    assert np.array_equal(one[before], two[before])
    june = (LINES["made_at"] >= datetime(2020, 6, 1)).to_numpy()
    assert two[june, POINT].mean() > 100.0  # fitted to the jump
    next_days = ((LINES["made_at"] >= datetime(2020, 5, 4)) & (LINES["made_at"] < datetime(2020, 6, 1))).to_numpy()
    assert np.array_equal(one[next_days, POINT], two[next_days, POINT])  # fitted on the first of May
    assert (two[next_days, HIGH] > one[next_days, HIGH]).all()  # but what came due since moves the interval


@pytest.mark.parametrize(("lines", "threads"), [(333, 1), (10_000, 2)])
def test_the_same_bytes_however_rows_are_cut_and_for_any_number_of_threads(
    model: Direct, tmp_path: Path, lines: int, threads: int
) -> None:
    assert fitted(LINES, tmp_path, lines, threads).files() == model.files()


def test_the_same_bytes_where_memory_has_no_room_for_the_lines(model: Direct, tmp_path: Path) -> None:
    training = replace(training_of(table_of(LINES, tmp_path)), limit_bytes=1)
    assert direct.fit(training, SETTINGS).model.files() == model.files()


def test_a_row_scores_the_same_alone_as_among_others_and_after_a_round_trip(model: Direct) -> None:
    rows = inputs(judged().gather_every(11))
    together = model.predict(rows)
    assert np.isfinite(together).all()
    loaded = load(model.files())
    loaded.use_threads(2)
    assert np.array_equal(loaded.predict(rows), together)
    assert loaded.files() == model.files()
    assert np.array_equal(np.concatenate([loaded.predict(rows[k : k + 1]) for k in range(len(rows))]), together)


def test_a_row_that_does_not_tell_when_is_scored_by_the_latest(model: Direct) -> None:
    rows = inputs(judged().gather_every(11))
    latest = model.predict(rows.with_columns(made_at=pl.lit(datetime(2030, 1, 1)).cast(pl.Datetime("us"))))
    for unsaid in (rows.drop("made_at"), rows.with_columns(made_at=pl.lit(None, pl.Datetime("us")))):
        assert np.array_equal(model.predict(unsaid), latest)
    assert np.array_equal(model.predict(rows.drop("made_at", "level"))[:, :6], latest[:, :6])
    assert not np.array_equal(model.predict(rows), latest)


def test_nothing_is_said_at_a_horizon_that_was_never_trained(model: Direct) -> None:
    rows = inputs(LINES.head(4)).with_columns(horizon=pl.lit(None, pl.Enum(["24 h", "6 h"])))
    assert np.isnan(model.predict(rows)[:, POINT : NAIVE + 1]).all()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", None], ids=["empty", "no archive", "cut off"])
def test_a_damaged_file_is_told_of(model: Direct, content: bytes | None) -> None:
    whole = model.files()["model.zip"]
    with pytest.raises(DamagedModel, match=r"model\.zip"):
        load({"model.zip": whole[: len(whole) // 2] if content is None else content})
    with pytest.raises(DamagedModel):
        load({})


def test_the_point_stays_naive_where_nothing_can_be_learnt(tmp_path: Path) -> None:
    noise = forecasts(rule=0.0)
    model = fitted(noise, tmp_path)
    assert not any(version.points for version in model.versions)
    scores = model.predict(inputs(judged(noise)))
    assert np.array_equal(scores[:, POINT], scores[:, NAIVE])
    always = fitted(noise, tmp_path, point="boosted")
    assert all({*version.points} == {"6 h", "24 h"} for version in always.versions)


def test_an_interval_as_wide_as_the_volatility_says_is_narrower_on_calm_lines_and_errs_less(tmp_path: Path) -> None:
    noise = forecasts(rule=0.0)
    rows, change = inputs(judged(noise)), judged(noise)["change"].to_numpy()
    losses = []
    for interval in ("even", "volatility"):
        scores = fitted(noise, tmp_path, interval=interval).predict(rows)
        outside = np.maximum(scores[:, LOW] - change, 0) + np.maximum(change - scores[:, HIGH], 0)
        losses.append(float((scores[:, HIGH] - scores[:, LOW] + 10 * outside).mean()))  # the interval score
        width = (scores[:, HIGH] - scores[:, LOW]).astype(np.float64)
    assert losses[1] < 0.95 * losses[0]
    calm = (judged(noise)[VOLATILITY] < 1.0).to_numpy()
    assert width[calm].mean() < 0.4 * width[~calm].mean()
    with pytest.raises(ValueError, match=VOLATILITY):
        direct.fit(
            training_of(without(table_of(noise, tmp_path), VOLATILITY)),
            SETTINGS.model_copy(update={"interval": "volatility"}),
        )


def test_a_fit_learns_from_the_parts_that_its_table_names(model: Direct, tmp_path: Path) -> None:
    table = table_of(LINES, tmp_path)
    odd = redraw_training(table, "day", lambda n: np.arange(n) % 2 * 2.0)
    redrawn = direct.fit(training_of(table, odd), SETTINGS).model
    taken = LINES.filter(part="train")["day"].unique().sort().gather_every(2, 1).implode()
    times = np.where(LINES["part"].fill_null("") != "train", 1, 2 * LINES["day"].is_in(taken).to_numpy())
    by_hand = LINES[np.repeat(np.arange(len(LINES)), times)]
    assert redrawn.files() == fitted(by_hand, tmp_path / "by hand").files() != model.files()


def test_without_refits_one_version_serves_all(tmp_path: Path) -> None:
    only = fitted(LINES, tmp_path, refit="none")
    assert [version.since_us for version in only.versions] == [ALWAYS]


def test_the_curve_is_the_mean_of_the_horizons_and_its_best_round_the_least(tmp_path: Path) -> None:
    fit = direct.fit(training_of(table_of(LINES, tmp_path)), SETTINGS)
    assert fit.metric == "rmse"
    assert len(fit.train_losses) == len(fit.valid_losses) > 3
    assert fit.best == min(fit.valid_losses)
