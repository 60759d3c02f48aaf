"""What a bundle knows at the line's end, and what is heard later, give each row the features that the line gave it."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from stages.records.prepare import judge_rows
from stages.state.facts import wanted_columns
from stages.state.files import prepare_file
from stages.state.memory import remember
from stages.state.requests import Known, open_known
from stages.state.seed import Seed, has_memory, partitions_kept, read_seed, write_seed
from stages.workspace.errors import UserError


def seed_of(walked: Any, upto: int) -> Seed:
    """What the line would have known, had it ended with one of the sample's partitions."""
    partitions = list(walked.tidy)[: upto + 1]
    return Seed(
        dataset=walked.dataset,
        open=partitions[-1],
        rows=walked.tidy[partitions[-1]],
        summaries={name: walked.summaries[name] for name in partitions_kept(walked.dataset, partitions)},
        references=walked.references,
    )


@pytest.fixture
def known(walked: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Known:
    """What a bundle made of the whole sample knows."""
    monkeypatch.chdir(tmp_path)
    write_seed(tmp_path, seed_of(walked, len(walked.tidy) - 1))
    return open_known(tmp_path, None)


def last_partition(walked: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Its published rows and the features that the line made."""
    name = list(walked.tidy)[-1]
    return walked.dataset.records.read(walked.raw, name), walked.features[name]


def judged(walked: Any, features: pl.DataFrame) -> pl.DataFrame:
    """The rows that the line let pass as well: it judges outcomes, too, of rows that nobody asks for."""
    _, made = last_partition(walked)
    key = [name for name in walked.dataset.records.key if name in made.columns]
    return features.join(made, on=key, how="semi", nulls_equal=True, maintain_order="left")


def test_a_bundle_alone_gives_the_features_of_the_line_to_rows_as_published(walked: Any, known: Known) -> None:
    published, made = last_partition(walked)
    prepared = known.prepare(published)
    assert_frame_equal(judged(walked, prepared.features), made.select(prepared.features.columns), check_exact=True)
    assert {name.name for name in walked.dataset.features} <= {*prepared.features.columns}
    assert sorted({*prepared.rows, *prepared.refused["row"]}) == list(range(len(published)))


def test_each_row_alone_and_without_its_outcome_gets_the_same(walked: Any, known: Known) -> None:
    published, _ = last_partition(walked)
    prepared = known.prepare(published)
    passed = sorted({*prepared.rows})
    for index in passed[:: max(len(passed) // 6, 1)]:
        follows = published[index].select(f.alias(n) for n, f in walked.dataset.records.derived.items())
        told = [name for name in follows.columns if follows[name].item() is None]
        row = published[index].select(*known.columns, *told)
        alone, of_it = known.prepare(row), prepared.features.filter(pl.Series(prepared.rows) == index)
        names = [n for n in alone.features.columns if n not in walked.dataset.records.derived]  # rows are numbered anew
        assert_frame_equal(alone.features.select(names), of_it.select(names), check_exact=True)
        assert (alone.rows, len(alone.refused), len(alone.notes)) == ([0] * len(of_it), 0, len(of_it))


def test_a_bundle_keeps_its_bytes_and_what_it_read_is_what_was_written(walked: Any, tmp_path: Path) -> None:
    seed = seed_of(walked, len(walked.tidy) - 1)
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        write_seed(tmp_path / folder, seed)
    written = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert written == {path.name: path.read_bytes() for path in (tmp_path / "other").iterdir()}
    assert len(written) == (3 + len(seed.references) if has_memory(seed.dataset) else 1)
    read = read_seed(tmp_path / "one")
    for name, rows in seed.summaries.items() if has_memory(seed.dataset) else ():
        assert_frame_equal(read.summaries[name], rows)


def test_features_of_other_code_than_was_evaluated_are_refused(walked: Any, tmp_path: Path) -> None:
    write_seed(tmp_path, seed_of(walked, 0))
    about = (tmp_path / "state.json").read_text()
    code = about.split('"code": "')[1][:12]
    (tmp_path / "state.json").write_text(about.replace(code, "000000000000"))
    with pytest.raises(UserError, match="other code"):
        open_known(tmp_path, None)
    (tmp_path / "state.json").unlink()
    with pytest.raises(UserError, match=r"no state\.json"):
        open_known(tmp_path, None)


def test_rows_without_a_column_are_refused_with_its_name(walked: Any, known: Known) -> None:
    published, _ = last_partition(walked)
    with pytest.raises(UserError, match=f"none called {known.columns[0]}"):
        known.prepare(published.drop(known.columns[0]))


def test_no_rows_are_no_features_of_the_same_columns(walked: Any, known: Known) -> None:
    published, _ = last_partition(walked)
    nothing = known.prepare(published.clear())
    assert nothing.features.schema == known.prepare(published.head(5)).features.schema
    assert (nothing.rows, nothing.notes, len(nothing.refused)) == ([], [], 0)


def test_a_file_of_the_least_that_has_to_be_told_is_read_as_its_rows_are(walked: Any, known: Known) -> None:
    name = [name for name, rows in walked.tidy.items() if len(rows)][-1]
    told = walked.dataset.records.read(walked.raw, name).select(known.columns)
    told.write_csv("rows.csv")
    pieces = [prepared for _, _, prepared in prepare_file(known, Path("rows.csv"))]
    assert_frame_equal(pl.concat(piece.features for piece in pieces), known.prepare(told).features, check_exact=True)


def passed_rows(walked: Any, name: str) -> pl.DataFrame:
    """Of the rows as published, those that the line lets pass."""
    published = walked.dataset.records.read(walked.raw, name)
    failed = judge_rows(walked.dataset.records, published, name).quarantined["row"]
    return published.filter(~pl.int_range(pl.len(), dtype=pl.UInt32).is_in(failed.implode()))


def test_a_published_row_names_the_partition_in_which_the_line_reads_it(walked: Any) -> None:
    table = walked.dataset.records
    assert table.partition_of is not None or walked.dataset.moment is None, "rows with a moment have a partition"
    for name in (name for name, tidy in walked.tidy.items() if table.partition_of is not None and len(tidy)):
        assert passed_rows(walked, name).select(table.partition_of.unique()).item() == name


def test_columns_that_follow_from_others_are_those_that_were_published(walked: Any) -> None:
    if walked.dataset.moment is None:
        pytest.skip("the number of a row begins anew in a request")
    for name in walked.tidy:
        published = passed_rows(walked, name)
        for column, follows in walked.dataset.records.derived.items():
            told = published.select(follows.alias("follows"), column).drop_nulls("follows")
            assert told["follows"].to_list() == told[column].to_list()


def test_outcomes_are_forbidden_columns_that_become_known_after_the_moment(walked: Any) -> None:
    dataset = walked.dataset
    columns = [name for outcome in dataset.outcomes for name in outcome.columns]
    assert bool(columns) == (dataset.moment is not None and dataset.observed is None)
    assert len(columns) == len({*columns}) and {*columns} <= dataset.forbidden
    wanted = wanted_columns(dataset, dataset.records)
    assert {*wanted} < {*dataset.records.columns}
    for tidy in walked.tidy.values():
        for outcome in dataset.outcomes:
            known = outcome.known(tidy)
            assert known.dtype == dataset.moment(tidy).dtype
            assert (known >= dataset.moment(tidy)).drop_nulls().all()


def test_what_is_recalled_of_the_moment_itself_is_all_that_a_row_knows(walked: Any) -> None:
    """Asked a minute ahead, a row knows no more than at its moment; a context of long before knows nothing."""
    dataset = walked.dataset
    if dataset.moment is None:
        pytest.skip("rows have no order in time")
    memory = remember(replace(seed_of(walked, len(walked.tidy) - 1)))
    known = Known(memory)
    published, _ = last_partition(walked)
    row = published[known.prepare(published).rows[-1]].select(known.columns)
    moment = dataset.moment(dataset.records.parse(known._with_columns(row)))[0]
    minute = known.prepare(row, moment - timedelta(minutes=1))
    now = known.prepare(row, moment)
    assert now.notes == known.prepare(row).notes and "1 min ahead" in str(minute.notes[0])
    long_ago = known.prepare(row, moment - timedelta(days=400))
    shares = [f.name for f in dataset.features if "late_share" in f.name]
    assert all(long_ago.features[share].is_null().all() for share in shares)
    later = known.prepare(row, moment + timedelta(hours=2))
    assert_frame_equal(later.features, now.features)
    assert "2 h after" in str(later.notes[0])
