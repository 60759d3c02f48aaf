"""The stage on small feature folders: stable bytes, a true learning curve, an honest baseline, refusals in words."""

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import xgboost as xgb
import yaml
from sklearn.metrics import accuracy_score, log_loss, r2_score, root_mean_squared_error

from stages.features.table import open_features, read_selection
from stages.models.baseline import rule_from_json
from stages.models.boosting import FAMILY
from stages.models.families import read_model
from stages.models.trees import Trees, has_device
from stages.train import main
from stages.workspace.errors import UserError

MODEL, CURVE = Path("models/trial"), Path("plots/trial/learning_curve.csv")


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def outputs() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in [*sorted(MODEL.iterdir()), CURVE]}


def part_of(part: str) -> pl.DataFrame:
    return pl.concat(open_features("trial", columns=read_selection("trial")).frames(part))


def scores_of(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels and the written model's predictions."""
    rows = part_of(part)
    return rows["target"].to_numpy(), read_model(MODEL, FAMILY).predict(rows)


def training() -> dict:
    return json.loads((MODEL / "training.json").read_text())


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_model_is_equal_to_the_byte_for_any_threads_and_any_cut_into_partitions(planted, task: str) -> None:
    rows, seen = planted.rows(task, n=1500), []
    for partitions, threads in ((5, 1), (5, 2), (1, 2), (13, 1)):
        planted.write(rows, task, partitions=partitions, threads=threads, max_rounds=10)
        main("trial")
        seen.append(outputs())
    assert seen[0] == seen[1]
    for found in seen[2:]:  # sums of a real-valued target round in another way: the baseline's last digits may move
        assert {**found, "baseline.json": b""} == {**seen[0], "baseline.json": b""}


def test_another_seed_gives_another_model(planted) -> None:
    planted.write(planted.rows())
    main("trial")
    before = outputs()["model.ubj"]
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("seed: 7", "seed: 8"))
    main("trial")
    assert outputs()["model.ubj"] != before


def test_early_stopping_keeps_the_best_round_and_nothing_after_it(planted) -> None:
    planted.write(planted.rows(), learning_rate=0.9, max_depth=6, max_rounds=200, early_stopping_rounds=7)
    main("trial")
    losses = pl.read_csv(CURVE).filter(pl.col("part") == "valid")["loss"].to_numpy()
    assert training()["best_round"] == int(losses.argmin())
    assert training()["rounds"] == len(losses) == int(losses.argmin()) + 1 + 7
    assert read_model(MODEL, FAMILY).booster.num_boosted_rounds() == training()["best_round"] + 1


@pytest.mark.parametrize(
    ("task", "loss"),
    [
        ("binary", log_loss),
        (
            "multiclass",
            lambda labels, scores: log_loss(labels, scores / scores.sum(axis=1, dtype=np.float64, keepdims=True)),
        ),
        ("regression", root_mean_squared_error),
    ],
)
def test_the_learning_curve_tells_the_losses_of_the_written_model(planted, task: str, loss: Callable) -> None:
    planted.write(planted.rows(task), task)
    main("trial")
    curve = pl.read_csv(CURVE)
    for part in ("train", "valid"):
        at_best = curve.filter((pl.col("part") == part) & (pl.col("round") == training()["best_round"]))["loss"].item()
        assert at_best == pytest.approx(loss(*scores_of(part)), rel=2e-5)
        assert at_best == training()[f"{part}_loss"]


def test_the_model_is_that_of_a_plain_fit_on_all_rows_at_once(planted) -> None:
    planted.write(planted.rows(), subsample=1.0, colsample_bytree=1.0, max_rounds=12, early_stopping_rounds=12)
    main("trial")
    rows, names = part_of("train"), read_selection("trial")
    data = xgb.DMatrix(rows.select(names), label=rows["target"].to_numpy(), enable_categorical=True)
    settings = {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_depth": 3,
        "learning_rate": 0.3,
        "max_bin": 32,
    }
    plain = xgb.train(settings, data, training()["best_round"] + 1)
    assert np.allclose(scores_of("test")[1], Trees(plain).predict(part_of("test").select(names)), atol=1e-6)


