"""The stage on tiny feature folders with planted columns, written in the format of `stages.features.table`."""

import csv
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from stages.features.sketch import merge_sketches, sketch_frame, sketch_to_json
from stages.select_features import main
from stages.workspace.errors import UserError
from stages.workspace.files import write_json, write_manifest, write_parquet

ROWS, DAYS = 6000, 60
SETTINGS = {
    "bins": 8,
    "max_null_share": 0.9,
    "max_association": 0.95,
    "min_relevance": 0.002,
    "resamples": 50,
    "pair_rows": 100_000,
}
PLANTED = {
    "signal": "kept",
    "copy": "redundant",
    "near_copy": "redundant",
    "carrier": "kept",
    "noise": "irrelevant",
    "always_one": "constant",
    "never_known": "near-empty",
    "seldom_known": "near-empty",
}


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_params()
    return tmp_path


SCALE = {"sample": 1.0, "max_rounds": 1, "replicates": 20, "resamples": 1}


def write_params(workers: int = 2, memory_limit_gib: float = 1.0, **changes) -> None:
    params = {
        "seed": 7,
        "cluster": {"workers": workers, "training_threads": 1},
        "scale": {**SCALE, "memory_limit_gib": memory_limit_gib},
        "datasets": {"planted": {"select_features": {**SETTINGS, **changes}}},
    }
    Path("params.yaml").write_text(yaml.safe_dump(params))


def planted_rows(seed: int = 0) -> pl.DataFrame:
    """Late or not, more often on some days; see `PLANTED` for what each feature is."""
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(DAYS), ROWS // DAYS)
    signal = rng.normal(size=ROWS)
    carrier = rng.integers(0, 4, ROWS)
    odds = signal + 0.5 * carrier - 1 + 0.8 * rng.normal(size=DAYS)[day]
    late = (rng.random(ROWS) < 1 / (1 + np.exp(-odds))).astype(np.int8)
    return pl.DataFrame(
        {
            "day": day,
            "part": np.where(day < 48, "train", np.where(day < 54, "valid", "test")),
            "late": late,
            "signal": signal,
            "copy": 3 - 2 * signal,
            "near_copy": signal + 0.002 * rng.normal(size=ROWS),
            "carrier": np.array(["AA", "B6", "DL", "UA"])[carrier],
            "noise": rng.normal(size=ROWS),
            "daily_noise": rng.normal(size=DAYS)[day],
            "always_one": np.ones(ROWS),
            "never_known": pl.Series([None] * ROWS, dtype=pl.Float64),
            "seldom_known": pl.Series(np.where(rng.random(ROWS) < 0.05, signal, np.nan)).fill_nan(None),
        }
    )


def write_features(
    partitions: dict[str, pl.DataFrame],
    *,
    features=tuple(PLANTED),
    task="binary",
    target="late",
    classes=("on time", "late"),
    cluster="day",
) -> None:
    folder = Path("data/features/planted")
    train = [frame.filter((pl.col("part") == "train") & pl.col(target).is_not_null()) for frame in partitions.values()]
    sketches = merge_sketches([sketch_frame(frame, features) for frame in train])
    parts = [
        {
            "name": name,
            "rows": len(frame),
            "parts": {
                part: len(frame.filter((pl.col("part") == part) & pl.col(target).is_not_null()))
                for part in ("train", "valid", "test")
            },
        }
        for name, frame in partitions.items()
    ]
    columns = [
        {"name": name, "kind": "numeric", "about": "", "unit": ""}
        if name not in ("carrier", "airport")
        else {
            "name": name,
            "kind": "categorical",
            "about": "",
            "unit": "",
            "categories": sorted(pl.concat(train)[name].drop_nulls().unique()),
        }
        for name in features
    ]
    for name, frame in partitions.items():
        write_parquet(folder / f"{name}.parquet", frame)
    write_json(folder / "sketches.json", {name: sketch_to_json(sketch) for name, sketch in sketches.items()})
    write_manifest(
        folder,
        {
            "dataset": "planted",
            "question": "late?",
            "task": task,
            "target": target,
            "classes": list(classes),
            "cluster": cluster,
            "columns": columns,
            "partitions": parts,
        },
    )


