"""`featurize` on the small real samples: parts, sketches, order of work, and settings that make no sense."""

import _thread
import re
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal

from stages import clean, featurize, train
from stages.features.sketch import CategorySketch, sketch_frame
from stages.features.table import SUMMARIES, open_features, read_sketches
from stages.records.contract import PARTS, load_dataset
from stages.workspace.errors import UserError
from stages.workspace.files import read_json, write_manifest, write_parquet

ROOT = Path(__file__).parents[2]
NAME = "nycflights"
CLEAN, FEATURES = Path("data/clean") / NAME, Path("data/features") / NAME
SPLIT = {"train_until": "2013-01-31", "valid_until": "2013-02-02"}


@pytest.fixture(scope="module")
def cleaned(tmp_path_factory) -> Path:
    """A workspace in which the sample of nycflights is clean."""
    folder = tmp_path_factory.mktemp("cleaned")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        shutil.copytree(ROOT / "tests" / "data" / NAME, Path("data/raw") / NAME)
        write_manifest(Path("data/raw") / NAME, {"files": []})
        set_params()
        clean.main(NAME)
    return folder


@pytest.fixture(autouse=True)
def workspace(cleaned, tmp_path, monkeypatch) -> Path:
    shutil.copytree(cleaned, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def set_params(name: str = NAME, split: object = None) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["datasets"][name]["clean"] |= {"sample": 1.0, "max_quarantined_share": 1.0}
    params["datasets"][name]["featurize"]["split"] = SPLIT if split is None else split
    Path("params.yaml").write_text(yaml.safe_dump(params))


def features_written() -> pl.DataFrame:
    return pl.read_parquet(sorted(FEATURES.glob("*.parquet")))


def tree() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(FEATURES.rglob("*")) if path.is_file()}


def test_the_future_judges_the_past():
    featurize.main(NAME)
    days = features_written().group_by("part").agg(pl.col("day").min().alias("low"), pl.col("day").max().alias("high"))
    ranges = {part: (str(low), str(high)) for part, low, high in days.iter_rows()}
    assert ranges == {
        "train": ("2013-01-29", "2013-01-31"),
        "valid": ("2013-02-01", "2013-02-02"),
        "test": ("2013-02-03", "2013-02-04"),
    }


def test_a_day_may_split_a_month_and_the_manifest_counts_both_sides():
    set_params(split={"train_until": "2013-02-01", "valid_until": "2013-02-03"})
    featurize.main(NAME)
    table = open_features(NAME)
    assert table.partition_names("train") == ["2013-01", "2013-02"]
    assert table.partition_names("valid") == table.partition_names("test") == ["2013-02"]
    labelled = features_written().filter(pl.col("late").is_not_null())
    assert {part: table.rows(part) for part in PARTS} == dict(labelled["part"].value_counts().iter_rows())


def test_rows_without_a_label_are_kept_and_counted():
    featurize.main(NAME)
    unlabelled = sum(part["unlabelled"] for part in read_json(FEATURES / "manifest.json")["partitions"])
    metrics = read_json(Path("metrics") / NAME / "clean.json")
    assert unlabelled == sum(metrics["unlabelled"].values()) > 0
    assert features_written()["late"].null_count() == unlabelled
    assert len(features_written()) == metrics["records"]["rows_clean"]


@pytest.mark.parametrize("workers", ["1", "3"])
def test_the_number_of_workers_changes_no_byte(monkeypatch, workers):
    featurize.main(NAME)
    before = tree()
    monkeypatch.setenv("PLUMBLINE_WORKERS", workers)
    featurize.main(NAME)
    assert tree() == before


