"""The stage on small feature folders and real boosters: figures, files, refusals."""

import csv
import json
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import xgboost as xgb
import yaml
from sklearn import metrics as reference
from sklearn.datasets import load_diabetes

from stages.evaluate import main
from stages.features.binning import bin_column
from stages.features.sketch import sketch_frame
from stages.features.table import open_features
from stages.metrics.bootstrap import draw_both, replicate
from stages.metrics.curves import COLUMNS
from stages.metrics.files import read_evaluation
from stages.metrics.stored import VALID, system_of, units_of, valid_units_of
from stages.models.baseline import fit_one_rule, rule_from_json
from stages.models.boosting import FAMILY
from stages.models.families import read_model
from stages.workspace.errors import UserError
from stages.workspace.files import write_json, write_manifest, write_parquet

DATASET = "trial"
SETTINGS = {
    "replicates": 60,
    "level": 0.9,
    "method": "percentile",
    "resample": "clusters",
    "cost_of_miss": 3.0,
    "cost_of_false_alarm": 1.0,
}
CARRIERS = ("AA", "B6", "UA")
OBJECTIVES = {
    "binary": {"objective": "binary:logistic"},
    "multiclass": {"objective": "multi:softprob", "num_class": 3},
    "regression": {"objective": "reg:squarederror"},
}


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_params()
    return tmp_path


SCALE = {"sample": 1.0, "max_rounds": 1, "replicates": 20, "resamples": 1, "memory_limit_gib": 1.0}


def write_params(workers: int = 2, **changes) -> None:
    params = {
        "seed": 7,
        "cluster": {"workers": workers, "training_threads": 1},
        "scale": SCALE,
        "datasets": {DATASET: {"evaluate": {**SETTINGS, **changes}}},
    }
    Path("params.yaml").write_text(yaml.safe_dump(params))


def planted_rows(task: str, n: int = 3000, days: int = 60, luck: float = 0.6) -> pl.DataFrame:
    """Rows of ``days`` days in order; half train, a quarter valid, a quarter test."""
    rng = np.random.default_rng(1)
    day = np.sort(np.arange(n) % days)
    hour, carrier = rng.normal(size=n), rng.integers(0, 3, n)
    strength = hour + 0.7 * carrier + luck * rng.normal(size=days)[day] + rng.normal(size=n)
    target = {
        "binary": (strength > 1).astype(np.int8),
        "multiclass": np.digitize(strength, [0.0, 1.2]).astype(np.int8),
        "regression": 10 * strength + 50,
    }[task]
    dates = [date(2013, 1, 1) + timedelta(days=int(d)) for d in day]
    return pl.DataFrame(
        {
            "day": dates,
            "part": np.where(day < days / 2, "train", np.where(day < 3 * days / 4, "valid", "test")),
            "target": target,
            "hour": np.where(rng.random(n) < 0.05, np.nan, hour),
            "carrier": np.asarray(CARRIERS)[carrier],
        }
    ).with_columns(pl.col("hour").fill_nan(None))


def write_features(rows: pl.DataFrame, task: str, cluster: str | None = "day", partitions: int = 5) -> None:
    folder = Path("data/features") / DATASET
    cuts = np.linspace(0, len(rows), partitions + 1).astype(int)
    described = []
    for start, stop in pairwise(cuts):
        part, name = rows[start:stop], f"rows-{start:05d}"
        write_parquet(folder / f"{name}.parquet", part)
        counts = {p: part.filter(pl.col("part") == p).height for p in ("train", "valid", "test")}
        described.append({"name": name, "rows": len(part), "parts": counts})
    columns = [
        {"name": name, "kind": "numeric", "about": "planted", "unit": ""}
        for name in rows.columns
        if name not in ("day", "part", "target", "carrier")
    ]
    if "carrier" in rows.columns:
        columns.append(
            {"name": "carrier", "kind": "categorical", "about": "planted", "unit": "", "categories": list(CARRIERS)}
        )
    classes = {"binary": ["on time", "late"], "multiclass": ["early", "on time", "late"], "regression": []}[task]
    write_manifest(
        folder,
        {
            "dataset": DATASET, "question": "planted?", "task": task, "target": "target", "classes": classes,
            "cluster": cluster, "columns": columns, "partitions": described,
        },
    )  # fmt: skip
    write_json(Path(f"data/selection/{DATASET}.json"), {"selected": [column["name"] for column in columns]})


