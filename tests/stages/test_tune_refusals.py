"""What tuning refuses, each in words that name the next step; nothing is left behind."""

import shutil
from pathlib import Path

import polars as pl
import pytest
import yaml

from stages.tune import main
from stages.workspace.errors import UserError
from stages.workspace.origin import note_composed

SPACE = {"max_depth": {"low": 1, "high": 6}}
TUNE = {"metric": "loss", "trials": 3, "minutes": None, "folds": 0, "pruner": "none", "storage": None, "space": SPACE}


@pytest.fixture
def prepare(planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder with features and with parameters, ``tune`` among them, that params/ composes to."""
    monkeypatch.chdir(tmp_path)

    def write(rows: pl.DataFrame | None = None, **changes) -> None:
        tune = {**TUNE, **changes.pop("tune", {})}
        planted.write(planted.rows(n=600) if rows is None else rows, **{"max_rounds": 5, **changes})
        params = yaml.safe_load(Path("params.yaml").read_text())
        params["datasets"]["trial"]["tune"] = tune
        model = params["datasets"]["trial"].pop("model")
        Path("params/model").mkdir(parents=True, exist_ok=True)
        Path("params/model/boosting.yaml").write_text(yaml.safe_dump(model))
        chosen = [{"model@datasets.trial.model": "boosting"}, "_self_"]
        Path("params/config.yaml").write_text(yaml.safe_dump({"defaults": chosen, **params}))
        Path("dvc.yaml").write_text("stages: {}\n")
        Path(".dvc").mkdir(exist_ok=True)
        Path(".dvc/config").write_text("[hydra]\n    enabled = true\n    config_dir = params\n")
        params["datasets"]["trial"]["model"] = model
        Path("params.yaml").write_text(yaml.safe_dump(params))
        note_composed(Path.cwd())

    return write


def refusal(*arguments: str) -> UserError:
    with pytest.raises(UserError) as refused:
        main("trial", "--no-run", *arguments)
    assert not Path("params/model/tuned_trial.yaml").exists()
    return refused.value


@pytest.mark.parametrize(
    ("tune", "told"),
    [
        ({"metric": "auc"}, "auc"),
        ({"metric": "calibration_error"}, "calibration_error"),
        ({"trials": 0}, "tune.trials: Input should be greater than or equal to 1, got 0"),
        ({"minutes": 0.0}, "tune.minutes: Input should be greater than 0"),
        ({"pruner": "halving"}, "tune.pruner"),
        ({"folds": 1}, "2 folds or more"),
        ({"patience": 3}, "tune.patience: unknown key"),
        ({"space": {}}, "no parameter to search"),
        ({"space": {"max_dpth": {"low": 1, "high": 3}}}, "did you mean 'max_depth'?"),
        ({"space": {"max_depth": {"low": 6, "high": 1}}}, "low 6 lies above high 1"),
        ({"space": {"max_depth": {"low": 1, "high": 2.5}}}, "wanted a whole number, got 2.5"),
        (
            {"space": {"max_depth": {"low": 1, "high": 30}}},
            "max_depth: Input should be less than or equal to 20, got 30",
        ),
        ({"space": {"subsample": {"choices": [0.0, 0.8]}}}, "subsample: Input should be greater than 0, got 0.0"),
        ({"space": {"max_depth": {"low": 5, "high": 6}}}, "max_depth: 5 … 6 leaves out 3"),
        ({"space": {"device": {"choices": [1]}}}, "device: no such parameter"),
    ],
)
def test_a_search_that_cannot_be_meant_is_refused_before_it_begins(prepare, tune: dict, told: str) -> None:
    prepare(tune=tune)
    assert told in str(refusal())
    assert not Path("tuning").exists() or "folds" in told


def test_a_budget_of_nothing_is_refused_on_the_command_line_too(prepare) -> None:
    prepare()
    assert "trials: Input should be greater than or equal to 1, got 0" in refusal("--trials", "0").found
    assert "minutes: Input should be greater than 0" in refusal("--minutes", "0").found
    assert "--name" in refusal("--name", "../up").wanted


def test_features_that_are_not_there_name_the_command_that_makes_them(prepare) -> None:
    prepare()
    shutil.rmtree("data/features")
    assert "dvc repro" in refusal().next_step
    prepare()
    shutil.rmtree("data/selection")
    assert "dvc repro" in refusal().next_step


def test_an_unknown_dataset_is_named_with_the_known_ones(prepare) -> None:
    prepare()
    with pytest.raises(UserError, match="'trail'; known: trial"):
        main("trail")


def test_parameters_that_an_experiment_would_not_run_with_are_refused(prepare) -> None:
    prepare()
    stale = Path("params.yaml").read_text().replace("max_depth: 3", "max_depth: 4")
    Path("params.yaml").write_text(stale)
    note_composed(Path.cwd())  # as `python -m tools.params KEY=VALUE` would: asked for here, but by no experiment
    refused = refusal()
    assert "datasets.trial" in refused.found and "make params" in refused.next_step


def test_an_empty_valid_part_is_refused(prepare, planted) -> None:
    prepare(planted.rows(n=600).filter(pl.col("part") != "valid"))
    assert "the valid part of trial" in refusal().wanted


def test_trials_that_all_fail_end_the_search_with_their_reason(prepare, planted) -> None:
    one_class = pl.when(pl.col("part") == "valid").then(0).otherwise("target").cast(pl.Int8).alias("target")
    prepare(planted.rows(n=600).with_columns(one_class), tune={"metric": "roc_auc", "trials": 30})
    refused = refusal()
    assert refused.found == "3 of 3 failed; the last one: roc_auc is undefined on the rows that judge"
    assert "--fresh" in refused.next_step


def with_target(rows: pl.DataFrame, value: float) -> pl.DataFrame:
    """Rows of which one, of the train part, has this target."""
    target = pl.when(pl.int_range(pl.len()) == 3).then(value).otherwise("target")
    return rows.with_columns(target.cast(rows["target"].dtype).alias("target"))


def test_settings_that_xgboost_refuses_fail_the_trial_with_its_words(prepare, planted) -> None:
    prepare(with_target(planted.rows(n=600), 7), tune={"trials": 1})
    refused = refusal()
    assert refused.found == "1 of 1 failed; the last one: label must be in (0, 1) for logistic regression"


def test_rows_that_xgboost_cannot_read_end_the_search_at_once(prepare, planted) -> None:
    prepare(with_target(planted.rows("regression", n=600), float("inf")), task="regression")
    refused = refusal()
    assert "XGBoost can read" in refused.wanted and "infinity" in refused.found and "dvc repro" in refused.next_step


def test_training_on_a_cluster_is_refused(prepare) -> None:
    prepare(distributed=True)
    assert "one machine" in refusal().wanted


def test_a_damaged_study_is_refused_and_a_fresh_one_begins_beside_it(prepare) -> None:
    prepare()
    main("trial", "--no-run")
    Path("params/model/tuned_trial.yaml").unlink(missing_ok=True)
    study = Path("tuning/trial/study.db")
    study.write_bytes(study.read_bytes()[:5000])
    assert "--fresh" in refusal().next_step
    main("trial", "--no-run", "--fresh")
    assert study.with_name("study.db.damaged").exists()