def test_sketches_added_up_over_partitions_are_those_of_all_training_rows():
    featurize.main(NAME)
    rows = features_written().filter(pl.col("part") == "train", pl.col("late").is_not_null())
    merged, whole = read_sketches(NAME), sketch_frame(rows, open_features(NAME).names)
    assert list(merged) == list(whole)
    for name, sketch in whole.items():
        assert merged[name].rows == len(rows)
        if isinstance(sketch, CategorySketch):
            assert merged[name] == sketch
            continue
        assert merged[name].nulls == sketch.nulls == rows[name].null_count()
        assert merged[name].buckets.tolist() == sketch.buckets.tolist()
        assert merged[name].counts.tolist() == sketch.counts.tolist()
        assert merged[name].total == pytest.approx(sketch.total)
        np.testing.assert_array_equal([merged[name].low, merged[name].high], [sketch.low, sketch.high])


def test_an_empty_partition_is_written_with_all_columns():
    pl.read_parquet(CLEAN / "2013-02.parquet").clear().write_parquet(CLEAN / "2013-02.parquet")
    featurize.main(NAME)
    january, february = (pl.read_parquet(FEATURES / f"2013-{month}.parquet") for month in ("01", "02"))
    assert february.is_empty()
    assert february.schema == january.schema
    assert read_json(FEATURES / "manifest.json")["partitions"][1] == {
        "name": "2013-02",
        "rows": 0,
        "parts": {"train": 0, "valid": 0, "test": 0},
        "unlabelled": 0,
    }


def test_a_joined_table_in_which_no_row_finds_anything_is_refused_with_the_months_of_both():
    weather = CLEAN / "references" / "weather.parquet"
    pl.read_parquet(weather).with_columns(pl.col("hour_utc").dt.offset_by("-1y")).write_parquet(weather)
    with pytest.raises(UserError) as caught:
        featurize.main(NAME)
    assert "in the joined table weather, whose hour_utc runs from 2012-01-2" in caught.value.wanted
    assert re.search(r"none of [\d,]+ rows \(2013-01, 2013-02\)", caught.value.found)
    assert "references/weather.parquet" in caught.value.next_step
    assert not (FEATURES / "manifest.json").exists()


def test_a_joined_table_in_which_few_rows_find_anything_is_warned_of_with_the_months_that_find_nothing(caplog):
    featurize.main(NAME)
    assert "weather" not in caplog.text
    weather = CLEAN / "references" / "weather.parquet"
    pl.read_parquet(weather).filter(pl.col("hour_utc") < pl.datetime(2013, 1, 30)).write_parquet(weather)
    featurize.main(NAME)
    rows = features_written()
    share = f"{rows['visibility_mi'].is_not_null().mean():.1%}"
    assert f"warning: only {share} of the rows find something in weather; none in 2013-02" in caplog.text


def test_a_first_day_knows_nothing_rather_than_that_nothing_was_late():
    featurize.main(NAME)
    first = features_written().filter(pl.col("day") == pl.date(2013, 1, 29))
    for name in ("all_late_share_7d", "carrier_late_share_7d", "origin_late_share_1d"):
        assert first[name].null_count() == len(first), name


@pytest.mark.parametrize(
    ("split", "told"),
    [
        ({"train_until": "2013-02-02", "valid_until": "2013-01-31"}, "2013-02-02 and 2013-01-31"),
        ({"train_until": "2013-01-31", "valid_until": "2013-01-31"}, "train_until before valid_until"),
        ({"train_until": "31.1.2013", "valid_until": "2013-02-02"}, "'31.1.2013'"),
        ({"train_until": 20130131.5, "valid_until": "2013-02-02"}, "days such as 2013-08-31"),
        ({"train_until": "2013-01-31"}, "valid_until is missing"),
        ({"trian_until": "2013-01-31", "valid_until": "2013-02-02"}, "train_until is missing, trian_until is unknown"),
    ],
)
def test_a_split_that_makes_no_sense_is_refused_with_its_full_path(split, told):
    set_params(split=split)
    with pytest.raises(UserError) as caught:
        featurize.main(NAME)
    assert "datasets.nycflights.featurize.split" in caught.value.wanted
    assert told in caught.value.found
    assert "params/dataset/nycflights.yaml" in caught.value.next_step
    assert not (FEATURES / "manifest.json").exists()