def write_model(rows: pl.DataFrame, task: str) -> None:
    """A small booster and a baseline on the first feature, trained as `train` trains them."""
    table = open_features(DATASET)
    frame = pl.concat(table.frames("train"))
    data = xgb.DMatrix(frame.select(table.names), label=frame["target"].to_numpy(), enable_categorical=True)
    booster = xgb.train({**OBJECTIVES[task], "max_depth": 3, "eta": 0.3, "nthread": 1, "seed": 1}, data, 20)
    folder = Path("models") / DATASET
    folder.mkdir(parents=True, exist_ok=True)
    booster.save_model(folder / "model.ubj")
    write_json(folder / "training.json", {"family": "boosting"})
    bins = bin_column(table.names[0], sketch_frame(frame, table.names[:1])[table.names[0]], (), 5)
    rule = fit_one_rule([frame], bins=bins, target="target", classes=table.classes)
    write_json(folder / "baseline.json", rule.to_json())


def prepare(task: str = "binary", cluster: str | None = "day", partitions: int = 5, **changes) -> pl.DataFrame:
    rows = planted_rows(task, **changes)
    write_features(rows, task, cluster, partitions)
    write_model(rows, task)
    return rows


def results() -> dict:
    return json.loads(Path(f"metrics/{DATASET}/results.json").read_text())


def scored_rows() -> tuple[np.ndarray, np.ndarray]:
    table = open_features(DATASET)
    frame = pl.concat(table.frames("test"))
    return frame["target"].to_numpy(), read_model(Path("models") / DATASET, FAMILY).predict(frame)


def outputs() -> dict[str, bytes]:
    folders = ("metrics", "plots", "data/evaluation")
    files = sorted(path for folder in folders for path in Path(folder).rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in files}


def test_what_dvc_lists_is_value_low_and_high_of_every_metric() -> None:
    prepare()
    main(DATASET)
    listed = json.loads(Path(f"metrics/{DATASET}/test.json").read_text())
    assert list(listed) == [DATASET]
    assert listed[DATASET] == {
        name: {key: result[key] for key in ("value", "low", "high")} for name, result in results().items()
    }
    assert list(listed[DATASET]) == list(results())  # the leading metric first, as DVC shows it


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_test_part_of_few_rows_has_values_and_no_certainty(task: str) -> None:
    prepare(task, cluster=None, n=88)
    main(DATASET)
    shares = {"accuracy", "precision", "recall", "f1", "recall_weighted"}
    for name, result in results().items():
        assert result["n"] < 30 and result["value"] is not None
        assert result["difference_p"] is None and result["difference_low"] is None
        assert (result["low"] is None) == (name not in shares), name
        assert result["method"] == ("clopper-pearson" if name in shares else "too few")
        if name in shares:
            assert result["low"] < result["high"]


def test_every_metric_is_a_result_and_never_a_bare_number() -> None:
    prepare()
    main(DATASET)
    for name, result in results().items():
        assert result["low"] <= result["high"], name
        assert result["level"] == 0.9
        assert result["n"] == 750
        assert result["direction"] in ("higher", "lower")
        assert (result["resampled"], result["units"]) == ("day", 15)
        assert result["replicates"] == 60
        assert result["difference"] == pytest.approx(result["value"] - result["baseline"], abs=2e-6)
        assert result["difference_low"] <= result["difference_high"]
        assert result["block"] == 1
        assert result["low"] <= result["value"] <= result["high"], name
        assert result["difference_low"] <= result["difference"] <= result["difference_high"], name
        assert result.get("descriptive", False) == (name == "calibration_error")
    assert results()["roc_auc"]["difference_low"] > 0
    assert {"threshold", "baseline_threshold"} <= set(results()["f1"])


