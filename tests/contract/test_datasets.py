"""What CONTRIBUTING asks of a dataset, checked for every one of them."""

import math
from pathlib import Path

import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal, assert_series_equal

from stages.metrics.stored import task_named
from stages.records.contract import PARTS, UNIT_SUFFIXES
from stages.workspace.seeds import child_seed
from tests.contract.conftest import of_lines

ROOT = Path(__file__).parents[2]


def test_each_dataset_is_one_package_one_yaml_and_one_sample():
    names = sorted(path.parent.name for path in (ROOT / "stages" / "datasets").glob("*/__init__.py"))
    assert names == sorted(path.stem for path in (ROOT / "params" / "dataset").glob("*.yaml"))
    assert names == sorted(path.parent.name for path in (ROOT / "tests" / "data").glob("*/expected.yaml"))


def test_the_default_run_lists_the_datasets_that_need_no_network():
    offline = []
    for path in (ROOT / "params" / "dataset").glob("*.yaml"):
        section = yaml.safe_load(path.read_text())["download"]
        locations = [source["location"] for source in (*section.get("sources", ()), section.get("series")) if source]
        if not any(location.startswith(("http", "s3:", "apt")) for location in locations):
            offline.append(path.stem)
    lines = yaml.safe_load((ROOT / "params" / "config.yaml").read_text())["defaults"]
    listed = {key: value for line in lines if isinstance(line, dict) for key, value in line.items() if "@" in key}
    assert listed == {f"dataset@datasets.{name}": name for name in offline}
    assert sorted(yaml.safe_load((ROOT / "params.yaml").read_text())["datasets"]) == sorted(offline)


def test_sample_is_small_enough_to_live_in_git(name):
    assert all(path.stat().st_size <= 50 * 1024 for path in (ROOT / "tests" / "data" / name).iterdir())


def test_dataset_names_itself_and_asks_one_question(walked, name):
    dataset = walked.dataset
    assert dataset.name == name
    assert dataset.question.endswith("?")
    task_named(dataset.task).check_classes(name, dataset.classes)
    assert not (dataset.classes and dataset.target_unit)


def test_every_joined_table_is_named_by_the_features_that_are_read_from_it(walked):
    joined = {feature.joined for feature in walked.dataset.features if feature.joined}
    assert joined == {table.name for table in walked.dataset.references}


# ── clean ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_every_planted_fault_is_quarantined_with_column_check_and_value(walked):
    planted = {
        tuple(fault["where"]): [tuple(failure) for failure in fault["failures"]] for fault in walked.expected["faults"]
    }
    found = {}
    for path in walked.quarantine.glob("*/*.parquet"):
        for row, failures in pl.read_parquet(path).select("row", "failures").iter_rows():
            found[path.parent.name, path.stem, row] = [tuple(failure.values()) for failure in failures]
    assert found == planted


def test_no_row_is_lost_and_quarantine_holds_it_as_published(walked):
    dataset = walked.dataset
    for table in (dataset.records, *dataset.references):
        read = quarantined = 0
        for partition in table.partitions(walked.raw):
            raw = table.read(walked.raw, partition)
            kept = pl.read_parquet(walked.quarantine / table.name / f"{partition}.parquet")
            assert kept[:, 2:].rows() == raw[kept["row"]].rows()  # after the number of the row and its failures
            read, quarantined = read + len(raw), quarantined + len(kept)
        is_record = table is dataset.records
        counts = walked.metrics["records"] if is_record else walked.metrics["references"][table.name]
        clean = sum(map(len, walked.tidy.values())) if is_record else len(walked.references[table.name])
        assert (counts["rows_in"], counts["rows_clean"], counts["rows_quarantined"]) == (read, clean, quarantined)
        assert read == clean + quarantined


def test_failures_are_counted_by_table_column_and_check(walked):
    expected: dict[str, int] = {}
    for fault in walked.expected["faults"]:
        for column, check, _ in fault["failures"]:
            told = f"{fault['where'][0]}: {column or 'row'} {check}"
            expected[told] = expected.get(told, 0) + 1
    assert walked.metrics["failures"] == expected


def test_tidy_rows_have_the_declared_columns_and_a_unique_key(walked):
    dataset = walked.dataset
    for partition, tidy in walked.tidy.items():
        assert set(tidy.columns) == set(dataset.records.schema(partition).columns)
        assert dataset.forbidden - {dataset.target} <= set(tidy.columns)
    for table in (dataset.records, *dataset.references):
        rows = pl.concat(walked.tidy.values()) if table is dataset.records else walked.references[table.name]
        assert not rows.select(table.key).is_duplicated().any()


def test_a_row_has_either_a_label_or_a_reason_for_having_none(walked):
    dataset = walked.dataset
    for partition, tidy in walked.tidy.items():
        has_label = walked.features[partition][dataset.target].is_not_null()
        has_none = of_lines(dataset, dataset.unlabelled(tidy)).is_not_null()
        if dataset.observed:  # a forecast may also wait for its outcome, or have missed it
            assert not (has_none & has_label).any()
        else:
            assert (has_none != has_label).all()


# ── features ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_features_are_the_declared_ones_between_identity_cluster_target_and_part(walked):
    dataset = walked.dataset
    names = [feature.name for feature in dataset.features]
    around = {*dataset.identity, dataset.target, "part", *([dataset.cluster] if dataset.cluster else [])}
    assert len(set(names)) == len(names)
    assert not set(names) & {dataset.target, "part"}
    assert not set(names) & dataset.forbidden
    assert [column["name"] for column in walked.manifest["columns"]] == names
    for frame in walked.features.values():
        assert set(frame.columns) == around | set(names)


