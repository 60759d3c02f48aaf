"""The study of drift knows what drifted because it put it there; rules and libraries are asked about the same rows."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.bench_monitor import profile, simulate, write_partitions
from benchmarks.drift_rules import OWN, RULES, Evidence, p_of_rows
from benchmarks.drift_worlds import DAY, NEW, NULLS, PLANTED, QUIET, UNSEEN, World, deal_months, deal_weeks
from benchmarks.study_drift import Tally, ask, find_programs, study_world
from stages.monitoring.drift import Drift

ROWS = World("independent rows", (1, 4000), reference=(1, 20_000))
DAYS = World("days of one luck", (400, 50), luck=0.3, correlation=0.6, reference=(400, 50))


def test_what_was_planted_is_there_and_nothing_else_moved() -> None:
    reference, batch = ROWS.draw(3)
    error = np.sqrt(1 / 4000 + 1 / 20_000)
    for name, shift in {"shift 0.1": 0.1, "shift 0.15": 0.15, "shift 0.3": 0.3, "number 07": 0.0}.items():
        assert batch[name].mean() - reference[name].mean() == pytest.approx(shift, abs=4 * error)
    assert reference["nulls doubled"].is_null().mean() == pytest.approx(NULLS, abs=0.01)
    assert batch["nulls doubled"].is_null().mean() == pytest.approx(2 * NULLS, abs=0.02)
    assert batch["nulls"].is_null().mean() == pytest.approx(NULLS, abs=0.015)
    assert (batch["new category"] == UNSEEN).mean() == pytest.approx(NEW, abs=0.01)
    assert UNSEEN not in reference["new category"] and UNSEEN not in batch["category"]
    assert set(reference.columns) == {*QUIET, *PLANTED, DAY} and len(QUIET) == 20


def test_a_day_decides_the_stated_share_and_neighbouring_days_are_alike() -> None:
    rows = pl.concat([DAYS.draw(seed)[0].select(DAY, "number 01").with_columns(seed=seed) for seed in range(5)])
    means = rows.group_by("seed", DAY, maintain_order=True).agg(pl.col("number 01").mean())["number 01"].to_numpy()
    of_day = means.reshape(5, -1)
    assert of_day.var() == pytest.approx(0.3 + 0.7 / 50, rel=0.15)
    neighbours = np.corrcoef(of_day[:, 1:].ravel(), of_day[:, :-1].ravel())[0, 1]
    assert neighbours == pytest.approx(0.6 * 0.3 / (0.3 + 0.7 / 50), abs=0.08)


def test_the_same_seed_draws_the_same_rows_and_another_others() -> None:
    first, again, other = (DAYS.draw(seed)[1] for seed in (1, 1, 2))
    assert first.equals(again) and not first.equals(other)


def test_days_are_dealt_to_one_side_each_whole_weeks_at_a_time() -> None:
    days = pl.date_range(pl.date(2013, 1, 1), pl.date(2013, 3, 31), eager=True).cast(pl.String).to_list()
    for _, reference, batch in deal_weeks(days, 3, trials=4):
        assert len(batch) == 21 and not set(reference) & set(batch) and len(reference) + len(batch) == 84
        assert all(days.index(batch[k]) - days.index(batch[k - 1]) == 1 for k in range(1, 21) if k % 7)
    months = list(deal_months(days, "2013-02-28"))
    assert [(name, len(before), len(now)) for name, before, now in months] == [
        ("2013-01", 28, 31), ("2013-02", 31, 28), ("2013-03", 59, 31),
    ]  # fmt: skip


def evidence(psi: float, p: float, p_rows: float) -> Evidence:
    return Evidence(Drift(psi, 0.1, p), p_rows)


def test_rules_differ_where_they_are_said_to() -> None:
    found = {
        "large and sure": evidence(0.5, 1e-9, 1e-9),
        "large by chance": evidence(0.3, 0.4, 0.045),
        "small and sure": evidence(0.005, 1e-9, 1e-9),
        "one look of many": evidence(0.15, 0.04, 0.045),
        "nothing": evidence(0.001, 0.9, 0.9),
    }
    said = {rule: decide(found) for rule, decide in RULES.items()}
    assert said[OWN] == {"large and sure"}
    assert said["plumbline, any size"] == {"large and sure", "small and sure"}
    assert said["PSI > 0.2"] == {"large and sure", "large by chance"}
    assert said["PSI > 0.1"] == {"large and sure", "large by chance", "one look of many"}
    assert said["KS < 0.05"] == {"large and sure", "large by chance", "small and sure", "one look of many"}
    assert said["KS, Benjamini–Hochberg"] == {"large and sure", "small and sure"}


def test_a_tally_counts_batches_columns_and_what_was_seen() -> None:
    tally = Tally()
    for drifted in ({"number 03", "nulls", "shift 0.3"}, set(), {"shift 0.3"}, {"category"}):
        tally.note(drifted.intersection)
    assert tally.false == 50.0
    assert tally.row("x") == ("x", "50.0", "3.75", "0", "0", "50", "0", "0", "4")


def test_rules_of_thumb_cry_wolf_over_fifty_rows_and_the_line_seldom_does() -> None:
    tallies = study_world(World("", (1, 50), reference=(1, 5000)), 15)
    assert tallies["PSI > 0.1"].false == 100.0
    assert tallies["KS < 0.05"].false > 30.0
    assert tallies[OWN].false <= 20.0


def test_names_are_tested_too_and_what_is_missing_is_left_out() -> None:
    rng = np.random.default_rng(0)
    before = pl.Series("a", rng.choice(["x", "y", None], 3000, p=[0.5, 0.4, 0.1]))
    alike = pl.Series("a", rng.choice(["x", "y", None], 3000, p=[0.4, 0.32, 0.28]))
    assert p_of_rows(before, alike) > 0.01
    assert p_of_rows(before, pl.Series("a", ["x"] * 900 + ["y"] * 900)) < 1e-4
    assert p_of_rows(before, pl.Series("a", ["x", "y", "z"] * 200)) < 1e-9


def test_the_line_as_a_program_and_every_library_here_see_a_column_that_moved_by_a_deviation() -> None:
    reference, batch = World("", (8, 60), reference=(60, 60)).draw(5)
    names = [DAY, "number 01", "number 02", "category"]
    moved = batch.with_columns(pl.col("number 02") + 1)
    told = ask(find_programs(), [("one", reference.select(names), moved.select(names))])
    assert OWN in told
    for name, found in told.items():  # Evidently's script fails where it counts other columns than Evidently does
        assert "number 02" in found.drifted[0] and found.seconds[0] > 0 and found.cost.process_mib > 20, name


def test_counting_partitions_one_by_one_counts_every_row_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.bench_monitor.PARTITION", 4000)
    write_partitions(tmp_path, 10_000)
    counted = profile(tmp_path)
    assert len(counted.units) == 3 and all(int(counts.sum()) == 10_000 for counts in counted.counts.values())
    rows = pl.concat(simulate(day, n) for day, n in enumerate((4000, 4000, 2000)))
    assert int(counted.counts["number 00"][:, -1].sum()) == rows["number 00"].null_count() > 0
    assert rows.width == 21


def test_a_disk_without_room_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="fewer --rows"):
        write_partitions(tmp_path, 10**13)
    assert list(tmp_path.iterdir()) == []