@pytest.mark.parametrize(
    ("split", "told"),
    [
        ({"train": 0.8, "valid": 0.2}, "train 0.8, valid 0.2"),
        ({"train": 0.0, "valid": 0.2}, "train 0.0"),
        ({"train": "most", "valid": 0.2}, "train 'most'"),
        ({"train": 0.6}, "valid is missing"),
    ],
)
def test_shares_that_leave_nothing_for_the_test_are_refused(split, told):
    dataset = load_dataset("digits")
    with pytest.raises(ValueError, match="wanted") as caught:
        dataset.split(pl.DataFrame({"digit": [1, 2]}), split, 0)
    assert told in str(caught.value)


def test_an_extract_is_told_where_features_count_and_only_there(caplog):
    ontime, signs = load_dataset("ontime"), {"2008-01": "every flight is one of AA", "2008-02": ""}
    with caplog.at_level("WARNING", logger="plumbline"):
        featurize.warn_of_extracts(featurize.choose_features(ontime, complete=False), signs)
        featurize.warn_of_extracts(ontime, {"2008-02": ""})
        assert not caplog.messages
        featurize.warn_of_extracts(ontime, signs)
    (told,) = caplog.messages
    assert "1 of 2 partitions (2008-01: every flight is one of AA)" in told
    assert "`datasets.ontime.featurize.complete: false`" in told and "dest_scheduled_1h" in told


def test_split_of_another_type_is_refused_by_the_settings():
    set_params(split=["2013-01-31"])
    with pytest.raises(UserError, match=r"datasets\.nycflights\.featurize\.split"):
        featurize.main(NAME)


def test_classes_are_shared_out_within_each_of_them():
    dataset = load_dataset("digits")
    rows = pl.DataFrame({"digit": [0] * 50 + [1] * 10 + [None] * 5}, schema={"digit": pl.UInt8})
    parts = rows.with_columns(dataset.split(rows, {"train": 0.6, "valid": 0.2}, 5).alias("part"))
    counts = {
        key: n for *key, n in parts.drop_nulls().group_by("digit", "part").len().iter_rows() for key in [tuple(key)]
    }
    assert counts == {
        (0, "train"): 30, (0, "valid"): 10, (0, "test"): 10,
        (1, "train"): 6, (1, "valid"): 2, (1, "test"): 2,
    }  # fmt: skip


def test_summaries_are_kept_and_are_no_partitions():
    featurize.main(NAME)
    dataset, table = load_dataset(NAME), open_features(NAME)
    partitions = [part["name"] for part in table.partitions]
    assert [path.stem for path in sorted((FEATURES / SUMMARIES).iterdir())] == partitions == ["2013-01", "2013-02"]
    for partition in partitions:
        kept = pl.read_parquet(FEATURES / SUMMARIES / f"{partition}.parquet")
        assert_frame_equal(kept, dataset.summarize(featurize.read_clean(NAME, partition)))
    assert sum(map(len, table.frames("train"))) == table.rows("train")


def test_clean_rows_of_another_form_are_refused_with_the_column():
    pl.read_parquet(CLEAN / "2013-02.parquet").drop("distance_mi").write_parquet(CLEAN / "2013-02.parquet")
    with pytest.raises(UserError) as caught:
        featurize.main(NAME)
    assert str(CLEAN / "2013-02.parquet") in caught.value.wanted
    assert "no column distance_mi" in caught.value.found
    assert "dvc checkout" in caught.value.next_step


@pytest.mark.parametrize(
    ("split", "empty"),
    [
        ({"train_until": "2012-12-31", "valid_until": "2013-02-02"}, "train"),
        ({"train_until": "2013-08-31", "valid_until": "2013-10-31"}, "valid and test"),
    ],
)
def test_a_split_outside_the_months_is_refused_before_any_work(split, empty, monkeypatch):
    monkeypatch.setattr(featurize, "start_folder", lambda _: pytest.fail("begun"))
    set_params(split=split)
    with pytest.raises(UserError) as caught:
        featurize.main(NAME)
    assert "2013-01 to 2013-02" in caught.value.wanted
    assert caught.value.found.startswith(f"none for {empty} with train_until {split['train_until']}")
    assert "datasets.nycflights.featurize.split" in caught.value.next_step