def test_values_are_those_of_scikit_learn_on_the_scores() -> None:
    prepare()
    main(DATASET)
    labels, scores = scored_rows()
    found = results()
    flagged = scores >= np.float32(found["recall"]["threshold"])
    assert found["roc_auc"]["value"] == pytest.approx(reference.roc_auc_score(labels, scores), rel=1e-5)
    assert found["average_precision"]["value"] == pytest.approx(
        reference.average_precision_score(labels, scores), rel=1e-5
    )
    assert found["log_loss"]["value"] == pytest.approx(reference.log_loss(labels, scores.astype(float)), rel=1e-5)
    assert found["recall"]["value"] == pytest.approx(reference.recall_score(labels, flagged), rel=1e-4)
    assert found["f1"]["value"] == pytest.approx(reference.f1_score(labels, flagged), rel=1e-4)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_every_task_writes_the_same_files_with_the_same_columns(task: str) -> None:
    prepare(task)
    main(DATASET)
    for plot, columns in COLUMNS.items():
        with Path(f"plots/{DATASET}/{plot}.csv").open() as file:
            assert tuple(next(csv.reader(file))) == columns, plot
    cells, header = read_evaluation(Path(f"data/evaluation/{DATASET}.parquet"))
    assert cells.columns == ["system", "segment", "unit", "view", "label", "code", "n"]
    tested = cells.filter((pl.col("system") == "model") & (pl.col("segment") == ""))
    assert tested.filter(pl.col("view") == tested["view"][0])["n"].sum() == header["rows"] == 750
    valid = cells.filter((pl.col("system") == "model") & (pl.col("segment") == VALID))
    assert valid["n"].sum() == (750 if task == "binary" else 0)
    assert header["task"] == task


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_outputs_are_equal_to_the_byte_whatever_the_workers_and_the_partitions(task: str) -> None:
    rows = prepare(task)
    write_params(workers=1)
    main(DATASET)
    first = outputs()
    write_params(workers=3)
    main(DATASET)
    assert outputs() == first
    write_features(rows, task, partitions=2)
    main(DATASET)
    assert outputs() == first


def test_independent_rows_are_the_units_where_there_is_no_cluster_and_where_rows_are_asked_for() -> None:
    prepare(cluster=None)
    main(DATASET)
    without = results()
    assert (without["brier"]["resampled"], without["brier"]["units"]) == ("rows", 750)
    prepare(cluster="day")
    write_params(resample="rows")
    main(DATASET)
    assert results() == without


def test_cluster_intervals_are_wider_where_days_share_their_luck() -> None:
    prepare(n=6000, luck=1.5)
    main(DATASET)
    by_day = results()["log_loss"]
    write_params(resample="rows")
    main(DATASET)
    by_row = results()["log_loss"]
    assert by_day["value"] == by_row["value"]
    assert by_day["high"] - by_day["low"] > 1.5 * (by_row["high"] - by_row["low"])


def test_runs_of_neighbouring_days_are_drawn_where_days_are_the_units_and_said_in_every_result(caplog) -> None:
    prepare()
    main(DATASET)
    by_day = results()
    write_params(block=3)
    with caplog.at_level("INFO"):
        main(DATASET)
    by_run = results()
    assert "15 units of day resampled in runs of 3" in caplog.text
    assert {result["block"] for result in by_run.values()} == {3}
    assert {name: r["value"] for name, r in by_run.items()} == {name: r["value"] for name, r in by_day.items()}
    assert by_run["log_loss"]["high"] != by_day["log_loss"]["high"]
    cells, header = read_evaluation(Path(f"data/evaluation/{DATASET}.parquet"))
    weights = draw_both(15, 15, header["replicates"], header["seed"], header["block"])
    drawn = replicate(system_of(cells, header).table.measure, weights)
    for name in ("accuracy", "expected_cost"):
        expected = np.quantile(drawn[name], [0.05, 0.95])
        assert [by_run[name]["low"], by_run[name]["high"]] == pytest.approx(expected, rel=1e-5)


