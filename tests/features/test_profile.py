"""Counts by day and bin: what they say is what a group-by says, and they add up."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stages.features.profile import Cut, Profile, cut_column, merge_profiles, profile_units
from stages.features.profile_files import read_profile, write_profile
from stages.features.sketch import sketch_column
from stages.workspace.errors import UserError


def rows(n: int = 4000, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    number = np.where(rng.random(n) < 0.05, np.nan, rng.normal(size=n) * 10.0 ** rng.integers(-3, 4, n))
    names = rng.choice([*"abcdefghijklmnopqrstuvwxyz"], n)
    return pl.DataFrame({
        "number": pl.Series(number, dtype=pl.Float32, nan_to_null=True),
        "whole": rng.integers(-5, 30, n),
        "category": pl.Series(np.where(rng.random(n) < 0.1, None, names), dtype=pl.String),
        "day": [f"2013-01-{k:02d}" for k in rng.integers(1, 9, n)],
    })  # fmt: skip


def cuts_of(frame: pl.DataFrame) -> list[Cut]:
    return [cut_column(name, sketch_column(frame[name])) for name in ("number", "whole", "category")]


def test_numbers_fall_in_the_groups_of_the_sketch() -> None:
    frame = rows()
    cut = cut_column("number", sketch_column(frame["number"]))
    values = frame["number"].cast(pl.Float64).to_numpy()
    expected = np.where(np.isnan(values), cut.missing, np.searchsorted(cut.edges, values, side="right"))
    assert (cut.codes(frame["number"]) == expected).all()
    assert cut.levels == len(cut.edges) + 2 and cut.missing == cut.levels - 1
    for infinite, code in ((-np.inf, 0), (np.inf, cut.missing - 1)):
        assert cut.codes(pl.Series([infinite], dtype=pl.Float32)).tolist() == [code]


def test_categories_are_told_apart_by_rank_and_what_is_missing_is_not_what_is_new() -> None:
    given = pl.Series("c", ["a"] * 3 + ["b"] * 2 + [*"cdefghijklmnopqrstuvw"], dtype=pl.String)
    cut = cut_column("c", sketch_column(given))
    assert cut.frequent[:2] == ("a", "b") and len(cut.frequent) == 20
    codes = cut.codes(pl.Series(["a", "b", "w", None, "ä new one"], dtype=pl.String)).tolist()
    assert codes == [0, 1, 20, cut.missing, cut.levels - 1]
    assert cut.codes(pl.Series(["b", None], dtype=pl.Enum(["b", "a"]))).tolist() == [1, cut.missing]


def test_profiles_of_partitions_add_up_to_that_of_all_rows() -> None:
    frame = rows()
    cuts = cuts_of(frame)
    whole = profile_units(frame, cuts, "day")
    parts = [profile_units(frame[start : start + 900], cuts, "day") for start in range(0, 4000, 900)]
    merged = merge_profiles(parts[::-1])
    assert merged.units == whole.units
    for cut in cuts:
        assert (merged.counts[cut.name] == whole.counts[cut.name]).all()
        day = frame.filter(pl.col("day") == whole.units[3])
        assert (whole.counts[cut.name][3] == np.bincount(cut.codes(day[cut.name]), minlength=cut.levels)).all()


def test_a_profile_comes_back_as_it_was_written(tmp_path: Path) -> None:
    frame = rows()
    cuts = cuts_of(frame)
    profile, path = profile_units(frame, cuts, "day"), tmp_path / "é.parquet"
    alone = profile_units(frame, cuts[:1], None)
    write_profile(path, {"inputs": profile, "scores": alone}, {"inputs": cuts, "scores": cuts[:1]}, {"unit": "day"})
    profiles, read, about = read_profile(path)
    assert about == {"unit": "day"} and read == {"inputs": cuts, "scores": cuts[:1]}
    for kind, expected in (("inputs", profile), ("scores", alone)):
        assert profiles[kind].units == expected.units
        assert all((profiles[kind].counts[name] == counts).all() for name, counts in expected.counts.items())
    some = profile.of(["2013-01-03", "2013-01-01"])
    assert isinstance(some, Profile) and (some.counts["whole"] == profile.counts["whole"][[2, 0]]).all()


def test_a_damaged_or_missing_profile_says_so(tmp_path: Path) -> None:
    path = tmp_path / "profile.parquet"
    with pytest.raises(UserError, match="no such file"):
        read_profile(path)
    pl.DataFrame({"a": [1]}).write_parquet(path)
    with pytest.raises(UserError, match="none of ours"):
        read_profile(path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UserError, match="damaged"):
        read_profile(path)
