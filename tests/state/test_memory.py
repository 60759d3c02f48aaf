"""What is known follows from what was told, in whatever pieces; who asks ahead knows nothing of what comes later."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from stages.state.facts import Fact, levels_of, take_in, to_facts
from stages.state.memory import Memory, remember
from stages.state.requests import Known
from stages.state.seed import Seed

OUTCOMES = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]


def facts_of(flights: Any, published: pl.DataFrame) -> list[Fact]:
    dataset = flights.dataset
    passed, _ = take_in(dataset, dataset.records, published)
    return [fact for rows in passed for fact in to_facts(dataset.records, rows)]


def heard(memory: Memory, facts: Sequence[Fact], pieces: int, published: pl.DataFrame) -> Memory:
    """The same facts in so many pieces, questions between them: contexts are made early, and have to be kept up."""
    for piece in np.array_split(np.arange(len(facts)), pieces):
        Known(memory).prepare(published.tail(3))
        memory = memory.after({"flights": [facts[k] for k in piece]})
    return memory


def same_answers(one: Memory, other: Memory, published: pl.DataFrame) -> None:
    found, wanted = (Known(memory).prepare(published) for memory in (one, other))
    assert_frame_equal(found.features, wanted.features, check_exact=True)
    assert found.notes == wanted.notes


@pytest.mark.parametrize("pieces", [1, 5])
def test_facts_in_pieces_and_in_any_order_are_the_facts_at_once(flights, pieces: int) -> None:
    rows = flights.february[Known(flights.memory).prepare(flights.february).rows]
    departed = rows.with_columns(pl.lit("NA").alias(name) for name in OUTCOMES[2:])
    facts = [fact for told in (rows.drop(OUTCOMES), departed, rows) for fact in facts_of(flights, told)]
    at_once = flights.memory.after({"flights": facts_of(flights, rows)})
    shuffled = [facts[k] for k in np.random.default_rng(pieces).permutation(len(facts))]
    for told in (facts, shuffled):
        same_answers(heard(flights.memory, told, pieces, rows), at_once, rows)


def test_a_corrected_row_of_a_past_day_is_counted_as_it_is_now(flights) -> None:
    """Ten flights of 1 February were late, and were told to be on time at first."""
    february = flights.february
    late = (pl.col("day") == "1") & (pl.col("arr_delay").str.to_integer(strict=False) >= 15)
    wrong = february.filter(late).head(10).with_columns(arr_delay=pl.lit("0"), arr_time="sched_arr_time")
    assert len(wrong) == 10
    told_wrong = facts_of(
        flights, pl.concat([february.join(wrong, on=["flight", "carrier", "day"], how="anti"), wrong])
    )
    first = heard(flights.memory, told_wrong, 2, february)
    right = flights.memory.after({"flights": facts_of(flights, february)})
    with pytest.raises(AssertionError):
        same_answers(first, right, february)
    same_answers(first.after({"flights": facts_of(flights, february)}), right, february)


def test_facts_of_closed_months_change_nothing(flights) -> None:
    dataset, clean = flights.dataset, flights.clean
    seed = Seed(
        dataset, "2013-02", clean["2013-02"], {"2013-01": dataset.summarize(clean["2013-01"])}, flights.references
    )
    memory = remember(seed)
    told = memory.after({"flights": facts_of(flights, flights.published)})
    same_answers(told, memory, flights.february)
    refused = Known(told).prepare(flights.published.head(3)).refused
    assert refused["check"].unique().to_list() == ["in what is remembered: from 2013-02 on"]


def test_a_late_weather_report_counts_at_once(flights) -> None:
    row = flights.february.filter(pl.col("day") == "3").tail(1)
    report = flights.references["weather"].filter(pl.col("origin") == row["origin"][0])
    changed = report.with_columns(temperature_f=pl.lit(99.0, pl.Float32), _partition=pl.lit(""), _level=pl.lit(0))
    weather = next(table for table in flights.dataset.references if table.name == "weather")
    memory = flights.memory.after({"flights": facts_of(flights, flights.february)})
    before = Known(memory).prepare(row).features["temperature_f"][0]
    after = Known(memory.after({"weather": to_facts(weather, changed)})).prepare(row).features["temperature_f"][0]
    assert before != 99 and after == 99


# ── asked ahead ──────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("hours", [1, 30])
def test_what_becomes_known_after_the_question_changes_no_answer(flights, hours: int) -> None:
    """Other outcomes, no outcomes, no later reports: whoever asks at that moment cannot tell."""
    dataset, rows = flights.dataset, flights.february.filter(pl.col("day") == "3").gather_every(43)
    for place in range(len(rows)):
        row = rows[place]
        moment = dataset.moment(dataset.records.parse(row))[0]
        at = moment - timedelta(hours=hours)
        answers = [Known(memory).prepare(row, at) for memory in worlds(flights, at)]
        assert f"asked {hours} h ahead" in str(answers[0].notes[0])
        for other in answers[1:]:
            assert_frame_equal(other.features, answers[0].features, check_exact=True)


def worlds(flights: Any, at: datetime) -> list[Memory]:
    """As it was; with other outcomes after ``at``; with none; with no report after it."""
    dataset, references = flights.dataset, flights.references
    both = pl.concat([flights.clean["2013-01"], flights.clean["2013-02"]])
    departed, landed = (outcome.known(both) > at for outcome in dataset.outcomes)
    later = pl.Series(np.random.default_rng(at.hour).integers(0, 600, len(both)), dtype=pl.Int16)

    def unless(later: pl.Series, value: Any, *names: str) -> list[pl.Expr]:
        return [pl.when(later).then(value).otherwise(name).alias(name) for name in names]

    changed = both.with_columns(
        *unless(departed & (both["sched_dep_utc"] > at), later, "dep_delay_min"),
        *unless(landed, pl.lit(1, pl.UInt8), "late"),
    )
    nothing = pl.lit(None)
    none = both.with_columns(
        *unless(departed, nothing, "dep_min", "dep_delay_min"),
        *unless(landed, nothing, "arr_min", "arr_delay_min", "air_time_min", "late"),
    )
    weather = next(table for table in dataset.references if table.name == "weather")
    early = {**references, "weather": references["weather"].filter(weather.known(references["weather"]) <= at)}
    told = ((both, references), (changed, references), (none, references), (both, early))
    return [memory_of(flights, rows, tables) for rows, tables in told]


def memory_of(flights: Any, rows: pl.DataFrame, references: dict[str, pl.DataFrame]) -> Memory:
    parts = {name: rows.filter(pl.col("day").dt.strftime("%Y-%m") == name) for name in ("2013-01", "2013-02")}
    return remember(Seed(flights.dataset, "2013-01", parts["2013-01"], {}, references)).with_rows(
        {"2013-02": parts["2013-02"]}, {}
    )


def test_a_row_knows_as_much_as_it_tells_of(flights) -> None:
    rows = flights.clean["2013-02"]
    level = levels_of(flights.dataset, rows)
    assert (level == 2).to_list() == rows["arr_min"].is_not_null().to_list()
    assert (level == 0).to_list() == rows["dep_min"].is_null().to_list()


def test_of_two_rows_with_one_key_in_a_request_the_first_is_answered_as_the_line_would(flights) -> None:
    row = flights.february.filter(pl.col("arr_delay") == "0").head(1)
    known = Known(flights.memory)
    prepared = known.prepare(pl.concat([row, row.with_columns(pl.lit("NA").alias(name) for name in OUTCOMES), row]))
    assert prepared.rows == [0]
    assert prepared.refused.rows() == [(1, None, "unique", None), (2, None, "unique", None)]
    assert_frame_equal(prepared.features, known.prepare(row).features)
