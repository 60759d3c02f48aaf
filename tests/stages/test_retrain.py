"""The same training from other seeds: on the same rows, the same bytes, nothing done twice."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from sklearn.metrics import roc_auc_score

from stages import evaluate, retrain, train
from stages.compare import side_of
from stages.experiments.comparison.comparison import Evaluation, Resampling, Trainings, interval_of, metrics_of
from stages.experiments.revisions.revisions import Revision
from stages.features.redrawn import redraw_training
from stages.features.table import open_features, read_selection, read_sketches
from stages.metrics.bootstrap import draw_weights
from stages.metrics.files import read_evaluation
from stages.metrics.stored import VALID, system_of, valid_units_of
from stages.models.families import FAMILIES, fit_model
from stages.models.rows import Share
from stages.workspace.composition import compose_params

ROOT = Path(__file__).parents[2]
TRAININGS, EVALUATION = Path("data/trainings/trial.parquet"), Path("data/evaluation/trial.parquet")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of partitions of this test's own."""
    monkeypatch.setenv("PLUMBLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


def change_params(**sections: dict) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    for path, values in sections.items():
        section = params["cluster"] if path == "cluster" else params["datasets"]["trial"][path]
        section.update(values)
    Path("params.yaml").write_text(yaml.safe_dump(params))


def trained(planted, task: str = "binary", trainings: int = 3, **settings: object) -> None:
    planted.write(planted.rows(task), task, **settings)
    change_params(evaluate={"trainings": trainings}, cluster={"cache_gib": 1.0})
    train.main("trial")
    retrain.main("trial")


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_further_trainings_are_judged_on_the_rows_of_the_first(planted, task: str) -> None:
    trained(planted, task)
    evaluate.main("trial")
    _, header = read_evaluation(EVALUATION)
    cells, again = read_evaluation(TRAININGS)
    assert list(again["systems"]) == ["training 2", "training 3"] and again["by_chance"]
    assert [again[name] for name in ("same_rows", "rows", "units", "task")] == [
        header[name] for name in ("same_rows", "rows", "units", "task")
    ]
    figures = [system_of(cells, again, name).exact for name in again["systems"]]
    figures.append(header["systems"]["model"]["exact"])
    lead = next(iter(figures[0]))
    assert len({found[lead] for found in figures}) == 3
    assert np.ptp([found[lead] for found in figures]) < 0.5 * abs(figures[0][lead])


def test_a_change_is_asked_with_other_valid_days_too_and_a_given_model_with_its_own_threshold(planted) -> None:
    trained(planted)
    evaluate.main("trial")
    cells, header = read_evaluation(EVALUATION)
    asked = Evaluation(cells, header, "new", Trainings(*read_evaluation(TRAININGS)))
    old = Evaluation(cells.filter(pl.col("segment") != VALID), header, "old")
    change, given, held = (
        Resampling.of(a, asked, None, None, question)
        for a, question in ((asked, "change"), (asked, "model"), (old, "change"))
    )
    assert change.valid_units == valid_units_of(cells, ["model"]) != []
    assert given.valid_units == held.valid_units == []
    assert np.array_equal(change.weights[:, : len(change.units)], held.weights)
    metrics = metrics_of(header, ["recall", "roc_auc"])
    moved, fixed = (interval_of(asked, "recall", metrics["recall"], each) for each in (change, held))
    assert moved.high - moved.low > fixed.high - fixed.low
    assert interval_of(asked, "roc_auc", metrics["roc_auc"], change) == interval_of(
        asked, "roc_auc", metrics["roc_auc"], held
    )
    assert change.held(asked, asked) == given.held(old, asked) == []
    assert "old kept no valid rows" in held.held(old, asked)[0]


def test_a_training_is_the_one_that_train_would_make_from_its_seed(planted, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(planted)
    _, again = read_evaluation(TRAININGS)
    table = open_features("trial", columns=read_selection("trial"))
    settings = FAMILIES["boosting"].settings(
        **yaml.safe_load(Path("params.yaml").read_text())["datasets"]["trial"]["model"]
    )
    monkeypatch.setattr("stages.models.families.child_seed", lambda seed, *_: retrain.seed_of(2, "trial"))
    fit = fit_model(Share(table, table), read_sketches("trial"), settings, lambda *_: None, "trial")
    test = pl.concat(table.frames("test"))
    truth = roc_auc_score(test["target"], fit.model.predict(test))
    assert again["systems"]["training 2"]["exact"]["roc_auc"] == pytest.approx(truth, abs=1e-12)


@pytest.mark.parametrize("family", ["boosting", "lightgbm", "forest", "bagging"])
def test_the_bytes_do_not_depend_on_threads(planted, tmp_path: Path, family: str, monkeypatch) -> None:
    found = []
    for threads in (1, 2):
        (tmp_path / str(threads)).mkdir()
        monkeypatch.chdir(tmp_path / str(threads))
        planted.write(planted.rows(), "binary", threads=threads)
        params = yaml.safe_load(Path("params.yaml").read_text())
        composed = yaml.safe_load(compose_params(ROOT, [f"model@datasets.diabetes.model={family}", "scale=tiny"]))
        small = {"max_rounds": 6, "trees": 4, "members": 2}
        model = composed["datasets"]["diabetes"]["model"]
        params["datasets"]["trial"]["model"] = {name: small.get(name, value) for name, value in model.items()}
        Path("params.yaml").write_text(yaml.safe_dump(params))
        change_params(evaluate={"trainings": 2}, cluster={"cache_gib": 0.0, "workers": threads})
        train.main("trial")
        retrain.main("trial")
        found.append(TRAININGS.read_bytes())
    assert found[0] == found[1]


def test_a_model_that_chance_has_no_part_in_is_not_trained_again(planted, caplog: pytest.LogCaptureFixture) -> None:
    planted.write(planted.rows(), "binary")
    linear = yaml.safe_load((ROOT / "params/model/linear.yaml").read_text())
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["datasets"]["trial"]["model"] = linear
    Path("params.yaml").write_text(yaml.safe_dump(params))
    train.main("trial")
    caplog.set_level("INFO")
    retrain.main("trial")
    _, again = read_evaluation(TRAININGS)
    assert (again["by_chance"], again["systems"]) == (False, {})
    assert "the same from any seed" in caplog.text


@pytest.mark.parametrize("family", ["linear", "boosting"])
def test_training_days_are_drawn_again_where_asked_which_moves_a_model_without_chance_too(planted, family: str) -> None:
    planted.write(planted.rows(), "binary")
    if family == "linear":
        params = yaml.safe_load(Path("params.yaml").read_text())
        params["datasets"]["trial"]["model"] = yaml.safe_load((ROOT / "params/model/linear.yaml").read_text())
        Path("params.yaml").write_text(yaml.safe_dump(params))
    change_params(evaluate={"trainings": 3, "redraw_training": True})
    for stage in (train, evaluate, retrain):
        stage.main("trial")
    cells, again = read_evaluation(TRAININGS)
    assert (again["by_chance"], again["redrawn"], len(again["systems"])) == (True, "day", 3)
    assert len({each["exact"]["roc_auc"] for each in again["systems"].values()}) == 3
    asked = Evaluation(*read_evaluation(EVALUATION), "redrawn", Trainings(cells, again))
    assert (asked.trainings, len(asked.every_training())) == (3, 3)  # the model that ships learnt from all days
    assert (
        side_of(Revision("redrawn", None, "redrawn"), asked).trained == "mean of 3 trainings, training day drawn again"
    )
    plain = Evaluation(asked.cells, asked.header, "plain")
    with pytest.raises(ValueError, match="trainings of both that learnt from rows drawn alike") as refused:
        Resampling.of(plain, asked, None, None)
    assert refused.value.args[1] == "plain: all rows; redrawn: day drawn again"
    assert Resampling.of(plain, asked, None, None, "model").question == "model"


@pytest.mark.parametrize("unit", ["day", None])
def test_drawn_again_every_training_row_occurs_as_often_as_its_unit_and_no_other_row_moves(planted, unit) -> None:
    planted.write(planted.rows(), "binary")
    table = open_features("trial", columns=read_selection("trial"))
    drawn, other = (redraw_training(table, unit, lambda n, seed=seed: draw_weights(n, 1, seed)[0]) for seed in (3, 4))
    extra = ["day"] if unit else []
    whole, again = (pl.concat(list(each.frames("train", extra=extra))) for each in (table, drawn))
    assert drawn.rows("train") == len(again)
    assert again.columns == whole.columns
    if unit:
        counts = {day: (len(whole.filter(pl.col("day") == day)), len(again.filter(pl.col("day") == day)))
                  for day in whole["day"].unique()}  # fmt: skip
        assert sum(after // before for before, after in counts.values()) == len(counts)
        assert all(after % before == 0 for before, after in counts.values())
        assert 0.5 < np.mean([after > 0 for _, after in counts.values()]) < 0.8  # 1 - 1/e of the days
    else:
        assert len(again) == len(whole)
        assert 0.55 < len(again.unique()) / len(whole.unique()) < 0.7
    for part in ("valid", "test"):
        assert pl.concat(list(table.frames(part))).equals(pl.concat(list(drawn.frames(part))))
    assert not again.equals(pl.concat(list(other.frames("train", extra=extra))))


def test_a_run_that_was_cut_short_goes_on_where_it_was(planted, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(planted, trainings=4)
    whole = TRAININGS.read_bytes()
    TRAININGS.unlink()
    change_params(evaluate={"trainings": 6})
    fits, judge = [], retrain.judge

    def counted(table, scorers, *rest):
        fits.append(*scorers)
        if len(fits) == 2:
            raise KeyboardInterrupt
        return judge(table, scorers, *rest)

    monkeypatch.setattr(retrain, "judge", counted)
    with pytest.raises(KeyboardInterrupt):
        retrain.main("trial")
    assert fits == ["training 5", "training 6"] and not TRAININGS.exists()
    retrain.main("trial")
    assert fits == ["training 5", "training 6", "training 6"]
    change_params(evaluate={"trainings": 4})
    retrain.main("trial")
    assert TRAININGS.read_bytes() == whole and len(fits) == 3