@pytest.mark.parametrize("name", ["diabetes", "digits"])
def test_real_records_are_learned(planted, name: str) -> None:
    rows, task, classes = planted.real(name)
    planted.write(rows, task, classes, max_rounds=60)
    main("trial")
    labels, scores = scores_of("test")
    rule = rule_from_json(json.loads((MODEL / "baseline.json").read_text()))
    by_rule = rule.predict(part_of("test"))
    if task == "regression":
        assert r2_score(labels, scores) > max(0.3, r2_score(labels, by_rule))
    else:
        assert scores.shape == (len(labels), 10)
        assert accuracy_score(labels, scores.argmax(1)) > max(0.9, accuracy_score(labels, by_rule.argmax(1)))


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_the_baseline_beats_a_constant_on_the_rows_it_was_fitted_to(planted, task: str) -> None:
    planted.write(planted.rows(task), task)
    main("trial")
    rule = rule_from_json(json.loads((MODEL / "baseline.json").read_text()))
    rows = part_of("train")
    labels, scores = rows["target"].to_numpy(), rule.predict(rows)
    loss = log_loss if task == "binary" else root_mean_squared_error
    assert loss(labels, scores) < loss(labels, np.full(len(labels), labels.mean()))
    assert rule.bins.name == "hour"  # the most relevant by the selection


def test_the_baseline_can_rest_on_a_category(planted) -> None:
    rows = planted.rows()
    planted.write(rows.select("day", "part", "target", "carrier", "hour"))
    main("trial")
    rule = rule_from_json(json.loads((MODEL / "baseline.json").read_text()))
    train = rows.filter(pl.col("part") == "train")
    share = train["target"].mean()
    for place, carrier in enumerate([*planted.carriers, None]):
        late = train.filter(pl.col("carrier").eq_missing(pl.lit(carrier)))["target"]
        drawn_towards_all = (late.sum() + 2 * share) / (len(late) + 2)
        assert rule.values[place][0] == pytest.approx(drawn_towards_all)


def test_a_feature_that_is_never_filled_is_no_obstacle(planted) -> None:
    rows = planted.rows().with_columns(carrier=pl.lit(None, pl.String))
    planted.write(rows)
    main("trial")
    assert {"never_known", "carrier"} <= set(read_selection("trial"))
    assert np.isfinite(scores_of("test")[1]).all()


@pytest.mark.parametrize("part", ["train", "valid"])
@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_a_part_of_one_class_is_refused(planted, task: str, part: str) -> None:
    rows = planted.rows(task)
    last = pl.col("target").max()
    planted.write(rows.with_columns(target=pl.when(pl.col("part") == part).then(last).otherwise("target")), task)
    with pytest.raises(UserError, match=f"at least two classes in the {part} part.*\nfound   only 'late'\n"):
        main("trial")
    assert not MODEL.exists()


def test_a_label_without_a_class_is_refused(planted) -> None:
    planted.write(planted.rows("multiclass"), "binary")
    with pytest.raises(UserError, match="no label without a class\nfound   labels 'on time', 'late', 2"):
        main("trial")


@pytest.mark.parametrize("part", ["train", "valid"])
def test_an_empty_part_is_refused(planted, part: str) -> None:
    planted.write(planted.rows().filter(pl.col("part") != part))
    with pytest.raises(UserError, match=f"labelled rows in the {part} part of trial\nfound   none"):
        main("trial")
    assert not MODEL.exists()


def test_rows_without_a_label_are_left_out(planted) -> None:
    rows = planted.rows()
    planted.write(rows)
    main("trial")
    before = outputs()["model.ubj"]
    unlabelled = rows[::3].with_columns(target=pl.lit(None, pl.Int8), hour=pl.lit(9.0, pl.Float32))
    planted.write(pl.concat([rows, unlabelled]), partitions=1)
    main("trial")
    assert outputs()["model.ubj"] == before


