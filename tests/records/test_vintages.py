"""Two vintages differ in what a comparison cell by cell finds, whatever the order of their rows."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.records.vintages import compare_vintages

SCHEMA = {"day": pl.Date, "series": pl.String, "value": pl.Float64, "note": pl.String}
KEYS = st.tuples(st.integers(0, 5).map(lambda n: date(2026, 1, 1) + timedelta(n)), st.sampled_from("ab"))
VALUES = st.tuples(st.none() | st.sampled_from([1.0, 1.5]), st.none() | st.sampled_from(["x", "y"]))
VINTAGES = st.dictionaries(KEYS, VALUES, max_size=8)


def frame(rows: dict) -> pl.DataFrame:
    return pl.DataFrame([(*key, *values) for key, values in rows.items()], schema=SCHEMA, orient="row")


@given(VINTAGES, VINTAGES, st.randoms())
def test_it_finds_what_a_comparison_cell_by_cell_finds(old, new, random):
    shuffled = list(new.items())
    random.shuffle(shuffled)
    found = compare_vintages(frame(old), frame(dict(shuffled)), ("day", "series"))
    assert set(found.added.rows()) == new.keys() - old.keys()
    assert set(found.vanished.rows()) == old.keys() - new.keys()
    text = {None: None, 1.0: "1.0", 1.5: "1.5", "x": "x", "y": "y"}
    assert set(found.revised.rows()) == {
        (*key, name, text[old[key][place]], text[new[key][place]])
        for key in old.keys() & new.keys()
        for place, name in enumerate(("value", "note"))
        if old[key][place] != new[key][place]
    }


def test_a_key_that_stands_twice_is_refused():
    twice = pl.concat([frame({(date(2026, 1, 1), "a"): (1.0, "x")})] * 2)
    with pytest.raises(ValueError, match="2026"):
        compare_vintages(frame({}), twice, ("day", "series"))