# ── what later stages refuse ─────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("split", "part"),
    [
        ({"train_until": "2013-01-15", "valid_until": "2013-02-02"}, "train"),
        ({"train_until": "2013-02-04", "valid_until": "2013-02-20"}, "valid"),
    ],
)
def test_a_part_without_rows_is_refused_before_training(split, part):
    set_params(split=split)
    featurize.main(NAME)
    with pytest.raises(UserError) as caught:
        train.check_parts(open_features(NAME))
    assert caught.value.wanted == f"labelled rows in the {part} part of nycflights"
    assert "datasets.nycflights.featurize.split" in caught.value.next_step


def test_a_part_of_one_class_is_refused_before_training():
    for path in CLEAN.glob("2013-*.parquet"):
        never_late = pl.when(pl.col("late").is_not_null()).then(0).cast(pl.UInt8).alias("late")
        pl.read_parquet(path).with_columns(never_late).write_parquet(path)
    featurize.main(NAME)
    with pytest.raises(UserError) as caught:
        train.check_parts(open_features(NAME))
    assert caught.value.found == "only 'on time'"


# ── broken off ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_incomplete_clean_folder_is_refused():
    (CLEAN / "manifest.json").unlink()
    with pytest.raises(UserError, match="never finished"):
        featurize.main(NAME)


def test_a_run_that_fails_leaves_nothing_that_looks_complete():
    featurize.main(NAME)
    for damage in ("damaged", "missing"):
        path = CLEAN / "2013-02.parquet"
        path.unlink() if damage == "missing" else path.write_bytes(b"PAR1 and then nothing")
        with pytest.raises(UserError) as caught:
            featurize.main(NAME)
        assert str(path) in caught.value.wanted
        assert "dvc checkout" in caught.value.next_step
        assert not (FEATURES / "manifest.json").exists()


@pytest.mark.parametrize("end", [None, _thread.interrupt_main])
def test_nothing_is_written_after_a_run_has_failed_or_was_broken_off(workspace, tmp_path_factory, monkeypatch, end):
    read, held, written = featurize.read_rows, threading.Event(), []

    def read_rows(path: Path) -> pl.DataFrame:
        if path.name == "2013-01.parquet":
            held.set()
            time.sleep(1.0)  # until long after the other has failed
        elif path.name == "2013-02.parquet" and held.wait(60) and end is not None:
            end()
        return read(path)

    def write(path: Path, frame: pl.DataFrame) -> None:
        written.append(path)
        write_parquet(path, frame)

    monkeypatch.setenv("PLUMBLINE_WORKERS", "2")
    monkeypatch.setattr(featurize, "read_rows", read_rows)
    monkeypatch.setattr(featurize, "write_parquet", write)
    if end is None:
        (CLEAN / "2013-02.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises((UserError, KeyboardInterrupt)):
        featurize.main(NAME)
    before, elsewhere = (len(written), tree()), tmp_path_factory.mktemp("elsewhere")
    shutil.copytree("data", elsewhere / "data")
    monkeypatch.chdir(elsewhere)
    time.sleep(1.5)
    assert (len(written), tree()) == before
    assert {path.is_relative_to(workspace) for path in written} == {True}


def test_what_an_earlier_run_left_is_gone():
    featurize.main(NAME)
    before = tree()
    (FEATURES / "2012-12.parquet").write_bytes(b"from another run")
    (FEATURES / ".2013-01.parquet.4711.part").write_bytes(b"half a file")
    (FEATURES / SUMMARIES / "2012-12.parquet").write_bytes(b"from another run")
    featurize.main(NAME)
    assert tree() == before


def test_rows_in_are_rows_out():
    manifest = read_json(CLEAN / "manifest.json")
    featurize.main(NAME)
    rows = {part["name"]: part["rows"] for part in read_json(FEATURES / "manifest.json")["partitions"]}
    assert rows == {part["name"]: part["rows"] for part in manifest["records"]["partitions"]}