def test_independent_rows_have_no_neighbours_to_be_drawn_with() -> None:
    prepare(cluster=None)
    main(DATASET)
    plain = results()
    write_params(block=5)
    main(DATASET)
    assert results() == plain
    assert plain["brier"]["block"] == 1


def test_numbered_units_stand_beside_their_neighbours() -> None:
    rows = prepare().with_columns(pl.col("day").dt.ordinal_day().cast(pl.Int16))
    write_params(block=5)
    main(DATASET)
    by_date = results()
    write_features(rows.with_columns(pl.col("day") - 50), "binary")  # -4 … 10: in no order as text
    main(DATASET)
    assert {name: r["high"] for name, r in results().items()} == {name: r["high"] for name, r in by_date.items()}


def test_runs_longer_than_half_of_the_days_are_refused() -> None:
    prepare()
    write_params(block=8)
    with pytest.raises(
        UserError, match=r"(?s)evaluate\.block: at most half of the 15 clusters.*lower evaluate\.block to 7"
    ):
        main(DATASET)


def test_the_stored_table_alone_gives_the_intervals_back() -> None:
    prepare()
    main(DATASET)
    cells, header = read_evaluation(Path(f"data/evaluation/{DATASET}.parquet"))
    weights = draw_both(
        len(units_of(cells)), len(valid_units_of(cells, ["model"])), header["replicates"], header["seed"]
    )
    drawn = replicate(system_of(cells, header).table.measure, weights)
    for name in ("accuracy", "expected_cost"):
        expected = np.quantile(drawn[name], [0.05, 0.95])
        assert [results()[name]["low"], results()[name]["high"]] == pytest.approx(expected, rel=1e-5)


def test_the_mark_of_the_rows_survives_another_model_but_not_other_rows() -> None:
    def mark() -> str:
        main(DATASET)
        return read_evaluation(Path(f"data/evaluation/{DATASET}.parquet"))[1]["same_rows"]

    rows = prepare()
    first = mark()
    write_model(rows.with_columns(pl.col("hour") * 2), "binary")
    write_json(Path(f"data/selection/{DATASET}.json"), {"selected": ["hour", "carrier"]})
    assert mark() == first
    write_features(rows[:-1], "binary")
    assert mark() != first


def test_the_threshold_is_chosen_on_the_valid_part_and_follows_the_costs() -> None:
    prepare()
    main(DATASET)
    dear_misses = results()["recall"]
    write_params(cost_of_miss=1.0, cost_of_false_alarm=5.0)
    main(DATASET)
    dear_alarms = results()["recall"]
    assert dear_misses["threshold"] < dear_alarms["threshold"]
    assert dear_misses["value"] > dear_alarms["value"]


def test_confusion_and_classes_add_up_to_the_test_part() -> None:
    prepare("multiclass")
    main(DATASET)
    confusion = pl.read_csv(f"plots/{DATASET}/confusion.csv")
    labels, scores = scored_rows()
    matrix = reference.confusion_matrix(labels, scores.argmax(axis=1))
    assert confusion["rows"].to_numpy().reshape(3, 3).tolist() == matrix.tolist()
    per_class = pl.read_csv(f"plots/{DATASET}/per_class.csv")
    recalls = reference.recall_score(labels, scores.argmax(axis=1), average=None)
    assert per_class["recall"].to_list() == pytest.approx(recalls.tolist(), rel=1e-5)


def test_regression_of_real_records_is_scored_beside_its_baseline() -> None:
    records = load_diabetes(as_frame=False, scaled=False)
    n = len(records.target)
    rows = pl.DataFrame({f"x{k}": records.data[:, k] for k in (2, 3, 8)}).with_columns(
        target=pl.Series(records.target), part=pl.Series(np.where(np.arange(n) % 3 == 2, "test", "train"))
    )
    write_features(rows, "regression", cluster=None)
    write_model(rows, "regression")
    write_params(method="bca")
    main(DATASET)
    labels, predictions = scored_rows()
    found = results()
    assert found["mae"]["value"] == pytest.approx(reference.mean_absolute_error(labels, predictions), rel=1e-5)
    assert found["r2"]["value"] == pytest.approx(reference.r2_score(labels, predictions), rel=1e-5)
    assert found["mae"]["difference"] < 0 < found["r2"]["difference"]
    rule = rule_from_json(json.loads(Path(f"models/{DATASET}/baseline.json").read_text()))
    guesses = rule.predict(pl.concat(open_features(DATASET).frames("test")))
    assert found["rmse"]["baseline"] == pytest.approx(reference.root_mean_squared_error(labels, guesses), rel=1e-5)