def test_kinds_agree_with_types(walked):
    for frame in walked.features.values():
        for feature in walked.dataset.features:
            found = frame.schema[feature.name]
            if feature.kind == "picture":
                assert found == pl.Array(pl.UInt8, math.prod(feature.shape)), feature.name
            elif feature.kind == "text":
                assert found == pl.String, feature.name
            else:
                assert feature.kind == ("numeric" if found.is_numeric() else "categorical"), feature.name


def test_every_feature_says_what_it_is_about_and_its_unit(walked):
    for feature in walked.dataset.features:
        assert feature.about.strip() == feature.about != ""
        suffix = feature.name.rpartition("_")[2]
        if suffix in UNIT_SUFFIXES and "_min" not in feature.name.removesuffix("_min"):
            assert feature.unit == suffix, feature.name


def test_rows_come_out_in_the_order_they_went_in(walked):
    shared = [column for column in walked.dataset.identity if column in next(iter(walked.tidy.values())).columns]
    assert shared
    for partition, tidy in walked.tidy.items():
        assert_frame_equal(walked.features[partition].select(shared), of_lines(walked.dataset, tidy.select(shared)))


def test_identity_tells_every_row_apart(walked):
    rows = pl.concat(frame.select(walked.dataset.identity) for frame in walked.features.values())
    assert not rows.is_duplicated().any()


def test_labels_are_the_codes_of_the_classes(walked):
    dataset = walked.dataset
    labels = pl.concat(frame[dataset.target] for frame in walked.features.values()).drop_nulls()
    assert len(labels) and (not dataset.classes or labels.is_between(0, len(dataset.classes) - 1).all())


def test_split_names_only_the_parts_and_repeats_itself(walked, name):
    for partition, frame in walked.features.items():
        seed = child_seed(20130101, "split", name, partition)
        part = walked.dataset.split(frame, walked.expected["split"], seed)
        assert set(part.unique()) <= {
            *PARTS,
            *([None] if walked.expected.get("kept_out", walked.dataset.observed) else []),
        }
        assert part.equals(frame["part"])
    found = {part for frame in walked.features.values() for part in frame["part"]}
    assert found - {None} == set(PARTS)


def test_no_forecast_of_a_part_comes_due_after_one_of_the_next_part_is_made(walked):
    if walked.dataset.observed is None:
        pytest.skip("rows know their own outcome")
    lines = pl.concat(walked.features.values())
    assert (lines["made_at"] < lines["due_at"]).all()
    first = {part: lines.filter(pl.col("part") == part)["made_at"].min() for part in PARTS}
    last = {part: lines.filter(pl.col("part") == part)["due_at"].max() for part in PARTS}
    assert last["train"] <= first["valid"] and last["valid"] <= first["test"]


def test_a_line_changes_from_its_level_to_what_was_observed_when_it_came_due(walked):
    dataset = walked.dataset
    if dataset.observed is None:
        pytest.skip("rows know their own outcome")
    seen = dataset.observed(pl.concat(walked.tidy.values()))
    assert seen.columns == ["series", "at", "value"] and not seen.select("series", "at").is_duplicated().any()
    lines = pl.concat(walked.features.values())
    told = lines.select("series", "made_at", "due_at", "level", "change").with_row_index()
    now = told.join(seen.rename({"at": "made_at", "value": "now"}), on=["series", "made_at"], how="left")
    both = now.join(seen.rename({"at": "due_at", "value": "then"}), on=["series", "due_at"], how="left").sort("index")
    assert len(both) == len(lines) and both["change"].count()
    assert both["level"].is_null().equals(both["now"].is_null())
    assert both["change"].is_null().equals((both["now"] + both["then"]).is_null())
    # a level of the observed unit, or every level the same and the change relative to it
    scale = both["now"] / both["level"]
    assert_series_equal(both["change"] * scale, both["then"] - both["now"], check_names=False, rel_tol=1e-9)


def test_manifest_counts_labelled_rows_by_part_and_the_others(walked):
    for entry in walked.manifest["partitions"]:
        frame = walked.features[entry["name"]]
        labelled = frame.filter(pl.col(walked.dataset.target).is_not_null())
        assert entry["parts"] == {part: (labelled["part"] == part).sum() for part in PARTS}
        assert entry["rows"] == len(frame) == len(labelled) + entry["unlabelled"]


def test_categories_come_from_the_training_rows_alone(walked):
    rows = pl.concat(walked.features.values()).filter(
        pl.col("part") == "train", pl.col(walked.dataset.target).is_not_null()
    )
    for column in walked.manifest["columns"]:
        if column["kind"] == "categorical":
            assert column["categories"] == rows[column["name"]].drop_nulls().unique().sort().to_list()


# ── partitions ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_empty_partition_has_the_same_columns(walked):
    dataset = walked.dataset
    tidy = next(iter(walked.tidy.values()))
    nothing = tidy.clear()
    context = dataset.context([dataset.summarize(nothing)], walked.references)
    frame = dataset.featurize(nothing, context)
    full = dataset.featurize(tidy, dataset.context([dataset.summarize(tidy)], walked.references))
    assert frame.schema == full.schema
    assert dataset.split(frame, walked.expected["split"], 0).is_empty()
    assert dataset.unlabelled(nothing).is_empty()


def test_order_of_summaries_does_not_matter(walked):
    dataset = walked.dataset
    summaries = [dataset.summarize(tidy) for tidy in walked.tidy.values()]
    context = dataset.context(summaries[::-1], walked.references)
    for partition, tidy in walked.tidy.items():
        frame = dataset.featurize(tidy, context)
        assert_frame_equal(frame, walked.features[partition].select(frame.columns))