def test_a_selection_without_features_is_refused(planted) -> None:
    rows = planted.rows()
    planted.write(rows, dropped=tuple(rows.columns))
    with pytest.raises(UserError, match="at least one selected feature of trial\nfound   none"):
        main("trial")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"max_depht": 3}, "datasets.trial.model.max_depht: unknown key; did you mean 'max_depth'"),
        ({"max_depth": 0}, "datasets.trial.model.max_depth: Input should be greater than or equal to 1, got 0"),
        ({"learning_rate": "fast"}, "datasets.trial.model.learning_rate: Input should be a valid number, got 'fast'"),
        ({"subsample": 1.5}, "datasets.trial.model.subsample"),
    ],
)
def test_wrong_settings_are_named_with_their_path(planted, change: dict, path: str) -> None:
    planted.write(planted.rows(n=300), **change)
    with pytest.raises(UserError, match=path):
        main("trial")


def test_a_damaged_partition_ends_the_stage_and_leaves_no_model(planted: SimpleNamespace) -> None:
    planted.write(planted.rows())
    broken = sorted(Path("data/features/trial").glob("*.parquet"))[1]
    broken.write_bytes(broken.read_bytes()[:-100])
    with pytest.raises(Exception, match="parquet"):
        main("trial")
    assert not MODEL.exists()


def set_memory_limit(gib: float) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["scale"]["memory_limit_gib"] = gib
    Path("params.yaml").write_text(yaml.safe_dump(params))


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_beyond_the_memory_limit_bins_go_to_disk_and_the_model_stays_the_same(
    planted, task: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "plumbline")
    planted.write(planted.rows(task), task)
    main("trial")
    in_memory = outputs()
    assert "the bins go to disk" not in caplog.text
    set_memory_limit(0.01)
    main("trial")
    assert "the bins go to disk" in caplog.text and "even so it takes about" in caplog.text
    assert outputs() == in_memory
    assert not list(Path(".dvc/tmp/pages").iterdir())


def test_pages_that_a_killed_training_left_are_removed(planted) -> None:
    planted.write(planted.rows(n=300), max_rounds=2)
    set_memory_limit(0.01)
    gone, alive = (Path(f".dvc/tmp/pages/{socket.gethostname()}.{process}.x") for process in (2**22 + 1, os.getpid()))
    gone.mkdir(parents=True)
    alive.mkdir()
    main("trial")
    assert not gone.exists() and alive.exists()


def test_a_disk_without_room_for_the_bins_is_refused_beforehand(planted, monkeypatch: pytest.MonkeyPatch) -> None:
    planted.write(planted.rows(n=300))
    set_memory_limit(0.01)
    full = shutil.disk_usage(".")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(UserError, match="GiB of room in"):
        main("trial")
    assert not MODEL.exists()


@pytest.mark.skipif(has_device("cuda"), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused(planted) -> None:
    planted.write(planted.rows(n=300), device="cuda")
    with pytest.raises(
        UserError, match=r"an NVIDIA GPU.*\nfound   none on this machine\nnext .*-S datasets.trial.model"
    ):
        main("trial")
    assert not MODEL.exists()


@pytest.mark.skipif(not has_device("cuda"), reason="no GPU on this machine")
def test_a_gpu_gives_a_model_as_good_as_the_processor_does(planted) -> None:
    planted.write(planted.rows())
    main("trial")
    by_processor = training()["valid_loss"]
    planted.write(planted.rows(), device="cuda")
    main("trial")
    assert training()["valid_loss"] == pytest.approx(by_processor, rel=0.02)


def test_distributed_training_on_gpus_and_on_threads_is_refused(planted) -> None:
    planted.write(planted.rows(n=300), distributed=True)
    with pytest.raises(UserError, match="worker processes for distributed: true\nfound   cluster"):
        main("trial")
    planted.write(planted.rows(n=300), distributed=True, device="cuda")
    with pytest.raises(UserError, match="set one of the two"):
        main("trial")


@pytest.mark.parametrize("folder", ["models", "plots"])
def test_a_place_that_cannot_be_written_is_refused_before_training(planted, monkeypatch, folder: str) -> None:
    planted.write(planted.rows(n=300))
    Path(folder).write_text("", encoding="utf-8")
    monkeypatch.setattr("stages.train.fit_anywhere", lambda *_: pytest.fail("trained"))
    with pytest.raises(NotADirectoryError):
        main("trial")