def test_a_test_part_of_one_class_is_refused_with_its_counts() -> None:
    rows = prepare()
    late = (pl.col("part") == "test") & (pl.col("target") == 0)
    write_features(rows.filter(~late), "binary")
    with pytest.raises(UserError, match=r"(?s)two or more of the classes on time, late.*found   late: \d+ rows"):
        main(DATASET)
    assert not Path("metrics").exists()


def test_an_empty_test_part_is_refused() -> None:
    rows = prepare()
    write_features(rows.filter(pl.col("part") != "test"), "binary")
    with pytest.raises(UserError, match="labelled rows in the test part"):
        main(DATASET)


def test_a_single_day_is_refused_for_clusters_and_accepted_for_rows() -> None:
    rows = prepare()
    last = rows["day"].max()
    one_day = rows.filter((pl.col("part") != "test") | (pl.col("day") == last))
    write_features(one_day, "binary")
    with pytest.raises(UserError, match=r"(?s)at least two clusters.*found   1.*evaluate\.resample"):
        main(DATASET)
    write_params(resample="rows")
    main(DATASET)
    assert results()["brier"]["units"] == 50


def test_features_in_another_order_than_the_model_knows_are_refused() -> None:
    prepare()
    write_json(Path(f"data/selection/{DATASET}.json"), {"selected": ["carrier", "hour"]})
    with pytest.raises(UserError, match="the features hour, carrier"):
        main(DATASET)


def test_a_damaged_model_is_refused() -> None:
    prepare()
    path = Path(f"models/{DATASET}/model.ubj")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match="a model of the family boosting in"):
        main(DATASET)


def test_a_baseline_that_lost_a_key_is_refused() -> None:
    prepare()
    path = Path(f"models/{DATASET}/baseline.json")
    write_json(path, {key: value for key, value in json.loads(path.read_text()).items() if key != "target_mean"})
    with pytest.raises(UserError, match=r"(?s)a one-rule baseline.*no 'target_mean'.*dvc repro"):
        main(DATASET)


def test_a_score_that_is_no_number_is_refused() -> None:
    rows = prepare()
    write_features(rows.with_columns(pl.col("target").cast(pl.Float64)), "regression")
    write_model(rows, "regression")
    path = Path(f"models/{DATASET}/baseline.json")
    rule = json.loads(path.read_text())
    rule["values"] = [[1e39] for _ in rule["values"]]  # beyond float32
    write_json(path, rule)
    with pytest.raises(UserError, match="scores of the baseline are not"):
        main(DATASET)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"level": 1.0}, r"evaluate\.level"),
        ({"replicate": 10}, "did you mean 'replicates'"),
        ({"block": 0}, r"evaluate\.block"),
        ({"cost_of_miss": float("inf")}, r"evaluate\.cost_of_miss.*finite"),
        ({"cost_of_miss": float("nan")}, r"evaluate\.cost_of_miss.*finite"),
        ({"cost_of_false_alarm": 1e7}, r"evaluate\.cost_of_false_alarm"),
        ({"level": 0.9999}, r"(?s)evaluate\.replicates.*level 0\.9999.*replicates to 40000 or more.*evaluate\.level"),
        ({"level": 0.95, "replicates": 79}, r"replicates to 80 or more"),
    ],
)
def test_wrong_settings_are_named_with_their_path(change: dict, path: str) -> None:
    prepare()
    write_params(**change)
    with pytest.raises(UserError, match=path):
        main(DATASET)
