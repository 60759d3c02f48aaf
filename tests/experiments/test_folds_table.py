"""Folds of a feature table on disk, beside plain filters over all of its rows."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stages.experiments.folds.deal import PARTS
from stages.experiments.folds.table import Fold, time_folds
from stages.features.table import FeatureTable, open_features
from stages.workspace.errors import UserError
from stages.workspace.files import write_manifest, write_parquet

DATASET, ALL = "trial", ("train", "valid", "test")


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make_rows(n: int = 1200, days: int = 40, task: str = "binary") -> pl.DataFrame:
    """Rows of uneven days in order, a tenth without a label; half train, a quarter valid, a quarter test."""
    rng = np.random.default_rng(4)
    day = np.sort(rng.choice(days, size=n, p=rng.dirichlet(np.full(days, 5.0))))
    target = rng.integers(0, 2, n) if task == "binary" else rng.normal(size=n)
    return pl.DataFrame(
        {
            "day": [date(2013, 1, 1) + timedelta(days=int(d)) for d in day],
            "part": np.where(day < days / 2, "train", np.where(day < 3 * days / 4, "valid", "test")),
            "target": pl.Series(target).cast(pl.Int8 if task == "binary" else pl.Float64),
            "x": rng.normal(size=n),
            "carrier": np.array(["AA", "B6", "zz"])[rng.integers(0, 3, n)],
            "row": np.arange(n),
        }
    ).with_columns(target=pl.when(pl.Series(rng.random(n) < 0.9)).then("target"))


def write_table(
    rows: pl.DataFrame, partitions: int = 6, cluster: str | None = "day", task: str = "binary"
) -> FeatureTable:
    folder, described = Path("data/features") / DATASET, []
    for k in range(partitions):
        piece = rows[len(rows) * k // partitions : len(rows) * (k + 1) // partitions]
        write_parquet(folder / f"p{k}.parquet", piece)
        labelled = piece.filter(pl.col("target").is_not_null())
        counts = {part: labelled.filter(pl.col("part") == part).height for part in PARTS}
        described.append({"name": f"p{k}", "rows": len(piece), "parts": counts})
    columns = [
        {"name": "x", "kind": "numeric", "about": "", "unit": ""},
        {"name": "carrier", "kind": "categorical", "about": "", "unit": "", "categories": ["AA", "B6"]},
    ]
    classes = ["no", "yes"] if task == "binary" else []
    write_manifest(folder, {"dataset": DATASET, "question": "?", "task": task, "target": "target", "classes": classes,
                            "cluster": cluster, "columns": columns, "partitions": described})  # fmt: skip
    return open_features(DATASET)


def rows_of(fold: Fold, part: str) -> list[int]:
    return [row for frame in fold.table.frames(part, extra=["row"]) for row in frame["row"]]


def days_of(fold: Fold, part: str) -> list[date]:
    return [day for frame in fold.table.frames(part, extra=["day"]) for day in frame["day"]]


def refused(*arguments, **options) -> UserError:
    with pytest.raises(UserError) as caught:
        time_folds(*arguments, **options)
    return caught.value


@pytest.mark.parametrize("parts", [ALL, ("train", "valid"), ("test", "train")])
def test_a_fold_holds_the_labelled_rows_of_its_days_and_no_others(parts: tuple[str, ...]) -> None:
    rows = make_rows()
    known = rows.filter(pl.col("target").is_not_null() & pl.col("part").is_in(list(parts)))
    for fold in time_folds(write_table(rows), parts, 3):
        for part in PARTS:
            stretch = fold.stretches[part]
            low, high = date.fromisoformat(stretch.first), date.fromisoformat(stretch.last)
            wanted = known.filter(pl.col("day").is_between(low, high))
            assert rows_of(fold, part) == wanted["row"].to_list()
            assert (stretch.rows, stretch.units) == (len(wanted), wanted["day"].n_unique())
            assert fold.table.rows(part) == len(wanted)
        assert max(days_of(fold, "train")) < min(days_of(fold, "valid")) <= max(days_of(fold, "valid"))
        assert max(days_of(fold, "valid")) < min(days_of(fold, "test"))


def test_tests_of_all_folds_hold_about_equal_rows_and_share_none() -> None:
    folds = time_folds(write_table(make_rows()), ALL, 4)
    tested = [rows_of(fold, "test") for fold in folds]
    assert len({row for rows in tested for row in rows}) == sum(map(len, tested))
    largest_day = make_rows().group_by("day").len()["len"].max()
    assert max(map(len, tested)) - min(map(len, tested)) <= largest_day


def test_folds_do_not_depend_on_how_the_rows_are_cut_into_partitions() -> None:
    for cluster in ("day", None):
        seen = []
        for partitions in (1, 5, 12):
            folds = time_folds(write_table(make_rows(), partitions, cluster), ALL, 3)
            seen.append([(fold.told, *(rows_of(fold, part) for part in PARTS)) for fold in folds])
        assert seen[0] == seen[1] == seen[2]


def test_partitions_without_rows_of_a_part_are_never_opened() -> None:
    table = write_table(make_rows(), partitions=12)
    folds = time_folds(table, ALL, 3)
    before = rows_of(folds[0], "train"), rows_of(folds[0], "test")
    needed = {*folds[0].table.partition_names("train"), *folds[0].table.partition_names("test")}
    spoiled = [known["name"] for known in table.partitions if known["name"] not in needed]
    for name in spoiled:
        (table.folder / f"{name}.parquet").write_bytes(b"not a table")
    assert len(spoiled) > 4
    assert (rows_of(folds[0], "train"), rows_of(folds[0], "test")) == before


def test_counting_reads_no_partition_without_rows_of_the_chosen_parts() -> None:
    table = write_table(make_rows(), partitions=12)
    idle = [known["name"] for known in table.partitions if not known["parts"]["train"]]
    for name in idle:
        (table.folder / f"{name}.parquet").unlink()
    assert idle and len(time_folds(table, ("train",), 2)) == 2
    assert f"{idle[0]}.parquet" in refused(table, ALL, 2).wanted


def test_features_arrive_as_from_any_table() -> None:
    fold = time_folds(write_table(make_rows()), ALL, 2)[0]
    frame = next(fold.test_frames(extra=["day"]))
    assert frame.columns == ["x", "carrier", "target", "day"]
    assert frame["carrier"].dtype == pl.Enum(["AA", "B6"]) and frame["carrier"].null_count()
    narrowed = fold.table.with_columns(["x"])
    assert next(narrowed.frames("test")).columns == ["x", "target"]
    assert narrowed.rows("test") == fold.stretches["test"].rows
    assert fold.rows() == fold.stretches["train"].rows + fold.stretches["valid"].rows


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_independent_rows_are_each_tested_once_and_classes_are_spread_evenly(task: str) -> None:
    rows = make_rows(task=task)
    folds = time_folds(write_table(rows, cluster=None, task=task), ALL, 4)
    labelled = rows.filter(pl.col("target").is_not_null())
    tested = [rows_of(fold, "test") for fold in folds]
    assert sorted(row for found in tested for row in found) == labelled["row"].to_list()
    for fold, found in zip(folds, tested, strict=True):
        parts = [set(rows_of(fold, part)) for part in PARTS]
        assert not parts[0] & parts[1] and not parts[1] & parts[2] and not parts[0] & parts[2]
        assert set.union(*parts) == set(labelled["row"])
        assert abs(len(found) - len(labelled) / 4) <= 6
        if task == "binary":
            share = labelled.filter(pl.col("row").is_in(found))["target"].mean()
            assert abs(share - labelled["target"].mean()) < 0.01


def test_a_day_that_two_partitions_share_lies_in_one_part() -> None:
    rows = make_rows()
    for fold in time_folds(write_table(rows, partitions=37), ALL, 3):
        parts = [set(days_of(fold, part)) for part in PARTS]
        assert not parts[0] & parts[1] and not parts[1] & parts[2] and not parts[0] & parts[2]


def test_a_gap_leaves_days_out() -> None:
    for fold in time_folds(write_table(make_rows()), ALL, 2, gap=3):
        assert (min(days_of(fold, "valid")) - max(days_of(fold, "train"))).days == 4
        assert (min(days_of(fold, "test")) - max(days_of(fold, "valid"))).days == 4


def test_what_cannot_be_folded_is_refused_in_words() -> None:
    rows = make_rows()
    table = write_table(rows)
    assert refused(table, ALL, 1).found == "1"
    assert "41 units" in refused(table, ALL, 39).wanted
    assert refused(table, (), 3).found == "none"
    assert refused(table, ("train", "holdout"), 3).found == "train, holdout"
    assert refused(table, ("train", "train"), 3).found == "train, train"
    assert "gap" in refused(table, ALL, 3, gap=30).wanted
    assert "no gap" in refused(write_table(rows, cluster=None), ALL, 3, gap=1).wanted
    idle = rows.with_columns(part=pl.when(pl.col("part") == "test").then(pl.lit("valid")).otherwise("part"))
    assert "labelled rows in the parts test" in refused(write_table(idle), ("test",), 2).wanted


def test_a_part_of_a_fold_with_one_class_a_label_without_one_and_a_row_without_a_day_are_refused() -> None:
    rows = make_rows()
    early = pl.col("day") <= rows["day"].min() + timedelta(days=9)
    one = rows.with_columns(target=pl.when(early & pl.col("target").is_not_null()).then(0).otherwise("target"))
    error = refused(write_table(one), ALL, 4)
    assert "train part of fold 1" in error.wanted and error.found.startswith("no: ")
    odd = rows.with_columns(target=pl.when(pl.col("row") == 500).then(7).otherwise("target"))
    for cluster in ("day", None):
        assert refused(write_table(odd, cluster=cluster), ALL, 3).found == "labels 7"
    homeless = rows.with_columns(target=pl.lit(1, pl.Int8), day=pl.when(pl.col("row") != 500).then("day"))
    assert "1 rows" in refused(write_table(homeless), ALL, 3).found


def test_few_rows_of_a_number_to_predict_leave_no_part_empty() -> None:
    few = make_rows(n=6, days=4, task="regression").with_columns(target=pl.lit(1.0))
    assert "rows in the" in refused(write_table(few, 2, None, "regression"), ALL, 5).wanted