def split_rows(frame: pl.DataFrame, n: int) -> dict[str, pl.DataFrame]:
    step = -(-len(frame) // n)
    return {f"p{k}": frame.slice(k * step, step) for k in range(n)}


def select() -> dict:
    main("planted")
    return json.loads(Path("data/selection/planted.json").read_text())


def outputs() -> tuple[bytes, bytes]:
    return Path("data/selection/planted.json").read_bytes(), Path("plots/planted/relevance.csv").read_bytes()


def test_planted_features_stay_or_go_for_the_planted_reason():
    write_features(split_rows(planted_rows(), 3))
    selection = select()
    by_name = {feature["name"]: feature for feature in selection["features"]}
    decisions = {name: feature["decision"] for name, feature in by_name.items()}
    twins = {"signal", "copy", "near_copy"}
    assert {n: d for n, d in decisions.items() if n not in twins} == {
        n: d for n, d in PLANTED.items() if n not in twins
    }
    assert sorted(decisions[name] for name in twins) == ["kept", "redundant", "redundant"]
    [stays] = [name for name in twins if decisions[name] == "kept"]
    assert selection["selected"] == [name for name in PLANTED if name in (stays, "carrier")]
    for gone in twins - {stays}:
        assert by_name[gone]["reason"].startswith(f"redundant with {stays} (association ")
    assert by_name["seldom_known"]["null_share"] == pytest.approx(0.95, abs=0.01)
    assert by_name["never_known"]["null_share"] == 1 and by_name["never_known"]["stability"] == 0
    assert by_name["carrier"]["stability"] == 1 and by_name["noise"]["stability"] < 0.3
    assert by_name["carrier"]["levels"] == 4
    assert by_name[stays]["closest"] in twins and by_name[stays]["association"] > 0.95
    assert by_name["never_known"]["closest"] is None
    assert selection["rows"] == 4800 and selection["resamples"] == {"n": 50, "of": "day", "groups": 48, "level": 0.95}


def test_features_are_ranked_and_carry_an_interval_around_their_relevance():
    write_features(split_rows(planted_rows(), 3))
    features = select()["features"]
    relevances = [feature["relevance"] for feature in features]
    assert relevances == sorted(relevances, reverse=True)
    for feature in features:
        assert 0 <= feature["relevance_low"] <= feature["relevance_high"] <= 1
        assert 0 <= feature["stability"] <= 1
        assert feature["kept"] == (feature["decision"] == "kept")
    carrier = next(feature for feature in features if feature["name"] == "carrier")
    assert carrier["relevance_low"] < carrier["relevance"] < carrier["relevance_high"]


def test_the_plot_table_repeats_the_selection():
    write_features(split_rows(planted_rows(), 3))
    features = select()["features"]
    with Path("plots/planted/relevance.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["feature", "relevance", "low", "high", "stability", "decision"]
    assert [(row["feature"], float(row["relevance"]), row["decision"]) for row in rows] == [
        (feature["name"], feature["relevance"], feature["decision"]) for feature in features
    ]


def test_valid_and_test_rows_never_matter():
    rows = planted_rows()
    write_features(split_rows(rows, 3))
    select()
    before = outputs()
    other = planted_rows(seed=99).with_columns(rows["part"], rows["day"])
    trained = pl.col("part") == "train"
    changed = pl.concat([rows.filter(trained), other.filter(~trained).with_columns(pl.lit("XX").alias("carrier"))])
    write_features(split_rows(changed, 3))
    select()
    assert outputs() == before


@pytest.mark.parametrize("cluster", ["day", None])
def test_workers_never_matter(cluster):
    write_features(split_rows(planted_rows(), 7), cluster=cluster)
    results = set()
    for workers in (1, 4):
        write_params(workers=workers)
        select()
        results.add(outputs())
    assert len(results) == 1


def test_no_more_partitions_at_a_time_than_fit_in_memory_and_the_result_is_the_same(caplog):
    write_features(split_rows(planted_rows(), 7))
    select()
    before = outputs()
    write_params(workers=4, memory_limit_gib=1e-4)
    with caplog.at_level("INFO", logger="plumbline"):
        select()
    assert outputs() == before
    assert "1 instead of 4 at a time, to stay within scale.memory_limit_gib" in caplog.text


def test_partitions_never_matter_where_rows_are_drawn_by_cluster():
    results = set()
    for n in (1, 5):
        write_features(split_rows(planted_rows(), n))
        select()
        results.add(outputs())
    assert len(results) == 1


def test_an_empty_partition_is_fine():
    rows = planted_rows()
    write_features(split_rows(rows, 2))
    select()
    before = outputs()
    write_features({"before": rows.clear(), **split_rows(rows, 2)})
    select()
    assert outputs() == before


def test_independent_rows_are_drawn_in_random_blocks():
    write_features(split_rows(planted_rows(), 2), cluster=None)
    selection = select()
    assert selection["resamples"]["of"] == "rows" and selection["resamples"]["groups"] == 256
    assert "carrier" in selection["selected"]


def test_noise_that_is_drawn_once_a_day_is_not_taken_for_relevance():
    """48 days of 100 rows: what eight bins of pure noise would explain by luck is taken off, on average."""
    relevance: dict[str | None, list[float]] = {"day": [], None: []}
    for seed in range(8):
        for cluster in relevance:
            write_features({"all": planted_rows(seed)}, features=("signal", "daily_noise"), cluster=cluster)
            relevance[cluster].append(select()["features"][1]["relevance"])
    assert np.mean(relevance["day"]) < np.mean(relevance[None]) / 3


def test_one_cluster_is_resampled_by_its_rows():
    write_features(split_rows(planted_rows().with_columns(pl.lit(1).alias("day")), 2))
    assert select()["resamples"]["of"] == "rows"


def test_ten_classes():
    rng = np.random.default_rng(0)
    digit = rng.integers(0, 10, 2000)
    rows = pl.DataFrame(
        {
            "part": ["train"] * 2000,
            "digit": digit,
            "parity": (digit % 2).astype(np.float64),
            "noise": rng.normal(size=2000),
        }
    )
    classes = [str(k) for k in range(10)]
    write_features(
        {"all": rows}, features=("parity", "noise"), task="multiclass", target="digit", classes=classes, cluster=None
    )
    selection = select()
    assert selection["selected"] == ["parity"]
    assert selection["features"][0]["relevance"] == pytest.approx(np.log(2) / np.log(10), abs=0.005)


def test_a_regression_target_is_cut_in_bins():
    rows = planted_rows().with_columns((pl.col("signal") * 10 + pl.col("noise")).alias("delay_min"))
    write_features(split_rows(rows, 3), task="regression", target="delay_min", classes=())
    selection = select()
    assert selection["features"][0]["name"] in ("signal", "copy", "near_copy")
    assert selection["features"][0]["relevance"] > 0.5


def test_a_category_with_many_levels_is_judged_by_all_of_them_without_flattery():
    rng = np.random.default_rng(1)
    rows = planted_rows().with_columns(pl.Series("airport", [f"A{k:03}" for k in rng.integers(0, 200, ROWS)]))
    write_features(split_rows(rows, 3), features=("signal", "airport"))
    by_name = {feature["name"]: feature for feature in select()["features"]}
    assert by_name["airport"]["levels"] == 200
    assert by_name["airport"]["decision"] == "irrelevant"


def test_the_last_feature_stays_and_says_that_it_is_faint():
    write_features(split_rows(planted_rows(), 3), features=("noise", "always_one"))
    selection = select()
    assert selection["selected"] == ["noise"]
    assert selection["features"][0]["reason"].startswith("kept as the most relevant of all, though")


def test_features_that_all_drop_out_are_refused():
    write_features(split_rows(planted_rows(), 3), features=("always_one", "never_known"))
    with pytest.raises(UserError, match="always_one constant, never_known near-empty"):
        main("planted")
    assert not Path("data/selection/planted.json").exists()


def test_a_training_part_without_rows_is_refused():
    write_features(split_rows(planted_rows().with_columns(pl.lit("test").alias("part")), 2))
    with pytest.raises(UserError, match="0 rows with part = train"):
        main("planted")


def test_a_single_class_is_refused():
    write_features(split_rows(planted_rows().with_columns(pl.lit(0).cast(pl.Int8).alias("late")), 2))
    with pytest.raises(UserError, match="all of them 'on time'"):
        main("planted")


def test_a_feature_without_a_sketch_is_refused():
    write_features(split_rows(planted_rows(), 2))
    write_json(Path("data/features/planted/sketches.json"), {})
    with pytest.raises(UserError, match="a sketch of every feature"):
        main("planted")


def test_a_threshold_out_of_range_is_refused_with_its_path():
    write_params(max_association=1.5)
    with pytest.raises(UserError, match=r"datasets\.planted\.select_features\.max_association"):
        main("planted")
